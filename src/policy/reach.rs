//! The calls that a control folder itself allows for: its requesters, the departments they call for, its operations and
//! scenarios, each under every circumstance that the asked policies tell apart. Bound and decided exactly as a call
//! that comes in, so that what is found here the gateway does.

mod values;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use cedar_policy::{Authorizer, Decision, EntityUid, Policy, Request};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::decide::{Call, decide_cold};
use super::entities::{Lineage, TYPES, action, grant_entity, uid};
use super::index::{Index, Slice};
use super::reads::Reads;
use super::{Circumstances, Policies, World, context};
use crate::catalogue::route::Target;
use crate::catalogue::{Operation, Resource};
use crate::identity::parties::{Department, Requester};
use crate::identity::{Credential, CredentialKind, Subject};
use crate::purpose::Scenario;
use crate::purpose::bind::{Bound, Registered, bind};
use crate::purpose::stated::Stated;
pub(super) use values::{Chosen, Values};

/// The case that looked-for calls state.
const CASE: &str = "case-1";
/// Looking for an example ends after so many decisions: one that is not found proves nothing anyway.
const TRIES: usize = 200_000;

/// A call that the gateway would grant.
#[derive(Clone, Debug)]
pub struct FoundCall {
    /// Who calls.
    pub requester: Arc<str>,
    /// For which department.
    pub department: Arc<str>,
    /// For what.
    pub resource: Arc<str>,
    /// `query`, `verify` or `bulk`.
    pub kind: &'static str,
    /// By which method and path.
    pub target: String,
    /// In which scenario.
    pub scenario: Arc<str>,
    /// Whether a case is stated.
    pub has_case: bool,
    /// Under which grant.
    pub grant: Option<Arc<str>>,
    /// The item that its answer shows; none: the call itself is what matters.
    pub item: Option<Arc<str>>,
    /// The circumstances that the policies read, and the time.
    pub circumstances: Map<String, Value>,
    /// The policies that determine the decision.
    pub policies: Vec<Arc<str>>,
}

/// Who calls for what in which scenario: a call before its circumstances.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) requester: Arc<Requester>,
    pub(super) department: Arc<Department>,
    pub(super) resource: Arc<Resource>,
    pub(super) operation: Arc<Operation>,
    pub(super) scenario: Arc<Scenario>,
}

/// The calls of one control folder, as of one moment.
#[derive(Clone, Copy)]
pub(super) struct Reach<'a> {
    pub(super) world: World<'a>,
    pub(super) at: Timestamp,
}

impl<'a> Reach<'a> {
    /// A call that does `action` and is granted although `never` describes it; none where none was found.
    pub(super) fn find(&self, policies: &Policies, never: &Policy, action: &str) -> Option<FoundCall> {
        let forbidden = Index::of(vec![never.clone()], &policies.rules.schema).ok()?;
        let own = Reads::of(&never.to_json().ok()?);
        let values = Values::of(policies.rules.index.policies().iter().chain([never]));
        let mut tries = 0;
        let mut found = None;
        for route in self.routes().filter(|route| raises(&route.operation, action)) {
            let described = |call: &Call<'_>| is_described(policies, &forbidden, call, action);
            let flow = self.each(policies, &own, &values, &route, &described, &mut |call, bound, chosen, reads| {
                tries += 1;
                found = granted(policies, &forbidden, call, action).map(|(item, policies)| {
                    let circumstances = chosen.told(reads, call.circumstances);
                    told(&route, bound, item, circumstances, policies)
                });
                if found.is_some() || tries >= TRIES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if flow.is_break() {
                break;
            }
        }
        found
    }

    /// Every requester, department, operation and scenario, in a fixed order.
    pub(super) fn routes(&self) -> impl Iterator<Item = Route> + use<'a> {
        let World { parties, catalogue, purposes } = self.world;
        let mut requesters: Vec<&Arc<Requester>> = parties.requesters.values().map(|placed| &placed.value).collect();
        let mut resources: Vec<&Arc<Resource>> = catalogue.resources.values().collect();
        let mut scenarios: Vec<&Arc<Scenario>> = purposes.scenarios.values().collect();
        requesters.retain(|requester| !requester.suspended);
        requesters.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        resources.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        scenarios.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let callers = requesters.into_iter().flat_map(|one| std::iter::once(&one.department).chain(&one.serves).map(move |of| (one, of)));
        callers.flat_map(move |(requester, department)| {
            let scenarios = scenarios.clone();
            let operations = resources.clone().into_iter().flat_map(|resource| resource.operations.iter().map(move |one| (resource, one)));
            operations.flat_map(move |(resource, operation)| {
                scenarios.clone().into_iter().map(move |scenario| Route {
                    requester: requester.clone(),
                    department: department.clone(),
                    resource: resource.clone(),
                    operation: operation.clone(),
                    scenario: scenario.clone(),
                })
            })
        })
    }

    /// Binds the route, with a case and without; where it binds, and `worth` finds it so under some circumstance that
    /// `own` reads, visits it under every circumstance that its policies or `own` read.
    pub(super) fn each(
        &self,
        policies: &Policies,
        own: &Reads,
        values: &Values,
        route: &Route,
        worth: &dyn Fn(&Call<'_>) -> bool,
        visit: &mut dyn FnMut(&Call<'_>, &Bound, &Chosen, &Reads) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let target = Target { resource: route.resource.clone(), operation: route.operation.clone(), parameters: Vec::new() };
        for case in [None, Some(CASE.to_owned())] {
            for time in values.instants(self.world, self.at) {
                let plain = subject(route, &Chosen::plain(time));
                let Some(bound) = self.bind(&plain, &target, route, case.clone(), time) else { continue };
                let ordered = bound.emergency(time);
                let asked = |subject: &Subject, chosen: &Chosen, visit: &mut dyn FnMut(&Call<'_>) -> ControlFlow<()>| {
                    let circumstances = self.circumstances(chosen, ordered);
                    let (scenario, grant) = (&*bound.scenario, bound.grant.as_deref());
                    visit(&Call { subject, target: &target, scenario, grant, has_case: case.is_some(), circumstances: &circumstances })
                };
                let mut is_worth = false;
                for chosen in values.choices(own, time) {
                    let _ = asked(&subject(route, &chosen), &chosen, &mut |call| {
                        is_worth = is_worth || worth(call);
                        ControlFlow::Continue(())
                    });
                }
                if !is_worth {
                    continue;
                }
                let mut reads = own.clone();
                let _ = asked(&plain, &Chosen::plain(time), &mut |call| {
                    decide_cold(policies, call).0.iter().for_each(|read| reads.merge(read));
                    ControlFlow::Continue(())
                });
                for chosen in values.choices(&reads, time) {
                    asked(&subject(route, &chosen), &chosen, &mut |call| visit(call, &bound, &chosen, &reads))?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// As step 4 of the line does; none where it refuses.
    pub(super) fn bind(&self, subject: &Subject, target: &Target, route: &Route, case: Option<String>, time: Timestamp) -> Option<Bound> {
        let World { parties, catalogue, purposes } = self.world;
        let stated = Stated { scenario: route.scenario.id.to_string(), case };
        bind(Registered { parties, catalogue, purposes }, subject, target, Some(&stated), time).ok()
    }

    pub(super) fn circumstances(&self, chosen: &Chosen, ordered: bool) -> Circumstances {
        let local = chosen.time.to_zoned_datetime(self.world.parties.time_zone.clone());
        Circumstances {
            time: chosen.time,
            source: chosen.source,
            network: chosen.network.clone(),
            work_time: self.world.purposes.calendar.as_ref().is_some_and(|calendar| calendar.work_time(&local)),
            work_period_ends: None,
            emergency: ordered != chosen.other_emergency,
        }
    }
}

/// The caller as an issuer's token would make it.
pub(super) fn subject(route: &Route, chosen: &Chosen) -> Subject {
    Subject {
        requester: route.requester.clone(),
        department: route.department.clone(),
        roles: route.requester.roles.clone(),
        operator: None,
        operator_roles: chosen.operator_roles.clone(),
        operator_clearance: chosen.operator_clearance,
        credential: Credential { kind: CredentialKind::Jwt, issuer: None, kid: None, fingerprint: [0; 32] },
        bound: chosen.bound,
        scope: None,
    }
}

/// Whether a call of this operation can ask for `action` at all.
fn raises(operation: &Operation, action: &str) -> bool {
    !["query", "verify", "bulk"].contains(&action) || operation.kind.name() == action
}

/// Whether the invariant describes what the call could do.
fn is_described(policies: &Policies, forbidden: &Index, call: &Call<'_>, action: &str) -> bool {
    let possible = |answer: &Answer| answer.allowed && answer.action == action;
    answers(policies, forbidden, call).is_ok_and(|answers| answers.iter().any(possible))
}

/// The item that is shown, where it is one, and the determining policies.
type Granted = (Option<Arc<str>>, Vec<Arc<str>>);

/// The item that the call's answer shows by `action` although it is forbidden (none: the call itself is), and the
/// determining policies; none where the call is refused or does nothing forbidden.
fn granted(policies: &Policies, forbidden: &Index, call: &Call<'_>, action: &str) -> Option<Granted> {
    let described: Vec<Answer> = answers(policies, forbidden, call).ok()?;
    let mut described = described.into_iter().filter(|answer| answer.allowed && answer.action == action).peekable();
    described.peek()?;
    let decision = decide_cold(policies, call).1.ok()?;
    let shown = |item: &Option<Arc<str>>| match item {
        None => true,
        Some(name) => decision.plan.items.iter().any(|item| item.name == *name && item.form.is_some_and(|form| form.name() == action)),
    };
    let item = described.find(|answer| shown(&answer.item))?.item;
    Some((item, decision.policies.clone()))
}

pub(super) fn told(
    route: &Route,
    bound: &Bound,
    item: Option<Arc<str>>,
    circumstances: Map<String, Value>,
    policies: Vec<Arc<str>>,
) -> FoundCall {
    FoundCall {
        requester: route.requester.id.clone(),
        department: route.department.id.clone(),
        resource: route.resource.id.clone(),
        kind: route.operation.kind.name(),
        target: format!("{} {}", route.operation.method, route.operation.path),
        scenario: bound.scenario.id.clone(),
        has_case: bound.case.is_some(),
        grant: bound.grant.as_ref().map(|grant| grant.id.clone()),
        item,
        circumstances,
        policies,
    }
}

/// What policies answer to one question of a call.
#[derive(Debug)]
pub(super) struct Answer {
    /// The action that was asked for.
    pub(super) action: &'static str,
    /// The item that it was asked of; none: the resource.
    pub(super) item: Option<Arc<str>>,
    pub(super) allowed: bool,
}

/// An action, the item that it is asked of (none: the resource), the entity of either, and the policies to ask.
type Question<'q> = (&'static str, Option<&'q Arc<str>>, &'q EntityUid, Arc<Slice>);

/// What the policies of `index` answer to every question that the call raises, each asked whatever the others say. An
/// evaluation error answers none of them.
pub(super) fn answers(policies: &Policies, index: &Index, call: &Call<'_>) -> Result<Vec<Answer>, String> {
    let resource = &call.target.resource;
    let registered = &policies.registered;
    let asset = registered.asset(&resource.id).ok_or_else(|| format!("resource `{}` is not in this snapshot", resource.id))?;
    let Subject { requester, department, roles, .. } = call.subject;
    let purpose = [Some(uid(&TYPES.scenario, &call.scenario.id)), call.grant.map(|grant| uid(&TYPES.grant, &grant.id))];
    let purpose = purpose.into_iter().flatten();
    let mut ancestors = registered.above_requester(department, roles);
    ancestors.extend(purpose.clone());
    let principal = Lineage { uid: uid(&TYPES.requester, &requester.id), ancestors };

    let mut questions: Vec<Question<'_>> = Vec::new();
    let kind = call.target.operation.kind.name();
    questions.push((kind, None, &asset.resource.uid, index.slice(&action(kind), &principal, &asset.resource)?));
    for (item, lineage) in resource.items.iter().zip(&asset.items).filter(|(item, _)| call.carries(item)) {
        for form in call.forms(item) {
            let slice = index.slice(&action(form.name()), &principal, lineage)?;
            questions.push((form.name(), Some(&item.name), &lineage.uid, slice));
        }
    }
    let mut reads = Reads::default();
    let mut named: BTreeSet<&EntityUid> = BTreeSet::new();
    for (.., slice) in &questions {
        reads.merge(&slice.reads);
        named.extend(&slice.named);
    }
    let mut own = vec![registered.requester(requester, department, roles, purpose)?];
    own.extend(call.grant.map(|grant| grant_entity(grant, &asset.resource.uid)).transpose()?);
    let seeds = named.into_iter().cloned().chain(principal.ancestors.iter().cloned());
    let entities = registered.for_call(&resource.id, asset, own, seeds, &policies.rules.schema)?;
    let context = context::of(call, &reads, &policies.unread)?;
    let authorizer = Authorizer::new();
    let ask = |(name, item, of, slice): &Question<'_>| {
        let request = Request::new(principal.uid.clone(), action(name), (*of).clone(), context.clone(), None);
        let response = authorizer.is_authorized(&request.map_err(|error| error.to_string())?, &slice.policies, &entities);
        match response.diagnostics().errors().next() {
            Some(error) => Err(error.to_string()),
            None => Ok(Answer { action: name, item: item.cloned(), allowed: response.decision() == Decision::Allow }),
        }
    };
    questions.iter().map(ask).collect()
}
