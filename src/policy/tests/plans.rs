//! What calls are shown, and what denies them.

use std::collections::BTreeMap;

use super::world::{Folder, plain, sources};
use crate::policy::decide::{self, decide};
use crate::policy::{Circumstances, Denial, Permit, Policies};

const HOUSING: (&str, &str, &str, Option<&str>) = ("housing-app", "psb.population", "housing", Some("g-2026-0002"));
const FLOOD: (&str, &str, &str, Option<&str>) = ("flood-app", "mca.elderly", "flood", Some("g-2026-0004"));

struct Bench {
    folder: Folder,
    policies: Policies,
}

impl Bench {
    fn with(more: &str) -> Self {
        let folder = Folder::shipped();
        let mut sources = sources();
        sources.policies.push(("more.cedar".into(), more.into()));
        let policies = folder.load(&sources).unwrap();
        Self { folder, policies }
    }

    fn ask(
        &self,
        (requester, resource, scenario, grant): (&str, &str, &str, Option<&str>),
        (case, clearance): (bool, i64),
        circumstances: &Circumstances,
    ) -> Result<Permit, Denial> {
        let (subject, target) = (self.folder.subject(requester, clearance), self.folder.target(resource));
        let call = self.folder.call((&subject, &target), (scenario, grant), case, circumstances);
        let first = decide(&self.policies, &call);
        let plain = decide::decide_cold(&self.policies, &call).1;
        let again = decide(&self.policies, &call);
        assert_eq!(format!("{first:?}"), format!("{again:?}"), "a kept decision is the decision");
        match (&first, plain) {
            (Ok(kept), Ok(plain)) => assert_eq!(format!("{:?}", **kept), format!("{plain:?}")),
            (Err(kept), Err(plain)) => assert_eq!(*kept, *plain),
            other => panic!("{other:?}"),
        }
        first
    }
}

fn forms(permit: &Permit) -> BTreeMap<&str, (&str, Option<&str>)> {
    let form = |item: &crate::disclosure::PlannedItem| item.form.map_or("omit", |form| form.name());
    permit.plan.items.iter().map(|item| (&*item.name, (form(item), item.narrowed_by.as_deref()))).collect()
}

fn denied(answer: Result<Permit, Denial>) -> Vec<String> {
    let denial = answer.expect_err("denied");
    assert!(denial.errors.is_empty(), "{denial:?}");
    denial.policies.iter().map(ToString::to_string).collect()
}

fn off_hours() -> Circumstances {
    Circumstances { work_time: false, ..plain() }
}

#[test]
fn the_full_number_needs_every_condition_and_else_says_what_narrowed_it() {
    let bench = Bench::with("");
    let full = bench.ask(HOUSING, (true, 3), &plain()).unwrap();
    assert_eq!(forms(&full)["id_number"], ("reveal", None));
    assert_eq!(forms(&full)["name"], ("mask", None));
    assert_eq!(forms(&full)["telephone"], ("omit", None));
    assert_eq!(full.effective_grade, 4);
    let ids: Vec<&str> = full.policies.iter().map(|id| &**id).collect();
    assert_eq!(ids, ["mask-as-granted", "reveal-as-granted", "share-under-grant"]);
    for (case, clearance, circumstances) in
        [(true, 3, off_hours()), (true, 2, plain()), (true, 3, Circumstances { network: "other".into(), ..plain() })]
    {
        let masked = bench.ask(HOUSING, (case, clearance), &circumstances).unwrap();
        assert_eq!(forms(&masked)["id_number"], ("mask", Some("population-number-in-full")));
    }
    let masked = bench.ask(HOUSING, (false, 3), &plain()).unwrap();
    assert_eq!(forms(&masked)["id_number"], ("mask", Some("grade-4-in-full-needs-case")), "the first of both");
}

#[test]
fn the_emergency_opens_and_closes_and_flags() {
    let bench = Bench::with("");
    assert_eq!(denied(bench.ask(FLOOD, (false, 0), &plain())), ["elderly-only-in-emergency"]);
    let permit = bench.ask(FLOOD, (false, 0), &Circumstances { emergency: true, ..plain() }).unwrap();
    assert_eq!(permit.flags.iter().map(|flag| &**flag).collect::<Vec<_>>(), ["review"]);
    assert_eq!(forms(&permit)["telephone"].0, "reveal");
    assert_eq!(denied(bench.ask(FLOOD, (false, 0), &plain())), ["elderly-only-in-emergency"], "also after a kept permit");
}

#[test]
fn without_a_grant_nothing_permits_and_with_another_form_it_is_not_asked() {
    let bench = Bench::with("@id(\"wide\") permit (principal, action == Action::\"reveal\", resource in Resource::\"psb.population\");");
    assert!(denied(bench.ask(("housing-app", "psb.population", "housing", None), (true, 3), &plain())).is_empty());
    let permit = bench.ask(HOUSING, (true, 3), &plain()).unwrap();
    assert_eq!(forms(&permit)["telephone"], ("omit", None), "a permit does not reach beyond the grant");
    assert_eq!(forms(&permit)["name"], ("mask", None));
}

#[test]
fn statistics_get_pseudonyms() {
    let bench = Bench::with("");
    let permit = bench.ask(("stats-app", "tax.enterprise", "macro-control", Some("g-2026-0005")), (false, 0), &plain()).unwrap();
    assert_eq!(forms(&permit)["credit_code"], ("pseudonymise", None));
    assert_eq!(forms(&permit)["tax_paid"], ("reveal", None));
}

#[test]
fn the_scenarios_highest_grade_omits_items_above_it() {
    let bench = Bench::with("");
    // Patrol reaches grade 3; the grant of housing would list the number of grade 4.
    let permit = bench.ask(("housing-app", "psb.population", "patrol", Some("g-2026-0002")), (true, 3), &plain()).unwrap();
    assert_eq!(forms(&permit)["id_number"], ("omit", None));
    assert_eq!(permit.effective_grade, 3);
}

#[test]
fn an_answer_that_would_show_nothing_is_denied() {
    let bench =
        Bench::with("@id(\"nothing\") forbid (principal, action in Action::\"disclose\", resource in Resource::\"psb.population\");");
    assert_eq!(denied(bench.ask(HOUSING, (true, 3), &plain())), ["nothing"]);
}

#[test]
fn a_policy_that_errs_denies_the_whole_call_whatever_permits_it() {
    let overflow = "context.operator_clearance + 9223372036854775807 > 0";
    for scope in ["action == Action::\"query\", resource", "action == Action::\"mask\", resource == Item::\"psb.population#name\""] {
        for effect in ["forbid", "permit"] {
            let bench = Bench::with(&format!("@id(\"errs\") {effect} (principal, {scope}) when {{ {overflow} }};"));
            let denial = bench.ask(HOUSING, (true, 3), &plain()).expect_err("denied");
            assert!(denial.errors.iter().any(|error| error.contains("errs")), "{denial:?}");
            assert!(denial.policies.is_empty());
            // Where the sum holds nothing errs; the kept scope must not blur the two.
            assert!(bench.ask(HOUSING, (true, 0), &plain()).is_ok_and(|_| effect == "permit") || effect == "forbid");
        }
    }
}

#[test]
fn time_is_told_apart_only_where_a_policy_compares_it() {
    let bench = Bench::with(
        "@id(\"until\") forbid (principal, action == Action::\"query\", resource) when { context.time >= datetime(\"2026-12-01\") };",
    );
    let at = |time: &str| bench.ask(HOUSING, (true, 3), &Circumstances { time: time.parse().unwrap(), ..plain() });
    assert!(at("2026-11-30T23:59:59.999Z").is_ok());
    assert_eq!(denied(at("2026-12-01T00:00:00Z")), ["until"]);
    assert_eq!(denied(at("2027-12-01T00:00:00Z")), ["until"]);
    assert!(at("2026-01-01T00:00:00Z").is_ok());
}

#[test]
fn a_requester_calling_for_another_department_is_that_departments() {
    let bench = Bench::with(
        "@id(\"own\") forbid (principal in Department::\"data-office\", action in Action::\"share\", resource);
         @id(\"city\") forbid (principal in Region::\"990100\", action in Action::\"disclose\", resource) unless { principal.region in Region::\"990000\" && principal.department == Department::\"housing-jia\" };",
    );
    let folder = &bench.folder;
    let mut subject = folder.subject("platform-app", 3);
    subject.department = folder.parties.departments["housing-jia"].clone();
    let (target, circumstances) = (folder.target("psb.population"), plain());
    let call = folder.call((&subject, &target), ("housing", Some("g-2026-0003")), true, &circumstances);
    assert_eq!(forms(&decide(&bench.policies, &call).unwrap())["name"].0, "mask");
    subject.department = folder.parties.departments["data-office"].clone();
    let call = folder.call((&subject, &target), ("housing", Some("g-2026-0003")), true, &circumstances);
    assert_eq!(denied(decide(&bench.policies, &call)), ["own"]);
}

#[test]
fn attributes_of_what_policies_name_can_be_read() {
    let bench = Bench::with(
        "@id(\"deep\") forbid (principal, action in [Action::\"share\", Action::\"disclose\"], resource)
         unless { Department::\"psb\".tier == \"province\" && Resource::\"tax.enterprise\".provider.region in Region::\"990000\"
                  && context.scenario.lead.region in Region::\"990000\" && resource.provider.region == principal.department.region
                  && Requester::\"stats-app\" in Department::\"stats\" };",
    );
    assert!(bench.ask(HOUSING, (true, 3), &plain()).is_ok());
}

#[test]
fn a_kept_plan_costs_a_fraction_of_a_cold_one() {
    let bench = Bench::with("");
    let (subject, target, circumstances) = (bench.folder.subject("housing-app", 3), bench.folder.target("psb.population"), plain());
    let call = bench.folder.call((&subject, &target), ("housing", Some("g-2026-0002")), true, &circumstances);
    let per_call = |calls: u32, ask: &dyn Fn()| {
        let from = crate::sys::instant();
        (0..calls).for_each(|_| ask());
        from.elapsed() / calls
    };
    let cold = per_call(200, &|| drop(decide::decide_cold(&bench.policies, &call)));
    let warm = per_call(200, &|| drop(decide(&bench.policies, &call)));
    println!("cold {cold:?}, warm {warm:?}");
    assert!(warm * 4 < cold, "cold {cold:?}, warm {warm:?}");
}
