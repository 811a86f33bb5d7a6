//! The order of the checks, the choice of scenario and grant, and what a refusal tells.

use super::world::{World, grant, scenario, world};
use crate::purpose::CaseRule;

fn bound(scenario: &str, grant: &str) -> (String, Option<String>) {
    (scenario.to_owned(), (!grant.is_empty()).then(|| grant.to_owned()))
}

fn one() -> World {
    world(&[scenario("housing", "")], &[grant("g1", "")])
}

#[test]
fn a_stated_scenario_is_bound_with_its_grant() {
    let world = one();
    assert_eq!(world.call().states("housing").bound(), bound("housing", "g1"));
    let call = world.call().states("housing;case=\"2026-1\"").bind().unwrap();
    assert_eq!(call.case.as_deref(), Some("2026-1"));
    // Where there is no grant at all, the policies decide.
    assert_eq!(world.call().get("/psb/plates").states("housing").bound(), bound("housing", ""));
}

#[test]
fn what_is_not_shared_is_refused_first_with_its_legal_basis() {
    let world = one();
    let refused = world.call().get("/mca/secret").states("nonsense").bind().unwrap_err();
    assert_eq!(refused.reason.code(), "not_shared");
    assert!(refused.detail.zh.contains("第一条") && refused.detail.en.contains("第一条"), "{:?}", refused.detail);
    assert!(refused.would_work.is_empty());
}

#[test]
fn each_ground_has_its_code() {
    let world = world(
        &[
            scenario("housing", ""),
            scenario("ended", "status = \"ended\"\n"),
            scenario("suspended", "status = \"suspended\"\n"),
            scenario("other-resource", "resources = [\"mca.open\"]\n"),
            scenario("other-kind", "kinds = [\"bulk\", \"verify\"]\n"),
            scenario("other-department", "lead = \"tax\"\nparticipants = []\n"),
            scenario("low-grade", "max_grade = 2\n"),
            scenario("over", "valid_until = \"2026-11-22\"\n"),
            scenario("not-yet", "valid_from = \"2026-11-24\"\n"),
            scenario("with-case", "case = \"required\"\n"),
        ],
        &[],
    );
    for (field, code) in [
        ("unheard-of", "purpose_unknown"),
        ("*/odd:token", "purpose_unknown"),
        ("ended", "purpose_not_granted"),
        ("suspended", "purpose_not_granted"),
        ("other-resource", "purpose_not_granted"),
        ("other-kind", "purpose_not_granted"),
        ("other-department", "purpose_not_granted"),
        ("low-grade", "purpose_not_granted"),
        ("over", "purpose_expired"),
        ("not-yet", "purpose_expired"),
        ("with-case", "case_required"),
    ] {
        let refused = world.call().states(field).bind().unwrap_err();
        assert_eq!(refused.reason.code(), code, "{field}");
        let would: Vec<_> = refused.would_work.iter().map(|would| (&*would.scenario, would.case)).collect();
        assert_eq!(would, [("housing", CaseRule::Optional), ("with-case", CaseRule::Required)], "{field}");
        assert_eq!(refused.scenario.is_none(), code == "purpose_unknown", "{field}");
    }
    assert_eq!(world.call().states("with-case;case=\"1\"").bound(), bound("with-case", ""));
    // Both days count.
    assert_eq!(world.call().states("over").at("2026-11-22T23:59:59+08:00").bound(), bound("over", ""));
    assert_eq!(world.call().states("not-yet").at("2026-11-23T16:00:00Z").bound(), bound("not-yet", ""));
}

#[test]
fn an_unregistered_scenario_is_not_repeated() {
    let refused = one().call().states("A990101199001011234;case=\"2026-1\"").bind().unwrap_err();
    assert!(!refused.detail.en.contains("9901") && refused.scenario.is_none());
    assert_eq!(refused.case.as_deref(), Some("2026-1"));
}

#[test]
fn unstated_exactly_one_fitting_scenario_is_bound() {
    assert_eq!(one().call().bound(), bound("housing", "g1"));
    assert_eq!(one().call().by("tax-app").refused(), "purpose_missing");
    let two = world(&[scenario("housing", ""), scenario("review", "")], &[]);
    let refused = two.call().bind().unwrap_err();
    assert_eq!((refused.reason.code(), refused.would_work.len()), ("purpose_missing", 2));
    let with_case = world(&[scenario("housing", "case = \"required\"\n")], &[]);
    assert_eq!(with_case.call().refused(), "case_required");
    let over = world(&[scenario("housing", ""), scenario("review", "valid_until = \"2026-02-01\"\n")], &[]);
    assert_eq!(over.call().bound(), bound("housing", ""));
}

#[test]
fn conditions_are_not_added_to_unconditional_resources() {
    let world = one();
    // Neither takes part nor reaches grade 4; scenario, dates and grant count all the same.
    assert_eq!(world.call().by("tax-app").get("/mca/open").states("housing").bound(), bound("housing", ""));
    assert_eq!(world.call().by("tax-app").get("/mca/open").states("housing").at("2027-01-01T00:00:00+08:00").refused(), "purpose_expired");
    assert_eq!(world.call().by("tax-app").get("/psb/people").states("housing").refused(), "purpose_not_granted");
}

#[test]
fn departments_match_exactly() {
    let world = world(&[scenario("housing", "participants = []\n")], &[]);
    assert_eq!(world.call().by("jia-app").states("housing").refused(), "purpose_not_granted");
    assert_eq!(world.call().for_department("jia").states("housing").refused(), "purpose_not_granted");
}

#[test]
fn the_field_only_narrows_the_token() {
    let world = world(&[scenario("housing", ""), scenario("review", "case = \"required\"\n"), scenario("third", "")], &[]);
    let both = ["housing", "review"];
    assert_eq!(world.call().token(&both, None).states("housing").bound(), bound("housing", ""));
    assert_eq!(world.call().token(&both, None).states("third").refused(), "purpose_not_granted");
    assert_eq!(world.call().token(&["review"], Some("2026-1")).bound(), bound("review", ""));
    assert_eq!(world.call().token(&["review"], None).refused(), "case_required");
    assert_eq!(world.call().token(&["gone"], None).refused(), "purpose_unknown");
    assert_eq!(world.call().token(&["gone", "third"], None).bound(), bound("third", ""));
    assert_eq!(world.call().token(&both, None).refused(), "purpose_missing");
    assert_eq!(world.call().token(&both, Some("2026-1")).states("review;case=\"2026-2\"").refused(), "purpose_not_granted");
    let narrowed = world.call().token(&both, Some("2026-1")).states("review").bind().unwrap();
    assert_eq!(narrowed.case.as_deref(), Some("2026-1"));
    let refused = world.call().token(&both, None).states("third").bind().unwrap_err();
    assert_eq!(refused.would_work.len(), 2, "{refused:?}");
}

#[test]
fn a_persons_number_in_a_tokens_case_goes_nowhere() {
    let refused = one().call().token(&["housing"], Some("990101199001011234")).bind().unwrap_err();
    assert_eq!((refused.reason.code(), refused.case), ("purpose_not_granted", None));
}

#[test]
fn the_nearest_grant_is_chosen() {
    let grants = [
        grant("department-provider", "department = \"housing\"\nresource = \"psb.*\"\n"),
        grant("department-resource", "department = \"housing\"\n"),
        grant("requester-provider", "resource = \"psb.*\"\n"),
        grant("requester-resource", ""),
    ];
    for left in (1..=4).rev() {
        let names = ["department-provider", "department-resource", "requester-provider", "requester-resource"];
        let world = world(&[scenario("housing", "")], &grants[..left]);
        assert_eq!(world.call().bound(), bound("housing", names[left - 1]));
    }
}

#[test]
fn a_requesters_grant_covers_its_own_departments_calls_unless_it_names_another() {
    let own = one();
    assert_eq!(own.call().for_department("jia").bound(), bound("housing", ""));
    let named = world(&[scenario("housing", "")], &[grant("g1", "requester = \"housing-app\"\ndepartment = \"jia\"\n")]);
    assert_eq!(named.call().for_department("jia").bound(), bound("housing", "g1"));
    assert_eq!(named.call().bound(), bound("housing", "g1"));
    assert_eq!(named.call().by("jia-app").bound(), bound("housing", ""));
    let department = world(&[scenario("housing", "")], &[grant("g1", "department = \"jia\"\n")]);
    assert_eq!(department.call().for_department("jia").bound(), bound("housing", "g1"));
    assert_eq!(department.call().by("jia-app").bound(), bound("housing", "g1"));
    assert_eq!(department.call().bound(), bound("housing", ""));
}

#[test]
fn a_grant_that_is_not_in_force_never_counts_as_none() {
    let department = grant("department", "department = \"housing\"\n");
    for (more, code) in [
        ("status = \"suspended\"\n", "purpose_not_granted"),
        ("status = \"terminated\"\n", "purpose_not_granted"),
        ("valid_until = \"2026-11-22\"\n", "purpose_expired"),
        ("valid_from = \"2026-11-24\"\n", "purpose_expired"),
        ("status = \"suspended\"\nvalid_until = \"2026-11-22\"\n", "purpose_expired"),
    ] {
        let alone = world(&[scenario("housing", "")], &[grant("g1", more)]);
        let refused = alone.call().states("housing").bind().unwrap_err();
        assert_eq!((refused.reason.code(), refused.grant.as_deref()), (code, Some("g1")), "{more}");
        assert!(refused.would_work.is_empty(), "{more}");
        let beside = world(&[scenario("housing", "")], &[grant("g1", more), department.clone()]);
        let suspended = more == "status = \"suspended\"\n";
        if suspended {
            assert_eq!(beside.call().refused(), code);
        } else {
            assert_eq!(beside.call().bound(), bound("housing", "department"), "{more}");
        }
    }
}

#[test]
fn a_grant_for_another_kind_does_not_apply() {
    let world = world(&[scenario("housing", "kinds = [\"query\", \"bulk\"]\n")], &[grant("g1", ""), grant("g2", "kinds = [\"bulk\"]\n")]);
    assert_eq!(world.call().bound(), bound("housing", "g1"));
    assert_eq!(world.call().bulk("/psb/people").bound(), bound("housing", "g2"));
    assert_eq!(world.call().bulk("/psb/plates").bound(), bound("housing", ""));
}

#[test]
fn an_emergency_order_ends_by_itself() {
    let order = "[emergency]\norder = \"o\"\nfrom = \"2026-11-23T00:00:00+08:00\"\nuntil = \"2026-11-24T00:00:00+08:00\"\n";
    let (file, text) = scenario("housing", "");
    let world = world(&[(file, format!("{text}{order}"))], &[]);
    let bound = world.call().bind().unwrap();
    for (now, holds) in [
        ("2026-11-22T23:59:59+08:00", false),
        ("2026-11-23T00:00:00+08:00", true),
        ("2026-11-23T23:59:59+08:00", true),
        ("2026-11-24T00:00:00+08:00", false),
    ] {
        assert_eq!(bound.emergency(now.parse().unwrap()), holds, "{now}");
    }
}
