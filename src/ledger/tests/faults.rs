//! Disks that fail: each fault once with the write lost and once with it kept.

use std::io;
use std::sync::atomic::AtomicU8;

use super::super::volume::{Files, Segment, Volume};
use super::*;

/// What the disk does next.
#[derive(Default)]
struct Plan(AtomicU8);

const WELL: u8 = 0;
const WRITE_LOST: u8 = 1;
const WRITE_CUT: u8 = 2;
const SYNC_LOST: u8 = 3;
const FULL: u8 = 4;
const TILES_LOST: u8 = 5;

struct BadDisk(Arc<Plan>);
struct BadSegment(Box<dyn Segment>, Arc<Plan>);

fn eio() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

impl Plan {
    fn set(&self, fault: u8) {
        self.0.store(fault, Ordering::SeqCst);
    }

    fn is(&self, fault: u8) -> bool {
        self.0.load(Ordering::SeqCst) == fault
    }
}

impl Segment for BadSegment {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.1.is(WRITE_LOST) {
            return Err(eio());
        }
        if self.1.is(WRITE_CUT) {
            self.0.write(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.0.write(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.1.is(SYNC_LOST) { Err(eio()) } else { self.0.sync() }
    }
}

impl Volume for BadDisk {
    fn segment(&self, path: &Path, length: u64, head: &[u8]) -> io::Result<Box<dyn Segment>> {
        if self.0.is(FULL) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()));
        }
        Ok(Box::new(BadSegment(Files.segment(path, length, head)?, self.0.clone())))
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if self.0.is(TILES_LOST) { Err(eio()) } else { Files.put(path, bytes) }
    }

    fn put_records(&self, path: &Path, records: &[(u64, &[u8; 32])]) -> io::Result<()> {
        Files.put_records(path, records)
    }

    fn settle(&self, root: &Path, paths: &[PathBuf]) -> io::Result<()> {
        Files.settle(root, paths)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        Files.replace(path, bytes)
    }
}

fn on_bad_disk(config: &Config) -> (Arc<Ledger>, Arc<Plan>) {
    let plan = Arc::new(Plan::default());
    let ledger = Ledger::open_on(config, true, Arc::new(BadDisk(plan.clone()))).unwrap();
    (Arc::new(ledger), plan)
}

/// One acknowledged entry, then the fault, then a disk that is well again: whatever was kept is in the next life, closed.
fn stays_poisoned(fault: u8, kept: u64) {
    let place = Place::new();
    let (ledger, plan) = on_bad_disk(&place.unpublished());
    let first = wait(ledger.append(granted("aa")).unwrap()).unwrap();
    let settling = ledger.reserve().unwrap();
    plan.set(fault);
    assert_eq!(wait(ledger.append(granted("bb")).unwrap()).err(), Some(Unavailable::Poisoned));
    plan.set(WELL);
    assert!(matches!(ledger.append(granted("cc")), Err(Unavailable::Poisoned)));
    assert!(ledger.reserve().is_err());
    settling.settle(settled(first.index), None);
    assert!(matches!(ledger.health(), Health::Poisoned { path, .. } if path.ends_with("journal/00000000000000000000.seg")));
    ledger.close();
    drop(ledger);
    let again = Arc::new(Ledger::open(&place.config(), false).unwrap());
    assert_eq!(again.closed_unknown(), 1 + kept);
    again.close();
    assert_eq!(all(&place.config().folder)[0].leaf, first.leaf);
    assert_eq!(verify::verify(&place.config().folder, &verify::Options::default()).unwrap().first_bad, None);
}

#[test]
fn a_lost_write_poisons_until_restart() {
    stays_poisoned(WRITE_LOST, 0);
}

#[test]
fn a_short_write_poisons_until_restart() {
    stays_poisoned(WRITE_CUT, 0);
}

#[test]
fn a_failed_sync_poisons_and_what_was_kept_after_all_is_closed() {
    stays_poisoned(SYNC_LOST, 1);
}

#[test]
fn a_full_disk_at_the_next_journal_file_refuses_and_loses_nothing() {
    let place = Place::new();
    let (ledger, plan) = on_bad_disk(&place.unpublished());
    plan.set(FULL);
    let mut last = 0;
    let error = loop {
        match ledger.append(stopped()).map(wait) {
            Ok(Ok(committed)) => last = committed.index,
            Ok(Err(error)) | Err(error) => break error,
        }
    };
    assert_eq!(error, Unavailable::Poisoned);
    assert!(matches!(ledger.health(), Health::Poisoned { error, .. } if error.contains("No space")));
    ledger.close();
    drop(ledger);
    drop(Ledger::open(&place.config(), false).unwrap());
    assert_eq!(all(&place.config().folder).len() as u64, last + 1);
}

#[test]
fn tiles_that_cannot_be_written_poison_too_and_are_made_up_for() {
    let place = Place::new();
    let (ledger, plan) = on_bad_disk(&place.config());
    plan.set(TILES_LOST);
    let mut acknowledged = 0;
    while let Ok(Ok(_)) = ledger.append(stopped()).map(wait) {
        acknowledged += 1;
    }
    ledger.close();
    drop(ledger);
    let again = Arc::new(Ledger::open(&place.config(), false).unwrap());
    again.close();
    assert!(all(&place.config().folder).len() >= acknowledged);
    assert_eq!(verify::verify(&place.config().folder, &verify::Options::default()).unwrap().first_bad, None);
}

#[test]
fn a_reserved_place_counts_and_closing_takes_no_more() {
    let place = Place::new();
    let (ledger, _) = on_bad_disk(&place.config());
    let places: Vec<_> = (0..65_536).map(|_| ledger.reserve().unwrap()).collect();
    assert!(matches!(ledger.append(stopped()), Err(Unavailable::Overloaded)));
    drop(places);
    wait(ledger.append(stopped()).unwrap()).unwrap();
    ledger.close();
    ledger.close();
    assert!(matches!(ledger.append(stopped()), Err(Unavailable::Closing)));
}
