//! The queue before the writer: entries get their index here, in order, under one short lock; those who wait share one
//! ticket a batch.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use jiff::Timestamp;

use super::entry::Draft;
use super::journal::Salt;
use super::receipt::Sealed;
use super::{Committed, Unavailable};
use crate::sys;

/// Most entries that may wait, places reserved for settlements included.
const MOST_ENTRIES: usize = 65_536;
/// Most bytes that may wait.
const MOST_BYTES: usize = 64 << 20;

/// What went wrong on the disk.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) path: PathBuf,
    pub(super) error: io::Error,
}

/// What callers, writer and publisher share.
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    fault: OnceLock<Fault>,
    published: Mutex<Published>,
    /// Entries of one batch stay below so many bytes, so that it fits a journal file.
    most_batch: usize,
    pub(super) size: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) last_sync: AtomicU64,
    /// No share while the witnesses have been missing for too long; settlements and refusals are recorded all the same.
    pub(super) held: AtomicBool,
    /// Entries under the newest witnessed checkpoint.
    pub(super) witnessed_size: AtomicU64,
}

/// The newest checkpoint, and who waits for a newer one.
struct Published {
    note: Arc<Vec<u8>>,
    size: u64,
    wakers: Vec<Waker>,
}

struct State {
    waiting: VecDeque<Waiting>,
    next: u64,
    entries: usize,
    reserved: usize,
    bytes: usize,
    closing: bool,
}

/// Entries that will be made durable together.
pub(super) struct Waiting {
    pub(super) first: u64,
    pub(super) drafts: Vec<Draft>,
    pub(super) salts: Vec<Salt>,
    pub(super) ticket: Arc<Ticket>,
    bytes: usize,
    since: Instant,
}

/// What everybody whose entry is in one batch waits for.
pub(super) struct Ticket(Mutex<TicketState>);

enum TicketState {
    Waiting(Vec<Waker>),
    Durable(Arc<Sealed>, Timestamp),
    Failed,
}

impl Ticket {
    fn lock(&self) -> MutexGuard<'_, TicketState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, state: TicketState) {
        let before = std::mem::replace(&mut *self.lock(), state);
        if let TicketState::Waiting(wakers) = before {
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn durable(&self, batch: Arc<Sealed>, time: Timestamp) {
        self.end(TicketState::Durable(batch, time));
    }

    pub(super) fn failed(&self) {
        self.end(TicketState::Failed);
    }
}

impl Shared {
    pub(super) fn new(next: u64, most_batch: usize, checkpoint: Vec<u8>) -> Self {
        let state = State { waiting: VecDeque::new(), next, entries: 0, reserved: 0, bytes: 0, closing: false };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            fault: OnceLock::new(),
            published: Mutex::new(Published { note: Arc::new(checkpoint), size: next, wakers: Vec::new() }),
            most_batch,
            size: AtomicU64::new(next),
            batches: AtomicU64::new(0),
            last_sync: AtomicU64::new(0),
            held: AtomicBool::new(false),
            witnessed_size: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.get()
    }

    /// From here on nothing is recorded until a restart: what is on the disk is not known. Everybody who waits is told.
    pub(super) fn poison(&self, path: PathBuf, error: io::Error) {
        tracing::error!(path = %path.display(), errno = error.raw_os_error(), %error, "the ledger cannot be written: no share until restart");
        // A second fault adds nothing to the first.
        let _ = self.fault.set(Fault { path, error });
        let waiting = {
            let mut state = self.lock();
            (state.entries, state.bytes) = (0, 0);
            std::mem::take(&mut state.waiting)
        };
        waiting.iter().for_each(|batch| batch.ticket.failed());
        self.changed.notify_all();
        std::mem::take(&mut self.published().wakers).into_iter().for_each(Waker::wake);
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_checkpoint(&self, note: Vec<u8>, size: u64) {
        let wakers = {
            let mut published = self.published();
            (published.note, published.size) = (Arc::new(note), size);
            std::mem::take(&mut published.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Puts a cosigned note in the place of the same note without cosignatures, if that is still the newest.
    pub(super) fn cosigned(&self, plain: &[u8], cosigned: Vec<u8>) {
        let mut newest = self.published();
        if newest.note.as_slice() == plain {
            newest.note = Arc::new(cosigned);
        }
    }

    pub(super) fn checkpoint(&self) -> Arc<Vec<u8>> {
        self.published().note.clone()
    }

    /// The checkpoint, once it covers `size` entries.
    pub(super) fn poll_covered(&self, size: u64, context: &Context<'_>) -> Poll<Result<Arc<Vec<u8>>, Unavailable>> {
        let mut published = self.published();
        if published.size >= size {
            return Poll::Ready(Ok(published.note.clone()));
        }
        if self.fault.get().is_some() {
            return Poll::Ready(Err(Unavailable::Poisoned));
        }
        if !published.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            published.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// How many entries have an index, durable or on their way.
    pub(super) fn next_index(&self) -> u64 {
        self.lock().next
    }

    fn admit(&self, state: &State, bytes: usize) -> Result<(), Unavailable> {
        if self.fault.get().is_some() {
            Err(Unavailable::Poisoned)
        } else if state.closing {
            Err(Unavailable::Closing)
        } else if state.entries + state.reserved >= MOST_ENTRIES || state.bytes + bytes > MOST_BYTES {
            Err(Unavailable::Overloaded)
        } else {
            Ok(())
        }
    }

    pub(super) fn append(&self, draft: Draft) -> Result<Pending, Unavailable> {
        let mut state = self.lock();
        self.admit(&state, draft.bytes.len())?;
        let (index, first, ticket) = self.queue(&mut state, draft, None);
        drop(state);
        self.changed.notify_one();
        let position = usize::try_from(index - first).unwrap_or(0);
        Ok(Pending { ticket, index, position, waker: None })
    }

    fn queue(&self, state: &mut State, draft: Draft, salt: Option<Salt>) -> (u64, u64, Arc<Ticket>) {
        let index = state.next;
        let bytes = draft.bytes.len() + 2;
        state.next += 1;
        state.entries += 1;
        state.bytes += bytes;
        let mut waiting = match state.waiting.pop_back() {
            Some(waiting) if waiting.bytes + bytes <= self.most_batch => waiting,
            full => {
                state.waiting.extend(full);
                let ticket = Arc::new(Ticket(Mutex::new(TicketState::Waiting(Vec::new()))));
                Waiting { first: index, drafts: Vec::new(), salts: Vec::new(), ticket, bytes: 0, since: sys::instant() }
            }
        };
        waiting.bytes += bytes;
        waiting.drafts.push(draft);
        waiting.salts.extend(salt);
        let place = (index, waiting.first, waiting.ticket.clone());
        state.waiting.push_back(waiting);
        place
    }

    pub(super) fn reserve(self: &Arc<Self>) -> Result<Settling, Unavailable> {
        if self.held.load(Ordering::Relaxed) {
            return Err(Unavailable::Unwitnessed);
        }
        let mut state = self.lock();
        self.admit(&state, 0)?;
        state.reserved += 1;
        drop(state);
        Ok(Settling(self.clone()))
    }

    /// The next batch; none once the ledger closes and all is written, or after a fault.
    pub(super) fn next(&self) -> Option<Waiting> {
        let idle = |state: &mut State| state.waiting.is_empty() && !state.closing && self.fault.get().is_none();
        let mut state = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let batch = state.waiting.pop_front()?;
        state.entries -= batch.drafts.len();
        state.bytes -= batch.bytes;
        Some(batch)
    }

    pub(super) fn begin_close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// Entries that wait, and since when the oldest does.
    pub(super) fn queued(&self) -> (usize, Option<Instant>) {
        let state = self.lock();
        (state.entries, state.waiting.front().map(|batch| batch.since))
    }
}

/// An entry on its way: becomes [`Committed`] once it is durable.
#[must_use = "an entry is durable only once this says so"]
pub struct Pending {
    ticket: Arc<Ticket>,
    index: u64,
    position: usize,
    waker: Option<usize>,
}

impl Pending {
    /// The entry's index; known at once, true only if the entry becomes durable.
    pub fn index(&self) -> u64 {
        self.index
    }
}

impl Future for Pending {
    type Output = Result<Committed, Unavailable>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match &mut *this.ticket.lock() {
            TicketState::Durable(sealed, time) => {
                let leaf = sealed.batch.leaves.get(this.position).copied().ok_or(Unavailable::Poisoned);
                let (index, position) = (this.index, this.position);
                Poll::Ready(leaf.map(|leaf| Committed { index, leaf, time: *time, position, sealed: sealed.clone() }))
            }
            TicketState::Failed => Poll::Ready(Err(Unavailable::Poisoned)),
            TicketState::Waiting(wakers) => {
                match this.waker.and_then(|at| wakers.get_mut(at)) {
                    Some(waker) => waker.clone_from(context.waker()),
                    None => {
                        this.waker = Some(wakers.len());
                        wakers.push(context.waker().clone());
                    }
                }
                Poll::Pending
            }
        }
    }
}

/// A place kept in the queue for the settlement of a share. Dropped unused, the share stays open, and the next start
/// closes it as unknown.
#[must_use = "a share that is not settled is closed as unknown"]
pub struct Settling(Arc<Shared>);

impl Settling {
    /// Queues the settlement; neither blocks on the disk nor fails. The salt belongs to the digests in the entry.
    pub fn settle(self, draft: Draft, salt: Option<[u8; 32]>) {
        let shared = &self.0;
        let mut state = shared.lock();
        if shared.fault.get().is_none() {
            let salt = match draft.effect {
                super::entry::Effect::Closes(granted) => salt.map(|salt| (granted, salt)),
                _ => None,
            };
            shared.queue(&mut state, draft, salt);
        }
        drop(state);
        shared.changed.notify_one();
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.reserved = state.reserved.saturating_sub(1);
    }
}

impl Shared {
    pub(super) fn count_batch(&self, entries: usize, took: std::time::Duration) {
        self.size.fetch_add(entries as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.last_sync.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
