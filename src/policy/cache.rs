//! Decisions kept under one snapshot. A decision holds for its scope (subject, target, bound scenario and grant) and
//! exactly those circumstances that the policies under that scope read; `time` by the interval between the constants
//! that it is compared with. Where a policy uses time in any other way, nothing is kept.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use moka::sync::Cache;

use super::decide::{Call, Decision, Denial};
use super::reads::Reads;

/// Scopes whose circumstances are known.
const SCOPES: u64 = 8192;
/// Decisions kept; a decision with ten items takes some two kilobytes.
const OUTCOMES: u64 = 4096;

/// A decision or its refusal, shared.
pub(super) type Outcome = Result<Arc<Decision>, Arc<Denial>>;

/// What fixes the policies that are asked and the entities that they see.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    requester: Arc<str>,
    department: Arc<str>,
    roles: BTreeSet<Arc<str>>,
    resource: Arc<str>,
    operation: Option<usize>,
    scenario: Arc<str>,
    grant: Option<Arc<str>>,
}

impl Scope {
    /// The scope of a call.
    pub(super) fn of(call: &Call<'_>) -> Self {
        let target = call.target;
        Self {
            requester: call.subject.requester.id.clone(),
            department: call.subject.department.id.clone(),
            roles: call.subject.roles.clone(),
            resource: target.resource.id.clone(),
            operation: target.resource.operations.iter().position(|operation| Arc::ptr_eq(operation, &target.operation)),
            scenario: call.scenario.id.clone(),
            grant: call.grant.map(|grant| grant.id.clone()),
        }
    }
}

/// The circumstances of a call, as far as its policies read them.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    has_case: Option<bool>,
    emergency: Option<bool>,
    work_time: Option<bool>,
    network: Option<Arc<str>>,
    bound: Option<bool>,
    operator_roles: Option<BTreeSet<Arc<str>>>,
    operator_clearance: Option<i64>,
    source: Option<IpAddr>,
    slot: usize,
}

impl Seen {
    /// None: the decision holds for this call alone.
    pub(super) fn of(call: &Call<'_>, reads: &Reads) -> Option<Self> {
        let Call { subject, circumstances, .. } = call;
        (!reads.unbounded).then(|| Self {
            has_case: reads.has_case.then_some(call.has_case),
            emergency: reads.emergency.then_some(circumstances.emergency),
            work_time: reads.work_time.then_some(circumstances.work_time),
            network: reads.network.then(|| circumstances.network.clone()),
            bound: reads.bound.then_some(subject.bound),
            operator_roles: reads.operator_roles.then(|| subject.operator_roles.clone()),
            operator_clearance: reads.operator_clearance.then_some(subject.operator_clearance),
            source: reads.source.then_some(circumstances.source),
            slot: reads.slot(circumstances.time),
        })
    }
}

/// Both steps of a look-up: what matters for this scope, then what was decided for it.
#[derive(Debug)]
pub(super) struct Decisions {
    scopes: Cache<Arc<Scope>, Arc<Reads>>,
    outcomes: Cache<(Arc<Scope>, Seen), Outcome>,
}

impl Decisions {
    /// Nothing decided yet.
    pub(super) fn new() -> Self {
        Self { scopes: Cache::builder().max_capacity(SCOPES).build(), outcomes: Cache::builder().max_capacity(OUTCOMES).build() }
    }

    /// Which circumstances matter for this scope, where that is known.
    pub(super) fn reads(&self, scope: &Arc<Scope>) -> Option<Arc<Reads>> {
        self.scopes.get(scope)
    }

    /// What was decided.
    pub(super) fn outcome(&self, scope: &Arc<Scope>, seen: Seen) -> Option<Outcome> {
        self.outcomes.get(&(scope.clone(), seen))
    }

    /// Keeps a decision for all calls that its policies cannot tell from this one.
    pub(super) fn keep(&self, scope: Arc<Scope>, call: &Call<'_>, reads: Reads, outcome: &Outcome) {
        // An operation that is not the catalogue's own has no place of its own in the scope.
        if scope.operation.is_none() {
            return;
        }
        let seen = Seen::of(call, &reads);
        self.scopes.insert(scope.clone(), Arc::new(reads));
        if let Some(seen) = seen {
            self.outcomes.insert((scope, seen), outcome.clone());
        }
    }
}
