//! The auditor: judges the ledger by its files alone, with its own parsers and the published checkers of signed notes
//! and tiles, sharing no code with the writer. It asks of every entry: is it under the signed root, in its place, in the
//! order of time, is its share settled once at most, is the snapshot that decided it there.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use signed_note::{Note, StandardVerifier, Verifier, VerifierList};
use tlog_tiles::{Checkpoint, EMPTY_HASH, Hash, Tile, node_hash, record_hash};

use self::journal_tail::Tail;

mod journal_tail;

/// What the auditor found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Entries under the signed checkpoint.
    pub size: u64,
    /// The signed root, base64; empty where no signed root could be read.
    pub root: String,
    /// The first thing that is wrong.
    pub first_bad: Option<Bad>,
}

/// An entry that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Its index, or the first that what is wrong concerns.
    pub index: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl Bad {
    fn new(index: u64, reason: impl Into<String>) -> Self {
        Self { index, reason: reason.into() }
    }
}

/// Judges the ledger in `folder`. `key` is the verifier key to trust; without it the folder's own `log.vkey` is taken.
/// An error means that the question could not be answered.
pub fn verify(folder: &Path, key: Option<&Path>) -> io::Result<Report> {
    let key = fs::read_to_string(key.map_or_else(|| folder.join("log.vkey"), Path::to_path_buf))?;
    let mut attempts = 0;
    loop {
        let note = fs::read(folder.join("checkpoint"))?;
        let report = judge(folder, key.trim(), &note)?;
        attempts += 1;
        // A running gateway moves on under the auditor: only what stays wrong under one checkpoint is wrong.
        if report.first_bad.is_none() || attempts > 10 || fs::read(folder.join("checkpoint"))? == note {
            return Ok(report);
        }
    }
}

fn judge(folder: &Path, key: &str, note: &[u8]) -> io::Result<Report> {
    let signed = match read_checkpoint(key, note) {
        Ok(signed) => signed,
        Err(reason) => return Ok(Report { size: 0, root: String::new(), first_bad: Some(Bad::new(0, reason)) }),
    };
    let mut audit = Audit::new(folder, signed.size());
    let first_bad = audit.whole(*signed.hash()).err();
    Ok(Report { size: signed.size(), root: signed.hash().to_string(), first_bad })
}

fn read_checkpoint(key: &str, note: &[u8]) -> Result<Checkpoint, String> {
    let verifier = StandardVerifier::new(key).map_err(|error| format!("verifier key: {error}"))?;
    let origin = verifier.name().to_owned();
    let note = Note::from_bytes(note).map_err(|error| format!("checkpoint: {error}"))?;
    note.verify(&VerifierList::new(vec![Box::new(verifier)])).map_err(|error| format!("checkpoint: {error}"))?;
    let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|error| format!("checkpoint: {error}"))?;
    if checkpoint.origin() == origin { Ok(checkpoint) } else { Err("checkpoint: its origin is not the key's name".to_owned()) }
}

/// The members that the auditor looks at.
#[derive(Deserialize)]
struct Member {
    v: u64,
    kind: String,
    time: String,
    receipt_of: Option<u64>,
    snapshot: Option<String>,
}

struct Audit<'a> {
    folder: &'a Path,
    size: u64,
    /// Hashes of the tile being filled on each level.
    levels: Vec<Vec<u8>>,
    /// Roots of perfect subtrees, largest first, with their heights.
    range: Vec<(u32, Hash)>,
    last_time: String,
    open: BTreeSet<u64>,
    snapshots: HashMap<String, bool>,
}

impl<'a> Audit<'a> {
    fn new(folder: &'a Path, size: u64) -> Self {
        let (levels, range, open) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { folder, size, levels, range, last_time: String::new(), open, snapshots: HashMap::new() }
    }

    fn whole(&mut self, root: Hash) -> Result<(), Bad> {
        let tail = Tail::read(self.folder)?;
        for n in 0..self.size.div_ceil(256) {
            self.bundle(n, &tail)?;
        }
        self.partial_tiles()?;
        let folded = self.range.iter().rev().map(|(_, hash)| *hash).reduce(|right, left| node_hash(left, right));
        if folded.unwrap_or(EMPTY_HASH) != root {
            return Err(Bad::new(0, "the entries do not have the signed root"));
        }
        tail.after(self.size)?.into_iter().try_for_each(|(index, entry)| self.entry(index, entry))
    }

    fn file(&self, level: Option<u8>, n: u64, width: u32) -> Result<Vec<u8>, Bad> {
        let path = |width| {
            // The crate names tiles of any height and entries otherwise: the number's form is what is taken from it.
            let named = Tile::new(8, 0, n, width, false).path();
            let level = level.map_or_else(|| "entries".to_owned(), |level| level.to_string());
            let number = named.strip_prefix("tile/8/0/").unwrap_or(&named).to_owned();
            self.folder.join("tile").join(level).join(number)
        };
        let read = |path: PathBuf| fs::read(&path).map_err(|error| (path, error));
        read(path(width)).or_else(|missing| if width < 256 { read(path(256)).map_err(|_| missing) } else { Err(missing) }).map_err(
            |(path, error)| {
                let first = n.saturating_mul(256_u64.saturating_pow(u32::from(level.unwrap_or(0)) + 1));
                Bad::new(first, format!("`{}`: {error}", path.strip_prefix(self.folder).unwrap_or(&path).display()))
            },
        )
    }

    fn bundle(&mut self, n: u64, tail: &Tail) -> Result<(), Bad> {
        let width = u32::try_from((self.size - n * 256).min(256)).unwrap_or(256);
        let bundle = self.file(None, n, width)?;
        let hashes = self.file(Some(0), n, width)?;
        let mut rest = &bundle[..];
        for position in 0..u64::from(width) {
            let index = n * 256 + position;
            let short = || Bad::new(index, "the entry bundle ends before this entry");
            let (length, after) = rest.split_at_checked(2).ok_or_else(short)?;
            let (entry, after) =
                after.split_at_checked(length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))).ok_or_else(short)?;
            rest = after;
            let hash = record_hash(entry);
            let at = usize::try_from(position).unwrap_or(0) * 32;
            if hashes.get(at..at + 32) != Some(&hash.0[..]) {
                return Err(Bad::new(index, "the entry does not have the hash in its tile"));
            }
            if tail.entry(index).is_some_and(|journalled| journalled != entry) {
                return Err(Bad::new(index, "the journal holds another entry under this index"));
            }
            self.entry(index, entry)?;
            self.count(index, hash)?;
        }
        Ok(())
    }

    /// Adds a hash to the tree and compares each tile above as it fills.
    fn count(&mut self, index: u64, hash: Hash) -> Result<(), Bad> {
        let (mut height, mut folded) = (0, hash);
        while let Some((_, left)) = self.range.pop_if(|(same, _)| *same == height) {
            folded = node_hash(left, folded);
            height += 1;
        }
        self.range.push((height, folded));
        let (mut level, mut hash) = (0_u8, hash);
        loop {
            let at = usize::from(level);
            if self.levels.len() <= at {
                self.levels.push(Vec::new());
            }
            self.levels[at].extend_from_slice(&hash.0);
            if self.levels[at].len() < 256 * 32 {
                return Ok(());
            }
            let full = std::mem::take(&mut self.levels[at]);
            let n = ((index + 1) >> (8 * (u32::from(level) + 1))) - 1;
            if level > 0 && self.file(Some(level), n, 256)? != full {
                return Err(Bad::new(n << (8 * (u32::from(level) + 1)), format!("the full tile {level}/{n} is not that of its entries")));
            }
            hash = Tile::subtree_hash(&full);
            level += 1;
        }
    }

    fn partial_tiles(&self) -> Result<(), Bad> {
        for (level, hashes) in (0_u8..).zip(&self.levels).skip(1).filter(|(_, hashes)| !hashes.is_empty()) {
            let n = self.size >> (8 * (u32::from(level) + 1));
            let width = u32::try_from(hashes.len() / 32).unwrap_or(256);
            if !self.file(Some(level), n, width)?.starts_with(hashes) {
                return Err(Bad::new(
                    n << (8 * (u32::from(level) + 1)),
                    format!("the partial tile {level}/{n} is not that of its entries"),
                ));
            }
        }
        Ok(())
    }

    fn entry(&mut self, index: u64, entry: &[u8]) -> Result<(), Bad> {
        let member: Member = serde_json::from_slice(entry).map_err(|error| Bad::new(index, format!("not an entry: {error}")))?;
        if member.v != 1 {
            return Err(Bad::new(index, format!("unknown version {}", member.v)));
        }
        if member.time.len() != 27 || !member.time.ends_with('Z') || member.time < self.last_time {
            return Err(Bad::new(index, "its time is before that of the entry before it"));
        }
        self.last_time = member.time;
        if let Some(snapshot) = &member.snapshot
            && !self.has_snapshot(snapshot)
        {
            return Err(Bad::new(index, format!("its control snapshot `{snapshot}` is not there")));
        }
        match (member.kind.as_str(), member.receipt_of) {
            ("share.granted", _) => {
                self.open.insert(index);
            }
            ("share.settled", Some(granted)) if self.open.remove(&granted) => {}
            ("share.settled", _) => return Err(Bad::new(index, "it settles no share that is open")),
            // A start closes what was left open before it says that it started.
            ("gateway.started", _) => {
                if let Some(left) = self.open.first() {
                    return Err(Bad::new(*left, "the share was neither settled nor closed before the next start"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn has_snapshot(&mut self, digest: &str) -> bool {
        let folder = self.folder;
        let there = || {
            let hex = digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
            hex.is_some_and(|hex| folder.join("snapshots").join(hex).is_dir())
        };
        *self.snapshots.entry(digest.to_owned()).or_insert_with(there)
    }
}
