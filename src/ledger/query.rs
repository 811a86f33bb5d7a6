//! Reading the ledger, gateway running or not: the register where there is one, for all that it knows, then the signed
//! log's bundles, then the journal's tail. The register only proposes; every entry comes from the log and is judged there.

mod filter;
mod tail;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use filter::Filter;

use super::entry::{Effect, Gist, time_text};
use super::journal::{entries, leaf};
use super::recover::is_granted;
use super::register::{Broken, Portion, Reader};
use super::tree::read_tile;
pub(super) use filter::Judged;

/// How often a reader starts over when the writer moved files under it.
const PATIENCE: usize = 20;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its index.
    pub index: u64,
    /// Its leaf.
    pub leaf: [u8; 32],
    /// Its exact bytes.
    pub entry: Vec<u8>,
}

/// Size of the signed log on disk, unverified: `verify` is for that.
pub(super) fn signed_size(folder: &Path) -> io::Result<u64> {
    let note = fs::read_to_string(folder.join("checkpoint"))?;
    note.lines().nth(1).and_then(|line| line.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The index of the first entry that is kept: those before it were pruned.
pub(super) fn minimum(folder: &Path) -> io::Result<u64> {
    match fs::read_to_string(folder.join("minimum")) {
        Err(error) if is_missing(&error) => Ok(0),
        other => other?.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "`minimum` cannot be read")),
    }
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// The journal beyond what was signed a moment ago. What leaves the journal meanwhile is under a later checkpoint.
fn journal(folder: &Path) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let mut attempts = 0;
    loop {
        let covered = signed_size(folder)?;
        match tail::batches(folder, covered) {
            Err(error) if is_missing(&error) && attempts < PATIENCE && folder.join("journal").exists() => attempts += 1,
            other => return other,
        }
    }
}

/// Bundle `n` of the log and how many of its entries are signed; `size` grows where the log did meanwhile.
pub(super) fn bundle(folder: &Path, n: u64, size: &mut u64) -> io::Result<(Vec<u8>, usize)> {
    loop {
        let width = usize::try_from((*size).saturating_sub(n * 256).min(256)).unwrap_or(256);
        match read_tile(folder, None, n, width) {
            Ok(bytes) => return Ok((bytes, width)),
            // A partial bundle went when the log grew: the newer checkpoint names the one that is there.
            Err(error) if is_missing(&error) => match signed_size(folder)? {
                newer if newer > *size => *size = newer,
                _ => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
}

/// Gives `each` every entry from index `from` on that is durable when this begins, ascending, until it breaks.
pub fn read(folder: &Path, from: u64, mut each: impl FnMut(Record) -> ControlFlow<()>) -> io::Result<()> {
    // What was pruned is not there to be read.
    let from = from.max(minimum(folder)?);
    // The journal first: whatever leaves it meanwhile is then under the checkpoint read after it.
    let tail = journal(folder)?;
    let mut next = from;
    let mut give = |index: u64, entry: &[u8]| {
        if index != next {
            return ControlFlow::Continue(());
        }
        next += 1;
        each(Record { index, leaf: leaf(entry), entry: entry.to_vec() })
    };
    let mut size = signed_size(folder)?;
    let mut n = from / 256;
    while n * 256 < size {
        let (bytes, width) = bundle(folder, n, &mut size)?;
        for (index, entry) in (n * 256..).zip(entries(&bytes).take(width)) {
            if give(index, entry).is_break() {
                return Ok(());
            }
        }
        n += 1;
    }
    for (first, bundle) in tail {
        for (index, entry) in (first..).zip(entries(&bundle)) {
            if index >= size && give(index, entry).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Single entries of the signed log; the last bundle is kept, since what is asked for often stands together.
pub(super) struct Bundles {
    folder: PathBuf,
    size: u64,
    minimum: u64,
    kept: Option<(u64, Vec<u8>)>,
}

impl Bundles {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self { folder: folder.to_owned(), size: signed_size(folder)?, minimum: minimum(folder)?, kept: None })
    }

    /// None beyond the signed log, and before what is kept of it.
    pub(super) fn record(&mut self, index: u64) -> io::Result<Option<Record>> {
        let n = index / 256;
        let position = usize::try_from(index % 256).unwrap_or(0);
        let found = |bytes: &[u8]| entries(bytes).nth(position).map(|entry| Record { index, leaf: leaf(entry), entry: entry.to_vec() });
        if let Some((kept, bytes)) = &self.kept
            && *kept == n
            && let Some(record) = found(bytes)
        {
            return Ok(Some(record));
        }
        if index >= self.size {
            self.size = signed_size(&self.folder)?;
        }
        if index >= self.size || index < self.minimum {
            return Ok(None);
        }
        let (bytes, _) = bundle(&self.folder, n, &mut self.size)?;
        let record = found(&bytes);
        self.kept = Some((n, bytes));
        record.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("entry {index} is not in its bundle")))
    }
}

/// Where the entries at or after a time begin, to the bundle: the log's times never go back.
pub(super) fn first_at(folder: &Path, time: Timestamp) -> io::Result<u64> {
    let time = time_text(time);
    let mut bundles = Bundles::open(folder)?;
    let (mut low, mut high) = (bundles.minimum / 256, bundles.size.div_ceil(256));
    while low < high {
        let middle = u64::midpoint(low, high);
        let record = bundles.record(middle * 256)?;
        let earlier = record.as_ref().and_then(|record| Gist::read(&record.entry)).is_some_and(|gist| gist.time < &*time);
        if earlier { low = middle + 1 } else { high = middle }
    }
    // The bundle before may hold some that are not earlier.
    Ok(low.saturating_sub(1) * 256)
}

/// Gives `each` every entry from index `from` on that fits, ascending, until it breaks. Says so where the register broke
/// on the way; the answer is whole all the same.
pub fn find(
    folder: &Path,
    register: Option<&Reader>,
    filter: &Filter,
    from: u64,
    mut each: impl FnMut(Record) -> ControlFlow<()>,
) -> io::Result<Option<Broken>> {
    let (mut next, mut broken, mut failed) = (from, None, None);
    if let Some(register) = register {
        let mut bundles = Bundles::open(folder)?;
        let searched = register.search(filter, from, |index| {
            let record = match bundles.record(index) {
                Ok(Some(record)) => record,
                Ok(None) => return ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            };
            next = index + 1;
            if filter.fits(&record.entry) { each(record) } else { ControlFlow::Continue(()) }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        match searched {
            Ok(ControlFlow::Break(())) => return Ok(None),
            Ok(ControlFlow::Continue(end)) => next = next.max(end),
            Err(error) => broken = Some(error),
        }
    }
    if let Some(since) = filter.since {
        next = next.max(first_at(folder, since)?);
    }
    read(folder, next, |record| match filter.judge(&record.entry) {
        Judged::Fits => each(record),
        Judged::Differs => ControlFlow::Continue(()),
        Judged::TooLate => ControlFlow::Break(()),
    })?;
    Ok(broken)
}

/// How many entries fit from index `from` on.
pub fn count(folder: &Path, register: Option<&Reader>, filter: &Filter, from: u64) -> io::Result<u64> {
    let mut count = 0;
    let mut next = from;
    // A register that breaks here leaves the count to the files.
    if let Some((found, end)) = register.and_then(|register| register.count(filter, from).ok()) {
        (count, next) = (found, next.max(end));
    }
    find(folder, None, filter, next, |_| {
        count += 1;
        ControlFlow::Continue(())
    })?;
    Ok(count)
}

/// As [`show`], without reading on for a settlement that the register knows.
pub fn show_registered(folder: &Path, register: Option<&Reader>, index: u64) -> io::Result<Option<(Record, Option<Record>)>> {
    if let Some(at) = register.and_then(|register| register.settled(index).ok().flatten()) {
        let mut bundles = Bundles::open(folder)?;
        if let (Some(record), Some(settled)) = (bundles.record(index)?, bundles.record(at)?)
            && Gist::read(&settled.entry).is_some_and(|gist| gist.effect() == Effect::Closes(index))
        {
            return Ok(Some((record, Some(settled))));
        }
    }
    show(folder, index)
}

/// The entry at `index`, and where it granted a share the settlement of that share.
pub fn show(folder: &Path, index: u64) -> io::Result<Option<(Record, Option<Record>)>> {
    let mut found: Option<Record> = None;
    let mut settled = None;
    read(folder, index, |record| match &found {
        None => {
            let granted = Gist::read(&record.entry).is_some_and(|gist| is_granted(&gist));
            found = Some(record);
            if granted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }
        Some(_) if Gist::read(&record.entry).is_some_and(|gist| gist.effect() == Effect::Closes(index)) => {
            settled = Some(record);
            ControlFlow::Break(())
        }
        Some(_) => ControlFlow::Continue(()),
    })?;
    Ok(found.filter(|record| record.index == index).map(|record| (record, settled)))
}

/// Shares decided since then and the records that they showed, by grant, read backwards from the end of the signed log.
/// Where nobody knows what an answer showed, all that it might have counts.
pub(super) fn day_use(folder: &Path, since: Timestamp) -> io::Result<HashMap<String, Portion>> {
    let since = time_text(since);
    let (mut used, mut shown) = (HashMap::<String, Portion>::new(), HashMap::new());
    let mut size = signed_size(folder)?;
    for n in (minimum(folder)? / 256..size.div_ceil(256)).rev() {
        let (bytes, width) = bundle(folder, n, &mut size)?;
        let all: Vec<_> = (n * 256..).zip(entries(&bytes).take(width)).collect();
        let mut earlier = false;
        for (index, entry) in all.into_iter().rev() {
            let gist = Gist::read(entry).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
            earlier |= gist.time < &*since;
            match gist.effect() {
                // A settlement stands behind the share that it settles.
                Effect::Closes(granted) => shown.extend(gist.records.map(|records| (granted, records))),
                Effect::Opens if gist.time_decided.unwrap_or(gist.time) >= &*since => {
                    let known = shown.remove(&index);
                    if let Some(grant) = gist.grant {
                        let used = used.entry(grant.into_owned()).or_default();
                        used.calls += 1;
                        used.records += gist.max_records.map_or(0, |most| known.unwrap_or(most));
                    }
                }
                Effect::Opens | Effect::Erases | Effect::Nothing => {}
            }
        }
        if earlier {
            break;
        }
    }
    Ok(used)
}
