//! The ledger's keys: the Ed25519 key that signs checkpoints and receipts, and the keys under which persons' identifiers are
//! digested. Signing goes through [`Signer`] alone, so that other algorithms and external signers can come.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::prelude::{BASE64_STANDARD, Engine};

use super::{Config, OpenError};

/// Ed25519 in C2SP signed notes.
const ALGORITHM_ED25519: u8 = 1;

/// Signs notes under a name: checkpoints and receipts under the log's, approvals under a person's.
pub struct Signer {
    name: String,
    pair: Ed25519KeyPair,
    id: [u8; 4],
}

impl Signer {
    /// Reads a PKCS#8 PEM file as `openssl genpkey -algorithm ed25519` writes it.
    pub fn read(name: &str, path: &Path) -> Result<Self, OpenError> {
        let pair = ed25519_pair(path)?;
        let hash = sha256(&[name.as_bytes(), b"\n", &typed(&pair)]);
        Ok(Self { name: name.to_owned(), pair, id: [hash[0], hash[1], hash[2], hash[3]] })
    }

    /// The verifier key, as in `log.vkey` (C2SP signed-note).
    pub fn verifier_key(&self) -> String {
        format!("{}+{}+{}", self.name, hex::encode(self.key_id()), BASE64_STANDARD.encode(typed(&self.pair)))
    }

    /// What tells this log's journal from another's.
    pub(super) fn log_id(&self) -> [u8; 32] {
        log_id(&self.verifier_key())
    }

    /// The log's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The bare signature over `text`.
    pub(super) fn sign_text(&self, text: &str) -> [u8; 64] {
        let mut signature = [0; 64];
        // An Ed25519 signature has this length always.
        signature.copy_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        signature
    }

    /// The note over `text`, which ends with a line feed.
    pub fn sign(&self, text: &str) -> Vec<u8> {
        let mut signature = self.key_id().to_vec();
        signature.extend_from_slice(&self.sign_text(text));
        format!("{text}\n— {} {}\n", self.name, BASE64_STANDARD.encode(signature)).into_bytes()
    }

    /// The id by which notes and receipts name the key (C2SP signed-note).
    pub(super) fn key_id(&self) -> [u8; 4] {
        self.id
    }
}

fn typed(pair: &Ed25519KeyPair) -> Vec<u8> {
    let mut key = vec![ALGORITHM_ED25519];
    key.extend_from_slice(pair.public_key().as_ref());
    key
}

fn log_id(verifier_key: &str) -> [u8; 32] {
    sha256(&[b"kanhe journal\n", verifier_key.as_bytes()])
}

/// A key that signed this log before the present one did: it verifies, and signs no more.
pub(super) struct OldKey {
    text: String,
    id: [u8; 4],
    key: Vec<u8>,
}

impl OldKey {
    /// Reads verifier keys of the log `name`, one a line.
    fn read(name: &str, path: &Path) -> Result<Vec<Self>, OpenError> {
        let text = std::fs::read_to_string(path).map_err(|error| OpenError::io(path, &error))?;
        let wrong = || {
            OpenError::refused(
                path,
                &format!("不是台账 `{name}` 的核验公钥（每行一个，同 log.vkey）"),
                &format!("not a verifier key of the log `{name}` (one a line, as in log.vkey)"),
            )
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = lines.map(|line| Self::parse(name, line).ok_or_else(wrong)).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(wrong()) } else { Ok(keys) }
    }

    fn parse(name: &str, text: &str) -> Option<Self> {
        let (id, key) = text.strip_prefix(name)?.strip_prefix('+')?.split_once('+')?;
        let typed = BASE64_STANDARD.decode(key).ok().filter(|typed| typed.len() == 33 && typed.first() == Some(&ALGORITHM_ED25519))?;
        let hash = sha256(&[name.as_bytes(), b"\n", &typed]);
        let own = [hash[0], hash[1], hash[2], hash[3]];
        (hex::encode(own) == id).then(|| Self { text: text.to_owned(), id: own, key: typed[1..].to_vec() })
    }

    /// As in `log.vkey`.
    pub(super) fn verifier_key(&self) -> &str {
        &self.text
    }

    /// Whether the note over `text` bears this key's signature.
    pub(super) fn signed(&self, name: &str, text: &str, note: &str) -> bool {
        let lines = note.strip_prefix(text).and_then(|rest| rest.strip_prefix('\n')).unwrap_or_default();
        let signatures = lines.lines().filter_map(|line| line.strip_prefix("— ")?.strip_prefix(name)?.strip_prefix(' '));
        signatures.filter_map(|signature| BASE64_STANDARD.decode(signature).ok()).any(|signature| {
            let key = UnparsedPublicKey::new(&ED25519, &self.key);
            signature.strip_prefix(&self.id).is_some_and(|signature| key.verify(text.as_bytes(), signature).is_ok())
        })
    }
}

/// The key that signs, and those before it.
pub(super) struct LogKeys {
    pub(super) signer: Arc<Signer>,
    pub(super) old: Vec<OldKey>,
}

impl LogKeys {
    pub(super) fn read(config: &Config) -> Result<Self, OpenError> {
        let signer = Arc::new(Signer::read(&config.name, &config.key)?);
        let own = signer.verifier_key();
        let old = config.keys_old.iter().map(|path| OldKey::read(&config.name, path)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { signer, old: old.into_iter().flatten().filter(|old| old.text != own).collect() })
    }

    /// Whether a journal with this id is one of this log's.
    pub(super) fn knows(&self, id: &[u8; 32]) -> bool {
        self.signer.log_id() == *id || self.old.iter().any(|old| log_id(&old.text) == *id)
    }

    /// `log.vkey`: the key that signs, then those before it.
    pub(super) fn history(&self) -> String {
        let old = self.old.iter().map(|old| format!("{}\n", old.text));
        std::iter::once(format!("{}\n", self.signer.verifier_key())).chain(old).collect()
    }
}

/// Reads a PKCS#8 PEM file as `openssl genpkey -algorithm ed25519` writes it.
pub(super) fn ed25519_pair(path: &Path) -> Result<Ed25519KeyPair, OpenError> {
    let text = std::fs::read_to_string(path).map_err(|error| OpenError::io(path, &error))?;
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let pair = BASE64_STANDARD.decode(body).ok().and_then(|der| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok());
    let wrong = || OpenError::refused(path, "不是 Ed25519 私钥（PKCS#8 PEM）", "not an Ed25519 private key in PKCS#8 PEM");
    pair.ok_or_else(wrong)
}

/// SHA-256 of parts one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The keys under which identifiers are digested: the first makes digests, all are searched with.
#[derive(Debug)]
pub struct SubjectKeys(Vec<SubjectKey>);

#[derive(Debug)]
struct SubjectKey {
    prefix: String,
    key: hmac::Key,
}

impl SubjectKeys {
    /// Reads the current key's file, then the old ones': 32 random bytes in base64 each.
    pub fn read(current: &Path, old: &[PathBuf]) -> Result<Self, OpenError> {
        let files = std::iter::once(current).chain(old.iter().map(PathBuf::as_path));
        files.map(SubjectKey::read).collect::<Result<_, _>>().map(Self)
    }

    /// `hmac-sha256:KEYID:HEX` under the current key.
    pub fn digest(&self, text: &str) -> String {
        self.digest_bytes(text.as_bytes())
    }

    /// As [`SubjectKeys::digest`], of bytes.
    pub fn digest_bytes(&self, bytes: &[u8]) -> String {
        self.0.first().map(|key| key.digest(bytes)).unwrap_or_default()
    }

    /// Under every key, to find what was recorded before a key was changed.
    pub fn all_digests(&self, text: &str) -> Vec<String> {
        self.0.iter().map(|key| key.digest(text.as_bytes())).collect()
    }
}

impl SubjectKey {
    fn read(path: &Path) -> Result<Self, OpenError> {
        let text = std::fs::read_to_string(path).map_err(|error| OpenError::io(path, &error))?;
        let bytes = BASE64_STANDARD.decode(text.trim()).ok().filter(|bytes| bytes.len() == 32);
        let wrong = || OpenError::refused(path, "不是 Base64 编码的 32 个随机字节", "not 32 random bytes in base64");
        let bytes = bytes.ok_or_else(wrong)?;
        let id = hex::encode(digest(&SHA256, &bytes).as_ref().get(..4).unwrap_or_default());
        Ok(Self { prefix: format!("hmac-sha256:{id}:"), key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) })
    }

    fn digest(&self, bytes: &[u8]) -> String {
        let tag = hmac::sign(&self.key, bytes);
        super::entry::hex_after(&self.prefix, tag.as_ref())
    }
}
