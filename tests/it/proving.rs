//! `kanhe policy prove` and `diff`: on the starting policies, on a planted hole that tests do not catch and that the
//! running gateway indeed falls into, and where there is no solver.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::support::nginx::NUMBER;
use super::support::{Client, World};

const STARTING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");

fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

fn property<'r>(report: &'r Value, id: &str) -> &'r Value {
    report["properties"].as_array().unwrap().iter().find(|property| property["id"] == id).unwrap_or_else(|| panic!("{report}"))
}

#[test]
fn the_starting_policies_are_proved() {
    let world = World::new();
    let output = world.kanhe(&["--lang", "en", "policy", "prove", "--quick", STARTING]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("proved     invariants/core.cedar:3: core-never-disclosed (query, verify, bulk, reveal"), "{told}");
    assert!(told.contains("solver: cvc5 ") && told.contains("0 refuted, 0 not proved"), "{told}");
    assert!(told.contains("does not cover what binding refuses"), "{told}");
}

#[test]
fn what_cannot_be_asked_is_no_proof() {
    let world = World::new();
    let args = ["policy", "prove", "--only", "core-never-disclosed", STARTING];
    let output = world.kanhe(&[&["--lang", "zh"], &args[..], &["--solver", "/nonexistent/cvc5"]].concat());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("未证明") && told.contains("apt-get install cvc5") && told.contains("/nonexistent/cvc5"), "{told}");
    for wrong in [&["--timeout", "soon"][..], &["--timeout", "5"], &["--only", "no-such-invariant"], &["/nonexistent/folder"]] {
        let output = world.kanhe(&[&["policy", "prove"], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!output.stderr.is_empty(), "{wrong:?}");
    }
}

/// A duty officer of level 4 may see the number at once. Nobody thought of the case that is then missing.
const HOLE: [(&str, &str); 2] = [
    (
        "when { resource.grade >= 4 && !context.has_case }",
        "when { resource.grade >= 4 && !context.has_case && context.operator_clearance < 4 }",
    ),
    ("unless { context.has_case &&", "unless { (context.has_case || context.operator_clearance >= 4) &&"),
];

/// The starting base policies on the tests' own data, with this world's rule for the number, an invariant about it, and
/// test cases from both sides.
fn write_policies(world: &World) {
    let base = std::fs::read_to_string(Path::new(STARTING).join("base.cedar")).unwrap();
    world.edit("base.cedar", |own| {
        let rule = own.split("\n\n").find(|policy| policy.starts_with("@id(\"number-in-full\")")).unwrap();
        format!("{base}\n{rule}\n")
    });
    let invariant = "@id(\"number-only-with-case\") @never permit (principal, action == Action::\"reveal\", \
                     resource == Item::\"psb.population#id_number\") when { !context.has_case };";
    world.folder.write("policies/invariants/number.cedar", invariant);
    let case = |name: &str, more: &str, clearance: u8, form: &str| {
        format!(
            "[[cases]]\nname = \"{name}\"\nrequester = \"housing-app\"\nresource = \"psb.population\"\nkind = \"query\"\n\
             scenario = \"housing\"\ntime = \"2026-11-23T10:00:00+08:00\"\nexpect = \"allow\"\n{more}\n\
             circumstances = {{ network = \"government\", operator_clearance = {clearance} }}\nitems = {{ id_number = \"{form}\" }}\n"
        )
    };
    let cases = [
        case("with a case", "case = \"2026-000123\"", 3, "reveal"),
        case("without a case", "", 3, "mask"),
        case("an operator of level 2", "case = \"2026-000123\"", 2, "mask"),
        case("the duty officer with a case", "case = \"2026-000123\"", 4, "reveal"),
    ];
    world.folder.write("policies/tests/number.toml", cases.concat());
}

fn prove(world: &World) -> Output {
    world.kanhe(&["--format", "json", "policy", "prove", "--only", "number-only-with-case"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_that_tests_miss_is_refused_with_a_call_that_the_gateway_grants() {
    let world = World::new();
    write_policies(&world);
    let output = prove(&world);
    assert_eq!(output.status.code(), Some(0), "{}", report(&output));

    let planted = |text: String| {
        HOLE.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        })
    };
    copy(&world.folder.path().join("policies"), &world.folder.path().join("before"));
    world.edit("base.cedar", planted);
    let output = world.kanhe(&["policy", "test"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));

    let output = prove(&world);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    let refuted = property(&report, "number-only-with-case");
    assert_eq!(refuted["verdict"], "refuted", "{report}");
    assert_eq!(refuted["counterexample"]["request"]["context"]["has_case"], false, "{report}");
    let call = &refuted["counterexample"]["call"];
    let given = &call["circumstances"];
    assert_eq!((&call["requester"], &call["item"], &call["case"]), (&json!("housing-app"), &json!("id_number"), &json!(false)), "{call}");

    // The call, made as it was told.
    let gateway = world.serve();
    let operator = json!({ "operator": "officer-1", "operator_clearance": given["operator_clearance"] });
    let token = world.minter.token(call["requester"].as_str().unwrap(), operator);
    let (method, target) = call["target"].as_str().unwrap().split_once(' ').unwrap();
    assert_eq!(given["network"], "government");
    let client: Client = gateway.client().calling_from([127, 0, 0, 2]);
    let answer = gateway.ask(method, target).by(&client).token(&token).purpose(call["scenario"].as_str().unwrap()).send().await;
    assert_eq!(answer.shared()["data"][0]["id_number"], NUMBER);

    // The difference shows it too, as something that only the new version allows.
    let before = world.folder.path().join("before");
    let (from, to) = (before.to_str().unwrap(), world.folder.path().join("policies"));
    let output = world.kanhe(&["--format", "json", "policy", "diff", "--from", from, "--to", to.to_str().unwrap()]);
    let diff = self::report(&output);
    assert_eq!((output.status.code(), &diff["same"]), (Some(1), &json!(false)), "{diff}");
    for action in diff["actions"].as_array().unwrap() {
        let expected = if action["action"] == "reveal" { "wider" } else { "equivalent" };
        assert_eq!(action["change"], expected, "{diff}");
    }
    assert_eq!(diff["policies"]["changed"], json!(["grade-4-in-full-needs-case", "number-in-full"]));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn a_folder_differs_from_itself_in_nothing_and_from_none_is_trouble() {
    let world = World::new();
    let folder = world.folder.path().join("policies");
    let folder = folder.to_str().unwrap();
    let output = world.kanhe(&["--lang", "en", "policy", "diff", "--from", folder, "--to", folder, "--own"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("both allow the same") && !told.contains("wider"), "{told}");
    let output = world.kanhe(&["policy", "diff", "--from", folder, "--to", "/nonexistent/folder"]);
    assert_eq!(output.status.code(), Some(2));
}
