//! One share from end to end: what the caller reads, what the origin sees, what the ledger keeps.

use serde_json::{Value, json};

use super::support::nginx::NUMBER;
use super::support::{Client, Gateway, Setup, Speak, World, eventually};

fn ask_marriage<'a>(gateway: &'a Gateway, token: &str) -> super::support::Ask<'a> {
    gateway.ask("POST", "/mca/marriage/query").token(token).purpose("housing").json(format!(r#"{{"id_number":"{NUMBER}"}}"#))
}

/// The settled entry of a share, once it is there.
fn settled(world: &World, index: u64) -> Value {
    eventually("the share is settled", || {
        world.entries(&["--kind", "share.settled"]).into_iter().find(|line| line["entry"]["receipt_of"] == index)
    })["entry"]
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_shows_exactly_what_was_decided_and_is_recorded() {
    let world = World::new();
    let gateway = world.serve();
    let answer = ask_marriage(&gateway, &world.housing()).send().await;

    // Items as planned, their containers, and nothing else.
    let shown = answer.shared();
    assert_eq!(shown["data"][0]["status"], "married");
    let masked = shown["data"][0]["id_number"].as_str().unwrap();
    assert!(masked.contains('*') && masked != NUMBER && !masked.contains("19900307"), "{masked}");
    assert_eq!(shown, json!({"data": [{"id_number": masked, "status": "married"}]}));
    assert_eq!(answer.field("content-type").split(';').next().unwrap(), "application/json");
    assert_eq!(answer.field("share-disclosure"), "reveal=(status), mask=(id_number), omit=(registered_on)");

    // The receipt leads to the granted entry, whose leaf is that of its exact bytes.
    let receipt = answer.receipt();
    let shown = world.entry(receipt.index);
    assert_eq!(shown["leaf"], receipt.leaf);
    let entry = &shown["entry"];
    for (member, value) in [
        ("v", json!(1)),
        ("kind", json!("share.granted")),
        ("requester", json!("housing-app")),
        ("department", json!("housing")),
        ("provider", json!("mca")),
        ("resource", json!("mca.marriage")),
        ("operation", json!("query")),
        ("target", json!("POST /mca/marriage/query")),
        ("scenario", json!("housing")),
        ("grant", json!("g-001")),
        ("source", json!("127.0.0.1")),
        ("network", json!("other")),
        ("bound", json!(false)),
        ("emergency", json!(false)),
        ("work_time", json!(true)),
        ("sharing", json!("conditional")),
        ("level", json!("general")),
        ("grade", json!(3)),
        ("effective_grade", json!(4)),
        ("items", json!({"id_number": "mask", "status": "reveal"})),
        ("policies", json!(["mask-as-granted", "reveal-as-granted", "share-under-grant"])),
        ("policies_total", json!(3)),
        ("flags", json!([])),
        ("roles", json!([])),
        ("operator_roles", json!([])),
        ("operator_clearance", json!(0)),
        ("snapshot", json!(gateway.snapshot)),
    ] {
        assert_eq!(entry[member], value, "`{member}` in {entry}");
    }
    assert_eq!(entry["credential"]["kind"], "jwt");
    assert!(entry["subject"].as_str().unwrap().starts_with("hmac-sha256:"));
    assert!(entry.get("case").is_none() && entry.get("operator").is_none());
    let id = entry["id"].as_str().unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let time = entry["time"].as_str().unwrap();
    assert!(time.len() == 27 && time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");

    // What became of it.
    let settled = settled(&world, receipt.index);
    assert_eq!((&settled["outcome"], &settled["status"], &settled["records"]), (&json!("complete"), &json!(200), &json!(1)), "{settled}");
    assert_eq!(settled["bytes"], answer.content.len());
    assert_eq!(settled["items"], json!({"id_number": {"mask": 1}, "status": {"reveal": 1}}));
    for digest in ["digest", "origin_digest"] {
        assert!(settled[digest].as_str().unwrap().starts_with("hmac-sha256:"), "{settled}");
    }
    gateway.stop();
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_sees_the_share_and_nothing_of_the_caller() {
    let world = World::new();
    let gateway = world.serve();
    let answer = gateway
        .ask("GET", "/psb/population?limit=5")
        .token(&world.housing())
        .purpose("housing;case=\"2026-000123\"")
        .field("share-id", "forged")
        .field("share-requester", "forged")
        .field("share-department", "forged")
        .field("forwarded", "for=10.9.9.9")
        .field("x-forwarded-for", "10.9.9.9")
        .field("x-real-ip", "10.9.9.9")
        .field("client-cert", "forged")
        .field("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .field("accept-encoding", "gzip")
        .field("if-none-match", "\"x\"")
        .field("range", "bytes=0-1")
        .field("cookie", "session=forged")
        .field("te", "trailers")
        .send()
        .await;
    let entry = world.entry(answer.receipt().index)["entry"].clone();
    let seen = eventually("the origin's log line", || world.nginx.seen().pop());
    assert_eq!((&seen["method"], &seen["uri"]), (&json!("GET"), &json!("/psb/population?limit=5")));
    assert_eq!((&seen["share_id"], &seen["share_requester"]), (&entry["id"], &json!("housing-app")), "{seen}");
    assert_eq!(seen["share_department"], "housing");
    assert!(seen["share_purpose"].as_str().unwrap().starts_with("housing"), "{seen}");
    assert!(!seen["forwarded"].as_str().unwrap().is_empty() && !seen["forwarded"].as_str().unwrap().contains("10.9.9.9"), "{seen}");
    assert!(seen["traceparent"].as_str().unwrap().starts_with("00-"), "{seen}");
    assert_eq!(seen["host"], world.nginx.address.to_string());
    for stripped in ["authorization", "x_forwarded_for", "x_real_ip", "client_cert", "if_none_match", "range", "te", "cookie"] {
        assert_eq!(seen[stripped], "", "`{stripped}` in {seen}");
    }
    assert!(["", "identity"].contains(&seen["accept_encoding"].as_str().unwrap()), "{seen}");
    assert_eq!(entry["case"], "2026-000123");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_of_http_and_tls_gives_the_same_answer() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    for versions in [TLS12, TLS13] {
        for (speak, version) in [(Speak::Http1, hyper::Version::HTTP_11), (Speak::Http2, hyper::Version::HTTP_2)] {
            let client = gateway.client().speaking(speak).offering(versions);
            let answer = ask_marriage(&gateway, &token).by(&client).send().await;
            assert_eq!(answer.version, version);
            assert_eq!(answer.shared()["data"][0]["status"], "married");
            answer.receipt();
        }
    }
}

static TLS12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
static TLS13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_loopback_speaks_http1_and_prior_knowledge_http2() {
    let world = World::with(Setup { client_auth: None, ..Setup::default() });
    let gateway = world.serve();
    for speak in [Speak::Http1, Speak::Http2] {
        let client = gateway.client().speaking(speak);
        let answer = ask_marriage(&gateway, &world.housing()).by(&client).send().await;
        assert_eq!(answer.shared()["data"][0]["status"], "married");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn circumstances_widen_the_plan_and_the_forbid_that_narrowed_it_is_named() {
    let world = World::new();
    let gateway = world.serve();
    let operator = world.minter.token("housing-app", json!({"operator": "wang", "operator_clearance": 3, "operator_roles": ["clerk"]}));
    let ask = |token: &str, purpose: &str, client: &Client| gateway.ask("GET", "/psb/population").token(token).purpose(purpose).by(client);

    let masked = ask(&operator, "housing", &gateway.client()).send().await;
    assert_ne!(masked.shared()["data"][0]["id_number"], NUMBER);
    assert_eq!(
        masked.field("share-disclosure"),
        "reveal=(region_code), mask=(id_number;by=\"number-in-full\" name), pseudonymise=(telephone)"
    );
    let entry = world.entry(masked.receipt().index)["entry"].clone();
    assert_eq!(entry["narrowed"], json!({"id_number": "number-in-full"}));
    assert!(entry["operator"].as_str().unwrap().starts_with("hmac-sha256:"));
    assert_eq!((&entry["operator_clearance"], &entry["operator_roles"]), (&json!(3), &json!(["clerk"])));

    let government = gateway.client().calling_from([127, 0, 0, 2]);
    let full = ask(&operator, "housing;case=\"2026-000123\"", &government).send().await;
    let shown = full.shared();
    assert_eq!(shown["data"][0]["id_number"], NUMBER);
    assert_eq!(shown["data"][0]["telephone"].as_str().unwrap().len(), 22);
    assert_eq!(shown.as_object().unwrap().len(), 1, "{shown}");
    let entry = world.entry(full.receipt().index)["entry"].clone();
    assert_eq!((&entry["network"], &entry["source"]), (&json!("government"), &json!("127.0.0.2")));

    // Every condition counts: one missing, and the number is masked again.
    let unlevelled = world.minter.token("housing-app", json!({"operator_clearance": 3}));
    for (token, purpose, client) in [
        (&operator, "housing", &government),
        (&operator, "housing;case=\"2026-000123\"", &gateway.client()),
        (&unlevelled, "housing;case=\"2026-000123\"", &government),
    ] {
        assert_ne!(ask(token, purpose, client).send().await.shared()["data"][0]["id_number"], NUMBER);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_on_one_connection_have_entries_of_their_own_and_queries_find_them() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    let client = gateway.client().speaking(Speak::Http2);
    let mut connection = client.connect(gateway.address).await.unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let response = connection.send(ask_marriage(&gateway, &token).by(&client).request()).await.unwrap();
        let answer = super::support::Answer::read(response).await;
        assert!(seen.insert(answer.receipt().index));
    }
    let granted = world.entries(&["--kind", "share.granted", "--requester", "housing-app", "--resource", "mca.marriage"]);
    assert_eq!(granted.iter().map(|line| line["index"].as_u64().unwrap()).collect::<Vec<_>>(), seen.into_iter().collect::<Vec<_>>());
    assert!(world.entries(&["--requester", "patrol-app"]).is_empty());
    assert_eq!(world.entries(&["--kind", "share.granted", "--limit", "3"]).len(), 3);

    // Who asked about me? The number is read from standard input, never an argument.
    let mut command = world.command(&["--format", "json", "ledger", "query", "--subject", "-"]);
    let mut asking = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut asking.stdin.take().unwrap(), format!("{NUMBER}\n").as_bytes()).unwrap();
    let found = String::from_utf8(asking.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(found.lines().filter(|line| line.contains("share.granted")).count(), 20, "{found}");
    gateway.stop();
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_answer_passes_whole() {
    let world = World::new();
    let gateway = world.serve();
    let answer = gateway.ask("GET", "/mca/files/small.bin").token(&world.housing()).purpose("housing").send().await;
    assert_eq!((answer.status, &answer.content[..]), (200, &b"\x00\x01opaque\xff content"[..]));
    assert_eq!(answer.field("share-disclosure"), "reveal=(*)");
    assert_eq!(world.entry(answer.receipt().index)["entry"]["items"], json!({"*": "reveal"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_npm_json_server_stands_behind_the_gateway_as_well() {
    let world = World::new();
    let server = super::support::world::JsonServer::start(r#"{"people":[{"id":1,"value":"seen","hidden":"unlisted"}]}"#);
    world.edit("catalogue/psb.odd.toml", |text| {
        let text = text.replace(&world.scripted.address.to_string(), &server.address.to_string());
        text.replace("/odd/{what}", "/people").replace("$.data[*]", "$[*]")
    });
    let gateway = world.serve();
    let answer = gateway.ask("GET", "/people").token(&world.housing()).purpose("housing").send().await;
    assert_eq!(answer.shared(), json!([{"value": "seen"}]));
    answer.receipt();
}
