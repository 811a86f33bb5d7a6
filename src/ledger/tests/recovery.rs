//! Processes that die, files that go missing, histories that are not ours.

use super::*;

#[test]
fn a_ledger_is_never_begun_by_accident() {
    let place = Place::new();
    let config = place.config();
    assert!(matches!(Ledger::open(&config, false), Err(OpenError::Missing { .. })));
    drop(Ledger::open(&config, true).unwrap());
    drop(Ledger::open(&config, true).unwrap());
    fs::remove_file(config.folder.join("checkpoint")).unwrap();
    assert!(refused(Ledger::open(&config, true)).contains("checkpoint is missing"));
    assert!(refused(Ledger::open(&config, false)).contains("checkpoint is missing"));
}

#[test]
fn two_writers_on_one_folder_are_refused() {
    let place = Place::new();
    let ledger = Ledger::open(&place.config(), true).unwrap();
    assert!(refused(Ledger::open(&place.config(), false)).contains("another process"));
    drop(ledger);
    drop(Ledger::open(&place.config(), false).unwrap());
}

#[test]
fn killed_between_journal_and_tiles_nothing_acknowledged_is_lost() {
    let place = Place::new();
    let ledger = Ledger::open(&place.unpublished(), true).unwrap();
    let done: Vec<_> = (0..700).map(|n| wait(ledger.append(granted(&format!("{n:032x}"))).unwrap()).unwrap()).collect();
    ledger.reserve().unwrap().settle(settled(3), None);
    wait(ledger.append(stopped()).unwrap()).unwrap();
    let config = place.killed();
    // Before the restart the journal is read beside the tiles.
    assert_eq!(all(&config.folder).len(), 702);
    assert_eq!(verify::verify(&config.folder, &verify::Options::default()).unwrap().first_bad, None);
    let again = Arc::new(Ledger::open(&config, false).unwrap());
    assert_eq!(again.closed_unknown(), 699);
    again.close();
    let records = all(&config.folder);
    assert_eq!(records.len(), 702 + 699);
    for committed in &done {
        assert_eq!(records[usize::try_from(committed.index).unwrap()].leaf, committed.leaf);
    }
    let report = verify::verify(&config.folder, &verify::Options::default()).unwrap();
    assert_eq!((report.size, report.first_bad), (1401, None));
    // Closed once: the next start finds nothing open.
    drop(again);
    assert_eq!(Ledger::open(&config, false).unwrap().closed_unknown(), 0);
}

#[test]
fn a_tail_torn_at_any_byte_loses_the_torn_batch_alone() {
    let place = Place::new();
    let ledger = Ledger::open(&place.unpublished(), true).unwrap();
    wait(ledger.append(granted("aa")).unwrap()).unwrap();
    let before = place.killed();
    wait(ledger.append(granted("bb")).unwrap()).unwrap();
    let after = place.killed();
    let segment = |config: &Config| super::super::journal::segments(&config.folder).unwrap().pop().unwrap().1;
    let (old, new) = (fs::read(segment(&before)).unwrap(), fs::read(segment(&after)).unwrap());
    let changed: Vec<usize> = (0..new.len()).filter(|at| old[*at] != new[*at]).collect();
    let (from, to) = (changed[0], changed[changed.len() - 1]);
    let mut config = before;
    for cut in from..=to {
        let torn = [&new[..cut], &old[cut..]].concat();
        config.folder = place.0.join("torn");
        let _ = fs::remove_dir_all(&config.folder);
        copy(&place.config().folder, &config.folder);
        fs::write(segment(&config), torn).unwrap();
        let ledger = Arc::new(Ledger::open(&config, false).unwrap());
        assert_eq!(ledger.closed_unknown(), 1, "cut at {cut}");
        ledger.close();
        assert_eq!(verify::verify(&config.folder, &verify::Options::default()).unwrap().first_bad, None, "cut at {cut}");
    }
}

#[test]
fn damage_before_acknowledged_entries_is_refused_and_not_cut_off() {
    let place = Place::new();
    let ledger = Ledger::open(&place.unpublished(), true).unwrap();
    for id in ["aa", "bb", "cc"] {
        wait(ledger.append(granted(id)).unwrap()).unwrap();
    }
    let config = place.killed();
    let segment = super::super::journal::segments(&config.folder).unwrap().pop().unwrap().1;
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(4).position(|id| id == b"\"bb\"").unwrap();
    bytes[at + 1] = b'x';
    fs::write(&segment, bytes).unwrap();
    assert!(refused(Ledger::open(&config, false)).contains("acknowledged"));
    assert!(verify::verify(&config.folder, &verify::Options::default()).unwrap().first_bad.is_some());
}

#[test]
fn a_journal_that_is_missing_old_or_anothers_is_refused() {
    let (place, other) = (Place::new(), Place::new());
    for place in [&place, &other] {
        let ledger = Arc::new(Ledger::open(&place.config(), true).unwrap());
        wait(ledger.append(stopped()).unwrap()).unwrap();
        ledger.close();
    }
    let config = place.killed();
    fs::remove_dir_all(config.folder.join("journal")).unwrap();
    copy(&other.config().folder.join("journal"), &config.folder.join("journal"));
    assert!(refused(Ledger::open(&config, false)).contains("another log"));
    fs::remove_dir_all(config.folder.join("journal")).unwrap();
    fs::create_dir(config.folder.join("journal")).unwrap();
    assert!(refused(Ledger::open(&config, false)).contains("journal is missing"));
    other.mint("ledger.key");
    assert!(refused(Ledger::open(&other.config(), false)).contains("not signed"));
}

#[test]
fn a_log_shorter_than_or_unlike_the_checkpoint_copy_is_refused() {
    let place = Place::new();
    let config = Config { checkpoint_copy: Some(place.0.join("copy")), ..place.config() };
    drop(Ledger::open(&config, true).unwrap());
    let short = place.killed();
    let ledger = Arc::new(Ledger::open(&config, false).unwrap());
    for _ in 0..300 {
        wait(ledger.append(stopped()).unwrap()).unwrap();
    }
    ledger.close();
    drop(ledger);
    drop(Ledger::open(&config, false).unwrap());
    let short = Config { checkpoint_copy: config.checkpoint_copy.clone(), ..short };
    assert!(refused(Ledger::open(&short, false)).contains("fewer than the 300"));
    // As long, but another history.
    let ledger = Arc::new(Ledger::open(&Config { checkpoint_copy: None, ..short.clone() }, false).unwrap());
    for _ in 0..600 {
        wait(ledger.append(stopped()).unwrap()).unwrap();
    }
    ledger.close();
    drop(ledger);
    assert!(refused(Ledger::open(&short, false)).contains("inconsistent"));
    fs::remove_dir_all(&config.folder).unwrap();
    assert!(refused(Ledger::open(&config, true)).contains("fewer than the 300"));
}

#[test]
fn a_clock_that_went_back_does_not_turn_the_log_back() {
    let place = Place::new();
    let ledger = Ledger::open(&place.unpublished(), true).unwrap();
    wait(ledger.append(stopped()).unwrap()).unwrap();
    let config = place.killed();
    let signer = super::super::keys::Signer::read(&config.name, &config.key).unwrap();
    let mut draft = stopped();
    draft.set_time(b"2999-01-01T00:00:00.000000Z");
    let mut batch = super::super::journal::Batch { first: 1, ..Default::default() };
    batch.push(&draft.bytes);
    let mut frame = Vec::new();
    super::super::journal::write_batch(&mut frame, &signer.log_id(), &batch).unwrap();
    let segment = super::super::journal::segments(&config.folder).unwrap().pop().unwrap().1;
    let mut bytes = fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(64);
    bytes[end..end + frame.len()].copy_from_slice(&frame);
    fs::write(&segment, bytes).unwrap();
    let ledger = Arc::new(Ledger::open(&config, false).unwrap());
    assert_eq!(wait(ledger.append(stopped()).unwrap()).unwrap().time.to_string(), "2999-01-01T00:00:00Z");
    ledger.close();
    assert_eq!(verify::verify(&config.folder, &verify::Options::default()).unwrap().first_bad, None);
}
