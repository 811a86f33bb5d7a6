//! The audit of a whole log: tiles judged by all cores, then brought together in order.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tlog_tiles::{EMPTY_HASH, Hash, Tile, node_hash};

use super::edge::{Edge, older, width};
use super::journal_tail::Tail;
use super::snapshots::Snapshots;
use super::tile::{Fact, Judged, Meaning, judge};
use super::{Bad, Signed};

/// Tiles that one core judges at a time.
const PORTION: u64 = 32;
/// More cores than this wait for the disk.
const MOST_CORES: usize = 16;

pub(super) struct Audit<'a> {
    folder: &'a Path,
    size: u64,
    edge: &'a Edge,
    tail: &'a Tail,
    /// Entries before it were pruned; a multiple of 256.
    minimum: u64,
    /// What the log itself says of pruning.
    recorded_minimum: u64,
    /// Hashes of the tile being filled on each level.
    levels: Vec<Vec<u8>>,
    last_time: [u8; 27],
    open: BTreeSet<u64>,
    snapshots: Snapshots,
}

impl<'a> Audit<'a> {
    pub(super) fn new(folder: &'a Path, size: u64, edge: &'a Edge, tail: &'a Tail) -> Self {
        let (levels, open, snapshots) = (Vec::new(), BTreeSet::new(), Snapshots::new());
        Self { folder, size, edge, tail, minimum: 0, recorded_minimum: 0, levels, last_time: [0; 27], open, snapshots }
    }

    pub(super) fn minimum(&self) -> u64 {
        self.minimum
    }

    pub(super) fn open(&self) -> u64 {
        self.open.len() as u64
    }

    pub(super) fn whole(&mut self, root: Hash, since: Option<&Signed>, progress: Option<&dyn Fn(u64, u64)>) -> Result<(), Bad> {
        self.skip_pruned()?;
        if let Some(since) = since {
            self.may_continue(since)?;
        }
        let (mut n, end) = (self.minimum / 256, self.size.div_ceil(256));
        let cores = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_CORES);
        while n < end {
            let until = end.min(n + PORTION * cores as u64);
            for judged in self.judge_tiles(n..until, cores) {
                self.bring_in(judged, since)?;
            }
            n = until;
            if let Some(progress) = progress {
                progress((n * 256).min(self.size), self.size);
            }
        }
        self.partial_tiles()?;
        if self.root() != root {
            return Err(Bad::new(self.minimum, "各条记录的根与签名的根不符", "the entries do not have the signed root"));
        }
        if self.minimum > self.recorded_minimum {
            return Err(Bad::new(0, "缺少记录，台账中没有相应的清理登记", "entries are missing and the log records no pruning of them"));
        }
        let tail = self.tail;
        let mut last: Option<String> = None;
        for (index, entry) in tail.after(self.size)? {
            let (fact, snapshot) = Fact::read(index, entry, last.as_deref())?;
            if let Some(digest) = snapshot {
                self.snapshot(index, &digest)?;
                last = Some(digest);
            }
            self.fact(index, &fact)?;
        }
        Ok(())
    }

    /// Each core takes every so-manieth tile; what it finds comes back in the order of the log.
    fn judge_tiles(&self, tiles: std::ops::Range<u64>, cores: usize) -> Vec<Judged> {
        let (folder, edge, tail, size) = (self.folder, self.edge, self.tail, self.size);
        let tiles: Vec<u64> = tiles.collect();
        let portions = tiles.chunks(tiles.len().div_ceil(cores).max(1));
        std::thread::scope(|scope| {
            let running: Vec<_> = portions
                .map(|portion| scope.spawn(move || portion.iter().map(|n| judge(folder, edge, tail, *n, size)).collect::<Vec<_>>()))
                .collect();
            // A core that panicked leaves its tiles unjudged, and the root then does not come out.
            running.into_iter().flat_map(|core| core.join().unwrap_or_default()).collect()
        })
    }

    fn bring_in(&mut self, judged: Judged, since: Option<&Signed>) -> Result<(), Bad> {
        let mut named = judged.snapshots.iter().peekable();
        for ((index, fact), hash) in (judged.first..).zip(&judged.facts).zip(judged.hashes.as_chunks::<32>().0) {
            if let Some((_, digest)) = named.next_if(|(first, _)| *first == index) {
                self.snapshot(index, digest)?;
            }
            self.fact(index, fact)?;
            self.count(index, *hash)?;
            if let Some(since) = since.filter(|since| since.size == index + 1)
                && self.root() != since.root
            {
                return Err(Bad::new(
                    index,
                    "与先前的检查点不一致：此前的记录被改动",
                    "inconsistent with the earlier checkpoint: the log before it was changed",
                ));
            }
        }
        judged.bad.map_or(Ok(()), Err)
    }

    /// An earlier checkpoint can be judged where the log reaches it and still keeps what it takes.
    fn may_continue(&self, since: &Signed) -> Result<(), Bad> {
        if since.size > self.size {
            return Err(Bad::new(
                self.size,
                format!("台账只有 {} 条，短于先前检查点的 {} 条", self.size, since.size),
                format!("the log has {} entries, fewer than the {} of the earlier checkpoint", self.size, since.size),
            ));
        }
        let judged_on_the_way = since.size > self.minimum;
        let empty = since.size == 0 && since.root == EMPTY_HASH;
        if judged_on_the_way || empty || (since.size == self.minimum && self.root() == since.root) {
            return Ok(());
        }
        let (zh, en) = if since.size < self.minimum {
            ("先前的检查点早于清理的起点，无法再核对", "the earlier checkpoint lies before what was pruned and cannot be judged any more")
        } else {
            ("与先前的检查点不一致", "inconsistent with the earlier checkpoint")
        };
        Err(Bad::new(since.size, zh, en))
    }

    /// Begins behind what was pruned, with the hashes over it that the tiles still hold (C2SP tlog-tiles, pruning).
    fn skip_pruned(&mut self) -> Result<(), Bad> {
        let text = match fs::read_to_string(self.folder.join("minimum")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|error| Bad::new(0, format!("`minimum`：{error}"), format!("`minimum`: {error}")))?,
        };
        let minimum = text.trim().parse::<u64>().ok().filter(|minimum| *minimum <= self.size);
        let minimum = minimum.ok_or_else(|| Bad::new(0, "`minimum` 无法识别", "`minimum` cannot be read"))?;
        self.minimum = minimum / 256 * 256;
        for level in (0..8_u8).take_while(|level| self.minimum >> (8 * u32::from(*level)) > 0) {
            let have = width(self.minimum, level) as usize * 32;
            let n = self.minimum >> (8 * (u32::from(level) + 1));
            let full = self.size >> (8 * (u32::from(level) + 1)) > n;
            let there = if full { 256 } else { width(self.size, level) };
            let hashes = if have == 0 { Vec::new() } else { self.edge.tile(self.folder, Some(level), n, there)? };
            let hashes = hashes.get(..have).ok_or_else(|| Bad::new(self.minimum, "哈希块不完整", "a tile is too short"))?;
            self.levels.push(hashes.to_vec());
        }
        Ok(())
    }

    /// Adds a hash to the tree and compares each tile above as it fills.
    fn count(&mut self, index: u64, hash: [u8; 32]) -> Result<(), Bad> {
        let (mut level, mut hash) = (0_u8, Hash(hash));
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
            if level > 0 {
                self.upper_tile(level, n, 256, &full)?;
            }
            hash = Tile::subtree_hash(&full);
            level += 1;
        }
    }

    fn partial_tiles(&self) -> Result<(), Bad> {
        for (level, hashes) in (0_u8..).zip(&self.levels).skip(1).filter(|(_, hashes)| !hashes.is_empty()) {
            let n = self.size >> (8 * (u32::from(level) + 1));
            self.upper_tile(level, n, u32::try_from(hashes.len() / 32).unwrap_or(256), hashes)?;
        }
        Ok(())
    }

    /// A tile of hashes of tiles, and its older partial forms.
    fn upper_tile(&self, level: u8, n: u64, width: u32, hashes: &[u8]) -> Result<(), Bad> {
        let own = self.edge.tile(self.folder, Some(level), n, width)?;
        let beginning = |width: u32, bytes: &[u8]| Some(bytes) == hashes.get(..width as usize * 32);
        let holds = if width == 256 { own == hashes } else { own.starts_with(hashes) };
        if holds && older(self.folder, Some(level), n, width).iter().all(|(width, bytes)| beginning(*width, bytes)) {
            return Ok(());
        }
        let first = (n << (8 * (u32::from(level) + 1))).max(self.minimum);
        Err(Bad::new(first, format!("哈希块 {level}/{n} 与记录不符"), format!("the tile {level}/{n} is not that of its entries")))
    }

    /// The root of what was counted so far (RFC 9162 section 2.1).
    fn root(&self) -> Hash {
        let mut root: Option<Hash> = None;
        for hashes in &self.levels {
            let mut end = hashes.len() / 32;
            while end > 0 {
                let width = 1 << end.trailing_zeros();
                let left = Tile::subtree_hash(&hashes[(end - width) * 32..end * 32]);
                root = Some(root.map_or(left, |right| node_hash(left, right)));
                end -= width;
            }
        }
        root.unwrap_or(EMPTY_HASH)
    }

    fn snapshot(&mut self, index: u64, digest: &str) -> Result<(), Bad> {
        if self.snapshots.hold(self.folder, digest) {
            return Ok(());
        }
        Err(Bad::new(
            index,
            format!("缺少其控制快照 `{digest}`，或快照已被改动"),
            format!("its control snapshot `{digest}` is not there, or not whole"),
        ))
    }

    fn fact(&mut self, index: u64, fact: &Fact) -> Result<(), Bad> {
        if fact.time < self.last_time {
            return Err(Bad::new(index, "时间早于前一条记录", "its time is before that of the entry before it"));
        }
        self.last_time = fact.time;
        match fact.meaning {
            Meaning::Grants => {
                self.open.insert(index);
            }
            Meaning::Settles(granted) if self.open.remove(&granted) || granted < self.minimum => {}
            Meaning::Settles(_) => return Err(Bad::new(index, "所结清的提供不存在或已结清", "it settles no share that is open")),
            // A start closes what was left open before it says that it started.
            Meaning::Starts => {
                if let Some(left) = self.open.first() {
                    return Err(Bad::new(
                        *left,
                        "此次提供在下一次启动前既未结清也未补记",
                        "the share was neither settled nor closed before the next start",
                    ));
                }
            }
            Meaning::Prunes(minimum) if minimum <= index => self.recorded_minimum = self.recorded_minimum.max(minimum),
            Meaning::Prunes(_) | Meaning::Nothing => {}
        }
        Ok(())
    }
}
