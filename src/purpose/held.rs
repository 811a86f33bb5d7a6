//! Grants by who holds them, in which scenario and for which resources: a call looks up four places, however many
//! grants there are, and at most one grant is chosen.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;

use super::{Grant, GrantStatus, ResourcePattern, Scenario};
use crate::catalogue::Kind;
use crate::catalogue::route::Target;
use crate::identity::Subject;

/// Who holds a grant, as far as finding it goes: a grant of both kinds is its requester's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Party {
    Requester(Arc<str>),
    Department(Arc<str>),
}

/// What may be held once only within any day and kind of operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    party: Party,
    scenario: Arc<str>,
    pattern: ResourcePattern,
}

impl Key {
    /// The grant's place; none where it has no holder.
    fn of(grant: &Grant) -> Option<Self> {
        let holder = &grant.holder;
        let requester = holder.requester.clone().map(Party::Requester);
        let party = requester.or_else(|| holder.department.clone().map(Party::Department))?;
        Some(Self { party, scenario: grant.scenario.clone(), pattern: grant.resource.clone() })
    }
}

/// All grants by their place.
#[derive(Debug, Default)]
pub(super) struct Held(HashMap<Key, Vec<Arc<Grant>>>);

/// What the grants say to a call.
#[derive(Debug)]
pub(super) enum Choice<'g> {
    /// There is none that could apply: the policies decide.
    None,
    /// This one is bound.
    Bound(&'g Arc<Grant>),
    /// This one applies and refuses.
    Refused(&'g Arc<Grant>, Refusal),
}

/// Why a grant refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Suspended,
    Terminated,
    OutOfDate,
}

impl Held {
    pub(super) fn of<'g>(grants: impl Iterator<Item = &'g Arc<Grant>>) -> Self {
        let mut held: HashMap<Key, Vec<Arc<Grant>>> = HashMap::new();
        for grant in grants {
            if let Some(key) = Key::of(grant) {
                // Hardly any place has two.
                held.entry(key).or_insert_with(|| Vec::with_capacity(1)).push(grant.clone());
            }
        }
        // The latest first: of several that have ended, it is the one to name.
        held.values_mut().for_each(|grants| grants.sort_by(|a, b| (b.valid_until, &b.id).cmp(&(a.valid_until, &a.id))));
        Self(held)
    }

    /// The grants of each place.
    pub(super) fn all(&self) -> impl Iterator<Item = &[Arc<Grant>]> {
        self.0.values().map(Vec::as_slice)
    }

    /// The requester's own before its department's, then the resource's before the provider's (DESIGN section 3). One
    /// that is suspended takes part and refuses; one that is over refuses where no other applies.
    pub(super) fn choose(&self, subject: &Subject, target: &Target, scenario: &Scenario, today: Date) -> Choice<'_> {
        let kind = target.operation.kind;
        let mut over = Choice::None;
        for grant in self.places(subject, target, scenario).filter(|grant| covers(grant, subject, kind)) {
            let refusal = match grant.status {
                GrantStatus::Terminated => Refusal::Terminated,
                _ if today < grant.valid_from || grant.valid_until < today => Refusal::OutOfDate,
                GrantStatus::Suspended => return Choice::Refused(grant, Refusal::Suspended),
                GrantStatus::Active => return Choice::Bound(grant),
            };
            if matches!(over, Choice::None) {
                over = Choice::Refused(grant, refusal);
            }
        }
        over
    }

    fn places<'h>(&'h self, subject: &Subject, target: &Target, scenario: &Scenario) -> impl Iterator<Item = &'h Arc<Grant>> + use<'h> {
        let parties = [Party::Requester(subject.requester.id.clone()), Party::Department(subject.department.id.clone())];
        let resource = &target.resource;
        let patterns = [ResourcePattern::One(resource.id.clone()), ResourcePattern::Provider(resource.provider.clone())];
        let scenario = scenario.id.clone();
        let keys = parties.into_iter().flat_map(move |party| {
            let scenario = scenario.clone();
            patterns.clone().into_iter().map(move |pattern| Key { party: party.clone(), scenario: scenario.clone(), pattern })
        });
        keys.flat_map(|key| self.0.get(&key).into_iter().flatten())
    }
}

/// A requester's grant covers calls for its own department, and for the other one that it names; a department's covers
/// every call for that department.
fn covers(grant: &Grant, subject: &Subject, kind: Kind) -> bool {
    let department = &subject.department.id;
    let holder = &grant.holder;
    let for_department =
        holder.requester.is_none() || *department == subject.requester.department.id || holder.department.as_ref() == Some(department);
    for_department && grant.kinds.contains(&kind)
}
