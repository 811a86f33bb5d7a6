//! Who asks: from credentials to a registered [`Subject`] (policy information point).

mod authenticate;
mod issuer;
mod json;
mod jwt;
mod keys;
pub mod mtls;
pub mod parties;
#[cfg(test)]
mod testing;

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use crate::lang::Text;
use parties::{Department, Requester};

pub use authenticate::{Authenticator, StartError};
pub use issuer::{Binding, ClaimNames, Config, IssuerConfig, JwksSource, RemoteJwks};
pub use mtls::PeerCertificate;

/// The highest access level of an operator that a token may claim.
pub const OPERATOR_CLEARANCE_HIGHEST: i64 = jwt::CLEARANCE_HIGHEST;

/// Who asks, for which department, on behalf of which operator. Made by `Authenticator::authenticate` alone.
#[derive(Debug)]
pub struct Subject {
    /// The calling system.
    pub requester: Arc<Requester>,
    /// The department that demands: the requester's own, or one that it serves.
    pub department: Arc<Department>,
    /// The requester's roles in this call: the registered ones, narrowed by the token.
    pub roles: BTreeSet<Arc<str>>,
    /// The person (经办人); kept in the ledger as keyed digest only.
    pub operator: Option<Arc<str>>,
    /// The operator's roles.
    pub operator_roles: BTreeSet<Arc<str>>,
    /// The operator's access level; 0 where there is no operator.
    pub operator_clearance: i64,
    /// What was shown.
    pub credential: Credential,
    /// Whether a token was bound to the client certificate of this connection (RFC 8705).
    pub bound: bool,
    /// What the token itself limits this call to (RFC 9396).
    pub scope: Option<TokenScope>,
}

/// The credential as the ledger names it.
#[derive(Clone, Debug)]
pub struct Credential {
    /// What kind.
    pub kind: CredentialKind,
    /// The token's issuer.
    pub issuer: Option<Arc<str>>,
    /// The token's key id.
    pub kid: Option<Arc<str>>,
    /// SHA-256 of the token's text, or of the certificate's DER where there is no token; recorded as keyed digest only.
    pub fingerprint: [u8; 32],
}

/// Kinds of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A bearer token.
    Jwt,
    /// A client certificate.
    Certificate,
    /// Both, of the same requester.
    Both,
}

/// `authorization_details` of type `kanhe_share` (RFC 9396): the call may only narrow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenScope {
    /// The scenarios that the token is good for.
    pub scenarios: BTreeSet<Arc<str>>,
    /// The case that it is good for.
    pub case: Option<String>,
}

/// What a call shows of itself.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// Its `Authorization` fields.
    pub authorization: AuthorizationFields<'a>,
    /// Its connection's client certificate, verified by the handshake.
    pub certificate: Option<&'a PeerCertificate>,
}

/// The `Authorization` fields of a request: two are never one.
#[derive(Clone, Copy, Debug)]
pub enum AuthorizationFields<'a> {
    /// There is none.
    None,
    /// There is one, with this value.
    One(&'a [u8]),
    /// There are more.
    Several,
}

impl<'a> AuthorizationFields<'a> {
    /// Those of a request's fields.
    pub fn of(fields: &'a HeaderMap) -> Self {
        let mut values = fields.get_all(AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::None,
            (Some(one), None) => Self::One(one.as_bytes()),
            (Some(_), Some(_)) => Self::Several,
        }
    }
}

/// Why a caller is not let in. Holds what the ledger may know, and nothing else of the credentials.
#[derive(Debug)]
pub enum Error {
    /// Neither token nor certificate.
    CredentialsMissing,
    /// The token does not count.
    TokenInvalid {
        /// What its caller can do about it.
        reason: Text,
    },
    /// The token has ended.
    TokenExpired,
    /// The token counts only on a connection with its certificate, or the connection's certificate has ended.
    CertificateRequired,
    /// The connection's certificate is not the one that goes with the token.
    CertificateMismatch,
    /// Good credentials of nobody who is registered (未登记系统).
    RequesterUnknown {
        /// What was shown.
        credential: Credential,
    },
    /// A registered requester that may not call at present.
    RequesterSuspended {
        /// Who.
        requester: Arc<Requester>,
        /// The department called for.
        department: Arc<Department>,
        /// The person (经办人); kept in the ledger as keyed digest only.
        operator: Option<Arc<str>>,
        /// What was shown.
        credential: Credential,
        /// Whether the token was bound to the connection's certificate.
        bound: bool,
    },
}

impl Error {
    /// The refusal's code, as the contract has it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::CredentialsMissing => "credentials_missing",
            Self::TokenInvalid { .. } => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::CertificateRequired => "certificate_required",
            Self::CertificateMismatch => "certificate_mismatch",
            Self::RequesterUnknown { .. } => "requester_unknown",
            Self::RequesterSuspended { .. } => "requester_suspended",
        }
    }

    /// What the caller can do about it.
    pub fn reason(&self) -> Text {
        match self {
            Self::CredentialsMissing => Text::new("请出示令牌或客户端证书", "show a bearer token or a client certificate"),
            Self::TokenInvalid { reason } => reason.clone(),
            Self::TokenExpired => Text::new("令牌已过期，请重新获取", "the token has expired, get a new one"),
            Self::CertificateRequired => {
                Text::new("须在带有有效客户端证书的连接上调用", "call over a connection with a valid client certificate")
            }
            Self::CertificateMismatch => {
                Text::new("连接的客户端证书与令牌不对应", "the connection's client certificate does not go with the token")
            }
            Self::RequesterUnknown { .. } => Text::new("未登记系统", "the calling system is not registered"),
            Self::RequesterSuspended { .. } => Text::new("该需求系统已暂停使用", "the calling system is suspended"),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.reason().fmt(f)
    }
}

impl std::error::Error for Error {}
