//! Pseudonyms (假名化): keyed digests in place of persons' identifiers. Keyed per scenario and demanding department, so
//! that two departments cannot join their answers; a `joinable` item's per scenario alone, so that they can.
//!
//! The item takes no part: one department can join what it was given from several resources within one scenario.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::Likeness;

/// How many bytes of the digest a pseudonym holds: 128 bits, 22 characters in base64url.
const LENGTH: usize = 16;
/// So many characters.
const TEXT: usize = 22;
/// Keeps these keys apart from whatever else may ever be derived from the same bytes.
const PER_DEPARTMENT: &[u8] = b"kanhe/pseudonym/v1/scenario+department";
const PER_SCENARIO: &[u8] = b"kanhe/pseudonym/v1/scenario";

/// The key of a province's gateways: 32 random bytes, in a file as base64.
pub struct PseudonymKey(Arc<hmac::Key>);

/// The pseudonyms of one scenario and demanding department.
#[derive(Clone)]
pub struct Pseudonyms(Arc<Scope>);

/// Why there is no key.
#[derive(Debug)]
pub enum KeyError {
    /// The file cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// Its content is not 32 bytes in base64.
    Malformed(PathBuf),
}

impl PseudonymKey {
    /// Reads the key file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = std::fs::read_to_string(path).map_err(|error| KeyError::Unreadable(path.to_owned(), error))?;
        let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(|bytes| Self::new(&bytes)).ok_or_else(|| KeyError::Malformed(path.to_owned()))
    }

    /// The key of these bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// The pseudonyms for a demanding department within a scenario.
    pub fn scope(&self, scenario: &str, department: &str) -> Pseudonyms {
        let (scenario, department) = (scenario.into(), department.into());
        Pseudonyms(Arc::new(Scope { key: self.0.clone(), scenario, department, own: OnceLock::new(), joinable: OnceLock::new() }))
    }
}

/// Where pseudonyms hold. Its keys are derived where a value is first pseudonymised, which most answers never come to.
struct Scope {
    key: Arc<hmac::Key>,
    scenario: Box<str>,
    department: Box<str>,
    own: OnceLock<hmac::Key>,
    joinable: OnceLock<hmac::Key>,
}

impl Scope {
    fn own(&self) -> &hmac::Key {
        self.own.get_or_init(|| self.derive(PER_DEPARTMENT, &[&self.scenario, &self.department]))
    }

    fn joinable(&self) -> &hmac::Key {
        self.joinable.get_or_init(|| self.derive(PER_SCENARIO, &[&self.scenario]))
    }

    fn derive(&self, purpose: &[u8], parts: &[&str]) -> hmac::Key {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(purpose);
        for part in parts {
            // With its length, so that no two lists of parts give the same bytes.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref())
    }
}

impl Pseudonyms {
    /// The pseudonym of a string's content or a number's text: 22 characters.
    pub fn of(&self, value: &str, joinable: bool) -> String {
        URL_SAFE_NO_PAD.encode(self.digest(value, joinable))
    }

    /// The same, or one that keeps a type; none: the value is not of that type.
    pub fn like(&self, value: &str, joinable: bool, likeness: Option<Likeness>) -> Option<String> {
        let mut text = Vec::new();
        // It is ASCII.
        self.write(value, joinable, likeness, &mut text).then(|| String::from_utf8_lossy(&text).into_owned())
    }

    /// Writes the pseudonym behind `out`; whether there is one. Where there is none, nothing is written.
    pub(super) fn write(&self, value: &str, joinable: bool, likeness: Option<Likeness>, out: &mut Vec<u8>) -> bool {
        let Some(likeness) = likeness else {
            let mut text = [0; TEXT];
            // It is exactly as long.
            let length = URL_SAFE_NO_PAD.encode_slice(self.digest(value, joinable), &mut text).unwrap_or(0);
            out.extend_from_slice(&text[..length]);
            return true;
        };
        let Some(value) = likeness.of(value) else { return false };
        likeness.write(self.digest(&value, joinable), out);
        true
    }

    fn digest(&self, value: &str, joinable: bool) -> [u8; LENGTH] {
        let tag = hmac::sign(if joinable { self.0.joinable() } else { self.0.own() }, value.as_bytes());
        let mut digest = [0; LENGTH];
        digest.copy_from_slice(&tag.as_ref()[..LENGTH]);
        digest
    }
}

/// Says nothing: keys are never printed.
impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey")
    }
}

/// Says nothing: keys are never printed.
impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms")
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "cannot read the pseudonym key `{}`: {error}", path.display()),
            Self::Malformed(path) => write!(f, "the pseudonym key `{}` is not 32 bytes in base64", path.display()),
        }
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PseudonymKey {
        PseudonymKey::new(&[7; 32])
    }

    #[test]
    fn a_pseudonym_has_22_characters_and_stays() {
        let first = key().scope("macro-control", "stats").of("110101199001011234", false);
        assert_eq!(first.len(), 22);
        assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!(first, key().scope("macro-control", "stats").of("110101199001011234", false));
        // Kept by hand: another value here would break every join across an upgrade.
        assert_eq!(first, "zmeWH9fRYsgc8o1qbBE52A");
    }

    #[test]
    fn departments_and_scenarios_cannot_be_joined() {
        let value = "110101199001011234";
        let of = |scenario, department, joinable| key().scope(scenario, department).of(value, joinable);
        let all =
            [of("a", "b", false), of("a", "c", false), of("b", "b", false), of("ab", "", false), of("", "ab", false), of("a", "b", true)];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{at}");
        }
        assert_eq!(of("a", "b", true), of("a", "c", true));
        assert_ne!(of("a", "b", true), of("b", "b", true));
        assert_ne!(PseudonymKey::new(&[8; 32]).scope("a", "b").of(value, false), of("a", "b", false));
    }

    #[test]
    fn a_key_is_32_bytes_in_base64() {
        let folder = std::env::temp_dir().join(format!("kanhe-pseudonym-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("key");
        std::fs::write(&file, format!("{}\n", STANDARD.encode([7; 32]))).unwrap();
        assert_eq!(PseudonymKey::load(&file).unwrap().scope("s", "d").of("1", false), key().scope("s", "d").of("1", false));
        for bad in ["", "c2hvcnQ=", "not base64 at all", &STANDARD.encode([7; 33])] {
            std::fs::write(&file, bad).unwrap();
            let error = PseudonymKey::load(&file).unwrap_err();
            assert!(matches!(error, KeyError::Malformed(_)));
            assert!(bad.is_empty() || !error.to_string().contains(bad));
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(PseudonymKey::load(&file), Err(KeyError::Unreadable(..))));
    }
}
