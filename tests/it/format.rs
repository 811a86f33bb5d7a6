//! `kanhe policy format` and `strict`, and the line that `kanhe check` shows.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use super::support::World;

#[test]
fn files_are_laid_out_once_and_editors_get_them_through_a_pipe() {
    let world = World::new();
    let file = world.folder.path().join("policies/base.cedar");
    let messy = std::fs::read_to_string(&file).unwrap().replace("permit (principal, ", "permit(principal,") + "// the end\n";
    std::fs::write(&file, &messy).unwrap();
    let output = world.kanhe(&["policy", "format", "--check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("base.cedar"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), messy, "`--check` changes nothing");

    assert_eq!(world.kanhe(&["policy", "format"]).status.code(), Some(0));
    let formatted = std::fs::read_to_string(&file).unwrap();
    assert!(
        formatted != messy && formatted.contains("// the end") && formatted.contains("// What the tests' shares rest on"),
        "{formatted}"
    );
    assert_eq!(world.kanhe(&["policy", "format", "--check"]).status.code(), Some(0));
    assert_eq!(world.kanhe(&["check"]).status.code(), Some(0), "the formatted folder still loads");
    assert!(!world.folder.files().iter().any(|(path, _)| path.ends_with(".new")), "nothing is left behind");

    let mut child = world.command(&["policy", "format", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(messy.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stdout).unwrap()), (Some(0), formatted));

    std::fs::write(&file, "@id(\"a\") permit (principal, action, resource) when { context. };\n").unwrap();
    let output = world.kanhe(&["policy", "format"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(told.contains("base.cedar:1:"), "{told}");
    assert_eq!(world.kanhe(&["policy", "format", "/nowhere.cedar"]).status.code(), Some(2));
}

#[test]
fn people_see_the_line_that_is_wrong() {
    let world = World::new();
    world.edit("base.cedar", |text| text.replace("context.has_case && context", "context.has_csae && context"));
    let output = world.kanhe(&["--lang", "en", "check"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = told.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("base.cedar:")).unwrap_or_else(|| panic!("{told}"));
    let (number, column) = {
        let mut parts = lines[at].split(':').skip(1).map(|number| number.parse::<usize>());
        (parts.next().unwrap().unwrap(), parts.next().unwrap().unwrap())
    };
    assert!(lines[at + 1].starts_with(&format!("  {number} | ")) && lines[at + 1].contains("has_csae"), "{told}");
    let offset = format!("  {number} | ").len() + column - 1;
    assert_eq!(lines[at + 2].find('^'), Some(offset), "{told}");
    assert!(told.contains("has_case"), "what was probably meant: {told}");
}

#[test]
fn conditions_beyond_the_published_ones_are_found_by_deciding() {
    let world = World::new();
    let strict = |args: &[&str]| -> (Option<i32>, Value) {
        let output = world.kanhe(&[&["--format", "json", "policy", "strict"], args].concat());
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    };
    let of = |report: &Value, resource: &str, policy: &Value| {
        report["stricter"].as_array().unwrap().iter().find(|found| found["resource"] == resource && found["policy"] == *policy).cloned()
    };
    let (exit, report) = strict(&[]);
    let found = of(&report, "psb.population", &json!("number-in-full")).unwrap_or_else(|| panic!("{report}"));
    assert_eq!(
        (exit, &found["items"], &found["refuses"], &found["grant"]),
        (Some(1), &json!(["id_number"]), &json!(false), &json!("g-002"))
    );
    assert_eq!(found["published"], Value::Null);

    // A policy that quotes what the resource publishes carries it out.
    world.edit("base.cedar", |text| {
        text.replace("@id(\"number-in-full\")", "@id(\"number-in-full\")\n@condition(\"patrol; housing security\")")
    });
    let (_, report) = strict(&[]);
    assert_eq!(of(&report, "psb.population", &json!("number-in-full")), None, "{report}");
    let (_, report) = strict(&["--all"]);
    assert_eq!(of(&report, "psb.population", &json!("number-in-full")).unwrap()["published"], "housing security");

    // On an unconditional resource there is nothing to quote.
    let divisions = "@id(\"daytime\")\n@condition(\"housing security\")\nforbid (principal, action in Action::\"share\", resource == Resource::\"mca.divisions\")\nunless { context.work_time };\n";
    world.folder.write("policies/more.cedar", divisions);
    let (exit, report) = strict(&[]);
    let found = of(&report, "mca.divisions", &json!("daytime")).unwrap_or_else(|| panic!("{report}"));
    assert_eq!((exit, &found["sharing"], &found["refuses"]), (Some(1), &json!("unconditional"), &json!(true)));
    let output = world.kanhe(&["--lang", "zh", "policy", "strict"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("不得另加条件"));
}
