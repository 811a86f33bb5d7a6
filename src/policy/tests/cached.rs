//! A kept decision is the decision: whatever came before, the cache answers as the policies would.

use proptest::prelude::*;
use proptest::sample::select;

use super::world::{Folder, plain, sources};
use crate::policy::Circumstances;
use crate::policy::cache::Outcome;
use crate::policy::decide::{decide, decide_cold};

/// Conditions that validate, each reading circumstances in its own way.
const CONDITIONS: [&str; 10] = [
    "context.work_time",
    "!context.has_case && context.emergency",
    "context.network == \"government\"",
    "context.operator_clearance >= 3",
    "context.operator_roles.contains(Role::\"auditor\")",
    "context.source.isInRange(ip(\"10.0.0.0/8\"))",
    "context.time < datetime(\"2026-11-23T02:00:00Z\")",
    "context.time >= datetime(\"2026-11-23T02:00:00Z\") && context.time != datetime(\"2026-11-24\")",
    "context.time.toTime() > duration(\"3h\")",
    "context.operator_clearance + 9223372036854775804 > 0",
];
const SCOPES: [&str; 4] = [
    "principal, action == Action::\"query\", resource",
    "principal in Scenario::\"housing\", action == Action::\"reveal\", resource",
    "principal, action in Action::\"disclose\", resource in Resource::\"psb.population\"",
    "principal, action == Action::\"mask\", resource == Item::\"psb.population#name\"",
];

#[derive(Clone, Debug)]
struct Asked {
    case: bool,
    clearance: i64,
    auditor: bool,
    bound: bool,
    circumstances: Circumstances,
}

fn asked() -> impl Strategy<Value = Asked> {
    let times =
        ["2026-11-22T23:00:00Z", "2026-11-23T01:59:59.999Z", "2026-11-23T02:00:00Z", "2026-11-23T09:00:00Z", "2026-11-24T00:00:00Z"];
    let who = (any::<bool>(), 0_i64..5, any::<bool>(), any::<bool>());
    let which = (
        select(&["government", "other"][..]),
        select(&["10.1.2.3", "127.0.0.1"][..]),
        select(times.to_vec()),
        any::<bool>(),
        any::<bool>(),
    );
    (who, which).prop_map(|((case, clearance, auditor, bound), (network, source, time, work_time, emergency))| {
        let circumstances = Circumstances {
            time: time.parse().unwrap(),
            source: source.parse().unwrap(),
            network: network.into(),
            work_time,
            emergency,
            ..plain()
        };
        Asked { case, clearance, auditor, bound, circumstances }
    })
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Ok(decision) => format!("{decision:?}"),
        Err(denial) => format!("{denial:?}"),
    }
}

#[test]
fn a_kept_decision_equals_the_plain_one() {
    let folder = Folder::shipped();
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let policy = (any::<bool>(), select(&SCOPES[..]), select(&CONDITIONS[..]));
    proptest!(config, |(policies in prop::collection::vec(policy, 0..4), calls in prop::collection::vec(asked(), 1..24))| {
        let mut sources = sources();
        let text: String = (0..).zip(policies).map(|(n, (permit, scope, condition)): (u32, _)| {
            let effect = if permit { "permit" } else { "forbid" };
            format!("@id(\"p{n}\") {effect} ({scope}) when {{ {condition} }};\n")
        }).collect();
        sources.policies.push(("more.cedar".into(), text));
        let policies = folder.load(&sources).unwrap();
        let target = folder.target("psb.population");
        for asked in calls {
            let mut subject = folder.subject("housing-app", asked.clearance);
            subject.bound = asked.bound;
            subject.operator_roles.extend(asked.auditor.then(|| "auditor".into()));
            let call = folder.call((&subject, &target), ("housing", Some("g-2026-0002")), asked.case, &asked.circumstances);
            let kept = decide(&policies, &call).map(super::super::Permit::into_decision).map_err(std::sync::Arc::new);
            prop_assert_eq!(told(&kept), told(&decide_cold(&policies, &call).1));
        }
    });
}
