//! What does not load, and where the error points.

use super::world::{Folder, sources};
use crate::policy::Sources;

fn codes(change: impl FnOnce(&mut Sources)) -> Vec<(&'static str, String, u32, u32)> {
    let mut sources = sources();
    change(&mut sources);
    let problems = Folder::shipped().load(&sources).expect_err("does not load");
    problems.into_iter().map(|problem| (problem.code, problem.place.file.to_string(), problem.place.line, problem.place.column)).collect()
}

fn policy(text: &str) -> Vec<(&'static str, String, u32, u32)> {
    codes(|sources| sources.policies.push(("x.cedar".into(), text.into())))
}

fn at(code: &'static str, line: u32, column: u32) -> Vec<(&'static str, String, u32, u32)> {
    vec![(code, "x.cedar".into(), line, column)]
}

#[test]
fn the_shipped_folder_loads() {
    let loaded = Folder::shipped().load(&sources());
    assert!(loaded.is_ok(), "{:?}", loaded.err());
    assert!(loaded.unwrap().cases().len() > 20);
}

#[test]
fn each_mistake_in_a_policy_is_named_with_its_place() {
    let permit = "permit (principal, action == Action::\"query\", resource)";
    assert_eq!(policy(&format!("\n\n  {permit};")), at("missing_id", 3, 3));
    assert_eq!(policy(&format!("@id(\"a b\") {permit};")), at("wrong_id", 1, 1));
    assert_eq!(policy(&format!("@id(\"x\") {permit};\n@id(\"x\") {permit};")), at("duplicate_id", 2, 1));
    assert_eq!(policy(&format!("@id(\"core-never\") {permit};")), at("duplicate_id", 1, 1));
    assert_eq!(policy(&format!("@id(\"x\") @never {permit};")), at("never_outside_invariants", 1, 1));
    assert_eq!(policy("// one\n@id(\"x\") permit (principal == ?principal, action, resource);"), at("template", 2, 1));
    assert_eq!(policy(&format!("@id(\"x\") {permit}\nwhen {{ context.nonsense }};"))[0].0, "cedar_type");
    assert_eq!(policy(&format!("@id(\"x\") {permit}\nwhen {{ context.nonsense }};"))[0].2, 2);
    assert_eq!(policy(&format!("@id(\"x\") {permit}\nwhen {{ resource.grade > \"3\" }};"))[0].0, "cedar_type");
    assert_eq!(policy("@id(\"x\")\npermit (principal, action == Action::\"query\", resource is Item);")[0].0, "cedar_warning");
    let syntax = policy(&format!("@id(\"x\") {permit};\n@id(\"y\") permit (principal, action resource);"));
    assert_eq!((syntax[0].0, syntax[0].2), ("cedar_syntax", 2));
}

#[test]
fn a_name_that_the_folder_does_not_know_is_an_error() {
    for name in [
        "principal in Scenario::\"huosing\"",
        "principal in Department::\"nobody\"",
        "principal in Region::\"990999\"",
        "principal == Requester::\"housing-ap\"",
        "principal in Role::\"auditer\"",
        "principal in Grant::\"g-2026-9999\"",
        "resource in Class::\"civl\"",
        "resource == Resource::\"psb.populaton\"",
    ] {
        let found = policy(&format!("\n@id(\"x\") forbid (principal, action == Action::\"query\", resource) when {{ {name} }};"));
        assert_eq!(found, at("unknown_entity", 2, 1), "{name}");
    }
    let problems = {
        let mut sources = sources();
        let text = "@id(\"x\") forbid (principal in Scenario::\"huosing\", action == Action::\"query\", resource);";
        sources.policies.push(("x.cedar".into(), text.into()));
        Folder::shipped().load(&sources).expect_err("does not load")
    };
    assert_eq!(problems[0].help.as_ref().unwrap().en, "did you mean `housing`?");
}

#[test]
fn invariants_are_permits_marked_never() {
    let invariant = |text: &str| codes(|sources| sources.invariants.push(("x.cedar".into(), text.into())));
    assert_eq!(invariant("@id(\"x\") @never forbid (principal, action == Action::\"query\", resource);"), at("not_an_invariant", 1, 1));
    assert_eq!(invariant("@id(\"x\") permit (principal, action == Action::\"query\", resource);"), at("not_an_invariant", 1, 1));
    assert_eq!(
        invariant("@id(\"x\") @never permit (principal in Scenario::\"no\", action == Action::\"query\", resource);"),
        at("unknown_entity", 1, 1)
    );
}

#[test]
fn a_schema_that_no_longer_fits_the_model_is_a_load_error() {
    for (from, to) in [
        ("grade: Long, personal: Bool };", "grade: String, personal: Bool };"),
        ("operator_clearance: Long,", ""),
        ("action query, verify, bulk in [share]", "action query, verify, bulk"),
        ("entity Scenario { lead: Department,", "entity Scenario { owner: Department,"),
        ("entity Role;", "entity Role enum [\"auditor\"];"),
        ("grant?: Grant,", "grant: Grant,"),
        ("source: ipaddr", "source: ipaddr, more: Bool"),
    ] {
        let found = codes(|sources| {
            let changed = sources.schema.1.replacen(from, to, 1);
            assert_ne!(changed, sources.schema.1);
            sources.schema.1 = changed;
        });
        assert!(found.iter().all(|(code, file, ..)| *code == "schema_model" && file == "schema.cedarschema"), "{to}: {found:?}");
    }
    let broken = codes(|sources| sources.schema.1 = "\nentity Region in [Nowhere];".into());
    assert_eq!((broken[0].0, broken[0].2), ("cedar_schema", 2));
}

#[test]
fn a_case_about_what_is_not_there_is_an_error() {
    let case = |change: (&str, &str)| {
        let text = "[[cases]]\nname = \"n\"\nrequester = \"housing-app\"\nresource = \"psb.population\"\nkind = \"query\"\nscenario = \"housing\"\n\
                    time = \"2026-11-23T10:00:00+08:00\"\nexpect = \"allow\"\nitems = { name = \"mask\" }\ncircumstances = { network = \"x\" }\n";
        let text = text.replacen(change.0, change.1, 1);
        codes(|sources| sources.suites.push(("tests/x.toml".into(), text))).into_iter().map(|found| (found.0, found.2)).collect::<Vec<_>>()
    };
    assert_eq!(case(("housing-app", "housing-ap")), [("unknown_reference", 3)]);
    assert_eq!(case(("psb.population", "psb.popul")), [("unknown_reference", 4)]);
    assert_eq!(case(("\"query\"", "\"bulk\"")), [("unknown_operation", 5)]);
    assert_eq!(case(("expect = \"allow\"", "expect = \"denied\"")), [("wrong_value", 8)]);
    assert_eq!(case(("name = \"mask\"", "nam = \"mask\"")), [("unknown_reference", 9)]);
    assert_eq!(case(("network = \"x\"", "has_case = true")), [("unknown_key", 10)]);
    assert_eq!(case(("scenario = \"housing\"", "case = \"1\"")), [("wrong_value", 6)]);
    assert_eq!(case(("+08:00", "")), [("wrong_value", 7)]);
    assert_eq!(
        case(("resource = \"psb.population\"", "regions = { \"990202\" = false }\nresource = \"mca.elderly\"")),
        [("no_region_item", 4)]
    );
    assert_eq!(case(("kind =", "department = \"tax\"\nkind =")), [("wrong_value", 5)]);
}
