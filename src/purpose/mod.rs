//! What for: registered scenarios (使用场景), the standing grants (授权) under them, the work calendar, and the binding of
//! a call to exactly one of each before any policy is asked.

pub mod bind;
pub mod calendar;
pub mod fitting;
mod held;
mod load;
pub mod probes;
pub mod quota;
pub mod stated;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

pub use load::Texts;

use crate::catalogue::Kind;
use crate::disclosure::FormSet;
use crate::lang::Text;
use crate::written::Place;
use crate::written::units::Rate;

/// Whether a scenario's calls must carry a case (业务编号).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseRule {
    /// It may be stated.
    Optional,
    /// It must be stated.
    Required,
}

/// A registered scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its id.
    pub id: Arc<str>,
    /// Its name.
    pub name: Text,
    /// The stated purpose (使用用途).
    pub purpose: String,
    /// Leading department.
    pub lead: Arc<str>,
    /// Taking part; like the lead, demanders.
    pub participants: BTreeSet<Arc<str>>,
    /// Resources it covers.
    pub resources: Vec<ResourcePattern>,
    /// Kinds of operation it covers.
    pub kinds: BTreeSet<Kind>,
    /// Legal basis (使用依据).
    pub legal_basis: String,
    /// Matter codes (事项编码).
    pub matter_codes: Vec<String>,
    /// Whether a case is needed.
    pub case: CaseRule,
    /// The highest grade it may reach.
    pub max_grade: i64,
    /// First day.
    pub valid_from: Date,
    /// Last day.
    pub valid_until: Date,
    /// State.
    pub status: ScenarioStatus,
    /// Emergency order, where one was given.
    pub emergency: Option<Emergency>,
    /// Where it is written.
    pub place: Place,
}

/// State of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScenarioStatus {
    /// In use.
    Approved,
    /// Stopped for now.
    Suspended,
    /// Over.
    Ended,
}

/// An emergency order; only sets `context.emergency`.
#[derive(Clone, Debug)]
pub struct Emergency {
    /// The order's number.
    pub order: String,
    /// From this moment.
    pub from: Timestamp,
    /// Until this moment, exclusive.
    pub until: Timestamp,
}

/// `psb.population`, or `psb.*` for all of a provider's resources.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourcePattern {
    /// One resource.
    One(Arc<str>),
    /// Every resource of this provider.
    Provider(Arc<str>),
}

impl ResourcePattern {
    /// Whether it covers the resource `id`, provided by `provider`.
    pub fn covers(&self, id: &str, provider: &str) -> bool {
        match self {
            Self::One(one) => &**one == id,
            Self::Provider(all) => &**all == provider,
        }
    }
}

/// Who holds a grant. At least one is set; both: that requester, also for the other department.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// A requester.
    pub requester: Option<Arc<str>>,
    /// A department.
    pub department: Option<Arc<str>>,
}

/// State of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantStatus {
    /// In force within its days.
    Active,
    /// Stopped for now: takes part in the choice and refuses.
    Suspended,
    /// Ended for good.
    Terminated,
}

/// What a grant's holder may use at the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Calls within a time.
    pub rate: Option<Rate>,
    /// Calls within a day of the control folder's time zone.
    pub calls_per_day: Option<u64>,
    /// Records shown within such a day.
    pub records_per_day: Option<u64>,
    /// Records in one answer.
    pub records_per_call: Option<u64>,
}

/// Item ids and the forms approved for each; grants that approve alike share one.
pub type Items = BTreeMap<Arc<str>, FormSet>;

/// One side's approval (order 809, article 20: the head of the sharing office on each side).
#[derive(Clone, Debug)]
pub struct Approval {
    /// Demander or provider.
    pub side: Side,
    /// Who approved.
    pub name: Arc<str>,
    /// In which post.
    pub post: Arc<str>,
    /// On which day.
    pub date: Date,
    /// By which document.
    pub document: Arc<str>,
}

/// The two sides of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// 需求部门.
    Demander,
    /// 提供部门.
    Provider,
}

/// A standing permission (授权): data, not policy.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its id.
    pub id: Arc<str>,
    /// Who holds it.
    pub holder: Holder,
    /// For which resources.
    pub resource: ResourcePattern,
    /// In which scenario.
    pub scenario: Arc<str>,
    /// For which kinds of operation.
    pub kinds: BTreeSet<Kind>,
    /// Item ids (`psb.population#name`) and the forms approved for each.
    pub items: Arc<Items>,
    /// Region codes; empty: all.
    pub regions: Vec<Arc<str>>,
    /// Its quota.
    pub quota: Quota,
    /// The application's number.
    pub application: Arc<str>,
    /// Legal basis.
    pub legal_basis: Arc<str>,
    /// Sharing mode, as approved.
    pub mode: crate::catalogue::Mode,
    /// First day.
    pub valid_from: Date,
    /// Last day.
    pub valid_until: Date,
    /// State.
    pub status: GrantStatus,
    /// Both sides' approvals.
    pub approvals: Vec<Approval>,
    /// Where it is written.
    pub place: Place,
}

impl Quota {
    /// Records that one answer may hold.
    pub fn records(&self) -> Option<u64> {
        self.records_per_call.or(self.records_per_day)
    }
}

impl Scenario {
    /// Whether a department is among its demanders: exactly, not one beneath another.
    pub fn takes_part(&self, department: &Arc<str>) -> bool {
        self.lead == *department || self.participants.contains(department)
    }

    /// Whether its emergency order is in force.
    pub fn emergency(&self, now: Timestamp) -> bool {
        self.emergency.as_ref().is_some_and(|order| order.in_force(now))
    }
}

impl Emergency {
    /// Whether the order is in force.
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

impl Grant {
    /// The forms approved for an item; none: the item is omitted.
    pub fn forms(&self, resource: &str, item: &str) -> Option<FormSet> {
        self.items.get(format!("{resource}#{item}").as_str()).copied()
    }
}

/// All scenarios and grants of one control snapshot, and the calendar.
#[derive(Debug)]
pub struct Purposes {
    /// By id.
    pub scenarios: HashMap<Arc<str>, Arc<Scenario>>,
    /// By id.
    pub grants: HashMap<Arc<str>, Arc<Grant>>,
    /// When offices work.
    pub calendar: Option<calendar::Calendar>,
    held: held::Held,
    files: load::Files,
}

impl Purposes {
    /// Gathers what was read and finds each grant's place by holder, scenario and resource.
    pub fn new(
        scenarios: HashMap<Arc<str>, Arc<Scenario>>,
        grants: HashMap<Arc<str>, Arc<Grant>>,
        calendar: Option<calendar::Calendar>,
    ) -> Self {
        let held = held::Held::of(grants.values());
        Self { scenarios, grants, calendar, held, files: load::Files::default() }
    }
}
