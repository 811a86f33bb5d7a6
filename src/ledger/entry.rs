//! What the ledger says: one typed struct per kind of entry, written as canonical JSON (RFC 8785) straight into a
//! buffer. Every `Serialize` here names its members in sorted order; the writer sets `time` in place.

use std::fmt;

use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The most bytes that an entry may have: its length is a uint16 in the entry bundles.
pub const MAX_ENTRY: usize = u16::MAX as usize;

/// Stands where the writer puts the time; as long as any time. A quote inside a string is escaped, so that no caller's
/// text can look like this member.
const PLACEHOLDER: &[u8] = br#""time":"0000-00-00T00:00:00.000000Z""#;
const TIME_LENGTH: usize = 27;

/// What an entry does to the set of open shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// A share that has to be settled.
    Opens,
    /// The settlement of the share at this index.
    Closes(u64),
    /// Salts were erased, wherever they stand.
    Erases,
    /// None of these.
    Nothing,
}

/// An entry that waits for its time and index.
#[derive(Debug)]
#[must_use = "an entry that is not appended is not recorded"]
pub struct Draft {
    pub(super) bytes: Vec<u8>,
    pub(super) effect: Effect,
    time_at: usize,
}

/// An entry is over 65,535 bytes, or could not be written as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Its length.
    pub length: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry of {} bytes is longer than {MAX_ENTRY}", self.length)
    }
}

impl std::error::Error for TooLong {}

impl Draft {
    fn new(entry: &impl Serialize, effect: Effect) -> Result<Self, TooLong> {
        let mut bytes = Vec::with_capacity(1536);
        serde_json::to_writer(&mut bytes, entry).map_err(|_| TooLong { length: bytes.len() })?;
        let found = bytes.windows(PLACEHOLDER.len()).rposition(|window| window == PLACEHOLDER);
        match found {
            Some(at) if bytes.len() <= MAX_ENTRY => Ok(Self { bytes, effect, time_at: at + br#""time":""#.len() }),
            _ => Err(TooLong { length: bytes.len() }),
        }
    }

    /// An entry that people caused, from another process; it opens and closes nothing.
    pub(super) fn administrative(entry: &impl Serialize, erases: bool) -> Result<Self, TooLong> {
        Self::new(entry, if erases { Effect::Erases } else { Effect::Nothing })
    }

    /// The draft of an entry that was recorded before: what a forger would append again.
    #[cfg(test)]
    pub(super) fn read(entry: &[u8]) -> Self {
        let at = entry.windows(8).rposition(|window| window == br#""time":""#).unwrap_or_default() + 8;
        Self { bytes: entry.to_vec(), effect: Gist::read(entry).map_or(Effect::Nothing, |gist| gist.effect()), time_at: at }
    }

    /// Sets the entry's time, formatted once per batch.
    pub(super) fn set_time(&mut self, time: &[u8; TIME_LENGTH]) {
        if let Some(place) = self.bytes.get_mut(self.time_at..self.time_at + TIME_LENGTH) {
            place.copy_from_slice(time);
        }
    }
}

/// Ids and digests as entries have them: `bytes` in hexadecimal behind `prefix`.
pub fn hex_after(prefix: &str, bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(prefix.len() + 2 * bytes.len());
    text.push_str(prefix);
    text.extend(bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])));
    text
}

/// RFC 3339 in UTC with six decimals.
pub fn time_text(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// As [`time_text`], as long as the placeholder; none for years that need more than four digits.
pub(super) fn time_bytes(time: Timestamp) -> Option<[u8; TIME_LENGTH]> {
    time_text(time).into_bytes().try_into().ok()
}

/// Adds a member; an absent one is left out.
fn member<M: SerializeMap>(map: &mut M, name: &'static str, value: Option<impl Serialize>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, &value))
}

/// Every entry's `time` until the writer knows it.
pub(super) const NO_TIME: &str = "0000-00-00T00:00:00.000000Z";

/// How a requester proved itself; the credential itself is kept as a keyed digest only.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Credential<'a> {
    /// `hmac-sha256:KEYID:HEX` of the token or certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<&'a str>,
    /// The token's issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<&'a str>,
    /// The issuer's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<&'a str>,
    /// `jwt`, `certificate` or `both`.
    pub kind: &'a str,
}

/// What a token was limited to: a decision rests on it, and nothing else tells it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Scope<'a> {
    /// The case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<&'a str>,
    /// The scenarios.
    pub scenarios: Vec<&'a str>,
}

/// `share.granted`, or with a `code` `share.denied`, which holds what was known by then. Left out: what is `None`.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the members are DESIGN's, name by name")]
pub struct Share<'a> {
    pub id: &'a str,
    pub time_decided: Option<Timestamp>,
    pub requester: Option<&'a str>,
    pub department: Option<&'a str>,
    pub roles: Option<&'a [&'a str]>,
    pub operator: Option<&'a str>,
    pub operator_roles: Option<&'a [&'a str]>,
    pub operator_clearance: Option<u8>,
    pub credential: Option<Credential<'a>>,
    pub source: Option<&'a str>,
    pub network: Option<&'a str>,
    pub bound: Option<bool>,
    pub provider: Option<&'a str>,
    pub resource: Option<&'a str>,
    pub operation: Option<&'a str>,
    pub target: Option<&'a str>,
    pub subject: Option<&'a str>,
    pub scenario: Option<&'a str>,
    /// What the token was limited to (RFC 9396), where it was.
    pub scope: Option<Scope<'a>>,
    /// `false` where the call did not state its purpose in `Share-Purpose`.
    pub stated: Option<bool>,
    pub case: Option<&'a str>,
    pub grant: Option<&'a str>,
    /// Records that the answer may show, where its grant counts them by day.
    pub max_records: Option<u64>,
    pub emergency: Option<bool>,
    pub work_time: Option<bool>,
    pub sharing: Option<&'a str>,
    pub level: Option<&'a str>,
    pub grade: Option<u8>,
    pub effective_grade: Option<u8>,
    /// These four are written once for a decision that many calls share: JSON as this file would write it.
    pub items: Option<&'a RawValue>,
    pub narrowed: Option<&'a RawValue>,
    pub policies: Option<&'a RawValue>,
    pub flags: Option<&'a RawValue>,
    pub policies_total: Option<u64>,
    pub snapshot: Option<&'a str>,
    /// The refusal's code: makes the entry `share.denied`.
    pub code: Option<&'a str>,
    /// How many like calls this entry stands for, where denials were folded.
    pub count: Option<u64>,
}

impl Serialize for Share<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        let map = &mut members;
        member(map, "bound", self.bound)?;
        member(map, "case", self.case)?;
        member(map, "code", self.code)?;
        member(map, "count", self.count)?;
        member(map, "credential", self.credential.as_ref())?;
        member(map, "department", self.department)?;
        member(map, "effective_grade", self.effective_grade)?;
        member(map, "emergency", self.emergency)?;
        member(map, "flags", self.flags)?;
        member(map, "grade", self.grade)?;
        member(map, "grant", self.grant)?;
        member(map, "id", Some(self.id))?;
        member(map, "items", self.items)?;
        member(map, "kind", Some(if self.code.is_some() { "share.denied" } else { "share.granted" }))?;
        member(map, "level", self.level)?;
        member(map, "max_records", self.max_records)?;
        member(map, "narrowed", self.narrowed)?;
        member(map, "network", self.network)?;
        member(map, "operation", self.operation)?;
        member(map, "operator", self.operator)?;
        member(map, "operator_clearance", self.operator_clearance)?;
        member(map, "operator_roles", self.operator_roles)?;
        member(map, "policies", self.policies)?;
        member(map, "policies_total", self.policies_total)?;
        member(map, "provider", self.provider)?;
        member(map, "requester", self.requester)?;
        member(map, "resource", self.resource)?;
        member(map, "roles", self.roles)?;
        member(map, "scenario", self.scenario)?;
        member(map, "scope", self.scope.as_ref())?;
        member(map, "sharing", self.sharing)?;
        member(map, "snapshot", self.snapshot)?;
        member(map, "source", self.source)?;
        member(map, "stated", self.stated)?;
        member(map, "subject", self.subject)?;
        member(map, "target", self.target)?;
        member(map, "time", Some(NO_TIME))?;
        member(map, "time_decided", self.time_decided.map(time_text))?;
        member(map, "v", Some(1))?;
        member(map, "work_time", self.work_time)?;
        members.end()
    }
}

impl Share<'_> {
    /// The entry, ready to be appended.
    pub fn draft(&self) -> Result<Draft, TooLong> {
        Draft::new(self, if self.code.is_some() { Effect::Nothing } else { Effect::Opens })
    }
}

/// `share.settled`: what became of a granted share.
#[derive(Clone, Debug, Default)]
pub struct Settled<'a> {
    /// 128 random bits in hex.
    pub id: &'a str,
    /// Index of the granted entry.
    pub receipt_of: u64,
    /// `complete`, `cut`, `failed` or `unknown`.
    pub outcome: &'a str,
    /// Status of the answer.
    pub status: Option<u16>,
    /// Bytes handed to the transport.
    pub bytes: Option<u64>,
    /// Records disclosed.
    pub records: Option<u64>,
    /// Records left out by region.
    pub rows_dropped: Option<u64>,
    /// Values that became null because their form did not fit them.
    pub unfit: Option<u64>,
    /// How often each item was disclosed in which form: JSON as this file would write it.
    pub items: Option<&'a RawValue>,
    /// `hmac-sha256:HEX` of the released bytes under the share's salt.
    pub digest: Option<&'a str>,
    /// The same of the origin's answer.
    pub origin_digest: Option<&'a str>,
}

impl Serialize for Settled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        let map = &mut members;
        member(map, "bytes", self.bytes)?;
        member(map, "digest", self.digest)?;
        member(map, "id", Some(self.id))?;
        member(map, "items", self.items)?;
        member(map, "kind", Some("share.settled"))?;
        member(map, "origin_digest", self.origin_digest)?;
        member(map, "outcome", Some(self.outcome))?;
        member(map, "receipt_of", Some(self.receipt_of))?;
        member(map, "records", self.records)?;
        member(map, "rows_dropped", self.rows_dropped)?;
        member(map, "status", self.status)?;
        member(map, "time", Some(NO_TIME))?;
        member(map, "unfit", self.unfit)?;
        member(map, "v", Some(1))?;
        members.end()
    }
}

impl Settled<'_> {
    /// The entry, ready for [`super::Settling::settle`].
    pub fn draft(&self) -> Result<Draft, TooLong> {
        Draft::new(self, Effect::Closes(self.receipt_of))
    }
}

/// `authentication.failed`: somebody whom nobody here knows.
#[derive(Clone, Debug, Default)]
pub struct AuthenticationFailed<'a> {
    /// 128 random bits in hex.
    pub id: &'a str,
    /// The refusal's code.
    pub code: &'a str,
    /// How many like failures this entry stands for.
    pub count: Option<u64>,
    /// Name of the network that the address belongs to.
    pub network: Option<&'a str>,
    /// Why, in a stable word.
    pub reason: Option<&'a str>,
    /// The address.
    pub source: &'a str,
}

impl Serialize for AuthenticationFailed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        let map = &mut members;
        member(map, "code", Some(self.code))?;
        member(map, "count", self.count)?;
        member(map, "id", Some(self.id))?;
        member(map, "kind", Some("authentication.failed"))?;
        member(map, "network", self.network)?;
        member(map, "reason", self.reason)?;
        member(map, "source", Some(self.source))?;
        member(map, "time", Some(NO_TIME))?;
        member(map, "v", Some(1))?;
        members.end()
    }
}

impl AuthenticationFailed<'_> {
    /// The entry, ready to be appended.
    pub fn draft(&self) -> Result<Draft, TooLong> {
        Draft::new(self, Effect::Nothing)
    }
}

/// What happened to the gateway itself.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// `snapshot.activated`: from here on this control snapshot decides.
    SnapshotActivated {
        /// `sha256:HEX`.
        snapshot: &'a str,
        /// The one before it.
        previous: Option<&'a str>,
        /// Who wrote it, as its approvals say.
        author: Option<&'a str>,
        /// Names of the keys that approved it, sorted.
        approvers: &'a [String],
        /// What it was held to before: `check`, `test` and so on.
        required: &'a [&'a str],
    },
    /// `gateway.started`.
    Started {
        /// Kanhe's version.
        version: &'a str,
        /// How many shares the start closed as unknown.
        closed_unknown: u64,
    },
    /// `gateway.stopped`: in order, after the drain.
    Stopped,
    /// `ledger.key_changed`: from here on another key signs.
    KeyChanged {
        /// Its verifier key.
        key: &'a str,
        /// That of the key before it.
        previous: &'a str,
    },
}

impl Event<'_> {
    /// The entry, ready to be appended.
    pub fn draft(&self) -> Result<Draft, TooLong> {
        let id = hex::encode(crate::sys::random::<16>());
        Draft::new(&EventEntry(self, &id), Effect::Nothing)
    }
}

/// An event with its id, as it is written.
struct EventEntry<'a>(&'a Event<'a>, &'a str);

impl Serialize for EventEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        let map = &mut members;
        let (kind, closed, key, version) = match *self.0 {
            Event::SnapshotActivated { .. } => ("snapshot.activated", None, None, None),
            Event::Started { version, closed_unknown } => ("gateway.started", Some(closed_unknown), None, Some(version)),
            Event::Stopped => ("gateway.stopped", None, None, None),
            Event::KeyChanged { key, .. } => ("ledger.key_changed", None, Some(key), None),
        };
        let (mut author, mut approvers, mut required, mut previous, mut snapshot) = (None, None, None, None, None);
        if let Event::SnapshotActivated { snapshot: activated, previous: before, author: by, approvers: approved, required: passed } =
            *self.0
        {
            (snapshot, previous, author) = (Some(activated), before, by);
            (approvers, required) = ((!approved.is_empty()).then_some(approved), (!passed.is_empty()).then_some(passed));
        }
        if let Event::KeyChanged { previous: before, .. } = *self.0 {
            previous = Some(before);
        }
        member(map, "approvers", approvers)?;
        member(map, "author", author)?;
        member(map, "closed_unknown", closed)?;
        member(map, "id", Some(self.1))?;
        member(map, "key", key)?;
        member(map, "kind", Some(kind))?;
        member(map, "previous", previous)?;
        member(map, "required", required)?;
        member(map, "snapshot", snapshot)?;
        member(map, "time", Some(NO_TIME))?;
        member(map, "v", Some(1))?;
        member(map, "version", version)?;
        members.end()
    }
}

/// What recovery reads from an entry: enough to rebuild the open set, the clock and the use of quotas.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Gist<'a> {
    kind: &'a str,
    receipt_of: Option<u64>,
    pub(super) time: &'a str,
    pub(super) time_decided: Option<&'a str>,
    #[serde(borrow)]
    pub(super) grant: Option<std::borrow::Cow<'a, str>>,
    pub(super) max_records: Option<u64>,
    pub(super) records: Option<u64>,
}

impl<'a> Gist<'a> {
    /// None where the bytes are no entry.
    pub(super) fn read(entry: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(entry).ok()
    }

    pub(super) fn effect(&self) -> Effect {
        match (self.kind, self.receipt_of) {
            ("share.granted", _) => Effect::Opens,
            ("share.settled", Some(index)) => Effect::Closes(index),
            _ => Effect::Nothing,
        }
    }
}
