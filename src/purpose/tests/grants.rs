//! Grants as they are loaded: which overlap, which never apply, and a hundred thousand of them.

use super::world::{grant, load, scenario, world};

fn codes(grants: &[String]) -> (Vec<&'static str>, Vec<&'static str>) {
    let scenarios = [scenario("housing", "kinds = [\"query\", \"bulk\"]\n"), scenario("review", "")];
    let (_, errors, warnings) = load(&scenarios, grants);
    (errors.iter().map(|problem| problem.code).collect(), warnings.iter().map(|problem| problem.code).collect())
}

#[test]
fn two_grants_that_could_both_be_bound_overlap() {
    let first = grant("g1", "");
    let overlapping = [
        "",
        "kinds = [\"query\", \"bulk\"]\n",
        "valid_from = \"2026-12-31\"\nvalid_until = \"2027-12-31\"\n",
        "valid_from = \"2025-01-01\"\nvalid_until = \"2026-01-01\"\n",
        "status = \"suspended\"\n",
        "requester = \"housing-app\"\ndepartment = \"jia\"\n",
    ];
    for more in overlapping {
        let (_, errors, _) = load(&[scenario("housing", "")], &[first.clone(), grant("g2", more)]);
        let told: Vec<_> = errors.iter().map(|problem| (problem.code, problem.message.en.contains("`g2` overlaps `g1`"))).collect();
        assert_eq!(told, [("overlapping_grants", true)], "{more}");
    }
    for more in [
        "kinds = [\"bulk\"]\n",
        "valid_from = \"2027-01-01\"\nvalid_until = \"2027-12-31\"\n",
        "valid_from = \"2025-01-01\"\nvalid_until = \"2025-12-31\"\n",
        "status = \"terminated\"\n",
        "scenario = \"review\"\n",
        "resource = \"psb.*\"\n",
        "resource = \"psb.plates\"\n",
        "department = \"housing\"\n",
        "requester = \"jia-app\"\n",
    ] {
        assert_eq!(codes(&[first.clone(), grant("g2", more)]).0, [""; 0], "{more}");
    }
}

#[test]
fn a_long_grant_overlaps_the_third_after_it() {
    let long = grant("long", "");
    let short = |id: &str, day: &str| grant(id, &format!("kinds = [\"bulk\"]\nvalid_from = \"{day}\"\nvalid_until = \"{day}\"\n"));
    let late = grant("late", "valid_from = \"2026-06-01\"\nvalid_until = \"2026-06-02\"\n");
    assert_eq!(codes(&[long, short("a", "2026-02-01"), short("b", "2026-03-01"), late]).0, ["overlapping_grants"]);
}

#[test]
fn what_can_never_be_used_is_pointed_out() {
    for (more, code) in [
        ("items = { code = [\"mask\"] }\n", "mask_without_preset"),
        ("resource = \"mca.secret\"\nitems = { name = [\"reveal\"] }\n", "never_used"),
        ("valid_from = \"2025-01-01\"\nvalid_until = \"2025-12-31\"\n", "approved_late"),
        ("scenario = \"review\"\nresource = \"mca.open\"\n", ""),
        ("resource = \"psb.*\"\nitems = { \"psb.plates#code\" = [\"mask\"] }\n", "mask_without_preset"),
    ] {
        let (errors, warnings) = codes(&[grant("g1", more)]);
        assert!(errors.is_empty(), "{more}: {errors:?}");
        assert_eq!(warnings.contains(&code), !code.is_empty(), "{more}: {warnings:?}");
    }
}

#[test]
fn items_belong_to_what_is_granted() {
    for more in [
        "items = { nam = [\"mask\"] }\n",
        "items = { \"psb.people#name\" = [\"mask\"] }\n",
        "items = { \"*\" = [\"reveal\"] }\n",
        "resource = \"psb.*\"\nitems = { name = [\"mask\"] }\n",
        "resource = \"psb.*\"\nitems = { \"mca.open#name\" = [\"mask\"] }\n",
    ] {
        assert_eq!(codes(&[grant("g1", more)]).0, ["unknown_item"], "{more}");
    }
}

#[test]
fn a_hundred_thousand_grants_are_no_square() {
    // As many of one holder as a case-by-case department has, and each found again.
    let day = |n: u32| format!("{:04}-{:02}-{:02}", 2030 + n / 336, n / 28 % 12 + 1, n % 28 + 1);
    let many: Vec<String> =
        (0..5_000).map(|n| grant(&format!("g{n}"), &format!("valid_from = \"{}\"\nvalid_until = \"{}\"\n", day(n), day(n)))).collect();
    let started = crate::sys::instant();
    let (loaded, errors, _) = load(&[scenario("housing", "valid_until = \"2099-12-31\"\n")], &many);
    assert!(errors.is_empty(), "{:?}", errors.first());
    assert_eq!(loaded.purposes.grants.len(), 5_000);
    // Generous for a busy machine in a debug build; a square would take minutes.
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
    let small = world(&[scenario("housing", "")], &[grant("g1", "")]);
    assert_eq!(small.purposes.grants["g1"].forms("psb.people", "name").map(|forms| forms.iter().count()), Some(1));
}
