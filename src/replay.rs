//! Past decisions again: what an entry of the ledger says of a call, put to a control snapshot as the call itself was.
//! An entry holds what its decision rested on; what it does not hold is said and counted, never guessed.

mod change;
mod run;
mod selfcheck;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

pub use change::{Change, Group};
pub use run::{Range, Report, replay};
pub use selfcheck::{Difference, Reproduced, self_check};

use crate::identity::TokenScope;
use crate::lang::Text;
use crate::policy::supposed::{Given, Supposed};
use crate::purpose::stated::Stated;
use crate::snapshot::Snapshot;

/// What an entry says of the call that was decided.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the members are the entry's, name by name")]
pub struct Recorded<'a> {
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub time: Cow<'a, str>,
    #[serde(borrow)]
    pub time_decided: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub snapshot: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub requester: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub department: Option<Cow<'a, str>>,
    pub roles: Option<Vec<Arc<str>>>,
    pub operator_roles: BTreeSet<Arc<str>>,
    pub operator_clearance: i64,
    #[serde(borrow)]
    pub source: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub network: Option<Cow<'a, str>>,
    pub bound: bool,
    #[serde(borrow)]
    pub resource: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub operation: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub target: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub scenario: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub case: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub grant: Option<Cow<'a, str>>,
    pub stated: Option<bool>,
    pub scope: Option<Scope>,
    pub emergency: Option<bool>,
    pub work_time: Option<bool>,
    pub effective_grade: Option<i64>,
    #[serde(borrow)]
    pub items: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow)]
    pub narrowed: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow)]
    pub policies: Vec<Cow<'a, str>>,
    pub policies_total: Option<u64>,
    pub flags: Vec<Arc<str>>,
    pub count: Option<u64>,
}

/// What the call's token was limited to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Scope {
    scenarios: BTreeSet<Arc<str>>,
    case: Option<String>,
}

/// Why a recorded call cannot be put to a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cannot {
    /// The policies had no part in it: it was refused before or beside them, with this code.
    Undecided,
    /// The entry does not hold what the decision rests on.
    Unrecorded(&'static str),
    /// Under that snapshot the call would be refused with this code before it is bound.
    Gone(&'static str),
}

impl Cannot {
    /// The word in reports.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Unrecorded(_) => "unrecorded",
            Self::Gone(_) => "gone",
        }
    }

    /// For people.
    pub fn text(&self) -> Text {
        match self {
            Self::Undecided => Text::new("该次未放行与策略无关", "the policies had no part in this refusal"),
            Self::Unrecorded(what) => {
                Text::new(format!("记录中没有 `{what}`，无法重放"), format!("the entry does not hold `{what}`, so it cannot be replayed"))
            }
            Self::Gone(code) => Text::new(
                format!("按该控制目录，此调用在绑定之前即不放行：{code}"),
                format!("under this control folder the call is refused before it is bound: {code}"),
            ),
        }
    }
}

/// Refusals that binding and deciding end in; all others say nothing of policies.
const DECIDED: [&str; 7] =
    ["purpose_missing", "purpose_unknown", "purpose_not_granted", "purpose_expired", "case_required", "policy_denied", "not_shared"];

impl<'a> Recorded<'a> {
    /// None where the entry is of no call.
    pub fn read(entry: &'a [u8]) -> Option<Self> {
        let recorded: Self = serde_json::from_slice(entry).ok()?;
        matches!(&*recorded.kind, "share.granted" | "share.denied").then_some(recorded)
    }

    /// Whether the call was let pass.
    pub fn granted(&self) -> bool {
        self.kind == "share.granted"
    }

    /// When it was decided.
    pub fn decided(&self) -> Option<Timestamp> {
        self.time_decided.as_deref().unwrap_or(&self.time).parse().ok()
    }

    /// `allow`, or the refusal's code.
    pub fn outcome(&self) -> &str {
        if self.granted() { "allow" } else { self.code.as_deref().unwrap_or_default() }
    }

    /// Whether binding or the policies decided the call, and the entry holds what it was for.
    pub fn is_decided(&self) -> Result<(), Cannot> {
        match self.code.as_deref().unwrap_or_default() {
            // Whatever was stated is not repeated anywhere: it could be a person's number.
            "purpose_unknown" => Err(Cannot::Unrecorded("scenario")),
            code if self.granted() || DECIDED.contains(&code) => Ok(()),
            _ => Err(Cannot::Undecided),
        }
    }

    /// The recorded call, to be put to `snapshot`. `registered` are the roles that its requester was registered with
    /// then: where the call had all of them, its token narrowed none, and it would have all of today's.
    pub fn supposed(&self, snapshot: &Snapshot, registered: Option<&BTreeSet<Arc<str>>>) -> Result<Supposed, Cannot> {
        self.is_decided()?;
        let member = |value: &Option<Cow<'_, str>>, name| value.as_deref().map(Arc::<str>::from).ok_or(Cannot::Unrecorded(name));
        let requester = member(&self.requester, "requester")?;
        let requester = &snapshot.parties.requesters.get(&requester).ok_or(Cannot::Gone("requester_unknown"))?.value;
        if requester.suspended {
            return Err(Cannot::Gone("requester_suspended"));
        }
        let department = requester.calls_for(&member(&self.department, "department")?).ok_or(Cannot::Gone("token_invalid"))?;
        let resource = snapshot.catalogue.resources.get(&member(&self.resource, "resource")?).ok_or(Cannot::Gone("resource_unknown"))?;
        let target = self.target.as_deref().ok_or(Cannot::Unrecorded("target"))?;
        let is_target = |method: &str, path: &str| target.split_once(' ') == Some((method, path));
        let operation = resource.operations.iter().find(|operation| is_target(operation.method.as_str(), &operation.path));
        let operation = operation.ok_or(Cannot::Gone("resource_unknown"))?;
        let roles = self.roles.as_ref().map(|roles| roles.iter().cloned().collect::<BTreeSet<_>>());
        let roles = roles.filter(|roles| registered.is_none_or(|registered| registered != roles));
        let roles = roles.map(|roles| roles.intersection(&requester.roles).cloned().collect());
        Ok(Supposed {
            requester: requester.clone(),
            department: department.clone(),
            roles,
            scope: self.scope.as_ref().map(|scope| TokenScope { scenarios: scope.scenarios.clone(), case: scope.case.clone() }),
            resource: resource.clone(),
            operation: operation.clone(),
            stated: Ok(self.stated()),
            time: self.decided().ok_or(Cannot::Unrecorded("time_decided"))?,
            given: Given {
                network: self.network.as_deref().map(Arc::from),
                bound: Some(self.bound),
                operator_roles: self.operator_roles.clone(),
                operator_clearance: Some(self.operator_clearance),
                source: self.source.as_deref().and_then(|source| source.parse::<IpAddr>().ok()),
                ..Given::default()
            },
        })
    }

    /// What the call stated itself, as far as it is recorded.
    fn stated(&self) -> Option<Stated> {
        let scenario = self.scenario.as_deref().filter(|_| self.stated != Some(false))?;
        Some(Stated { scenario: scenario.to_owned(), case: self.case.as_deref().map(str::to_owned) })
    }
}

/// Why the snapshot that an entry names cannot be had.
#[derive(Debug)]
pub enum Missing {
    /// The entry names none.
    Unnamed,
    /// It is not beside the ledger, or does not load.
    Unloadable(String),
    /// Its files are not those that were recorded.
    Altered(String),
}

impl Missing {
    /// For people.
    pub fn text(&self) -> Text {
        match self {
            Self::Unnamed => Text::new("记录没有写明控制快照", "the entry names no control snapshot"),
            Self::Unloadable(digest) => Text::new(
                format!("控制快照 `{digest}` 不在台账的 snapshots/ 下，或无法加载"),
                format!("control snapshot `{digest}` is not among the ledger's snapshots/, or does not load"),
            ),
            Self::Altered(digest) => Text::new(
                format!("控制快照 `{digest}` 的文件已被改动，与记录不符"),
                format!("the files of control snapshot `{digest}` are not those that were recorded"),
            ),
        }
    }
}

/// Loads the snapshot with this digest from beside the ledger.
pub fn snapshot(ledger: &Path, digest: Option<&str>) -> Result<Snapshot, Missing> {
    let digest = digest.ok_or(Missing::Unnamed)?;
    let hex = digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let unloadable = || Missing::Unloadable(digest.to_owned());
    let folder = ledger.join("snapshots").join(hex.ok_or_else(unloadable)?);
    let (snapshot, _) = Snapshot::load(&folder).map_err(|_| unloadable())?;
    if snapshot.digest == digest { Ok(snapshot) } else { Err(Missing::Altered(digest.to_owned())) }
}
