//! Calls that nobody makes: the officers' cases, what they ask about, and calls of long ago. Each is bound and decided
//! exactly as one that comes in.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use jiff::Timestamp;

use super::decide::{self, Call};
use super::{Circumstances, Decision, Denial, Policies, World};
use crate::catalogue::route::Target;
use crate::catalogue::{Operation, Resource};
use crate::identity::parties::{Department, Requester};
use crate::identity::{Credential, CredentialKind, Subject, TokenScope};
use crate::lang::Text;
use crate::purpose::Scenario;
use crate::purpose::bind::{Bound, NotBound, Registered, bind};
use crate::purpose::stated::{Malformed, Stated};

/// Everything that binding and deciding look at.
#[derive(Clone, Debug)]
pub struct Supposed {
    /// The calling system.
    pub requester: Arc<Requester>,
    /// The department that it calls for.
    pub department: Arc<Department>,
    /// Its roles in this call; none: all that it is registered with.
    pub roles: Option<BTreeSet<Arc<str>>>,
    /// What its token is limited to.
    pub scope: Option<TokenScope>,
    /// What is asked for.
    pub resource: Arc<Resource>,
    /// By which operation.
    pub operation: Arc<Operation>,
    /// What for, as the call states it.
    pub stated: Result<Option<Stated>, Malformed>,
    /// When.
    pub time: Timestamp,
    /// The circumstances that are set.
    pub given: Given,
}

/// Circumstances that are set; the others are worked out as for a call, or those of a plain one.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Name of the network; `other`.
    pub network: Option<Arc<str>>,
    /// Whether the scenario's emergency order is in force; as its dates say.
    pub emergency: Option<bool>,
    /// Whether offices work; as the calendar says.
    pub work_time: Option<bool>,
    /// Whether the token is bound to the certificate; it is not.
    pub bound: Option<bool>,
    /// The operator's roles.
    pub operator_roles: BTreeSet<Arc<str>>,
    /// The operator's access level; 0.
    pub operator_clearance: Option<i64>,
    /// Where the call comes from; the loopback.
    pub source: Option<IpAddr>,
}

/// Why a supposed call would be refused.
#[derive(Debug)]
pub enum Refused {
    /// The requester may not call at present.
    Suspended,
    /// The purpose cannot be read.
    Malformed(Malformed),
    /// Binding refuses.
    NotBound(NotBound),
    /// The policies refuse.
    Denied(Bound, Denial),
}

impl Refused {
    /// The refusal's code, as the contract has it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Suspended => "requester_suspended",
            Self::Malformed(_) => "purpose_malformed",
            Self::NotBound(not) => not.reason.code(),
            Self::Denied(..) => "policy_denied",
        }
    }

    /// The determining forbids.
    pub fn policies(&self) -> &[Arc<str>] {
        match self {
            Self::Denied(_, denial) => &denial.policies,
            _ => &[],
        }
    }

    /// What the refusal tells; to officers the errors too.
    pub fn detail(&self) -> Option<Text> {
        match self {
            Self::Suspended => None,
            Self::Malformed(error) => Some(error.detail()),
            Self::NotBound(not) => Some(not.detail.clone()),
            Self::Denied(_, denial) if denial.errors.is_empty() => Some(denial.detail()),
            Self::Denied(_, denial) => {
                let (detail, errors) = (denial.detail(), denial.errors.join("; "));
                Some(Text::new(format!("{}：{errors}", detail.zh), format!("{}: {errors}", detail.en)))
            }
        }
    }
}

/// A purpose as a call would write it in `Share-Purpose`, so that it is read as strictly.
pub fn state(scenario: Option<&str>, case: Option<&str>) -> Result<Option<Stated>, Malformed> {
    let Some(scenario) = scenario else { return Ok(None) };
    let mut field = scenario.to_owned();
    if let Some(case) = case {
        field.push_str(";case=%\"");
        for byte in case.bytes() {
            match byte {
                b' '..=b'~' if byte != b'%' && byte != b'"' => field.push(char::from(byte)),
                // A Display String (RFC 9651 section 3.3.8); writing to a string cannot fail.
                _ => write!(field, "%{byte:02x}").unwrap_or_default(),
            }
        }
        field.push('"');
    }
    Stated::parse(std::iter::once(field.as_bytes()))
}

impl Supposed {
    /// Who would ask.
    fn subject(&self) -> Subject {
        Subject {
            requester: self.requester.clone(),
            department: self.department.clone(),
            roles: self.roles.clone().unwrap_or_else(|| self.requester.roles.clone()),
            operator: None,
            operator_roles: self.given.operator_roles.clone(),
            operator_clearance: self.given.operator_clearance.unwrap_or(0),
            credential: Credential { kind: CredentialKind::Jwt, issuer: None, kid: None, fingerprint: [0; 32] },
            bound: self.given.bound.unwrap_or(false),
            scope: self.scope.clone(),
        }
    }

    /// What would be asked for.
    fn target(&self) -> Target {
        Target { resource: self.resource.clone(), operation: self.operation.clone(), parameters: Vec::new() }
    }

    /// Under which circumstances.
    fn circumstances(&self, world: World<'_>, scenario: &Scenario) -> Circumstances {
        let local = self.time.to_zoned_datetime(world.parties.time_zone.clone());
        let calendar = world.purposes.calendar.as_ref();
        let given = &self.given;
        let work_time = given.work_time.unwrap_or_else(|| calendar.is_some_and(|calendar| calendar.work_time(&local)));
        let ordered = || scenario.emergency.as_ref().is_some_and(|order| order.in_force(self.time));
        Circumstances {
            time: self.time,
            source: given.source.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            network: given.network.clone().unwrap_or_else(|| "other".into()),
            work_time,
            work_period_ends: None,
            emergency: given.emergency.unwrap_or_else(ordered),
        }
    }

    /// Binds the call, as far as it gets.
    pub(super) fn make(&self, world: World<'_>) -> Result<Made, Refused> {
        if self.requester.suspended {
            return Err(Refused::Suspended);
        }
        let (subject, target) = (self.subject(), self.target());
        let stated = self.stated.as_ref().map_err(|error| Refused::Malformed(*error))?;
        let World { parties, catalogue, purposes } = world;
        let bound = bind(Registered { parties, catalogue, purposes }, &subject, &target, stated.as_ref(), self.time);
        let bound = bound.map_err(Refused::NotBound)?;
        let circumstances = self.circumstances(world, &bound.scenario);
        Ok(Made { subject, target, bound, circumstances })
    }
}

impl Policies {
    /// Binds and decides a supposed call.
    pub fn suppose(&self, supposed: &Supposed, world: World<'_>) -> Result<(Bound, Arc<Decision>), Refused> {
        let Made { subject, target, bound, circumstances } = supposed.make(world)?;
        match self.decide(&subject, &target, &bound, &circumstances) {
            Ok(permit) => Ok((bound, permit.into_decision())),
            Err(denial) => Err(Refused::Denied(bound, denial)),
        }
    }

    /// The same without the cache, for a requester or grant that is not registered as it is supposed.
    pub fn suppose_anew(&self, supposed: &Supposed, world: World<'_>) -> Result<(Bound, Arc<Decision>), Refused> {
        let made = supposed.make(world)?;
        let (_, outcome) = decide::decide_cold(self, &made.call());
        match outcome {
            Ok(decision) => Ok((made.bound, decision)),
            Err(denial) => Err(Refused::Denied(made.bound, (*denial).clone())),
        }
    }
}

/// A supposed call that was bound.
pub(super) struct Made {
    subject: Subject,
    target: Target,
    pub(super) bound: Bound,
    pub(super) circumstances: Circumstances,
}

impl Made {
    /// The call as policies see it.
    pub(super) fn call(&self) -> Call<'_> {
        let Self { subject, target, bound, circumstances } = self;
        let (scenario, grant) = (&*bound.scenario, bound.grant.as_deref());
        Call { subject, target, scenario, grant, has_case: bound.case.is_some(), circumstances }
    }
}
