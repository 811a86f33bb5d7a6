//! Settlement: step 10 of the line. Whoever holds it last settles the share; dropped without a word it says `cut`.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use hyper::StatusCode;

use super::new_id;
use crate::disclosure;
use crate::ledger::{Settling, entry};
use crate::sys;

/// What became of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The last byte was handed to the transport.
    Complete,
    /// The caller went away first.
    Cut,
    /// The origin or the disclosure failed.
    Failed,
}

impl Outcome {
    /// The word in the entry.
    const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cut => "cut",
            Self::Failed => "failed",
        }
    }
}

/// The duty to say what became of a share. Its place in the ledger's queue is reserved, so that settling from `Drop`
/// neither blocks nor fails.
#[must_use]
pub struct Settlement {
    settling: Option<Settling>,
    receipt_of: u64,
    salt: [u8; 32],
    released: hmac::Context,
    origin: Option<hmac::Context>,
    bytes: u64,
    status: Option<StatusCode>,
    shown: Option<disclosure::Outcome>,
}

impl Settlement {
    pub(super) fn new(settling: Settling, receipt_of: u64) -> Self {
        let salt = sys::random::<32>();
        let released = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &salt));
        Self { settling: Some(settling), receipt_of, salt, released, origin: None, bytes: 0, status: None, shown: None }
    }

    /// The origin answered with this status.
    pub fn status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// The origin sent this, of what is rewritten. Without it, what is released is what the origin sent.
    pub fn origin_sent(&mut self, piece: &[u8]) {
        let salt = &self.salt;
        self.origin.get_or_insert_with(|| hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, salt))).update(piece);
    }

    /// The rewriter showed this.
    pub fn disclosed(&mut self, shown: disclosure::Outcome) {
        self.shown = Some(shown);
    }

    /// This was handed to the transport.
    pub fn release(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.released.update(piece);
    }

    /// Settles.
    pub fn settle(mut self, outcome: Outcome) {
        self.settle_once(outcome);
    }

    fn settle_once(&mut self, outcome: Outcome) {
        let Some(settling) = self.settling.take() else { return };
        let mac = |context: hmac::Context| format!("hmac-sha256:{}", hex::encode(context.sign()));
        let digest = mac(self.released.clone());
        // Of what the origin sent nothing is claimed unless it was seen whole. Opaque content leaves as it came.
        let origin = self.origin.take().filter(|_| outcome == Outcome::Complete).map(mac);
        let origin_digest = origin.or_else(|| (outcome == Outcome::Complete).then(|| digest.clone()));
        let shown = self.shown.take().unwrap_or_default();
        // What was rewritten but never handed over was not shown.
        let nothing = self.bytes == 0;
        let items: BTreeMap<&str, BTreeMap<&str, u64>> =
            shown.items.iter().map(|(name, forms)| (&**name, forms.iter().map(|(form, count)| (*form, *count)).collect())).collect();
        let settled = entry::Settled {
            id: &new_id(),
            receipt_of: self.receipt_of,
            outcome: outcome.name(),
            status: self.status.map(|status| status.as_u16()),
            bytes: Some(self.bytes),
            records: Some(if nothing { 0 } else { shown.records }),
            rows_dropped: Some(0),
            items: Some(if nothing { BTreeMap::new() } else { items }),
            digest: Some(&digest),
            origin_digest: origin_digest.as_deref(),
        };
        match settled.draft() {
            Ok(draft) => settling.settle(draft, Some(self.salt)),
            Err(error) => tracing::error!(%error, share = self.receipt_of, "a share could not be settled; recovery closes it as unknown"),
        }
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        self.settle_once(Outcome::Cut);
    }
}
