//! Step 2 of the line: credentials become a [`Subject`], or the call ends as a stranger's. Signatures are verified once
//! per token; everything that can change meanwhile (time, keys, registered parties, the connection's certificate) is
//! looked at on every call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use jiff::Timestamp;
use moka::sync::Cache;
use tokio::task::AbortHandle;

use super::issuer::{Binding, Config};
use super::jwt::{self, Claims, LEEWAY, Token};
use super::keys::{KeySet, Source};
use super::mtls::PeerCertificate;
use super::parties::{CertificateRule, Parties, Requester};
use super::{AuthorizationFields, Credential, CredentialKind, Credentials, Error, Subject};
use crate::lang::Text;

#[cfg(test)]
mod tests;

/// How many verified tokens are kept: one for each requester of a large province, and only ever honest ones.
const TOKENS_KEPT: u64 = 100_000;

/// Knows the issuers and their keys. It outlives reloads of the control folder: parties are given with each call.
pub struct Authenticator {
    sources: HashMap<Arc<str>, Arc<Source>>,
    verified: Cache<[u8; 32], Arc<Verified>>,
    refreshing: Vec<AbortHandle>,
}

/// Why the issuers' keys could not be had.
#[derive(Debug)]
pub struct StartError {
    /// Whose keys.
    pub issuer: Arc<str>,
    /// What happened.
    pub reason: Text,
}

impl StartError {
    /// For people, in both languages.
    pub fn text(&self) -> Text {
        let Self { issuer, reason } = self;
        Text::new(format!("签发方 `{issuer}` 的密钥不可用：{}", reason.zh), format!("keys of issuer `{issuer}`: {}", reason.en))
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.text().fmt(f)
    }
}

impl std::error::Error for StartError {}

/// A token whose signature and form were found good.
struct Verified {
    source: Arc<Source>,
    /// The set that held its key: when that is no longer current, the token is verified again.
    keys: Arc<KeySet>,
    kid: Option<Arc<str>>,
    claims: Claims,
    /// How long it may be kept: never past its end.
    keep: Duration,
}

/// Gives each token its own time in the cache.
struct UntilItEnds;

impl moka::Expiry<[u8; 32], Arc<Verified>> for UntilItEnds {
    fn expire_after_create(&self, _: &[u8; 32], verified: &Arc<Verified>, _: Instant) -> Option<Duration> {
        Some(verified.keep)
    }
}

impl Authenticator {
    /// Reads or fetches the keys of every issuer and begins to renew those that are fetched.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let mut sources = HashMap::new();
        for issuer in &config.issuers {
            let name = issuer.issuer.clone();
            let source = Source::start(issuer).await.map_err(|reason| StartError { issuer: name.clone(), reason })?;
            sources.insert(name, Arc::new(source));
        }
        let refreshing = sources.values().filter_map(Source::keep_fresh).collect();
        let verified = Cache::builder().max_capacity(TOKENS_KEPT).expire_after(UntilItEnds).build();
        Ok(Self { sources, verified, refreshing })
    }

    /// Reads the key files again; one that does not read leaves all as they were.
    pub fn reload_files(&self) -> Result<(), StartError> {
        let mut renewed = Vec::new();
        for (issuer, source) in &self.sources {
            let set = source.reread().map_err(|reason| StartError { issuer: issuer.clone(), reason })?;
            renewed.extend(set.map(|set| (source, set)));
        }
        for (source, set) in renewed {
            source.take(set);
        }
        Ok(())
    }

    /// Who asks. Costs one hash and a few look-ups where the token was seen before.
    pub async fn authenticate(&self, parties: &Parties, credentials: Credentials<'_>, now: Timestamp) -> Result<Subject, Error> {
        // A certificate that ended during its connection is none.
        let certificate = credentials.certificate.filter(|certificate| certificate.not_after >= now);
        let field = match credentials.authorization {
            AuthorizationFields::One(field) => field,
            AuthorizationFields::Several => {
                return Err(jwt::invalid("请求中有多个 Authorization 字段", "the request has several Authorization fields"));
            }
            AuthorizationFields::None => {
                return match (certificate, credentials.certificate) {
                    (Some(certificate), _) => by_certificate(parties, certificate),
                    (None, Some(_)) => Err(Error::CertificateRequired),
                    (None, None) => Err(Error::CredentialsMissing),
                };
            }
        };
        let token = jwt::bearer(field)?;
        let fingerprint = sha256(token.as_bytes());
        let verified = match self.verified.get(&fingerprint).filter(|verified| verified.source.is_current(&verified.keys)) {
            Some(verified) => verified,
            None => self.verify(token, fingerprint, now).await?,
        };
        if verified.claims.is_expired(now) {
            return Err(Error::TokenExpired);
        }
        by_token(parties, &verified, fingerprint, certificate)
    }

    async fn verify(&self, text: &str, fingerprint: [u8; 32], now: Timestamp) -> Result<Arc<Verified>, Error> {
        let token = Token::parse(text)?;
        let source = self.sources.get(&*token.issuer()?);
        let source = source.ok_or_else(|| jwt::invalid("令牌的签发方未登记", "the token's issuer is not registered here"))?;
        let verified = verify_with(source, &token, now).await.inspect_err(|error| {
            // A key id that nobody registered is the caller's own text: it could hold anything.
            let kid = token.kid.as_deref().filter(|kid| source.current().is_some_and(|keys| keys.knows(kid)));
            tracing::debug!(issuer = %source.issuer().issuer, kid, reason = %error.reason(), "token refused");
        })?;
        let verified = Arc::new(verified);
        self.verified.insert(fingerprint, verified.clone());
        Ok(verified)
    }
}

impl Drop for Authenticator {
    fn drop(&mut self) {
        self.refreshing.iter().for_each(AbortHandle::abort);
    }
}

async fn verify_with(source: &Arc<Source>, token: &Token<'_>, now: Timestamp) -> Result<Verified, Error> {
    let unavailable = || jwt::invalid("签发方的密钥暂不可用", "the issuer's keys are not available at present");
    let issuer = source.issuer();
    token.suits(issuer)?;
    let mut keys = source.current().ok_or_else(unavailable)?;
    if token.kid.as_deref().is_some_and(|kid| !keys.knows(kid)) {
        keys = source.look_again(&keys).await.ok_or_else(unavailable)?;
    }
    let key = keys.find(token.kid.as_deref(), token.algorithm);
    let key =
        key.ok_or_else(|| jwt::invalid("找不到令牌所用的密钥（kid、alg）", "no key of the issuer fits the token's `kid` and `alg`"))?;
    if !token.is_signed_by(key) {
        return Err(jwt::invalid("令牌签名不正确", "the token's signature is not correct"));
    }
    let kid = key.kid.clone();
    let claims = Claims::read(&token.payload, issuer, now)?;
    if claims.is_expired(now) {
        return Err(Error::TokenExpired);
    }
    let left = claims.expires.saturating_add(LEEWAY).saturating_sub(now.as_second());
    let keep = Duration::from_secs(u64::try_from(left).unwrap_or_default());
    Ok(Verified { source: source.clone(), keys, kid, claims, keep })
}

/// A token's caller, as the parties of this snapshot know it.
fn by_token(
    parties: &Parties,
    verified: &Verified,
    fingerprint: [u8; 32],
    certificate: Option<&PeerCertificate>,
) -> Result<Subject, Error> {
    let (claims, issuer) = (&verified.claims, verified.source.issuer());
    let bound = is_bound(claims, issuer.bound, certificate)?;
    let mut credential =
        Credential { kind: CredentialKind::Jwt, issuer: Some(issuer.issuer.clone()), kid: verified.kid.clone(), fingerprint };
    let Some(requester) = parties.requesters.get(&*claims.requester).map(|placed| placed.value.clone()) else {
        return Err(Error::RequesterUnknown { credential });
    };
    if shows_own(parties, &requester, certificate)? || bound {
        credential.kind = CredentialKind::Both;
    }
    let department = match &claims.department {
        None => Some(&requester.department),
        Some(id) => requester.calls_for(id),
    };
    let department = department.cloned().ok_or_else(|| {
        jwt::invalid("令牌所列部门不是该系统所属或代为调用的部门", "the token names a department that the requester does not call for")
    })?;
    let operator = claims.operator.as_ref();
    if requester.suspended {
        let operator = operator.map(|operator| operator.id.clone());
        return Err(Error::RequesterSuspended { requester, department, operator, credential, bound });
    }
    let roles = match &claims.roles {
        None => requester.roles.clone(),
        Some(narrowed) => requester.roles.intersection(narrowed).cloned().collect(),
    };
    Ok(Subject {
        requester,
        department,
        roles,
        operator: operator.map(|operator| operator.id.clone()),
        operator_roles: operator.map(|operator| operator.roles.clone()).unwrap_or_default(),
        operator_clearance: operator.map_or(0, |operator| operator.clearance),
        credential,
        bound,
        scope: claims.scope.clone(),
    })
}

/// A certificate's owner calls for its own department and for no person.
fn by_certificate(parties: &Parties, certificate: &PeerCertificate) -> Result<Subject, Error> {
    let fingerprint = certificate.fingerprint;
    let credential = Credential { kind: CredentialKind::Certificate, issuer: None, kid: None, fingerprint };
    let Some(requester) = owner(parties, certificate).cloned() else {
        return Err(Error::RequesterUnknown { credential });
    };
    let department = requester.department.clone();
    if requester.suspended {
        return Err(Error::RequesterSuspended { requester, department, operator: None, credential, bound: false });
    }
    Ok(Subject {
        roles: requester.roles.clone(),
        requester,
        department,
        operator: None,
        operator_roles: Default::default(),
        operator_clearance: 0,
        credential,
        bound: false,
        scope: None,
    })
}

/// Whether the token is bound to the connection's certificate (RFC 8705 section 3).
fn is_bound(claims: &Claims, binding: Binding, certificate: Option<&PeerCertificate>) -> Result<bool, Error> {
    match (claims.certificate, certificate) {
        (Some(_), None) => Err(Error::CertificateRequired),
        (Some(expected), Some(shown)) if expected != shown.fingerprint => Err(Error::CertificateMismatch),
        (Some(_), Some(_)) => Ok(true),
        (None, None) if binding == Binding::Required => Err(Error::CertificateRequired),
        (None, Some(_)) if binding == Binding::Required => Err(jwt::invalid(
            "该签发方的令牌必须绑定客户端证书（cnf）",
            "tokens of this issuer must be bound to a client certificate (`cnf`)",
        )),
        (None, _) => Ok(false),
    }
}

/// Whether the certificate is the requester's own; one that is someone else's does not go with its token.
fn shows_own(parties: &Parties, requester: &Requester, certificate: Option<&PeerCertificate>) -> Result<bool, Error> {
    let Some(certificate) = certificate else { return Ok(false) };
    let own = match &requester.certificate {
        Some(CertificateRule::Fingerprint(fingerprint)) => *fingerprint == certificate.fingerprint,
        Some(CertificateRule::CommonName(name)) => certificate.common_name.as_ref() == Some(name),
        None => match owner(parties, certificate) {
            None => return Ok(false),
            Some(_) => return Err(Error::CertificateMismatch),
        },
    };
    if own { Ok(true) } else { Err(Error::CertificateMismatch) }
}

fn owner<'p>(parties: &'p Parties, certificate: &PeerCertificate) -> Option<&'p Arc<Requester>> {
    parties.by_certificate(&certificate.fingerprint, certificate.common_name.as_deref())
}

/// The digest under which tokens and certificates are known.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    fingerprint
}
