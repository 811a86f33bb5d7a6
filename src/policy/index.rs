//! Which policies a request can satisfy by their scope alone. A policy whose scope does not match can neither be
//! satisfied nor err (cedar-spec, `Cedar/Thm/PolicySlice.lean`), so evaluating only the others gives the same decision,
//! reasons and errors. Conditions are never indexed.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{ActionConstraint, Entities, EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint, Schema};
use moka::sync::Cache;

use super::entities::Lineage;
use super::reads::Reads;

/// Distinct sets of policies kept ready; there are about as many as there are policies.
const SLICES: u64 = 20_000;

/// What is filed under entities, and what applies whatever they are.
#[derive(Debug, Default)]
struct Filed<T> {
    any: T,
    under: HashMap<EntityUid, T>,
}

impl<T: Default> Filed<T> {
    fn at(&mut self, key: Option<EntityUid>) -> &mut T {
        match key {
            Some(uid) => self.under.entry(uid).or_default(),
            None => &mut self.any,
        }
    }

    fn matching(&self, lineage: &Lineage) -> impl Iterator<Item = &T> {
        let names = std::iter::once(&lineage.uid).chain(&lineage.ancestors);
        let filed = (!self.under.is_empty()).then(|| names.filter_map(|uid| self.under.get(uid)));
        std::iter::once(&self.any).chain(filed.into_iter().flatten())
    }
}

/// By principal, then by resource: numbers of policies.
type ByScope = Filed<Filed<Vec<u32>>>;

/// Policies that one request can satisfy, ready for Cedar's authorizer.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) policies: PolicySet,
    /// The entities that they name.
    pub(super) named: Vec<EntityUid>,
    /// The circumstances that they read.
    pub(super) reads: Reads,
}

/// What a policy names and reads, found at load: its syntax is read anew for it, which costs as much as a decision.
#[derive(Debug)]
pub(super) struct Facts {
    /// Sorted.
    pub(super) named: Box<[EntityUid]>,
    reads: Reads,
}

impl Facts {
    pub(super) fn of(policy: &Policy) -> Result<Self, String> {
        let tree = policy.to_json().map_err(|error| error.to_string())?;
        let mut named = policy.entity_literals();
        named.sort_unstable();
        named.dedup();
        Ok(Self { named: named.into(), reads: Reads::of(&tree) })
    }
}

/// All policies, filed by their scope.
#[derive(Debug)]
pub(super) struct Index {
    policies: Vec<Policy>,
    facts: Vec<Arc<Facts>>,
    by_action: HashMap<EntityUid, ByScope>,
    slices: Cache<Box<[u32]>, Arc<Slice>>,
}

impl Index {
    /// As [`Index::new`], for a few policies that were not read from files.
    pub(super) fn of(policies: Vec<Policy>, schema: &Schema) -> Result<Self, String> {
        let facts = policies.iter().map(|policy| Facts::of(policy).map(Arc::new)).collect::<Result<_, _>>()?;
        Self::new(policies, facts, schema)
    }

    /// Files every policy under each action of the schema that its scope admits. The facts are those of the policies.
    pub(super) fn new(policies: Vec<Policy>, facts: Vec<Arc<Facts>>, schema: &Schema) -> Result<Self, String> {
        let hierarchy = schema.action_entities().map_err(|error| error.to_string())?;
        let mut by_action: HashMap<EntityUid, ByScope> = HashMap::new();
        for (number, policy) in (0..).zip(&policies) {
            let (constraint, principal, resource) = (policy.action_constraint(), principal_key(policy), resource_key(policy));
            for action in schema.actions().filter(|action| admits(&constraint, action, &hierarchy)) {
                let filed = by_action.entry(action.clone()).or_default();
                filed.at(principal.clone()).at(resource.clone()).push(number);
            }
        }
        let slices = Cache::builder().max_capacity(SLICES).build();
        Ok(Self { policies, facts, by_action, slices })
    }

    /// All of them, in the order in which they were read.
    pub(super) fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// The policies whose scope can match this request.
    pub(super) fn slice(&self, action: &EntityUid, principal: &Lineage, resource: &Lineage) -> Result<Arc<Slice>, String> {
        let by_scope = self.by_action.get(action).into_iter().flat_map(|filed| filed.matching(principal));
        let mut numbers: Vec<u32> = by_scope.flat_map(|filed| filed.matching(resource)).flatten().copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        if let Some(slice) = self.slices.get(numbers.as_slice()) {
            return Ok(slice);
        }
        let slice = Arc::new(self.cut(&numbers)?);
        self.slices.insert(numbers.into_boxed_slice(), slice.clone());
        Ok(slice)
    }

    fn cut(&self, numbers: &[u32]) -> Result<Slice, String> {
        let mut policies = PolicySet::new();
        let mut reads = Reads::default();
        let mut named: Vec<EntityUid> = Vec::new();
        for &number in numbers {
            let (policy, facts) = self.at(number)?;
            policies.add(policy.clone()).map_err(|error| error.to_string())?;
            reads.merge(&facts.reads);
            named.extend(facts.named.iter().cloned());
        }
        named.sort_unstable();
        named.dedup();
        Ok(Slice { policies, named, reads })
    }

    fn at(&self, number: u32) -> Result<(&Policy, &Facts), String> {
        let found = self.policies.get(number as usize).zip(self.facts.get(number as usize));
        found.map(|(policy, facts)| (policy, &**facts)).ok_or_else(|| format!("there is no policy of number {number}"))
    }
}

/// Whether a policy's scope lets this action through.
pub(super) fn admits(constraint: &ActionConstraint, action: &EntityUid, hierarchy: &Entities) -> bool {
    match constraint {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(one) => one == action,
        ActionConstraint::In(groups) => groups.iter().any(|group| group == action || hierarchy.is_ancestor_of(group, action)),
    }
}

fn principal_key(policy: &Policy) -> Option<EntityUid> {
    match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) | PrincipalConstraint::IsIn(_, uid) => Some(uid),
    }
}

fn resource_key(policy: &Policy) -> Option<EntityUid> {
    match policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) | ResourceConstraint::IsIn(_, uid) => Some(uid),
    }
}
