//! `kanhe policy test`: coverage, and cases drafted from the ledger.

use serde_json::{Value, json};

use super::support::World;
use super::support::nginx::NUMBER;

fn test(world: &World, args: &[&str]) -> (Option<i32>, Value) {
    let output = world.kanhe(&[&["--format", "json", "policy", "test"], args].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_drafted_from_an_entry_holds_and_covers_what_decided_it() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    let marriage = gateway.ask("POST", "/mca/marriage/query").token(&token).purpose("housing;case=%\"%e7%94%b2-1\"");
    let granted = marriage.json(format!(r#"{{"id_number":"{NUMBER}"}}"#)).send().await.receipt().index;
    let refused = gateway.ask("GET", "/psb/population").token(&token).purpose("patrol").send().await;
    let refused = refused.refused(403, "purpose_not_granted")["entry"].to_string();

    let mut suite = String::new();
    for index in [&granted.to_string(), &refused] {
        let output = world.kanhe(&["policy", "test", "--from-entry", index]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        suite.push_str(&String::from_utf8(output.stdout).unwrap());
    }
    assert!(suite.contains("case = \"甲-1\"") && suite.contains("expect = \"purpose_not_granted\""), "{suite}");
    world.folder.write("policies/tests/drafted.toml", &suite);
    let (exit, report) = test(&world, &["--coverage"]);
    assert_eq!((exit, &report["passed"], &report["failed"]), (Some(0), &json!(2), &json!(0)), "{suite}\n{report}");
    let coverage = &report["coverage"];
    let never: Vec<_> = coverage["never"].as_array().unwrap().iter().map(|policy| policy["id"].as_str().unwrap()).collect();
    let is_covered = |id: &&str| !never.contains(id);
    assert_eq!(["share-under-grant", "reveal-as-granted", "mask-as-granted"].iter().filter(|id| is_covered(id)).count(), 3, "{never:?}");
    assert_eq!(["number-in-full", "pseudonymise-as-granted"].iter().filter(|id| is_covered(id)).count(), 0, "{never:?}");
    assert_eq!(coverage["policies"].as_u64().unwrap(), coverage["decisive"].as_u64().unwrap() + never.len() as u64);

    // What refuses a wider form decides too, though the call is let pass.
    world.folder.write("policies/tests/number.toml", suite_of_population());
    let (exit, report) = test(&world, &["--coverage"]);
    let never = report["coverage"]["never"].to_string();
    assert_eq!((exit, never.contains("number-in-full"), never.contains("pseudonymise")), (Some(0), false, false), "{report}");

    // A case that no longer holds fails.
    world.edit("tests/drafted.toml", |text| text.replace("status = \"reveal\"", "status = \"mask\""));
    assert_eq!(test(&world, &[]).0, Some(1));
    assert_eq!(world.kanhe(&["policy", "test", "--from-entry", "0"]).status.code(), Some(2));
}

fn suite_of_population() -> String {
    "[[cases]]\nname = \"masked\"\nrequester = \"housing-app\"\nresource = \"psb.population\"\nkind = \"query\"\nscenario = \"housing\"\n\
     time = \"2026-11-23T10:00:00+08:00\"\nexpect = \"allow\"\nitems = { id_number = \"mask\", telephone = \"pseudonymise\" }\n"
        .to_owned()
}
