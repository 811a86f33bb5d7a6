//! A witness's memory: for each log the newest checkpoint that it cosigned, written down before anybody hears of it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use signed_note::{Note, StandardVerifier, Verifier, VerifierList};
use tlog_tiles::{Checkpoint, EMPTY_HASH, Hash, check_tree};

use super::cosignature::Cosigner;
use super::request::{Malformed, Submission};
use crate::lang::Text;
use crate::ledger::keys::sha256;
use crate::sys;

/// A log that is witnessed: its verifier key, whose name is the log's origin line.
#[derive(Clone)]
pub struct LogKey(StandardVerifier);

impl LogKey {
    /// Reads `NAME+HEXID+BASE64`, as `log.vkey` holds it.
    pub fn parse(text: &str) -> Result<Self, Text> {
        let right = |error| {
            Text::new(
                format!("不是共享台账的核验公钥（log.vkey 的内容）：{error}"),
                format!("not a log's verifier key as in `log.vkey`: {error}"),
            )
        };
        StandardVerifier::new(text.trim()).map(Self).map_err(right)
    }

    /// The log's origin line.
    pub fn origin(&self) -> &str {
        self.0.name()
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogKey").field(&self.0.name()).finish()
    }
}

/// Why a checkpoint is not cosigned; each has its status in tlog-witness.
#[derive(Debug)]
pub enum Refused {
    /// 400: the request cannot be read, or its old size lies beyond the checkpoint.
    Malformed(Malformed),
    /// 404: a log that this witness does not know.
    UnknownLog,
    /// 403: no signature of the log's key.
    Unsigned,
    /// 409: the log's belief of what was cosigned last is wrong, or it shows another tree of that size. What was.
    Conflict(u64),
    /// 422: the checkpoint does not extend what was cosigned.
    NotConsistent,
    /// 500: the memory cannot be written, so nothing is cosigned.
    Storage(PathBuf, io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::UnknownLog => f.write_str("this witness does not know the log"),
            Self::Unsigned => f.write_str("the checkpoint has no signature of the log's key"),
            Self::Conflict(size) => write!(f, "{size}"),
            Self::NotConsistent => f.write_str("the checkpoint does not extend the one that was cosigned last"),
            Self::Storage(..) => f.write_str("the witness cannot write down what it saw"),
        }
    }
}

impl std::error::Error for Refused {}

/// Why a witness cannot begin.
#[derive(Debug)]
pub struct WitnessError(pub Text);

impl WitnessError {
    fn at(path: &Path, zh: &str, en: &str) -> Self {
        let path = path.display();
        Self(Text::new(format!("{path}：{zh}"), format!("{path}: {en}")))
    }
}

/// What was cosigned last.
#[derive(Clone, Copy)]
struct Seen {
    size: u64,
    root: Hash,
}

const NOTHING: Seen = Seen { size: 0, root: EMPTY_HASH };

struct Log {
    keys: Vec<LogKey>,
    file: PathBuf,
    seen: Mutex<Seen>,
}

/// A witness of some logs.
pub struct Witness {
    cosigner: Cosigner,
    logs: BTreeMap<String, Log>,
}

impl Witness {
    /// Opens the memory in `folder`. A folder that is absent is made only where `create` says so: a witness that lost its
    /// memory would cosign a second history.
    pub fn open(folder: &Path, cosigner: Cosigner, logs: &[LogKey], create: bool) -> Result<Self, WitnessError> {
        let io = |error: io::Error| WitnessError::at(folder, &error.to_string(), &error.to_string());
        if create && !folder.exists() {
            std::fs::create_dir_all(folder).and_then(|()| folder.parent().map_or(Ok(()), sys::sync_folder)).map_err(io)?;
        }
        if !folder.is_dir() {
            let zh = "见证方的记录目录不存在；首次运行请加 --create，否则请恢复备份：丢失记录的见证方会为第二份历史签名";
            let en = "the witness's folder is missing; add --create on the first run, or restore it: a witness without its memory would cosign a second history";
            return Err(WitnessError::at(folder, zh, en));
        }
        let mut known: BTreeMap<String, Vec<LogKey>> = BTreeMap::new();
        for log in logs {
            known.entry(log.origin().to_owned()).or_default().push(log.clone());
        }
        let open = |(origin, keys): (String, Vec<LogKey>)| {
            let file = folder.join(format!("{}.checkpoint", hex::encode(sha256(&[origin.as_bytes()]))));
            let seen = Mutex::new(remembered(&file, &origin, &keys)?);
            Ok((origin, Log { keys, file, seen }))
        };
        Ok(Self { cosigner, logs: known.into_iter().map(open).collect::<Result<_, _>>()? })
    }

    /// The verifier key that logs and auditors are given.
    pub fn verifier_key(&self) -> String {
        self.cosigner.verifier_key()
    }

    /// The newest checkpoint that was cosigned of the log with this origin line, cosignature and all.
    pub fn newest(&self, origin: &str) -> Option<Vec<u8>> {
        std::fs::read(&self.logs.get(origin)?.file).ok()
    }

    /// Answers `add-checkpoint`: the cosignature line over a checkpoint that extends what was cosigned before.
    pub fn add_checkpoint(&self, content: &[u8], time: Timestamp) -> Result<Vec<u8>, Refused> {
        let submission = Submission::decode(content).map_err(Refused::Malformed)?;
        let Submission { old, proof, note, checkpoint } = submission;
        let log = self.logs.get(checkpoint.origin()).ok_or(Refused::UnknownLog)?;
        note.verify(&verifiers(&log.keys)).map_err(|_| Refused::Unsigned)?;
        if old > checkpoint.size() {
            return Err(Refused::Malformed(Malformed("the old size is larger than the checkpoint's")));
        }
        // Held to the end: two requests at once must not both extend the same past.
        let mut seen = log.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if old != seen.size || (old == checkpoint.size() && checkpoint.hash() != &seen.root) {
            return Err(Refused::Conflict(seen.size));
        }
        consistent(*seen, &proof, &checkpoint)?;
        let line = self.cosigner.cosign(note.text(), time).ok_or(Refused::Malformed(Malformed("the witness's clock is before 1970")))?;
        let kept = [note.to_bytes(), line.clone()].concat();
        sys::write_whole(&log.file, &kept).map_err(|error| Refused::Storage(log.file.clone(), error))?;
        *seen = Seen { size: checkpoint.size(), root: *checkpoint.hash() };
        Ok(line)
    }
}

/// As signed_note asks for them; its verifiers cannot be shared between threads, so they are put together for each note.
fn verifiers(keys: &[LogKey]) -> VerifierList {
    VerifierList::new(keys.iter().map(|LogKey(key)| Box::new(key.clone()) as Box<dyn Verifier>).collect())
}

fn consistent(seen: Seen, proof: &Vec<Hash>, checkpoint: &Checkpoint) -> Result<(), Refused> {
    let nothing_to_prove = seen.size == 0 || seen.size == checkpoint.size();
    let holds = if nothing_to_prove {
        proof.is_empty()
    } else {
        check_tree(proof, checkpoint.size(), *checkpoint.hash(), seen.size, seen.root).is_ok()
    };
    // The tree of no entries has one root.
    let rooted = checkpoint.size() > 0 || *checkpoint.hash() == EMPTY_HASH;
    if holds && rooted { Ok(()) } else { Err(Refused::NotConsistent) }
}

/// What the file says was cosigned last; nothing where there is none.
fn remembered(file: &Path, origin: &str, keys: &[LogKey]) -> Result<Seen, WitnessError> {
    let bytes = match std::fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(NOTHING),
        other => other.map_err(|error| WitnessError::at(file, &error.to_string(), &error.to_string()))?,
    };
    let note = Note::from_bytes(&bytes).ok().filter(|note| note.verify(&verifiers(keys)).is_ok());
    let checkpoint = note.and_then(|note| Checkpoint::from_bytes(note.text()).ok()).filter(|checkpoint| checkpoint.origin() == origin);
    let damaged =
        || WitnessError::at(file, "不是该台账签署的检查点；请从备份恢复", "not a checkpoint signed by that log; restore it from a backup");
    checkpoint.map(|checkpoint| Seen { size: checkpoint.size(), root: *checkpoint.hash() }).ok_or_else(damaged)
}
