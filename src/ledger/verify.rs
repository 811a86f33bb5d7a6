//! The auditor: judges the ledger by its files alone, with its own parsers and the published checkers of signed notes
//! and tiles, sharing no code with the writer. It asks of every entry: is it under the signed root, in its place, in the
//! order of time, is its share settled once at most and closed before the next start, is the snapshot that decided it
//! there and unchanged. [`receipt`] judges what a requester holds, without the ledger.

use std::fs;
use std::io;
use std::path::Path;

use tlog_tiles::Hash;

use self::audit::Audit;
use self::edge::Edge;
use self::journal_tail::Tail;
pub use self::keys::{Keys, Witness};
use crate::lang::Text;

mod audit;
pub mod content;
mod edge;
mod log;

mod journal_tail;
mod keys;
pub mod receipt;
pub mod rows;
mod snapshots;
mod tile;

/// How often reading starts over where a running gateway moved files meanwhile.
const ATTEMPTS: usize = 20;

/// What the auditor is told.
#[derive(Default)]
pub struct Options<'a> {
    /// The verifier keys to trust; without them those of the folder's own `log.vkey` are taken.
    pub keys: Option<Keys>,
    /// An earlier checkpoint, of which the log must be a continuation.
    pub since: Option<Vec<u8>>,
    /// Told now and then how many entries of how many are judged.
    pub progress: Option<&'a dyn Fn(u64, u64)>,
}

/// What the auditor found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Entries under the signed checkpoint.
    pub size: u64,
    /// The signed root, base64; empty where no signed root could be read.
    pub root: String,
    /// The first entry that is still kept: those before it were pruned.
    pub minimum: u64,
    /// Shares granted and not yet settled: those under way, or those that the next start will close.
    pub open: u64,
    /// The first thing that is wrong.
    pub first_bad: Option<Bad>,
}

/// An entry that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Its index, or the first that what is wrong concerns.
    pub index: u64,
    /// What is wrong with it.
    pub reason: Text,
}

impl Bad {
    fn new(index: u64, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { index, reason: Text::new(zh, en) }
    }
}

/// Judges the ledger in `folder`. An error means that the question could not be answered.
pub fn verify(folder: &Path, options: &Options<'_>) -> io::Result<Report> {
    let own;
    let keys = match &options.keys {
        Some(keys) => keys,
        None => {
            own = Keys::read(&folder.join("log.vkey"))?;
            &own
        }
    };
    let mut report = Report { size: 0, root: String::new(), minimum: 0, open: 0, first_bad: None };
    report.first_bad = judge(folder, keys, options, &mut report)?.err();
    Ok(report)
}

/// What moves while a gateway runs is read first, under one checkpoint: the right edge of the tree and the journal.
fn judge(folder: &Path, keys: &Keys, options: &Options<'_>, report: &mut Report) -> io::Result<Result<(), Bad>> {
    let mut attempts = 0;
    let (signed, edge, tail) = loop {
        let note = fs::read(folder.join("checkpoint"))?;
        let signed = match keys.checkpoint(&note) {
            Ok(signed) => signed,
            Err(reason) => return Ok(Err(Bad { index: 0, reason })),
        };
        let read = Edge::read(folder, signed.size).and_then(|edge| {
            let tail = Tail::read(folder)?;
            tail.reaches(signed.size)?;
            tail.after(signed.size).map(drop)?;
            Ok((edge, tail))
        });
        attempts += 1;
        match read {
            Ok((edge, tail)) => break (signed, edge, tail),
            Err(bad) if attempts >= ATTEMPTS || fs::read(folder.join("checkpoint"))? == note => {
                (report.size, report.root) = (signed.size, signed.root.to_string());
                return Ok(Err(bad));
            }
            Err(_) => {}
        }
    };
    (report.size, report.root) = (signed.size, signed.root.to_string());
    let since = match options.since.as_deref().map(|note| keys.checkpoint(note)).transpose() {
        Ok(since) => since,
        Err(reason) => {
            let (zh, en) = (format!("先前的检查点：{}", reason.zh), format!("the earlier {}", reason.en));
            return Ok(Err(Bad::new(0, zh, en)));
        }
    };
    let mut audit = Audit::new(folder, signed.size, &edge, &tail);
    let judged = audit.whole(signed.root, since.as_ref(), options.progress);
    (report.minimum, report.open) = (audit.minimum(), audit.open());
    Ok(judged)
}

/// A checkpoint whose signature holds.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The log's name.
    pub origin: String,
    /// Entries under it.
    pub size: u64,
    /// Their root.
    pub root: Hash,
}
