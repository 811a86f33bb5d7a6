//! Every refusal that the contract lists, in both languages, and the entry that each leaves behind.

use std::io::{Read, Write};
use std::time::Duration;

use hyper::header::HeaderName;
use serde_json::{Value, json};

use super::support::{Answer, Ask, Setup, World};

/// Sends a call in both languages; its refusal in English.
async fn refused<'a>(call: impl Fn() -> Ask<'a>, status: u16, code: &str) -> (Answer, Value) {
    let chinese = call().field("accept-language", "zh-CN, en;q=0.5").send().await;
    let in_chinese = chinese.refused(status, code);
    let mut english = call().field("accept-language", "en").send().await;
    let mut in_english = english.refused(status, code);
    if in_english["entry"].is_null() && matches!(status, 403 | 404 | 429) {
        // Beyond ten a second a requester's refusals fold into one entry, which a quick machine comes to.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        english = call().field("accept-language", "en").send().await;
        in_english = english.refused(status, code);
    }
    for (answer, problem, tag) in [(&chinese, &in_chinese, "zh"), (&english, &in_english, "en")] {
        assert_eq!(answer.field("content-language"), tag, "{code}");
        for text in ["title", "detail"] {
            let ideographs = problem[text].as_str().unwrap().chars().any(|c| ('\u{4e00}'..'\u{9fff}').contains(&c));
            // A citation stays in the language of the law.
            assert!(ideographs == (tag == "zh") || code == "not_shared", "{code}: {problem}");
        }
    }
    (english, in_english)
}

/// The entry that a refusal names, which tells the same code.
fn recorded(world: &World, problem: &Value) -> Value {
    let index = problem["entry"].as_u64().unwrap_or_else(|| panic!("no entry in {problem}"));
    let entry = world.entry(index)["entry"].clone();
    assert_eq!((&entry["kind"], &entry["code"]), (&json!("share.denied"), &problem["code"]), "{entry}");
    entry
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_read_one_way() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    let get = |target: &str| gateway.ask("GET", target).token(&token).purpose("housing");
    for target in ["/psb/population?surname=x", "/psb/population?limit=1&limit=2", "/psb/population?limit=%ff"] {
        refused(|| get(target), 400, "request_malformed").await;
    }
    let marriage = || gateway.ask("POST", "/mca/marriage/query").token(&token).purpose("housing");
    for content in [r#"{"id_number":1"#, r#"{"id_number":"1","id_number":"2"}"#, r#"{"other":"1"}"#, ""] {
        refused(|| marriage().json(content), 400, "request_malformed").await;
    }
    for target in [
        "/psb/../psb/population",
        "/psb/%2e%2e/psb/population",
        "/psb%2fpopulation",
        "/psb;x=1/population",
        "//psb/population",
        "/psb/population%00",
    ] {
        refused(|| get(target), 400, "target_ambiguous").await;
    }
    for field in [
        "\"housing\"",
        "housing;",
        "housing;case=5",
        "housing, review",
        "(housing)",
        "housing;case=\"990102199003071234\"",
        "housing;case=\"13800000000\"",
    ] {
        refused(|| gateway.ask("GET", "/psb/population").token(&token).purpose(field), 400, "purpose_malformed").await;
    }
    refused(|| gateway.ask("GET", "/psb/population").token(&token).purpose("housing").purpose("housing"), 400, "purpose_malformed").await;
    refused(|| get("/psb/population").field("connection", "upgrade").field("upgrade", "websocket"), 400, "upgrade_refused").await;
    refused(|| get("/psb/population").field("connection", "share-purpose"), 400, "request_malformed").await;
    assert!(world.nginx.seen().is_empty(), "nothing of this reached the origin");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_too_large_or_too_old() {
    let world = World::with(Setup { client_auth: None, ..Setup::default() });
    let gateway = world.serve();
    let token = world.housing();
    let content = format!(r#"{{"id_number":"{}"}}"#, "1".repeat(70 << 10));
    refused(|| gateway.ask("POST", "/mca/marriage/query").token(&token).purpose("housing").json(content.clone()), 413, "too_large").await;
    let target = format!("/psb/population?limit={}", "1".repeat(9 << 10));
    refused(|| gateway.ask("GET", &target).token(&token).purpose("housing"), 414, "too_large").await;
    let many = |count: usize| {
        (0..count).fold(gateway.ask("GET", "/psb/population").token(&token).purpose("housing"), |ask, at| {
            ask.field(HeaderName::try_from(format!("x-{at}")).unwrap().as_str(), "1")
        })
    };
    refused(|| many(120), 431, "too_large").await;
    refused(|| many(1).field("x-long", "a".repeat(33 << 10)), 431, "too_large").await;

    let mut stream = std::net::TcpStream::connect(gateway.address).unwrap();
    write!(stream, "GET /psb/population HTTP/1.0\r\nauthorization: Bearer {token}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 505 ") && answer.contains("version_unsupported"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers() {
    let world = World::new();
    let gateway = world.serve();
    let ask = |token: Option<String>| {
        let ask = gateway.ask("GET", "/psb/population").purpose("housing");
        if let Some(token) = token { ask.token(&token) } else { ask }
    };
    let now = kanhe::sys::now().as_second();
    let (answer, _) = refused(|| ask(None), 401, "credentials_missing").await;
    assert!(answer.field("www-authenticate").starts_with("Bearer"));
    refused(|| ask(Some("nonsense".to_owned())), 401, "token_invalid").await;
    refused(|| ask(Some(world.minter.token("housing-app", json!({"aud": "other"})))), 401, "token_invalid").await;
    refused(|| ask(Some(world.minter.token("housing-app", json!({"exp": null})))), 401, "token_invalid").await;
    refused(|| ask(Some(super::support::keys::Minter::new().token("housing-app", json!({})))), 401, "token_invalid").await;
    refused(|| ask(Some(world.minter.token("housing-app", json!({"exp": now - 60})))), 401, "token_expired").await;
    refused(|| ask(Some(world.minter.token("nobody", json!({})))), 401, "requester_unknown").await;
    refused(|| ask(Some(world.housing())).token(&world.housing()), 401, "token_invalid").await;
    // A stranger learns nothing about what there is.
    refused(|| gateway.ask("GET", "/nowhere"), 401, "credentials_missing").await;
    let failed = world.entries(&["--kind", "authentication.failed"]);
    assert!(!failed.is_empty() && failed.iter().all(|line| line["entry"]["source"].is_string()), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn purposes_that_do_not_fit() {
    let world = World::new();
    let gateway = world.serve();
    let housing = world.housing();
    let get = |target: &str, purpose: &str| gateway.ask("GET", target).token(&housing).purpose(purpose);

    let (_, problem) = refused(|| gateway.ask("GET", "/mca/divisions").token(&housing), 403, "purpose_missing").await;
    assert_eq!(problem["would_work"], json!([{"scenario": "housing", "case": "optional"}, {"scenario": "review", "case": "optional"}]));
    recorded(&world, &problem);
    let (_, problem) = refused(|| get("/psb/population", "nonexistent"), 403, "purpose_unknown").await;
    recorded(&world, &problem);
    let (_, problem) = refused(|| get("/psb/population", "patrol"), 403, "purpose_not_granted").await;
    assert_eq!(problem["would_work"], json!([{"scenario": "housing", "case": "optional"}]));
    let entry = recorded(&world, &problem);
    assert_eq!((&entry["requester"], &entry["resource"]), (&json!("housing-app"), &json!("psb.population")));
    refused(|| get("/paused", "housing"), 403, "purpose_not_granted").await;
    refused(|| get("/dead", "pause"), 403, "purpose_not_granted").await;
    refused(|| get("/dead", "former"), 403, "purpose_expired").await;
    refused(|| get("/outdated", "housing"), 403, "purpose_expired").await;
    let (_, problem) = refused(|| get("/casefile", "casework"), 403, "case_required").await;
    assert_eq!(problem["would_work"], json!([{"scenario": "casework", "case": "required"}]));
    assert_eq!(get("/casefile", "casework;case=\"2026-000123\"").send().await.status, 200);
    refused(|| get("/stats/survey", "housing"), 403, "not_shared").await;
    refused(|| get("/stats/survey", "nonexistent"), 403, "not_shared").await;

    // A token may name its scenarios; the field only narrows.
    let details = json!([{"type": "kanhe_share", "scenarios": ["housing"], "case": "2026-7"}]);
    let narrow = world.minter.token("housing-app", json!({"authorization_details": details}));
    refused(|| gateway.ask("GET", "/mca/divisions").token(&narrow).purpose("review"), 403, "purpose_not_granted").await;
    let bound = gateway.ask("GET", "/mca/divisions").token(&narrow).send().await;
    let entry = world.entry(bound.receipt().index)["entry"].clone();
    assert_eq!((&entry["scenario"], &entry["case"]), (&json!("housing"), &json!("2026-7")));
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_and_the_catalogue_say_no() {
    let world = World::new();
    let gateway = world.serve();
    let housing = world.housing();
    let get = |target: &str| gateway.ask("GET", target).token(&housing).purpose("housing");
    let (_, problem) = refused(|| get("/ungranted"), 403, "policy_denied").await;
    let entry = recorded(&world, &problem);
    assert_eq!((&entry["scenario"], entry.get("grant")), (&json!("housing"), None));
    let weak = world.minter.token("weak-app", json!({}));
    refused(|| gateway.ask("GET", "/psb/population").token(&weak).purpose("housing"), 403, "policy_denied").await;
    let idle = world.minter.token("idle-app", json!({}));
    refused(|| gateway.ask("GET", "/psb/population").token(&idle).purpose("housing"), 403, "requester_suspended").await;
    refused(|| get("/nowhere"), 404, "resource_unknown").await;
    refused(|| get("/psb/population/"), 404, "resource_unknown").await;
    let (answer, _) = refused(|| get("/mca/marriage/query"), 405, "method_not_allowed").await;
    assert_eq!(answer.field("allow"), "POST");
    // HEAD is an operation of its own, or none.
    let head = gateway.ask("HEAD", "/psb/population").token(&housing).purpose("housing").send().await;
    assert_eq!((head.status, head.field("allow"), head.content.len()), (405, "GET", 0));
    assert!(world.nginx.seen().is_empty() && world.scripted.is_quiet().await, "nothing of this reached an origin");
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_origins_and_crowds() {
    let world = World::with(Setup { limits: "in_flight = 1", ..Setup::default() });
    world.at_noon();
    let gateway = world.serve();
    let housing = world.housing();
    let get = |target: &str| gateway.ask("GET", target).token(&housing).purpose("housing");
    assert_eq!(get("/limited").send().await.status, 200);
    assert_eq!(get("/limited").send().await.status, 200);
    let (answer, problem) = refused(|| get("/limited"), 429, "rate_limited").await;
    assert!(answer.field("retry-after").parse::<u64>().unwrap() > 0);
    recorded(&world, &problem);
    refused(|| get("/dead"), 502, "origin_unreachable").await;
    refused(|| get("/odd/type"), 502, "disclosure_failed").await;
    refused(|| get("/odd/slow-head"), 504, "origin_timeout").await;
    while !world.scripted.is_quiet().await {}

    // One call fills this gateway.
    let held = get("/odd/hold").send();
    let crowd = async {
        let arrived = world.scripted.arrival().await;
        assert!(arrived.contains("/odd/hold"), "{arrived}");
        let (answer, _) = refused(|| get("/psb/population"), 503, "overloaded").await;
        assert!(!answer.field("retry-after").is_empty());
        world.scripted.release();
    };
    let (held, ()) = tokio::join!(held, crowd);
    assert_eq!(held.shared()["data"][0]["value"], "seen");

    // The day's count is rebuilt from the ledger.
    gateway.stop();
    let again = world.serve();
    again.ask("GET", "/limited").token(&housing).purpose("housing").send().await.refused(429, "rate_limited");
}
