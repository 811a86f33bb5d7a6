//! The queue before the writer: entries get their index here, in order, under one short lock; those who wait share one
//! ticket a batch.
//!
//! A sync costs as much for one entry as for many, and waking a sleeper costs more than queueing. So the writer is woken
//! only where it sleeps; while every worker is busy a batch stays open, since nobody could go on with what it says yet,
//! and closes the moment one has nothing else to do; and settlements, for which nobody waits, stay for the next batch.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::Unavailable;
use super::entry::{Draft, Effect};
use super::journal::Salt;
use super::register::Gate;
use super::ticket::{Pending, Ticket};
use super::workers::Workers;
use crate::sys;

/// Most entries that may wait, places reserved for settlements included.
const MOST_ENTRIES: usize = 65_536;
/// Most bytes that may wait.
const MOST_BYTES: usize = 64 << 20;

/// For so long at most a batch stays open while every worker is busy,
const LONGEST: Duration = Duration::from_millis(1);
/// and for no longer than this where a call stands still until its entry is durable.
const STANDING: Duration = Duration::from_micros(150);
/// How long settlements alone wait for company. Until then a crash leaves the share open, as it does during a sync.
const QUIET: Duration = Duration::from_millis(2);

/// How a call waits for its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// It stands still until then.
    Standing,
    /// It has other things to do meanwhile.
    Busy,
}

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
    pub(super) workers: Workers,
    fault: OnceLock<Fault>,
    published: Mutex<Published>,
    /// The batch on its way to the disk, and since when.
    writing: Mutex<Option<Written>>,
    pub(super) stalled: AtomicBool,
    /// Entries of one batch stay below so many bytes, so that it fits a journal file.
    most_batch: usize,
    pub(super) size: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) last_sync: AtomicU64,
    /// No share while the witnesses have been missing for too long; settlements and refusals are recorded all the same.
    pub(super) held: AtomicBool,
    /// Where shares wait for the register: who tells it of each batch.
    pub(super) gate: OnceLock<Gate>,
    /// The register that shares wait for takes nothing now.
    pub(super) unregistered: AtomicBool,
    /// Entries under the newest witnessed checkpoint, where there are witnesses.
    pub(super) witnessed: Option<AtomicU64>,
}

/// The batch that the disk has now.
struct Written {
    tickets: Vec<Arc<Ticket>>,
    since: Instant,
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
    writer: Doing,
}

/// What the writer does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// It writes, and will look here again.
    Writes,
    /// It lets a batch grow for a moment.
    Gathers,
    /// It waits for whatever comes.
    Sleeps,
}

/// Entries that will be made durable together.
pub(super) struct Waiting {
    pub(super) first: u64,
    pub(super) drafts: Vec<Draft>,
    pub(super) salts: Vec<Salt>,
    pub(super) ticket: Arc<Ticket>,
    /// What the shares among them wait for where the register gates them: durable there too.
    pub(super) registered: Option<Arc<Ticket>>,
    bytes: usize,
    since: Instant,
    /// Entries that calls wait for, how many of these stand still, and since when the first waits.
    awaited: u32,
    standing: u32,
    awaited_since: Option<Instant>,
    /// Those who wait were told that the disk takes too long: whoever comes now waits for another batch.
    told: bool,
}

impl Waiting {
    /// The disk takes too long; whether it becomes durable is not known.
    fn late(&mut self) {
        self.told = true;
        self.ticket.late();
        self.registered.iter().for_each(|ticket| ticket.late());
    }

    /// Nothing of it is known to be durable.
    pub(super) fn failed(&self) {
        self.ticket.failed();
        self.registered.iter().for_each(|ticket| ticket.failed());
    }

    /// Until when this batch may grow.
    fn open_until(&self, all_busy: bool, open_shares: usize) -> Instant {
        match self.awaited_since {
            None => self.since + QUIET,
            // All shares that are under way wait here, or somebody could go on: nothing is gained by waiting.
            Some(since) if !all_busy || self.awaited as usize >= open_shares => since,
            Some(since) => since + if self.standing > 0 { STANDING } else { LONGEST },
        }
    }
}

impl Shared {
    pub(super) fn new(next: u64, most_batch: usize, checkpoint: Vec<u8>, witnessed: Option<u64>) -> Self {
        let state = State { waiting: VecDeque::new(), next, entries: 0, reserved: 0, bytes: 0, closing: false, writer: Doing::Writes };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            workers: Workers::default(),
            fault: OnceLock::new(),
            published: Mutex::new(Published { note: Arc::new(checkpoint), size: next, wakers: Vec::new() }),
            writing: Mutex::new(None),
            stalled: AtomicBool::new(false),
            most_batch,
            size: AtomicU64::new(next),
            batches: AtomicU64::new(0),
            last_sync: AtomicU64::new(0),
            held: AtomicBool::new(false),
            gate: OnceLock::new(),
            unregistered: AtomicBool::new(false),
            witnessed: witnessed.map(AtomicU64::new),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much of the log enough witnesses have cosigned; none where there are none.
    pub(super) fn witnessed(&self) -> Option<u64> {
        self.witnessed.as_ref().map(|size| size.load(Ordering::Relaxed))
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
        waiting.iter().for_each(Waiting::failed);
        self.changed.notify_all();
        std::mem::take(&mut self.published().wakers).into_iter().for_each(Waker::wake);
    }

    fn writing(&self) -> MutexGuard<'_, Option<Written>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin_batch(&self, ticket: &Arc<Ticket>, registered: Option<&Arc<Ticket>>) {
        let tickets = std::iter::once(ticket).chain(registered).cloned().collect();
        *self.writing() = Some(Written { tickets, since: sys::instant() });
    }

    /// The disk has answered, whatever it said.
    pub(super) fn end_batch(&self) {
        *self.writing() = None;
        if self.stalled.swap(false, Ordering::Relaxed) {
            tracing::warn!("the ledger's disk answers again");
        }
    }

    /// Where the disk has not answered for so long, those who wait are told, and nobody waits anew until it does. What was
    /// handed to the disk may still become durable: a share that was refused is then on record, settled as not made.
    pub(super) fn look_for_stall(&self, patience: Duration) {
        let late = self.writing().as_ref().filter(|batch| batch.since.elapsed() > patience).map(|batch| batch.tickets.clone());
        let Some(tickets) = late else { return };
        if !self.stalled.swap(true, Ordering::Relaxed) {
            tracing::error!(patience = ?patience, "the ledger's disk does not answer: no share until it does");
        }
        tickets.iter().for_each(|ticket| ticket.late());
        self.lock().waiting.iter_mut().for_each(Waiting::late);
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
        } else if self.stalled.load(Ordering::Relaxed) {
            Err(Unavailable::Stalled)
        } else if state.entries + state.reserved >= MOST_ENTRIES || state.bytes + bytes > MOST_BYTES {
            Err(Unavailable::Overloaded)
        } else {
            Ok(())
        }
    }

    pub(super) fn append(&self, draft: Draft, haste: Haste) -> Result<Pending, Unavailable> {
        let mut state = self.lock();
        self.admit(&state, draft.bytes.len())?;
        let (index, first, ticket) = self.queue(&mut state, draft, None);
        let (all_busy, open_shares, doing) = (self.workers.all_busy(), state.reserved, state.writer);
        let mut wake = doing == Doing::Sleeps;
        if let Some(batch) = state.waiting.back_mut() {
            let stands = haste == Haste::Standing;
            let shorter = batch.awaited == 0 || (stands && batch.standing == 0);
            batch.awaited += 1;
            batch.standing += u32::from(stands);
            let since = *batch.awaited_since.get_or_insert_with(sys::instant);
            // Whoever shortens the patience says so, and so does the last who could come.
            wake |= doing == Doing::Gathers && (shorter || batch.open_until(all_busy, open_shares) <= since);
        }
        if wake {
            state.writer = Doing::Writes;
        }
        drop(state);
        if wake {
            self.changed.notify_one();
        }
        let position = usize::try_from(index - first).unwrap_or(0);
        Ok(Pending::new(ticket, index, position))
    }

    fn queue(&self, state: &mut State, draft: Draft, salt: Option<Salt>) -> (u64, u64, Arc<Ticket>) {
        let index = state.next;
        let bytes = draft.bytes.len() + 2;
        state.next += 1;
        state.entries += 1;
        state.bytes += bytes;
        let mut waiting = match state.waiting.pop_back() {
            Some(waiting) if !waiting.told && waiting.bytes + bytes <= self.most_batch => waiting,
            full => {
                state.waiting.extend(full);
                let (ticket, registered) = (Arc::new(Ticket::new()), self.gate.get().map(|_| Arc::new(Ticket::new())));
                let (drafts, salts, since) = (Vec::new(), Vec::new(), sys::instant());
                Waiting {
                    first: index,
                    drafts,
                    salts,
                    ticket,
                    registered,
                    bytes: 0,
                    since,
                    awaited: 0,
                    standing: 0,
                    awaited_since: None,
                    told: false,
                }
            }
        };
        // Only a share waits for the register: a refusal or a settlement shows nothing to anybody.
        let ticket = waiting.registered.as_ref().filter(|_| draft.effect == Effect::Opens).unwrap_or(&waiting.ticket);
        let place = (index, waiting.first, ticket.clone());
        waiting.bytes += bytes;
        waiting.drafts.push(draft);
        waiting.salts.extend(salt);
        state.waiting.push_back(waiting);
        place
    }

    pub(super) fn reserve(self: &Arc<Self>) -> Result<Settling, Unavailable> {
        if self.held.load(Ordering::Relaxed) {
            return Err(Unavailable::Unwitnessed);
        }
        if self.unregistered.load(Ordering::Relaxed) {
            return Err(Unavailable::Unregistered);
        }
        let mut state = self.lock();
        self.admit(&state, 0)?;
        state.reserved += 1;
        drop(state);
        Ok(Settling(self.clone()))
    }

    /// The next batch; none once the ledger closes and all is written, or after a fault.
    pub(super) fn next(&self) -> Option<Waiting> {
        let mut state = self.lock();
        while !state.closing && self.fault.get().is_none() {
            let full = state.waiting.len() > 1;
            state = match state.waiting.front() {
                None => {
                    state.writer = Doing::Sleeps;
                    self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
                Some(batch) => {
                    // Said before it is asked who is busy: a worker that falls asleep meanwhile sees it.
                    self.workers.look_for_idle(true);
                    let until = batch.open_until(self.workers.all_busy(), state.reserved);
                    let patience = until.saturating_duration_since(sys::instant());
                    if full || patience.is_zero() {
                        break;
                    }
                    state.writer = Doing::Gathers;
                    self.changed.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        self.workers.look_for_idle(false);
        state.writer = Doing::Writes;
        let batch = state.waiting.pop_front()?;
        state.entries -= batch.drafts.len();
        state.bytes -= batch.bytes;
        Some(batch)
    }

    /// What waits need not wait for more.
    pub(super) fn hurry(&self) {
        // Under the lock, so that the writer is asleep or has not looked yet.
        let gathers = self.lock().writer == Doing::Gathers;
        if gathers {
            self.changed.notify_one();
        }
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
                Effect::Closes(granted) => salt.map(|salt| (granted, salt)),
                _ => None,
            };
            shared.queue(&mut state, draft, salt);
        }
        let wake = state.writer == Doing::Sleeps;
        if wake {
            state.writer = Doing::Writes;
        }
        drop(state);
        if wake {
            shared.changed.notify_one();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_stays_open_for_those_who_may_still_come() {
        let shared = Shared::new(0, usize::MAX, Vec::new(), None);
        let draft = super::super::entry::Event::Stopped.draft().unwrap();
        drop(shared.append(draft, Haste::Busy).unwrap());
        let mut state = shared.lock();
        let batch = state.waiting.front_mut().unwrap();
        let since = batch.awaited_since.unwrap();
        assert_eq!(batch.open_until(true, 2), since + LONGEST);
        assert_eq!(batch.open_until(true, 1), since, "all who are under way wait");
        assert_eq!(batch.open_until(false, 2), since, "somebody could go on");
        batch.standing = 1;
        assert_eq!(batch.open_until(true, 2), since + STANDING);
        batch.awaited_since = None;
        assert_eq!(batch.open_until(true, 2), batch.since + QUIET, "settlements alone");
    }
}
