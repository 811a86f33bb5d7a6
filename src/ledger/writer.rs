//! The one writer: takes all that waits, sets the time, makes it durable with one write and one sync, and only then
//! tells those who wait. Recovery replays the journal through the same `apply` of the open set and of the tree.

use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use jiff::Timestamp;

use super::checkpoint::Backlog;
use super::entry::{Effect, time_bytes};
use super::journal::{Batch, Journal};
use super::keys::Signer;
use super::queue::{Shared, Waiting};
use super::receipt::Sealed;
use super::volume::Volume;
use crate::sys;

/// Notes what an entry does to the set of open shares.
pub(super) fn apply(open: &mut BTreeSet<u64>, index: u64, effect: Effect) {
    match effect {
        Effect::Opens => {
            open.insert(index);
        }
        Effect::Closes(granted) => {
            open.remove(&granted);
        }
        Effect::Erases | Effect::Nothing => {}
    }
}

/// As the entry will tell it: six decimals.
fn whole_micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// The writer's own state; nobody else touches it.
pub(super) struct Writer {
    pub(super) journal: Journal,
    pub(super) volume: Arc<dyn Volume>,
    pub(super) signer: Arc<Signer>,
    /// Batches that grant shares, to be signed while the disk syncs.
    pub(super) signing: SyncSender<Arc<Sealed>>,
    /// Granted shares not yet settled, as of the last durable batch.
    pub(super) open: BTreeSet<u64>,
    /// Of the last entry: time never goes back.
    pub(super) last: Timestamp,
}

impl Writer {
    /// Runs until the ledger closes or the disk fails.
    pub(super) fn run(mut self, shared: &Shared, backlog: &Backlog) {
        while let Some(waiting) = shared.next() {
            let (ticket, registered) = (waiting.ticket.clone(), waiting.registered.clone());
            // Whatever happens in there, those who wait are told; after a panic nothing is known of the disk.
            shared.begin_batch(&ticket, registered.as_ref());
            let committed = catch_unwind(AssertUnwindSafe(|| self.commit(waiting, shared)));
            shared.end_batch();
            match committed.unwrap_or_else(|_| Err((PathBuf::from("writer"), io::Error::other("the writer panicked")))) {
                Ok(batch) => {
                    if let (Some(gate), Some(registered)) = (shared.gate.get(), &registered) {
                        gate.push(registered, &batch, self.last);
                    }
                    ticket.durable(batch.clone(), self.last);
                    backlog.push(batch);
                }
                Err((path, error)) => {
                    shared.poison(path, error);
                    ticket.failed();
                    registered.iter().for_each(|ticket| ticket.failed());
                    break;
                }
            }
        }
        backlog.close();
    }

    fn commit(&mut self, waiting: Waiting, shared: &Shared) -> Result<Arc<Sealed>, (PathBuf, io::Error)> {
        self.last = self.last.max(whole_micros(sys::now()));
        let time = time_bytes(self.last).ok_or_else(|| (PathBuf::from("clock"), io::ErrorKind::InvalidData.into()))?;
        let mut batch = Batch { first: waiting.first, salts: waiting.salts, ..Batch::default() };
        let mut effects = Vec::with_capacity(waiting.drafts.len());
        for mut draft in waiting.drafts {
            draft.set_time(&time);
            batch.push(&draft.bytes);
            effects.push(draft.effect);
        }
        let sealed = Arc::new(Sealed::new(batch, self.signer.clone(), shared.witnessed()));
        if effects.contains(&Effect::Opens) {
            // Where the thread is behind, whoever needs the signature makes it.
            let _ = self.signing.try_send(sealed.clone());
        }
        if effects.contains(&Effect::Erases) {
            // Salts stand in the journal too: its files up to here go with the next checkpoint.
            self.journal.roll(&*self.volume, sealed.batch.first, &self.open)?;
        }
        let begun = sys::instant();
        self.journal.commit(&*self.volume, &sealed.batch, &self.open)?;
        shared.count_batch(effects.len(), begun.elapsed());
        for (index, effect) in (sealed.batch.first..).zip(effects) {
            apply(&mut self.open, index, effect);
        }
        Ok(sealed)
    }
}
