//! `kanhe policy replay` on a ledger that a gateway wrote.

use serde_json::{Value, json};

use super::support::nginx::NUMBER;
use super::support::{Gateway, World};

fn replay(world: &World, args: &[&str]) -> (Option<i32>, Value) {
    let output = world.kanhe(&[&["--format", "json", "--lang", "en", "policy", "replay"], args].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

/// Copies the control folder to `candidate` and changes one file of it.
fn candidate(world: &World, file: &str, change: impl Fn(String) -> String) -> String {
    for (path, content) in world.folder.files() {
        if let Some(path) = path.strip_prefix("policies/") {
            let content = if path == file { change(String::from_utf8(content).unwrap()).into_bytes() } else { content };
            world.folder.write(&format!("candidate/{path}"), content);
        }
    }
    world.folder.path().join("candidate").display().to_string()
}

/// Index of a call: granted twice (masked, in full), refused by binding, by the policies, and beside them.
struct Calls {
    masked: u64,
    full: u64,
    unbound: u64,
    malformed: u64,
}

async fn calls(world: &World, gateway: &Gateway) -> Calls {
    let token = world.housing();
    let population = || gateway.ask("GET", "/psb/population");
    let masked = population().token(&token).send().await.receipt().index;
    let operator = world.minter.token("housing-app", json!({"operator": "op-7", "operator_clearance": 3}));
    let from_government = gateway.client().calling_from([127, 0, 0, 2]);
    let full = population().token(&operator).purpose("housing;case=\"2026-1\"").by(&from_government).send().await.receipt().index;
    let scoped = world
        .minter
        .token("housing-app", json!({"authorization_details": [{"type": "kanhe_share", "scenarios": ["housing"], "case": "2026-9"}]}));
    let marriage = |token: &str, content: &str| gateway.ask("POST", "/mca/marriage/query").token(token).json(content.to_owned());
    marriage(&scoped, &format!(r#"{{"id_number":"{NUMBER}"}}"#)).send().await.receipt();
    let entry = |document: Value| document["entry"].as_u64().unwrap();
    let unbound = entry(population().token(&token).purpose("patrol").send().await.refused(403, "purpose_not_granted"));
    population().token(&scoped).purpose("housing;case=\"2026-8\"").send().await.refused(403, "purpose_not_granted");
    population().token(&token).purpose("no-such-scenario").send().await.refused(403, "purpose_unknown");
    let malformed = entry(marriage(&token, "{").purpose("housing").send().await.refused(400, "request_malformed"));
    Calls { masked, full, unbound, malformed }
}

/// The entries of all changes of one kind.
fn entries<'r>(report: &'r Value, change: &str) -> Vec<(&'r Value, &'r Value, &'r Value, Vec<u64>)> {
    let of = report["changes"].as_array().unwrap().iter().filter(|group| group["change"] == change);
    let numbers = |group: &Value| group["entries"].as_array().unwrap().iter().map(|index| index.as_u64().unwrap()).collect();
    of.map(|group| (&group["item"], &group["from"], &group["to"], numbers(group))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_decision_is_reproduced_and_a_candidate_is_held_against_it() {
    let world = World::new();
    let gateway = world.serve();
    let calls = calls(&world, &gateway).await;

    // Under their own snapshots all come out as recorded, also after the policies were changed.
    world.edit("base.cedar", |text| text.replace("@id(\"number-in-full\")", "@id(\"number-in-full-anew\")"));
    assert!(gateway.reload().starts_with("snapshot "));
    assert_eq!(gateway.ask("GET", "/psb/population").token(&world.housing()).send().await.status, 200);
    let (exit, report) = replay(&world, &["--self-check"]);
    assert_eq!((exit, &report["ok"], &report["differ"]), (Some(0), &json!(true), &json!([])), "{report}");
    let left: Vec<_> =
        report["not_replayed"].as_array().unwrap().iter().map(|left| (&left["why"], &left["outcome"], &left["count"])).collect();
    let expected =
        [(&json!("undecided"), &json!("request_malformed"), &json!(1)), (&json!("unrecorded"), &json!("purpose_unknown"), &json!(1))];
    assert_eq!(left, expected, "what cannot be decided again is counted");
    assert_eq!((&report["calls"], &report["same"]), (&json!(8), &json!(6)));

    // The same policies change nothing.
    let same = candidate(&world, "", |text| text);
    let (exit, report) = replay(&world, &["--candidate", &same]);
    assert_eq!((exit, &report["changes"], &report["replayed"]), (Some(0), &json!([]), &json!(6)), "{report}");

    // Without the forbid the number would be shown in full where it was masked.
    let wider = candidate(&world, "base.cedar", |text| text[..text.find("@id(\"number-in-full").unwrap()].to_owned());
    let (exit, report) = replay(&world, &["--candidate", &wider]);
    assert_eq!((exit, &report["widens"]), (Some(1), &json!(true)), "{report}");
    let (item, from, to, found) = &entries(&report, "wider")[0];
    assert_eq!((*item, *from, *to), (&json!("id_number"), &json!("mask"), &json!("reveal")));
    assert!(found.contains(&calls.masked) && !found.contains(&calls.full), "{report}");
    assert!(entries(&report, "denied").is_empty() && entries(&report, "allowed").is_empty() && entries(&report, "narrower").is_empty());

    // A tighter one narrows and refuses, which is no reason to stop.
    let tighter =
        candidate(&world, "grants/all.toml", |text| text.replacen("id_number = [\"reveal\", \"mask\"]", "id_number = [\"mask\"]", 1));
    let (exit, report) = replay(&world, &["--candidate", &tighter]);
    assert_eq!((exit, &entries(&report, "narrower")[0].3), (Some(0), &vec![calls.full]), "{report}");
    let closed = candidate(&world, "scenarios/housing.toml", |text| text.replace("\"approved\"", "\"suspended\""));
    let (exit, report) = replay(&world, &["--candidate", &closed]);
    assert_eq!(exit, Some(0), "{report}");
    let denied = entries(&report, "denied");
    // One call left the scenario open: then none fits. The others named it.
    let to: Vec<_> = denied.iter().map(|(_, _, to, _)| to.as_str().unwrap()).collect();
    assert!(to.contains(&"purpose_not_granted") && to.contains(&"purpose_missing"), "{report}");
    assert_eq!(denied.iter().map(|(.., found)| found.len()).sum::<usize>(), 4);

    let gone = candidate(&world, "requesters.toml", |text| text.replacen("id = \"housing-app\"", "id = \"housing-app-2\"", 1));
    for (path, content) in world.folder.files().into_iter().filter(|(path, _)| path.starts_with("candidate/grants/")) {
        world.folder.write(&path, String::from_utf8(content).unwrap().replace("\"housing-app\"", "\"housing-app-2\""));
    }
    let (exit, report) = replay(&world, &["--candidate", &gone]);
    assert!(exit == Some(0) && entries(&report, "denied").iter().all(|(_, _, to, _)| *to == "requester_unknown"), "{report}");
    assert!(calls.malformed > 0 && calls.unbound > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_newly_be_let_pass_is_named_and_a_forged_history_is_noticed() {
    let world = World::new();
    let gateway = world.serve();
    let calls = calls(&world, &gateway).await;
    let opened = candidate(&world, "scenarios/patrol.toml", |text| {
        let lead = text.lines().find(|line| line.starts_with("lead")).unwrap().to_owned();
        let text = text.replace(&lead, "lead = \"housing\"");
        let resources = text.lines().find(|line| line.starts_with("resources")).unwrap().to_owned();
        text.replace(&resources, "resources = [\"psb.*\"]").replace("max_grade = 3", "max_grade = 4")
    });
    let grants = std::fs::read_to_string(world.folder.path().join("candidate/grants/all.toml")).unwrap();
    let start = grants.find("id = \"g-002\"").unwrap();
    let end = start + grants[start..].find("\n[[grants]]\n").unwrap();
    let another = grants[start..end].replace("g-002", "g-900").replace("\"housing\"\nkinds", "\"patrol\"\nkinds");
    world.folder.write("candidate/grants/more.toml", format!("[[grants]]\n{another}\n"));
    let (exit, report) = replay(&world, &["--candidate", &opened]);
    assert_eq!(exit, Some(1), "{report}");
    let allowed = entries(&report, "allowed");
    assert_eq!((allowed.len(), &allowed[0].3), (1, &vec![calls.unbound]), "{report}");
    assert_eq!((allowed[0].1, allowed[0].2), (&json!("purpose_not_granted"), &json!("allow")));

    // People read it too; a range leaves out what lies before it.
    let output = world.kanhe(&["--lang", "zh", "policy", "replay", "--candidate", &opened]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("新放行：1 次调用") && text.contains(&calls.unbound.to_string()), "{text}");
    let (exit, report) = replay(&world, &["--candidate", &opened, "--since", "2999-01-01"]);
    assert_eq!((exit, &report["calls"]), (Some(0), &json!(0)));

    // A snapshot whose files were changed afterwards proves nothing.
    let hex = gateway.snapshot.strip_prefix("sha256:").unwrap();
    let file = world.folder.path().join("ledger/snapshots").join(hex).join("base.cedar");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + "\n// later\n").unwrap();
    let (exit, report) = replay(&world, &["--self-check"]);
    assert_eq!((exit, &report["ok"], &report["same"]), (Some(1), &json!(false), &json!(0)), "{report}");

    for (args, word) in [(&["--candidate", "/nowhere"][..], ""), (&["--self-check", "--since", "noon"], "`noon`"), (&[], "--candidate")] {
        let output = world.kanhe(&[&["--lang", "en", "policy", "replay"], args].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(word), "{args:?}: {text}");
    }
}
