//! Every recorded decision under a candidate, on all processors: one thread reads the ledger, the others decide.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::change::{self, Change, Group, Now};
use super::{Cannot, Recorded};
use crate::identity::parties::Parties;
use crate::ledger::query::{self, Record};
use crate::snapshot::Snapshot;
use crate::written::Problems;

/// Entries that go from the reader to a worker at once.
const BATCH: usize = 512;
/// Batches under way for each worker.
const AHEAD: usize = 4;

/// Which entries are replayed, by their `time`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range {
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// What a candidate would change.
#[derive(Debug, Default)]
pub struct Report {
    /// Entries of calls in the range.
    pub calls: u64,
    /// Those that were decided again.
    pub replayed: u64,
    /// Calls that stand behind a folded entry beside the one that it holds: what they were for is not recorded.
    pub folded: u64,
    /// What differs, each with its entries, ascending.
    pub changes: BTreeMap<Group, Vec<u64>>,
    /// What could not be replayed: why, and the entries.
    pub left: BTreeMap<(&'static str, String), Vec<u64>>,
}

impl Report {
    /// Whether somebody would see more than before.
    pub fn widens(&self) -> bool {
        self.changes.keys().any(|group| group.change.widens())
    }

    /// How many calls differ in this way.
    pub fn count(&self, change: Change) -> usize {
        let of = self.changes.iter().filter(|(group, _)| group.change == change);
        of.flat_map(|(_, entries)| entries).collect::<BTreeSet<_>>().len()
    }

    fn merge(&mut self, other: Self) {
        self.calls += other.calls;
        self.replayed += other.replayed;
        self.folded += other.folded;
        for (group, entries) in other.changes {
            self.changes.entry(group).or_default().extend(entries);
        }
        for (reason, entries) in other.left {
            self.left.entry(reason).or_default().extend(entries);
        }
    }

    fn take(&mut self, index: u64, recorded: &Recorded<'_>, candidate: &Candidate<'_>) {
        self.calls += 1;
        self.folded += recorded.count.map_or(0, |count| count.saturating_sub(1));
        let now = match candidate.decide(recorded) {
            Ok(now) => now,
            Err(Cannot::Gone(code)) => Now::Refused(code),
            Err(cannot) => {
                let code = recorded.outcome().to_owned();
                return self.left.entry((cannot.word(), code)).or_default().push(index);
            }
        };
        self.replayed += 1;
        for group in change::compare(recorded, &now) {
            self.changes.entry(group).or_default().push(index);
        }
    }
}

/// The candidate, and who was registered with which roles when the entries were written.
struct Candidate<'c> {
    snapshot: &'c Snapshot,
    ledger: &'c Path,
    parties: Mutex<HashMap<String, Option<Arc<Parties>>>>,
}

impl Candidate<'_> {
    fn decide(&self, recorded: &Recorded<'_>) -> Result<Now, Cannot> {
        let then = self.parties(recorded.snapshot.as_deref());
        let registered = then.as_ref().and_then(|parties| Some(&parties.requesters.get(recorded.requester.as_deref()?)?.value.roles));
        let supposed = recorded.supposed(self.snapshot, registered)?;
        Ok(change::decide(&self.snapshot.policies, &supposed, self.snapshot.world()))
    }

    /// The parties of the snapshot that an entry names; none where they cannot be read.
    fn parties(&self, digest: Option<&str>) -> Option<Arc<Parties>> {
        let hex = digest?.strip_prefix("sha256:").filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let mut known = self.parties.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parties) = known.get(hex) {
            return parties.clone();
        }
        let folder = self.ledger.join("snapshots").join(hex);
        let read = |name: &'static str| std::fs::read_to_string(folder.join(name)).ok().map(|text| (name, text));
        let files = ["departments.toml", "requesters.toml", "regions.toml"].map(read);
        let file = |at: usize| files.get(at).and_then(Option::as_ref).map(|(name, text)| (*name, text.as_str()));
        let problems = Problems::default();
        let parties = Parties::load(file(0), file(1), file(2), &problems);
        let parties = problems.is_ok().then(|| Arc::new(parties));
        known.insert(hex.to_owned(), parties.clone());
        parties
    }
}

/// Replays the ledger's decisions under `candidate`. `progress` hears now and then how many entries were read.
pub fn replay(ledger: &Path, candidate: &Snapshot, range: Range, progress: &(dyn Fn(u64) + Sync)) -> io::Result<Report> {
    let candidate = Candidate { snapshot: candidate, ledger, parties: Mutex::default() };
    let reports = each(ledger, range, progress, |report: &mut Report, index, recorded| report.take(index, recorded, &candidate))?;
    let mut report = Report::default();
    reports.into_iter().for_each(|part| report.merge(part));
    report.changes.values_mut().chain(report.left.values_mut()).for_each(|entries| entries.sort_unstable());
    Ok(report)
}

/// Gives every recorded call in the range to `take`, on all processors; what each thread gathered comes back.
pub(super) fn each<T: Default + Send>(
    ledger: &Path,
    range: Range,
    progress: &(dyn Fn(u64) + Sync),
    take: impl Fn(&mut T, u64, &Recorded<'_>) + Sync,
) -> io::Result<Vec<T>> {
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (send, receive) = sync_channel::<Vec<Record>>(workers * AHEAD);
    // The workers alone hold the receiving end: should they all die, sending fails and does not wait for ever.
    let receive = Arc::new(Mutex::new(receive));
    let take = &take;
    std::thread::scope(|scope| {
        let receivers = std::iter::repeat_n(receive, workers);
        let threads: Vec<_> = receivers.map(|receive| scope.spawn(move || work(&receive, range, take))).collect();
        let mut batch = Vec::with_capacity(BATCH);
        let mut seen = 0;
        let read = query::read(ledger, 0, |record| {
            batch.push(record);
            seen += 1;
            if batch.len() < BATCH {
                return ControlFlow::Continue(());
            }
            progress(seen);
            // Nobody receives any more only when a worker has died, and joining tells of that.
            match send.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        let _ = send.send(batch);
        drop(send);
        progress(seen);
        let gathered = threads.into_iter().map(|thread| thread.join().map_err(|_| io::Error::other("a thread of the replay died")));
        read.and(gathered.collect())
    })
}

fn work<T: Default>(receive: &Mutex<Receiver<Vec<Record>>>, range: Range, take: &impl Fn(&mut T, u64, &Recorded<'_>)) -> T {
    let mut gathered = T::default();
    loop {
        let received = receive.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = received else { return gathered };
        for record in &batch {
            let Some(recorded) = Recorded::read(&record.entry) else { continue };
            if range.holds(&recorded) {
                take(&mut gathered, record.index, &recorded);
            }
        }
    }
}

impl Range {
    fn holds(&self, recorded: &Recorded<'_>) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let Ok(time) = recorded.time.parse::<Timestamp>() else { return true };
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time < until)
    }
}
