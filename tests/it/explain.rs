//! `kanhe policy explain`: what it says of recorded calls and of supposed ones, and that the gateway does as it says.

use serde_json::{Value, json};

use super::support::nginx::NUMBER;
use super::support::{Gateway, World};

/// Exit code and report.
fn explain(world: &World, args: &[&str]) -> (Option<i32>, Value) {
    let output = world.kanhe(&[&["--format", "json", "--lang", "en", "policy", "explain"], args].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

/// A call for a person's record, by an operator of access level 3, from the government network.
fn population<'a>(gateway: &'a Gateway, world: &World, purpose: &str) -> super::support::Ask<'a> {
    let token = world.minter.token("housing-app", json!({"operator": "op-7", "operator_clearance": 3}));
    let ask = gateway.ask("GET", "/psb/population").token(&token).purpose(purpose);
    ask.by(&gateway.client().calling_from([127, 0, 0, 2]))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_fact_that_it_names_indeed_changes_the_answer() {
    let world = World::new();
    let gateway = world.serve();
    let index = population(&gateway, &world, "housing").send().await.receipt().index;
    let (exit, told) = explain(&world, &[&index.to_string()]);
    assert_eq!((exit, &told["outcome"], &told["recorded"]), (Some(0), &json!("allow"), &json!("allow")));
    assert_eq!((&told["index"], &told["snapshot"]), (&json!(index), &json!(gateway.snapshot)));

    // The call itself, by which policy, and what that read.
    let by = &told["share"]["policies"][0];
    assert_eq!((&by["id"], &by["determining"], &by["file"]), (&json!("share-under-grant"), &json!(true), &json!("base.cedar")));
    assert!(by["text"].as_str().unwrap().contains("context has grant"), "{by}");
    let fact = by["facts"].as_array().unwrap().iter().find(|fact| fact["text"] == "principal.clearance >= resource.grade").unwrap();
    assert_eq!((&fact["holds"], &fact["reads"]["principal.clearance"]), (&json!(true), &json!("4")));

    // Why the number is masked: what refused the wider form, and which of its conditions fails.
    let item = told["items"].as_array().unwrap().iter().find(|item| item["name"] == "id_number").unwrap();
    assert_eq!(item["form"], "mask");
    let refused = &item["steps"][0]["asked"]["policies"][0];
    assert_eq!((&item["steps"][0]["form"], &refused["id"]), (&json!("reveal"), &json!("number-in-full")));
    let failing: Vec<_> =
        refused["facts"].as_array().unwrap().iter().filter(|fact| fact["holds"] == false).map(|fact| &fact["text"]).collect();
    assert_eq!(failing, ["context.has_case"]);

    // With the fact that it names the gateway does what it says.
    let flips = told["flips"].as_array().unwrap();
    let case = flips.iter().find(|flip| flip["fact"] == "case").unwrap_or_else(|| panic!("{flips:#?}"));
    assert_eq!((&case["outcome"], &case["items"]["id_number"]), (&json!("allow"), &json!({"from": "mask", "to": "reveal"})));
    let answer = population(&gateway, &world, "housing;case=\"2026-1\"").send().await;
    assert!(answer.shared().to_string().contains(NUMBER));

    // That one in full: each single condition is named as what it rests on.
    let (_, told) = explain(&world, &[&answer.receipt().index.to_string()]);
    let narrowing: Vec<_> = told["flips"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|flip| flip["items"]["id_number"]["to"] == "mask")
        .map(|flip| &flip["fact"])
        .collect();
    assert_eq!(narrowing, ["work_time", "network", "operator_clearance", "case"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_explained_in_the_words_that_the_caller_read() {
    let world = World::new();
    let gateway = world.serve();
    let token = world.housing();
    let refusal = gateway.ask("GET", "/psb/population").token(&token).purpose("patrol").field("accept-language", "en").send().await;
    let document = refusal.refused(403, "purpose_not_granted");
    let (exit, told) = explain(&world, &[&document["entry"].to_string()]);
    assert_eq!((exit, &told["outcome"], &told["detail"]), (Some(1), &json!("purpose_not_granted"), &document["detail"]));
    assert_eq!(told["would_work"], document["would_work"]);
    assert_eq!(told["share"], Value::Null, "no policy was asked");
    let flips = told["flips"].as_array().unwrap();
    assert!(flips.iter().any(|flip| flip["fact"] == "scenario" && flip["to"] == "housing" && flip["outcome"] == "allow"), "{flips:#?}");

    // The policy is changed afterwards: an old entry is still explained by the snapshot that decided it.
    world.edit("base.cedar", |text| text.replace("@id(\"share-under-grant\")", "@id(\"share-anew\")"));
    assert!(gateway.reload().starts_with("snapshot "));
    let (_, again) = explain(&world, &[&document["entry"].to_string()]);
    assert_eq!((&again["snapshot"], &again["flips"]), (&json!(gateway.snapshot), &told["flips"]));

    // Where nothing permits, what could have is shown with what it lacks, and a new grant is tried.
    let ungranted = gateway.ask("GET", "/ungranted").token(&token).purpose("housing").field("accept-language", "zh").send().await;
    let document = ungranted.refused(403, "policy_denied");
    let output = world.kanhe(&["--format", "json", "--lang", "zh", "policy", "explain", &document["entry"].to_string()]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &told["detail"]), (Some(1), &document["detail"]));
    let permit = &told["share"]["policies"][0];
    let lacking = json!({"text": "context has grant", "holds": false, "reads": {}});
    assert_eq!((&permit["effect"], &permit["determining"], &permit["facts"][0]), (&json!("permit"), &json!(false), &lacking));
    assert!(told["flips"].as_array().unwrap().iter().any(|flip| flip["fact"] == "grant" && flip["outcome"] == "allow"), "{told}");

    // What is no call is said to be none.
    let output = world.kanhe(&["--lang", "zh", "policy", "explain", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("不是调用的记录"));
    assert_eq!(world.kanhe(&["policy", "explain", "999"]).status.code(), Some(2));
}

#[test]
fn a_supposed_call_needs_no_ledger_and_people_can_read_why() {
    let world = World::new();
    let call = ["--requester", "housing-app", "--resource", "psb.population", "--scenario", "housing", "--operator-clearance", "3"];
    let circumstances = ["--time", "2026-11-23T10:00:00+08:00", "--network", "government", "--case", "2026-1"];
    let (exit, told) = explain(&world, &[&call[..], &circumstances].concat());
    assert_eq!((exit, &told["outcome"], &told["index"]), (Some(0), &json!("allow"), &Value::Null));
    assert_eq!(told["items"].as_array().unwrap().iter().find(|item| item["name"] == "id_number").unwrap()["form"], "reveal");

    for (lang, words) in [
        ("en", ["let pass", "reveal: no, forbidden by", "one fact that would change this"]),
        ("zh", ["放行", "不可以，被禁止", "单独改变一处"]),
    ] {
        let output = world.kanhe(&[&["--lang", lang, "policy", "explain"][..], &call].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        assert!(text.contains("number-in-full  base.cedar:"), "{text}");
    }

    for (args, word) in [
        (&["--requester", "housing-ap", "--resource", "psb.population"][..], "did you mean `housing-app`?"),
        (&["--requester", "housing-app", "--resource", "psb.population", "--department", "mca"], "neither belongs"),
        (&["--requester", "housing-app", "--resource", "psb.population", "--kind", "bulk"], "it has query"),
        (&["--requester", "housing-app", "--resource", "psb.population", "--time", "noon"], "--time noon"),
        (&["--who", "--item", "psb.population"], "RESOURCE#ITEM"),
        (&["--requester", "housing-app", "--resource", "psb.population", "--network", "goverment"], "did you mean `government`?"),
        (&["--who"], "--item"),
        (&["--department", "housing", "--region", "990102"], "`--region` goes with"),
        (&[], "--requester"),
    ] {
        let output = world.kanhe(&[&["--lang", "en", "policy", "explain"], args].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(word), "{args:?}: {text}");
    }
}

#[test]
fn who_may_get_an_item_is_found_with_the_least_that_it_takes() {
    let world = World::new();
    let (exit, told) = explain(&world, &["--who", "--item", "psb.population#id_number", "--scenario", "housing"]);
    assert_eq!(exit, Some(0), "{told}");
    let row = told["rows"].as_array().unwrap().iter().find(|row| row["requester"] == "housing-app").unwrap();
    assert_eq!((&row["grant"], &row["department"], &row["cut"]), (&json!("g-002"), &json!("housing"), &json!(false)));
    let needs = json!({"case": "true", "network": "government", "operator_clearance": "3", "work_time": "true"});
    assert_eq!(row["items"], json!({"id_number": [{"form": "reveal", "needs": needs}, {"form": "mask", "needs": {}}]}));

    let (exit, told) = explain(&world, &["--department", "housing"]);
    assert_eq!(exit, Some(0));
    assert!(told["rows"].as_array().unwrap().iter().all(|row| row["department"] == "housing"), "{told}");
    assert!(told["rows"].as_array().unwrap().iter().any(|row| row["resource"] == "mca.marriage"));
    let (exit, told) = explain(&world, &["--who", "--item", "psb.population#id_number", "--scenario", "patrol"]);
    assert_eq!((exit, told["rows"].as_array().unwrap().len()), (Some(1), 0), "{told}");
}
