//! Counterexamples in print: as a request for those who read Cedar, and as a call for everyone.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::lang::{Lang, Text};
use crate::policy::prove::{Counterexample, Model, plain};
use crate::policy::reach::FoundCall;

/// The JSON of `--format json`.
pub(super) fn as_json(example: &Counterexample) -> Value {
    let request = example.model.as_ref().map(|model| {
        let Model { principal, resource, context, others } = model;
        json!({ "principal": principal, "resource": resource, "context": context, "entities": others })
    });
    json!({
        "action": example.action,
        "policies": ids(&example.policies),
        "request": request,
        "call": example.call.as_deref().map(call_as_json),
    })
}

fn ids(ids: &[std::sync::Arc<str>]) -> Vec<&str> {
    ids.iter().map(|id| &**id).collect()
}

/// A call as `--format json` tells it.
pub(super) fn call_as_json(call: &FoundCall) -> Value {
    json!({
        "requester": &*call.requester,
        "department": &*call.department,
        "resource": &*call.resource,
        "kind": call.kind,
        "target": call.target,
        "scenario": &*call.scenario,
        "case": call.has_case,
        "grant": call.grant.as_deref(),
        "item": call.item.as_deref(),
        "circumstances": call.circumstances,
        "policies": ids(&call.policies),
    })
}

/// The counterexample, indented under what it refutes.
pub(super) fn print(out: &mut impl Write, example: &Counterexample, lang: Lang) -> io::Result<()> {
    let policies = example.policies.join(", ");
    if let Some(call) = &example.call {
        let title = Text::new("本控制目录中的一次调用，网关会放行：", "a call of this control folder that the gateway would grant:");
        writeln!(out, "    {}", title.get(lang))?;
        print_call(out, call, example.action, lang)?;
    }
    if let Some(model) = &example.model {
        let title = Text::new(
            format!("模式允许的一个请求（策略 {policies}），已由策略引擎证实："),
            format!("a request that the schema admits ({policies}), confirmed by the authorizer:"),
        );
        writeln!(out, "    {}", title.get(lang))?;
        for (name, value) in [("principal", &model.principal), ("resource", &model.resource)] {
            writeln!(out, "      {name} {}", entity(value))?;
        }
        writeln!(out, "      action Action::\"{}\"", example.action)?;
        writeln!(out, "      context {}", plain(&model.context))?;
        for other in &model.others {
            writeln!(out, "      {}", entity(other))?;
        }
    }
    if example.call.is_none() {
        let text = Text::new(
            "本控制目录目前的需求系统、资源、场景和授权还走不到这一步；登记或授权有变，就可能走到。",
            "no call of this control folder's requesters, resources, scenarios and grants reaches so far today; a new registration or \
             grant may.",
        );
        writeln!(out, "    {}", text.get(lang))?;
    }
    Ok(())
}

/// `Type::"id" in [parents] {attributes}`, as far as there is any.
fn entity(value: &Value) -> String {
    let mut line = value.get("uid").map(plain).unwrap_or_default();
    if let Some(parents) = value.get("parents").filter(|parents| parents.as_array().is_some_and(|parents| !parents.is_empty())) {
        line = format!("{line} in {}", plain(parents));
    }
    match value.get("attrs").filter(|attrs| attrs.as_object().is_some_and(|attrs| !attrs.is_empty())) {
        Some(attrs) => format!("{line} {}", plain(attrs)),
        None => line,
    }
}

fn print_call(out: &mut impl Write, call: &FoundCall, action: &str, lang: Lang) -> io::Result<()> {
    let FoundCall { requester, department, target, scenario, .. } = call;
    let who = Text::new(format!("{requester}（为 {department}）调用 {target}"), format!("{requester} (for {department}) calls {target}"));
    let case = if call.has_case { ";case=\"…\"" } else { "" };
    let grant = match &call.grant {
        Some(grant) => Text::new(format!("授权 {grant}"), format!("grant {grant}")),
        None => Text::new("没有授权", "no grant"),
    };
    let circumstances: Vec<String> = call.circumstances.iter().map(|(name, value)| format!("{name} = {}", plain(value))).collect();
    writeln!(out, "      {}", who.get(lang))?;
    writeln!(out, "      Share-Purpose: {scenario}{case} · {}", grant.get(lang))?;
    writeln!(out, "      {}", circumstances.join(", "))?;
    let shown = match &call.item {
        Some(item) => Text::new(format!("答复中数据项 {item} 的形式：{action}"), format!("its answer shows item {item}: {action}")),
        None => Text::new("调用放行", "it is allowed"),
    };
    writeln!(out, "      → {} · {}", shown.get(lang), call.policies.join(", "))
}
