//! The log's side: who witnesses it, and what they cosigned.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::Uri;
use signed_note::Note;
use tlog_tiles::Checkpoint;

use super::cosignature::CosignerKey;
use super::proof;
use super::request::Submission;
use crate::lang::Text;
use crate::ledger::Ledger;
use crate::sys;
use crate::written::{Table, units};

/// One `[[ledger.witnesses]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The key that its cosignatures must hold under.
    pub key: CosignerKey,
    /// What `/add-checkpoint` is appended to.
    pub url: Uri,
    /// The certificates (PEM) that its server's must lead to.
    pub ca: Option<PathBuf>,
}

/// Who witnesses this log, and what follows where they do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witnesses {
    /// Each is asked for every checkpoint.
    pub peers: Vec<Peer>,
    /// A checkpoint counts as witnessed once so many have cosigned it.
    pub required: usize,
    /// How long shares go on while a newer checkpoint finds too few witnesses; none: for ever.
    pub grace: Option<Duration>,
}

impl Witnesses {
    /// Reads `witnesses`, `witness_required` and `witness_grace` of `[ledger]`.
    pub fn read(table: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let tables = table.tables("witnesses");
        let count = tables.len();
        let peers: Vec<Peer> = tables.into_iter().filter_map(|table| peer(table, base)).collect();
        let most = i64::try_from(count.max(1)).unwrap_or(1);
        let required = table.opt_integer("witness_required", 1..=most).map_or(count, |n| usize::try_from(n).unwrap_or(count));
        let grace = if table.has("witness_grace") { table.opt_parsed("witness_grace", grace)?.value } else { None };
        if grace.is_some() && count == 0 {
            table.wrong_value("witness_grace", "须先登记 [[ledger.witnesses]]", "needs [[ledger.witnesses]]");
        }
        (peers.len() == count).then_some(Self { peers, required, grace })
    }
}

fn grace(text: &str) -> Result<Option<Duration>, Text> {
    if text == "off" { Ok(None) } else { units::duration(text).map(Some) }
}

fn peer(table: Table<'_, '_>, base: &Path) -> Option<Peer> {
    let key = table.parsed("key", CosignerKey::parse).map(|key| key.value);
    let ca = table.opt_string("ca").map(|ca| base.join(ca.value));
    let url = table.parsed("url", |text| url(text, ca.is_some())).map(|url| url.value);
    table.finish();
    Some(Peer { key: key?, url: url?, ca })
}

fn url(text: &str, has_ca: bool) -> Result<Uri, Text> {
    let right = || {
        Text::new(
            "应为 https:// 地址并写明 `ca`，或回环地址上的 http://",
            "an https address with `ca` beside it, or http on a loopback address",
        )
    };
    let url: Uri = text.trim_end_matches('/').parse().map_err(|_| right())?;
    let loopback = url.host().is_some_and(|host| host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()));
    match url.scheme_str() {
        Some("https") if has_ca && url.query().is_none() => Ok(url),
        Some("http") if loopback && url.query().is_none() => Ok(url),
        _ => Err(right()),
    }
}

/// A checkpoint that waits for its witnesses.
#[derive(Debug)]
pub struct Unwitnessed {
    note: Vec<u8>,
    text: Vec<u8>,
    size: u64,
}

impl Unwitnessed {
    /// Reads one of the log's own notes.
    pub fn of(note: Vec<u8>) -> Option<Self> {
        let read = Note::from_bytes(&note).ok()?;
        let size = Checkpoint::from_bytes(read.text()).ok()?.size();
        Some(Self { text: read.text().to_vec(), note, size })
    }

    /// How many entries it covers.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The cosignature lines in a witness's answer that hold under its key.
    pub fn cosignatures<'a>(&self, key: &CosignerKey, answer: &'a [u8]) -> Vec<&'a [u8]> {
        answer.split(|byte| *byte == b'\n').filter(|line| key.verify(&self.text, line).is_some()).collect()
    }

    /// The note with these lines after its own.
    fn with(&self, lines: &[Vec<u8>]) -> Vec<u8> {
        let mut note = self.note.clone();
        for line in lines {
            note.extend_from_slice(line);
            note.push(b'\n');
        }
        note
    }
}

/// The newest checkpoint that enough witnesses cosigned, beside the newest one.
pub(in crate::ledger) const WITNESSED: &str = "checkpoint.witnessed";

impl Ledger {
    /// What to send to a witness that cosigned the first `old` entries.
    pub fn submission(&self, checkpoint: &Unwitnessed, old: u64) -> io::Result<Vec<u8>> {
        let proof = proof::consistency(&self.folder, old, checkpoint.size)?;
        Ok(Submission::encode(old, &proof, &checkpoint.note))
    }

    /// Keeps a checkpoint that enough witnesses cosigned.
    pub fn witnessed(&self, checkpoint: &Unwitnessed, lines: &[Vec<u8>]) -> io::Result<()> {
        let note = checkpoint.with(lines);
        sys::write_whole(&self.folder.join(WITNESSED), &note)?;
        if let Some(size) = &self.shared.witnessed {
            size.store(checkpoint.size, Ordering::Relaxed);
        }
        // Published with its cosignatures while no newer one has taken its place.
        self.shared.cosigned(&checkpoint.note, note);
        Ok(())
    }

    /// Stops shares, or lets them go on: the witnesses have been missing for longer than the grace period.
    pub fn hold_for_witnesses(&self, held: bool) {
        self.shared.held.store(held, Ordering::Relaxed);
    }
}
