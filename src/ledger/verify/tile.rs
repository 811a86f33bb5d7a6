//! One tile's worth of entries, judged by itself: the part of the audit that every core shares in.

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;
use tlog_tiles::record_hash;

use super::Bad;
use super::edge::{Edge, older};
use super::journal_tail::Tail;

/// The members that the auditor looks at.
#[derive(Deserialize)]
struct Member<'a> {
    v: u64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    receipt_of: Option<u64>,
    minimum: Option<u64>,
    #[serde(borrow)]
    snapshot: Option<Cow<'a, str>>,
}

/// What an entry means for the entries after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Grants,
    Settles(u64),
    Starts,
    /// Entries before this index are pruned.
    Prunes(u64),
    Nothing,
}

/// What of an entry the audit goes on with.
pub(super) struct Fact {
    pub(super) time: [u8; 27],
    pub(super) meaning: Meaning,
}

/// A tile as far as it holds.
pub(super) struct Judged {
    /// Index of its first entry.
    pub(super) first: u64,
    pub(super) facts: Vec<Fact>,
    /// Leaves, 32 bytes each.
    pub(super) hashes: Vec<u8>,
    /// Snapshots that its entries name, each where it is first named in a row.
    pub(super) snapshots: Vec<(u64, String)>,
    /// What stands after the facts and does not hold.
    pub(super) bad: Option<Bad>,
}

impl Fact {
    /// Reads an entry; the snapshot that it names, unless `last` is that.
    pub(super) fn read(index: u64, entry: &[u8], last: Option<&str>) -> Result<(Self, Option<String>), Bad> {
        let member: Member<'_> = serde_json::from_slice(entry)
            .map_err(|error| Bad::new(index, format!("不是一条记录：{error}"), format!("not an entry: {error}")))?;
        if member.v != 1 {
            return Err(Bad::new(index, format!("未知的版本 {}", member.v), format!("unknown version {}", member.v)));
        }
        let time = member.time.as_bytes().try_into().ok().filter(|time: &[u8; 27]| time.ends_with(b"Z"));
        let time = time.ok_or_else(|| Bad::new(index, "时间的写法不对", "its time is not written as times are"))?;
        let meaning = match (&*member.kind, member.receipt_of, member.minimum) {
            ("share.granted", ..) => Meaning::Grants,
            ("share.settled", Some(granted), _) => Meaning::Settles(granted),
            ("share.settled", None, _) => return Err(Bad::new(index, "未指明结清哪一次提供", "it does not say which share it settles")),
            ("gateway.started", ..) => Meaning::Starts,
            ("ledger.pruned", _, Some(minimum)) => Meaning::Prunes(minimum),
            _ => Meaning::Nothing,
        };
        let snapshot = member.snapshot.filter(|snapshot| last != Some(&**snapshot)).map(Cow::into_owned);
        Ok((Self { time, meaning }, snapshot))
    }
}

/// Judges the tile `n` of a log of `size` entries.
pub(super) fn judge(folder: &Path, edge: &Edge, tail: &Tail, n: u64, size: u64) -> Judged {
    let mut judged = Judged { first: n * 256, facts: Vec::new(), hashes: Vec::new(), snapshots: Vec::new(), bad: None };
    judged.bad = judged.fill(folder, edge, tail, n, size).err();
    judged
}

impl Judged {
    fn fill(&mut self, folder: &Path, edge: &Edge, tail: &Tail, n: u64, size: u64) -> Result<(), Bad> {
        let width = u32::try_from((size - self.first).min(256)).unwrap_or(256);
        let bundle = edge.tile(folder, None, n, width)?;
        let hashes = edge.tile(folder, Some(0), n, width)?;
        let mut ends = Vec::with_capacity(256);
        let mut rest = &bundle[..];
        for index in (self.first..).take(width as usize) {
            let short = || Bad::new(index, "记录包在此条之前中断", "the entry bundle ends before this entry");
            let (length, after) = rest.split_at_checked(2).ok_or_else(short)?;
            let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            let (entry, after) = after.split_at_checked(length).ok_or_else(short)?;
            rest = after;
            ends.push(bundle.len() - rest.len());
            self.entry(index, entry, &hashes, tail)?;
        }
        let surplus = |zh: &str, en: &str| Err(Bad::new(self.first, zh, en));
        if width == 256 && !rest.is_empty() {
            return surplus("记录包末尾有多余字节", "the entry bundle goes on after its last entry");
        }
        if width == 256 && hashes.len() != 256 * 32 {
            return surplus("哈希块末尾有多余字节", "the tile goes on after its last hash");
        }
        for (width, bytes) in older(folder, Some(0), n, width) {
            if Some(&*bytes) != self.hashes.get(..width as usize * 32) {
                return surplus("不完整哈希块与记录不符", "a partial tile is not that of its entries");
            }
        }
        for (width, bytes) in older(folder, None, n, width) {
            let end = ends.get(width as usize - 1).copied().unwrap_or_default();
            if Some(&*bytes) != bundle.get(..end) {
                return surplus("不完整记录包与完整的不符", "a partial entry bundle is not the beginning of this one");
            }
        }
        Ok(())
    }

    fn entry(&mut self, index: u64, entry: &[u8], hashes: &[u8], tail: &Tail) -> Result<(), Bad> {
        let hash = record_hash(entry);
        let at = self.hashes.len();
        if hashes.get(at..at + 32) != Some(&hash.0[..]) {
            return Err(Bad::new(index, "记录与哈希块中的值不符", "the entry does not have the hash in its tile"));
        }
        if tail.entry(index).is_some_and(|journalled| journalled != entry) {
            return Err(Bad::new(index, "日志中此序号是另一条记录", "the journal holds another entry under this index"));
        }
        let (fact, snapshot) = Fact::read(index, entry, self.snapshots.last().map(|(_, digest)| digest.as_str()))?;
        self.snapshots.extend(snapshot.map(|digest| (index, digest)));
        self.facts.push(fact);
        self.hashes.extend_from_slice(&hash.0);
        Ok(())
    }
}
