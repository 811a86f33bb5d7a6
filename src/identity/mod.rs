//! Who asks: from credentials to a registered [`Subject`] (policy information point).

pub mod parties;

use std::collections::BTreeSet;
use std::sync::Arc;

use parties::{Department, Requester};

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
