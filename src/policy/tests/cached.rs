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
    who: (&'static str, &'static str, Option<&'static str>),
    case: bool,
    clearance: i64,
    auditor: bool,
    bound: bool,
    circumstances: Circumstances,
}

fn asked() -> impl Strategy<Value = Asked> {
    // The constants of the conditions, and the ends of the calendar's periods (01:00, 04:00, 05:30 and 09:30 here).
    let times = [
        "2026-11-22T23:00:00Z",
        "2026-11-23T00:59:59.999Z",
        "2026-11-23T01:00:00Z",
        "2026-11-23T01:59:59.999Z",
        "2026-11-23T02:00:00Z",
        "2026-11-23T03:59:59.999Z",
        "2026-11-23T04:00:00Z",
        "2026-11-23T09:29:59.999Z",
        "2026-11-23T09:30:00Z",
        "2026-11-24T00:00:00Z",
        "2026-11-24T00:00:00.001Z",
    ];
    let callers = [
        ("housing-app", "psb.population", Some("g-2026-0002")),
        ("housing-app", "psb.population", None),
        ("housing-app", "mca.marriage", Some("g-2026-0001")),
        ("housing-jia-app", "psb.population", Some("g-2026-0003")),
    ];
    let who = (any::<bool>(), 0_i64..5, any::<bool>(), any::<bool>());
    let which = (select(&["government", "other"][..]), select(&["10.1.2.3", "127.0.0.1"][..]), select(times.to_vec()), any::<bool>());
    (select(callers.to_vec()), who, which).prop_map(|(who, (case, clearance, auditor, bound), (network, source, time, emergency))| {
        let circumstances =
            Circumstances { time: time.parse().unwrap(), source: source.parse().unwrap(), network: network.into(), emergency, ..plain() };
        Asked { who, case, clearance, auditor, bound, circumstances }
    })
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Ok(decision) => format!("{decision:?}"),
        Err(denial) => format!("{denial:?}"),
    }
}

/// One more set of policies, as a reload brings it.
fn texts() -> impl Strategy<Value = Vec<(bool, &'static str, &'static str)>> {
    prop::collection::vec((any::<bool>(), select(&SCOPES[..]), select(&CONDITIONS[..])), 0..4)
}

/// Loads the shipped policies and these.
fn load(folder: &Folder, texts: &[(bool, &str, &str)]) -> crate::policy::Policies {
    let mut sources = sources();
    let text = (0..).zip(texts).map(|(n, (permit, scope, condition)): (u32, _)| {
        let effect = if *permit { "permit" } else { "forbid" };
        format!("@id(\"p{n}\") {effect} ({scope}) when {{ {condition} }};\n")
    });
    sources.policies.push(("more.cedar".into(), text.collect()));
    folder.load(&sources).unwrap()
}

#[test]
fn a_kept_decision_equals_the_plain_one_across_reloads() {
    let folder = Folder::shipped();
    let calendar = folder.purposes.calendar.as_ref().unwrap();
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let loads = prop::collection::vec((texts(), prop::collection::vec(asked(), 1..24)), 1..3);
    proptest!(config, |(loads in loads)| {
        for (texts, calls) in loads {
            let policies = load(&folder, &texts);
            for asked in calls {
                let mut subject = folder.subject(asked.who.0, asked.clearance);
                subject.bound = asked.bound;
                subject.operator_roles.extend(asked.auditor.then(|| "auditor".into()));
                let mut circumstances = asked.circumstances.clone();
                // Offices work as the calendar says, on either side of each end of a period.
                let local = circumstances.time.to_zoned_datetime(folder.parties.time_zone.clone());
                circumstances.work_time = calendar.work_time(&local);
                let target = folder.target(asked.who.1);
                let call = folder.call((&subject, &target), ("housing", asked.who.2), asked.case, &circumstances);
                let plain = told(&decide_cold(&policies, &call).1);
                for _ in 0..2 {
                    let kept = decide(&policies, &call).map(super::super::Permit::into_decision).map_err(std::sync::Arc::new);
                    prop_assert_eq!(told(&kept), plain.clone());
                }
            }
        }
    });
}

#[test]
fn a_caller_whose_every_call_differs_keeps_its_last_decisions_only() {
    let folder = Folder::shipped();
    let policies = load(&folder, &[(false, SCOPES[0], "context.source.isInRange(ip(\"10.0.0.7/32\"))")]);
    let (subject, target) = (folder.subject("housing-app", 0), folder.target("psb.population"));
    for round in 0..2 {
        for last in 0..=255 {
            let circumstances = Circumstances { source: [10, 0, 0, last].into(), ..plain() };
            let call = folder.call((&subject, &target), ("housing", Some("g-2026-0002")), true, &circumstances);
            assert_eq!(decide(&policies, &call).is_err(), last == 7, "10.0.0.{last} in round {round}");
        }
    }
    assert!(policies.cache.kept() <= 16, "{}", policies.cache.kept());
}
