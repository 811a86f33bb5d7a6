//! What stands in the files, judged by others' checkers.

use std::collections::BTreeMap;

use serde_json::value::to_raw_value;

use super::*;
use crate::written::{Document, Problems};

fn filled(place: &Place, config: &Config, count: usize) -> Vec<Committed> {
    let ledger = Arc::new(Ledger::open(config, true).unwrap());
    let pending: Vec<_> = (0..count).map(|n| ledger.append(granted(&format!("{n:032x}"))).unwrap()).collect();
    let done = pending.into_iter().map(|pending| wait(pending).unwrap()).collect();
    ledger.close();
    assert!(place.0.exists());
    done
}

#[test]
fn a_log_of_three_levels_verifies_and_each_entry_is_where_it_was_acknowledged() {
    let (place, count) = (Place::new(), 66_000);
    let done = filled(&place, &place.config(), count);
    let report = verify::verify(&place.config().folder, &verify::Options::default()).unwrap();
    assert_eq!((report.size, report.first_bad), (66_000, None));
    let records = all(&place.config().folder);
    assert_eq!(records.len(), count);
    for (record, committed) in records.iter().zip(&done) {
        assert_eq!((record.index, record.leaf), (committed.index, committed.leaf));
    }
    for name in ["tile/0/257.p/208", "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1", "tile/entries/257.p/208"] {
        assert!(place.config().folder.join(name).is_file(), "{name}");
    }
    // Open shares do not keep the journal: its newest file carries them on.
    assert!(fs::read_dir(place.config().folder.join("journal")).unwrap().count() <= 2);
}

#[test]
fn every_size_around_a_tiles_edge_has_the_root_that_others_compute() {
    for count in [1, 2, 3, 255, 256, 257, 511, 512, 513] {
        let place = Place::new();
        filled(&place, &place.config(), count);
        assert_eq!(verify::verify(&place.config().folder, &verify::Options::default()).unwrap().first_bad, None, "{count}");
        // Opening computes the root from tiles by the writer's own way and compares.
        let ledger = Ledger::open(&place.config(), false).unwrap();
        assert_eq!(ledger.closed_unknown(), count as u64);
    }
}

#[test]
fn a_changed_byte_is_found_under_its_index() {
    let place = Place::new();
    filled(&place, &place.config(), 300);
    let path = place.config().folder.join("tile/entries/000");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(32).position(|id| id == format!("{:032x}", 77).as_bytes()).unwrap();
    bytes[at] = b'f';
    fs::write(&path, bytes).unwrap();
    assert_eq!(verify::verify(&place.config().folder, &verify::Options::default()).unwrap().first_bad.unwrap().index, 77);
}

#[test]
fn entries_are_canonical_and_a_callers_text_cannot_look_like_a_member() {
    let case = r#""time":"0000-00-00T00:00:00.000000Z""#;
    let place = Place::new();
    let ledger = Ledger::open(&place.config(), true).unwrap();
    let items = BTreeMap::from([("id_number", "mask"), ("*", "reveal")]);
    let items = to_raw_value(&items).unwrap();
    let share = Share {
        id: "00",
        case: Some(case),
        items: Some(&items),
        roles: Some(&[]),
        time_decided: Some(crate::sys::now()),
        ..Share::default()
    };
    wait(ledger.append(share.draft().unwrap()).unwrap()).unwrap();
    let entry = all(&place.config().folder).remove(0).entry;
    let value: serde_json::Value = serde_json::from_slice(&entry).unwrap();
    assert_eq!(value["case"], case);
    let keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
    assert!(keys.is_sorted(), "{keys:?}");
    assert_eq!(serde_json::to_vec(&value).unwrap(), entry);
    assert!(value["time"].as_str().unwrap().starts_with("20"), "{value}");
    assert!(value["items"].as_object().unwrap().keys().is_sorted());
}

#[test]
fn an_entry_over_the_uint16_is_an_error_and_never_cut() {
    let long = "x".repeat(70_000);
    assert!(Share { id: "00", case: Some(&long), ..Share::default() }.draft().is_err());
}

#[test]
fn salts_lie_outside_the_log_and_grants_are_counted_since_a_time() {
    let place = Place::new();
    let ledger = Arc::new(Ledger::open(&place.config(), true).unwrap());
    let settling = ledger.reserve().unwrap();
    let index = wait(ledger.append(granted("00")).unwrap()).unwrap().index;
    settling.settle(settled(index), Some([7; 32]));
    ledger.close();
    drop(ledger);
    assert_eq!(fs::read(place.config().folder.join("salts/0")).unwrap(), [7; 32]);
    let ledger = Ledger::open(&place.config(), false).unwrap();
    assert_eq!(ledger.closed_unknown(), 0);
    let used = ledger.day_use(jiff::Timestamp::MIN).unwrap();
    assert_eq!(used.get("g-1").map(|used| (used.calls, used.records)), Some((1, 0)), "records are not counted under this grant");
    assert!(ledger.day_use(crate::sys::now() + Duration::from_secs(60)).unwrap().is_empty());
    let (record, settlement) = query::show(&place.config().folder, index).unwrap().unwrap();
    assert_eq!((record.index, settlement.unwrap().index), (0, 1));
}

#[test]
fn what_a_grant_was_used_for_is_counted_by_when_it_was_decided_and_in_full_where_nobody_knows() {
    let place = Place::new();
    let ledger = Arc::new(Ledger::open(&place.config(), true).unwrap());
    let midnight = crate::sys::now() - Duration::from_secs(60);
    // Shown: so many of ten, how the answer ended (none: nobody ever said), and when it was decided.
    let shares = [(Some(Some(3)), 1), (Some(Some(0)), 1), (Some(None), 1), (None, 1), (Some(Some(7)), -1)];
    for (shown, decided) in shares {
        let time_decided = Some(midnight + jiff::SignedDuration::from_secs(decided));
        let share = Share { id: "00", grant: Some("g-1"), max_records: Some(10), time_decided, ..Share::default() };
        let settling = ledger.reserve().unwrap();
        let receipt_of = wait(ledger.append(share.draft().unwrap()).unwrap()).unwrap().index;
        match shown {
            Some(records) => {
                let settled = Settled { id: "ab", receipt_of, outcome: "cut", records, ..Settled::default() };
                settling.settle(settled.draft().unwrap(), None);
            }
            None => drop(settling),
        }
    }
    // Under another grant, whose records nobody counts.
    drop(wait(ledger.append(Share { id: "00", grant: Some("g-2"), ..Share::default() }.draft().unwrap()).unwrap()).unwrap());
    ledger.close();
    drop(ledger);
    let used = Ledger::open(&place.config(), false).unwrap().day_use(midnight).unwrap();
    let of = |grant: &str| used.get(grant).map(|used| (used.calls, used.records));
    assert_eq!((of("g-1"), of("g-2"), used.len()), (Some((4, 3 + 10 + 10)), Some((1, 0)), 2));
}

#[test]
fn a_snapshot_is_stored_once_and_never_outside_its_folder() {
    let place = Place::new();
    let ledger = Ledger::open(&place.config(), true).unwrap();
    let hex = "a".repeat(64);
    let files = [("catalogue/a.toml".to_owned(), b"x".to_vec())];
    ledger.store_snapshot(&hex, &files, None).unwrap();
    ledger.store_snapshot(&hex, &files, None).unwrap();
    assert!(place.config().folder.join("snapshots").join(&hex).join("catalogue/a.toml").is_file());
    for name in ["../a", "/etc/a", "", "a/../../b"] {
        assert!(ledger.store_snapshot(&"b".repeat(64), &[(name.to_owned(), Vec::new())], None).is_err(), "{name}");
    }
    assert!(ledger.store_snapshot("../../x", &files, None).is_err());
}

#[test]
fn a_snapshot_shares_the_files_that_did_not_change() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    let ledger = Ledger::open(&place.config(), true).unwrap();
    let files = |changed: &str| vec![("grants/a.toml".to_owned(), b"a".to_vec()), ("grants/b.toml".to_owned(), changed.into())];
    let (first, second, third) = ("1".repeat(64), "2".repeat(64), "3".repeat(64));
    let path = |hex: &str, name: &str| place.config().folder.join("snapshots").join(hex).join(name);
    ledger.store_snapshot(&first, &files("b"), None).unwrap();
    ledger.store_snapshot(&second, &files("c"), Some(&first)).unwrap();
    let file = |hex: &str, name: &str| fs::metadata(path(hex, name)).unwrap().ino();
    assert_eq!(file(&first, "grants/a.toml"), file(&second, "grants/a.toml"));
    assert_eq!(fs::read(path(&first, "grants/b.toml")).unwrap(), b"b");
    assert_eq!(fs::read(path(&second, "grants/b.toml")).unwrap(), b"c");
    // What was changed since it was kept is not passed on.
    fs::write(path(&second, "grants/a.toml"), "other").unwrap();
    ledger.store_snapshot(&third, &files("c"), Some(&second)).unwrap();
    assert_eq!(fs::read(path(&third, "grants/a.toml")).unwrap(), b"a");
}

#[test]
fn a_filter_fits_by_digest_item_and_form() {
    let items = to_raw_value(&BTreeMap::from([("id_number", "mask")])).unwrap();
    let share = Share { id: "00", requester: Some("a"), subject: Some("hmac-sha256:1:2"), items: Some(&items), ..Share::default() };
    let bytes = share.draft().unwrap().bytes;
    let item = |item: &str, form: &str| query::Filter { item: Some(item.into()), form: Some(form.into()), ..query::Filter::default() };
    assert!(item("id_number", "mask").fits(&bytes));
    assert!(!item("id_number", "reveal").fits(&bytes));
    assert!(!item("name", "mask").fits(&bytes));
    let subject = |digest: &str| query::Filter { subject: Some(vec!["x".into(), digest.into()]), ..query::Filter::default() };
    assert!(subject("hmac-sha256:1:2").fits(&bytes) && !subject("hmac-sha256:1:3").fits(&bytes));
    assert!(!query::Filter { members: vec![("requester", "b".into())], ..query::Filter::default() }.fits(&bytes));
}

#[test]
fn a_register_a_gate_and_a_retention_are_judged_as_written() {
    let read = |more: &str| {
        let text = format!("folder = \"l\"\nkey = \"k\"\nsubject_key = \"s\"\n{more}");
        let problems = Problems::default();
        let document = Document::parse("kanhe.toml", &text, &problems);
        let table = document.root(&problems);
        let config = Config::read(&table, Path::new("/base"), "gw");
        table.finish();
        (config, problems.into_parts().0.len())
    };
    let (config, errors) =
        read("journal_segment = \"64MiB\"\nregister = \"sqlite\"\ngate = \"local\"\nretention = \"3y\"\ncheckpoint_copy = \"\"");
    assert_eq!((config.unwrap().folder, errors), (PathBuf::from("/base/l"), 0));
    let database = "register = \"postgres://kanhe@127.0.0.1/share?sslmode=disable\"\ngate = \"register\"";
    let (config, errors) = read(database);
    assert!(config.is_some_and(|config| config.gated && config.database.is_some()) && errors == 0);
    let without = read("gate = \"register\"");
    assert_eq!(without.1, 1, "a gate needs a register to wait for");
    for wrong in ["register = \"postgres://a\"", "retention = \"2y\"", "journal_segment = \"1KiB\""] {
        let (config, errors) = read(wrong);
        assert!(config.is_none() && errors == 1, "{wrong}");
    }
}
