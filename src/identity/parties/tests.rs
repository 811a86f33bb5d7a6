//! The loader of the parties: what it reads, and each mistake with its code and place.

use std::sync::Arc;

use super::{CertificateRule, Parties, parent_by_code};
use crate::lang::Lang;
use crate::written::Problems;

const DEPARTMENTS: &str = r#"
roles = ["officer"]
[[departments]]
id = "housing"
name = { zh = "示例省住房和城乡建设厅", en = "Housing" }
tier = "province"
region = "990000"
code = "11990000000000033C"
parent = ""
authority = false
[[departments]]
id = "housing-jia"
name = { zh = "示例省甲市住房和城乡建设局", en = "Housing of City A" }
tier = "city"
region = "990102"
code = "11990100000000044D"
parent = "housing"
authority = true
"#;

const REQUESTERS: &str = r#"
[[requesters]]
id = "platform-app"
department = "housing"
serves = ["housing-jia"]
name = { zh = "数据共享平台", en = "Sharing platform" }
clearance = 3
roles = ["auditor"]
certificate = "subject:CN=platform"
status = "active"
"#;

fn load(departments: &str, requesters: &str, regions: Option<&str>) -> (Parties, Vec<String>) {
    let problems = Problems::default();
    let regions = regions.map(|text| ("regions.toml", text));
    let parties = Parties::load(Some(("departments.toml", departments)), Some(("requesters.toml", requesters)), regions, &problems);
    let (errors, _) = problems.into_parts();
    (parties, errors.iter().map(|problem| format!("{} {}", problem.code, problem.line(Lang::En))).collect())
}

fn errors(departments: &str, requesters: &str, regions: Option<&str>) -> Vec<String> {
    load(departments, requesters, regions).1
}

#[test]
fn the_parties_are_read_with_their_relations() {
    let (parties, errors) = load(DEPARTMENTS, REQUESTERS, None);
    assert_eq!(errors, [] as [&str; 0]);
    let app = &parties.requesters["platform-app"].value;
    assert_eq!(&*app.department.id, "housing");
    assert_eq!(app.certificate, Some(CertificateRule::CommonName("platform".into())));
    assert!(app.calls_for("housing-jia").is_some_and(|department| department.authority));
    assert!(app.calls_for("elsewhere").is_none());
    assert_eq!(parties.roles.iter().map(|role| &**role).collect::<Vec<_>>(), ["auditor", "officer"]);
    assert_eq!(parties.time_zone.iana_name(), Some("Asia/Shanghai"));
    assert_eq!(parties.by_certificate(&[0; 32], Some("platform")).map(|app| &*app.id), Some("platform-app"));
    assert!(parties.by_certificate(&[0; 32], Some("other")).is_none());
}

#[test]
fn regions_without_their_file_are_known_by_code() {
    let (parties, _) = load(DEPARTMENTS, REQUESTERS, None);
    let known = |code: &str| parties.region_chain(code).iter().map(|code| code.to_string()).collect::<Vec<_>>();
    assert_eq!(known("990102"), ["990102", "990100", "990000"]);
    assert_eq!(known("990202"), ["990202", "990200", "990000"]);
    assert_eq!(known("990102001003"), ["990102001003", "990102001000", "990102", "990100", "990000"]);
    assert_eq!(known("1"), ["1"]);
    assert_eq!(parties.regions["990102"].parent.as_deref(), Some("990100"));
    assert!(parties.regions.contains_key("990100"));
    assert_eq!(parent_by_code("990102000").as_deref(), Some("990102"));
    assert_eq!(parent_by_code("9901020100"), Some("990102".to_owned()));
}

#[test]
fn regions_with_their_file_are_those_alone() {
    let regions = "[[regions]]\nid = \"990000\"\nname = { zh = \"示例省\", en = \"Example Province\" }\nparent = \"\"\n";
    let (parties, errors) = load(DEPARTMENTS, REQUESTERS, Some(regions));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("dangling_reference departments.toml:15:10: region `990102` is not registered"), "{errors:?}");
    assert_eq!(parties.region_chain("990102"), [Arc::from("990102")]);
}

#[test]
fn a_missing_file_is_an_error() {
    let problems = Problems::default();
    Parties::load(None, None, None, &problems);
    let (errors, _) = problems.into_parts();
    assert_eq!(errors.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["missing_file", "missing_file"]);
}

#[test]
fn an_id_registered_twice_is_an_error() {
    let twice = DEPARTMENTS.replace("\"housing-jia\"", "\"housing\"").replace("parent = \"housing\"", "parent = \"\"");
    let requesters = REQUESTERS.replace("[\"housing-jia\"]", "[]");
    let requesters = format!("{requesters}{requesters}").replacen("subject:CN=platform", "subject:CN=other", 1);
    let errors = errors(&twice, &requesters, None);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors.iter().all(|error| error.starts_with("duplicate_id")), "{errors:?}");
}

#[test]
fn a_dangling_reference_names_the_nearest() {
    let departments = DEPARTMENTS.replace("parent = \"housing\"", "parent = \"housin\"");
    let requesters = REQUESTERS.replace("[\"housing-jia\"]", "[\"housing-jja\"]");
    let errors = errors(&departments, &requesters, None);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].ends_with("department `housin` is not registered (did you mean `housing`?)"), "{errors:?}");
    assert!(errors[1].ends_with("department `housing-jja` is not registered (did you mean `housing-jia`?)"), "{errors:?}");
}

#[test]
fn a_ring_of_parents_is_reported_once() {
    let departments = DEPARTMENTS.replacen("parent = \"\"", "parent = \"housing-jia\"", 1);
    let errors = errors(&departments, REQUESTERS, None);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("parent_cycle departments.toml:9:10"), "{errors:?}");
    let regions = "[[regions]]\nid = \"990000\"\nname = { zh = \"省\", en = \"P\" }\nparent = \"990102\"\n\
         [[regions]]\nid = \"990102\"\nname = { zh = \"区\", en = \"D\" }\nparent = \"990000\"\n";
    let (parties, errors) = load(DEPARTMENTS, REQUESTERS, Some(regions));
    assert!(errors[0].starts_with("parent_cycle regions.toml:4:10"), "{errors:?}");
    assert_eq!(parties.region_chain("990102").len(), 2);
}

#[test]
fn a_certificate_names_one_requester() {
    let second = REQUESTERS.replace("platform-app", "other-app");
    let errors = errors(DEPARTMENTS, &format!("{REQUESTERS}{second}"), None);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("duplicate_certificate requesters.toml:19:15"), "{errors:?}");
}

#[test]
fn wrong_values_are_told_apart() {
    let departments = format!("time_zone = \"Asia/Atlantis\"\n{DEPARTMENTS}");
    let requesters = REQUESTERS
        .replace("clearance = 3", "clearance = 5")
        .replace("subject:CN=platform", "sha256:00")
        .replace("\"auditor\"", "\"no role\"")
        .replace("\"active\"", "\"retired\"");
    let errors = errors(&departments, &requesters, None);
    let codes: Vec<&str> = errors.iter().map(|error| error.split(' ').next().unwrap()).collect();
    assert_eq!(codes, ["wrong_value", "wrong_value", "wrong_id", "wrong_value", "wrong_value"], "{errors:?}");
}

#[test]
fn an_unknown_key_is_an_error() {
    let requesters = REQUESTERS.replace("clearance", "clearence");
    let errors = errors(DEPARTMENTS, &requesters, None);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].ends_with("unknown key `requesters.clearence` (did you mean `clearance`?)"), "{errors:?}");
}
