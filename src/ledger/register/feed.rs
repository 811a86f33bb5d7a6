//! Feeds the register from the signed log's bundles, in a thread of its own at the lowest priority. The journal is left
//! alone: what is not yet signed is read from there by queries, for the second that it takes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use super::super::journal::{entries, leaf};
use super::super::query::{Bundles, bundle, minimum, signed_size};
use super::sqlite::{self, Sqlite};
use super::{Broken, Row, Store};
use crate::sys::{self, Lock};

/// Bundles of 256 entries taken in one transaction.
const MOST_BUNDLES: u64 = 16;
const EVERY: Duration = Duration::from_millis(250);
/// After an error that making it anew does not mend: a full disk, a missing right.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the register stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Entries registered.
    pub size: u64,
    /// Why nothing is registered now, where that is so.
    pub broken: Option<String>,
}

#[derive(Default)]
struct Told {
    size: AtomicU64,
    broken: Mutex<Option<String>>,
    ending: AtomicBool,
}

impl Told {
    fn broken(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The feeding thread; it ends when this is dropped.
pub struct Feed {
    told: Arc<Told>,
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// Feeds the register of the ledger in `folder`.
    pub(in super::super) fn start(folder: &Path) -> io::Result<Self> {
        let told = Arc::new(Told::default());
        let (end, ended) = mpsc::channel();
        let mut feeding = Feeding { folder: folder.to_owned(), told: told.clone(), store: None };
        let run = move || {
            // Without the right to be nice it feeds all the same.
            let _ = rustix::process::setpriority_process(None, 19);
            while ended.recv_timeout(feeding.round()) == Err(mpsc::RecvTimeoutError::Timeout) {}
        };
        let thread = std::thread::Builder::new().name("ledger-register".to_owned()).spawn(run)?;
        Ok(Self { told, end: Some(end), thread: Some(thread) })
    }

    /// How the register stands.
    pub fn state(&self) -> State {
        State { size: self.told.size.load(Ordering::Relaxed), broken: self.told.broken().clone() }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.told.ending.store(true, Ordering::Relaxed);
        self.end.take();
        // A thread that panicked has said so on standard error already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Feeding {
    folder: PathBuf,
    told: Arc<Told>,
    store: Option<Sqlite>,
}

impl Feeding {
    /// Takes what there is; gives how long to wait.
    fn round(&mut self) -> Duration {
        match self.feed() {
            Ok(()) => {
                self.told.broken().take();
                EVERY
            }
            Err(broken) => {
                self.store = None;
                let known = self.told.broken().replace(broken.why.clone());
                if known.as_ref() != Some(&broken.why) {
                    tracing::error!(error = %broken, anew = broken.anew, "the register is broken; shares are recorded, and queries read the log");
                }
                // Once only: where making it anew does not help, it would be made anew for ever.
                let mended = broken.anew && known.is_none() && sqlite::remove(&self.folder).is_ok();
                if mended { Duration::ZERO } else { PATIENCE }
            }
        }
    }

    fn feed(&mut self) -> Result<(), Broken> {
        let wanted = self.folder.join(REBUILD);
        if wanted.exists() {
            self.store = None;
            sqlite::remove(&self.folder)?;
            std::fs::remove_file(&wanted)?;
            tracing::info!("the register is made anew, as was asked for");
        }
        if self.store.is_none() {
            self.store = Some(open(&self.folder)?);
        }
        let Some(store) = &mut self.store else { return Ok(()) };
        let told = &self.told;
        told.size.store(store.end(), Ordering::Relaxed);
        catch_up(&self.folder, store, |end, _| {
            told.size.store(end, Ordering::Relaxed);
            !told.ending.load(Ordering::Relaxed)
        })
    }
}

/// Left by `kanhe ledger reindex` for the gateway that holds the register.
const REBUILD: &str = "register.rebuild";

fn open(folder: &Path) -> Result<Sqlite, Broken> {
    Sqlite::open(folder, |index| Ok(Bundles::open(folder)?.record(index)?.map(|record| record.leaf)))
}

/// Brings `store` up to the signed log; `each` is told of its end and the log's after every step, and may stop it.
pub(in super::super) fn catch_up(folder: &Path, store: &mut impl Store, mut each: impl FnMut(u64, u64) -> bool) -> Result<(), Broken> {
    let mut size = signed_size(folder)?;
    store.prune(minimum(folder)?)?;
    while store.end() < size {
        let end = store.end();
        let first = end / 256;
        let bundles = (first..size.div_ceil(256).min(first + MOST_BUNDLES)).map(|n| Ok((n, bundle(folder, n, &mut size)?)));
        let bundles = bundles.collect::<io::Result<Vec<_>>>()?;
        let rows = bundles.iter().flat_map(|(n, (bytes, width))| (n * 256..).zip(entries(bytes).take(*width)));
        let rows = rows.filter(|(index, _)| *index >= end).map(|(index, entry)| Row::read(index, leaf(entry), entry));
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() || rows.iter().zip(end..).any(|(row, index)| row.index != index) {
            return Err(Broken { why: format!("the log's entries from {end} on cannot be read"), anew: false });
        }
        store.add(&rows)?;
        if !each(store.end(), size) {
            return Ok(());
        }
    }
    store.caught_up()
}

/// Makes the register anew from the log. Where a gateway holds the ledger, that one does it, and this waits until it
/// has caught up; `each` is told of the progress and the size, and may stop the waiting.
pub fn rebuild(folder: &Path, mut each: impl FnMut(u64, u64) -> bool) -> Result<(), Broken> {
    match Lock::try_on(std::fs::File::open(folder)?)? {
        Some(_held) => {
            sqlite::remove(folder)?;
            catch_up(folder, &mut open(folder)?, each)
        }
        None => {
            let size = signed_size(folder)?;
            let wanted = folder.join(REBUILD);
            sys::write_whole(&wanted, b"")?;
            let begun = sys::instant();
            loop {
                let end = if wanted.exists() { 0 } else { super::Reader::open(folder).ok().flatten().map_or(0, |reader| reader.end()) };
                if end >= size {
                    return Ok(());
                }
                if wanted.exists() && begun.elapsed() > PATIENCE * 4 {
                    let why = "the gateway that holds the ledger keeps no register: `register = \"sqlite\"` is not in its configuration";
                    return std::fs::remove_file(&wanted).map_err(Broken::from).and(Err(Broken { why: why.to_owned(), anew: false }));
                }
                if !each(end, size) {
                    return Ok(());
                }
                std::thread::sleep(EVERY);
            }
        }
    }
}
