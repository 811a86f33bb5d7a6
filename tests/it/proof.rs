//! `ledger query --prove`: what somebody changes in the database is named, whatever it is; the logs are the measure.

use std::path::Path;
use std::process::Output;

use super::postgres::{registered, world};
use super::support::folder::Folder;
use super::support::keys::Authority;
use super::support::postgres::Postgres;
use super::support::{World, eventually};

const LOGS: [&str; 2] = ["gw-1.test.example", "gw-2.test.example"];

fn prove(world: &World, copy: &Path, args: &[&str]) -> Output {
    let mut all = vec!["--lang", "en", "--format", "json", "ledger", "query", "--prove", "--copy", copy.to_str().unwrap()];
    all.extend(args);
    world.kanhe(&all)
}

/// What is not proven, a line each, and how many rows were.
#[track_caller]
fn judged(output: &Output, code: i32) -> (Vec<String>, usize) {
    let (told, rows) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(code), "{told}");
    (told.lines().map(|line| line.trim_start_matches("kanhe: not proven: ").to_owned()).collect(), rows.lines().count())
}

/// Two gateways that have shared something and stopped; all of it is in the database.
async fn filled(database: &Postgres, authority: &Authority) -> Vec<World> {
    let folder = Folder::new();
    let ca = folder.write("ca.pem", authority.pem());
    let worlds: Vec<World> = LOGS.iter().map(|log| world(log, database, &ca, "local")).collect();
    for (world, log) in worlds.iter().zip(LOGS) {
        // Asking needs it later, too.
        let kept = world.folder.write("database-ca.pem", authority.pem());
        let config = std::fs::read_to_string(world.config()).unwrap();
        std::fs::write(world.config(), config.replace(ca.to_str().unwrap(), kept.to_str().unwrap())).unwrap();
        let gateway = world.serve();
        for _ in 0..20 {
            let answer = gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await;
            assert_eq!(answer.status, 200);
        }
        gateway.stop();
        registered(database, world, log);
    }
    worlds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_changed_added_removed_or_doubled_is_named() {
    let authority = Authority::new("database");
    let database = Postgres::start(&authority);
    let worlds = filled(&database, &authority).await;
    let copy = worlds[1].folder.path().join("ledger");
    let total: usize = database.psql("select count(*) from kanhe.entries").parse().unwrap();
    assert_eq!(judged(&prove(&worlds[0], &copy, &[]), 0), (Vec::new(), total), "as it was written");
    assert_eq!(judged(&prove(&worlds[0], &copy, &["--kind", "share.granted", "--count"]), 0), (Vec::new(), 1));

    // A log of which nothing is known: none of its rows counts, and it is named once.
    let own = worlds[0].entries(&[]).len();
    let output = worlds[0].kanhe(&["--lang", "en", "--format", "json", "ledger", "query", "--prove"]);
    let (told, rows) = judged(&output, 1);
    assert_eq!(rows, own);
    assert!(told.len() == 1 && told[0].starts_with("gw-2.test.example: no folder"), "{told:?}");

    // Each change is undone again: the next is judged alone.
    let at = |index: u64| format!("log = 'gw-2.test.example' and index = {index}");
    let columns = "log, index, time, kind, requester, department, provider, resource, scenario, subject, entry";
    for (change, undo, wanted) in [
        (
            format!("update kanhe.entries set requester = 'nobody' where {}", at(6)),
            format!("update kanhe.entries set requester = 'housing-app' where {}", at(6)),
            "gw-2.test.example entry 6: its column `requester`",
        ),
        (
            format!("update kanhe.entries set time = time - interval '1 h' where {}", at(6)),
            format!("update kanhe.entries set time = time + interval '1 h' where {}", at(6)),
            "gw-2.test.example entry 6: its column `time`",
        ),
        (
            format!("update kanhe.entries set entry = overlay(entry placing 'x' from 30 for 1) where {}", at(7)),
            String::new(),
            "gw-2.test.example entry 7: it is not the entry that the log signed",
        ),
        (
            format!("insert into kanhe.entries select {} from kanhe.entries where {}", columns.replace("index,", "index + 100000,"), at(8)),
            format!("delete from kanhe.entries where {}", at(100_008)),
            "gw-2.test.example entry 100008: the log's folder has",
        ),
        (
            format!(
                "insert into kanhe.entries select {} from kanhe.entries where {}",
                columns.replace("log,", "'gw-1.test.example',"),
                at(9)
            ),
            String::new(),
            "gw-1.test.example entry 9: it is not the entry that the log signed",
        ),
        (format!("delete from kanhe.entries where {}", at(11)), String::new(), "gw-2.test.example entry 11: the log has it"),
    ] {
        database.psql("create table if not exists public.kept as select * from kanhe.entries");
        database.psql(&change);
        // What was removed is told once it cannot be on its way any more.
        let told = eventually(&change, || {
            let output = prove(&worlds[0], &copy, &[]);
            (output.status.code() == Some(1)).then(|| judged(&output, 1).0)
        });
        assert!(told.len() == 1 && told[0].starts_with(wanted), "after `{change}`: {told:?}");
        if undo.is_empty() {
            database.psql("truncate kanhe.entries; insert into kanhe.entries select * from public.kept");
        } else {
            database.psql(&undo);
        }
        assert_eq!(judged(&prove(&worlds[0], &copy, &[]), 0).1, total);
    }

    // A key of another log proves nothing of this one, and a folder that was forged has no signature under it.
    let key = |at: usize| worlds[at].folder.path().join("ledger/log.vkey").to_str().unwrap().to_owned();
    let output = prove(&worlds[0], &copy, &["--key", &key(0)]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no verifier key of `gw-2.test.example`"));
    assert_eq!(judged(&prove(&worlds[0], &copy, &["--key", &key(0), "--key", &key(1)]), 0).1, total);
    let checkpoint = copy.join("checkpoint");
    let text = std::fs::read_to_string(&checkpoint).unwrap();
    let size = text.lines().nth(1).unwrap();
    std::fs::write(&checkpoint, text.replacen(&format!("\n{size}\n"), "\n3\n", 1)).unwrap();
    assert_eq!(prove(&worlds[0], &copy, &[]).status.code(), Some(2));
}
