//! Steps 4 to 6: the flood and its emergency order, macro-economic control, the divisions that everyone may ask for,
//! and strangers.

use serde_json::Value;

use super::super::Trouble;
use super::super::client::Call;
use super::super::people::PEOPLE;
use super::super::world::{self, Order, order_text};
use super::step::{Step, text};
use super::{Scene, Stage, population};

/// In the order told.
pub(super) static SCENES: [Scene; 8] = [
    (
        "4a",
        ("防汛：无应急命令，独居老年人电话不提供", "flood: no order, no telephones of elderly people living alone"),
        ("授权在，应急命令不在：策略不放行。", "The grant is there, the emergency order is not: the policy refuses."),
        without_order,
    ),
    (
        "4b",
        ("应急命令写入场景：提供并标记复核", "the emergency order is written into the scenario: shown and flagged"),
        (
            "安全管理员改 scenarios/flood.toml 并重新加载；每次调用在共享台账中标记 review。",
            "An officer changes scenarios/flood.toml and reloads; each such share is flagged for review.",
        ),
        under_order,
    ),
    ("4c", ("应急命令结束：不再提供", "the order has ended: refused again"), ("截止时间已过。", "Its end has passed."), after_order),
    (
        "5a",
        ("宏观调控：统计部门得到假名化的企业纳税数据", "macro-control: statistics gets enterprise tax under pseudonyms"),
        (
            "同一企业在本场景内假名一致，可以关联各月，不能还原代码。",
            "One enterprise has one pseudonym within the scenario: months can be joined, the code cannot be read.",
        ),
        pseudonyms,
    ),
    (
        "5b",
        ("住户调查微观数据：不予共享，列明法律依据", "survey microdata: not shared, with the legal basis"),
        ("不予共享类，任何策略都不能放行。", "Not shared: no policy can open it."),
        not_shared,
    ),
    (
        "5c",
        ("行政区划：无条件共享", "administrative divisions: unconditional"),
        ("无附加条件，但仍有申请、用途和记录。", "No conditions of anyone's own; application, purpose and record all the same."),
        divisions,
    ),
    (
        "6a",
        ("未登记系统：401", "a stranger: 401"),
        ("令牌签名有效，但系统未登记。", "The token's signature is good; the system was never registered."),
        stranger,
    ),
    (
        "6b",
        ("绑定证书的令牌：无证书则无效", "a certificate-bound token is worth nothing without its certificate"),
        ("RFC 8705：令牌写明证书指纹，被窃取也不能用。", "RFC 8705: the token names its certificate's thumbprint; stolen, it is useless."),
        bound,
    ),
];

fn elderly() -> Call {
    Call::get("/mca/elderly").token("flood").purpose("flood")
}

/// Enterprise tax for statistics.
pub(super) fn tax() -> Call {
    Call::get("/tax/enterprise?limit=6").token("stats").purpose("macro-control")
}

fn without_order(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let before = stage.origins.calls();
    let answer = stage.call(step, &elderly())?;
    step.refused(&answer, 403, "policy_denied");
    step.equal("未向数源部门发出请求", "the register was not asked", before, stage.origins.calls());
    Ok(())
}

fn under_order(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    write_order(stage, step, Order::InForce)?;
    let answer = stage.call(step, &elderly())?;
    step.shared(&answer);
    let expected: Vec<&str> = PEOPLE.iter().filter(|person| person.elderly().is_some()).map(|person| person.telephone).collect();
    let content = answer.json();
    let shown: Vec<&str> = rows(&content).iter().map(|row| text(&row["telephone"])).collect();
    step.equal("电话原值提供", "the telephones are shown", expected.join(" "), shown.join(" "));
    step.members(&content["data"][0], &["name", "telephone", "address", "region_code"]);
    if let Some(index) = answer.receipt() {
        let entry = stage.entry(index)?;
        step.equal("共享台账标记复核", "flagged in the ledger", r#"["review"]"#, &entry["flags"]);
        step.equal("共享台账记载应急", "recorded as an emergency", true, &entry["emergency"]);
    }
    Ok(())
}

fn after_order(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    write_order(stage, step, Order::Lifted)?;
    let answer = stage.call(step, &elderly())?;
    step.refused(&answer, 403, "policy_denied");
    // The folder is left as it was shipped, so that its own test cases pass.
    world::emergency(&stage.folder, None)?;
    step.did("scenarios/flood.toml 恢复原样", "scenarios/flood.toml is as it was");
    stage.reload(step)
}

fn write_order(stage: &mut Stage, step: &mut Step, order: Order) -> Result<(), Trouble> {
    world::emergency(&stage.folder, Some(order))?;
    let written = order_text(order).trim_end().replace('\n', "\n    ");
    step.did(format!("scenarios/flood.toml 写入\n    {written}"), format!("scenarios/flood.toml now has\n    {written}"));
    stage.reload(step)
}

fn pseudonyms(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let answer = stage.call(step, &tax())?;
    step.shared(&answer);
    let content = answer.json();
    let codes: Vec<&str> = rows(&content).iter().map(|row| text(&row["credit_code"])).collect();
    let well_formed = |code: &&str| code.len() == 22 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    step.holds(
        "代码均为 22 个字符的假名",
        "each code is a pseudonym of 22 characters",
        codes.len() == 6 && codes.iter().all(well_formed),
        codes.join(" "),
    );
    // The register lists three enterprises for one month, then for the next.
    let joined = codes.len() == 6 && codes.iter().take(3).eq(codes.iter().skip(3)) && codes.first() != codes.get(1);
    step.holds("同一企业两个月的假名一致", "one enterprise, one pseudonym in both months", joined, codes.join(" "));
    step.members(&content["data"][0], &["credit_code", "period", "industry", "tax_paid"]);
    step.equal("税额原值提供", "the tax is revealed", "1250000", &content["data"][0]["tax_paid"]);
    Ok(())
}

fn not_shared(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let answer = stage.call(step, &Call::get("/stats/survey").token("planning").purpose("macro-control"))?;
    step.refused(&answer, 403, "not_shared");
    let problem = answer.json();
    step.holds("列明法律依据", "with its legal basis", text(&problem["detail"]).contains("统计法"), text(&problem["detail"]));
    Ok(())
}

fn divisions(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let answer = stage.call(step, &Call::get("/mca/divisions").token("housing").purpose("housing"))?;
    step.shared(&answer);
    let content = answer.json();
    step.equal("省级行政区划齐全", "all provincial-level divisions", 34, rows(&content).len());
    step.members(&content["data"][0], &["code", "name"]);
    Ok(())
}

fn stranger(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let before = stage.origins.calls();
    let answer = stage.call(step, &population().token("stranger").purpose("housing"))?;
    step.refused(&answer, 401, "requester_unknown");
    step.holds(
        "附 WWW-Authenticate",
        "with WWW-Authenticate",
        answer.fields.contains_key("www-authenticate"),
        answer.field("www-authenticate"),
    );
    step.equal("未向数源部门发出请求", "the register was not asked", before, stage.origins.calls());
    Ok(())
}

fn bound(stage: &mut Stage, step: &mut Step) -> Result<(), Trouble> {
    let call = population().token("housing-bound").purpose("housing");
    let without = stage.call(step, &call)?;
    step.refused(&without, 401, "certificate_required");
    let with = stage.call(step, &call.certificate())?;
    step.shared(&with);
    Ok(())
}

fn rows(content: &Value) -> &[Value] {
    content["data"].as_array().map(Vec::as_slice).unwrap_or_default()
}
