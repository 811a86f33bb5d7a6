//! Feeds the database: from the signed log, a little behind; or, where shares wait for the register, each batch as soon as it
//! is durable here, and those who wait are told once it is durable there too.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::super::super::Config;
use super::super::super::query;
use super::super::super::query::minimum;
use super::super::super::queue::Shared;
use super::super::super::receipt::Sealed;
use super::super::super::ticket::Ticket;
use super::super::feed::{State, catch_up};
use super::super::{Broken, Row, Store};
use super::{Ahead, Database, Postgres};
use crate::sys;

/// How often the signed log is looked at, and this gateway says that it is there.
const EVERY: Duration = Duration::from_millis(250);
/// How long to wait after a failure.
const PATIENCE: Duration = Duration::from_secs(1);
const SEEN_EVERY: Duration = Duration::from_secs(10);
/// Rows of one transaction while catching up.
const MOST_ROWS: usize = 4096;

/// A durable batch whose shares wait for the database.
struct Waiting {
    ticket: Arc<Ticket>,
    batch: Arc<Sealed>,
    time: Timestamp,
}

enum Message {
    Batch(Waiting),
    /// The control snapshot in force.
    Snapshot(String),
    /// The ledger has closed.
    End,
}

/// Where the writer hands over what waits for the database.
#[derive(Clone)]
pub(in super::super::super) struct Gate(mpsc::Sender<Message>);

impl Gate {
    /// Those who wait for `ticket` are told once the batch is registered, or that it cannot be.
    pub(in super::super::super) fn push(&self, ticket: &Arc<Ticket>, batch: &Arc<Sealed>, time: Timestamp) {
        let waiting = Waiting { ticket: ticket.clone(), batch: batch.clone(), time };
        if self.0.send(Message::Batch(waiting)).is_err() {
            ticket.unregistered();
        }
    }
}

#[derive(Default)]
struct Told {
    size: AtomicU64,
    broken: Mutex<Option<String>>,
    ahead: Mutex<Option<Ahead>>,
}

impl Told {
    fn broken(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ahead(&self) -> std::sync::MutexGuard<'_, Option<Ahead>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compared(&self, ahead: Option<Ahead>) {
        let before = std::mem::replace(&mut *self.ahead(), ahead.clone());
        if let Some(Ahead { snapshot, log }) = ahead.filter(|ahead| before.as_ref() != Some(ahead)) {
            tracing::warn!(%snapshot, %log, "another gateway has a newer control snapshot than this one");
        }
    }
}

/// The feeding thread; it ends when this is dropped.
pub struct SharedFeed {
    told: Arc<Told>,
    sender: mpsc::Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl SharedFeed {
    /// Feeds the database that the configuration names, if it names one. Where shares wait for it, they do from now on.
    pub(in super::super::super) fn of(config: &Config, shared: &Arc<Shared>) -> io::Result<Option<Self>> {
        let Some(database) = &config.database else { return Ok(None) };
        let feed = Self::start(&config.folder, &config.name, database, config.gated.then_some(shared))?;
        if config.gated {
            // Nothing was queued before: a second gate there is not.
            let _ = shared.gate.set(feed.gate());
        }
        Ok(Some(feed))
    }

    fn start(folder: &Path, log: &str, database: &Database, gated: Option<&Arc<Shared>>) -> io::Result<Self> {
        let told = Arc::new(Told::default());
        let (sender, messages) = mpsc::channel();
        let feeding = Feeding {
            folder: folder.to_owned(),
            log: log.to_owned(),
            database: database.clone(),
            told: told.clone(),
            gated: gated.cloned(),
            store: None,
            snapshot: None,
            retry: None,
            seen: None,
            ended: false,
        };
        let thread = std::thread::Builder::new().name("ledger-database".to_owned()).spawn(move || feeding.run(&messages))?;
        Ok(Self { told, sender, thread: Some(thread) })
    }

    /// How the database stands.
    pub fn state(&self) -> State {
        State { size: self.told.size.load(Ordering::Relaxed), broken: self.told.broken().clone() }
    }

    /// The control snapshot of a peer that is newer than the one here, as far as the database said when it last answered.
    pub fn ahead(&self) -> Option<Ahead> {
        self.told.ahead().clone()
    }

    /// Where the writer hands batches over.
    fn gate(&self) -> Gate {
        Gate(self.sender.clone())
    }

    /// Tells the database which control snapshot is in force here.
    pub fn snapshot(&self, digest: &str) {
        // A thread that has ended has said why.
        let _ = self.sender.send(Message::Snapshot(digest.to_owned()));
    }
}

impl Drop for SharedFeed {
    fn drop(&mut self) {
        let _ = self.sender.send(Message::End);
        // A thread that panicked has said so on standard error already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Feeding {
    folder: PathBuf,
    log: String,
    database: Database,
    told: Arc<Told>,
    gated: Option<Arc<Shared>>,
    store: Option<Postgres>,
    snapshot: Option<String>,
    retry: Option<Instant>,
    seen: Option<Instant>,
    ended: bool,
}

impl Feeding {
    fn run(mut self, messages: &mpsc::Receiver<Message>) {
        loop {
            let mut waiting = Vec::new();
            if let Ok(message) = messages.recv_timeout(EVERY) {
                self.take(message, &mut waiting);
            }
            // One transaction for all that came meanwhile.
            while let Ok(message) = messages.try_recv() {
                self.take(message, &mut waiting);
            }
            // At the end, what is signed by now is registered by now, where that is possible.
            let done = self.round(&waiting);
            for Waiting { ticket, batch, time } in waiting {
                if done { ticket.durable(batch, time) } else { ticket.unregistered() }
            }
            if self.ended {
                return;
            }
        }
    }

    fn take(&mut self, message: Message, waiting: &mut Vec<Waiting>) {
        match message {
            Message::Batch(batch) => waiting.push(batch),
            Message::Snapshot(digest) => {
                self.snapshot = Some(digest);
                self.seen = None;
            }
            Message::End => self.ended = true,
        }
    }

    /// Whether what waits is registered now.
    fn round(&mut self, waiting: &[Waiting]) -> bool {
        if self.retry.is_some_and(|retry| sys::instant() < retry) {
            return false;
        }
        match self.feed(waiting) {
            Ok(()) => {
                self.retry = None;
                if self.told.broken().take().is_some() {
                    tracing::info!("the database registers entries again");
                }
                self.refuse(false);
                true
            }
            Err(broken) => {
                self.store = None;
                self.retry = Some(sys::instant() + PATIENCE);
                let known = self.told.broken().replace(broken.why.clone());
                if known.as_ref() != Some(&broken.why) {
                    tracing::error!(error = %broken, "the database registers nothing; the log itself is whole, and what is missing follows");
                }
                self.refuse(true);
                false
            }
        }
    }

    /// With the database down, a share that would wait for it is refused before it is written down as granted.
    fn refuse(&self, refused: bool) {
        if let Some(shared) = &self.gated {
            shared.unregistered.store(refused, Ordering::Relaxed);
        }
    }

    fn feed(&mut self, waiting: &[Waiting]) -> Result<(), Broken> {
        let folder = self.folder.clone();
        if self.store.is_none() {
            let entry_at = |index| {
                let mut found = None;
                query::read(&folder, index, |record| {
                    found = (record.index == index).then_some(record.entry);
                    ControlFlow::Break(())
                })?;
                Ok(found)
            };
            self.store = Some(Postgres::open(&self.database, &self.log, entry_at)?);
            self.seen = None;
        }
        let Some(store) = &mut self.store else { return Ok(()) };
        let told = &self.told;
        match (&self.gated, waiting.first()) {
            (None, _) => catch_up(&folder, store, |end, _| {
                told.size.store(end, Ordering::Relaxed);
                true
            })?,
            (Some(_), Some(first)) if store.end() == first.batch.batch.first => {
                let entries = waiting
                    .iter()
                    .map(|waiting| &waiting.batch.batch)
                    .flat_map(|batch| (batch.first..).zip(batch.entries()).zip(&batch.leaves));
                let rows: Vec<_> = entries.map(|((index, entry), leaf)| Row::read(index, *leaf, entry)).collect();
                store.add(&rows)?;
            }
            // After a start or an outage: whatever the log has, its journal included.
            (Some(shared), _) if store.end() < shared.size.load(Ordering::Relaxed) => from_log(&folder, store)?,
            (Some(_), _) => {}
        }
        self.told.size.store(store.end(), Ordering::Relaxed);
        // Whichever way it went: nobody is told that an entry is there which the database was never given.
        let needed = waiting.iter().map(|Waiting { batch, .. }| batch.batch.first + batch.batch.leaves.len() as u64).max();
        if needed.is_some_and(|needed| store.end() < needed) {
            let why = format!("the log could be read up to entry {} only, and later ones wait", store.end());
            return Err(Broken { why, anew: false });
        }
        if self.seen.is_none_or(|seen| seen.elapsed() > SEEN_EVERY) {
            told.compared(store.seen(self.snapshot.as_deref())?);
            self.seen = Some(sys::instant());
        }
        Ok(())
    }
}

/// Registers all that is durable and not yet there.
fn from_log(folder: &Path, store: &mut Postgres) -> Result<(), Broken> {
    store.prune(minimum(folder)?)?;
    loop {
        let mut records = Vec::new();
        query::read(folder, store.end(), |record| {
            records.push(record);
            if records.len() < MOST_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if records.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = records.iter().map(|record| Row::read(record.index, record.leaf, &record.entry)).collect();
        store.add(&rows)?;
    }
}
