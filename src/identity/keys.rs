//! Issuers' public keys (RFC 7517). One key has one algorithm, fixed when the set is read, so that no token can choose
//! how its key is used; symmetric and too small keys are never taken.

mod fetch;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};

use super::json::{self, Members};
use crate::lang::Text;

pub(super) use source::Source;

/// The smallest RSA modulus that is taken, in bytes.
const RSA_SMALLEST: usize = 256;
/// The longest key id that is looked at.
const KID_LONGEST: usize = 128;

/// One issuer's keys as last read.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

/// One public key.
#[derive(Debug)]
pub(super) struct Key {
    /// Its id.
    pub(super) kid: Option<Arc<str>>,
    /// The one algorithm that it verifies.
    pub(super) algorithm: Algorithm,
    /// The key itself.
    pub(super) decoding: DecodingKey,
}

/// A signature algorithm by its name in JOSE, symmetric ones and `none` left out.
pub(super) fn asymmetric(name: &str) -> Option<Algorithm> {
    Some(match name {
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        // RFC 9864 names the curve; the signature is the same.
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        _ => return None,
    })
}

/// Whether a key id is one that could be in a set: short and printable, so that it can stand in logs and the ledger.
pub(super) fn is_kid(kid: &str) -> bool {
    (1..=KID_LONGEST).contains(&kid.len()) && kid.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

impl KeySet {
    /// Reads a JWK set. Keys of other kinds and uses are passed over (RFC 7517 section 5); a set without any usable
    /// key, or with two that a token could not tell apart, is an error.
    pub(super) fn parse(bytes: &[u8], allowed: &[Algorithm]) -> Result<Self, Text> {
        let malformed = || Text::new("不是合法的 JWK 集合", "not a JWK set");
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let set = Members::parse(text).ok_or_else(malformed)?;
        let written = set.get("keys").and_then(|keys| json::array(keys).ok()).ok_or_else(malformed)?;
        let mut keys: Vec<Key> = Vec::with_capacity(written.len());
        for text in written {
            let Some(key) = Members::parse(text).as_ref().and_then(|jwk| Key::read(jwk, allowed)) else {
                continue;
            };
            if keys.iter().any(|known| known.kid == key.kid && known.algorithm == key.algorithm) {
                return Err(Text::new("两个密钥的 kid 和算法相同", "two keys have the same kid and algorithm"));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(Text::new("没有可用于所列算法的签名公钥", "holds no signature key for the algorithms listed"));
        }
        Ok(Self { keys })
    }

    /// The key for a token; without a key id only where no other fits.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        let mut fitting = self.keys.iter().filter(|key| key.algorithm == algorithm && (kid.is_none() || key.kid.as_deref() == kid));
        let first = fitting.next()?;
        fitting.next().is_none().then_some(first)
    }

    /// Whether any key has this id, whatever its algorithm.
    pub(super) fn knows(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }
}

impl Key {
    /// The key, unless it is of another kind or use, or not for any of the allowed algorithms.
    fn read(jwk: &Members<'_>, allowed: &[Algorithm]) -> Option<Self> {
        let kid = jwk.string("kid").ok()?;
        if kid.as_deref().is_some_and(|kid| !is_kid(kid)) {
            return None;
        }
        let uses = jwk.string("use").ok()?;
        let operations = jwk.get("key_ops").map(json::strings).transpose().ok()?;
        if uses.is_some_and(|uses| uses != "sig") || operations.is_some_and(|all| all.iter().all(|one| one != "verify")) {
            return None;
        }
        let named = match jwk.string("alg").ok()? {
            Some(name) => Some(asymmetric(&name)?),
            None => None,
        };
        let (fitting, decoding) = Self::material(jwk)?;
        let algorithm = match named {
            Some(named) => fitting.contains(&named).then_some(named)?,
            None => *allowed.iter().find(|algorithm| fitting.contains(algorithm))?,
        };
        allowed.contains(&algorithm).then(|| Self { kid: kid.map(Arc::from), algorithm, decoding })
    }

    /// The key's material and the algorithms that its kind and curve can stand for.
    fn material(jwk: &Members<'_>) -> Option<(&'static [Algorithm], DecodingKey)> {
        let text = |name: &str| jwk.string(name).ok().flatten();
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let (kind, curve) = (text("kty")?, text("crv"));
        match (&*kind, curve.as_deref()) {
            ("EC", Some("P-256")) => point(bytes("x")?, bytes("y")?, 32).map(|key| (&[Algorithm::ES256][..], key)),
            ("EC", Some("P-384")) => point(bytes("x")?, bytes("y")?, 48).map(|key| (&[Algorithm::ES384][..], key)),
            ("OKP", Some("Ed25519")) => {
                let x = bytes("x").filter(|x| x.len() == 32)?;
                Some((&[Algorithm::EdDSA][..], DecodingKey::from_ed_der(&x)))
            }
            ("RSA", None) => {
                let (modulus, exponent) = (bytes("n")?, bytes("e")?);
                let large = modulus.len() >= RSA_SMALLEST && modulus.first().is_some_and(|first| *first != 0);
                let all = &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
                large.then(|| (&all[..], DecodingKey::from_rsa_raw_components(&modulus, &exponent)))
            }
            _ => None,
        }
    }
}

/// An uncompressed point, from coordinates of exactly the curve's length.
fn point(x: Vec<u8>, y: Vec<u8>, length: usize) -> Option<DecodingKey> {
    if x.len() != length || y.len() != length {
        return None;
    }
    let mut point = Vec::with_capacity(1 + 2 * length);
    point.push(4);
    point.extend_from_slice(&x);
    point.extend_from_slice(&y);
    Some(DecodingKey::from_ec_der(&point))
}
