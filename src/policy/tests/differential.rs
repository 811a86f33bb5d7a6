//! The index against Cedar's plain authorizer over all policies: same decision, same reasons, same errors.

use std::collections::BTreeSet;

use cedar_policy::{Authorizer, Entities, Entity, EntityUid, Policy, PolicyId, PolicySet, Request, Response, Schema};
use proptest::prelude::*;
use proptest::sample::select;

use super::world::{Folder, plain, sources};
use crate::policy::context;
use crate::policy::entities::{Lineage, Registered, TYPES, action, grant_entity, uid};
use crate::policy::index::Index;
use crate::policy::reads::Reads;

const PRINCIPALS: [&str; 8] = [
    "principal",
    "principal == Requester::\"housing-app\"",
    "principal == Requester::\"stats-app\"",
    "principal in Department::\"housing\"",
    "principal in Region::\"990000\"",
    "principal in Scenario::\"patrol\"",
    "principal is Requester",
    "principal is Requester in Grant::\"g-2026-0002\"",
];
const ACTIONS: [&str; 6] = [
    "action",
    "action == Action::\"query\"",
    "action in Action::\"share\"",
    "action in Action::\"disclose\"",
    "action in [Action::\"reveal\", Action::\"share\"]",
    "action == Action::\"mask\"",
];
const RESOURCES: [&str; 8] = [
    "resource",
    "resource == Resource::\"psb.population\"",
    "resource in Resource::\"psb.population\"",
    "resource == Item::\"psb.population#name\"",
    "resource in Department::\"psb\"",
    "resource is Item in Class::\"population\"",
    "resource in Class::\"contact\"",
    "resource is Rows",
];
/// Some hold, some do not, some err: unvalidated on purpose.
const CONDITIONS: [&str; 12] = [
    "context.time > datetime(\"2026-01-01\")",
    "context.source.isLoopback()",
    "context == { time: context.time }",
    "true",
    "false",
    "context.work_time",
    "context.has_case && resource.grade >= 4",
    "context.nonsense",
    "principal.nonsense == resource",
    "9223372036854775807 + resource.grade > 0",
    "Department::\"tax\".tier == \"province\"",
    "context has grant && context.grant.reveal.contains(resource)",
];

fn policy() -> impl Strategy<Value = String> {
    let parts = (any::<bool>(), select(&PRINCIPALS[..]), select(&ACTIONS[..]), select(&RESOURCES[..]), select(&CONDITIONS[..]));
    parts.prop_map(|(permit, principal, action, resource, condition)| {
        let effect = if permit { "permit" } else { "forbid" };
        format!("{effect} ({principal}, {action}, {resource}) when {{ {condition} }};")
    })
}

fn told(response: &Response) -> (bool, BTreeSet<String>, BTreeSet<String>) {
    let allowed = response.decision() == cedar_policy::Decision::Allow;
    let diagnostics = response.diagnostics();
    (allowed, diagnostics.reason().map(ToString::to_string).collect(), diagnostics.errors().map(ToString::to_string).collect())
}

struct Bench {
    folder: Folder,
    schema: Schema,
    registered: Registered,
}

impl Bench {
    fn new() -> Self {
        let folder = Folder::shipped();
        let (schema, _) = Schema::from_cedarschema_str(&sources().schema.1).unwrap();
        let registered = Registered::build(folder.world(), &schema).unwrap();
        Self { folder, schema, registered }
    }

    fn compare(&self, texts: &[String], requester: &str, granted: bool) {
        let policies: Vec<Policy> =
            (0..).zip(texts).map(|(n, text): (u32, _)| Policy::parse(Some(PolicyId::new(format!("p{n}"))), text).unwrap()).collect();
        let all = PolicySet::from_policies(policies.clone()).unwrap();
        let named: Vec<EntityUid> = policies.iter().flat_map(Policy::entity_literals).collect();
        let index = Index::new(policies, &self.schema).unwrap();
        let (subject, target, circumstances) = (self.folder.subject(requester, 0), self.folder.target("psb.population"), plain());
        let grant = granted.then_some("g-2026-0002");
        let call = self.folder.call((&subject, &target), ("housing", grant), true, &circumstances);
        let asset = self.registered.asset("psb.population").unwrap();
        let purpose = [Some(uid(&TYPES.scenario, "housing")), grant.map(|id| uid(&TYPES.grant, id))].into_iter().flatten();
        let mut ancestors = self.registered.above_requester(&subject.department, &subject.roles);
        ancestors.extend(purpose.clone());
        let principal = Lineage { uid: uid(&TYPES.requester, requester), ancestors };
        let entities = |named: &[EntityUid]| -> Entities {
            let requester = self.registered.requester(&subject.requester, &subject.department, &subject.roles, purpose.clone()).unwrap();
            let own: Vec<Entity> =
                std::iter::once(requester).chain(call.grant.map(|grant| grant_entity(grant, &asset.resource.uid).unwrap())).collect();
            let seeds = named.iter().cloned().chain(principal.ancestors.iter().cloned());
            self.registered.for_call(&target.resource.id, asset, own, seeds, &self.schema).unwrap()
        };
        let everything = entities(&named);
        let shares = ["query", "verify", "bulk"].map(|name| (name, &asset.resource));
        let forms = ["reveal", "mask", "pseudonymise", "compare"];
        for (name, resource) in
            shares.into_iter().chain(forms.into_iter().flat_map(|form| asset.items.iter().map(move |item| (form, item))))
        {
            let slice = index.slice(&action(name), &principal, resource).unwrap();
            let request = |reads: &Reads| {
                let context = context::of(&call, reads, &context::Unread::new()).unwrap();
                Request::new(principal.uid.clone(), action(name), resource.uid.clone(), context, Some(&self.schema)).unwrap()
            };
            // The plain authorizer is told everything, the slice only what its policies read.
            let whole = request(&Reads { unbounded: true, ..Reads::default() });
            let plain = Authorizer::new().is_authorized(&whole, &all, &everything);
            let sliced = Authorizer::new().is_authorized(&request(&slice.reads), &slice.policies, &entities(&slice.named));
            assert_eq!(told(&plain), told(&sliced), "{name} {}", resource.uid);
        }
    }
}

#[test]
fn the_index_gives_the_plain_authorizers_decision_reasons_and_errors() {
    let bench = Bench::new();
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(texts in prop::collection::vec(policy(), 0..12), requester in select(&["housing-app", "stats-app"][..]), granted: bool)| {
        bench.compare(&texts, requester, granted);
    });
}

#[test]
fn the_shipped_policies_are_sliced_alike() {
    let texts: Vec<String> = sources()
        .policies
        .into_iter()
        .flat_map(|(_, text)| {
            let set: PolicySet = text.parse().unwrap();
            set.policies().map(ToString::to_string).collect::<Vec<_>>()
        })
        .collect();
    Bench::new().compare(&texts, "housing-app", true);
}
