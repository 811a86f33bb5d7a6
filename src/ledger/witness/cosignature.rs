//! Cosignatures: `cosignature/v1` over a checkpoint and a time (C2SP tlog-cosignature).

use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::Timestamp;
use signed_note::{Signature, is_key_name_valid};

use crate::lang::Text;
use crate::ledger::OpenError;
use crate::ledger::keys::{ed25519_pair, sha256};

/// The signature type of timestamped Ed25519 cosignatures (C2SP signed-note).
const TYPE: u8 = 4;

/// What is signed: the time in seconds since 1970, then the checkpoint's text.
fn message(seconds: u64, text: &[u8]) -> Vec<u8> {
    [format!("cosignature/v1\ntime {seconds}\n").as_bytes(), text].concat()
}

fn key_id(name: &str, typed: &[u8]) -> u32 {
    let hash = sha256(&[name.as_bytes(), b"\n", typed]);
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

/// A witness's own key.
pub struct Cosigner {
    name: String,
    pair: Ed25519KeyPair,
}

impl Cosigner {
    /// Reads a PKCS#8 PEM file as `openssl genpkey -algorithm ed25519` writes it.
    pub fn read(name: &str, path: &Path) -> Result<Self, OpenError> {
        Ok(Self { name: name.to_owned(), pair: ed25519_pair(path)? })
    }

    fn typed_key(&self) -> Vec<u8> {
        [&[TYPE], self.pair.public_key().as_ref()].concat()
    }

    /// The verifier key that logs and auditors are given.
    pub fn verifier_key(&self) -> String {
        let typed = self.typed_key();
        format!("{}+{:08x}+{}", self.name, key_id(&self.name, &typed), BASE64_STANDARD.encode(typed))
    }

    /// The cosignature line over a checkpoint's text; none before 1970.
    pub fn cosign(&self, text: &[u8], time: Timestamp) -> Option<Vec<u8>> {
        let seconds = u64::try_from(time.as_second()).ok()?;
        let signature = self.pair.sign(&message(seconds, text));
        let stamped = [&seconds.to_be_bytes(), signature.as_ref()].concat();
        let id = key_id(&self.name, &self.typed_key());
        Signature::new(self.name.clone(), id, stamped).ok().map(|signature| signature.to_bytes())
    }
}

/// A witness's verifier key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosignerKey {
    text: String,
    name: String,
    id: u32,
    key: Vec<u8>,
}

/// A cosignature that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// When the witness says that it saw the checkpoint; whole seconds.
    pub time: Timestamp,
}

impl CosignerKey {
    /// Reads `NAME+HEXID+BASE64`.
    pub fn parse(text: &str) -> Result<Self, Text> {
        let wrong = || {
            Text::new(
                "应为见证方的核验公钥（`名称+八位十六进制+Base64`，cosignature/v1 的 Ed25519）",
                "a witness's verifier key is `NAME+HEXID+BASE64`, Ed25519 for cosignature/v1",
            )
        };
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else { return Err(wrong()) };
        let typed = BASE64_STANDARD.decode(key).map_err(|_| wrong())?;
        let written = u32::from_str_radix(id, 16).map_err(|_| wrong())?;
        match typed.split_first() {
            Some((&TYPE, key)) if key.len() == 32 && id.len() == 8 && is_key_name_valid(name) && written == key_id(name, &typed) => {
                Ok(Self { text: text.trim().to_owned(), name: name.to_owned(), id: written, key: key.to_vec() })
            }
            _ => Err(wrong()),
        }
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key as it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the line is this witness's cosignature over the checkpoint's text. A line of somebody else's is none.
    pub fn verify(&self, text: &[u8], line: &[u8]) -> Option<Cosigned> {
        let signature = Signature::from_bytes(line).ok()?;
        let (seconds, signed) = signature.signature().split_first_chunk::<8>()?;
        let seconds = u64::from_be_bytes(*seconds);
        let ours = signature.name() == self.name && signature.id() == self.id;
        let holds = ours && UnparsedPublicKey::new(&ED25519, &self.key).verify(&message(seconds, text), signed).is_ok();
        let time = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
        holds.then_some(Cosigned { time })
    }
}
