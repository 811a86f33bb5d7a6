//! The ledger before disks that fail, processes that die and people who change files.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};

use super::entry::{Draft, Event, Settled, Share};
use super::*;

mod evidence;
mod faults;
mod files;
mod inbox;
mod recovery;
mod register;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A ledger's place in a folder of its own, gone with the test.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Place {
    fn new() -> Self {
        let base = if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
        let place = Self(base.join(format!("kanhe-ledger-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))));
        fs::create_dir_all(&place.0).unwrap();
        place.mint("ledger.key");
        fs::write(place.0.join("subject.key"), BASE64_STANDARD.encode(crate::sys::random::<32>())).unwrap();
        place
    }

    fn mint(&self, name: &str) {
        let pkcs8 = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).unwrap();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64_STANDARD.encode(pkcs8.as_ref()));
        fs::write(self.0.join(name), pem).unwrap();
    }

    fn config(&self) -> Config {
        Config {
            folder: self.0.join("ledger"),
            name: "gw-1.example".to_owned(),
            journal_segment: 1 << 20,
            key: self.0.join("ledger.key"),
            subject_key: self.0.join("subject.key"),
            subject_keys_old: Vec::new(),
            checkpoint_interval: Duration::from_millis(20),
            checkpoint_copy: None,
            register: config::Register::Off,
            witnesses: crate::ledger::witness::Witnesses::default(),
        }
    }

    /// No checkpoint by itself: the journal alone holds what was appended.
    fn unpublished(&self) -> Config {
        Config { checkpoint_interval: Duration::from_secs(3600), ..self.config() }
    }

    /// The ledger's files as a `kill -9` at this moment would leave them.
    fn killed(&self) -> Config {
        let to = self.0.join(format!("killed-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        copy(&self.config().folder, &to);
        Config { folder: to, ..self.config() }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_dir() {
            copy(&file.path(), &to.join(file.file_name()));
        } else {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait<F: Future + Unpin>(mut future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match std::pin::Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park_timeout(Duration::from_secs(20)),
        }
    }
}

fn granted(id: &str) -> Draft {
    let share = Share { id, requester: Some("housing-app"), grant: Some("g-1"), case: Some("2026-1"), ..Share::default() };
    share.draft().unwrap()
}

fn stopped() -> Draft {
    Event::Stopped.draft().unwrap()
}

fn settled(receipt_of: u64) -> Draft {
    Settled { id: "ab", receipt_of, outcome: "complete", status: Some(200), ..Settled::default() }.draft().unwrap()
}

fn all(folder: &Path) -> Vec<query::Record> {
    let mut records = Vec::new();
    query::read(folder, 0, |record| {
        records.push(record);
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    records
}

fn refused(result: Result<Ledger, OpenError>) -> String {
    match result {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    }
}
