//! The index against Cedar's plain authorizer over all policies: same decision, same reasons, same errors.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use cedar_policy::{Authorizer, Context, Entities, Entity, EntityUid, Policy, PolicyId, PolicySet, Request, Response, Schema};
use proptest::prelude::*;
use proptest::sample::select;

use super::world::{Folder, plain, sources};
use crate::policy::context;
use crate::policy::entities::{Lineage, Registered, TYPES, action, grant_entity, uid};
use crate::policy::index::Index;
use crate::policy::reads::Reads;

const PRINCIPALS: [&str; 13] = [
    "principal",
    "principal == Requester::\"housing-app\"",
    "principal == Requester::\"stats-app\"",
    "principal == Requester::\"nobody\"",
    "principal in Department::\"housing\"",
    "principal in Department::\"data-office\"",
    "principal in Region::\"990000\"",
    "principal in Region::\"990100\"",
    "principal in Role::\"auditor\"",
    "principal in Scenario::\"patrol\"",
    "principal in Scenario::\"housing\"",
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
const RESOURCES: [&str; 11] = [
    "resource",
    "resource == Resource::\"psb.population\"",
    "resource in Resource::\"psb.population\"",
    "resource == Item::\"psb.population#name\"",
    "resource == Item::\"psb.population#nothing\"",
    "resource in Department::\"psb\"",
    "resource in Department::\"mca\"",
    "resource in Department::\"nowhere\"",
    "resource is Item in Class::\"population\"",
    "resource in Class::\"contact\"",
    "resource is Rows",
];
/// Some hold, some do not, some err, some name what is not there: unvalidated on purpose.
const CONDITIONS: [&str; 17] = [
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
    "Department::\"nowhere\".tier == \"province\"",
    "principal in [Department::\"nowhere\", Department::\"housing\"]",
    "Requester::\"stats-app\" in Department::\"stats\"",
    "principal.department.region in Region::\"990000\" && resource.provider.authority",
    "context.scenario.lead == principal.department",
    "context has grant && context.grant.reveal.contains(resource)",
];

/// Questions that are asked in an ordinary run; `KANHE_INDEX_CASES=100000` asks for more, which takes minutes unoptimised.
const CASES: u32 = 20_000;

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
    authorizer: Authorizer,
}

impl Bench {
    fn new() -> Self {
        let folder = Folder::shipped();
        let (schema, _) = Schema::from_cedarschema_str(&sources().schema.1).unwrap();
        let registered = Registered::build(folder.world(), &schema, std::iter::empty()).unwrap();
        Self { folder, schema, registered, authorizer: Authorizer::new() }
    }

    /// Every question of one call, asked of the plain authorizer over all policies and of the index; how many.
    fn compare(&self, texts: &[String], who: &Who) -> u32 {
        let policies: Vec<Policy> =
            (0..).zip(texts).map(|(n, text): (u32, _)| Policy::parse(Some(PolicyId::new(format!("p{n}"))), text).unwrap()).collect();
        let all = PolicySet::from_policies(policies.clone()).unwrap();
        let named: Vec<EntityUid> = policies.iter().flat_map(Policy::entity_literals).collect();
        let index = Index::of(policies, &self.schema).unwrap();
        let (mut subject, target, circumstances) = (self.folder.subject(who.requester, 0), self.folder.target(who.resource), plain());
        subject.department = self.folder.parties.departments[who.department].clone();
        subject.roles.extend(who.auditor.then(|| "auditor".into()));
        let call = self.folder.call((&subject, &target), (who.scenario, who.grant), true, &circumstances);
        let asset = self.registered.asset(who.resource).unwrap();
        let purpose = [Some(uid(&TYPES.scenario, who.scenario)), who.grant.map(|id| uid(&TYPES.grant, id))].into_iter().flatten();
        let mut ancestors = self.registered.above_requester(&subject.department, &subject.roles);
        ancestors.extend(purpose.clone());
        let principal = Lineage { uid: uid(&TYPES.requester, who.requester), ancestors };
        let requester = self.registered.requester(&subject.requester, &subject.department, &subject.roles, purpose).unwrap();
        let mut own: Vec<Entity> = vec![requester];
        own.extend(call.grant.map(|grant| grant_entity(grant, &asset.resource.uid).unwrap()));
        let entities = |named: &[EntityUid]| -> Entities {
            let seeds = named.iter().cloned().chain(principal.ancestors.iter().cloned());
            self.registered.for_call(&target.resource.id, asset, own.clone(), seeds, &self.schema).unwrap()
        };
        let context = |reads: &Reads| context::of(&call, reads, &context::Unread::new()).unwrap();
        // The plain authorizer is told everything, the slice only what its policies read and name.
        let (everything, whole) = (entities(&named), context(&Reads { unbounded: true, ..Reads::default() }));
        let mut sets: HashMap<Vec<EntityUid>, Entities> = HashMap::new();
        let shares = ["query", "verify", "bulk"].map(|name| (name, &asset.resource));
        let forms = ["reveal", "mask", "pseudonymise", "compare"];
        let questions = shares.into_iter().chain(forms.into_iter().flat_map(|form| asset.items.iter().map(move |item| (form, item))));
        let mut asked = 0;
        for (name, resource) in questions {
            let slice = index.slice(&action(name), &principal, resource).unwrap();
            let request =
                |context: Context| Request::new(principal.uid.clone(), action(name), resource.uid.clone(), context, None).unwrap();
            let plain = self.authorizer.is_authorized(&request(whole.clone()), &all, &everything);
            let seen = sets.entry(slice.named.clone()).or_insert_with(|| entities(&slice.named));
            let sliced = self.authorizer.is_authorized(&request(context(&slice.reads)), &slice.policies, seen);
            assert_eq!(told(&plain), told(&sliced), "{name} {}", resource.uid);
            asked += 1;
        }
        asked
    }
}

/// Who calls for what.
#[derive(Clone, Debug)]
struct Who {
    requester: &'static str,
    department: &'static str,
    auditor: bool,
    resource: &'static str,
    scenario: &'static str,
    grant: Option<&'static str>,
}

fn who() -> impl Strategy<Value = Who> {
    let callers = [
        ("housing-app", "housing"),
        ("stats-app", "stats"),
        ("housing-jia-app", "housing-jia"),
        ("platform-app", "housing-jia"),
        ("platform-app", "data-office"),
    ];
    let resources = ["psb.population", "psb.population", "tax.enterprise", "mca.marriage"];
    let grants = [None, Some("g-2026-0002"), Some("g-2026-0003"), Some("g-2026-0005")];
    let parts =
        (select(callers.to_vec()), any::<bool>(), select(resources.to_vec()), select(vec!["housing", "patrol"]), select(grants.to_vec()));
    parts.prop_map(|((requester, department), auditor, resource, scenario, grant)| Who {
        requester,
        department,
        auditor,
        resource,
        scenario,
        grant,
    })
}

#[test]
fn the_index_gives_the_plain_authorizers_decision_reasons_and_errors() {
    let bench = Bench::new();
    let wanted = std::env::var("KANHE_INDEX_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let asked = Cell::new(0);
    let config = ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() };
    while asked.get() < wanted {
        proptest!(config.clone(), |(texts in prop::collection::vec(policy(), 0..12), who in who())| {
            asked.set(asked.get() + bench.compare(&texts, &who));
        });
    }
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
    let (requester, department, resource) = ("housing-app", "housing", "psb.population");
    Bench::new().compare(&texts, &Who { requester, department, auditor: false, resource, scenario: "housing", grant: Some("g-2026-0002") });
}
