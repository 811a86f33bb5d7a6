//! What is forgotten, what is pruned, and keys that change: the proofs of everything else still hold.

use super::super::bundle::Signed;
use super::super::retention::{announce, erase, minimum, prunable, prune, shares_about};
use super::super::verify::receipt::{Question, judge};
use super::super::verify::{Keys, Options, verify};
use super::*;
use crate::written::units::Years;

const LATER: Duration = Duration::from_secs(4 * 366 * 86_400);

fn share(ledger: &Ledger, subject: &str) -> (u64, String) {
    let settling = ledger.reserve().unwrap();
    let share = Share { id: "00", requester: Some("a"), subject: Some(subject), ..Share::default() };
    let committed = wait(ledger.append(share.draft().unwrap()).unwrap()).unwrap();
    settling.settle(settled(committed.index), Some([7; 32]));
    (committed.index, committed.receipt())
}

/// Until what was left in the inbox is recorded and covered.
fn recorded(ledger: &Ledger, folder: &Path, kind: &str) -> query::Record {
    let begun = crate::sys::instant();
    loop {
        let found = all(folder).into_iter().find(|record| String::from_utf8_lossy(&record.entry).contains(kind));
        if let Some(found) = found {
            wait(Box::pin(ledger.covered(found.index + 1))).unwrap();
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{kind} was not recorded");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn salts_in(folder: &Path) -> bool {
    let held = |path: PathBuf| fs::read(path).unwrap().windows(32).any(|bytes| bytes == [7; 32]);
    let files = ["journal", "salts"].into_iter().flat_map(|name| fs::read_dir(folder.join(name)).unwrap().flatten());
    files.into_iter().any(|file| held(file.path()))
}

#[test]
fn an_erased_salt_is_gone_from_every_file_and_on_record() {
    let place = Place::new();
    let folder = place.config().folder;
    let ledger = Arc::new(Ledger::open(&place.config(), true).unwrap());
    let (first, receipt) = share(&ledger, "hmac-sha256:1:aa");
    share(&ledger, "hmac-sha256:1:bb");
    assert!(erase(&folder, &[99], "a test").is_err());
    wait(Box::pin(ledger.covered(4))).unwrap();
    assert_eq!(shares_about(&folder, vec!["hmac-sha256:1:aa".to_owned()]).unwrap(), [first]);
    assert!(erase(&folder, &[first + 1], "a settlement grants nothing").is_err());
    assert_eq!(erase(&folder, &[first, 2], "the person asked").unwrap(), 2);
    let entry = recorded(&ledger, &folder, "ledger.erased");
    let entry: serde_json::Value = serde_json::from_slice(&entry.entry).unwrap();
    assert_eq!((&entry["indices"], &entry["reason"]), (&serde_json::json!([first, 2]), &"the person asked".into()));
    // The journal file that held them goes with the checkpoint that covers it.
    let begun = crate::sys::instant();
    while salts_in(&folder) {
        assert!(begun.elapsed() < Duration::from_secs(20), "a salt is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(erase(&folder, &[first], "again").unwrap(), 0);
    ledger.close();
    drop(ledger);
    drop(Ledger::open(&place.config(), false).unwrap());
    assert!(!salts_in(&folder), "and does not come back");
    assert_eq!(verify(&folder, &Options::default()).unwrap().first_bad, None);
    let keys = Keys::read(&folder.join("log.vkey")).unwrap();
    assert_eq!(judge(&receipt, &Question { keys: &keys, witnesses: &[], earlier: None, against: Some(&folder) }).reason, None);
}

#[test]
fn what_is_pruned_is_old_recorded_and_leaves_the_rest_proven() {
    let place = Place::new();
    let (config, folder) = (place.config(), place.config().folder);
    let ledger = Arc::new(Ledger::open(&config, true).unwrap());
    let mut receipts: Vec<(u64, String)> = (0..350).map(|_| share(&ledger, "hmac-sha256:1:aa")).collect();
    wait(Box::pin(ledger.covered(700))).unwrap();
    let earlier = ledger.checkpoint();
    let now = crate::sys::now();
    let three = |at| prunable(&folder, Years(3), at, at).unwrap();
    assert_eq!((three(now), three(now + LATER)), (0, 512));
    assert_eq!(prunable(&folder, Years(5), now + LATER, now + LATER).unwrap(), 0, "the longer retention holds");
    assert!(prune(&folder, 512, None).is_err(), "nothing goes without a record");
    announce(&folder, 512, "beyond retention").unwrap();
    recorded(&ledger, &folder, "ledger.pruned");
    let archive = place.0.join("archive");
    assert_eq!(prune(&folder, 512, Some(&archive)).unwrap(), 4);
    assert_eq!(prune(&folder, 512, Some(&archive)).unwrap(), 0);
    assert!(archive.join("tile/entries/001").is_file() && !folder.join("tile/entries/001").exists());
    receipts.push(share(&ledger, "hmac-sha256:1:bb"));
    ledger.close();
    drop(ledger);
    // It goes on, is verified from its minimum on, and continues what it signed before.
    let ledger = Arc::new(Ledger::open(&config, false).unwrap());
    receipts.push(share(&ledger, "hmac-sha256:1:bb"));
    ledger.close();
    let report = verify(&folder, &Options { since: Some(earlier), ..Options::default() }).unwrap();
    assert_eq!((report.first_bad, report.minimum, minimum(&folder).unwrap()), (None, 512, 512));
    assert_eq!(all(&folder)[0].index, 512);
    let keys = Keys::read(&folder.join("log.vkey")).unwrap();
    let note = fs::read(folder.join("checkpoint")).unwrap();
    let signed = Signed::of(&folder, &note).unwrap();
    for (index, receipt) in receipts.iter().filter(|(index, _)| *index >= 512) {
        let bundle = serde_json::to_string(&signed.bundle(*index).unwrap().unwrap()).unwrap();
        for text in [&bundle, receipt] {
            assert_eq!(
                judge(text, &Question { keys: &keys, witnesses: &[], earlier: None, against: Some(&folder) }).reason,
                None,
                "{text}"
            );
        }
    }
    assert!(signed.bundle(100).unwrap().is_none());
    // Entries that go missing without a record are noticed.
    fs::remove_file(folder.join("tile/entries/002")).ok();
    fs::write(folder.join("minimum"), "600\n").unwrap();
    assert!(verify(&folder, &Options::default()).unwrap().first_bad.is_some() || minimum(&folder).unwrap() == 600);
    fs::write(folder.join("minimum"), "0\n").unwrap();
    assert_eq!(verify(&folder, &Options::default()).unwrap().first_bad.unwrap().index, 0);
}

#[test]
fn a_log_without_a_record_of_pruning_may_miss_nothing() {
    let place = Place::new();
    let folder = place.config().folder;
    let ledger = Arc::new(Ledger::open(&place.config(), true).unwrap());
    (0..300).for_each(|_| drop(share(&ledger, "x")));
    ledger.close();
    fs::remove_file(folder.join("tile/entries/000")).unwrap();
    fs::remove_file(folder.join("tile/0/000")).unwrap();
    fs::write(folder.join("minimum"), "256\n").unwrap();
    let bad = verify(&folder, &Options::default()).unwrap().first_bad.unwrap();
    assert!(bad.reason.en.contains("no pruning"), "{bad:?}");
}

#[test]
fn the_log_goes_on_under_a_new_key_and_both_are_known() {
    let place = Place::new();
    let (config, folder) = (place.config(), place.config().folder);
    let ledger = Arc::new(Ledger::open(&config, true).unwrap());
    let (_, old) = share(&ledger, "a");
    ledger.close();
    drop(ledger);
    let earlier = fs::read(folder.join("checkpoint")).unwrap();
    let old_key = fs::read_to_string(folder.join("log.vkey")).unwrap();
    fs::write(place.0.join("old.vkey"), &old_key).unwrap();
    place.mint("ledger.key");
    // A key that nobody said was the log's is not taken.
    assert!(refused(Ledger::open(&config, false)).contains("keys_old"));
    let stranger = Place::new();
    drop(Ledger::open(&stranger.config(), true).unwrap());
    let wrong = Config { keys_old: vec![stranger.config().folder.join("log.vkey")], ..config.clone() };
    assert!(refused(Ledger::open(&wrong, false)).contains("keys_old"));

    let config = Config { keys_old: vec![place.0.join("old.vkey")], checkpoint_copy: Some(place.0.join("copy")), ..config };
    fs::write(place.0.join("copy"), &earlier).unwrap();
    let ledger = Arc::new(Ledger::open(&config, false).unwrap());
    let (_, new) = share(&ledger, "b");
    ledger.close();
    drop(ledger);
    let history = fs::read_to_string(folder.join("log.vkey")).unwrap();
    assert!(history.lines().count() == 2 && history.ends_with(&old_key));
    let changed = all(&folder).into_iter().filter(|record| String::from_utf8_lossy(&record.entry).contains("ledger.key_changed"));
    assert_eq!(changed.count(), 1);
    let report = verify(&folder, &Options { since: Some(earlier), ..Options::default() }).unwrap();
    assert_eq!(report.first_bad, None);
    let keys = Keys::read(&folder.join("log.vkey")).unwrap();
    for receipt in [&old, &new] {
        assert_eq!(judge(receipt, &Question { keys: &keys, witnesses: &[], earlier: None, against: Some(&folder) }).reason, None);
    }
    // The old key alone vouches for nothing new.
    let keys = Keys::parse(&old_key).unwrap();
    assert!(
        judge(&new, &Question { keys: &keys, witnesses: &[], earlier: None, against: None }).reason.unwrap().en.contains("not trusted")
    );
    assert!(verify(&folder, &Options { keys: Some(keys), ..Options::default() }).unwrap().first_bad.is_some());
    // And the next start changes nothing.
    drop(Ledger::open(&config, false).unwrap());
    assert_eq!(fs::read_to_string(folder.join("log.vkey")).unwrap(), history);
}

#[test]
fn a_journal_left_by_the_old_key_is_replayed_under_the_new_one() {
    let place = Place::new();
    let config = place.unpublished();
    let ledger = Ledger::open(&config, true).unwrap();
    let done: Vec<_> = (0..5).map(|n| wait(ledger.append(granted(&format!("{n}"))).unwrap()).unwrap()).collect();
    let killed = place.killed();
    fs::copy(killed.folder.join("log.vkey"), place.0.join("old.vkey")).unwrap();
    drop(ledger);
    place.mint("ledger.key");
    let killed = Config { keys_old: vec![place.0.join("old.vkey")], ..killed };
    let again = Arc::new(Ledger::open(&killed, false).unwrap());
    assert_eq!(again.closed_unknown(), 5);
    again.close();
    let records = all(&killed.folder);
    assert!(done.iter().all(|committed| records[usize::try_from(committed.index).unwrap()].leaf == committed.leaf));
    assert_eq!(verify(&killed.folder, &Options::default()).unwrap().first_bad, None);
}

#[test]
fn a_restored_backup_is_taken_where_it_is_whole_and_refused_where_it_is_old() {
    let place = Place::new();
    let config = Config { checkpoint_copy: Some(place.0.join("copy")), ..place.config() };
    let ledger = Arc::new(Ledger::open(&config, true).unwrap());
    (0..20).for_each(|_| drop(share(&ledger, "a")));
    wait(Box::pin(ledger.covered(40))).unwrap();
    // A backup of the running ledger: files as they are, the journal before the rest is enough.
    let old = place.killed();
    let receipts: Vec<_> = (0..20).map(|_| share(&ledger, "b")).collect();
    ledger.close();
    drop(ledger);
    let new = place.killed();
    fs::remove_dir_all(&config.folder).unwrap();

    // Drill 1: the newest backup goes on, and keeps every promise.
    copy(&new.folder, &config.folder);
    let ledger = Arc::new(Ledger::open(&config, false).unwrap());
    assert_eq!(ledger.closed_unknown(), 0);
    share(&ledger, "c");
    ledger.close();
    drop(ledger);
    let keys = Keys::read(&config.folder.join("log.vkey")).unwrap();
    for (_, receipt) in &receipts {
        assert_eq!(judge(receipt, &Question { keys: &keys, witnesses: &[], earlier: None, against: Some(&config.folder) }).reason, None);
    }
    // Drill 2: the older one would fork the log. It is refused, with the way out, in both languages.
    fs::remove_dir_all(&config.folder).unwrap();
    copy(&old.folder, &config.folder);
    let error = Ledger::open(&config, false).map(drop).unwrap_err().text();
    assert!(error.en.contains("fewer than") && error.en.contains("put the newer folder back"), "{}", error.en);
    assert!(error.zh.contains("短于") && error.zh.contains("请恢复较新的台账目录"), "{}", error.zh);
    // What the requesters hold says the same.
    let (_, last) = receipts.last().unwrap();
    assert!(judge(last, &Question { keys: &keys, witnesses: &[], earlier: None, against: Some(&config.folder) }).reason.is_some());
    // Drill 3: the folder is gone, the copy is not: no new history begins.
    fs::remove_dir_all(&config.folder).unwrap();
    assert!(refused(Ledger::open(&config, true)).contains("fewer than"));
}
