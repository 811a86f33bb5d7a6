//! The verifier keys that an auditor trusts (C2SP signed-note): what signed what, judged by the published checker.

use std::fs;
use std::io;
use std::path::Path;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::Timestamp;
use signed_note::{Note, StandardVerifier, Verifier, VerifierList};
use tlog_tiles::Checkpoint;

use super::Signed;
use crate::lang::Text;

/// Witnesses' cosignatures (C2SP tlog-cosignature): this byte before the key, a time before the signature.
const COSIGNATURE_V1: u8 = 4;

/// Keys of one log: the current one and, after a change of keys, those before it.
#[derive(Clone)]
pub struct Keys(Vec<StandardVerifier>);

/// A witness whose cosignature counts.
#[derive(Clone, Debug)]
pub struct Witness {
    name: String,
    id: u32,
    key: Vec<u8>,
}

/// A witness's signature that holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// When it signed, where it says so; whole seconds.
    pub(super) time: Option<Timestamp>,
}

impl Keys {
    /// Reads verifier keys, one a line; lines that begin with `#` are remarks.
    pub fn parse(text: &str) -> Result<Self, Text> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Result<Vec<_>, _> = lines.map(|line| StandardVerifier::new(line).map_err(|error| (line, error))).collect();
        let keys = keys.map_err(|(line, error)| {
            Text::new(
                format!("`{line}` 不是核验公钥（NAME+ID+KEY）：{error}"),
                format!("`{line}` is not a verifier key (NAME+ID+KEY): {error}"),
            )
        })?;
        match keys.split_first() {
            None => Err(Text::new("没有核验公钥", "there is no verifier key")),
            Some((first, rest)) if rest.iter().all(|key| key.name() == first.name()) => Ok(Self(keys)),
            Some(_) => Err(Text::new("核验公钥属于不同的台账", "the verifier keys are of different logs")),
        }
    }

    /// As [`Keys::parse`], of a file.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        Self::parse(&text).map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {}", path.display(), reason.en)))
    }

    /// The log's name.
    pub fn name(&self) -> &str {
        self.0.first().map_or("", |key| key.name())
    }

    /// Size and root of a checkpoint that one of the keys signed.
    pub fn checkpoint(&self, note: &[u8]) -> Result<Signed, Text> {
        let wrong = |error: &dyn std::fmt::Display| Text::new(format!("检查点：{error}"), format!("checkpoint: {error}"));
        let note = Note::from_bytes(note).map_err(|error| wrong(&error))?;
        let known = self.0.iter().map(|key| Box::new(key.clone()) as Box<dyn Verifier>).collect();
        note.verify(&VerifierList::new(known)).map_err(|error| wrong(&error))?;
        let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|error| wrong(&error))?;
        if checkpoint.origin() != self.name() {
            return Err(Text::new("检查点：台账名称与公钥不符", "checkpoint: its origin is not the key's name"));
        }
        Ok(Signed { origin: self.name().to_owned(), size: checkpoint.size(), root: *checkpoint.hash() })
    }

    /// Whether the key with this id (eight hexadecimal digits) signed `text`; none where no such key is trusted.
    pub(super) fn signed(&self, id: &str, text: &str, signature: &[u8]) -> Option<bool> {
        let key = self.0.iter().find(|key| format!("{:08x}", key.key_id()) == id)?;
        Some(key.verify(text.as_bytes(), signature))
    }
}

impl Witness {
    /// Reads a witness's verifier key, of a plain or a timestamped signature.
    pub fn parse(text: &str) -> Result<Self, Text> {
        let read = || {
            let (name, rest) = text.trim().split_once('+')?;
            let (id, key) = rest.split_once('+')?;
            let key = BASE64_STANDARD.decode(key).ok().filter(|key| key.len() == 33 && matches!(key.first(), Some(1 | &COSIGNATURE_V1)))?;
            let id = u32::from_str_radix(id, 16).ok().filter(|id| *id == signed_note::key_id(name, &key))?;
            Some(Self { name: name.to_owned(), id, key })
        };
        read().ok_or_else(|| Text::new(format!("`{text}` 不是见证方公钥"), format!("`{text}` is not a witness's verifier key")))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its signature under a checkpoint.
    pub(super) fn saw(&self, note: &[u8]) -> Option<Seen> {
        let (text, signatures) = std::str::from_utf8(note).ok()?.split_once("\n\n")?;
        let text = format!("{text}\n");
        signatures.lines().filter_map(|line| line.strip_prefix("— ")?.split_once(' ')).find_map(|(name, signature)| {
            let signature = BASE64_STANDARD.decode(signature).ok()?;
            let (id, signature) = signature.split_first_chunk::<4>()?;
            if name == self.name && u32::from_be_bytes(*id) == self.id { self.holds(&text, signature) } else { None }
        })
    }

    fn holds(&self, text: &str, signature: &[u8]) -> Option<Seen> {
        let (kind, key) = self.key.split_first()?;
        let key = UnparsedPublicKey::new(&ED25519, key);
        if *kind != COSIGNATURE_V1 {
            key.verify(text.as_bytes(), signature).ok()?;
            return Some(Seen { time: None });
        }
        let (seconds, signature) = signature.split_first_chunk::<8>()?;
        let seconds = u64::from_be_bytes(*seconds);
        key.verify(format!("cosignature/v1\ntime {seconds}\n{text}").as_bytes(), signature).ok()?;
        Some(Seen { time: i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok()) })
    }
}
