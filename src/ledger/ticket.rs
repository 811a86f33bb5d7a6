//! What everybody whose entry is in one batch waits for. Of all who wait on one thread one is woken, who wakes the others
//! from there: on their own thread that costs no call of the system.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::ThreadId;

use jiff::Timestamp;

use super::receipt::Sealed;
use super::{Committed, Unavailable};

/// Shared by one batch.
pub(super) struct Ticket(Mutex<State>);

enum State {
    Waiting(Vec<Crowd>),
    /// The crowds are those who are still to be woken, by the one of each that was.
    Durable(Arc<Sealed>, Timestamp, Vec<Crowd>),
    Failed,
    /// The disk takes too long; whether the entry becomes durable is not known.
    Late,
    /// Durable here, but not in the register that shares wait for.
    Unregistered,
}

/// Those who wait on one thread; none in the place of one who went away.
struct Crowd {
    thread: ThreadId,
    wakers: Vec<Option<Waker>>,
}

/// In which crowd somebody waits, and as which of it.
type Place = (usize, usize);

impl Ticket {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::Waiting(Vec::new())))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The batch is durable: wakes one of each crowd.
    pub(super) fn durable(&self, batch: Arc<Sealed>, time: Timestamp) {
        let first: Vec<Waker> = {
            let mut state = self.lock();
            let mut crowds = match &mut *state {
                State::Waiting(crowds) => std::mem::take(crowds),
                State::Durable(..) | State::Failed | State::Late | State::Unregistered => Vec::new(),
            };
            let first = crowds.iter_mut().filter_map(|crowd| crowd.wakers.iter_mut().find_map(Option::take)).collect();
            *state = State::Durable(batch, time, crowds);
            first
        };
        first.into_iter().for_each(Waker::wake);
    }

    /// The batch is lost, or nothing is known of it.
    pub(super) fn failed(&self) {
        self.end(State::Failed);
    }

    /// The disk takes too long: those who wait are told, those who come are too.
    pub(super) fn late(&self) {
        self.end(State::Late);
    }

    /// The batch is durable here, and the register that its shares wait for has not taken it.
    pub(super) fn unregistered(&self) {
        self.end(State::Unregistered);
    }

    fn end(&self, state: State) {
        let before = {
            let mut current = self.lock();
            // Durable stays durable: its crowds are woken by those of them who were.
            if matches!(*current, State::Durable(..)) {
                return;
            }
            std::mem::replace(&mut *current, state)
        };
        if let State::Waiting(crowds) = before {
            crowds.into_iter().flat_map(|crowd| crowd.wakers).flatten().for_each(Waker::wake);
        }
    }

    /// Whoever was at this place does not wait any more: it wakes the others that it was woken for.
    fn leave(&self, (crowd, at): Place) {
        let others = match &mut *self.lock() {
            State::Waiting(crowds) => {
                if let Some(waker) = crowds.get_mut(crowd).and_then(|crowd| crowd.wakers.get_mut(at)) {
                    *waker = None;
                }
                return;
            }
            State::Durable(_, _, crowds) => crowds.get_mut(crowd).map(|crowd| std::mem::take(&mut crowd.wakers)).unwrap_or_default(),
            State::Failed | State::Late | State::Unregistered => return,
        };
        others.into_iter().flatten().for_each(Waker::wake);
    }
}

/// An entry on its way: becomes [`Committed`] once it is durable.
#[must_use = "an entry is durable only once this says so"]
pub struct Pending {
    ticket: Arc<Ticket>,
    index: u64,
    position: usize,
    place: Option<Place>,
}

impl Pending {
    pub(super) fn new(ticket: Arc<Ticket>, index: u64, position: usize) -> Self {
        Self { ticket, index, position, place: None }
    }

    /// The entry's index; known at once, true only if the entry becomes durable.
    pub fn index(&self) -> u64 {
        self.index
    }

    fn leave(&mut self) {
        if let Some(place) = self.place.take() {
            self.ticket.leave(place);
        }
    }
}

impl Future for Pending {
    type Output = Result<Committed, Unavailable>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let committed = match &mut *this.ticket.lock() {
            State::Durable(sealed, time, _) => {
                let leaf = sealed.batch.leaves.get(this.position).copied().ok_or(Unavailable::Poisoned);
                let (index, position) = (this.index, this.position);
                leaf.map(|leaf| Committed { index, leaf, time: *time, position, sealed: sealed.clone() })
            }
            State::Failed => Err(Unavailable::Poisoned),
            State::Late => Err(Unavailable::Stalled),
            State::Unregistered => Err(Unavailable::Unregistered),
            State::Waiting(crowds) => {
                this.place = Some(wait(crowds, this.place, context));
                return Poll::Pending;
            }
        };
        this.leave();
        Poll::Ready(committed)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Waits at `place`, or at a new one in the crowd of this thread.
fn wait(crowds: &mut Vec<Crowd>, place: Option<Place>, context: &Context<'_>) -> Place {
    if let Some((crowd, at)) = place
        && let Some(waker) = crowds.get_mut(crowd).and_then(|crowd| crowd.wakers.get_mut(at))
    {
        match waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => *waker = Some(context.waker().clone()),
        }
        return (crowd, at);
    }
    let thread = std::thread::current().id();
    let crowd = crowds.iter().position(|crowd| crowd.thread == thread).unwrap_or_else(|| {
        crowds.push(Crowd { thread, wakers: Vec::new() });
        crowds.len() - 1
    });
    let wakers = &mut crowds[crowd].wakers;
    wakers.push(Some(context.waker().clone()));
    (crowd, wakers.len() - 1)
}
