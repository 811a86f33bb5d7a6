//! What a caller could ask for is what binding lets pass, and nothing beside it.

use super::world::{World, grant, scenario, world};

fn offers(of: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    of.iter().map(|(operation, purposes)| ((*operation).to_owned(), purposes.iter().map(|&p| p.to_owned()).collect())).collect()
}

fn many() -> World {
    world(
        &[
            scenario("housing", ""),
            scenario("all", "kinds = [\"query\", \"bulk\"]\nresources = [\"psb.people\", \"psb.*\"]\n"),
            scenario("ended", "status = \"ended\"\n"),
            scenario("over", "valid_until = \"2026-11-22\"\n"),
            scenario("low", "max_grade = 2\n"),
            scenario("others", "lead = \"tax\"\nparticipants = []\nresources = [\"psb.*\", \"mca.*\"]\n"),
        ],
        &[
            grant("g1", ""),
            grant("g2", "scenario = \"all\"\nkinds = [\"query\"]\nstatus = \"suspended\"\n"),
            grant("g3", "scenario = \"all\"\ndepartment = \"jia\"\nkinds = [\"bulk\"]\n"),
        ],
    )
}

#[test]
fn each_operation_comes_once_with_the_scenarios_that_it_would_pass() {
    let world = many();
    let found = world.call().fitting();
    // Not shared is never there; unconditional asks for no participation; a suspended grant refuses.
    let expected = offers(&[
        ("GET /mca/open", &["housing/", "low/", "others/"]),
        ("GET /psb/people", &["housing/g1"]),
        ("POST /psb/people", &["all/"]),
        ("GET /psb/plates", &["all/", "housing/", "low/"]),
        ("POST /psb/plates", &["all/"]),
    ]);
    assert_eq!(found, expected);
    let jia = world.call().by("jia-app").fitting();
    assert!(
        jia.contains(&("POST /psb/people".into(), vec!["all/g3".into()])) && !jia.iter().any(|(_, of)| of.contains(&"housing/g1".into()))
    );
    let tax = offers(&[
        ("GET /mca/open", &["housing/", "low/", "others/"]),
        ("GET /psb/people", &["others/"]),
        ("GET /psb/plates", &["others/"]),
    ]);
    assert_eq!(world.call().by("tax-app").fitting(), tax);
    // On another's behalf it is that department's.
    assert!(world.call().for_department("jia").fitting().contains(&("POST /psb/people".into(), vec!["all/g3".into()])));
}

#[test]
fn a_token_and_the_day_narrow_it() {
    let world = many();
    let narrow = world.call().token(&["housing"], None).fitting();
    assert!(!narrow.is_empty() && narrow.iter().all(|(_, of)| of.len() == 1 && of[0].starts_with("housing/")), "{narrow:?}");
    assert_eq!(world.call().token(&[], None).fitting(), []);
    assert_eq!(world.call().token(&["housing"], Some("11010119900307001X")).fitting(), [], "a case that no call could use");
    assert_eq!(world.call().at("2027-01-01T10:00:00+08:00").fitting(), []);
    // The last day ends at midnight in the folder's time zone.
    assert!(world.call().at("2026-11-22T23:59:59+08:00").fitting().iter().any(|(_, of)| of.iter().any(|of| of.starts_with("over/"))));
}

#[test]
fn whatever_is_found_is_bound_and_nothing_else_is() {
    let world = many();
    for (requester, department) in [("housing-app", None), ("housing-app", Some("jia")), ("jia-app", None), ("tax-app", None)] {
        let call = || {
            let call = world.call().by(requester);
            department.map_or_else(|| world.call().by(requester), |department| call.for_department(department))
        };
        let found = call().fitting();
        for path in ["/psb/people", "/psb/plates", "/mca/open", "/mca/secret"] {
            for method in ["GET", "POST"] {
                for scenario in ["housing", "all", "ended", "over", "low", "others"] {
                    let asked = if method == "GET" { call().get(path) } else { call().bulk(path) };
                    let bound = asked.states(scenario).bind();
                    let listed = found.iter().filter(|(operation, _)| *operation == format!("{method} {path}")).flat_map(|(_, of)| of);
                    let grant = listed.filter_map(|of| of.strip_prefix(scenario)?.strip_prefix('/')).next();
                    let held = bound.as_ref().ok().map(|bound| bound.grant.as_ref().map_or("", |grant| &*grant.id));
                    assert_eq!(grant, held, "{requester} {method} {path} {scenario}: {bound:?}");
                }
            }
        }
    }
}
