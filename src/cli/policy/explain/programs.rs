//! Explanations as JSON. docs/officers.md describes the members.

use serde_json::{Map, Value, json};

use super::Told;
use crate::disclosure::Form;
use crate::lang::Lang;
use crate::policy::explain::{Explanation, Flip, ItemWhy, PolicyWhy, Question, RegionWhy};
use crate::purpose::CaseRule;

/// The whole explanation.
pub(super) fn explanation(told: &Told<'_>, why: &Explanation, lang: Lang) -> Value {
    let call = told.supposed;
    let would_work = why.would_work.iter().map(|would| json!({"scenario": &*would.scenario, "case": word(would.case)}));
    let mut value = json!({
        "outcome": why.outcome,
        "snapshot": told.snapshot,
        "call": {
            "requester": &*call.requester.id,
            "department": &*call.department.id,
            "resource": &*call.resource.id,
            "operation": call.operation.kind.name(),
            "target": format!("{} {}", call.operation.method, call.operation.path),
            "time": call.time.to_string(),
        },
        "scenario": why.scenario.as_deref(),
        "grant": why.grant.as_deref(),
        "detail": why.detail.as_ref().map(|text| text.get(lang)),
        "would_work": would_work.collect::<Vec<_>>(),
        "flags": why.flags.iter().map(|flag| &**flag).collect::<Vec<_>>(),
        "share": why.share.as_ref().map(question),
        "items": why.items.iter().map(|why| item(why, lang)).collect::<Vec<_>>(),
        "regions": told.regions.iter().map(|why| region(why, lang)).collect::<Vec<_>>(),
        "flips": why.flips.found.iter().map(flip).collect::<Vec<_>>(),
        "tried": why.flips.tried,
        "untried": why.flips.untried,
    });
    if let (Some((index, recorded)), Some(members)) = (told.entry, value.as_object_mut()) {
        members.insert("index".into(), json!(index));
        members.insert("recorded".into(), json!(recorded.outcome()));
    }
    value
}

fn word(case: CaseRule) -> &'static str {
    match case {
        CaseRule::Optional => "optional",
        CaseRule::Required => "required",
    }
}

fn question(question: &Question) -> Value {
    let policies: Vec<Value> = question.policies.iter().map(policy).collect();
    json!({"action": question.action, "allowed": question.allowed, "policies": policies, "more": question.more})
}

fn policy(policy: &PolicyWhy) -> Value {
    let facts = policy.facts.iter().map(|fact| {
        let reads: Map<String, Value> = fact.reads.iter().map(|(path, value)| (path.clone(), json!(value))).collect();
        json!({"text": fact.text, "holds": fact.holds, "reads": reads})
    });
    json!({
        "id": &*policy.id,
        "effect": if policy.permits { "permit" } else { "forbid" },
        "file": &*policy.place.file,
        "line": policy.place.line,
        "text": policy.text,
        "determining": policy.determining,
        "holds": policy.holds,
        "facts": facts.collect::<Vec<_>>(),
    })
}

fn item(why: &ItemWhy, lang: Lang) -> Value {
    let steps = why.steps.iter().map(|step| {
        let not_asked = step.not_asked.as_ref().map(|text| text.get(lang));
        json!({"form": step.form.name(), "not_asked": not_asked, "asked": step.asked.as_ref().map(question)})
    });
    json!({"name": &*why.name, "form": form(why.form), "steps": steps.collect::<Vec<_>>()})
}

fn region(why: &RegionWhy, lang: Lang) -> Value {
    let not_asked = why.not_asked.as_ref().map(|text| text.get(lang));
    json!({"code": &*why.code, "included": why.included, "not_asked": not_asked, "asked": why.asked.as_ref().map(question)})
}

/// The form's word; `omit` for none.
pub(super) fn form(form: Option<Form>) -> &'static str {
    form.map_or("omit", Form::name)
}

fn flip(flip: &Flip) -> Value {
    let items: Map<String, Value> =
        flip.items.iter().map(|(name, from, to)| (name.to_string(), json!({"from": form(*from), "to": form(*to)}))).collect();
    json!({"fact": flip.fact, "from": flip.from, "to": flip.to, "outcome": flip.outcome, "items": items})
}
