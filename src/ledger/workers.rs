//! The threads that carry calls, as the ledger sees them: while all of them are busy nobody could go on with an entry that
//! became durable, so a batch may grow; one that falls asleep ends that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::queue::Shared;

/// How many there are, and what they do.
#[derive(Default)]
pub(super) struct Workers {
    all: AtomicUsize,
    /// Those that sleep until something happens.
    idle: AtomicUsize,
    /// The writer lets a batch grow until one does.
    looked_for: AtomicBool,
}

impl Workers {
    /// Whether each has something to do; no, where there are none.
    pub(super) fn all_busy(&self) -> bool {
        self.idle.load(Ordering::SeqCst) == 0 && self.all.load(Ordering::Relaxed) > 0
    }

    /// Said before it is asked who is busy: whoever falls asleep meanwhile sees it.
    pub(super) fn look_for_idle(&self, looked_for: bool) {
        self.looked_for.store(looked_for, Ordering::SeqCst);
    }
}

/// One of them; it is busy unless it says otherwise.
pub struct Worker(Arc<Shared>);

impl Worker {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        shared.workers.all.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }

    /// It has nothing to do until something happens.
    pub fn sleeps(&self) {
        let workers = &self.0.workers;
        workers.idle.fetch_add(1, Ordering::SeqCst);
        if workers.looked_for.load(Ordering::SeqCst) {
            self.0.hurry();
        }
    }

    /// Something happened.
    pub fn wakes(&self) {
        self.0.workers.idle.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.workers.all.fetch_sub(1, Ordering::Relaxed);
    }
}
