//! Who may get what: every requester, department, scenario and operation that the question leaves open is bound and
//! decided, under every combination of those circumstances that the asked policies read. What is told is the widest
//! form of each item that a caller can reach, and the least that it must bring for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::flips::Alternatives;
use super::literals::Literals;
use crate::catalogue::{Operation, Resource};
use crate::disclosure::Form;
use crate::identity::parties::{Department, Requester};
use crate::policy::decide::Judge;
use crate::policy::supposed::{Given, Made, Supposed, state};
use crate::policy::{Policies, World};
use crate::purpose::Scenario;

/// So many combinations of circumstances are tried for one way to ask.
const MOST: usize = 4096;

/// What is asked; what is absent is left open.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The calling system.
    pub requester: Option<Arc<str>>,
    /// The demanding department.
    pub department: Option<Arc<str>>,
    /// The scenario.
    pub scenario: Option<Arc<str>>,
    /// The resource.
    pub resource: Option<Arc<str>>,
    /// The item.
    pub item: Option<Arc<str>>,
}

/// One way to ask, and what it can get.
#[derive(Debug)]
pub struct Row {
    /// The calling system.
    pub requester: Arc<str>,
    /// The department that it calls for.
    pub department: Arc<str>,
    /// The scenario.
    pub scenario: Arc<str>,
    /// The resource.
    pub resource: Arc<str>,
    /// The operation's kind.
    pub kind: &'static str,
    /// The operation's path.
    pub path: String,
    /// The grant that it rests on.
    pub grant: Option<Arc<str>>,
    /// For each item that can be had the forms, from the widest to the first that needs nothing more.
    pub items: BTreeMap<Arc<str>, Vec<Way>>,
    /// Whether there were more combinations of circumstances than were tried.
    pub cut: bool,
}

/// A form of an item, and the least that a caller must bring for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The form.
    pub form: Form,
    /// Circumstances beside those of a plain call (no case, other network, outside working hours …), by name.
    pub needs: Needs,
}

/// Circumstances by name, with their values.
pub(super) type Needs = BTreeMap<&'static str, String>;

/// All rows, and how many ways to ask get nothing.
#[derive(Debug, Default)]
pub struct Survey {
    /// Those that get something.
    pub rows: Vec<Row>,
    /// How many were tried and get nothing.
    pub nothing: usize,
}

/// One circumstance that a combination sets: its name, how people read the value, and how it is set.
type Choice = (&'static str, String, Arc<dyn Fn(&mut Setting)>);

/// A combination under construction.
pub(super) struct Setting {
    pub(super) given: Given,
    pub(super) has_case: bool,
}

/// A call at its furthest, and all the settings that it can be made in.
pub(super) struct Settings {
    pub(super) furthest: Made,
    pub(super) all: Vec<(Setting, Needs)>,
    /// There were more than were tried.
    cut: bool,
}

impl Policies {
    /// Finds who may get what at `time`.
    pub fn survey(&self, asked: &Asked, world: World<'_>, time: Timestamp, alternatives: &Alternatives) -> Survey {
        let mut survey = Survey::default();
        let surveyor = Surveyor { policies: self, world, time, alternatives, item: asked.item.as_deref() };
        let fits = |wanted: &Option<Arc<str>>, id: &Arc<str>| wanted.as_ref().is_none_or(|wanted| wanted == id);
        let scenarios = sorted(world.purposes.scenarios.iter().filter(|(id, _)| fits(&asked.scenario, id)));
        let resources = sorted(world.catalogue.resources.iter().filter(|(id, _)| fits(&asked.resource, id)));
        for requester in sorted(world.parties.requesters.iter().filter(|(id, _)| fits(&asked.requester, id))) {
            let requester = &requester.value;
            let departments = std::iter::once(&requester.department).chain(&requester.serves);
            for department in departments.filter(|department| fits(&asked.department, &department.id)) {
                for (resource, scenario) in
                    resources.iter().flat_map(|resource| scenarios.iter().map(move |scenario| (*resource, *scenario)))
                {
                    for operation in &resource.operations {
                        match surveyor.row((requester, department), scenario, (resource, operation)) {
                            Some(row) => survey.rows.push(row),
                            None => survey.nothing += 1,
                        }
                    }
                }
            }
        }
        survey
    }
}

pub(super) fn sorted<'m, T: 'm>(entries: impl Iterator<Item = (&'m Arc<str>, &'m T)>) -> Vec<&'m T> {
    let by_id: BTreeMap<&Arc<str>, &T> = entries.collect();
    by_id.into_values().collect()
}

pub(super) struct Surveyor<'s> {
    pub(super) policies: &'s Policies,
    pub(super) world: World<'s>,
    pub(super) time: Timestamp,
    pub(super) alternatives: &'s Alternatives,
    pub(super) item: Option<&'s str>,
}

impl Surveyor<'_> {
    fn row(
        &self,
        (requester, department): (&Arc<Requester>, &Arc<Department>),
        scenario: &Scenario,
        (resource, operation): (&Arc<Resource>, &Arc<Operation>),
    ) -> Option<Row> {
        let call = self.asking((requester, department), scenario, (resource, operation));
        let Settings { furthest, all, cut } = self.settings(&call, scenario)?;
        let mut items: BTreeMap<Arc<str>, Vec<Way>> = BTreeMap::new();
        for (setting, needs) in all {
            let Ok((_, decision)) = self.policies.suppose_anew(&call(&setting), self.world) else { continue };
            for item in decision.plan.items.iter().filter(|item| self.item.is_none_or(|wanted| *wanted == *item.name)) {
                let Some(form) = item.form else { continue };
                let ways = items.entry(item.name.clone()).or_default();
                if !ways.iter().any(|way| way.form <= form) {
                    ways.push(Way { form, needs: needs.clone() });
                }
            }
        }
        if items.is_empty() {
            return None;
        }
        items.values_mut().for_each(|ways| ways.sort_by_key(|way| way.form));
        Some(Row {
            requester: requester.id.clone(),
            department: department.id.clone(),
            scenario: scenario.id.clone(),
            resource: resource.id.clone(),
            kind: operation.kind.name(),
            path: operation.path.clone(),
            grant: furthest.bound.grant.as_ref().map(|grant| grant.id.clone()),
            items,
            cut,
        })
    }

    /// A call in a setting.
    pub(super) fn asking<'q>(
        &self,
        (requester, department): (&'q Arc<Requester>, &'q Arc<Department>),
        scenario: &'q Scenario,
        (resource, operation): (&'q Arc<Resource>, &'q Arc<Operation>),
    ) -> impl Fn(&Setting) -> Supposed + use<'q> {
        let time = self.time;
        move |setting| Supposed {
            requester: requester.clone(),
            department: department.clone(),
            roles: None,
            scope: None,
            resource: resource.clone(),
            operation: operation.clone(),
            stated: state(Some(&scenario.id), setting.has_case.then_some("case")),
            time,
            given: setting.given.clone(),
        }
    }

    /// The call at its furthest, and every combination of circumstances that its policies read, each with what it sets
    /// beside a plain call. None where it cannot be bound at all.
    pub(super) fn settings(&self, call: &dyn Fn(&Setting) -> Supposed, scenario: &Scenario) -> Option<Settings> {
        // With a case the call gets furthest: whether one is needed is found by leaving it out.
        let furthest = call(&Setting { given: plain(), has_case: true }).make(self.world).ok()?;
        let dimensions = self.dimensions(&furthest, scenario);
        let (combinations, cut) = combinations(&dimensions.iter().map(Vec::len).collect::<Vec<_>>());
        let set = |combination: Vec<usize>| {
            let mut setting = Setting { given: plain(), has_case: false };
            let mut needs = Needs::new();
            // Choice 0 is that of a plain call.
            for (choice, choices) in combination.iter().zip(&dimensions) {
                if let Some((name, value, set)) = choice.checked_sub(1).and_then(|choice| choices.get(choice)) {
                    set(&mut setting);
                    needs.insert(*name, value.clone());
                }
            }
            (setting, needs)
        };
        Some(Settings { furthest, all: combinations.into_iter().map(set).collect(), cut })
    }

    /// The circumstances that the call's policies read, each with what it can be beside that of a plain call.
    fn dimensions(&self, made: &Made, scenario: &Scenario) -> Vec<Vec<Choice>> {
        let call = made.call();
        let Ok(judge) = Judge::new(self.policies, &call) else { return Vec::new() };
        let reads = &judge.reads;
        let mut literals = Literals::default();
        let slices = std::iter::once(&judge.share).chain(judge.candidates.iter().flat_map(|c| c.forms.iter().map(|(_, slice)| slice)));
        let policies: BTreeMap<_, _> = slices.flat_map(|slice| slice.policies.policies()).map(|policy| (policy.id(), policy)).collect();
        policies.values().filter_map(|policy| policy.to_json().ok()).for_each(|json| literals.add(&json));
        let all = reads.unbounded;
        let yes = || "true".to_owned();
        let mut dimensions: Vec<Vec<Choice>> = vec![vec![("case", yes(), Arc::new(|setting| setting.has_case = true))]];
        if (all || reads.work_time) && self.world.purposes.calendar.is_some() {
            dimensions.push(vec![("work_time", yes(), Arc::new(|setting| setting.given.work_time = Some(true)))]);
        }
        if (all || reads.emergency) && scenario.emergency.is_some() {
            dimensions.push(vec![("emergency", yes(), Arc::new(|setting| setting.given.emergency = Some(true)))]);
        }
        if all || reads.bound {
            dimensions.push(vec![("bound", yes(), Arc::new(|setting| setting.given.bound = Some(true)))]);
        }
        if all || reads.network {
            let networks: BTreeSet<&Arc<str>> = self.alternatives.networks.iter().filter(|network| ***network != *"other").collect();
            dimensions.push(networks.into_iter().map(network).collect());
        }
        if all || reads.operator_clearance {
            let numbers = literals.numbers.iter().flat_map(|number| [*number, number.saturating_add(1)]);
            let levels: BTreeSet<i64> = numbers.filter(|level| (1..=i64::from(u8::MAX)).contains(level)).collect();
            dimensions.push(levels.into_iter().map(clearance).collect());
        }
        if all || reads.operator_roles {
            dimensions.push(self.world.parties.roles.iter().map(role).collect());
        }
        dimensions
    }
}

fn network(name: &Arc<str>) -> Choice {
    let set = name.clone();
    ("network", name.to_string(), Arc::new(move |setting| setting.given.network = Some(set.clone())))
}

fn clearance(level: i64) -> Choice {
    ("operator_clearance", level.to_string(), Arc::new(move |setting| setting.given.operator_clearance = Some(level)))
}

fn role(role: &Arc<str>) -> Choice {
    let set = role.clone();
    ("operator_roles", role.to_string(), Arc::new(move |setting| setting.given.operator_roles = [set.clone()].into()))
}

/// A plain call: nothing is in its favour.
fn plain() -> Given {
    Given { work_time: Some(false), emergency: Some(false), ..Given::default() }
}

/// All combinations of one choice per dimension, 0 for none of them; those that choose least come first.
fn combinations(sizes: &[usize]) -> (Vec<Vec<usize>>, bool) {
    let mut all: Vec<Vec<usize>> = vec![Vec::new()];
    let mut cut = false;
    for size in sizes {
        let longer = all.iter().flat_map(|chosen| {
            (0..=*size).map(move |choice| {
                let mut chosen = chosen.clone();
                chosen.push(choice);
                chosen
            })
        });
        let longer: Vec<Vec<usize>> = longer.take(MOST + 1).collect();
        cut |= longer.len() > MOST;
        all = longer;
        all.truncate(MOST);
    }
    all.sort_by_key(|chosen| (chosen.iter().filter(|choice| **choice > 0).count(), chosen.iter().sum::<usize>()));
    (all, cut)
}

#[cfg(test)]
mod tests {
    use super::combinations;

    #[test]
    fn those_that_choose_least_come_first() {
        let (all, cut) = combinations(&[1, 2]);
        assert_eq!(all, [vec![0, 0], vec![0, 1], vec![1, 0], vec![0, 2], vec![1, 1], vec![1, 2]]);
        assert!(!cut);
        let (all, cut) = combinations(&[9, 9, 9, 9, 9]);
        assert!(cut && all.len() == super::MOST && all.iter().all(|chosen| chosen.len() == 5));
    }
}
