//! Opening: creates a ledger where that was asked for, or reads the durable one back, the journal's tail through the
//! same `apply` as in normal life. Nothing is accepted that does not add up: the alternative would be a new history.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::checkpoint::{self, Publisher};
use super::entry::{Effect, Gist};
use super::journal::{ALIGN, Batch, Frame, MAGIC, entries, read_frame, segments};
use super::keys::Signer;
use super::tree::{Tree, read_tile, root_at};
use super::volume::Volume;
use super::writer::apply;
use super::{Config, OpenError};

/// What was found, ready to go on.
pub(super) struct Recovered {
    pub(super) publisher: Publisher,
    /// Signed over all that was recovered.
    pub(super) note: Vec<u8>,
    pub(super) open: BTreeSet<u64>,
    pub(super) last: Timestamp,
    pub(super) log: [u8; 32],
}

/// Whether there is nothing yet: no folder, or an empty one.
fn is_absent(folder: &Path) -> Result<bool, OpenError> {
    match fs::read_dir(folder) {
        Ok(mut files) => Ok(files.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(OpenError::io(folder, &error)),
    }
}

/// Refuses a folder that holds no ledger, unless one is to be created.
pub(super) fn ready_folder(folder: &Path, create: bool) -> Result<bool, OpenError> {
    let absent = is_absent(folder)?;
    if absent && !create {
        return Err(OpenError::Missing { folder: folder.to_owned() });
    }
    if absent {
        fs::create_dir_all(folder).map_err(|error| OpenError::io(folder, &error))?;
        folder.parent().map_or(Ok(()), sync_if_named).map_err(|error| OpenError::io(folder, &error))?;
    }
    Ok(absent)
}

fn sync_if_named(folder: &Path) -> io::Result<()> {
    crate::sys::sync_folder(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

/// Lays out an empty ledger; its checkpoint, over no entries, comes last and makes it one.
pub(super) fn create(config: &Config, signer: &Signer, volume: &dyn Volume) -> Result<(), OpenError> {
    let failed = |path: PathBuf| move |error: io::Error| OpenError::io(&path, &error);
    for name in ["journal", "tile", "tile/entries", "salts", "snapshots"] {
        let path = config.folder.join(name);
        fs::create_dir_all(&path).map_err(failed(path.clone()))?;
    }
    let key = config.folder.join("log.vkey");
    volume.replace(&key, format!("{}\n", signer.verifier_key()).as_bytes()).map_err(failed(key.clone()))?;
    let note = signer.sign(&checkpoint::text(&config.name, 0, &Tree::default().root()));
    let path = config.folder.join("checkpoint");
    volume.replace(&path, &note).map_err(failed(path.clone()))
}

/// Reads the ledger back, brings the journal's tail into the tree and signs it.
pub(super) fn recover(config: &Config, signer: Arc<Signer>, volume: Arc<dyn Volume>, created: bool) -> Result<Recovered, OpenError> {
    let folder = &config.folder;
    let path = folder.join("checkpoint");
    let note = fs::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => OpenError::refused(
            &path,
            "缺少检查点，但目录不为空：不会另起新台账",
            "the checkpoint is missing but the folder is not empty: no new history is begun here",
        ),
        _ => OpenError::io(&path, &error),
    })?;
    let wrong = || {
        OpenError::refused(&path, "检查点不是以本网关的名称和密钥签名的", "the checkpoint is not signed with this gateway's name and key")
    };
    let (size, root) = checkpoint::read(&signer, &config.name, &note).ok_or_else(wrong)?;
    let mut tree = Tree::read(folder, size).map_err(|error| OpenError::io(&folder.join("tile"), &error))?;
    if tree.root() != root {
        return Err(OpenError::refused(&folder.join("tile"), "哈希树与检查点不符", "the tiles do not have the checkpoint's root"));
    }
    let log = signer.log_id();
    let mut tail = Tail { folder, volume: &*volume, size, tree: &mut tree, log, next: None, open: BTreeSet::new() };
    tail.replay(created)?;
    let open = std::mem::take(&mut tail.open);
    let last = last_time(folder, &tree)?;
    let mut publisher = Publisher {
        folder: folder.clone(),
        name: config.name.clone(),
        copy: config.checkpoint_copy.clone(),
        interval: config.checkpoint_interval,
        signer,
        tree,
        volume,
    };
    // The tail stands in tiles before anything is built on it: a batch whose sync failed may be in the cache alone.
    publisher.tree.flush(folder, &*publisher.volume).map_err(|(path, error)| OpenError::io(&path, &error))?;
    check_copy(config, &publisher)?;
    let note = publisher.checkpoint().map_err(|(path, error)| OpenError::io(&path, &error))?;
    Ok(Recovered { publisher, note, open, last, log })
}

/// The journal being replayed.
struct Tail<'a> {
    folder: &'a Path,
    volume: &'a dyn Volume,
    /// The checkpoint's size: batches below it are in the tree.
    size: u64,
    tree: &'a mut Tree,
    log: [u8; 32],
    /// The index that must come next.
    next: Option<u64>,
    open: BTreeSet<u64>,
}

impl Tail<'_> {
    fn replay(&mut self, created: bool) -> Result<(), OpenError> {
        let journal = self.folder.join("journal");
        let segments = segments(self.folder).map_err(|error| OpenError::io(&journal, &error))?;
        for (_, path) in &segments {
            let bytes = fs::read(path).map_err(|error| OpenError::io(path, &error))?;
            self.replay_segment(path, &bytes)?;
        }
        match self.next {
            Some(next) if next >= self.size => Ok(()),
            // A ledger that never came to its first journal file has no entries either.
            None if created || self.size == 0 => Ok(()),
            Some(_) => Err(OpenError::refused(&journal, "日志早于检查点结束", "the journal ends before the checkpoint")),
            None => Err(OpenError::refused(&journal, "缺少日志文件", "the journal is missing")),
        }
    }

    fn replay_segment(&mut self, path: &Path, bytes: &[u8]) -> Result<(), OpenError> {
        let mut offset = 0;
        while let Some((frame, length)) = read_frame(bytes.get(offset..).unwrap_or_default(), Some(&self.log)) {
            match frame {
                Frame::Head { first, log, open } => self.begin(path, first, log, open)?,
                Frame::Batch(batch) => self.replay_batch(path, &batch)?,
            }
            offset += length;
        }
        // A batch is written only after the one before it is durable: a whole one behind a torn one means damage.
        let later = |at: &usize| {
            let rest = bytes.get(*at..).unwrap_or_default();
            rest.starts_with(MAGIC) && read_frame(rest, Some(&self.log)).is_some()
        };
        match (offset..bytes.len()).step_by(ALIGN).find(later) {
            None => Ok(()),
            Some(_) => Err(OpenError::refused(
                path,
                &format!("第 {offset} 字节处损坏，其后仍有已确认的记录"),
                &format!("damaged at byte {offset}, with acknowledged entries behind it"),
            )),
        }
    }

    fn begin(&mut self, path: &Path, first: u64, log: [u8; 32], open: Vec<u64>) -> Result<(), OpenError> {
        if log != self.log {
            return Err(OpenError::refused(path, "日志属于另一个台账", "the journal belongs to another log"));
        }
        match self.next {
            None if first <= self.size => {
                self.open = open.into_iter().collect();
                self.next = Some(first);
                Ok(())
            }
            Some(next) if next == first => Ok(()),
            _ => Err(OpenError::refused(path, "日志缺少一段", "a part of the journal is missing before this file")),
        }
    }

    fn replay_batch(&mut self, path: &Path, batch: &Batch) -> Result<(), OpenError> {
        let broken = || {
            OpenError::refused(path, "日志中的序号不连续或记录无法读取", "the journal's indices do not follow, or an entry cannot be read")
        };
        if self.next != Some(batch.first) || (batch.first < self.size && batch.end() > self.size) {
            return Err(broken());
        }
        for (index, entry) in (batch.first..).zip(batch.entries()) {
            apply(&mut self.open, index, Gist::read(entry).ok_or_else(broken)?.effect());
        }
        self.next = Some(batch.end());
        if batch.first >= self.size {
            return self.tree.apply(self.folder, self.volume, batch).map_err(|(path, error)| OpenError::io(&path, &error));
        }
        let (begin, leaves) = self.tree.edge();
        let same = |(index, leaf): (u64, &[u8; 32])| match index.checked_sub(begin).and_then(|at| leaves.get(usize::try_from(at).ok()?)) {
            Some(known) => known == leaf,
            None => true,
        };
        let agrees = self.tree.size() != self.size || (batch.first..).zip(&batch.leaves).all(same);
        agrees.then_some(()).ok_or_else(|| OpenError::refused(path, "日志与哈希树不符", "the journal does not agree with the tiles"))
    }
}

/// The time of the last entry, which the next may not precede.
fn last_time(folder: &Path, tree: &Tree) -> Result<Timestamp, OpenError> {
    if tree.size() == 0 {
        return Ok(Timestamp::MIN);
    }
    let n = (tree.size() - 1) / 256;
    let before;
    let entry = match tree.last_in_bundle() {
        Some(entry) => Some(entry),
        None => {
            before = read_tile(folder, None, n, 256).map_err(|error| OpenError::io(&folder.join("tile/entries"), &error))?;
            entries(&before).last()
        }
    };
    let time = entry.and_then(Gist::read).and_then(|gist| gist.time.parse().ok());
    time.ok_or_else(|| OpenError::refused(&folder.join("tile/entries"), "最后一条记录没有时间", "the last entry has no time"))
}

/// A log that is shorter than its checkpoint's copy was cut; one with another root was replaced.
fn check_copy(config: &Config, publisher: &Publisher) -> Result<(), OpenError> {
    let Some(path) = &config.checkpoint_copy else { return Ok(()) };
    let note = match fs::read(path) {
        Ok(note) => note,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(OpenError::io(path, &error)),
    };
    let wrong = || {
        OpenError::refused(
            path,
            "检查点副本不是以本网关的名称和密钥签名的",
            "the checkpoint copy is not signed with this gateway's name and key",
        )
    };
    let (size, root) = checkpoint::read(&publisher.signer, &config.name, &note).ok_or_else(wrong)?;
    if size > publisher.tree.size() {
        let written = publisher.tree.size();
        return Err(OpenError::refused(
            path,
            &format!("台账只有 {written} 条，短于检查点副本的 {size} 条"),
            &format!("the log has {written} entries, fewer than the {size} of the checkpoint copy"),
        ));
    }
    let own = root_at(&config.folder, size, publisher.tree.size()).map_err(|error| OpenError::io(&config.folder.join("tile"), &error))?;
    (own == root)
        .then_some(())
        .ok_or_else(|| OpenError::refused(path, "台账与检查点副本不一致", "the log is inconsistent with the checkpoint copy"))
}

/// Whether an entry opens a share; for counts.
pub(super) fn is_granted(gist: &Gist<'_>) -> bool {
    gist.effect() == Effect::Opens
}
