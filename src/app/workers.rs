//! Workers: one thread and one runtime a core, each with its own connections to origins, so that a call stays on its
//! core from its first byte to its last. One acceptor hands each connection to the worker that has the fewest.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::gateway::{Line, Shared, listener};
use crate::origin::Origins;
use crate::sys;

/// How often a drain looks again.
const TICK: Duration = Duration::from_millis(5);
/// How long connections may stay open once no call is under way.
const FAREWELL: Duration = Duration::from_secs(3);

/// All workers.
pub struct Workers {
    workers: Vec<Worker>,
    stop: watch::Receiver<bool>,
    open: Arc<AtomicUsize>,
}

struct Worker {
    handle: Handle,
    line: Arc<Line>,
    connections: Arc<AtomicUsize>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One connection, counted with its worker until dropped.
struct Counted(Arc<AtomicUsize>, Arc<AtomicUsize>);

impl Counted {
    fn new(worker: &Arc<AtomicUsize>, all: &Arc<AtomicUsize>) -> Self {
        worker.fetch_add(1, Ordering::Relaxed);
        all.fetch_add(1, Ordering::Relaxed);
        Self(worker.clone(), all.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts one worker a core.
    pub fn start(shared: &Arc<Shared>, base: &Path, stop: &watch::Receiver<bool>) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = (0..cores).map(|number| Worker::start(number, shared, base)).collect::<io::Result<_>>()?;
        Ok(Self { workers, stop: stop.clone(), open: Arc::default() })
    }

    /// Accepts connections for as long as the future is polled, `most` at a time.
    pub fn accept(&self, listener: TcpListener, most: usize) -> impl Future<Output = ()> + Send + 'static {
        let workers: Vec<_> =
            self.workers.iter().map(|worker| (worker.handle.clone(), worker.line.clone(), worker.connections.clone())).collect();
        let (stop, open, places) = (self.stop.clone(), self.open.clone(), Arc::new(Semaphore::new(most)));
        async move {
            loop {
                let Ok(place) = places.clone().acquire_owned().await else { return };
                let (stream, peer) = match listener.accept().await.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of file descriptors, mostly: connections under way will free some.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                };
                let Some((handle, line, connections)) =
                    workers.iter().min_by_key(|(_, _, connections)| connections.load(Ordering::Relaxed))
                else {
                    return;
                };
                let (line, stop, counted) = (line.clone(), stop.clone(), Counted::new(connections, &open));
                handle.spawn(async move {
                    let _counted = counted;
                    match TcpStream::from_std(stream) {
                        Ok(stream) => listener::serve(line, stream, peer, place, stop).await,
                        Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
                    }
                });
            }
        }
    }

    /// Waits until no call is under way, and then a little for answers to leave and for first requests to come: a caller that
    /// keeps an idle connection open in spite of the goodbye holds nobody up.
    pub async fn drained(&self, shared: &Shared) {
        let mut quiet = sys::instant();
        loop {
            if shared.in_flight.load(Ordering::Relaxed) > 0 {
                quiet = sys::instant();
            } else if self.open.load(Ordering::Relaxed) == 0 || quiet.elapsed() > FAREWELL {
                // Whoever is still there has had its answer.
                return;
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Stops all workers; what they still do is dropped, and settled as cut.
    pub fn stop(&mut self) {
        for worker in &mut self.workers {
            worker.end.take();
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take()
                && thread.join().is_err()
            {
                tracing::error!("a worker had panicked");
            }
        }
    }
}

impl Worker {
    fn start(number: usize, shared: &Arc<Shared>, base: &Path) -> io::Result<Self> {
        // The ledger gathers entries for as long as every worker is busy.
        let sleeping = Arc::new(shared.ledger.worker());
        let waking = sleeping.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || sleeping.sleeps())
            .on_thread_unpark(move || waking.wakes())
            .build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let run = move || {
            // An error is the sender's drop: the end as well.
            let _ = runtime.block_on(ended);
        };
        let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(run)?;
        let line = Arc::new(Line { shared: shared.clone(), origins: Arc::new(Origins::new(base, shared.origin_files.clone())) });
        Ok(Self { handle, line, connections: Arc::default(), end: Some(end), thread: Some(thread) })
    }
}
