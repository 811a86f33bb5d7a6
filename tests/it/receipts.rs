//! Receipts and bundles from outside: who gets them, and what they prove without the gateway.

use std::process::Stdio;

use serde_json::{Value, json};

use super::support::{Answer, Gateway, Speak, World};

const PSB: &str = r#"
[[requesters]]
id = "psb-app"
department = "psb"
serves = ["housing"]
name = { zh = "psb-app 系统", en = "System psb-app" }
clearance = 1
roles = []
status = "active"

[[requesters]]
id = "agent-app"
department = "housing"
serves = ["psb"]
name = { zh = "agent-app 系统", en = "System agent-app" }
clearance = 1
roles = []
status = "active"
"#;

fn receipts_world() -> World {
    let world = World::new();
    world.edit("requesters.toml", |text| text + PSB);
    world
}

async fn ask_for(gateway: &Gateway, path: &str, token: &str) -> Answer {
    gateway.ask("GET", &format!("/.well-known/kanhe/{path}")).token(token).send().await
}

/// Judges a receipt with the trusted key; exit code and what was found.
fn judge(world: &World, receipt: &str, more: &[&str]) -> (i32, Value) {
    let key = world.folder.path().join("ledger/log.vkey").display().to_string();
    world.folder.write("kept", receipt);
    let kept = world.folder.path().join("kept").display().to_string();
    let mut args = vec!["--format", "json", "ledger", "verify", "--receipt", &kept, "--key", &key];
    args.extend(more);
    let output = world.kanhe(&args);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), found)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requester_holds_a_signed_promise_at_once_and_proof_on_demand() {
    let world = receipts_world();
    let gateway = world.serve();
    let shared = gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await;
    let receipt = shared.receipt();
    let index = receipt.index;
    let field = shared.field("share-receipt").to_owned();
    let (code, found) = judge(&world, &field, &[]);
    assert_eq!((code, &found["ok"], &found["index"]), (0, &json!(true), &json!(index)), "{found}");
    assert_eq!(found["promises"], json!({"signed": true, "included": false, "witnessed": false}));

    let vkey = world.folder.path().join("ledger/log.vkey").display().to_string();
    let kept = world.folder.path().join("kept").display().to_string();
    let told = world.kanhe(&["--lang", "en", "ledger", "verify", "--receipt", &kept, "--key", &vkey, "--witness", "nonsense"]);
    let text = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.code() == Some(2) && text.contains("`nonsense` is neither a verifier key"), "{text}");

    // The proof does not wait for the next checkpoint.
    let answer = ask_for(&gateway, &format!("receipts/{index}"), &world.housing()).await;
    assert_eq!(
        (answer.status, answer.field("content-type"), answer.field("cache-control")),
        (200, "application/json", "private, no-store")
    );
    let bundle: Value = serde_json::from_slice(&answer.content).unwrap();
    assert_eq!((&bundle["v"], &bundle["origin"], &bundle["index"]), (&json!(1), &json!("gw-1.test.example"), &json!(index)));
    assert_eq!(bundle["key"], std::fs::read_to_string(world.folder.path().join("ledger/log.vkey")).unwrap().trim());
    let (code, found) = judge(&world, &bundle.to_string(), &["--log", world.folder.path().join("ledger").to_str().unwrap()]);
    assert_eq!((code, &found["leaf"], &found["promises"]["included"]), (0, &json!(receipt.leaf), &json!(true)), "{found}");
    assert!(found["settled"].as_u64().is_some_and(|settled| settled > index), "{found}");

    // The same from the command line, and over HTTP/2.
    let printed = world.kanhe(&["ledger", "receipt", &index.to_string()]);
    let mine: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!((&mine["entry"], &mine["settled"]["entry"]), (&bundle["entry"], &bundle["settled"]["entry"]));
    let client = gateway.client().speaking(Speak::Http2);
    let target = format!("/.well-known/kanhe/receipts/{index}");
    assert_eq!(gateway.ask("GET", &target).token(&world.housing()).by(&client).send().await.status, 200);
    assert_eq!(gateway.ask("HEAD", &target).token(&world.housing()).send().await.status, 200);

    // A log that took the entry out is exposed by the field alone; here the receipt is held against a bundle of another.
    let other = gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await;
    let kept = other.field("share-receipt").replacen(&format!("index={}", other.receipt().index), &format!("index={index}"), 1);
    let (code, found) = judge(&world, &kept, &[]);
    assert_eq!((code, &found["ok"]), (1, &json!(false)), "a field about another index is signed by nobody: {found}");
    gateway.stop();
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_shown_to_those_whose_it_is_and_to_nobody_else() {
    let world = receipts_world();
    let gateway = world.serve();
    let shared = gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await;
    let index = shared.receipt().index;
    let token = |requester: &str| world.minter.token(requester, json!({}));
    let path = format!("receipts/{index}");
    for (requester, department, status) in [
        ("housing-app", None, 200),
        ("psb-app", None, 200),
        // On behalf of whom it calls changes nothing.
        ("psb-app", Some("housing"), 200),
        ("platform-app", None, 200),
        ("patrol-app", None, 404),
        ("sealed-app", None, 403),
        ("agent-app", None, 404),
        ("agent-app", Some("psb"), 404),
    ] {
        let claims = department.map_or(json!({}), |department| json!({"department": department}));
        let answer = ask_for(&gateway, &path, &world.minter.token(requester, claims)).await;
        if requester == "sealed-app" {
            // Its token counts with its certificate only.
            assert!(answer.status == 401 || answer.status == 404, "{answer:?}");
            continue;
        }
        assert_eq!(answer.status, status, "{requester} {department:?}");
    }
    // Another's entry and one that never was are told apart by nothing.
    let hidden = ask_for(&gateway, &path, &token("patrol-app")).await.refused(404, "resource_unknown");
    let absent = ask_for(&gateway, "receipts/999999", &token("patrol-app")).await.refused(404, "resource_unknown");
    let said = |problem: &Value| (problem["title"].clone(), problem["detail"].clone());
    assert_eq!(said(&hidden), said(&absent));
    for wrong in ["receipts/-1", "receipts/01", "receipts/x", "receipts/", "receipts/18446744073709551616"] {
        ask_for(&gateway, wrong, &token("platform-app")).await.refused(404, "resource_unknown");
    }
    gateway.ask("GET", &format!("/.well-known/kanhe/{path}")).send().await.refused(401, "credentials_missing");
    let posted = gateway.ask("POST", &format!("/.well-known/kanhe/{path}")).token(&world.housing()).send().await;
    assert_eq!(posted.refused(405, "method_not_allowed")["status"], 405);

    // A refusal's entry is its requester's too, and for ever.
    let refused = gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("nowhere").send().await;
    let denied = refused.refused(403, "purpose_unknown")["entry"].as_u64().unwrap();
    gateway.stop();
    let gateway = world.serve();
    for index in [index, denied] {
        let answer = ask_for(&gateway, &format!("receipts/{index}"), &world.housing()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(judge(&world, std::str::from_utf8(&answer.content).unwrap(), &[]).0, 0);
        assert_eq!(ask_for(&gateway, &format!("receipts/{index}"), &token("patrol-app")).await.status, 404);
    }
    let settled = world.entries(&["--kind", "share.settled"]).remove(0)["index"].as_u64().unwrap();
    assert_eq!(ask_for(&gateway, &format!("receipts/{settled}"), &world.housing()).await.status, 200);
    assert_eq!(ask_for(&gateway, &format!("receipts/{settled}"), &token("patrol-app")).await.status, 404);
    // What concerns the gateway itself is the auditor's.
    assert_eq!(ask_for(&gateway, "receipts/0", &world.housing()).await.status, 404);
    assert_eq!(ask_for(&gateway, "receipts/0", &token("platform-app")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checkpoint_is_told_to_callers_and_the_log_to_auditors() {
    let world = receipts_world();
    let gateway = world.serve();
    for _ in 0..3 {
        gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await.receipt();
    }
    let index = gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await.receipt().index;
    ask_for(&gateway, &format!("receipts/{index}"), &world.housing()).await;
    let told = ask_for(&gateway, "checkpoint", &world.housing()).await;
    assert_eq!((told.status, told.field("content-type")), (200, "text/plain; charset=utf-8"));
    assert!(told.content.starts_with(b"gw-1.test.example\n"));
    gateway.ask("GET", "/.well-known/kanhe/checkpoint").send().await.refused(401, "credentials_missing");

    let auditor = world.minter.token("platform-app", json!({}));
    let (status, note) = gateway.admin_as("/log/checkpoint", Some(&auditor));
    assert_eq!(status, 200);
    let size: u64 = std::str::from_utf8(&note).unwrap().lines().nth(1).unwrap().parse().unwrap();
    assert!(size > index);
    for name in [format!("tile/0/000.p/{size}"), format!("tile/entries/000.p/{size}")] {
        let (status, bytes) = gateway.admin_as(&format!("/log/{name}"), Some(&auditor));
        assert_eq!((status, bytes), (200, std::fs::read(world.folder.path().join("ledger").join(&name)).unwrap()), "{name}");
    }
    for wrong in [
        "log.vkey",
        "salts/0",
        "tile/0/000",
        "tile/00/000",
        "tile/0/0",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/x000/000",
        "tile/0/../0/000",
        "../kanhe.toml",
        "tile/entries/..%2f..%2fcheckpoint",
        "journal/00000000000000000000.seg",
        "tile/0/001",
    ] {
        assert_eq!(gateway.admin_as(&format!("/log/{wrong}"), Some(&auditor)).0, 404, "{wrong}");
    }
    for (token, status) in [(None, 401), (Some("nonsense".to_owned()), 401), (Some(world.housing()), 403)] {
        let (found, document) = gateway.admin_as("/log/checkpoint", token.as_deref());
        let problem: Value = serde_json::from_slice(&document).unwrap();
        assert_eq!((found, &problem["status"]), (status, &json!(status)), "{problem}");
    }
}

#[test]
fn a_receipt_is_judged_only_with_a_key_that_is_named() {
    let world = World::new();
    world.folder.write("kept", "\"gw\";index=1");
    let path = world.folder.path().join("kept").display().to_string();
    let run = |args: &[&str]| world.command(args).stdin(Stdio::null()).output().unwrap();
    let without = run(&["ledger", "verify", "--receipt", &path]);
    assert_eq!(without.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&without.stderr).contains("--key"));
    assert_eq!(run(&["ledger", "verify", "--receipt", &path, "--key", "/nowhere"]).status.code(), Some(2));
    let told = run(&["--lang", "en", "ledger", "verify", "--receipt", &path, "--key", "nonsense"]);
    let text = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.code() == Some(2) && text.contains("`nonsense` is neither a verifier key"), "{text}");
    assert_eq!(run(&["ledger", "verify", "--receipt", "/nowhere", "--key", "/nowhere"]).status.code(), Some(2));
}
