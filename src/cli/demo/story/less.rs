//! Steps 3b and 3c: needing less than a query gives: a claim verified, and a city that sees its own.

use serde_json::{Value, json};

use super::super::Trouble;
use super::super::client::{Answer, Call};
use super::super::people::{PEOPLE, applicant};
use super::step::{Step, text};
use super::{Scene, Stage};

/// In the order told.
pub(super) static SCENES: [Scene; 2] = [
    (
        "3b",
        ("核验婚姻状态：只回答是否一致", "a marital status is verified: yes or no, nothing else"),
        (
            "婚姻登记信息留在民政部门；一致与不一致的答复长度相同，共享台账也不记载是哪一种。",
            "The register's content stays where it is; yes and no have one length, and the ledger does not say which it was.",
        ),
        verified,
    ),
    (
        "3c",
        ("甲市住房部门查人口库：只见本市记录", "City A's housing office lists the population register: its own records only"),
        (
            "授权 g-2026-0003 限甲市（990100）；其他区划的记录逐条去掉并计数。",
            "Grant g-2026-0003 is for City A (990100); records of other regions are dropped one by one, and counted.",
        ),
        own_rows,
    ),
];

/// A claim about the applicant.
pub(super) fn claim(status: &str) -> Call {
    let claim = json!({ "id_number": applicant().id_number(), "status": status });
    Call::post("/mca/marriage/verify", claim).token("housing").purpose("housing")
}

/// The register as City A may list it.
pub(super) fn city() -> Call {
    Call::get("/psb/population").token("housing-jia").purpose("housing")
}

fn verified(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let yes = stage.call(step, &claim("married"))?;
    step.shared(&yes);
    step.equal("一致", "it is so", json!({ "match": true }), yes.json());
    let no = stage.call(step, &claim("single"))?;
    step.shared(&no);
    step.equal("不一致", "it is not", json!({ "match": false }), no.json());
    step.equal("答复长度相同", "both of one length", yes.content.len(), no.content.len());
    if let Some(index) = yes.receipt() {
        step.equal("台账记载比对了什么", "the ledger says what was compared", r#"{"status":"compare"}"#, &stage.entry(index)?["items"]);
    }
    Ok(())
}

fn own_rows(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let answer = stage.call(step, &city())?;
    step.shared(&answer);
    let own: Vec<&str> = PEOPLE.iter().map(|person| person.region()).filter(|region| region.starts_with("9901")).collect();
    step.equal("只有甲市的记录", "City A's records only", own.join(" "), regions(&answer).join(" "));
    Ok(())
}

fn regions(answer: &Answer) -> Vec<String> {
    let content = answer.json();
    let rows = content["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    rows.iter().map(|row: &Value| text(&row["region_code"]).to_owned()).collect()
}
