//! `[[issuers]]` of the configuration: who may say who calls, and how its tokens look.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use jsonwebtoken::Algorithm;

use super::keys;
use crate::lang::Text;
use crate::written::{Table, units};

/// All issuers of tokens that are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Each with its own keys; an issuer is written once.
    pub issuers: Vec<IssuerConfig>,
}

/// One issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerConfig {
    /// What `iss` must be.
    pub issuer: Arc<str>,
    /// What `aud` must hold one of.
    pub audience: Vec<String>,
    /// Where its keys are.
    pub jwks: JwksSource,
    /// The signature algorithms that its tokens may use; never a symmetric one.
    pub algorithms: Vec<Algorithm>,
    /// What `typ` may be, without `application/`.
    pub typ: Vec<String>,
    /// What its claims are called.
    pub claims: ClaimNames,
    /// Whether its tokens are bound to client certificates (RFC 8705).
    pub bound: Binding,
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// A file, read at start and on reload.
    File(PathBuf),
    /// Fetched over TLS at start, by age, and once for a key id that is not known.
    Https(RemoteJwks),
}

/// How a key set is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteJwks {
    /// Its address; redirects are not followed.
    pub url: Uri,
    /// The certificates (PEM) that its server's must lead to.
    pub ca: PathBuf,
    /// How old the set becomes before it is fetched again.
    pub refresh: Duration,
    /// How long a set that cannot be renewed still counts.
    pub max_stale: Duration,
    /// How long after one fetch for an unknown key id no other follows.
    pub cooldown: Duration,
    /// How long one fetch may take.
    pub timeout: Duration,
}

/// The names of the claims that identify a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// The requester.
    pub requester: String,
    /// The department called for.
    pub department: String,
    /// The operator.
    pub operator: String,
    /// The operator's roles.
    pub operator_roles: String,
    /// The operator's access level.
    pub operator_clearance: String,
    /// The requester's roles.
    pub roles: String,
}

/// What is expected of a token's `cnf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// It is not looked at.
    Off,
    /// Where it is there it must match.
    Optional,
    /// It must be there and match.
    Required,
}

impl Config {
    /// Reads the tables of `[[issuers]]`; relative paths start at `base`, the configuration's folder.
    pub fn read(tables: Vec<Table<'_, '_>>, base: &Path) -> Option<Self> {
        let mut issuers: Vec<IssuerConfig> = Vec::with_capacity(tables.len());
        let mut whole = true;
        for table in tables {
            match IssuerConfig::read(&table, base) {
                Some(issuer) if issuers.iter().any(|known| known.issuer == issuer.issuer) => {
                    let message = Text::new(
                        format!("签发方 `{}` 重复登记", issuer.issuer),
                        format!("issuer `{}` is registered twice", issuer.issuer),
                    );
                    table.error("issuer", "duplicate_id", message, None);
                    whole = false;
                }
                Some(issuer) => issuers.push(issuer),
                None => whole = false,
            }
            table.finish();
        }
        whole.then_some(Self { issuers })
    }
}

impl IssuerConfig {
    fn read(table: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let issuer = table.filled("issuer");
        let audience = filled_list(table, "audience", None);
        let jwks = JwksSource::read(table, base);
        let algorithms = read_algorithms(table);
        let typ = filled_list(table, "typ", Some("at+jwt"));
        let claims = ClaimNames::read(table);
        let bound = table.choice_or(
            "bound",
            &[("off", Binding::Off), ("optional", Binding::Optional), ("required", Binding::Required)],
            Binding::Optional,
        );
        let typ = typ?.iter().map(|typ| super::jwt::media_type(typ).to_owned()).collect();
        Some(Self {
            issuer: issuer?.value.into(),
            audience: audience?,
            jwks: jwks?,
            algorithms: algorithms?,
            typ,
            claims: claims?,
            bound: bound?,
        })
    }
}

impl JwksSource {
    fn read(table: &Table<'_, '_>, base: &Path) -> Option<Self> {
        enum Written {
            File(String),
            Url(Uri),
        }
        let jwks = table.parsed("jwks", |text| {
            let right = || Text::new("应写 `file:路径` 或 `https://…`", "write `file:PATH` or `https://…`");
            match text.strip_prefix("file:") {
                Some(path) if !path.is_empty() => Ok(Written::File(path.to_owned())),
                Some(_) => Err(right()),
                None => {
                    let url: Uri = text.parse().map_err(|_| right())?;
                    let plain = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
                    if url.scheme_str() == Some("https") && plain { Ok(Written::Url(url)) } else { Err(right()) }
                }
            }
        });
        let ca = table.opt_string("jwks_ca");
        let refresh = read_duration(table, "jwks_refresh", Duration::from_secs(600));
        let max_stale = read_duration(table, "jwks_max_stale", Duration::from_secs(24 * 3600));
        let cooldown = read_duration(table, "jwks_cooldown", Duration::from_secs(15));
        let timeout = read_duration(table, "jwks_timeout", Duration::from_secs(5));
        match jwks?.value {
            Written::File(path) => Some(Self::File(base.join(path))),
            Written::Url(url) => {
                let Some(ca) = ca else {
                    table.missing("jwks_ca");
                    return None;
                };
                let (refresh, max_stale, cooldown, timeout) = (refresh?, max_stale?, cooldown?, timeout?);
                if max_stale < refresh {
                    table.wrong_value("jwks_max_stale", "不得短于 `jwks_refresh`", "must not be shorter than `jwks_refresh`");
                    return None;
                }
                Some(Self::Https(RemoteJwks { url, ca: base.join(ca.value), refresh, max_stale, cooldown, timeout }))
            }
        }
    }
}

impl ClaimNames {
    fn read(table: &Table<'_, '_>) -> Option<Self> {
        let written = table.opt_table("claims");
        let name = |key: &str, default: &str| match &written {
            Some(names) if names.has(key) => names.filled(key).map(|name| name.value),
            Some(names) => {
                names.opt_string(key);
                Some(default.to_owned())
            }
            None => Some(default.to_owned()),
        };
        let requester = name("requester", "sub");
        let department = name("department", "department");
        let operator = name("operator", "operator");
        let operator_roles = name("operator_roles", "operator_roles");
        let operator_clearance = name("operator_clearance", "operator_clearance");
        let roles = name("roles", "roles");
        if let Some(written) = written {
            written.finish();
        }
        Some(Self {
            requester: requester?,
            department: department?,
            operator: operator?,
            operator_roles: operator_roles?,
            operator_clearance: operator_clearance?,
            roles: roles?,
        })
    }
}

/// A list that must hold something, none of it empty; where the key is absent, the default, if there is one.
fn filled_list(table: &Table<'_, '_>, key: &str, default: Option<&str>) -> Option<Vec<String>> {
    if !table.has(key) {
        table.strings(key);
        if default.is_none() {
            table.missing(key);
        }
        return default.map(|default| vec![default.to_owned()]);
    }
    let list: Vec<String> = table.one_or_more(key).into_iter().map(|item| item.value).collect();
    if list.is_empty() || list.iter().any(|item| item.trim().is_empty()) {
        table.wrong_value(key, "不得为空", "must not be empty");
        return None;
    }
    Some(list)
}

fn read_algorithms(table: &Table<'_, '_>) -> Option<Vec<Algorithm>> {
    let mut algorithms = Vec::new();
    for name in filled_list(table, "algorithms", None)? {
        let Some(algorithm) = keys::asymmetric(&name) else {
            let known = "ES256, ES384, EdDSA, RS256, RS384, RS512, PS256, PS384, PS512";
            let zh = format!("的 `{name}` 不可用，可用：{known}");
            table.wrong_value("algorithms", &zh, &format!("holds `{name}`, which is not one of {known}"));
            return None;
        };
        algorithms.push(algorithm);
    }
    Some(algorithms)
}

fn read_duration(table: &Table<'_, '_>, key: &str, default: Duration) -> Option<Duration> {
    if !table.has(key) {
        table.opt_string(key);
        return Some(default);
    }
    let duration = table.opt_parsed(key, units::duration)?.value;
    if duration.is_zero() {
        table.wrong_value(key, "必须大于零", "must be more than nothing");
        return None;
    }
    Some(duration)
}
