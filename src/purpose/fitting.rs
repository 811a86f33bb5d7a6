//! What a caller could ask for, as far as binding goes: each operation with the scenarios that it would pass. Found from
//! the scenarios that are open to the caller, so that what lies outside them costs nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use super::bind::{Call, Registered};
use super::held::Choice;
use super::{Grant, ResourcePattern, Scenario, ScenarioStatus};
use crate::catalogue::route::Target;
use crate::catalogue::{Catalogue, Resource, Sharing};
use crate::identity::Subject;

/// An operation that binding would let pass. Proves nothing: no call was made.
#[derive(Debug)]
pub struct Fitting {
    /// What could be asked for.
    pub target: Target,
    /// In which scenarios, sorted by id, each with the grant that would be bound. Never empty.
    pub purposes: Vec<(Arc<Scenario>, Option<Arc<Grant>>)>,
}

/// The operations for which this caller would pass at least one scenario, sorted by resource and as written within it.
pub fn fitting(world: Registered<'_>, subject: &Subject, now: Timestamp) -> Vec<Fitting> {
    let today = now.to_zoned_datetime(world.parties.time_zone.clone()).date();
    let mut scenarios: Vec<_> = world.purposes.scenarios.values().filter(|scenario| is_open(scenario, subject, today)).collect();
    scenarios.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let providers = providers(world.catalogue, &scenarios);
    let mut found: BTreeMap<(&str, usize), Fitting> = BTreeMap::new();
    for scenario in scenarios {
        let takes_part = scenario.takes_part(&subject.department.id);
        for resource in covered(world.catalogue, &providers, scenario).into_values() {
            // Participation is no condition of unconditional resources; of all others it is, and few take part.
            if !takes_part && resource.sharing != Sharing::Unconditional {
                continue;
            }
            for (at, operation) in resource.operations.iter().enumerate() {
                let target = Target { resource: resource.clone(), operation: operation.clone(), parameters: Vec::new() };
                let call = Call { purposes: world.purposes, subject, target: &target, today };
                let grant = match call.is_shared().ok().and_then(|()| call.passes(scenario)) {
                    Some(Choice::Bound(grant)) => Some(grant.clone()),
                    Some(Choice::None) => None,
                    Some(Choice::Refused(..)) | None => continue,
                };
                let fitting = found.entry((&*resource.id, at)).or_insert_with(|| Fitting { target, purposes: Vec::new() });
                fitting.purposes.push((scenario.clone(), grant));
            }
        }
    }
    found.into_values().collect()
}

/// Whether the scenario could let any call of this caller pass: what each call of it is asked anyway, without the call.
fn is_open(scenario: &Scenario, subject: &Subject, today: Date) -> bool {
    let within_token = subject.scope.as_ref().is_none_or(|scope| scope.scenarios.contains(&scenario.id));
    within_token && scenario.status == ScenarioStatus::Approved && scenario.valid_from <= today && today <= scenario.valid_until
}

type Providers<'c> = HashMap<&'c str, Vec<&'c Arc<Resource>>>;

/// The resources of each provider that a scenario names as a whole.
fn providers<'c>(catalogue: &'c Catalogue, scenarios: &[&'c Arc<Scenario>]) -> Providers<'c> {
    let whole = scenarios.iter().flat_map(|scenario| &scenario.resources).filter_map(|pattern| match pattern {
        ResourcePattern::Provider(provider) => Some((&**provider, Vec::new())),
        ResourcePattern::One(_) => None,
    });
    let mut providers: Providers<'c> = whole.collect();
    if !providers.is_empty() {
        for resource in catalogue.resources.values() {
            providers.entry(&resource.provider).and_modify(|resources| resources.push(resource));
        }
    }
    providers
}

/// What a scenario covers, each once however many of its patterns do.
fn covered<'c>(catalogue: &'c Catalogue, providers: &Providers<'c>, scenario: &Scenario) -> BTreeMap<&'c str, &'c Arc<Resource>> {
    let mut covered = BTreeMap::new();
    for pattern in &scenario.resources {
        let resources = match pattern {
            ResourcePattern::One(id) => catalogue.resources.get(id).map(std::slice::from_ref).map(|one| one.iter().collect()),
            ResourcePattern::Provider(provider) => providers.get(&**provider).cloned(),
        };
        covered.extend(resources.into_iter().flat_map(|all: Vec<_>| all).map(|resource| (&*resource.id, resource)));
    }
    covered
}
