//! Steps 1 to 3: the card that both sharing offices sign, and housing's way to a number in full.

use serde_json::Value;

use super::super::Trouble;
use super::super::client::Answer;
use super::super::people::applicant;
use super::super::world::{self, Hours};
use super::step::{Step, text};
use super::{Scene, Stage, population, population_in_full};

/// In the order told.
pub(super) static SCENES: [Scene; 5] = [
    (
        "1",
        ("婚姻登记信息的共享卡片", "the card of the marriage register"),
        (
            "双方共享工作机构签字的一页：数据项与提供形式、范围、次数、期限和依据，由控制文件夹直接生成。",
            "The page that both sharing offices sign: items and forms, quota, term and basis, straight from the control folder.",
        ),
        card,
    ),
    (
        "2a",
        ("住房保障查询人口库：脱敏", "housing asks the population register: masked"),
        (
            "授权 g-2026-0002：姓名、身份证号脱敏，不含电话；数源部门多给的内容一律不返回。",
            "Grant g-2026-0002: name and number masked, no telephone; whatever else the register answers is omitted.",
        ),
        masked,
    ),
    (
        "2b",
        (
            "有业务编号、三级经办人、工作时间、政务网络：号码全显",
            "case, level-3 operator, working time, government network: the full number",
        ),
        (
            "策略要求四个条件同时满足；工作日历由演示改写，因此与真实时刻无关。",
            "The policy wants all four at once; the demo rewrites the work calendar, so the real hour does not matter.",
        ),
        in_full,
    ),
    (
        "2c",
        ("非工作时间：重新脱敏，并说明原因", "outside working time: masked again, and why"),
        (
            "同一调用，只改 calendar.toml 并重新加载；Share-Disclosure 和共享台账都写明是哪条策略收窄了提供形式。",
            "The same call after one change to calendar.toml; Share-Disclosure and the ledger name the policy that narrowed the form.",
        ),
        outside_hours,
    ),
    (
        "3",
        ("同一令牌改用巡查场景：未放行", "the same token under patrol: refused"),
        (
            "住房部门不在“patrol”场景的参与部门之列；回复指出本系统可用的场景“housing”。",
            "Housing takes no part in `patrol`; the refusal names `housing`, the scenario that would work.",
        ),
        patrol,
    ),
];

fn card(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let printed = stage.run(step, &["catalogue", "card", "mca.marriage"], "")?;
    step.equal("退出码", "exit code", "0", printed.code.map_or_else(String::new, |code| code.to_string()));
    for part in ["mca.marriage", "g-2026-0001"] {
        let name = if printed.out.contains(part) { part } else { "" };
        step.equal("卡片列出资源与授权", "the card names resource and grant", part, name);
    }
    Ok(())
}

fn person(answer: &Answer) -> Value {
    answer.json()["data"][0].clone()
}

/// The first six and the last four stay.
fn masked_number() -> String {
    let number = applicant().id_number();
    let ends = number.get(..6).zip(number.get(14..));
    ends.map_or_else(String::new, |(first, last)| format!("{first}********{last}"))
}

/// The family name stays.
fn masked_name() -> String {
    applicant().name.chars().enumerate().map(|(at, character)| if at == 0 { character } else { '*' }).collect()
}

fn masked(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let answer = stage.call(step, &population().token("housing").purpose("housing"))?;
    step.shared(&answer);
    let shown = person(&answer);
    step.members(&shown, &["id_number", "name", "region_code"]);
    step.equal("身份证号脱敏", "the number is masked", masked_number(), text(&shown["id_number"]));
    step.equal("姓名脱敏", "the name is masked", masked_name(), text(&shown["name"]));
    step.equal("区划代码原值提供", "the region code is revealed", applicant().region(), text(&shown["region_code"]));
    Ok(())
}

fn in_full(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    working_time(stage, step, Hours::Now)?;
    let answer = stage.call(step, &population_in_full())?;
    step.shared(&answer);
    let shown = person(&answer);
    step.equal("身份证号原值提供", "the full number", applicant().id_number(), text(&shown["id_number"]));
    step.equal("姓名仍脱敏", "the name is still masked", masked_name(), text(&shown["name"]));
    Ok(())
}

fn outside_hours(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    working_time(stage, step, Hours::NotNow)?;
    let answer = stage.call(step, &population_in_full())?;
    step.shared(&answer);
    step.equal("身份证号重新脱敏", "the number is masked again", masked_number(), text(&person(&answer)["id_number"]));
    let disclosure = answer.field("share-disclosure");
    step.holds("答复写明原因", "the answer says why", disclosure.contains(r#"id_number;by="population-number-in-full""#), disclosure);
    if let Some(index) = answer.receipt() {
        let narrowed = stage.entry(index)?["narrowed"]["id_number"].clone();
        step.equal("共享台账写明原因", "the ledger says why", "population-number-in-full", text(&narrowed));
    }
    working_time(stage, step, Hours::Now)
}

fn patrol(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let before = stage.origins.calls();
    let answer = stage.call(step, &population().token("housing").purpose("patrol"))?;
    step.refused(&answer, 403, "purpose_not_granted");
    let would_work = answer.json()["would_work"].clone();
    let named = would_work.as_array().is_some_and(|fitting| fitting.iter().any(|one| one["scenario"] == "housing"));
    step.holds("指出可用场景", "names the scenario that would work", named, would_work);
    step.equal("未向数源部门发出请求", "the register was not asked", before, stage.origins.calls());
    Ok(())
}

fn working_time(stage: &mut Stage, step: &mut Step, hours: Hours) -> Result<(), Trouble> {
    let line = world::calendar(&stage.folder, hours)?;
    step.did(format!("calendar.toml 改写为 `{line}`"), format!("calendar.toml now says `{line}`"));
    stage.reload(step)
}
