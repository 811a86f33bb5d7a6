//! The ledger: every share, written down before its first byte leaves, in a log that nobody can quietly change.
//!
//! One writer thread makes entries durable in the `journal`; one publisher thread brings them into C2SP tlog-tiles and
//! signs checkpoints. What is true after a loss of power at any point:
//!
//! | power is lost | on the disk | after the next start |
//! |---|---|---|
//! | while an entry waits in the queue | nothing | nobody was told; the entry never was |
//! | while a batch is written or synced | some, all or nothing of the batch | a torn batch is dropped whole; a whole one counts, and its granted shares are closed as *unknown*. Nobody was told |
//! | after the sync, before or after the acknowledgement | the batch, in the journal | in the log at the acknowledged index with the acknowledged leaf |
//! | while tiles, bundles or salts are written | the old checkpoint and what it covers, untouched | the journal is replayed onto the old checkpoint; the same tiles are written again |
//! | after the tiles, before the checkpoint | as before | as before |
//! | while the checkpoint is replaced | the old or the new one | replay from whichever it is |
//! | after the checkpoint, before journal files are removed | both | what the checkpoint covers is not applied twice |
//! | while a journal file is begun | the file is there with its head, or not at all | an empty file is replaced whole |
//! | while a settlement waits | the granted entry alone | closed as *unknown* |
//!
//! After any error of a write or a sync (I/O error, full disk, quota, read-only filesystem, a short write, and a sync
//! that succeeds after one that failed) nothing is known about the disk: the ledger is *poisoned* and refuses every share
//! until a restart has read back what is really there.
//!
//! | what goes wrong | while running | after the next start |
//! |---|---|---|
//! | a write or sync of the journal fails | poisoned; those who wait are refused | what was kept counts and is closed as *unknown*; what was lost never was |
//! | the next journal file cannot be begun | poisoned | nothing acknowledged is missing |
//! | tiles, salts or checkpoint cannot be written | poisoned | the journal is replayed, they are written again |
//! | the disk does not answer | those who wait are refused after `commit_timeout`, nobody waits anew; it goes on by itself | as it was left |
//! | the clock jumps back | times stand still until it has caught up | the same |
//! | the journal, or the checkpoint, is another log's | – | refused |
//! | the folder is an older copy | – | refused where `checkpoint_copy` tells; receipts expose it everywhere |
//! | a second process opens the folder | – | refused |
//!
//! `tests/{faults,recovery,retention,corruption}.rs` hold each row, each fault with what was written lost and kept.
//! `tests/it/disk.rs` lets real filesystems do it: full, read-only, on a device that fails and recovers, and frozen.

pub mod bundle;
mod checkpoint;
mod config;
pub mod entry;
pub mod export;
pub mod inbox;
mod journal;
mod keys;
mod open_error;
pub mod query;
mod queue;
mod receipt;
pub mod reconcile;
mod recover;
pub mod register;
pub mod report;
pub mod retention;
mod snapshots;
mod ticket;
mod tree;
pub mod verify;
mod volume;
pub mod witness;
mod workers;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;

pub use config::{Config, Register};
pub use entry::Draft;
pub use keys::{Signer, SubjectKeys};
pub use open_error::OpenError;
pub use queue::{Haste, Settling};
pub use ticket::Pending;
pub use tree::published;
pub use workers::Worker;

use checkpoint::Backlog;
use journal::Journal;
use keys::LogKeys;
use queue::Shared;
use receipt::Sealed;
use volume::{Files, Volume};
use writer::Writer;

use crate::sys::{self, Lock};

/// An entry that is durable.
#[derive(Clone)]
pub struct Committed {
    /// Its index in the log.
    pub index: u64,
    /// Its leaf: SHA-256(0x00 ‖ the entry's bytes).
    pub leaf: [u8; 32],
    /// Its time.
    pub time: Timestamp,
    position: usize,
    sealed: Arc<Sealed>,
}

impl Committed {
    /// The signed promise that the entry stands in the log, as `Share-Receipt` tells it.
    pub fn receipt(&self) -> String {
        // A committed entry has its place in its batch.
        self.sealed.receipt(self.position).unwrap_or_default()
    }
}

impl fmt::Debug for Committed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committed").field("index", &self.index).field("time", &self.time).finish_non_exhaustive()
    }
}

/// The ledger takes no entry now. The writer's log line says what happened on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// A write or sync failed; only a restart finds out what is on the disk.
    Poisoned,
    /// The gateway is stopping.
    Closing,
    /// Too many entries wait.
    Overloaded,
    /// The disk does not answer.
    Stalled,
    /// The witnesses have been missing for longer than the grace period.
    Unwitnessed,
    /// The register that shares wait for takes nothing.
    Unregistered,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poisoned => "ledger cannot be written",
            Self::Closing => "ledger is closing",
            Self::Overloaded => "too many entries wait for the ledger",
            Self::Unregistered => "the register that shares wait for takes nothing",
            Self::Stalled => "the ledger's disk does not answer",
            Self::Unwitnessed => "the ledger's checkpoints find too few witnesses",
        })
    }
}

impl std::error::Error for Unavailable {}

/// Whether shares can be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// They can.
    Ok,
    /// Not until the register that shares wait for takes entries again.
    Unregistered,
    /// Not until the disk answers again.
    Stalled,
    /// Not until enough witnesses have cosigned again.
    Unwitnessed,
    /// Not until a restart.
    Poisoned {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
}

/// Numbers for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Durable entries.
    pub size: u64,
    /// Batches committed since start.
    pub batches: u64,
    /// Syncs of the journal since start, one a batch.
    pub syncs: u64,
    /// Entries that wait.
    pub queued: usize,
    /// Age of the oldest that waits.
    pub lag: Duration,
    /// How long the last write and sync took.
    pub last_sync: Duration,
    /// Entries under the newest witnessed checkpoint.
    pub witnessed: u64,
}

/// The ledger, open for writing.
pub struct Ledger {
    folder: PathBuf,
    keys: SubjectKeys,
    shared: Arc<Shared>,
    backlog: Arc<Backlog>,
    closed_unknown: u64,
    threads: Mutex<Vec<JoinHandle<()>>>,
    inbox: Mutex<Option<inbox::Watch>>,
    register: Mutex<Option<register::Feed>>,
    database: Mutex<Option<register::SharedFeed>>,
    /// Held while the ledger is open: two writers would make two histories.
    _lock: Lock,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens the ledger, or with `create` makes one in an absent or empty folder. Shares that were open are closed as
    /// unknown before this returns.
    pub fn open(config: &Config, create: bool) -> Result<Self, OpenError> {
        Self::open_on(config, create, Duration::ZERO, Arc::new(Files))
    }

    /// As [`Ledger::open`], once the process that has it open has let it go: it may take this long.
    pub fn open_after(config: &Config, create: bool, patience: Duration) -> Result<Self, OpenError> {
        Self::open_on(config, create, patience, Arc::new(Files))
    }

    /// Reads the keys that [`Ledger::open`] would, and touches nothing.
    pub fn check_keys(config: &Config) -> Result<(), OpenError> {
        SubjectKeys::read(&config.subject_key, &config.subject_keys_old)?;
        LogKeys::read(config).map(drop)
    }

    fn open_on(config: &Config, create: bool, patience: Duration, volume: Arc<dyn Volume>) -> Result<Self, OpenError> {
        let keys = SubjectKeys::read(&config.subject_key, &config.subject_keys_old)?;
        let log_keys = LogKeys::read(config)?;
        let absent = recover::ready_folder(&config.folder, create)?;
        let lock = lock(config, patience)?;
        if absent {
            recover::create(config, &log_keys, &*volume)?;
        }
        let found = recover::recover(config, &log_keys, volume.clone(), absent)?;
        let first = found.publisher.tree.size();
        // A file of that name began at this very index and so holds no entry: it is replaced whole, open set and all.
        let journal = Journal::begin(&*volume, &config.folder, found.log, config.journal_segment, first, &found.open);
        let journal = journal.map_err(|(path, error)| OpenError::io(&path, &error))?;
        checkpoint::remove_covered(&config.folder, first).map_err(|error| OpenError::io(&config.folder.join("journal"), &error))?;
        let most_batch = usize::try_from(config.journal_segment / 4).unwrap_or(usize::MAX).min(4 << 20);
        let kept = || bundle::Signed::witnessed(&config.folder).map_or(0, |signed| signed.size().min(first));
        let witnessed = (!config.witnesses.peers.is_empty()).then(kept);
        let shared = Arc::new(Shared::new(first, most_batch, found.note, witnessed));
        let left_open: Vec<u64> = found.open.iter().copied().collect();
        // Deeper than it ever gets: the thread signs faster than a disk syncs.
        let (signing, to_sign) = sync_channel(8);
        let signer = log_keys.signer.clone();
        let writer = Writer { journal, volume, signer, signing, open: found.open, last: found.last };
        let backlog = Arc::new(Backlog::default());
        let threads = start(writer, found.publisher, to_sign, config.commit_timeout, &shared, &backlog)
            .map_err(|error| OpenError::io(&config.folder, &error))?;
        let database = register::SharedFeed::of(config, &shared).map_err(|error| OpenError::io(&config.folder, &error))?;
        let ledger = Self {
            folder: config.folder.clone(),
            keys,
            shared,
            backlog,
            closed_unknown: left_open.len() as u64,
            threads: Mutex::new(threads),
            inbox: Mutex::default(),
            register: Mutex::default(),
            database: Mutex::new(database),
            _lock: lock,
        };
        ledger
            .close_unknown(&left_open)
            .map_err(|_| OpenError::refused(&config.folder, "无法补记未结的提供", "open shares cannot be closed"))?;
        if let Some(previous) = found.changed_from {
            ledger.key_changed(&log_keys.signer.verifier_key(), &previous)?;
        }
        let watch = inbox::Watch::start(&ledger.folder, &ledger.shared);
        let watch = watch.map_err(|error| OpenError::io(&ledger.folder.join("inbox"), &error))?;
        *ledger.inbox.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
        if config.register == Register::Sqlite {
            let feed = register::Feed::start(&ledger.folder).map_err(|error| OpenError::io(&ledger.folder, &error))?;
            *ledger.register.lock().unwrap_or_else(PoisonError::into_inner) = Some(feed);
        }
        Ok(ledger)
    }

    fn close_unknown(&self, open: &[u64]) -> Result<(), Unavailable> {
        for &receipt_of in open {
            let id = hex::encode(sys::random::<16>());
            let settled = entry::Settled { id: &id, receipt_of, outcome: "unknown", ..entry::Settled::default() };
            let draft = settled.draft().map_err(|_| Unavailable::Poisoned)?;
            // They become durable before or with the first share: the queue keeps order.
            drop(self.append_or_wait(draft)?);
        }
        Ok(())
    }

    fn key_changed(&self, key: &str, previous: &str) -> Result<(), OpenError> {
        let draft = entry::Event::KeyChanged { key, previous }.draft();
        let appended = draft.map_err(|_| Unavailable::Poisoned).and_then(|draft| self.append(draft));
        appended.map(drop).map_err(|_| OpenError::refused(&self.folder, "无法记录密钥更换", "the change of keys cannot be recorded"))
    }

    /// At start more may have been left open than the queue takes at once.
    fn append_or_wait(&self, draft: Draft) -> Result<Pending, Unavailable> {
        while self.shared.queued().0 > 32_768 && self.shared.fault().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.append(draft)
    }

    /// How many shares this start found open and closed as unknown.
    pub fn closed_unknown(&self) -> u64 {
        self.closed_unknown
    }

    /// The keys under which persons' identifiers are digested.
    pub fn keys(&self) -> &SubjectKeys {
        &self.keys
    }

    /// Queues an entry; its index is fixed here, in queue order.
    pub fn append(&self, draft: Draft) -> Result<Pending, Unavailable> {
        self.append_with(draft, Haste::Standing)
    }

    /// As [`Ledger::append`], for a call that waits in this way.
    pub fn append_with(&self, draft: Draft, haste: Haste) -> Result<Pending, Unavailable> {
        self.shared.append(draft, haste)
    }

    /// A thread that carries calls, which says when it has nothing to do.
    pub fn worker(&self) -> Worker {
        Worker::new(self.shared.clone())
    }

    /// Keeps a place in the queue for the settlement of a share.
    pub fn reserve(&self) -> Result<Settling, Unavailable> {
        self.shared.reserve()
    }

    /// Keeps the files of a control snapshot, durably: an entry names it by its digest. `hex` is the digest's hex, and
    /// `earlier` that of a kept one that may hold the same files.
    pub fn store_snapshot(&self, hex: &str, files: &[(String, Vec<u8>)], earlier: Option<&str>) -> io::Result<()> {
        snapshots::store(&self.folder, hex, files, earlier)
    }

    /// Whether shares can be recorded.
    pub fn health(&self) -> Health {
        match self.shared.fault() {
            None if self.shared.unregistered.load(Ordering::Relaxed) => Health::Unregistered,
            None if self.shared.stalled.load(Ordering::Relaxed) => Health::Stalled,
            None if self.shared.held.load(Ordering::Relaxed) => Health::Unwitnessed,
            None => Health::Ok,
            Some(fault) => Health::Poisoned { path: fault.path.clone(), error: fault.error.to_string() },
        }
    }

    /// Numbers for metrics.
    pub fn stats(&self) -> Stats {
        let (queued, since) = self.shared.queued();
        let batches = self.shared.batches.load(Ordering::Relaxed);
        Stats {
            size: self.shared.size.load(Ordering::Relaxed),
            batches,
            syncs: batches,
            queued,
            lag: since.map_or(Duration::ZERO, |since| since.elapsed()),
            last_sync: Duration::from_nanos(self.shared.last_sync.load(Ordering::Relaxed)),
            witnessed: self.shared.witnessed().unwrap_or(0),
        }
    }

    /// How the register stands; none where there is none.
    pub fn register(&self) -> Option<register::State> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(register::Feed::state)
    }

    /// How the database stands that other gateways fill too; none where there is none.
    pub fn database(&self) -> Option<register::State> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(register::SharedFeed::state)
    }

    /// The control snapshot of another gateway that is newer than the one in force here.
    pub fn snapshot_ahead(&self) -> Option<register::Ahead> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(register::SharedFeed::ahead)
    }

    /// Tells the database which control snapshot is in force, so that a gateway that lags is seen.
    pub fn in_force(&self, snapshot: &str) {
        if let Some(database) = &*self.database.lock().unwrap_or_else(PoisonError::into_inner) {
            database.snapshot(snapshot);
        }
    }

    /// What was used of each grant by shares decided since then. Covers what was durable at the last start or
    /// checkpoint: asked once, before the first share.
    pub fn day_use(&self, since: Timestamp) -> io::Result<HashMap<String, register::Portion>> {
        query::day_use(&self.folder, since)
    }

    /// The newest signed checkpoint.
    pub fn checkpoint(&self) -> Vec<u8> {
        self.shared.checkpoint().to_vec()
    }

    /// How many entries have an index, those included that are on their way to the disk.
    pub fn next_index(&self) -> u64 {
        self.shared.next_index()
    }

    /// The signed checkpoint, once it covers the first `size` entries; asks for one before it is due.
    pub async fn covered(&self, size: u64) -> Result<Arc<Vec<u8>>, Unavailable> {
        self.backlog.want(size.min(self.next_index()));
        poll_fn(|context| self.shared.poll_covered(size, context)).await
    }

    /// The ledger's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes what waits, signs a last checkpoint and stops the threads; a second call changes nothing. The folder is
    /// free for another process once the ledger is dropped.
    pub fn close(self: &Arc<Self>) {
        self.stop();
    }

    fn stop(&self) {
        drop(self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take());
        drop(self.register.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.shared.begin_close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has said so on standard error already.
            let _ = thread.join();
        }
        // The last: it registers what was written and signed at the end.
        drop(self.database.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One writer to a folder, whatever process it is in.
fn lock(config: &Config, patience: Duration) -> Result<Lock, OpenError> {
    let since = sys::instant();
    loop {
        let lock = File::open(&config.folder).and_then(Lock::try_on);
        match lock.map_err(|error| OpenError::io(&config.folder, &error))? {
            Some(lock) => return Ok(lock),
            None if since.elapsed() < patience => std::thread::sleep(Duration::from_millis(2)),
            None => {
                return Err(OpenError::refused(&config.folder, "另一个进程正在使用该台账", "another process has this ledger open"));
            }
        }
    }
}

fn start(
    writer: Writer,
    publisher: checkpoint::Publisher,
    to_sign: Receiver<Arc<Sealed>>,
    patience: Duration,
    shared: &Arc<Shared>,
    backlog: &Arc<Backlog>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let (to_writer, to_publisher) = ((shared.clone(), backlog.clone()), (shared.clone(), backlog.clone()));
    let builder = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let publisher = builder("ledger-tiles").spawn(move || publisher.run(&to_publisher.1, &to_publisher.0))?;
    let writer = builder("ledger-writer").spawn(move || writer.run(&to_writer.0, &to_writer.1))?;
    let watched = shared.clone();
    let signer = builder("ledger-signer").spawn(move || sign_and_watch(&to_sign, &watched, patience))?;
    Ok(vec![writer, publisher, signer])
}

/// Signs batches while the disk syncs, and looks now and then whether it answers at all.
fn sign_and_watch(to_sign: &Receiver<Arc<Sealed>>, shared: &Shared, patience: Duration) {
    let pause = patience / 4;
    loop {
        match to_sign.recv_timeout(pause) {
            Ok(sealed) => sealed.sign(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        shared.look_for_stall(patience);
    }
}
