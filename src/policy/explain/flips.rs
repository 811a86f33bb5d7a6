//! Which single fact would change what comes of a call: each alternative is tried by binding and deciding anew, with all
//! else as it is. Alternatives come from what is registered, from the configuration, and from the values that the asked
//! policies compare with.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::literals::Literals;
use crate::catalogue::Kind;
use crate::disclosure::{Form, FormSet};
use crate::identity::parties::Requester;
use crate::policy::decide::Judge;
use crate::policy::supposed::{Refused, Supposed, state};
use crate::policy::{Policies, World};
use crate::purpose::{CaseRule, Grant, GrantStatus, Holder, Purposes, Quota, ResourcePattern, Scenario, ScenarioStatus};

/// So many alternatives are tried for one call.
const MOST: usize = 1024;
/// The case that is supposed where the call has none.
const SOME_CASE: &str = "case";

/// What is worth trying beside what the control folder registers.
#[derive(Clone, Debug, Default)]
pub struct Alternatives {
    /// The networks that the configuration names.
    pub networks: Vec<Arc<str>>,
}

/// One fact that would change the outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flip {
    /// Which fact, in a stable word such as `case` or `grant.status`.
    pub fact: &'static str,
    /// What it is.
    pub from: String,
    /// What it would have to be; of several alternatives with the same outcome the nearest.
    pub to: String,
    /// `allow`, or the code of the refusal, then.
    pub outcome: &'static str,
    /// Items whose form would be another: now, and then. Empty where the call itself is let pass or refused.
    pub items: Vec<(Arc<str>, Option<Form>, Option<Form>)>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Flips {
    /// The facts, in the order tried.
    pub found: Vec<Flip>,
    /// How many alternatives were tried.
    pub tried: usize,
    /// How many were left untried.
    pub untried: usize,
}

/// What comes of a call, as far as it counts here.
type Outcome = (&'static str, BTreeMap<Arc<str>, Option<Form>>);

/// Tries every alternative.
pub(super) fn find(policies: &Policies, supposed: &Supposed, world: World<'_>, alternatives: &Alternatives) -> Flips {
    let now = outcome(policies, supposed, world);
    let mut search = Search { policies, supposed, world, now, flips: Flips::default(), seen: BTreeSet::new(), met: met(supposed, world) };
    let mut meant: (Option<Arc<str>>, Option<Arc<str>>) = (None, None);
    let mut literals = Literals::default();
    let mut times = Vec::new();
    match supposed.make(world) {
        Ok(made) => {
            meant = (Some(made.bound.scenario.id.clone()), made.bound.grant.as_ref().map(|grant| grant.id.clone()));
            let call = made.call();
            if let Ok(judge) = Judge::new(policies, &call) {
                let slices =
                    std::iter::once(&judge.share).chain(judge.candidates.iter().flat_map(|c| c.forms.iter().map(|(_, slice)| slice)));
                let asked: BTreeMap<_, _> =
                    slices.flat_map(|slice| slice.policies.policies()).map(|policy| (policy.id(), policy)).collect();
                asked.values().filter_map(|policy| policy.to_json().ok()).for_each(|json| literals.add(&json));
                times.clone_from(&judge.reads.times);
            }
            search.circumstances(&literals, alternatives);
        }
        Err(Refused::NotBound(not)) => meant = (not.scenario, not.grant),
        Err(_) => {}
    }
    search.purpose(meant.0.as_ref());
    search.requester(&literals);
    search.target();
    let scenario = meant.0.and_then(|id| world.purposes.scenarios.get(&id));
    let grant = meant.1.and_then(|id| world.purposes.grants.get(&id));
    search.time(&times, scenario.map(|scenario| &**scenario), grant.map(|grant| &**grant));
    if let Some(scenario) = scenario {
        search.registration(scenario, &literals);
        search.grant(scenario, grant);
    }
    search.flips
}

fn outcome(policies: &Policies, supposed: &Supposed, world: World<'_>) -> Outcome {
    match policies.suppose_anew(supposed, world) {
        Ok((_, decision)) => ("allow", decision.plan.items.iter().map(|item| (item.name.clone(), item.form)).collect()),
        Err(refused) => (refused.code(), BTreeMap::new()),
    }
}

struct Search<'s> {
    policies: &'s Policies,
    supposed: &'s Supposed,
    world: World<'s>,
    now: Outcome,
    flips: Flips,
    seen: BTreeSet<(&'static str, Outcome)>,
    met: HashMap<Arc<str>, Arc<Grant>>,
}

impl Search<'_> {
    /// Tries the call with one change.
    fn attempt(&mut self, fact: &'static str, (from, to): (impl ToString, impl ToString), change: impl FnOnce(&mut Supposed)) {
        let mut supposed = self.supposed.clone();
        change(&mut supposed);
        self.hold(fact, (from.to_string(), to.to_string()), &supposed, None);
    }

    fn hold(&mut self, fact: &'static str, (from, to): (String, String), supposed: &Supposed, purposes: Option<&Purposes>) {
        if self.flips.tried >= MOST {
            self.flips.untried += 1;
            return;
        }
        self.flips.tried += 1;
        let then = outcome(self.policies, supposed, World { purposes: purposes.unwrap_or(self.world.purposes), ..self.world });
        let (was_let_pass, is_let_pass) = (self.now.0 == "allow", then.0 == "allow");
        let turned = was_let_pass != is_let_pass;
        if !turned && (!is_let_pass || self.now.1 == then.1) || !self.seen.insert((fact, then.clone())) {
            return;
        }
        let differs = |(name, form): (&Arc<str>, &Option<Form>)| {
            let now = self.now.1.get(name).copied().flatten();
            (now != *form).then(|| (name.clone(), now, *form))
        };
        let items = if turned { Vec::new() } else { then.1.iter().filter_map(differs).collect() };
        self.flips.found.push(Flip { fact, from, to, outcome: then.0, items });
    }

    fn circumstances(&mut self, literals: &Literals, alternatives: &Alternatives) {
        let Ok(made) = self.supposed.make(self.world) else { return };
        let now = made.circumstances;
        let given = self.supposed.given.clone();
        self.attempt("work_time", (now.work_time, !now.work_time), |call| call.given.work_time = Some(!now.work_time));
        self.attempt("emergency", (now.emergency, !now.emergency), |call| call.given.emergency = Some(!now.emergency));
        let bound = given.bound.unwrap_or(false);
        self.attempt("bound", (bound, !bound), |call| call.given.bound = Some(!bound));
        let other: Arc<str> = "other".into();
        let networks: BTreeSet<&Arc<str>> = alternatives.networks.iter().chain(&literals.networks).chain([&other]).collect();
        for network in networks.into_iter().filter(|network| **network != now.network) {
            self.attempt("network", (&now.network, network), |call| call.given.network = Some(network.clone()));
        }
        for source in literals.sources.iter().filter(|source| **source != now.source) {
            self.attempt("source", (now.source, source), |call| call.given.source = Some(*source));
        }
        let clearance = given.operator_clearance.unwrap_or(0);
        for level in levels(clearance, literals) {
            self.attempt("operator_clearance", (clearance, level), |call| call.given.operator_clearance = Some(level));
        }
        for role in &self.world.parties.roles {
            let roles = toggled(&given.operator_roles, role);
            self.attempt("operator_roles", (list(&given.operator_roles), list(&roles)), |call| call.given.operator_roles = roles.clone());
        }
    }

    /// What the call states.
    fn purpose(&mut self, meant: Option<&Arc<str>>) {
        let Ok(stated) = &self.supposed.stated else { return };
        let (scenario, case) =
            (stated.as_ref().map(|stated| stated.scenario.as_str()), stated.as_ref().and_then(|stated| stated.case.clone()));
        if let Some(scenario) = scenario.or(meant.map(|id| &**id)) {
            let (from, to) = if case.is_some() { ("…", "") } else { ("", "…") };
            let other = if case.is_some() { None } else { Some(SOME_CASE) };
            self.attempt("case", (from, to), |call| call.stated = state(Some(scenario), other));
        }
        let mut ids: Vec<&Arc<str>> = self.world.purposes.scenarios.keys().collect();
        ids.sort();
        for id in ids.into_iter().filter(|id| Some(&***id) != scenario) {
            self.attempt("scenario", (scenario.unwrap_or_default(), id), |call| call.stated = state(Some(id), case.as_deref()));
        }
    }

    fn requester(&mut self, literals: &Literals) {
        let requester = self.supposed.requester.clone();
        for department in std::iter::once(&requester.department).chain(&requester.serves) {
            if department.id != self.supposed.department.id {
                let (from, to) = (self.supposed.department.id.clone(), department.id.clone());
                self.attempt("department", (from, to), |call| call.department = department.clone());
            }
        }
        let registered = |change: &dyn Fn(&mut Requester)| {
            let mut changed = Requester::clone(&requester);
            change(&mut changed);
            Arc::new(changed)
        };
        for level in levels(requester.clearance, literals) {
            let changed = registered(&|requester| requester.clearance = level);
            self.attempt("requester.clearance", (requester.clearance, level), |call| call.requester = changed);
        }
        let held = self.supposed.roles.clone().unwrap_or_else(|| requester.roles.clone());
        for role in &self.world.parties.roles {
            let roles = toggled(&held, role);
            self.attempt("requester.roles", (list(&held), list(&roles)), |call| call.roles = Some(roles.clone()));
        }
        if requester.suspended {
            let changed = registered(&|requester| requester.suspended = false);
            self.attempt("requester.status", ("suspended", "active"), |call| call.requester = changed);
        }
    }

    fn target(&mut self) {
        let (resource, operation) = (self.supposed.resource.clone(), self.supposed.operation.clone());
        let word = |operation: &crate::catalogue::Operation| format!("{} {}", operation.kind.name(), operation.path);
        for other in resource.operations.iter().filter(|other| !Arc::ptr_eq(other, &operation)) {
            self.attempt("operation", (word(&operation), word(other)), |call| call.operation = other.clone());
        }
    }

    /// Another moment: the constants that policies compare with, and the edges of what is valid. What follows from the
    /// time (working hours, the emergency order) is as it would be then.
    fn time(&mut self, constants: &[i64], scenario: Option<&Scenario>, grant: Option<&Grant>) {
        let zone = self.world.parties.time_zone.clone();
        let noon = |day: Result<Date, jiff::Error>| Some(day.ok()?.at(12, 0, 0, 0).to_zoned_datetime(zone.clone()).ok()?.timestamp());
        let mut moments: Vec<Timestamp> = Vec::new();
        for milliseconds in constants {
            moments.extend([-1, 0, 1].into_iter().filter_map(|by| Timestamp::from_millisecond(milliseconds.checked_add(by)?).ok()));
        }
        let valid = [scenario.map(|s| (s.valid_from, s.valid_until)), grant.map(|g| (g.valid_from, g.valid_until))];
        for (from, until) in valid.into_iter().flatten() {
            moments.extend([noon(from.yesterday()), noon(Ok(from)), noon(Ok(until)), noon(until.tomorrow())].into_iter().flatten());
        }
        if let Some(order) = scenario.and_then(|scenario| scenario.emergency.as_ref()) {
            let before = |time: Timestamp| time.checked_sub(SignedDuration::from_millis(1)).ok();
            moments.extend([before(order.from), Some(order.from), before(order.until), Some(order.until)].into_iter().flatten());
        }
        let now = self.supposed.time;
        moments.sort_by_key(|moment| (moment.duration_since(now).abs(), *moment));
        moments.dedup();
        let local = |time: Timestamp| time.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string();
        for moment in moments {
            self.attempt("time", (local(now), local(moment)), |call| {
                call.time = moment;
                (call.given.work_time, call.given.emergency) = (None, None);
            });
        }
    }

    /// The scenario, registered otherwise. That it could be suspended goes without saying; who takes part in it is tried
    /// only where no asked policy reads it.
    fn registration(&mut self, scenario: &Scenario, literals: &Literals) {
        let Supposed { resource, operation, department, .. } = self.supposed;
        let mut attempt = |fact, (from, to): (&str, &str), change: &dyn Fn(&mut Scenario)| {
            let mut changed = scenario.clone();
            change(&mut changed);
            self.purposes(fact, (from, to), Some(changed), None);
        };
        match scenario.status {
            ScenarioStatus::Approved => {}
            ScenarioStatus::Suspended => {
                attempt("scenario.status", ("suspended", "approved"), &|changed| changed.status = ScenarioStatus::Approved)
            }
            ScenarioStatus::Ended => {
                attempt("scenario.status", ("ended", "approved"), &|changed| changed.status = ScenarioStatus::Approved)
            }
        }
        let mut grades: Vec<i64> = (1..=4).filter(|most| *most != scenario.max_grade).collect();
        grades.sort_by_key(|grade| (grade - scenario.max_grade).abs());
        for most in grades {
            let words = (scenario.max_grade.to_string(), most.to_string());
            attempt("scenario.max_grade", (&words.0, &words.1), &|changed| changed.max_grade = most);
        }
        if scenario.case == CaseRule::Required {
            attempt("scenario.case", ("required", "optional"), &|changed| changed.case = CaseRule::Optional);
        }
        if !scenario.kinds.contains(&operation.kind) {
            attempt("scenario.kinds", ("", operation.kind.name()), &|changed| {
                changed.kinds.insert(operation.kind);
            });
        }
        if !scenario.resources.iter().any(|pattern| pattern.covers(&resource.id, &resource.provider)) {
            attempt("scenario.resources", ("", &resource.id), &|changed| changed.resources.push(ResourcePattern::One(resource.id.clone())));
        }
        if !["participants", "lead"].iter().any(|read| literals.attributes.contains(*read)) {
            attempt("scenario.participants", ("", &department.id), &|changed| {
                changed.participants.insert(department.id.clone());
            });
        }
    }

    /// The grant, given otherwise, or a new one where there is none.
    fn grant(&mut self, scenario: &Scenario, grant: Option<&Arc<Grant>>) {
        let Some(grant) = grant else {
            let new = self.new_grant(scenario);
            return self.purposes("grant", ("", &new.id.clone()), None, Some(new));
        };
        let Supposed { resource, operation, .. } = self.supposed;
        let forms = if operation.kind == Kind::Verify { &[Form::Compare][..] } else { &Form::SHOWN };
        let mut attempt = |fact, (from, to): (&str, &str), change: &dyn Fn(&mut Grant)| {
            let mut changed = Grant::clone(grant);
            change(&mut changed);
            self.purposes(fact, (from, to), None, Some(changed));
        };
        match grant.status {
            GrantStatus::Active => {}
            GrantStatus::Suspended => attempt("grant.status", ("suspended", "active"), &|changed| changed.status = GrantStatus::Active),
            GrantStatus::Terminated => attempt("grant.status", ("terminated", "active"), &|changed| changed.status = GrantStatus::Active),
        }
        for item in &resource.items {
            let id: Arc<str> = super::item_id(&resource.id, &item.name).into();
            let listed = |form: &Form| grant.items.get(&id).is_some_and(|forms| forms.contains(*form));
            for &form in forms.iter().filter(|form| !listed(form)) {
                attempt("grant.items", ("", &format!("{} = {}", item.name, form.name())), &|changed| {
                    Arc::make_mut(&mut changed.items).entry(id.clone()).or_default().insert(form);
                });
            }
        }
    }

    /// Tries the call with a scenario or grant registered otherwise.
    fn purposes(&mut self, fact: &'static str, (from, to): (&str, &str), scenario: Option<Scenario>, grant: Option<Grant>) {
        let Purposes { scenarios, calendar, .. } = self.world.purposes;
        let mut scenarios = scenarios.clone();
        scenarios.extend(scenario.map(|scenario| (scenario.id.clone(), Arc::new(scenario))));
        let mut grants = self.met.clone();
        grants.extend(grant.map(|grant| (grant.id.clone(), Arc::new(grant))));
        let purposes = Purposes::new(scenarios, grants, calendar.clone());
        self.hold(fact, (from.to_owned(), to.to_owned()), self.supposed, Some(&purposes));
    }

    fn new_grant(&self, scenario: &Scenario) -> Grant {
        let (requester, resource) = (&self.supposed.requester, &self.supposed.resource);
        let forms: FormSet = Form::SHOWN.into_iter().chain([Form::Compare]).collect();
        let other = (self.supposed.department.id != requester.department.id).then(|| self.supposed.department.id.clone());
        let today = self.supposed.time.to_zoned_datetime(self.world.parties.time_zone.clone()).date();
        let items = resource.items.iter().map(|item| (super::item_id(&resource.id, &item.name).into(), forms));
        Grant {
            id: "new-grant".into(),
            holder: Holder { requester: Some(requester.id.clone()), department: other },
            resource: ResourcePattern::One(resource.id.clone()),
            scenario: scenario.id.clone(),
            kinds: [Kind::Query, Kind::Verify, Kind::Bulk].into(),
            items: Arc::new(items.collect()),
            regions: Vec::new(),
            quota: Quota::default(),
            application: Arc::default(),
            legal_basis: Arc::default(),
            mode: resource.mode,
            valid_from: today,
            valid_until: today,
            status: GrantStatus::Active,
            approvals: Vec::new(),
            place: crate::written::Place::default(),
        }
    }
}

/// Of all grants those that this call could meet.
fn met(supposed: &Supposed, world: World<'_>) -> HashMap<Arc<str>, Arc<Grant>> {
    let (requester, department, resource) = (&supposed.requester.id, &supposed.department.id, &supposed.resource);
    let meets = |grant: &Grant| {
        let Holder { requester: system, department: whole } = &grant.holder;
        let held = system.as_ref() == Some(requester) || system.is_none() && whole.as_ref() == Some(department);
        held && grant.resource.covers(&resource.id, &resource.provider)
    };
    let grants = world.purposes.grants.iter().filter(|(_, grant)| meets(grant));
    grants.map(|(id, grant)| (id.clone(), grant.clone())).collect()
}

/// Access levels worth trying, the nearest first.
fn levels(now: i64, literals: &Literals) -> Vec<i64> {
    let around = literals.numbers.iter().flat_map(|number| [number.saturating_sub(1), *number, number.saturating_add(1)]);
    let levels: BTreeSet<i64> = around.chain(0..=4).filter(|level| (0..=i64::from(u8::MAX)).contains(level) && *level != now).collect();
    let mut levels: Vec<i64> = levels.into_iter().collect();
    levels.sort_by_key(|level| (level - now).abs());
    levels
}

fn toggled(roles: &BTreeSet<Arc<str>>, role: &Arc<str>) -> BTreeSet<Arc<str>> {
    let mut roles = roles.clone();
    if !roles.remove(role) {
        roles.insert(role.clone());
    }
    roles
}

fn list(roles: &BTreeSet<Arc<str>>) -> String {
    let roles: Vec<&str> = roles.iter().map(|role| &**role).collect();
    format!("[{}]", roles.join(", "))
}
