//! `/.well-known/api-catalog` from outside: each caller is told exactly what a call of its own would be let pass for.

use std::collections::{BTreeMap, BTreeSet};

use hyper::HeaderMap;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::support::{Answer, Gateway, Speak, World};

const PATH: &str = "/.well-known/api-catalog";
/// `METHOD path` → scenarios, and those of them that need a case.
type Told = BTreeMap<String, (Vec<String>, Vec<String>)>;

async fn ask(gateway: &Gateway, token: &str) -> Answer {
    gateway.ask("GET", PATH).token(token).send().await
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap_or(&Vec::new()).iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Reads the document strictly, as RFC 9264 and RFC 9727 have it.
#[track_caller]
fn told(answer: &Answer, base: &str) -> Told {
    let document: Value = serde_json::from_slice(&answer.content).unwrap();
    assert_eq!(answer.status, 200, "{document}");
    assert_eq!(answer.field("content-type"), "application/linkset+json; profile=\"https://www.rfc-editor.org/info/rfc9727\"");
    assert_eq!(answer.field("link"), "</.well-known/api-catalog>; rel=\"api-catalog\"");
    assert_eq!(answer.field("cache-control"), "private, no-store");
    assert_eq!(document.as_object().unwrap().len(), 1, "`linkset` is the sole member");
    let contexts = document["linkset"].as_array().unwrap();
    let anchors: Vec<&str> = contexts.iter().map(|context| context["anchor"].as_str().unwrap()).collect();
    assert_eq!(anchors.iter().collect::<BTreeSet<_>>().len(), anchors.len(), "one context object for each context");
    let catalogue = format!("{base}{PATH}");
    assert_eq!(anchors[0], catalogue);
    let items = contexts[0]["item"].as_array().unwrap();
    let linked: BTreeSet<&str> = items.iter().map(|item| item["href"].as_str().unwrap()).collect();
    assert_eq!(linked, anchors[1..].iter().copied().collect(), "each operation's resource is a context of its own");
    for context in &contexts[1..] {
        assert_eq!(context["collection"], json!([{"href": catalogue}]));
    }
    let mut told = Told::new();
    for item in items {
        for (name, value) in item.as_object().unwrap() {
            match name.as_str() {
                "href" => {}
                "title*" => assert_eq!((&value[0]["language"], &value[1]["language"]), (&json!("zh"), &json!("en"))),
                _ => assert!(!texts(value).is_empty(), "`{name}` is an array of strings"),
            }
        }
        let path = item["href"].as_str().unwrap().strip_prefix(base).unwrap();
        let before = told
            .insert(format!("{} {path}", item["method"][0].as_str().unwrap()), (texts(&item["scenario"]), texts(&item["case-required"])));
        assert!(before.is_none(), "each operation once: {item}");
    }
    told
}

/// Every operation of the world's catalogue.
fn operations(world: &World) -> Vec<(String, String)> {
    let files = std::fs::read_dir(world.folder.path().join("policies/catalogue")).unwrap();
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for operation in text.split("[[operations]]").skip(1) {
            let value = |key: &str| {
                let line = operation.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")).unwrap();
                line.trim_end_matches('"').to_owned()
            };
            found.push((value("method"), value("path")));
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_told_what_its_grants_let_pass_and_another_is_not() {
    let world = World::new();
    let gateway = world.serve();
    let token = |requester: &str| world.minter.token(requester, json!({}));
    let patrol = ask(&gateway, &token("patrol-app")).await;
    let population = ["GET /psb/population", "GET /psb/people/{number}", "GET /psb/lookup"];
    let under = |scenario: &str| population.map(|at| (at.to_owned(), (vec![scenario.to_owned()], vec![]))).into_iter().collect::<Told>();
    assert_eq!(told(&patrol, "https://localhost"), under("patrol"));
    let item = &serde_json::from_slice::<Value>(&patrol.content).unwrap()["linkset"][0]["item"][0];
    let expected = json!({
        "href": "https://localhost/psb/population",
        "title*": [{"value": "psb.population 资源", "language": "zh"}, {"value": "Resource psb.population", "language": "en"}],
        "resource": ["psb.population"], "method": ["GET"], "kind": ["query"], "grade": [item["grade"][0]], "scenario": ["patrol"],
    });
    assert_eq!(item, &expected);

    let housing = told(&ask(&gateway, &world.housing()).await, "https://localhost");
    assert!(!housing.values().any(|(scenarios, _)| scenarios.contains(&"patrol".to_owned())));
    assert_eq!(housing["GET /mca/divisions"].0, ["housing", "review"]);
    assert_eq!(housing["GET /casefile"], (vec!["casework".to_owned()], vec!["casework".to_owned()]));
    for hidden in ["GET /stats/survey", "GET /paused", "GET /outdated", "GET /ungranted"] {
        assert!(!housing.contains_key(hidden), "{hidden}");
    }
    // On behalf of another department it is that one's.
    let served = world.minter.token("platform-app", json!({"department": "housing"}));
    assert!(told(&ask(&gateway, &served).await, "https://localhost").contains_key("GET /mca/divisions"));
    assert_eq!(told(&ask(&gateway, &token("platform-app")).await, "https://localhost"), Told::new());

    // A token's own limits narrow it, and a case that it holds need not be stated.
    let details = |scenario: &str| json!({"authorization_details": [{"type": "kanhe_share", "scenarios": [scenario], "case": "2026-7"}]});
    let narrow = told(&ask(&gateway, &world.minter.token("housing-app", details("review"))).await, "https://localhost");
    assert_eq!(narrow, Told::from([("GET /mca/divisions".to_owned(), (vec!["review".to_owned()], vec![]))]));
    let narrow = told(&ask(&gateway, &world.minter.token("housing-app", details("casework"))).await, "https://localhost");
    assert_eq!(narrow, Told::from([("GET /casefile".to_owned(), (vec!["casework".to_owned()], vec![]))]));

    // A grant that ends takes it away.
    world.edit("grants/all.toml", |text| {
        let (before, grant) = text.split_once("id = \"g-013\"").unwrap();
        format!("{before}id = \"g-013\"{}", grant.replacen("\"active\"", "\"terminated\"", 1))
    });
    assert!(gateway.reload().starts_with("snapshot "));
    assert_eq!(told(&ask(&gateway, &token("patrol-app")).await, "https://localhost"), Told::new());
    gateway.ask("GET", "/psb/population").token(&token("patrol-app")).purpose("patrol").send().await.refused(403, "purpose_not_granted");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_as_the_other_documents_are() {
    let world = World::new();
    let gateway = world.serve();
    let housing = world.housing();
    for speak in [Speak::Http1, Speak::Http2] {
        let client = gateway.client().speaking(speak);
        let asked = |method: &str| gateway.ask(method, PATH).by(&client);
        asked("GET").send().await.refused(401, "credentials_missing");
        asked("GET").token(&world.minter.token("idle-app", json!({}))).send().await.refused(403, "requester_suspended");
        let posted = asked("POST").token(&housing).send().await;
        posted.refused(405, "method_not_allowed");
        assert_eq!(posted.field("allow"), "GET, HEAD");
        let got = asked("GET").token(&housing).send().await;
        assert!(!told(&got, "https://localhost").is_empty());
        let head = asked("HEAD").token(&housing).send().await;
        assert!(head.content.is_empty() && head.status == 200);
        let but_date = |fields: &HeaderMap| {
            let mut fields = fields.clone();
            fields.remove("date");
            fields
        };
        assert_eq!(but_date(&head.fields), but_date(&got.fields), "what GET says, with its length, without its content");
        // A refusal of HEAD has no content either.
        let refused = asked("HEAD").send().await;
        assert_eq!((refused.status, refused.content.len()), (401, 0));
        assert_ne!(refused.field("content-length"), "0");
    }
    gateway.ask("GET", PATH).field("host", "other.example").token(&housing).send().await.refused(400, "request_malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_listed_is_let_pass_and_nothing_else_is() {
    let world = World::new();
    world.edit("base.cedar", |text| {
        text + "\n@id(\"divisions-with-case\")\nforbid (principal, action == Action::\"query\", resource == Resource::\"mca.divisions\")\n\
                unless { context.has_case };\n"
    });
    let gateway = world.serve();
    let scenarios = ["housing", "patrol", "casework", "review", "pause", "former"];
    for requester in ["housing-app", "jia-app", "patrol-app", "weak-app", "platform-app"] {
        let token = world.minter.token(requester, json!({}));
        let told = told(&ask(&gateway, &token).await, "https://localhost");
        for (method, path) in operations(&world) {
            let target = path.replace("{name}", "1").replace("{what}", "1").replace("{number}", "1");
            let (listed, with_case) = told.get(&format!("{method} {path}")).cloned().unwrap_or_default();
            let mut calls = JoinSet::new();
            for (scenario, case) in scenarios.iter().flat_map(|scenario| ["", ";case=\"2026-1\""].map(|case| (*scenario, case))) {
                let call = gateway.ask(&method, &target).token(&token).purpose(&format!("{scenario}{case}")).request();
                let needs_case = with_case.iter().any(|with| with == scenario);
                let passes = listed.iter().any(|with| with == scenario) && (!needs_case || !case.is_empty());
                let (client, address) = (gateway.client(), gateway.address);
                calls.spawn(async move {
                    // The head says it; some of these origins never end.
                    let mut connection = client.connect(address).await.unwrap();
                    (scenario, case, passes, connection.send(call).await.unwrap().status().as_u16())
                });
            }
            while let Some(answered) = calls.join_next().await {
                let (scenario, case, passes, status) = answered.unwrap();
                assert_eq!(status != 403, passes, "{requester} {method} {path} {scenario}{case}: {status}, {told:?}");
                assert!(![401, 405, 429, 503].contains(&status), "nothing but the answer was to be judged: {status} {method} {path}");
            }
        }
    }
    // End to end, with what each asks for.
    let housing = world.housing();
    let listed = told(&ask(&gateway, &housing).await, "https://localhost");
    assert_eq!(listed["GET /mca/divisions"].1, ["housing", "review"], "the policies ask for the case");
    for (method, path, purpose, content) in [
        ("GET", "/psb/population", "housing", ""),
        ("GET", "/mca/divisions", "review;case=\"2026-1\"", ""),
        ("GET", "/casefile", "casework;case=\"2026-1\"", ""),
        ("POST", "/mca/marriage/query", "housing", r#"{"id_number":"990102199003076550"}"#),
        (
            "POST",
            "/mca/marriage/verify",
            "housing",
            r#"{"id_number":"990102199003076550","status":"married","registered_on":"2020-01-01"}"#,
        ),
    ] {
        assert!(listed.contains_key(&format!("{method} {path}")), "{path}");
        let call = gateway.ask(method, path).token(&housing).purpose(purpose);
        let answer = if content.is_empty() { call.send().await } else { call.json(content).send().await };
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.content));
    }
}
