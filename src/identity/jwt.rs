//! Bearer tokens (RFC 7519, RFC 9068). The text is parsed strictly before any key is touched; what the header says
//! chooses among registered keys only, and nothing that it brings along (`jwk`, `jku`, `x5u`, `x5c`) is looked at.

mod claims;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;

use super::Error;
use super::issuer::IssuerConfig;
use super::json::{Members, NotThatType};
use super::keys::{self, Key};

pub(super) use claims::{CLEARANCE_HIGHEST, Claims, LEEWAY};

/// The longest token that is read, in bytes.
const TOKEN_LONGEST: usize = 8 << 10;

/// A token's text, taken apart and not believed yet.
#[derive(Debug)]
pub(super) struct Token<'a> {
    /// What the signature covers.
    signed: &'a str,
    signature: &'a str,
    /// The algorithm that the header names; an asymmetric one.
    pub(super) algorithm: Algorithm,
    /// The key id that it names.
    pub(super) kid: Option<String>,
    typ: Option<String>,
    /// The JSON of the claims.
    pub(super) payload: String,
}

/// Refuses a token with what its caller can act on; never with anything that the token holds.
pub(super) fn invalid(zh: &str, en: &str) -> Error {
    Error::TokenInvalid { reason: crate::lang::Text::new(zh, en) }
}

/// A media type without `application/` (RFC 7515 section 4.1.9).
pub(super) fn media_type(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.get(..PREFIX.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => &typ[PREFIX.len()..],
        _ => typ,
    }
}

/// The token of an `Authorization` field (RFC 6750 section 2.1).
pub(super) fn bearer(field: &[u8]) -> Result<&str, Error> {
    let field = std::str::from_utf8(field).map_err(|_| invalid("Authorization 字段不是文本", "the Authorization field is not text"))?;
    match field.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_matches(' ')),
        _ => Err(invalid("Authorization 字段应为 `Bearer` 加令牌", "the Authorization field must be `Bearer` and a token")),
    }
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub(super) fn parse(text: &'a str) -> Result<Self, Error> {
        if text.len() > TOKEN_LONGEST {
            return Err(invalid("令牌超过 8 KiB", "the token is longer than 8 KiB"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or_else(not_a_token)?;
        let (header, payload) = signed.split_once('.').ok_or_else(not_a_token)?;
        if payload.contains('.') {
            return Err(invalid("不接受加密令牌（JWE）", "encrypted tokens (JWE) are not accepted"));
        }
        // The engine demands canonical text: no padding, no stray bits, so that one token has one spelling.
        URL_SAFE_NO_PAD.decode(signature).ok().filter(|bytes| !bytes.is_empty()).ok_or_else(not_a_token)?;
        let (header, payload) = (decoded(header)?, decoded(payload)?);
        let header = Members::parse(&header).ok_or_else(bad_header)?;
        if ["crit", "enc", "zip", "b64"].iter().any(|name| header.get(name).is_some()) {
            return Err(invalid("令牌头含有不支持的扩展", "the token's header asks for an extension that is not supported"));
        }
        let text = |name| header.string(name).map_err(|NotThatType| bad_header());
        let algorithm = text("alg")?.as_deref().and_then(keys::asymmetric);
        let algorithm = algorithm.ok_or_else(bad_algorithm)?;
        let (kid, typ) = (text("kid")?, text("typ")?);
        if kid.as_deref().is_some_and(|kid| !keys::is_kid(kid)) {
            return Err(invalid("令牌的 kid 过长或含不可见字符", "the token's kid is too long or not printable"));
        }
        Ok(Self { signed, signature, algorithm, kid, typ, payload })
    }

    /// The issuer that the token claims to be from.
    pub(super) fn issuer(&self) -> Result<String, Error> {
        let claims = Members::parse(&self.payload).ok_or_else(claims::malformed)?;
        let issuer = claims.string("iss").map_err(|NotThatType| claims::malformed())?;
        issuer.ok_or_else(|| invalid("令牌缺少 iss", "the token has no `iss`"))
    }

    /// Whether this issuer's tokens look like this one.
    pub(super) fn suits(&self, issuer: &IssuerConfig) -> Result<(), Error> {
        if !issuer.algorithms.contains(&self.algorithm) {
            return Err(bad_algorithm());
        }
        let typ = self.typ.as_deref().map(media_type);
        if !typ.is_some_and(|typ| issuer.typ.iter().any(|known| known.eq_ignore_ascii_case(typ))) {
            return Err(invalid("令牌类型（typ）不符，应使用访问令牌", "the token's type (`typ`) is not one for access tokens here"));
        }
        Ok(())
    }

    /// Whether this key made the signature, by the key's own algorithm.
    pub(super) fn is_signed_by(&self, key: &Key) -> bool {
        let verified = jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), &key.decoding, key.algorithm);
        key.algorithm == self.algorithm && verified.unwrap_or(false)
    }
}

fn decoded(part: &str) -> Result<String, Error> {
    URL_SAFE_NO_PAD.decode(part).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(not_a_token)
}

fn not_a_token() -> Error {
    invalid("不是合法的令牌（JWS 紧凑格式）", "not a token in JWS compact form")
}

fn bad_header() -> Error {
    invalid("令牌头不合法", "the token's header is malformed")
}

fn bad_algorithm() -> Error {
    invalid("令牌的签名算法不被接受", "the token's signature algorithm is not accepted")
}
