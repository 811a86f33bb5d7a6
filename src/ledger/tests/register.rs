//! The register says what the log says, whatever it goes through; where it cannot, the log answers.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::super::register::{self, Broken, Reader, Row, Store};
use super::super::{Register, inbox, query};
use super::*;
use query::{Filter, Record};
use serde_json::value::to_raw_value;

const REQUESTERS: [&str; 3] = ["housing-app", "tax-app", "case-app"];
const RESOURCES: [&str; 4] = ["mca.marriage", "psb.population", "psb.vehicles", "mca.divisions"];
const SCENARIOS: [&str; 2] = ["housing", "review"];
const FORMS: [&str; 3] = ["reveal", "mask", "pseudonymise"];

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

fn registered(place: &Place) -> Config {
    Config { register: Register::Sqlite, ..place.config() }
}

/// Shares granted, denied and settled, of few values each so that filters find some.
fn fill(ledger: &Ledger, count: usize, dice: &mut Dice) {
    let mut open = Vec::new();
    for n in 0..count {
        let id = format!("{:032x}", n + dice.roll(1 << 20) * 100_000);
        let subject = format!("hmac-sha256:00000000:{:064x}", dice.roll(20));
        let case = format!("2026-{}", dice.roll(50));
        let items = BTreeMap::from([("name", dice.one(&FORMS)), (dice.one(&["id_number", "status"]), dice.one(&FORMS))]);
        let policies = ["base", dice.one(&["p-1", "p-2"])];
        let (items, policies) = (to_raw_value(&items).unwrap(), to_raw_value(&policies).unwrap());
        let denied = dice.roll(5) == 0;
        let share = Share {
            id: &id,
            requester: Some(dice.one(&REQUESTERS)),
            department: Some("housing"),
            provider: Some("mca"),
            resource: Some(dice.one(&RESOURCES)),
            scenario: (dice.roll(4) > 0).then(|| dice.one(&SCENARIOS)),
            case: Some(&case),
            subject: Some(&subject),
            grant: Some(dice.one(&["g-1", "g-2"])),
            items: (!denied).then_some(&items),
            policies: Some(&policies),
            code: denied.then_some("policy_denied"),
            ..Share::default()
        };
        let committed = wait(ledger.append(share.draft().unwrap()).unwrap()).unwrap();
        if !denied {
            open.push(committed.index);
        }
        if dice.roll(3) > 0 && !open.is_empty() {
            let receipt_of = open.remove(dice.roll(open.len()));
            let items = to_raw_value(&BTreeMap::from([("name", BTreeMap::from([(dice.one(&FORMS), 2)]))])).unwrap();
            let (records, bytes) = (Some(2), Some(300));
            let settled = Settled { id: &id, receipt_of, outcome: "complete", records, bytes, items: Some(&items), ..Settled::default() };
            ledger.reserve().unwrap().settle(settled.draft().unwrap(), None);
        }
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = crate::sys::instant();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the register holds all that there is now.
fn caught_up(ledger: &Ledger, config: &Config) {
    let size = all(&config.folder).len() as u64;
    until("the register catches up", || {
        ledger.register().is_some_and(|state| state.size >= size) && Reader::open(&config.folder).unwrap().is_some()
    });
}

fn found(config: &Config, reader: Option<&Reader>, filter: &Filter, from: u64, limit: usize) -> Vec<Record> {
    let mut records = Vec::new();
    let broken = query::find(&config.folder, reader, filter, from, |record| {
        records.push(record);
        if records.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(broken.unwrap(), None);
    records
}

fn any_filter(dice: &mut Dice, times: &[Timestamp]) -> Filter {
    let mut filter = Filter::default();
    let mut add = |dice: &mut Dice, name, values: &[&str]| {
        if dice.roll(4) == 0 {
            filter.members.push((name, dice.one(values).to_owned()));
        }
    };
    add(dice, "requester", &REQUESTERS);
    add(dice, "resource", &RESOURCES);
    add(dice, "scenario", &SCENARIOS);
    add(dice, "kind", &["share.granted", "share.settled", "share.denied", "ledger.read", "nothing"]);
    add(dice, "grant", &["g-1", "g-2", "g-3"]);
    add(dice, "code", &["policy_denied", "not_shared"]);
    add(dice, "case", &["2026-1", "2026-2", "2026-99"]);
    let mut some = |values: &[&str]| (dice.roll(5) == 0).then(|| dice.one(values).to_owned());
    filter.item = some(&["name", "status", "absent"]);
    filter.form = some(&["reveal", "mask", "compare"]);
    filter.policy = some(&["p-1", "base", "p-3"]);
    if dice.roll(4) == 0 {
        filter.subject = Some((0..2).map(|_| format!("hmac-sha256:00000000:{:064x}", dice.roll(25))).collect());
    }
    if dice.roll(3) == 0 {
        filter.since = Some(times[dice.roll(times.len())]);
    }
    if dice.roll(3) == 0 {
        filter.until = Some(times[dice.roll(times.len())]);
    }
    filter
}

#[test]
fn every_query_finds_the_same_with_and_without_the_register() {
    let (place, mut dice) = (Place::new(), Dice(7));
    let config = registered(&place);
    let ledger = Ledger::open(&config, true).unwrap();
    fill(&ledger, 700, &mut dice);
    caught_up(&ledger, &config);
    let reader = Reader::open(&config.folder).unwrap().unwrap();
    // These come after what the reader sees: they are read from the log.
    fill(&ledger, 100, &mut dice);
    drop(ledger);
    let records = all(&config.folder);
    let times: Vec<Timestamp> = records.iter().map(|record| Row::read(0, record.leaf, &record.entry).time).collect();
    let (mut some, mut none) = (0, 0);
    for _ in 0..150 {
        let filter = any_filter(&mut dice, &times);
        let (from, limit) = (dice.roll(records.len()) as u64 / 2, 1 + dice.roll(400));
        let plain: Vec<&Record> = records.iter().filter(|record| record.index >= from && filter.fits(&record.entry)).collect();
        let expected: Vec<Record> = plain.iter().take(limit).copied().cloned().collect();
        assert_eq!(found(&config, Some(&reader), &filter, from, limit), expected, "{filter:?}");
        assert_eq!(found(&config, None, &filter, from, limit), expected, "{filter:?}");
        assert_eq!(query::count(&config.folder, Some(&reader), &filter, from).unwrap(), plain.len() as u64, "{filter:?}");
        if expected.is_empty() { none += 1 } else { some += 1 }
    }
    assert!(some > 25 && none > 20, "{some} {none}");
    assert_eq!(register::check(&config.folder, |_| {}).unwrap(), None);
    for record in &records {
        let plain = query::show(&config.folder, record.index).unwrap();
        assert_eq!(query::show_registered(&config.folder, Some(&reader), record.index).unwrap(), plain);
    }
}

#[test]
fn a_register_that_differs_from_the_log_is_found_at_its_entry() {
    let place = Place::new();
    let config = registered(&place);
    let ledger = Ledger::open(&config, true).unwrap();
    fill(&ledger, 300, &mut Dice(3));
    caught_up(&ledger, &config);
    drop(ledger);
    assert_eq!(register::check(&config.folder, |_| {}).unwrap(), None);
    let path = config.folder.join("register.sqlite");
    let kept = fs::read(&path).unwrap();
    let settled: u64 = {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.query_row("SELECT idx FROM entries WHERE receipt_of IS NOT NULL LIMIT 1", [], |row| row.get::<_, i64>(0)).unwrap()
    }
    .try_into()
    .unwrap();
    let cases = [
        ("UPDATE entries SET requester = (SELECT max(id) FROM words) WHERE idx = 17", 17),
        ("UPDATE entries SET time = time + 1 WHERE idx = 5", 5),
        ("UPDATE entries SET subject = 4 WHERE idx = 9 OR idx = 8", 8),
        ("DELETE FROM entries WHERE idx = 11", 11),
        ("UPDATE entries SET records = 99 WHERE settled = (SELECT min(idx) FROM entries WHERE receipt_of IS NOT NULL)", settled),
    ];
    for (change, index) in cases {
        fs::write(&path, &kept).unwrap();
        rusqlite::Connection::open(&path).unwrap().execute(change, []).unwrap();
        let found = register::check(&config.folder, |_| {}).unwrap();
        assert_eq!(found.as_ref().map(|(index, _)| *index), Some(index), "{change}: {found:?}");
    }
}

#[test]
fn a_broken_register_stops_nothing_and_is_made_anew() {
    let place = Place::new();
    let config = registered(&place);
    drop(Ledger::open(&config, true).unwrap());
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(config.folder.join(format!("register.sqlite{suffix}")));
    }
    fs::write(config.folder.join("register.sqlite"), vec![b'x'; 8192]).unwrap();
    assert!(Reader::open(&config.folder).is_err());
    let ledger = Ledger::open(&config, false).unwrap();
    fill(&ledger, 50, &mut Dice(5));
    until("made anew", || matches!(Reader::open(&config.folder), Ok(Some(_))));
    caught_up(&ledger, &config);
    until("healthy again", || ledger.register().unwrap().broken.is_none());
    assert_eq!(register::check(&config.folder, |_| {}).unwrap(), None);
}

#[test]
fn a_register_that_cannot_be_made_stops_nothing_and_is_told() {
    let place = Place::new();
    let config = registered(&place);
    drop(Ledger::open(&Config { register: Register::Off, ..config.clone() }, true).unwrap());
    fs::create_dir(config.folder.join("register.sqlite")).unwrap();
    let ledger = Ledger::open(&config, false).unwrap();
    fill(&ledger, 20, &mut Dice(5));
    until("told", || ledger.register().unwrap().broken.is_some());
    assert_eq!(ledger.health(), Health::Ok);
}

#[test]
fn the_register_of_another_history_is_not_believed() {
    let (place, other) = (Place::new(), Place::new());
    let (config, theirs) = (registered(&place), registered(&other));
    for (config, seed) in [(&config, 1), (&theirs, 2)] {
        let ledger = Ledger::open(config, true).unwrap();
        fill(&ledger, 60, &mut Dice(seed));
        caught_up(&ledger, config);
    }
    fs::copy(theirs.folder.join("register.sqlite"), config.folder.join("register.sqlite")).unwrap();
    assert!(Reader::open(&config.folder).unwrap_err().why.contains("is not the log's"));
    let ledger = Ledger::open(&config, false).unwrap();
    until("made anew", || matches!(Reader::open(&config.folder), Ok(Some(_))));
    caught_up(&ledger, &config);
    assert_eq!(register::check(&config.folder, |_| {}).unwrap(), None);
}

#[test]
fn it_is_made_anew_on_demand_whether_the_ledger_is_open_or_not() {
    let place = Place::new();
    let config = registered(&place);
    let ledger = Ledger::open(&config, true).unwrap();
    fill(&ledger, 60, &mut Dice(1));
    caught_up(&ledger, &config);
    register::rebuild(&config.folder, |_, _| true).unwrap();
    assert!(!config.folder.join("register.rebuild").exists());
    assert_eq!(register::check(&config.folder, |_| {}).unwrap(), None);
    drop(ledger);
    fs::remove_file(config.folder.join("register.sqlite")).unwrap();
    assert!(Reader::open(&config.folder).unwrap().is_none());
    register::rebuild(&config.folder, |_, _| true).unwrap();
    assert_eq!(Reader::open(&config.folder).unwrap().unwrap().end(), all(&config.folder).len() as u64);
    assert_eq!(register::check(&config.folder, |_| {}).unwrap(), None);
}

/// A store that is away now and then, once after it has taken what it was given.
struct Flaky {
    taken: Vec<u64>,
    rounds: usize,
}

impl Store for Flaky {
    fn end(&self) -> u64 {
        self.taken.len() as u64
    }

    fn prune(&mut self, minimum: u64) -> Result<(), Broken> {
        assert_eq!(minimum, 0);
        Ok(())
    }

    fn add(&mut self, rows: &[Row<'_>]) -> Result<(), Broken> {
        self.rounds += 1;
        if self.rounds.is_multiple_of(2) {
            return Err(rusqlite::Error::InvalidQuery.into());
        }
        self.taken.extend(rows.iter().map(|row| row.index));
        if self.rounds == 3 { Err(rusqlite::Error::InvalidQuery.into()) } else { Ok(()) }
    }

    fn caught_up(&mut self) -> Result<(), Broken> {
        Ok(())
    }
}

#[test]
fn feeding_goes_on_after_any_outage_without_loss_or_repetition() {
    let place = Place::new();
    let config = place.config();
    let ledger = Ledger::open(&config, true).unwrap();
    let stops: Vec<_> = (0..20_000).map(|_| ledger.append(stopped()).unwrap()).collect();
    stops.into_iter().for_each(|pending| assert!(wait(pending).is_ok()));
    drop(ledger);
    let mut store = Flaky { taken: Vec::new(), rounds: 0 };
    let mut outages = 0;
    while register::catch_up(&config.folder, &mut store, |_, _| true).is_err() {
        outages += 1;
        assert!(outages < 50);
    }
    assert!(outages >= 3, "{outages}");
    assert_eq!(store.taken, (0..20_000).collect::<Vec<u64>>());
}

#[test]
fn an_administrative_entry_is_found_by_its_kind() {
    let place = Place::new();
    let config = registered(&place);
    let ledger = Ledger::open(&config, true).unwrap();
    let id = inbox::Administrative::new("ledger.read", "an audit").leave(&config.folder).unwrap();
    until("recorded", || all(&config.folder).len() == 1);
    caught_up(&ledger, &config);
    let reader = Reader::open(&config.folder).unwrap().unwrap();
    for member in [("kind", "ledger.read"), ("id", &*id)] {
        let filter = Filter { members: vec![(member.0, member.1.to_owned())], ..Filter::default() };
        assert_eq!(found(&config, Some(&reader), &filter, 0, 9).len(), 1);
    }
}

#[test]
fn what_was_pruned_leaves_the_register_too() {
    let place = Place::new();
    let config = registered(&place);
    let ledger = Ledger::open(&config, true).unwrap();
    fill(&ledger, 500, &mut Dice(4));
    caught_up(&ledger, &config);
    drop(ledger);
    let kept: Vec<Record> = all(&config.folder).into_iter().filter(|record| record.index >= 512).collect();
    fs::write(config.folder.join("minimum"), "512\n").unwrap();
    for n in 0..2 {
        fs::remove_file(config.folder.join(format!("tile/entries/{n:03}"))).unwrap();
    }
    let asked = |reader: Option<&Reader>| found(&config, reader, &Filter::default(), 0, usize::MAX);
    let reader = Reader::open(&config.folder).unwrap().unwrap();
    assert_eq!((asked(Some(&reader)), asked(None)), (kept.clone(), kept.clone()));
    drop(reader);
    let ledger = Ledger::open(&config, false).unwrap();
    caught_up(&ledger, &config);
    drop(ledger);
    // As it is after pruning, and made anew: it begins with what is kept.
    for _ in 0..2 {
        let reader = Reader::open(&config.folder).unwrap().unwrap();
        let everything = Filter::default();
        assert_eq!(reader.count(&everything, 0).unwrap(), (reader.end() - 512, reader.end()));
        assert_eq!(asked(Some(&reader)), all(&config.folder));
        assert_eq!(register::check(&config.folder, |_| {}).unwrap(), None);
        drop(reader);
        register::rebuild(&config.folder, |_, _| true).unwrap();
    }
}
