//! Several questions side by side, each worker with a solver process of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;
use std::time::Duration;

use super::{Session, Solver};
use crate::lang::Text;

/// Formulas over ten thousand policies are as deep: room for walking them, taken only as far as it is used.
const STACK: usize = 512 << 20;

/// A thread on which such formulas can be built, walked and dropped.
fn big_thread() -> Builder {
    Builder::new().name("prove".to_owned()).stack_size(STACK)
}

/// Runs `work` where deep formulas fit; none where it ended abnormally.
pub(in crate::policy) fn on_a_big_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| big_thread().spawn_scoped(scope, work).ok()?.join().ok())
}

/// Who asks, and how.
pub(in crate::policy) struct Crew<'a> {
    pub(in crate::policy) solver: Result<&'a Solver, &'a Text>,
    pub(in crate::policy) timeout: Duration,
    pub(in crate::policy) workers: usize,
    pub(in crate::policy) progress: &'a (dyn Fn(usize, usize) + Sync),
}

impl Crew<'_> {
    /// The answers in the order of their questions; none where the thread that asked ended abnormally.
    pub(in crate::policy) fn ask<Q: Sync, A: Send>(
        &self,
        questions: &[Q],
        ask: impl Fn(&mut Result<Session, Text>, &Q) -> A + Sync,
    ) -> Vec<Option<A>> {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            let mut answers = Vec::new();
            let mut session = self.solver.map(|solver| Session::new(solver, self.timeout)).map_err(Clone::clone);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(question) = questions.get(number) else { return answers };
                answers.push((number, ask(&mut session, question)));
                (self.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, questions.len());
            }
        };
        let mut answers: Vec<Option<A>> = questions.iter().map(|_| None).collect();
        std::thread::scope(|scope| {
            let workers = 0..self.workers.clamp(1, questions.len().max(1));
            let threads: Vec<_> = workers.filter_map(|_| big_thread().spawn_scoped(scope, work).ok()).collect();
            for (number, answer) in threads.into_iter().filter_map(|thread| thread.join().ok()).flatten() {
                answers[number] = Some(answer);
            }
        });
        answers
    }
}
