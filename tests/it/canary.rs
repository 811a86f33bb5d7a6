//! A person's number, sent in every place where one can be: it is found in no log, metric, problem document or ledger
//! file, nor are tokens, operators and what the origin answered.

use serde_json::json;

use super::support::nginx::NUMBER;
use super::support::{Gateway, World};

const CANARY: &str = "990102198811119876";
const OPERATOR: &str = "canary-operator-wang";

async fn told(gateway: &Gateway, token: &str) -> Vec<String> {
    let get = |target: &str| gateway.ask("GET", target).token(token).purpose("housing");
    let marriage = |content: String| gateway.ask("POST", "/mca/marriage/query").token(token).purpose("housing").json(content);
    let claim = |content: String| gateway.ask("POST", "/mca/marriage/verify").token(token).purpose("housing").json(content);
    let calls = [
        // Where the catalogue expects it.
        get(&format!("/psb/people/{CANARY}")),
        get(&format!("/psb/lookup?number={CANARY}")),
        marriage(format!(r#"{{"id_number":"{CANARY}"}}"#)),
        claim(format!(r#"{{"id_number":"{CANARY}","status":"{CANARY}","registered_on":"x"}}"#)),
        // And where it has no business.
        get(&format!("/nowhere/{CANARY}")),
        get(&format!("/psb/people/{CANARY}/..")),
        get(&format!("/psb/population?{CANARY}={CANARY}")),
        get(&format!("/psb/lookup?number={CANARY}&number={CANARY}")),
        get("/psb/population").field("user-agent", CANARY).field("x-number", CANARY).field("cookie", format!("n={CANARY}")),
        get("/psb/population").field("traceparent", CANARY).field("accept-language", CANARY),
        get("/psb/population").field("connection", CANARY),
        gateway.ask("GET", "/psb/population").token(token).purpose(&format!("housing;case=\"{CANARY}\"")),
        gateway.ask("GET", "/psb/population").token(token).purpose(&format!("housing;{CANARY}")),
        gateway.ask("GET", "/psb/population").token(token).purpose(&format!("p{CANARY}")),
        gateway.ask("GET", "/psb/population").token(CANARY).purpose("housing"),
        gateway.ask("GET", "/psb/population").field("authorization", format!("Basic {CANARY}")),
        gateway.ask("DELETE", &format!("/psb/people/{CANARY}")).token(token).purpose("housing"),
        marriage(format!(r#"{{"id_number":"{CANARY}","id_number":"{CANARY}"}}"#)),
        marriage(format!(r#"{{"id_number":{CANARY}"#)),
        claim(format!(r#"{{"id_number":"1","status":"x","registered_on":"y","{CANARY}":"{CANARY}"}}"#)),
        claim(format!(r#"{{"id_number":"1","status":{{"{CANARY}":1}},"registered_on":"y"}}"#)),
        marriage(format!(r#"{{"other":"{CANARY}"}}"#)),
        get(&format!("/odd/broken?x={CANARY}")),
        get(&format!("/odd/{CANARY}")),
    ];
    let mut told = Vec::new();
    for call in calls {
        let answer = call.send().await;
        let text = format!("{:?}", answer.fields);
        told.push(if answer.status == 200 { text } else { text + &String::from_utf8_lossy(&answer.content) });
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_sent_in_every_place_is_kept_in_none() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.minter.token("housing-app", json!({"operator": OPERATOR, "operator_clearance": 1, "jti": CANARY, "name": CANARY}));
    let told = told(&gateway, &token).await;
    let metrics = gateway.admin("/metrics").1;
    gateway.stop();
    world.verify();
    let signature = token.rsplit('.').next().unwrap();
    let granted = world.entries(&["--kind", "share.granted"]);
    assert!(granted.iter().filter(|line| line["entry"]["subject"].is_string()).count() >= 3, "the calls that name a person were shared");

    let mut places: Vec<(String, Vec<u8>)> = told.into_iter().map(|text| ("an answer".to_owned(), text.into_bytes())).collect();
    places.push(("the metrics".to_owned(), metrics.into_bytes()));
    places.extend(world.folder.files().into_iter().filter(|(name, _)| name.starts_with("ledger/") || name == "gateway.log"));
    assert!(places.iter().any(|(name, _)| name.starts_with("ledger/tile/entries")), "the ledger's entries are among what is searched");
    for (place, content) in &places {
        for secret in [CANARY, OPERATOR, signature, NUMBER, "张三丰", "13800000000"] {
            let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "`{secret}` stands in {place}: {}", around(content, secret));
        }
    }
}

fn around(content: &[u8], secret: &str) -> String {
    let text = String::from_utf8_lossy(content);
    text.lines().find(|line| line.contains(secret)).unwrap_or("").chars().take(600).collect()
}
