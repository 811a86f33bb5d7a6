//! Shares: the only bridge between decision and ledger. Steps 6 and 10 of the line: a permit becomes a recorded intent,
//! and whatever becomes of the answer is settled. The ledger knows no policy, the policy knows no ledger.

mod commit;
mod refused;
mod settlement;

use std::sync::{Arc, Mutex};

pub use commit::{Facts, Intent, PendingReceipt, Receipt};
pub use refused::Known;
pub use settlement::{Outcome, Settlement};

use crate::ledger::entry::{Draft, Event, TooLong};
use crate::ledger::{Ledger, Unavailable};
use crate::sys;

/// Why a share could not be recorded. What is not recorded is not shared.
#[derive(Debug)]
pub enum Error {
    /// The ledger cannot be written.
    Unavailable(Unavailable),
    /// The entry is larger than the log takes.
    TooLong(TooLong),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unavailable(error) => error.fmt(f),
            Self::TooLong(error) => error.fmt(f),
        }
    }
}

impl From<Unavailable> for Error {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error)
    }
}

impl From<TooLong> for Error {
    fn from(error: TooLong) -> Self {
        Self::TooLong(error)
    }
}

/// A control snapshot that is put in force, and on whose word.
#[derive(Clone, Copy, Debug)]
pub struct Activation<'a> {
    /// `sha256:HEX`.
    pub snapshot: &'a str,
    /// The one before it.
    pub previous: Option<&'a str>,
    /// Who wrote it, as its approvals say.
    pub author: Option<&'a str>,
    /// Who approved it.
    pub approvers: &'a [String],
    /// What it was held to.
    pub required: &'a [&'a str],
}

/// Records what the gateway does.
pub struct Recorder {
    ledger: Arc<Ledger>,
    folds: Mutex<refused::Folds>,
}

impl Recorder {
    /// Records into `ledger`.
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Self { ledger, folds: Mutex::default() }
    }

    /// The gateway starts under this snapshot. Waits until both facts are durable.
    pub async fn started(&self, activation: &Activation<'_>) -> Result<(), Error> {
        let closed_unknown = self.ledger.closed_unknown();
        self.append(Event::Started { version: env!("CARGO_PKG_VERSION"), closed_unknown }.draft()).await?;
        self.activated(activation).await
    }

    /// A control snapshot is about to be put in force.
    pub async fn activated(&self, activation: &Activation<'_>) -> Result<(), Error> {
        let Activation { snapshot, previous, author, approvers, required } = *activation;
        self.append(Event::SnapshotActivated { snapshot, previous, author, approvers, required }.draft()).await
    }

    /// The gateway stops. A ledger that cannot be written has said so already.
    pub async fn stopped(&self) {
        self.flush_folded();
        if let Err(error) = self.append(Event::Stopped.draft()).await {
            tracing::error!(%error, "the stop could not be recorded");
        }
    }

    async fn append(&self, draft: Result<Draft, TooLong>) -> Result<(), Error> {
        self.ledger.append(draft?)?.await?;
        Ok(())
    }
}

/// 128 random bits in hexadecimal, so that leaves cannot be guessed.
fn new_id() -> String {
    crate::ledger::entry::hex_after("", &sys::random::<16>())
}
