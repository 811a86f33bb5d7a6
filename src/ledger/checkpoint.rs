//! Signed checkpoints (C2SP tlog-checkpoint) and the thread that publishes: it brings what the journal made durable
//! into tiles, and signs the tree once an interval. Nobody's share waits for it.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};

use super::journal::segments;
use super::keys::Signer;
use super::queue::Shared;
use super::receipt::Sealed;
use super::tree::Tree;
use super::volume::Volume;
use crate::sys;

/// Above so many bytes not yet in tiles the writer waits, so that memory is bounded.
const MOST_BACKLOG: usize = 64 << 20;

/// The note's text.
pub(super) fn text(name: &str, size: u64, root: &[u8; 32]) -> String {
    format!("{name}\n{size}\n{}\n", BASE64_STANDARD.encode(root))
}

/// Size and root of a note that `signer` signed. Ed25519 is deterministic: what we would sign is what must be there.
pub(super) fn read(signer: &Signer, name: &str, note: &[u8]) -> Option<(u64, [u8; 32])> {
    let text_of_note = std::str::from_utf8(note).ok()?;
    let mut lines = text_of_note.lines().skip(1);
    let size = lines.next()?.parse().ok()?;
    let root: [u8; 32] = BASE64_STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
    (signer.sign(&text(name, size, &root)) == note).then_some((size, root))
}

/// What the writer hands to the publisher.
#[derive(Default)]
pub(super) struct Backlog {
    state: Mutex<BacklogState>,
    changed: Condvar,
}

#[derive(Default)]
struct BacklogState {
    batches: VecDeque<Arc<Sealed>>,
    bytes: usize,
    /// Somebody waits for a checkpoint over so many entries.
    wanted: u64,
    closed: bool,
}

impl Backlog {
    /// Hands a batch over; waits while too much is there.
    pub(super) fn push(&self, sealed: Arc<Sealed>) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |state: &mut BacklogState| state.bytes > MOST_BACKLOG && !state.closed;
        let mut state = self.changed.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
        state.bytes += sealed.batch.bundle.len();
        state.batches.push_back(sealed);
        drop(state);
        self.changed.notify_all();
    }

    /// No more comes, or nobody takes any more.
    pub(super) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }

    /// A checkpoint over `size` entries is wanted before it is due.
    pub(super) fn want(&self, size: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.wanted = state.wanted.max(size);
        drop(state);
        self.changed.notify_all();
    }

    /// All that is there, waiting until `until` for some, or until the tree of `size` entries, of which `signed` are
    /// under a checkpoint, is wanted; then how many are wanted, and whether no more comes.
    fn take(&self, until: Option<Instant>, signed: u64, size: u64) -> (VecDeque<Arc<Sealed>>, u64, bool) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = |state: &mut BacklogState| {
            let wanted = signed < state.wanted && state.wanted <= size;
            state.batches.is_empty() && !state.closed && !wanted
        };
        let mut state = match until {
            None => self.changed.wait_while(state, empty).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let patience = until.saturating_duration_since(sys::instant());
                self.changed.wait_timeout_while(state, patience, empty).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        let batches = std::mem::take(&mut state.batches);
        state.bytes = 0;
        let (wanted, closed) = (state.wanted, state.closed);
        drop(state);
        self.changed.notify_all();
        (batches, wanted, closed)
    }
}

/// Brings durable entries into tiles and signs the tree.
pub(super) struct Publisher {
    pub(super) folder: PathBuf,
    pub(super) name: String,
    pub(super) copy: Option<PathBuf>,
    pub(super) interval: Duration,
    pub(super) signer: Arc<Signer>,
    pub(super) tree: Tree,
    pub(super) volume: Arc<dyn Volume>,
}

impl Publisher {
    /// Runs until the backlog is closed and empty; ends with a checkpoint.
    pub(super) fn run(mut self, backlog: &Backlog, shared: &Shared) {
        if let Err((path, error)) = self.publish_until_closed(backlog, shared) {
            shared.poison(path, error);
        }
        backlog.close();
    }

    fn publish_until_closed(&mut self, backlog: &Backlog, shared: &Shared) -> Result<(), (PathBuf, io::Error)> {
        let mut signed = self.tree.size();
        let mut due = sys::instant() + self.interval;
        loop {
            let grown = self.tree.size() > signed;
            let (batches, wanted, closed) = backlog.take(grown.then_some(due), signed, self.tree.size());
            for sealed in &batches {
                self.tree.apply(&self.folder, &*self.volume, &sealed.batch)?;
            }
            let size = self.tree.size();
            let asked = signed < wanted && wanted <= size;
            if size > signed && (closed || asked || sys::instant() >= due) {
                shared.set_checkpoint(self.checkpoint()?, size);
                signed = size;
                due = sys::instant() + self.interval;
            }
            if closed && batches.is_empty() {
                return Ok(());
            }
        }
    }

    /// Tiles first, made durable; then the checkpoint, replaced whole; then the journal that it covers goes.
    pub(super) fn checkpoint(&mut self) -> Result<Vec<u8>, (PathBuf, io::Error)> {
        self.tree.flush(&self.folder, &*self.volume)?;
        let note = self.signer.sign(&text(&self.name, self.tree.size(), &self.tree.root()));
        let path = self.folder.join("checkpoint");
        self.volume.replace(&path, &note).map_err(|error| (path, error))?;
        if let Some(copy) = &self.copy
            && let Err(error) = sys::write_whole(copy, &note)
        {
            // The copy is a witness of the past; the shares themselves are durable without it.
            tracing::error!(path = %copy.display(), errno = error.raw_os_error(), %error, "checkpoint copy not written");
        }
        remove_covered(&self.folder, self.tree.size()).map_err(|error| (self.folder.join("journal"), error))?;
        Ok(note)
    }
}

/// Removes journal files all of whose entries a durable checkpoint covers; the newest stays, with its open set.
pub(super) fn remove_covered(folder: &Path, size: u64) -> io::Result<()> {
    let segments = segments(folder)?;
    for pair in segments.windows(2) {
        if let [(_, path), (next, _)] = pair
            && *next <= size
        {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}
