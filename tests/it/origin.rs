//! Origins that misbehave: what cannot be judged is refused, nothing of it leaves, and each share is settled.

use serde_json::{Value, json};

use super::support::{Answer, Client, Gateway, Speak, World, eventually};

const SECRET: &str = "secret-of-origin";

fn outcome(world: &World, index: u64) -> Value {
    eventually("the share is settled", || {
        world.entries(&["--kind", "share.settled"]).into_iter().find(|line| line["entry"]["receipt_of"] == index)
    })["entry"]
        .clone()
}

async fn odd(gateway: &Gateway, client: &Client, token: &str, script: &str) -> Answer {
    gateway.ask("GET", &format!("/odd/{script}")).by(client).purpose("housing").token(token).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_cannot_be_judged_are_refused_whole() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    let scripts = [
        ("type", 502, "disclosure_failed"),
        ("untyped", 502, "disclosure_failed"),
        ("gzip", 502, "disclosure_failed"),
        ("partial", 502, "disclosure_failed"),
        ("duplicate", 502, "disclosure_failed"),
        ("trailing", 502, "disclosure_failed"),
        ("utf8", 502, "disclosure_failed"),
        ("three", 502, "disclosure_failed"),
        ("huge", 502, "disclosure_failed"),
        ("missing", 404, "origin_refused"),
        ("broken", 500, "origin_refused"),
        ("slow-head", 504, "origin_timeout"),
    ];
    for speak in [Speak::Http1, Speak::Http2] {
        let client = gateway.client().speaking(speak);
        for (script, status, code) in scripts {
            let answer = odd(&gateway, &client, &token, script).await;
            let problem = answer.refused(status, code);
            assert!(!format!("{answer:?}").contains(SECRET), "{script}: {answer:?}");
            // The share was granted before it failed: its receipt is told, and it is settled as failed.
            let settled = outcome(&world, problem["entry"].as_u64().unwrap_or_else(|| panic!("{script}: {problem}")));
            assert_eq!((&settled["outcome"], &settled["bytes"]), (&json!("failed"), &json!(0)), "{script}: {settled}");
        }
    }
    assert!(!gateway.log().contains(SECRET));
    gateway.stop();
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_break_off_never_pass_for_whole() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    let scripts = ["cut", "close", "drop", "slow-content", "redirect"];
    for (speak, script) in [Speak::Http1, Speak::Http2].into_iter().flat_map(|speak| scripts.map(|script| (speak, script))) {
        let answer = odd(&gateway, &gateway.client().speaking(speak), &token, script).await;
        assert!((502..=504).contains(&answer.status) || (answer.status == 302 && script == "redirect"), "{script}: {answer:?}");
        let problem: Value = serde_json::from_slice(&answer.content).unwrap();
        assert!(
            ["disclosure_failed", "origin_timeout", "origin_unreachable", "origin_refused"].contains(&problem["code"].as_str().unwrap()),
            "{script}: {problem}"
        );
        assert!(!format!("{answer:?}").contains(SECRET), "{script}: {answer:?}");
        assert_eq!(outcome(&world, problem["entry"].as_u64().unwrap())["outcome"], "failed", "{script}");
    }
    for speak in [Speak::Http1, Speak::Http2] {
        let client = gateway.client().speaking(speak);
        let stream = |script: &str| gateway.ask("GET", &format!("/stream/{script}")).token(&world.housing()).purpose("housing").by(&client);
        // An end that only a closed connection marks may be a cut: small answers fail before their head.
        let closed = stream("opaque-close").attempt().await.unwrap();
        assert!(closed.status >= 500 || closed.cut.is_some(), "{closed:?}");
        assert!(closed.status < 500 || !String::from_utf8_lossy(&closed.content).contains(SECRET), "{closed:?}");
        // Large ones have sent their head: the caller sees an error, never an end.
        let late = stream("late").attempt().await.unwrap();
        assert!(late.status == 200 && late.cut.is_some() && late.content.len() <= 1 << 20, "{} {:?}", late.status, late.cut);
        assert_eq!(outcome(&world, late.receipt().index)["outcome"], "failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_the_origin_stay_behind_and_unsafe_calls_wait_for_the_record() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    for speak in [Speak::Http1, Speak::Http2] {
        // The client itself fails at any field that the contract does not know.
        let answer = odd(&gateway, &gateway.client().speaking(speak), &token, "fields").await;
        assert_eq!(answer.shared(), json!({"data": [{"value": "seen"}]}));
        assert_eq!(answer.field("cache-control"), "private, no-store");
        assert!(!format!("{answer:?}").contains(SECRET));
        world.scripted.arrival().await;
    }
    let answer = gateway.ask("POST", "/odd/plain").token(&world.housing()).purpose("housing").json("{\"a\":1}").send().await;
    assert_eq!(answer.shared()["data"][0]["value"], "seen");
    assert!(world.scripted.arrival().await.starts_with("POST /odd/plain"));
}
