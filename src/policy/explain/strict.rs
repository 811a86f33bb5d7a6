//! Where policies show less than an approved grant lists: conditions that somebody added. Order 809, article 15 lets
//! nobody add conditions of his own to what the catalogue publishes, and none at all to unconditional resources. Found by
//! deciding every holder's calls under every combination of circumstances that the policies read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::flips::Alternatives;
use super::survey::{Settings, Surveyor, sorted};
use crate::catalogue::{Operation, Resource};
use crate::identity::parties::{Department, Requester};
use crate::policy::decide::Judge;
use crate::policy::supposed::Refused;
use crate::policy::{Policies, World};
use crate::purpose::Scenario;

/// A policy that shows less than grants list for a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stricter {
    /// The resource.
    pub resource: Arc<str>,
    /// What refuses.
    pub ground: Ground,
    /// Whether the whole call is refused in some circumstances.
    pub refuses: bool,
    /// Items that are shown in a narrower form than the grant lists.
    pub items: BTreeSet<Arc<str>>,
    /// A grant that is cut short.
    pub grant: Arc<str>,
    /// Which published condition it carries out, as its `@condition` says; none: it quotes none that is published.
    pub published: Option<String>,
}

/// What refuses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ground {
    /// This forbid.
    Policy(Arc<str>),
    /// Nothing permits it; the permits' own conditions are what is stricter.
    NoPermit,
}

impl Stricter {
    /// Whether it may stand: what it demands is a published condition. Unconditional resources have none.
    pub fn is_published(&self) -> bool {
        self.published.is_some()
    }
}

impl Policies {
    /// Everything that shows less than grants list, at `time`.
    pub fn strict(&self, world: World<'_>, time: Timestamp, alternatives: &Alternatives) -> Vec<Stricter> {
        let surveyor = Surveyor { policies: self, world, time, alternatives, item: None };
        let mut found: BTreeMap<(Arc<str>, Ground), Stricter> = BTreeMap::new();
        let (scenarios, resources) = (sorted(world.purposes.scenarios.iter()), sorted(world.catalogue.resources.iter()));
        for requester in sorted(world.parties.requesters.iter()) {
            let requester = &requester.value;
            for department in std::iter::once(&requester.department).chain(&requester.serves) {
                for (resource, scenario) in
                    resources.iter().flat_map(|resource| scenarios.iter().map(move |scenario| (*resource, *scenario)))
                {
                    for operation in &resource.operations {
                        self.hold((requester, department), scenario, (resource, operation), &surveyor, &mut found);
                    }
                }
            }
        }
        found.into_values().collect()
    }

    /// One way to ask, in every setting, held against what its grant lists.
    fn hold(
        &self,
        who: (&Arc<Requester>, &Arc<Department>),
        scenario: &Scenario,
        what: (&Arc<Resource>, &Arc<Operation>),
        surveyor: &Surveyor<'_>,
        found: &mut BTreeMap<(Arc<str>, Ground), Stricter>,
    ) {
        let call = surveyor.asking(who, scenario, what);
        let Some(Settings { furthest, all, .. }) = surveyor.settings(&call, scenario) else { return };
        let Some(grant) = furthest.bound.grant.clone() else { return };
        let asked = furthest.call();
        let Ok(judge) = Judge::new(self, &asked) else { return };
        let widest = judge.candidates.iter().filter_map(|candidate| Some((candidate.item.name.clone(), candidate.forms.first()?.0)));
        let widest: BTreeMap<_, _> = widest.collect();
        let mut note = |ground: Ground, item: Option<&Arc<str>>| {
            let resource = what.0;
            let stricter = found.entry((resource.id.clone(), ground.clone())).or_insert_with(|| Stricter {
                resource: resource.id.clone(),
                refuses: false,
                items: BTreeSet::new(),
                grant: grant.id.clone(),
                published: self.published(&ground, resource),
                ground,
            });
            stricter.refuses |= item.is_none();
            stricter.items.extend(item.cloned());
        };
        for (setting, _) in all {
            match self.suppose_anew(&call(&setting), surveyor.world) {
                Ok((_, decision)) => {
                    for item in
                        decision.plan.items.iter().filter(|item| widest.get(&item.name).is_some_and(|form| item.form != Some(*form)))
                    {
                        note(item.narrowed_by.clone().map_or(Ground::NoPermit, Ground::Policy), Some(&item.name));
                    }
                }
                Err(Refused::Denied(_, denial)) if denial.policies.is_empty() => note(Ground::NoPermit, None),
                Err(Refused::Denied(_, denial)) => denial.policies.into_iter().for_each(|id| note(Ground::Policy(id), None)),
                // That the scenario demands a case is registered with it, and no policy's doing.
                Err(_) => {}
            }
        }
    }

    /// The resource's published condition that the policy quotes in `@condition`; several are parted by `;`.
    fn published(&self, ground: &Ground, resource: &Resource) -> Option<String> {
        let Ground::Policy(id) = ground else { return None };
        let known = self.rules.known.values().find(|known| known.id == *id)?;
        let quoted = known.condition.as_deref()?.split(';').map(str::trim);
        quoted.filter_map(|quoted| resource.conditions.iter().find(|published| *published == quoted)).next().cloned()
    }
}
