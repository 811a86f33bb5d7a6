//! Settlement: step 10 of the line. Whoever holds it last settles the share; dropped without a word it says `cut`.

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
    released: Digest,
    origin: Digest,
    bytes: u64,
    status: Option<StatusCode>,
    shown: Option<disclosure::Outcome>,
}

impl Settlement {
    pub(super) fn new(settling: Settling, receipt_of: u64) -> Self {
        let salt = sys::random::<32>();
        let (released, origin) = (Digest::default(), Digest::default());
        Self { settling: Some(settling), receipt_of, salt, released, origin, bytes: 0, status: None, shown: None }
    }

    /// The origin answered with this status.
    pub fn status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// The origin sent this, of what is rewritten. Without it, what is released is what the origin sent.
    pub fn origin_sent(&mut self, piece: &[u8]) {
        self.origin.update(&self.salt, piece);
    }

    /// The rewriter showed this.
    pub fn disclosed(&mut self, shown: disclosure::Outcome) {
        self.shown = Some(shown);
    }

    /// This was handed to the transport.
    pub fn release(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.released.update(&self.salt, piece);
    }

    /// Settles.
    pub fn settle(mut self, outcome: Outcome) {
        self.settle_once(outcome);
    }

    fn settle_once(&mut self, outcome: Outcome) {
        let Some(settling) = self.settling.take() else { return };
        let digest = self.released.text(&self.salt);
        // Of what the origin sent nothing is claimed unless it was seen whole. Opaque content leaves as it came.
        let origin_digest = (outcome == Outcome::Complete).then(|| match self.origin.is_begun() {
            true => self.origin.text(&self.salt),
            false => digest.clone(),
        });
        // What was rewritten but never handed over was not shown; of a part that was, what it showed may be unknown.
        let shown = if self.bytes == 0 { Some(disclosure::Outcome::default()) } else { self.shown.take() };
        let shown = shown.as_ref();
        let items = shown.map(|shown| shown.items.iter().map(|(name, forms)| (&**name, forms.clone())).collect());
        let settled = entry::Settled {
            id: &new_id(),
            receipt_of: self.receipt_of,
            outcome: outcome.name(),
            status: self.status.map(|status| status.as_u16()),
            bytes: Some(self.bytes),
            records: shown.map(|shown| shown.records),
            rows_dropped: shown.map(|shown| shown.rows_dropped),
            unfit: shown.map(|shown| shown.unfit),
            items,
            digest: Some(&digest),
            origin_digest: origin_digest.as_deref(),
        };
        match settled.draft() {
            Ok(draft) => settling.settle(draft, Some(self.salt)),
            Err(error) => tracing::error!(%error, share = self.receipt_of, "a share could not be settled; recovery closes it as unknown"),
        }
    }
}

/// A keyed digest of what passes, made where something does: a settlement moves often, and a digest under way is large.
#[derive(Default)]
struct Digest(Option<Box<hmac::Context>>);

impl Digest {
    fn begin(salt: &[u8]) -> Box<hmac::Context> {
        Box::new(hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, salt)))
    }

    fn is_begun(&self) -> bool {
        self.0.is_some()
    }

    fn update(&mut self, salt: &[u8], piece: &[u8]) {
        self.0.get_or_insert_with(|| Self::begin(salt)).update(piece);
    }

    /// As the entry has it; of nothing at all too.
    fn text(&mut self, salt: &[u8]) -> String {
        let context = self.0.take().unwrap_or_else(|| Self::begin(salt));
        format!("hmac-sha256:{}", hex::encode(context.sign()))
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        self.settle_once(Outcome::Cut);
    }
}
