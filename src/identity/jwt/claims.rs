//! What a token says once its signature is known to be good: each claim of its exact type and within bounds, or the
//! token is refused. A claim that should restrict the call and cannot be read is never passed over.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::invalid;
use crate::identity::issuer::{Binding, IssuerConfig};
use crate::identity::json::{self, Members, NotThatType, OneOrMore};
use crate::identity::{Error, TokenScope};
use crate::written::is_id;

/// How far clocks may differ, in seconds.
pub(in crate::identity) const LEEWAY: i64 = 30;
/// The last second of the year 9999: no honest token lives longer.
const LATEST: i64 = 253_402_300_799;
/// The longest operator, in bytes.
const OPERATOR_LONGEST: usize = 128;
/// The longest case, in bytes, as in the purpose field.
const CASE_LONGEST: usize = 128;
/// The most roles or scenarios that are read.
const LIST_LONGEST: usize = 64;
/// The highest access level, as the highest grade.
pub(in crate::identity) const CLEARANCE_HIGHEST: i64 = 4;

/// The claims that identify and restrict a call.
#[derive(Debug)]
pub(in crate::identity) struct Claims {
    /// When the token ends, in seconds.
    pub(in crate::identity) expires: i64,
    /// The requester's id.
    pub(in crate::identity) requester: String,
    /// The department called for, where one is named.
    pub(in crate::identity) department: Option<String>,
    /// The roles that the call is narrowed to, where any are named.
    pub(in crate::identity) roles: Option<BTreeSet<Arc<str>>>,
    /// The operator, with roles and access level.
    pub(in crate::identity) operator: Option<Operator>,
    /// The certificate that the token is bound to (RFC 8705).
    pub(in crate::identity) certificate: Option<[u8; 32]>,
    /// What the token is limited to (RFC 9396).
    pub(in crate::identity) scope: Option<TokenScope>,
}

/// The person on whose behalf the call is made.
#[derive(Debug)]
pub(in crate::identity) struct Operator {
    /// The person's id at the issuer.
    pub(in crate::identity) id: Arc<str>,
    /// Roles; those that no policy could name are left out.
    pub(in crate::identity) roles: BTreeSet<Arc<str>>,
    /// Access level.
    pub(in crate::identity) clearance: i64,
}

/// Refuses claims that are no JSON object with each name once.
pub(super) fn malformed() -> Error {
    invalid("令牌的声明不合法或重复", "the token's claims are malformed or written twice")
}

/// Refuses one claim, by the name that the contract knows it under.
fn wrong(claim: &str) -> Error {
    invalid(&format!("令牌的 {claim} 缺少或不合法"), &format!("the token's `{claim}` is missing or not of the right form"))
}

impl Claims {
    /// Reads and checks the claims of a token of this issuer.
    pub(in crate::identity) fn read(payload: &str, issuer: &IssuerConfig, now: Timestamp) -> Result<Self, Error> {
        let claims = Members::parse(payload).ok_or_else(malformed)?;
        let expires = check_times(&claims, now)?;
        check_audience(&claims, issuer)?;
        let names = &issuer.claims;
        let text = |name: &str, claim: &str| claims.string(name).map_err(|NotThatType| wrong(claim));
        let requester = text(&names.requester, "requester")?.filter(|id| !id.is_empty()).ok_or_else(|| wrong("requester"))?;
        let department = text(&names.department, "department")?;
        let roles = read_roles(&claims, &names.roles, "roles")?;
        let operator = read_operator(&claims, issuer)?;
        let certificate = match issuer.bound {
            Binding::Off => None,
            Binding::Optional | Binding::Required => read_confirmation(&claims)?,
        };
        let scope = read_scope(&claims)?;
        Ok(Self { expires, requester, department, roles, operator, certificate, scope })
    }

    /// Whether the token has ended.
    pub(in crate::identity) fn is_expired(&self, now: Timestamp) -> bool {
        now.as_second() >= self.expires.saturating_add(LEEWAY)
    }
}

/// `exp` must be there; `nbf` and `iat` must not lie ahead.
fn check_times(claims: &Members<'_>, now: Timestamp) -> Result<i64, Error> {
    let moment = |name: &str| match claims.number(name) {
        Ok(Some(seconds)) if seconds > LATEST => Err(wrong(name)),
        Ok(found) => Ok(found),
        Err(NotThatType) => Err(wrong(name)),
    };
    let expires = moment("exp")?.ok_or_else(|| wrong("exp"))?;
    let latest = now.as_second().saturating_add(LEEWAY);
    if moment("nbf")?.is_some_and(|start| start > latest) {
        return Err(invalid("令牌尚未生效（nbf）", "the token is not valid yet (`nbf`)"));
    }
    if moment("iat")?.is_some_and(|issued| issued > latest) {
        return Err(invalid("令牌的签发时间（iat）在未来", "the token was issued in the future (`iat`)"));
    }
    Ok(expires)
}

fn check_audience(claims: &Members<'_>, issuer: &IssuerConfig) -> Result<(), Error> {
    let audience = match claims.one_or_more("aud").map_err(|NotThatType| wrong("aud"))? {
        Some(OneOrMore::One(one)) => vec![one],
        Some(OneOrMore::More(more)) => more,
        None => return Err(wrong("aud")),
    };
    match audience.iter().any(|one| issuer.audience.contains(one)) {
        true => Ok(()),
        false => Err(invalid("令牌不是发给本网关的（aud）", "the token is not meant for this gateway (`aud`)")),
    }
}

/// Roles as array or space-separated; what no registered role can be called is left out.
fn read_roles(claims: &Members<'_>, name: &str, claim: &str) -> Result<Option<BTreeSet<Arc<str>>>, Error> {
    let list = match claims.one_or_more(name).map_err(|NotThatType| wrong(claim))? {
        None => return Ok(None),
        Some(OneOrMore::One(text)) => text.split(' ').filter(|role| !role.is_empty()).map(str::to_owned).collect(),
        Some(OneOrMore::More(list)) => list,
    };
    if list.len() > LIST_LONGEST {
        return Err(wrong(claim));
    }
    Ok(Some(list.into_iter().filter(|role| is_id(role)).map(Arc::from).collect()))
}

/// Without an operator there are no roles and no clearance, whatever other claims say.
fn read_operator(claims: &Members<'_>, issuer: &IssuerConfig) -> Result<Option<Operator>, Error> {
    let names = &issuer.claims;
    let Some(id) = claims.string(&names.operator).map_err(|NotThatType| wrong("operator"))? else {
        return Ok(None);
    };
    if id.trim().is_empty() || id.len() > OPERATOR_LONGEST || id.chars().any(char::is_control) {
        return Err(wrong("operator"));
    }
    let roles = read_roles(claims, &names.operator_roles, "operator_roles")?.unwrap_or_default();
    let clearance = claims.number(&names.operator_clearance).map_err(|NotThatType| wrong("operator_clearance"))?;
    let clearance = clearance.unwrap_or_default();
    if clearance > CLEARANCE_HIGHEST {
        return Err(wrong("operator_clearance"));
    }
    Ok(Some(Operator { id: id.into(), roles, clearance }))
}

/// `cnf.x5t#S256`. A token bound in another way cannot be checked here, and unchecked it would be a plain bearer token.
fn read_confirmation(claims: &Members<'_>) -> Result<Option<[u8; 32]>, Error> {
    let Some(confirmation) = claims.get("cnf") else { return Ok(None) };
    let confirmation = Members::parse(confirmation).ok_or_else(|| wrong("cnf"))?;
    if confirmation.names().any(|name| name != "x5t#S256") {
        return Err(invalid("不支持令牌的绑定方式（cnf）", "the token is bound (`cnf`) in a way that is not supported"));
    }
    let digest = confirmation.string("x5t#S256").ok().flatten().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let digest = digest.and_then(|digest| <[u8; 32]>::try_from(digest).ok());
    digest.map(Some).ok_or_else(|| wrong("cnf"))
}

/// `authorization_details` of type `kanhe_share`; those of other types are for others.
fn read_scope(claims: &Members<'_>) -> Result<Option<TokenScope>, Error> {
    let bad = || wrong("authorization_details");
    let Some(details) = claims.get("authorization_details") else { return Ok(None) };
    let mut scope = None;
    for detail in json::array(details).map_err(|NotThatType| bad())? {
        let detail = Members::parse(detail).ok_or_else(bad)?;
        if detail.string("type").map_err(|NotThatType| bad())?.ok_or_else(bad)? != "kanhe_share" {
            continue;
        }
        // A member that is not known here would restrict the call in a way that nobody checks.
        let known = detail.names().all(|name| matches!(name, "type" | "scenarios" | "case"));
        let scenarios = json::strings(detail.get("scenarios").ok_or_else(bad)?).map_err(|NotThatType| bad())?;
        let case = detail.string("case").map_err(|NotThatType| bad())?;
        let fits = (1..=LIST_LONGEST).contains(&scenarios.len()) && scenarios.iter().all(|id| is_id(id));
        let case_fits = case.as_deref().is_none_or(|case| !case.is_empty() && case.len() <= CASE_LONGEST);
        if !known || !fits || !case_fits || scope.is_some() {
            return Err(bad());
        }
        scope = Some(TokenScope { scenarios: scenarios.into_iter().map(Arc::from).collect(), case });
    }
    Ok(scope)
}
