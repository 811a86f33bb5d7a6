//! Verifying claims: a yes or a no, nothing else, and nothing by which the one could be told from the other but itself.

use serde_json::{Value, json};

use super::support::nginx::NUMBER;
use super::support::{Answer, Ask, Gateway, Setup, Speak, World, eventually};

fn verify<'a>(gateway: &'a Gateway, token: &str, path: &str, claim: &Value) -> Ask<'a> {
    gateway.ask("POST", path).token(token).purpose("housing").json(claim.to_string())
}

fn marriage<'a>(gateway: &'a Gateway, token: &str, status: &str, on: &str) -> Ask<'a> {
    verify(gateway, token, "/mca/marriage/verify", &json!({"id_number": NUMBER, "status": status, "registered_on": on}))
}

fn settled(world: &World, index: u64) -> Value {
    eventually("the share is settled", || {
        world.entries(&["--kind", "share.settled"]).into_iter().find(|line| line["entry"]["receipt_of"] == index)
    })["entry"]
        .clone()
}

#[track_caller]
fn answered(answer: &Answer, matches: bool) {
    assert_eq!(answer.shared(), json!({ "match": matches }));
    assert!(!answer.fields.contains_key("share-disclosure"), "{answer:?}");
    answer.receipt();
}

/// What of an entry could tell a yes from a no: everything but names, times and salted digests.
fn telling(mut entry: Value) -> Value {
    let settled = entry["kind"] == "share.settled";
    let own = if settled { &["id", "time", "receipt_of", "digest", "origin_digest"][..] } else { &["id", "time", "time_decided"] };
    for own in own {
        assert!(entry.as_object_mut().unwrap().remove(*own).is_some(), "`{own}` in {entry}");
    }
    entry
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_answered_with_yes_or_no_and_nothing_else() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    for speak in [Speak::Http1, Speak::Http2] {
        let client = gateway.client().speaking(speak);
        let yes = marriage(&gateway, &token, "married", "2015-06-18").by(&client).send().await;
        answered(&yes, true);
        let mut told = Vec::new();
        for (status, on) in [("single", "2015-06-18"), ("married", "2015-06-19"), ("2015-06-18", "married"), ("marrie", "2015-06-18")] {
            let no = marriage(&gateway, &token, status, on).by(&client).send().await;
            answered(&no, false);
            told.push(no);
        }
        let names = |answer: &Answer| answer.fields.keys().map(ToString::to_string).collect::<Vec<_>>();
        for no in &told {
            assert_eq!((yes.content.len(), names(&yes)), (no.content.len(), names(no)), "nobody sees the answer through its encryption");
        }
        // Nor does whoever reads the ledger.
        let (yes, no) = (yes.receipt().index, told[0].receipt().index);
        let entry = world.entry(yes)["entry"].clone();
        assert_eq!((&entry["operation"], &entry["target"]), (&json!("verify"), &json!("POST /mca/marriage/verify")));
        assert_eq!(entry["items"], json!({"registered_on": "compare", "status": "compare"}));
        assert_eq!(entry["policies"], json!(["compare-as-granted", "share-under-grant"]));
        assert!(entry["subject"].as_str().unwrap().starts_with("hmac-sha256:"));
        assert_eq!(telling(entry), telling(world.entry(no)["entry"].clone()));
        let settled_yes = settled(&world, yes);
        assert_eq!((&settled_yes["outcome"], &settled_yes["status"], &settled_yes["bytes"]), (&json!("complete"), &json!(200), &json!(15)));
        assert_eq!(settled_yes["items"], json!({"registered_on": {"compare": 1}, "status": {"compare": 1}}));
        assert_eq!(telling(settled_yes), telling(settled(&world, no)));
    }
    let of_person = world.entries(&["--form", "compare", "--item", "status"]);
    assert!(of_person.len() >= 10, "{of_person:?}");
    gateway.stop();
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn case_width_and_spaces_do_not_matter() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    for (status, on) in [("Married", "2015-06-18"), ("ＭＡＲＲＩＥＤ", "２０１５－０６－１８"), (" mar ried\t", "2015-06\u{3000}-18")]
    {
        answered(&marriage(&gateway, &token, status, on).send().await, true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_knows_nobody_has_answered_no() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    let ask = |script: &str, value: Value| verify(&gateway, &token, "/psb/claims/by-path", &json!({"script": script, "value": value}));
    answered(&ask("plain", json!("seen")).send().await, true);
    let plain_no = ask("plain", json!("other")).send().await;
    for script in ["missing", "no-content"] {
        let answer = ask(script, json!("seen")).send().await;
        answered(&answer, false);
        assert_eq!(answer.content.len(), plain_no.content.len());
        let (nobody, other) = (settled(&world, answer.receipt().index), settled(&world, plain_no.receipt().index));
        assert_eq!(telling(nobody), telling(other));
    }
    // Anything else that is no answer is no answer here either.
    for (script, status, code) in [
        ("broken", 500, "origin_refused"),
        ("type", 502, "disclosure_failed"),
        ("gzip", 502, "disclosure_failed"),
        ("redirect", 502, "disclosure_failed"),
        ("partial", 502, "disclosure_failed"),
        ("duplicate", 502, "disclosure_failed"),
        ("trailing", 502, "disclosure_failed"),
        ("utf8", 502, "disclosure_failed"),
        ("cut", 502, "disclosure_failed"),
        ("close", 502, "disclosure_failed"),
        ("three", 502, "disclosure_failed"),
        ("huge", 502, "disclosure_failed"),
        ("slow-head", 504, "origin_timeout"),
    ] {
        let answer = ask(script, json!("seen")).send().await;
        let problem = answer.refused(status, code);
        let settled = settled(&world, problem["entry"].as_u64().unwrap());
        assert_eq!(
            (&settled["outcome"], &settled["bytes"], &settled["items"]),
            (&json!("failed"), &json!(0), &json!({})),
            "{script}: {settled}"
        );
    }
    assert!(!gateway.log().contains("secret-of-origin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_is_asked_what_the_catalogue_says() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    let claim = json!({"who": "a\"{value}", "value": 5});
    let answer = verify(&gateway, &token, "/psb/claims", &claim).field("x-other", "1").send().await;
    answered(&answer, false);
    assert_eq!(world.scripted.arrival().await, "POST /odd/plain HTTP/1.1");
    let sent: Value = serde_json::from_slice(&world.scripted.content()).unwrap();
    assert_eq!(sent, json!({"filter": [{"who": "a\"{value}", "text": "no. a\"{value}"}], "page": 1, "value": 5}));
    let by_path = json!({"script": "张 三?x=1#", "value": "seen"});
    answered(&verify(&gateway, &token, "/psb/claims/by-path", &by_path).send().await, true);
    assert_eq!(world.scripted.arrival().await, "GET /odd/%E5%BC%A0%20%E4%B8%89%3Fx%3D1%23 HTTP/1.1");
    assert!(world.scripted.content().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_not_exactly_the_declared_members_is_refused() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    let good = json!({"id_number": NUMBER, "status": "married", "registered_on": "2015-06-18"});
    let send = |content: String| {
        gateway.ask("POST", "/mca/marriage/verify").token(&token).purpose("housing").json(content).field("accept-language", "en")
    };
    for member in ["id_number", "status", "registered_on"] {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(member);
        let problem = send(without.to_string()).send().await.refused(400, "request_malformed");
        assert!(problem["detail"].as_str().unwrap().contains(&format!("`{member}` is missing")), "{problem}");
        for wrong in [json!(null), json!({}), json!([]), json!(["married"]), json!(""), json!(" \u{3000}")] {
            let mut wrongly = good.clone();
            wrongly[member] = wrong;
            let problem = send(wrongly.to_string()).send().await.refused(400, "request_malformed");
            assert!(problem["detail"].as_str().unwrap().starts_with(&format!("`{member}` must be")), "{problem}");
        }
    }
    let mut more = good.clone();
    more["spouse"] = json!("x");
    let problem = send(more.to_string()).send().await.refused(400, "request_malformed");
    assert!(problem["detail"].as_str().unwrap().ends_with("`id_number`, `registered_on`, `status`"), "{problem}");
    let text = good.to_string();
    for content in [
        "",
        "[]",
        "null",
        "\"x\"",
        &text[..text.len() - 1],
        &format!("{text}{text}"),
        &format!("[{text}]"),
        &text.replace("\"status\"", "\"registered_\\u006fn\""),
    ] {
        send(content.to_owned()).send().await.refused(400, "request_malformed");
    }
    send(good.to_string()).field("content-encoding", "gzip").send().await.refused(400, "request_malformed");
    let query = gateway.ask("POST", "/mca/marriage/verify?limit=1").token(&token).purpose("housing").json(text.clone());
    query.send().await.refused(400, "request_malformed");
    gateway.ask("GET", "/mca/marriage/verify").token(&token).purpose("housing").send().await.refused(405, "method_not_allowed");
    send(format!("{{\"status\":\"{}\"}}", "x".repeat(65 << 10))).send().await.refused(413, "too_large");
    for script in ["a/b", "..", "a;b", "a%2fb", "a\\b", "a\u{0}b"] {
        let answer = verify(&gateway, &token, "/psb/claims/by-path", &json!({"script": script, "value": "seen"})).send().await;
        answer.refused(400, "request_malformed");
    }
    assert!(world.nginx.seen().is_empty() && world.scripted.is_quiet().await, "nothing of this reached an origin");
    answered(&send(text).send().await, true);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_compared_item_needs_its_grant_and_its_policies() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    let sealed = || verify(&gateway, &token, "/psb/claims/sealed", &json!({"value": "seen", "sealed": "x"}));
    let problem = sealed().send().await.refused(403, "policy_denied");
    let denied = world.entry(problem["entry"].as_u64().unwrap())["entry"].clone();
    assert_eq!((&denied["operation"], &denied["code"]), (&json!("verify"), &json!("policy_denied")));
    assert!(world.scripted.is_quiet().await);

    world.edit("base.cedar", |text| {
        text + "@id(\"no-status\") forbid (principal, action == Action::\"compare\", resource == Item::\"mca.marriage#status\");\n"
    });
    gateway.reload();
    let problem =
        marriage(&gateway, &token, "married", "2015-06-18").field("accept-language", "en").send().await.refused(403, "policy_denied");
    assert_eq!(problem["detail"], "forbidden by `no-status`");
    assert!(world.nginx.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_is_not_tried_without_end() {
    let world = World::with(Setup { disclosure: "verify_rate = \"3/h\"", ..Setup::default() });
    let gateway = world.serve();
    let token = world.housing();
    let call = async |number: &str, status: &str| {
        let claim = json!({"id_number": number, "status": status, "registered_on": "x"});
        verify(&gateway, &token, "/mca/marriage/verify", &claim).send().await
    };
    for status in ["a", "b", "c"] {
        answered(&call("99010219900101000x", status).await, false);
    }
    // The same person, however the number is written.
    for number in ["99010219900101000X", " 99010219900101000ｘ", "990102-19900101-000x", "9901021990\u{200b}0101000x\u{feff}"] {
        let answer = call(number, "d").await;
        let problem = answer.refused(429, "rate_limited");
        let wait: u64 = answer.field("retry-after").parse().unwrap();
        assert!((1..=1200).contains(&wait), "{wait}");
        assert_eq!(world.entry(problem["entry"].as_u64().unwrap())["entry"]["code"], "rate_limited");
    }
    answered(&call("990102199001010001", "a").await, false);
    gateway.reload();
    call("99010219900101000x", "d").await.refused(429, "rate_limited");
    // Where no subject is declared, it is what the origin is asked about that counts.
    let by_path = async |script: &str, value: &str| {
        verify(&gateway, &token, "/psb/claims/by-path", &json!({"script": script, "value": value})).send().await
    };
    for value in ["a", "b", "c"] {
        answered(&by_path("plain", value).await, false);
    }
    by_path("plain", "seen").await.refused(429, "rate_limited");
    answered(&by_path("other", "seen").await, true);
}
