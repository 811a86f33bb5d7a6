//! `kanhe catalogue card`: the page that both sharing offices sign (order 809, article 20): what the resource is, and for
//! each grant which items in which forms, for whom, for what, how much, how long and on what basis.

use std::sync::Arc;

use serde_json::{Value, json};

use super::layout::{Columns, Facts, rule};
use super::{Exit, Format, Settings, facts, not_registered, out, words};
use crate::catalogue::{Item, Resource};
use crate::disclosure::Form;
use crate::lang::Lang;
use crate::purpose::{Grant, Side};
use crate::snapshot::Snapshot;

const FORMS: [Form; 4] = [Form::Reveal, Form::Mask, Form::Pseudonymise, Form::Compare];
const NONE: &str = "–";

/// Prints the card of one resource, with all its grants or the one that is named.
pub(super) fn run(snapshot: &Snapshot, resource: &Resource, named: Option<&str>, settings: &Settings) -> Exit {
    let covers = |grant: &&Arc<Grant>| grant.resource.covers(&resource.id, &resource.provider);
    let mut grants: Vec<&Arc<Grant>> = snapshot.purposes.grants.values().filter(covers).collect();
    grants.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    if let Some(named) = named {
        if !grants.iter().any(|grant| *grant.id == *named) {
            not_registered(("授权", "grant"), named, grants.iter().map(|grant| &*grant.id), settings);
            return Exit::No;
        }
        grants.retain(|grant| *grant.id == *named);
    }
    match settings.format {
        Format::Json => {
            let grants: Vec<Value> = grants.iter().map(|grant| grant_json(grant, resource)).collect();
            out(&json!({ "resource": super::as_json(resource), "grants": grants }).to_string());
        }
        Format::Human => page(snapshot, resource, &grants, settings.lang).iter().for_each(|line| out(line)),
    }
    Exit::Yes
}

fn page(snapshot: &Snapshot, resource: &Resource, grants: &[&Arc<Grant>], lang: Lang) -> Vec<String> {
    let pick = |zh, en| words::pick((zh, en), lang).to_owned();
    let mut lines = vec![pick("政务数据共享授权卡", "Card of shared government data"), rule()];
    lines.extend(facts(snapshot, resource, lang).lines());
    if grants.is_empty() {
        lines.extend([String::new(), pick("尚无授权。", "There is no grant yet."), String::new()]);
        lines.extend(matrix(resource, None, lang));
    }
    for grant in grants {
        lines.push(String::new());
        lines.push(format!("{} {}", pick("授权", "Grant"), grant.id));
        lines.push(rule());
        lines.extend(terms(snapshot, grant, lang).lines());
        lines.extend([String::new(), pick("数据项与提供形式", "Items and the forms in which they are disclosed")]);
        lines.extend(matrix(resource, Some(grant), lang));
        lines.extend([String::new(), pick("审批", "Approvals")]);
        lines.extend(approvals(grant, lang));
    }
    lines
}

/// For whom, for what, how much, how long, on what basis.
fn terms(snapshot: &Snapshot, grant: &Grant, lang: Lang) -> Facts {
    let separator = words::pick(("、", ", "), lang);
    let mut facts = Facts::new(lang);
    if let Some(id) = &grant.holder.requester {
        let name = snapshot.parties.requesters.get(id).map_or("", |requester| requester.value.name.get(lang));
        facts.add(("需求系统", "requester"), &format!("{name} {id}"));
        if let Some(requester) = snapshot.parties.requesters.get(id) {
            facts.add(("所属部门", "its department"), &words::department(snapshot, &requester.value.department.id, lang));
        }
    }
    if let Some(id) = &grant.holder.department {
        facts.add(("需求部门", "demander"), &words::department(snapshot, id, lang));
    }
    if let Some(scenario) = snapshot.purposes.scenarios.get(&grant.scenario) {
        facts.add(("使用场景", "scenario"), &format!("{} {}", scenario.name.get(lang), scenario.id));
        facts.add(("使用用途", "purpose"), &scenario.purpose);
    }
    let kinds: Vec<&str> = grant.kinds.iter().map(|kind| words::kind(*kind, lang)).collect();
    facts.add(("操作类型", "kinds"), &kinds.join(separator));
    facts.add(("共享方式", "mode"), words::mode(grant.mode, lang));
    let rows = if grant.regions.is_empty() {
        words::pick(("不限行政区划", "all regions"), lang).to_owned()
    } else {
        grant.regions.join(separator)
    };
    facts.add(("数据范围", "rows"), &rows);
    facts.add(("使用额度", "quota"), &quota(grant, lang));
    let to = words::pick(("至", "to"), lang);
    facts.add(("授权期限", "term"), &format!("{} {to} {}", grant.valid_from, grant.valid_until));
    facts.add(("授权状态", "status"), words::grant_status(grant.status, lang));
    facts.add(("申请文号", "application"), &grant.application);
    facts.add(("法定依据", "legal basis"), &grant.legal_basis);
    facts
}

fn quota(grant: &Grant, lang: Lang) -> String {
    let unlimited = || words::pick(("不限", "unlimited"), lang).to_owned();
    let counted = |count: Option<u64>| count.map_or_else(unlimited, |count| count.to_string());
    let parts = [
        (("频次", "rate"), grant.quota.rate.map_or_else(unlimited, words::rate)),
        (("每日次数", "calls a day"), counted(grant.quota.calls_per_day)),
        (("每日记录数", "records a day"), counted(grant.quota.records_per_day)),
        (("每次记录数", "records a call"), counted(grant.quota.records_per_call)),
    ];
    let parts: Vec<String> = parts.into_iter().map(|(name, value)| format!("{} {value}", words::pick(name, lang))).collect();
    parts.join(words::pick(("；", "; "), lang))
}

/// Items × forms: a mark where the grant lists the form, the preset's name under mask.
fn matrix(resource: &Resource, grant: Option<&Grant>, lang: Lang) -> Vec<String> {
    let heads = [("数据项", "item"), ("名称", "title"), ("分级", "grade"), ("个人信息", "personal")];
    let mut columns = Columns::default();
    let [item, title, grade, personal] = heads.map(|head| words::pick(head, lang).to_owned());
    let [reveal, mask, pseudonymise, compare] = FORMS.map(|form| words::form(form, lang).to_owned());
    columns.row([item, title, grade, personal, reveal, mask, pseudonymise, compare]);
    for item in &resource.items {
        let [reveal, mask, pseudonymise, compare] = FORMS.map(|form| mark(resource, item, grant, form));
        let personal = words::yes_no(item.personal, lang).to_owned();
        let (name, title) = (item.name.to_string(), item.title.get(lang).to_owned());
        columns.row([name, title, item.grade.to_string(), personal, reveal, mask, pseudonymise, compare]);
    }
    columns.lines()
}

fn mark(resource: &Resource, item: &Item, grant: Option<&Grant>, form: Form) -> String {
    let listed = grant.is_some_and(|grant| grant.forms(&resource.id, &item.name).is_some_and(|forms| forms.contains(form)));
    match (&item.mask, form) {
        _ if !listed => NONE.to_owned(),
        (Some(preset), Form::Mask) => format!("✓ {}", preset.name()),
        _ => "✓".to_owned(),
    }
}

fn approvals(grant: &Grant, lang: Lang) -> Vec<String> {
    let mut columns = Columns::default();
    for side in [Side::Demander, Side::Provider] {
        for approval in grant.approvals.iter().filter(|approval| approval.side == side) {
            columns.row([
                words::side(side, lang).to_owned(),
                approval.name.to_string(),
                approval.post.to_string(),
                approval.date.to_string(),
                approval.document.to_string(),
                words::pick(("签字：____________", "signed: ____________"), lang).to_owned(),
            ]);
        }
    }
    columns.lines()
}

fn grant_json(grant: &Grant, resource: &Resource) -> Value {
    let items = resource.items.iter().filter_map(|item| {
        let forms: Vec<&str> = grant.forms(&resource.id, &item.name)?.iter().map(|form| form.name()).collect();
        Some((item.name.to_string(), Value::from(forms)))
    });
    let approvals = grant.approvals.iter().map(|approval| {
        json!({
            "side": words::side(approval.side, Lang::En),
            "name": &*approval.name,
            "post": &*approval.post,
            "date": approval.date.to_string(),
            "document": &*approval.document,
        })
    });
    json!({
        "id": &*grant.id,
        "requester": grant.holder.requester.as_deref(),
        "department": grant.holder.department.as_deref(),
        "scenario": &*grant.scenario,
        "kinds": grant.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
        "items": items.collect::<serde_json::Map<_, _>>(),
        "regions": grant.regions.iter().map(|id| &**id).collect::<Vec<_>>(),
        "quota": {
            "rate": grant.quota.rate.map(words::rate),
            "calls_per_day": grant.quota.calls_per_day,
            "records_per_day": grant.quota.records_per_day,
            "records_per_call": grant.quota.records_per_call,
        },
        "application": &*grant.application,
        "legal_basis": &*grant.legal_basis,
        "mode": words::mode_name(grant.mode),
        "valid_from": grant.valid_from.to_string(),
        "valid_until": grant.valid_until.to_string(),
        "status": words::grant_status_name(grant.status),
        "approvals": approvals.collect::<Vec<_>>(),
    })
}
