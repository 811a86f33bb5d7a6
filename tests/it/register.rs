//! Asking the ledger from outside: queries with and without the register, reports, exports and reconciling, the gateway
//! running all the while.

use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use super::support::nginx::NUMBER;
use super::support::{Gateway, Setup, World, eventually};

fn registered() -> World {
    World::with(Setup { register: "sqlite", ..Setup::default() })
}

/// Shares of two resources, and a call that is denied; their receipts, as they came.
async fn share(world: &World, gateway: &Gateway) -> Vec<String> {
    let mut receipts = Vec::new();
    for n in 0..6 {
        let ask = if n % 2 == 0 {
            gateway.ask("POST", "/mca/marriage/query").json(format!(r#"{{"id_number":"{NUMBER}"}}"#))
        } else {
            gateway.ask("GET", "/psb/population")
        };
        let answer = ask.token(&world.housing()).purpose("housing").send().await;
        assert_eq!(answer.status, 200);
        receipts.push(answer.field("share-receipt").to_owned());
    }
    gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("no-such").send().await.refused(403, "purpose_unknown");
    eventually("all are settled", || (world.entries(&["--kind", "share.settled"]).len() == 6).then_some(()));
    receipts
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    told(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs a query that reads a person's number.
fn about(world: &World, number: &str, args: &[&str]) -> Output {
    let mut command = world.command(&["--format", "json", "ledger", "query", "--subject", "-"]);
    let mut asking = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    writeln!(asking.stdin.take().unwrap(), "{number}").unwrap();
    asking.wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_a_person_up_is_recorded_and_the_number_is_nowhere() {
    let world = registered();
    let gateway = world.serve();
    share(&world, &gateway).await;
    let found = lines(&about(&world, NUMBER, &["--kind", "share.granted", "--reason", "complaint 17"]));
    assert_eq!(found.len(), 3);
    assert!(lines(&about(&world, "990102199003079999", &[])).is_empty());
    let read = eventually("both lookups are recorded", || Some(world.entries(&["--kind", "ledger.read"])).filter(|read| read.len() == 2));
    assert_eq!(read[0]["entry"]["reason"], "complaint 17");
    assert_eq!(read[0]["entry"]["query"]["kind"], "share.granted");
    assert_eq!(read[0]["entry"]["query"]["subject"], found[0]["entry"]["subject"]);
    assert_eq!(read[1]["entry"]["reason"], "no reason given");
    // The trace of a lookup is not itself found by it.
    assert_eq!(lines(&about(&world, NUMBER, &[])).len(), 3);
    gateway.stop();
    world.verify();
    for (name, content) in world.folder.files() {
        if name.starts_with("ledger/") || name == "gateway.log" {
            assert!(!content.windows(NUMBER.len()).any(|window| window == NUMBER.as_bytes()), "{name}");
        }
    }
    // Where the trace cannot be left, nobody is looked up.
    let inbox = world.folder.path().join("ledger/inbox");
    std::fs::remove_dir_all(&inbox).unwrap();
    std::fs::write(&inbox, "").unwrap();
    let refused = about(&world, NUMBER, &[]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("nothing was looked up"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_page_and_format_tells_the_same_entries() {
    let world = registered();
    let gateway = world.serve();
    share(&world, &gateway).await;
    let size = world.entries(&[]).len() as u64;
    let registered = || {
        let (_, metrics) = gateway.admin("/metrics");
        metrics.contains("kanhe_register_lag_entries 0.0").then_some(())
    };
    eventually("the register has caught up", registered);
    let all = world.entries(&[]);
    assert_eq!(all.len() as u64, size);
    let granted = world.entries(&["--kind", "share.granted"]);
    assert_eq!(granted.len(), 6);
    let id = granted[2]["entry"]["id"].as_str().unwrap();
    assert_eq!(world.entries(&["--id", id]), [granted[2].clone()]);
    assert_eq!(world.entries(&["--code", "purpose_unknown"]).len(), 1);
    assert_eq!(world.entries(&["--item", "status", "--form", "reveal", "--kind", "share.granted"]).len(), 3);
    assert_eq!(world.entries(&["--grant", "g-001", "--kind", "share.granted"]).len(), 3);
    // Pages go on where the last one ended.
    let mut paged = Vec::new();
    loop {
        let last = paged.last().map(|line: &Value| line["index"].to_string());
        let mut args = vec!["--requester", "housing-app", "--limit", "2"];
        args.extend(last.iter().flat_map(|last| ["--after", last.as_str()]));
        let page = world.entries(&args);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, world.entries(&["--requester", "housing-app"]));
    let count = |args: &[&str]| {
        let mut all = vec!["--format", "json", "ledger", "query", "--count"];
        all.extend(args);
        lines(&world.kanhe(&all))[0]["count"].clone()
    };
    assert_eq!(
        (count(&[]), count(&["--requester", "housing-app"]), count(&["--requester", "nobody"])),
        (size.into(), paged.len().into(), 0.into())
    );
    let sheet = told(&world.kanhe(&["--format", "csv", "ledger", "query", "--kind", "share.granted"]));
    assert_eq!(sheet.matches("\r\n").count(), 7);
    assert!(sheet.starts_with("index,leaf,time,kind,id,requester"), "{sheet}");
    let refused = world.kanhe(&["--format", "csv", "ledger", "verify"]);
    assert_eq!(refused.status.code(), Some(2));
    // Stopped, with a register that is broken, and without one: the same entries.
    gateway.stop();
    let ended = world.entries(&[]);
    let register = world.folder.path().join("ledger/register.sqlite");
    for beside in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(world.folder.path().join(format!("ledger/register.sqlite{beside}")));
    }
    std::fs::write(&register, "no database").unwrap();
    let output = world.kanhe(&["--format", "json", "--lang", "en", "ledger", "query"]);
    assert_eq!(lines(&output), ended);
    assert!(String::from_utf8_lossy(&output.stderr).contains("kanhe ledger reindex"));
    told(&world.kanhe(&["ledger", "reindex"]));
    let output = world.kanhe(&["--format", "json", "ledger", "query"]);
    assert_eq!((lines(&output), output.stderr.len()), (ended, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_add_up_what_was_shared() {
    let world = registered();
    let gateway = world.serve();
    share(&world, &gateway).await;
    let report = |args: &[&str]| {
        let mut all = vec!["--format", "json", "ledger", "report"];
        all.extend(args);
        lines(&world.kanhe(&all))
    };
    let received = report(&["receivers", "--provider", "mca"]);
    assert_eq!(received.len(), 1, "{received:?}");
    let row = &received[0];
    assert_eq!(
        (&row["department"], &row["requester"], &row["resource"]),
        (&json!("housing"), &json!("housing-app"), &json!("mca.marriage"))
    );
    assert_eq!((&row["shares"], &row["complete"], &row["records"]), (&json!(3), &json!(3), &json!(3)));
    assert_eq!(row["items"], json!({"id_number": {"mask": 3}, "status": {"reveal": 3}}));
    let scenarios = report(&["scenarios"]);
    assert_eq!(scenarios.iter().map(|row| row["shares"].as_u64().unwrap()).sum::<u64>(), 6);
    let departments = report(&["departments"]);
    let housing = departments.iter().find(|row| row["department"] == "housing").unwrap();
    assert_eq!((&housing["received_shares"], &housing["given_shares"]), (&json!(6), &json!(0)));
    let unused = report(&["unused-grants"]);
    assert!(unused.iter().any(|row| row["grant"] == "g-002") || unused.len() > 1, "{unused:?}");
    assert!(unused.iter().all(|row| row["grant"] != "g-001"));
    assert!(report(&["receivers", "--until", "2026-01-01"]).is_empty());
    let breach = report(&["breach", "--since", "2020-01-01", "--until", "2100-01-01", "--resource", "mca.marriage"]);
    assert_eq!(breach.len(), 3);
    assert!(breach.iter().all(|row| row["subject"].as_str().unwrap().starts_with("hmac-sha256:") && row["outcome"] == "complete"));
    assert_eq!(world.kanhe(&["ledger", "report", "breach"]).status.code(), Some(2), "a breach is of a period");
    for lang in ["zh", "en"] {
        let human = told(&world.kanhe(&["--lang", lang, "ledger", "report", "receivers"]));
        assert!(human.contains("mca.marriage") && human.contains("status=reveal×3"), "{human}");
    }
    // The same without the register.
    let with = report(&["scenarios"]);
    gateway.stop();
    std::fs::remove_file(world.folder.path().join("ledger/register.sqlite")).unwrap();
    assert_eq!(report(&["scenarios"]), with);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_verified_by_its_files_alone_and_any_change_is_noticed() {
    let world = World::new();
    let gateway = world.serve();
    share(&world, &gateway).await;
    gateway.stop();
    let (out, ledger) = (world.folder.path().join("export"), world.folder.path().join("ledger"));
    let (out, key) = (out.to_str().unwrap(), ledger.join("log.vkey"));
    let made = lines(&world.kanhe(&["--format", "json", "ledger", "export", "--since", "2020-01-01", "--out", out, "--reason", "audit"]));
    let size = made[0]["size"].clone();
    assert_eq!((&made[0]["count"], &made[0]["uncovered"]), (&size, &json!(0)));
    assert_eq!(world.kanhe(&["ledger", "export", "--out", out]).status.code(), Some(2), "the folder is not empty");
    let check = || world.kanhe(&["--lang", "en", "ledger", "export", "--check", out, "--key", key.to_str().unwrap()]);
    assert!(told(&check()).starts_with("verified"));
    let entries = world.folder.path().join("export/entries.jsonl");
    let kept = std::fs::read_to_string(&entries).unwrap();
    assert_eq!(
        kept.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>(),
        world.entries(&[])[..kept.lines().count()]
    );
    let removed: String = kept.lines().enumerate().filter(|(n, _)| *n != 3).map(|(_, line)| format!("{line}\n")).collect();
    let cut: String = kept.lines().take(5).map(|line| format!("{line}\n")).collect();
    for changed in [kept.replacen("housing-app", "housing-apq", 1), removed, cut] {
        std::fs::write(&entries, changed).unwrap();
        let output = check();
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    }
    std::fs::write(&entries, &kept).unwrap();
    assert!(told(&check()).starts_with("verified"));
    // Taking records out of the house is recorded at the next start.
    let gateway = world.serve();
    eventually("the export is recorded", || (world.entries(&["--kind", "ledger.exported"]).len() == 1).then_some(()));
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sided_shares_are_found_from_either_side() {
    let world = World::new();
    let gateway = world.serve();
    let receipts = share(&world, &gateway).await;
    for (n, receipt) in receipts.iter().enumerate() {
        world.folder.write(&format!("kept/{n}.txt"), format!("HTTP/1.1 200 OK\r\nShare-Receipt: {receipt}\r\n"));
    }
    let kept = world.folder.path().join("kept");
    let log = world.nginx.log();
    let run = |log: &std::path::Path| {
        let args = ["--format", "json", "ledger", "reconcile", "--receipts", kept.to_str().unwrap(), "--origin-log", log.to_str().unwrap()];
        let output = world.kanhe(&args);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(output.status.code(), Some(if told["ok"] == true { 0 } else { 1 }));
        told
    };
    let whole = run(&log);
    assert_eq!((&whole["ok"], &whole["receipts"]["matched"], &whole["origin"]["matched"]), (&json!(true), &json!(6), &json!(6)), "{whole}");
    // A receipt that was lost, and one whose entry the ledger does not have.
    std::fs::remove_file(kept.join("2.txt")).unwrap();
    let foreign = receipts[0].replace(";index=", ";index=9");
    world.folder.write("kept/foreign.txt", foreign);
    // A line too few in the origin's log, and one that came past the gateway.
    let text = std::fs::read_to_string(&log).unwrap();
    let mut short: Vec<&str> = text.lines().collect();
    short.remove(2);
    let around = format!("127.0.0.1 - - \"GET /psb/population HTTP/1.1\" 200 \"{}\"", "ab".repeat(16));
    let around_too = "127.0.0.1 - - \"GET /psb/population HTTP/1.1\" 200 \"-\"";
    short.extend([around.as_str(), around_too]);
    world.folder.write("origin.log", short.join("\n"));
    let found = run(&world.folder.path().join("origin.log"));
    assert_eq!(found["ok"], false);
    assert_eq!(found["receipts"]["unrecorded"]["listed"], json!([{"place": "foreign.txt:1", "reason": "no_entry"}]));
    assert_eq!(found["receipts"]["unkept"]["count"], 1);
    let lost = &found["receipts"]["unkept"]["listed"][0]["index"];
    assert!(receipts[2].contains(&format!(";index={lost};")), "{lost}");
    let unrecorded = &found["origin"]["unrecorded"]["listed"];
    assert_eq!(unrecorded[0]["reason"], "no_entry");
    assert_eq!(unrecorded[1]["reason"], "no_share_id");
    assert_eq!(found["origin"]["unkept"]["listed"][0]["index"], *lost);
    for lang in ["zh", "en"] {
        let human = world.kanhe(&["--lang", lang, "ledger", "reconcile", "--receipts", kept.to_str().unwrap()]);
        assert_eq!(human.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&human.stdout).contains("foreign.txt:1"));
    }
}
