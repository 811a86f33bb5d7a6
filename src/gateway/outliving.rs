//! Work that outlives whoever waits for it: polled in place while somebody waits, so that a call costs no task of its
//! own, and handed to one the moment the waiting ends. The work can see that it was left alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// Whether anybody still waits for the work.
#[derive(Clone, Debug, Default)]
pub(super) struct Waited(Arc<AtomicBool>);

impl Waited {
    /// Nobody does any more.
    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The work ended in a panic, and was dropped.
#[derive(Debug)]
pub(super) struct Panicked;

/// Work that is waited for, until this is dropped: then it goes on in a task of its own.
pub(super) struct Outliving<T: Send + 'static> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    waited: Waited,
}

impl<T: Send + 'static> Outliving<T> {
    /// `waited` is what the work itself looks at.
    pub(super) fn new(waited: Waited, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), waited }
    }
}

impl<T: Send + 'static> Future for Outliving<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Ready(Err(Panicked)) };
        // As in a task of its own, a panic ends the work and no more: the connection carries other calls too.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => Ok(outcome),
            Err(_) => Err(Panicked),
        };
        self.work = None;
        Poll::Ready(outcome)
    }
}

impl<T: Send + 'static> Drop for Outliving<T> {
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.work.take(), Handle::try_current()) {
            self.waited.0.store(true, Ordering::Relaxed);
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_and_knows_it() {
        let (go, gate) = oneshot::channel::<()>();
        let (done, told) = oneshot::channel();
        let waited = Waited::default();
        let seen = waited.clone();
        let mut work = Box::pin(Outliving::new(waited, async move {
            gate.await.unwrap();
            done.send(seen.is_over()).unwrap();
        }));
        assert!(matches!(std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await, Poll::Pending));
        drop(work);
        go.send(()).unwrap();
        assert!(told.await.unwrap());
    }

    #[tokio::test]
    async fn a_panic_ends_the_work_alone() {
        let work = Outliving::new(Waited::default(), async { panic!("as a bug would") });
        let outcome: Result<(), Panicked> = work.await;
        assert!(outcome.is_err());
        assert!(Outliving::new(Waited::default(), async { 1 }).await.is_ok_and(|one| one == 1));
    }
}
