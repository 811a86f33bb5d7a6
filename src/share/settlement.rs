//! Settlement: step 10 of the line. Whoever holds it last settles the share; dropped without a word it says `cut`.

use aws_lc_rs::hmac;
use hyper::StatusCode;
use serde::{Serialize, Serializer};
use serde_json::value::to_raw_value;

use super::new_id;
use crate::disclosure;
use crate::ledger::{Settling, entry};
use crate::purpose::quota::Spent;
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
    key: Option<Box<hmac::Key>>,
    released: Digest,
    origin: Digest,
    bytes: u64,
    status: Option<StatusCode>,
    shown: Option<disclosure::Outcome>,
    spent: Option<Box<Spent>>,
}

impl Settlement {
    /// What the share takes of its grant's day is `spent`, until it is known what it showed.
    pub(super) fn new(settling: Settling, receipt_of: u64, spent: Option<Box<Spent>>) -> Self {
        let salt = sys::random::<32>();
        let (released, origin) = (Digest::default(), Digest::default());
        Self { settling: Some(settling), receipt_of, salt, key: None, released, origin, bytes: 0, status: None, shown: None, spent }
    }

    /// The origin answered with this status.
    pub fn status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// The origin sent this, of what is rewritten. Without it, what is released is what the origin sent.
    pub fn origin_sent(&mut self, piece: &[u8]) {
        self.origin.update(key(&mut self.key, &self.salt), piece);
    }

    /// The rewriter showed this.
    pub fn disclosed(&mut self, shown: disclosure::Outcome) {
        self.shown = Some(shown);
    }

    /// This was handed to the transport.
    pub fn release(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.released.update(key(&mut self.key, &self.salt), piece);
    }

    /// Settles.
    pub fn settle(mut self, outcome: Outcome) {
        self.settle_once(outcome);
    }

    fn settle_once(&mut self, outcome: Outcome) {
        let Some(settling) = self.settling.take() else { return };
        let key = key(&mut self.key, &self.salt);
        let digest = self.released.text(key);
        // Of what the origin sent nothing is claimed unless it was seen whole. Opaque content leaves as it came.
        let origin_digest = (outcome == Outcome::Complete).then(|| match self.origin.is_begun() {
            true => self.origin.text(key),
            false => digest.clone(),
        });
        // What was rewritten but never handed over was not shown; of a part that was, what it showed may be unknown.
        let shown = if self.bytes == 0 { Some(disclosure::Outcome::default()) } else { self.shown.take() };
        let shown = shown.as_ref();
        if let Some(spent) = self.spent.take() {
            spent.shown(shown.map(|shown| shown.records));
        }
        // Names and counts are always JSON.
        let items = shown.and_then(|shown| to_raw_value(&Items(&shown.items)).ok());
        let settled = entry::Settled {
            id: &new_id(),
            receipt_of: self.receipt_of,
            outcome: outcome.name(),
            status: self.status.map(|status| status.as_u16()),
            bytes: Some(self.bytes),
            records: shown.map(|shown| shown.records),
            rows_dropped: shown.map(|shown| shown.rows_dropped),
            unfit: shown.map(|shown| shown.unfit),
            items: items.as_deref(),
            digest: Some(&digest),
            origin_digest: origin_digest.as_deref(),
        };
        match settled.draft() {
            Ok(draft) => settling.settle(draft, Some(self.salt)),
            Err(error) => tracing::error!(%error, share = self.receipt_of, "a share could not be settled; recovery closes it as unknown"),
        }
    }
}

/// What was shown, as the entry tells it: items and forms sorted.
struct Items<'a>(&'a disclosure::Shown);

struct Forms<'a>(&'a disclosure::Forms);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(item, forms)| (item, Forms(forms))))
    }
}

impl Serialize for Forms<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut forms: Vec<_> = self.0.iter().collect();
        forms.sort_unstable();
        serializer.collect_map(forms)
    }
}

/// A keyed digest of what passes, made where something does: a settlement moves often, and a digest under way is large.
#[derive(Default)]
struct Digest(Option<Box<hmac::Context>>);

/// Both digests are made under one key.
fn key<'k>(key: &'k mut Option<Box<hmac::Key>>, salt: &[u8]) -> &'k hmac::Key {
    key.get_or_insert_with(|| Box::new(hmac::Key::new(hmac::HMAC_SHA256, salt)))
}

impl Digest {
    fn begin(key: &hmac::Key) -> Box<hmac::Context> {
        Box::new(hmac::Context::with_key(key))
    }

    fn is_begun(&self) -> bool {
        self.0.is_some()
    }

    fn update(&mut self, key: &hmac::Key, piece: &[u8]) {
        self.0.get_or_insert_with(|| Self::begin(key)).update(piece);
    }

    /// As the entry has it; of nothing at all too.
    fn text(&mut self, key: &hmac::Key) -> String {
        let context = self.0.take().unwrap_or_else(|| Self::begin(key));
        entry::hex_after("hmac-sha256:", context.sign().as_ref())
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        self.settle_once(Outcome::Cut);
    }
}
