//! Witnesses: somebody else who has seen the log grow. A witness cosigns a checkpoint only if it extends what it cosigned
//! before, so that a log which is rewritten and signed again finds no witness for its new history.
//!
//! The protocol is C2SP's: `tlog-witness` (`add-checkpoint`), `tlog-cosignature` (`cosignature/v1`, Ed25519), and notes as
//! in `signed-note`. [`Witness`] is the witness's side, [`CosignerKey`] what a log and its auditors check with.

mod config;
mod cosignature;
mod log;
mod proof;
mod request;
mod state;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use cosignature::{Cosigned, Cosigner, CosignerKey};
pub(super) use log::WITNESSED;
pub use log::{Peer, Unwitnessed, Witnesses};
pub use request::{LARGEST, Malformed, Submission};
pub use state::{LogKey, Refused, Witness, WitnessError};
