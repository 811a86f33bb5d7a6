//! `kanhe check` on control folders that are wrong: every error has its file, its line and its code, all in one run.

use serde_json::Value;

use super::support::World;

fn check(world: &World) -> (Option<i32>, Value) {
    let output = world.kanhe(&["--format", "json", "check"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

#[test]
fn a_good_folder_is_good_and_nothing_is_bound() {
    let world = World::new();
    let (code, report) = check(&world);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!((&report["ok"], report["errors"].as_array().unwrap().len()), (&true.into(), 0));
    assert!(!world.folder.path().join("ledger").exists());
}

#[test]
fn the_starting_policies_are_good_too() {
    let world = World::new();
    let config = std::fs::read_to_string(world.config()).unwrap();
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");
    world.folder.write("kanhe.toml", config.replace("folder = \"policies\"", &format!("folder = \"{policies}\"")));
    let (code, report) = check(&world);
    assert_eq!((code, report["errors"].as_array().unwrap().len()), (Some(0), 0), "{report}");
    let output = world.kanhe(&["policy", "test"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

/// What is changed in which file, and the code that `check` must give there; an empty code: any.
const WRONG: &[(&str, &str, &str, &str)] = &[
    ("catalogue/mca.marriage.toml", "grade = 3\n", "grade = 3\ngradee = 3\n", "unknown_key"),
    ("catalogue/mca.marriage.toml", "version = \"1\"\n", "", ""),
    ("catalogue/mca.marriage.toml", "grade = 3\n", "", ""),
    ("catalogue/mca.marriage.toml", "grade = 3\n", "grade = 7\n", ""),
    ("catalogue/mca.marriage.toml", "conditions = [\"housing security\"]\n", "conditions = []\n", ""),
    ("catalogue/mca.marriage.toml", "path = \"$.data[*].status\"", "path = \"$.data[?(@.x)]\"", ""),
    ("catalogue/mca.marriage.toml", "mask = \"id_number\"", "mask = \"idnumber\"", ""),
    ("catalogue/mca.marriage.toml", "provider = \"mca\"", "provider = \"mac\"", ""),
    ("catalogue/mca.marriage.toml", "region_item = \"\"", "region_item = \"status\"", ""),
    ("catalogue/mca.marriage.toml", "content = \"json\"", "content = \"xml\"", ""),
    ("catalogue/mca.marriage.toml", "kind = \"query\"", "kind = \"verify\"", ""),
    ("catalogue/psb.stream.toml", "path = \"/stream/{what}\"", "path = \"/odd/{other}\"", "ambiguous_route"),
    ("catalogue/stats.survey.toml", "legal_basis = \"示例统计资料保密规定\"", "legal_basis = \"\"", ""),
    ("catalogue/mca.divisions.toml", "path = \"$.data[*].name\"", "path = \"$.data[*].code.name\"", ""),
    ("departments.toml", "id = \"psb\"", "id = \"mca\"", "duplicate_id"),
    ("requesters.toml", "department = \"cityadmin\"", "department = \"cityadmn\"", "dangling_reference"),
    ("scenarios/housing.toml", "lead = \"housing\"", "lead = \"huosing\"", ""),
    ("scenarios/housing.toml", "\"mca.ungranted\"", "\"mca.nothing\"", ""),
    ("scenarios/housing.toml", "legal_basis = \"示例办法\"", "legal_basis = \"\"", ""),
    ("grants/all.toml", "resource = \"mca.marriage\"", "resource = \"mca.mariage\"", ""),
    ("grants/all.toml", "status = [\"reveal\"]", "state = [\"reveal\"]", ""),
    ("grants/all.toml", "regions = []", "regions = [\"990100\"]", ""),
    ("grants/all.toml", "side = \"provider\"", "side = \"demander\"", ""),
    ("grants/all.toml", "id = \"g-002\"", "id = \"g-001\"", "duplicate_id"),
    ("grants/all.toml", "scenario = \"review\"", "scenario = \"housing\"", ""),
    ("base.cedar", "@id(\"mask-as-granted\")\n", "", ""),
    ("base.cedar", "@id(\"mask-as-granted\")", "@id(\"reveal-as-granted\")", ""),
    ("base.cedar", "resource == Item::\"psb.population#id_number\"", "resource == Item::\"psb.population#id_numbr\"", ""),
    ("base.cedar", "context.has_case && context", "context.has_csae && context", ""),
    ("base.cedar", "forbid (principal, action", "forbid (principal == ?principal, action", ""),
    ("base.cedar", "permit (principal, action == Action::\"mask\"", "permit (principal action == Action::\"mask\"", ""),
    ("calendar.toml", "\"00:00-24:00\"", "\"25:00-26:00\"", ""),
];

#[test]
fn every_mistake_is_told_with_its_place() {
    let world = World::new();
    for (file, right, wrong, code) in WRONG {
        let mut before = String::new();
        world.edit(file, |text| {
            assert!(text.contains(right), "{file}: {right}");
            before = text.clone();
            text.replacen(right, wrong, 1)
        });
        let (exit, report) = check(&world);
        world.edit(file, |_| before);
        assert_eq!((exit, &report["ok"]), (Some(1), &false.into()), "{file}: `{wrong}` was let pass: {report}");
        let errors = report["errors"].as_array().unwrap();
        let here = errors.iter().find(|error| error["file"] == *file && (code.is_empty() || error["code"] == *code));
        let here = here.unwrap_or_else(|| panic!("{file}: `{wrong}`: {report}"));
        assert!(here["line"].as_u64().unwrap() > 0 && here["column"].as_u64().unwrap() > 0, "{here}");
        assert!(here["message"].as_str().is_some_and(|text| !text.is_empty()), "{here}");
    }
}

#[test]
fn all_mistakes_are_told_in_one_run_and_people_read_them_on_standard_error() {
    let world = World::new();
    for name in ["mca.marriage", "psb.odd", "psb.dead"] {
        world.edit(&format!("catalogue/{name}.toml"), |text| text.replace("grade = 3\n", "grade = 3\nunknown = 1\n"));
    }
    let (_, report) = check(&world);
    assert_eq!(report["errors"].as_array().unwrap().iter().filter(|error| error["code"] == "unknown_key").count(), 3, "{report}");
    for (lang, word) in [("en", "unknown"), ("zh", "未")] {
        let output = world.kanhe(&["--lang", lang, "check"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(told.contains("catalogue/psb.odd.toml:") && told.contains(word), "{told}");
    }
}
