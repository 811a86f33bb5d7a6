//! What may be shared: the policy decision point. Cedar decides; this module gives it typed entities, asks only the
//! policies whose scope can match, and turns its answers into a [`Permit`] with a disclosure plan or a [`Denial`].
//!
//! - `load` reads schema, policies and invariants (`files`), and refuses what could silently never apply; `conform` holds the
//!   schema against the gateway's fixed model;
//! - `entities` turns the control folder into Cedar entities, once per snapshot, and `context` a call's circumstances;
//! - `index` finds the policies that a request can satisfy by their scope alone;
//! - `decide` asks for the share, then for each item from the widest form to the narrowest;
//! - `cache` keeps decisions under exactly those circumstances that `reads` finds in the policies;
//! - `rows` asks whether an answer may hold a region's records;
//! - `explain` tells officers why a call comes out as it does, and what would change that;
//! - `supposed` binds and decides calls that nobody makes; `suite` runs the officers' test cases on them;
//! - `prove` holds the policies against the invariants over all requests that the schema admits, by a solver, and
//!   `reach` looks for a call of the control folder itself that shows the same; `diff` compares two versions alike;
//! - `format` lays out Cedar files alike.

mod cache;
mod conform;
mod context;
pub mod decide;
pub mod diff;
mod entities;
pub mod explain;
mod files;
pub mod format;
mod index;
mod load;
pub mod prove;
pub mod reach;
mod reads;
pub mod rows;
pub mod suite;
pub mod supposed;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use cedar_policy::{Authorizer, Policy, PolicyId, Schema};
use jiff::Timestamp;

use cache::Decisions;
use context::Unread;
use decide::Call;
pub use decide::{Decision, Denial, Permit};
use entities::Registered;
use files::Files;
use index::Index;
use suite::Case;

use crate::catalogue::Catalogue;
use crate::catalogue::route::Target;
use crate::identity::Subject;
use crate::identity::parties::Parties;
use crate::purpose::bind::Bound;
use crate::purpose::{CaseRule, Grant, Purposes, Scenario};
use crate::written::{Place, Problems};

/// The texts that policies are loaded from, each with its path relative to the control folder.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `schema.cedarschema`.
    pub schema: (String, String),
    /// `*.cedar`.
    pub policies: Vec<(String, String)>,
    /// `invariants/*.cedar`.
    pub invariants: Vec<(String, String)>,
    /// `tests/*.toml`.
    pub suites: Vec<(String, String)>,
}

/// What policies speak about: the rest of the control folder.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// Who asks.
    pub parties: &'a Parties,
    /// What for data.
    pub catalogue: &'a Catalogue,
    /// What for.
    pub purposes: &'a Purposes,
}

/// What a decision depends on beside subject, target and purpose; the rest of Cedar's context (`has_case`, `bound`,
/// `operator_roles`, `operator_clearance`) comes from the call's `Bound` and `Subject`.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// When the call is decided.
    pub time: Timestamp,
    /// Where it comes from.
    pub source: IpAddr,
    /// The configured name of that network; `other` where none has it.
    pub network: Arc<str>,
    /// Whether offices work now.
    pub work_time: bool,
    /// When that changes to false, where it is true.
    pub work_period_ends: Option<Timestamp>,
    /// Whether the bound scenario's emergency order is in force.
    pub emergency: bool,
}

/// All policies of one control snapshot, ready to decide.
#[derive(Debug)]
pub struct Policies {
    rules: Arc<Rules>,
    registered: Arc<Registered>,
    authorizer: Authorizer,
    unread: Unread,
    cache: Decisions,
    cases: Vec<Case>,
}

/// What the Cedar files say. A snapshot whose files are those of the one before has the same, and its index stays warm.
#[derive(Debug)]
struct Rules {
    schema_text: String,
    schema: Schema,
    index: Index,
    known: HashMap<PolicyId, Known>,
    invariants: Vec<Invariant>,
    /// Policies, then invariants.
    files: [Files; 2],
}

/// The snapshot before, for what did not change since.
#[derive(Clone, Copy, Debug)]
pub struct Former<'f> {
    /// Its policies.
    pub policies: &'f Policies,
    /// Whether parties, catalogue and scenarios are still as they were.
    pub registers: bool,
}

/// What is told of a policy that determined a decision.
#[derive(Debug)]
struct Known {
    id: Arc<str>,
    flag: Option<Arc<str>>,
    place: Place,
    /// `@condition`: the published condition that it carries out.
    condition: Option<Arc<str>>,
}

/// What may never be allowed; never asked in a decision.
#[derive(Debug)]
struct Invariant {
    id: Arc<str>,
    policy: Policy,
    place: Place,
}

impl Policies {
    /// Reads schema, policies, invariants and test cases. Everything wrong goes to `problems`, each with its place.
    /// What is as it was in the snapshot before is taken from there.
    pub fn load(sources: &Sources, world: World<'_>, former: Option<Former<'_>>, problems: &Problems) -> Option<Self> {
        load::load(sources, world, former, problems)
    }

    /// Step 5 of the line: may this call be made, and what does its answer show? Any evaluation error denies.
    pub fn decide(&self, subject: &Subject, target: &Target, bound: &Bound, circumstances: &Circumstances) -> Result<Permit, Denial> {
        let (scenario, grant) = (&*bound.scenario, bound.grant.as_deref());
        decide::decide(self, &Call { subject, target, scenario, grant, has_case: bound.case.is_some(), circumstances })
    }

    /// The least that a call which nobody made would have to bring to be let pass, beside the circumstances it is in: no
    /// case, or one; none where the policies would not let it pass at all. A call that holds a case is asked with it.
    pub fn case_needed(
        &self,
        subject: &Subject,
        target: &Target,
        (scenario, grant): (&Scenario, Option<&Grant>),
        holds_case: bool,
        circumstances: &Circumstances,
    ) -> Option<CaseRule> {
        let passes = |has_case| decide::passes(self, &Call { subject, target, scenario, grant, has_case, circumstances });
        let optional = holds_case || scenario.case == CaseRule::Optional;
        if optional && passes(holds_case) {
            return Some(CaseRule::Optional);
        }
        (!holds_case && passes(true)).then_some(CaseRule::Required)
    }

    /// The officers' test cases.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }
}

#[cfg(test)]
mod tests;
