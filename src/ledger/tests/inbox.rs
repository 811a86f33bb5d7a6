//! What other processes leave with the ledger is recorded once, whatever dies in between.

use serde_json::Value;

use super::super::inbox::{Administrative, Error};
use super::*;

fn read(reason: &str) -> Administrative {
    Administrative::new("ledger.read", reason).with("command", "query").with("count", 3)
}

/// The administrative entries in the log.
fn recorded(folder: &Path) -> Vec<Value> {
    let entries = all(folder).into_iter().map(|record| serde_json::from_slice::<Value>(&record.entry).unwrap());
    entries.filter(|entry| entry["kind"].as_str().unwrap().starts_with("ledger.")).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder.join("inbox")).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begun = crate::sys::instant();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_left_is_recorded_whether_the_ledger_is_open_or_not() {
    let place = Place::new();
    let config = place.config();
    drop(Ledger::open(&config, true).unwrap());
    let first = read("closed").leave(&config.folder).unwrap();
    let ledger = Ledger::open(&config, false).unwrap();
    until("recorded at start", || recorded(&config.folder).len() == 1);
    let second = read("open").leave(&config.folder).unwrap();
    until("recorded while open", || recorded(&config.folder).len() == 2);
    until("taken away", || files(&config.folder).is_empty());
    drop(ledger);
    let entries = recorded(&config.folder);
    assert_eq!(entries[0]["id"], *first);
    assert_eq!(entries[1]["id"], *second);
    assert_eq!(entries[1]["reason"], "open");
    assert_eq!(entries[1]["count"], 3);
    assert_eq!(entries[1]["uid"], u64::from(rustix::process::getuid().as_raw()));
    assert_eq!(entries[1]["time"].as_str().unwrap().len(), 27);
    let bytes = all(&config.folder).pop().unwrap().entry;
    let sorted: std::collections::BTreeMap<String, Value> = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), serde_json::to_string(&sorted).unwrap(), "canonical");
    assert_eq!(verify::verify(&config.folder, &verify::Options::default()).unwrap().first_bad.map(|bad| bad.reason), None);
}

#[test]
fn a_crash_after_the_append_records_nothing_twice() {
    let place = Place::new();
    let config = place.config();
    drop(Ledger::open(&config, true).unwrap());
    let id = read("once").leave(&config.folder).unwrap();
    let left = fs::read(config.folder.join(format!("inbox/{id}.json"))).unwrap();
    drop(Ledger::open(&config, false).unwrap());
    assert_eq!(recorded(&config.folder).len(), 1);
    // The append was kept, the removal lost.
    fs::write(config.folder.join(format!("inbox/{id}.from-0")), &left).unwrap();
    drop(Ledger::open(&config, false).unwrap());
    assert_eq!((recorded(&config.folder).len(), files(&config.folder)), (1, vec![]));
    // The append was lost: the file was renamed, and no entry has its id.
    let other = "0123456789abcdef0123456789abcdef";
    fs::write(config.folder.join(format!("inbox/{other}.from-1")), &left).unwrap();
    drop(Ledger::open(&config, false).unwrap());
    assert_eq!((recorded(&config.folder).len(), files(&config.folder)), (2, vec![]));
    assert_eq!(recorded(&config.folder)[1]["id"], other);
}

#[test]
fn what_is_no_administrative_entry_is_kept_aside() {
    let place = Place::new();
    let config = place.config();
    drop(Ledger::open(&config, true).unwrap());
    let good = r#""reason":"r","time_decided":"2026-01-01T00:00:00.000000Z""#;
    let long = "x".repeat(2000);
    let bad = [
        "not json".to_owned(),
        format!(r#"{{"kind":"share.granted",{good}}}"#),
        format!(r#"{{"kind":"share.settled","receipt_of":0,{good}}}"#),
        r#"{"kind":"ledger.read","time_decided":"2026-01-01T00:00:00.000000Z"}"#.to_owned(),
        r#"{"kind":"ledger.read","reason":"r"}"#.to_owned(),
        format!(r#"{{"kind":"ledger.read","id":"ab",{good}}}"#),
        format!(r#"{{"kind":"ledger.read","a":1.5,{good}}}"#),
        format!(r#"{{"kind":"ledger.read","a":9007199254740992,{good}}}"#),
        format!(r#"{{"kind":"ledger.read","a":{{"b":{{"c":1}}}},{good}}}"#),
        format!(r#"{{"kind":"ledger.read","a":"{long}",{good}}}"#),
        format!(r#"{{"kind":"ledger.read","a":"\u001b[2J",{good}}}"#),
        format!(r#"{{"kind":"ledger.read","Upper":1,{good}}}"#),
        format!("{}{{}}", " ".repeat(40_000)),
    ];
    for (n, text) in bad.iter().enumerate() {
        fs::write(config.folder.join(format!("inbox/{n:032x}.json")), text).unwrap();
    }
    std::os::unix::fs::symlink(config.key.clone(), config.folder.join(format!("inbox/{:032x}.json", 99))).unwrap();
    fs::write(config.folder.join("inbox/notes.txt"), "").unwrap();
    let before = all(&config.folder).len();
    drop(Ledger::open(&config, false).unwrap());
    assert_eq!(all(&config.folder).len(), before);
    let files = files(&config.folder);
    assert_eq!(files.iter().filter(|name| name.ends_with(".refused")).count(), bad.len() + 1, "{files:?}");
    assert_eq!(files.len(), bad.len() + 2);
}

#[test]
fn only_known_kinds_and_real_ledgers_are_left_with() {
    let place = Place::new();
    let config = place.config();
    assert!(matches!(read("r").leave(&config.folder), Err(Error::Io(..))));
    assert!(!config.folder.exists());
    drop(Ledger::open(&config, true).unwrap());
    let refused = Administrative::new("share.granted", "r").leave(&config.folder).unwrap_err().text();
    assert!(refused.en.contains("`share.granted` is none of ledger.read"), "{}", refused.en);
    assert!(matches!(read(" ").leave(&config.folder), Err(Error::Refused(_))));
    assert!(matches!(read("r").with("uid", 0).leave(&config.folder), Err(Error::Refused(_))));
    assert_eq!(files(&config.folder), Vec::<String>::new());
}
