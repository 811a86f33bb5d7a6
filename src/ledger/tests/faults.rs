//! Disks that fail: each fault once with what was written lost and once with it kept.

use std::io;
use std::sync::{Condvar, Mutex};

use rustix::io::Errno;

use super::super::volume::{Files, Segment, Volume};
use super::*;

/// What the disk does wrong next, until it is well again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault {
    at: At,
    errno: Errno,
    kept: Kept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Write,
    Sync,
    Segment,
    Put,
    Records,
    Settle,
    Replace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Nothing,
    Half,
    All,
}

/// I/O error, full disk, quota, a filesystem that was remounted read-only.
const ERRNOS: [Errno; 4] = [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS];

#[derive(Default)]
struct Plan {
    fault: Mutex<Option<Fault>>,
    hangs: Mutex<bool>,
    released: Condvar,
}

struct BadDisk(Arc<Plan>);
struct BadSegment {
    inner: Box<dyn Segment>,
    plan: Arc<Plan>,
    /// Where the last write went, and how long it was.
    last: (u64, usize),
}

impl Plan {
    fn set(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    fn hang(&self, hangs: bool) {
        *self.hangs.lock().unwrap() = hangs;
        self.released.notify_all();
    }

    fn wait(&self) {
        drop(self.released.wait_while(self.hangs.lock().unwrap(), |hangs| *hangs).unwrap());
    }

    /// Does the work, or not, and then fails, if this is the place.
    fn at<T>(&self, at: At, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.fault.lock().unwrap().filter(|fault| fault.at == at) {
            None => work(),
            Some(fault) => {
                if fault.kept == Kept::All {
                    work()?;
                }
                Err(fault.errno.into())
            }
        }
    }
}

impl Segment for BadSegment {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.last = (offset, bytes.len());
        let half = self.plan.fault.lock().unwrap().is_some_and(|fault| fault.at == At::Write && fault.kept == Kept::Half);
        if half {
            self.inner.write(&bytes[..bytes.len() / 2], offset)?;
        }
        self.plan.at(At::Write, || self.inner.write(bytes, offset))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.plan.wait();
        let lost = self.plan.fault.lock().unwrap().is_some_and(|fault| fault.at == At::Sync && fault.kept == Kept::Nothing);
        if lost {
            // What never reached the disk is not there after the loss of power.
            self.inner.write(&vec![0; self.last.1], self.last.0)?;
        }
        self.plan.at(At::Sync, || self.inner.sync())
    }
}

impl Volume for BadDisk {
    fn segment(&self, path: &Path, length: u64, head: &[u8]) -> io::Result<Box<dyn Segment>> {
        let inner = self.0.at(At::Segment, || Files.segment(path, length, head))?;
        Ok(Box::new(BadSegment { inner, plan: self.0.clone(), last: (0, 0) }))
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0.at(At::Put, || Files.put(path, bytes))
    }

    fn put_records(&self, path: &Path, records: &[(u64, &[u8; 32])]) -> io::Result<()> {
        self.0.at(At::Records, || Files.put_records(path, records))
    }

    fn settle(&self, root: &Path, paths: &[PathBuf]) -> io::Result<()> {
        self.0.at(At::Settle, || Files.settle(root, paths))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0.at(At::Replace, || Files.replace(path, bytes))
    }
}

fn on_bad_disk(config: &Config) -> (Arc<Ledger>, Arc<Plan>) {
    let plan = Arc::new(Plan::default());
    let ledger = Ledger::open_on(config, true, Duration::ZERO, Arc::new(BadDisk(plan.clone()))).unwrap();
    (Arc::new(ledger), plan)
}

/// One acknowledged entry, then the fault, then a disk that is well again: whatever was kept is in the next life, closed.
fn stays_poisoned(fault: Fault, kept: u64) {
    let place = Place::new();
    let (ledger, plan) = on_bad_disk(&place.unpublished());
    let first = wait(ledger.append(granted("aa")).unwrap()).unwrap();
    let settling = ledger.reserve().unwrap();
    plan.set(Some(fault));
    assert_eq!(wait(ledger.append(granted("bb")).unwrap()).err(), Some(Unavailable::Poisoned), "{fault:?}");
    // A sync that succeeds afterwards proves nothing: the kernel has marked the pages clean.
    plan.set(None);
    assert!(matches!(ledger.append(granted("cc")), Err(Unavailable::Poisoned)));
    assert!(ledger.reserve().is_err());
    settling.settle(settled(first.index), None);
    let told = io::Error::from(fault.errno).to_string();
    assert!(
        matches!(ledger.health(), Health::Poisoned { path, error } if path.ends_with("journal/00000000000000000000.seg") && error == told)
    );
    ledger.close();
    drop(ledger);
    let again = Arc::new(Ledger::open(&place.config(), false).unwrap());
    assert_eq!(again.closed_unknown(), 1 + kept, "{fault:?}");
    again.close();
    assert_eq!(all(&place.config().folder)[0].leaf, first.leaf);
    assert_eq!(verify::verify(&place.config().folder, &verify::Options::default()).unwrap().first_bad, None);
}

#[test]
fn a_write_that_fails_poisons_until_restart_whatever_was_kept() {
    for errno in ERRNOS {
        for (kept, entries) in [(Kept::Nothing, 0), (Kept::Half, 0), (Kept::All, 1)] {
            stays_poisoned(Fault { at: At::Write, errno, kept }, entries);
        }
    }
}

#[test]
fn a_sync_that_fails_poisons_until_restart_whatever_was_kept() {
    for errno in ERRNOS {
        for (kept, entries) in [(Kept::Nothing, 0), (Kept::All, 1)] {
            stays_poisoned(Fault { at: At::Sync, errno, kept }, entries);
        }
    }
}

#[test]
fn a_journal_file_that_cannot_be_begun_refuses_and_loses_nothing() {
    for errno in ERRNOS {
        for kept in [Kept::Nothing, Kept::All] {
            let place = Place::new();
            let (ledger, plan) = on_bad_disk(&place.unpublished());
            plan.set(Some(Fault { at: At::Segment, errno, kept }));
            let mut last = 0;
            let error = loop {
                match ledger.append(stopped()).map(wait) {
                    Ok(Ok(committed)) => last = committed.index,
                    Ok(Err(error)) | Err(error) => break error,
                }
            };
            assert_eq!(error, Unavailable::Poisoned);
            assert!(matches!(ledger.health(), Health::Poisoned { error, .. } if error == io::Error::from(errno).to_string()));
            ledger.close();
            drop(ledger);
            drop(Ledger::open(&place.config(), false).unwrap());
            assert_eq!(all(&place.config().folder).len() as u64, last + 1);
        }
    }
}

#[test]
fn whatever_of_tiles_and_checkpoint_cannot_be_written_poisons_too_and_is_made_up_for() {
    for at in [At::Put, At::Records, At::Settle, At::Replace] {
        for (errno, kept) in
            [(Errno::IO, Kept::Nothing), (Errno::NOSPC, Kept::All), (Errno::ROFS, Kept::Nothing), (Errno::DQUOT, Kept::All)]
        {
            let place = Place::new();
            let (ledger, plan) = on_bad_disk(&place.config());
            plan.set(Some(Fault { at, errno, kept }));
            let mut acknowledged = Vec::new();
            while let Ok(settling) = ledger.reserve() {
                match ledger.append(granted("aa")).map(wait) {
                    Ok(Ok(committed)) => {
                        settling.settle(settled(committed.index), Some([7; 32]));
                        acknowledged.push(committed);
                    }
                    Ok(Err(_)) | Err(_) => break,
                }
            }
            ledger.close();
            drop(ledger);
            let again = Arc::new(Ledger::open(&place.config(), false).unwrap());
            again.close();
            let records = all(&place.config().folder);
            for committed in acknowledged {
                assert_eq!(records[usize::try_from(committed.index).unwrap()].leaf, committed.leaf, "{at:?} {errno:?} {kept:?}");
            }
            assert_eq!(verify::verify(&place.config().folder, &verify::Options::default()).unwrap().first_bad, None);
        }
    }
}

#[test]
fn a_disk_that_hangs_is_waited_for_no_longer_than_said_and_goes_on_by_itself() {
    let place = Place::new();
    let (ledger, plan) = on_bad_disk(&Config { commit_timeout: Duration::from_millis(100), ..place.config() });
    let first = wait(ledger.append(granted("aa")).unwrap()).unwrap();
    let (one, two) = (ledger.reserve().unwrap(), ledger.reserve().unwrap());
    plan.hang(true);
    let (hung, behind) = (ledger.append(granted("bb")).unwrap(), ledger.append(granted("cc")).unwrap());
    assert_eq!(wait(hung).err(), Some(Unavailable::Stalled));
    assert_eq!(wait(behind).err(), Some(Unavailable::Stalled));
    assert_eq!(ledger.health(), Health::Stalled);
    assert!(matches!(ledger.append(granted("dd")), Err(Unavailable::Stalled)));
    assert!(matches!(ledger.reserve(), Err(Unavailable::Stalled)));
    // What was refused is settled as not made, in a place that was reserved.
    one.settle(settled(first.index), None);
    two.settle(settled(first.index + 1), None);
    plan.hang(false);
    let begun = crate::sys::instant();
    while ledger.health() != Health::Ok {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    wait(ledger.append(stopped()).unwrap()).unwrap();
    ledger.close();
    drop(ledger);
    assert_eq!(all(&place.config().folder).len(), 6, "nothing that had an index is lost");
    // The share that hung behind is still open: the next start closes it.
    assert_eq!(Ledger::open(&place.config(), false).unwrap().closed_unknown(), 1);
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
