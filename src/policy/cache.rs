//! Decisions kept under one snapshot. A decision holds for its scope (subject, target, bound scenario and grant) and
//! exactly those circumstances that the policies under that scope read; `time` by the interval between the constants
//! that it is compared with. Where a policy uses time in any other way, nothing is kept. A kept decision costs one
//! look-up, and holds its whole plan.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use moka::Equivalent;
use moka::sync::Cache;

use super::decide::{Call, Decision, Denial};
use super::reads::Reads;

/// Decisions kept; one with ten items takes some two kilobytes.
const OUTCOMES: u64 = 4096;
/// Decisions kept of one scope: a caller whose every call differs in what its policies read pushes out its own only.
const VARIANTS: usize = 16;

/// A decision or its refusal, shared.
pub(super) type Outcome = Result<Arc<Decision>, Arc<Denial>>;

/// What fixes the policies that are asked and the entities that they see.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Scope {
    requester: Arc<str>,
    department: Arc<str>,
    roles: BTreeSet<Arc<str>>,
    resource: Arc<str>,
    operation: usize,
    scenario: Arc<str>,
    grant: Option<Arc<str>>,
}

impl Scope {
    /// None: the operation is not the catalogue's own and has no place in it.
    fn of(call: &Call<'_>) -> Option<Self> {
        Some(Self {
            requester: call.subject.requester.id.clone(),
            department: call.subject.department.id.clone(),
            roles: call.subject.roles.clone(),
            resource: call.target.resource.id.clone(),
            operation: operation(call)?,
            scenario: call.scenario.id.clone(),
            grant: call.grant.map(|grant| grant.id.clone()),
        })
    }
}

fn operation(call: &Call<'_>) -> Option<usize> {
    call.target.resource.operations.iter().position(|operation| Arc::ptr_eq(operation, &call.target.operation))
}

/// A call as the key of its scope, so that a look-up copies nothing.
struct Sought<'c>(&'c Call<'c>, usize);

impl Hash for Sought<'_> {
    /// As [`Scope`] does, member by member.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self(call, operation) = self;
        call.subject.requester.id.hash(state);
        call.subject.department.id.hash(state);
        call.subject.roles.hash(state);
        call.target.resource.id.hash(state);
        operation.hash(state);
        call.scenario.id.hash(state);
        call.grant.map(|grant| &grant.id).hash(state);
    }
}

impl Equivalent<Scope> for Sought<'_> {
    fn equivalent(&self, scope: &Scope) -> bool {
        let Self(call, operation) = self;
        scope.requester == call.subject.requester.id
            && scope.department == call.subject.department.id
            && scope.roles == call.subject.roles
            && scope.resource == call.target.resource.id
            && scope.operation == *operation
            && scope.scenario == call.scenario.id
            && scope.grant.as_ref() == call.grant.map(|grant| &grant.id)
    }
}

/// The circumstances of a call, as far as its policies read them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
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
    fn of(call: &Call<'_>, reads: &Reads) -> Self {
        let Call { subject, circumstances, .. } = call;
        Self {
            has_case: reads.has_case.then_some(call.has_case),
            emergency: reads.emergency.then_some(circumstances.emergency),
            work_time: reads.work_time.then_some(circumstances.work_time),
            network: reads.network.then(|| circumstances.network.clone()),
            bound: reads.bound.then_some(subject.bound),
            operator_roles: reads.operator_roles.then(|| subject.operator_roles.clone()),
            operator_clearance: reads.operator_clearance.then_some(subject.operator_clearance),
            source: reads.source.then_some(circumstances.source),
            slot: reads.slot(circumstances.time),
        }
    }
}

/// What was decided in one scope, newest first, and which circumstances tell its calls apart.
#[derive(Debug)]
struct Kept {
    reads: Reads,
    outcomes: Vec<(Seen, Outcome)>,
}

/// All that was decided under one snapshot.
#[derive(Debug)]
pub(super) struct Decisions(Cache<Scope, Arc<Kept>>);

impl Decisions {
    /// Nothing decided yet.
    pub(super) fn new() -> Self {
        let weight = |_: &Scope, kept: &Arc<Kept>| u32::try_from(kept.outcomes.len()).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(OUTCOMES).weigher(weight).build())
    }

    /// What was decided for a call that its policies cannot tell from this one.
    pub(super) fn find(&self, call: &Call<'_>) -> Option<Outcome> {
        let kept = self.0.get(&Sought(call, operation(call)?))?;
        let seen = Seen::of(call, &kept.reads);
        kept.outcomes.iter().find(|(known, _)| *known == seen).map(|(_, outcome)| outcome.clone())
    }

    /// How many decisions are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.0.iter().map(|(_, kept)| kept.outcomes.len()).sum()
    }

    /// Keeps a decision for all calls that its policies cannot tell from this one.
    pub(super) fn keep(&self, call: &Call<'_>, reads: &Reads, outcome: &Outcome) {
        if reads.unbounded {
            return;
        }
        let Some(scope) = Scope::of(call) else { return };
        let seen = Seen::of(call, reads);
        let before = self.0.get(&scope);
        let others = before.iter().flat_map(|kept| &kept.outcomes).filter(|(known, _)| *known != seen).take(VARIANTS - 1);
        let mut outcomes = vec![(seen.clone(), outcome.clone())];
        outcomes.extend(others.cloned());
        self.0.insert(scope, Arc::new(Kept { reads: reads.clone(), outcomes }));
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;
    use crate::policy::tests::world::{Folder, plain};

    #[test]
    fn a_sought_call_hashes_as_its_scope_does() {
        let folder = Folder::shipped();
        let (mut subject, target, circumstances) = (folder.subject("housing-app", 0), folder.target("psb.population"), plain());
        subject.roles.extend(["auditor".into(), "officer".into()]);
        let hasher = RandomState::new();
        for grant in [None, Some("g-2026-0002")] {
            let call = folder.call((&subject, &target), ("housing", grant), false, &circumstances);
            let (scope, sought) = (Scope::of(&call).unwrap(), Sought(&call, 0));
            assert_eq!(hasher.hash_one(&scope), hasher.hash_one(&sought));
            assert!(sought.equivalent(&scope));
            assert!(!sought.equivalent(&Scope { operation: 1, ..Scope::of(&call).unwrap() }));
            assert!(!sought.equivalent(&Scope { grant: Some("g-2026-0007".into()), ..scope }));
        }
    }
}
