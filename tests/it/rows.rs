//! Rows by region: each caller sees the records of its own area and of its grant's regions, and the record says how many
//! were left out.

use serde_json::{Value, json};

use super::support::{Answer, Gateway, Speak, World, eventually};

async fn ask(gateway: &Gateway, token: &str, path: &str) -> Answer {
    gateway.ask("GET", path).token(token).purpose("housing").send().await
}

fn jia(world: &World) -> String {
    world.minter.token("jia-app", json!({}))
}

fn settled(world: &World, index: u64) -> Value {
    eventually("the share is settled", || {
        world.entries(&["--kind", "share.settled"]).into_iter().find(|line| line["entry"]["receipt_of"] == index)
    })["entry"]
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sees_its_own_area_and_no_more_than_its_grant() {
    let world = World::new();
    let gateway = world.serve();
    let city = json!({"data": [{"name": "甲一", "region": "990101"}, {"name": "甲二", "region": "990102"}]});
    // The province's system is cut down by its grant, by containment: 990202 lies in 990200.
    let province = json!({"data": [{"name": "甲一", "region": "990101"}, {"name": "乙", "region": "990202"}]});
    for (token, shown) in [(jia(&world), city), (world.housing(), province)] {
        for speak in [Speak::Http1, Speak::Http2] {
            let client = gateway.client().speaking(speak);
            let answer = gateway.ask("GET", "/psb/residents").token(&token).purpose("housing").by(&client).send().await;
            assert_eq!(answer.shared(), shown, "two records, as many as may leave at once: what was dropped does not count");
            assert_eq!(answer.field("share-disclosure"), "reveal=(name region)");
            let settled = settled(&world, answer.receipt().index);
            assert_eq!((&settled["records"], &settled["rows_dropped"], &settled["unfit"]), (&json!(2), &json!(5), &json!(0)), "{settled}");
            assert_eq!(settled["items"], json!({"name": {"reveal": 2}, "region": {"reveal": 2}}));
        }
    }
    assert!(!gateway.log().contains("甲一"));
    gateway.stop();
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_regions_are_registered_an_unknown_one_is_dropped() {
    let world = World::new();
    let region = |id: &str, parent: &str| {
        format!("[[regions]]\nid = \"{id}\"\nname = {{ zh = \"区划\", en = \"Region\" }}\nparent = \"{parent}\"\n")
    };
    let regions = [("990000", ""), ("990100", "990000"), ("990102", "990100"), ("990200", "990000"), ("990101", "990200")];
    let regions: String = regions.iter().map(|(id, parent)| region(id, parent)).collect();
    world.folder.write("policies/regions.toml", regions);
    let gateway = world.serve();
    // Registered under another city than its digits say; 990202 is not registered at all.
    assert_eq!(ask(&gateway, &jia(&world), "/psb/residents").await.shared(), json!({"data": [{"name": "甲二", "region": "990102"}]}));
    assert_eq!(ask(&gateway, &world.housing(), "/psb/residents").await.shared(), json!({"data": [{"name": "甲一", "region": "990101"}]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_decide_on_each_region() {
    let world = World::new();
    let gateway = world.serve();
    let policy = |text: &'static str| world.edit("base.cedar", move |policies| policies + text);
    policy("@id(\"no-east\") forbid (principal, action == Action::\"include\", resource == Rows::\"psb.residents@990102\");\n");
    gateway.reload();
    let east = ask(&gateway, &jia(&world), "/psb/residents").await;
    assert_eq!(east.shared(), json!({"data": [{"name": "甲一", "region": "990101"}]}));
    policy("@id(\"no-a\") forbid (principal, action == Action::\"include\", resource in Region::\"990100\");\n");
    gateway.reload();
    let none = ask(&gateway, &jia(&world), "/psb/residents").await;
    assert_eq!(none.shared(), json!({"data": []}));
    assert_eq!(settled(&world, none.receipt().index)["rows_dropped"], 7);
    // A policy that cannot be evaluated lets nothing pass.
    policy(
        "@id(\"errs\") forbid (principal, action == Action::\"include\", resource) when { principal.clearance + 9223372036854775807 < 0 };\n",
    );
    gateway.reload();
    let failed = ask(&gateway, &jia(&world), "/psb/residents").await;
    failed.refused(502, "disclosure_failed");
    assert!(gateway.log().contains("could not be decided"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_sees_no_further_than_a_query() {
    let world = World::new();
    let gateway = world.serve();
    let token = jia(&world);
    let ask = async |name: &str| {
        let claim = json!({ "name": name }).to_string();
        gateway.ask("POST", "/psb/residents/verify").token(&token).purpose("housing").json(claim).send().await.shared()["match"].clone()
    };
    assert_eq!(
        (ask("甲二").await, ask("乙").await, ask("无").await, ask("数").await),
        (json!(true), json!(false), json!(false), json!(false))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_records_are_graded_higher_than_one() {
    let world = World::new();
    let gateway = world.serve();
    for (path, grade) in [("/psb/residents", 2), ("/psb/residents/all", 3)] {
        let answer = ask(&gateway, &jia(&world), path).await;
        answer.shared();
        let entry = world.entry(answer.receipt().index)["entry"].clone();
        assert_eq!((&entry["grade"], &entry["effective_grade"]), (&json!(2), &json!(grade)), "{path}");
    }
}

#[test]
fn officers_test_what_each_region_gets() {
    let world = World::new();
    let case = |regions: &str| {
        let case = format!(
            "[[cases]]\nname = \"rows\"\nrequester = \"jia-app\"\nresource = \"psb.residents\"\nkind = \"query\"\nscenario = \"housing\"\n\
             time = \"2026-11-23T10:00:00+08:00\"\nexpect = \"allow\"\nregions = {regions}\n"
        );
        world.folder.write("policies/tests/rows.toml", case);
        let output = world.kanhe(&["--format", "json", "--lang", "en", "policy", "test"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), report["cases"][0].clone())
    };
    let (code, told) = case("{ \"990102\" = true, \"990202\" = false, \"x\" = false }");
    assert_eq!((code, &told["regions"]), (Some(0), &json!({"990102": true, "990202": false, "x": false})), "{told}");
    let (code, told) = case("{ \"990102\" = false }");
    assert_eq!((code, &told["differences"]), (Some(1), &json!(["records of region 990102: expected dropped, found shown"])));
}

#[test]
fn officers_are_told_why_a_region_is_dropped() {
    let world = World::new();
    let call = ["policy", "explain", "--requester", "jia-app", "--resource", "psb.residents", "--scenario", "housing"];
    let regions = ["--region", "990102", "--region", "990202", "--region", "x"];
    let output = world.kanhe(&[&["--format", "json", "--lang", "en"], &call[..], &regions].concat());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = told["regions"].as_array().unwrap();
    let included: Vec<_> = told.iter().map(|region| (region["code"].as_str().unwrap(), region["included"].as_bool().unwrap())).collect();
    assert_eq!(included, [("990102", true), ("990202", false), ("x", false)]);
    let by = |region: &Value| region["asked"]["policies"][0]["id"].clone();
    assert_eq!(by(&told[0]), "rows-as-granted");
    assert!(by(&told[1]) == "rows-own-area" || told[1]["not_asked"].as_str().unwrap().contains("covers the regions"), "{told:?}");
    assert_eq!(told[2]["not_asked"], "the code is no registered region");
    let output = world.kanhe(&[&["--lang", "zh"], &call[..], &regions].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("990102：提供") && text.contains("990202：不提供"), "{text}");
}
