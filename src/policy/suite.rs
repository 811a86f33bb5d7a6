//! The officers' test cases (`tests/*.toml`): a call in words, and what must come of it. Loaded with the policies, so
//! that a case about a requester or item that is gone is a load error and not a test that tests nothing.

mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

pub use run::Verdict;

use super::World;
use super::supposed::{self, Given, Supposed};
use crate::catalogue::{Kind, Operation, Resource};
use crate::disclosure::Form;
use crate::identity::parties::Requester;
use crate::lang::Text;
use crate::written::{Document, Place, Problems, Table, did_you_mean, units};

/// Refusals that binding and deciding can end in.
const REFUSALS: [&str; 9] = [
    "requester_suspended",
    "purpose_malformed",
    "purpose_missing",
    "purpose_unknown",
    "purpose_not_granted",
    "purpose_expired",
    "case_required",
    "policy_denied",
    "not_shared",
];

/// One test case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// The call.
    pub call: Supposed,
    expect: String,
    policies: Option<BTreeSet<String>>,
    items: BTreeMap<String, Option<Form>>,
    regions: BTreeMap<String, bool>,
}

/// Reads all cases.
pub(super) fn load(files: &[(String, String)], world: World<'_>, problems: &Problems) -> Vec<Case> {
    let mut cases = Vec::new();
    for (file, text) in files {
        let document = Document::parse(file, text, problems);
        let root = document.root(problems);
        cases.extend(root.tables("cases").into_iter().filter_map(|table| read(table, world)));
        root.finish();
    }
    cases
}

fn read(table: Table<'_, '_>, world: World<'_>) -> Option<Case> {
    let place = table.place();
    let name = table.filled("name");
    let requester = requester(&table, world);
    let department = table.opt_string("department");
    let resource = resource(&table, world);
    let kind = table.choice("kind", &[("query", Kind::Query), ("verify", Kind::Verify), ("bulk", Kind::Bulk)]);
    let path = table.opt_string("path").map(|path| path.value);
    let scenario = table.opt_string("scenario").map(|text| text.value);
    let case = table.opt_string("case").map(|text| text.value);
    if case.is_some() && scenario.is_none() {
        table.wrong_value("case", "须与 `scenario` 一同写明", "is stated with its `scenario`");
    }
    let time = table.parsed("time", units::moment);
    let given = table.opt_table("circumstances").map(circumstances).unwrap_or_default();
    let expect = expect(&table);
    let policies = table.has("policies").then(|| table.strings("policies").into_iter().map(|id| id.value).collect());
    let items = table.opt_table("items").map(|items| forms(items, resource.as_deref())).unwrap_or_default();
    let regions = regions(&table, resource.as_deref());
    let department = match (&requester, department) {
        (Some(requester), Some(id)) => {
            let own = requester.calls_for(&id.value).cloned();
            if own.is_none() {
                table.wrong_value("department", "应为该系统所属或所服务的部门", "must be the requester's own or one that it serves");
            }
            own
        }
        (Some(requester), None) => Some(requester.department.clone()),
        (None, _) => None,
    };
    let operation = resource.as_ref().zip(kind).and_then(|(resource, kind)| operation(&table, resource, kind, path.as_deref()));
    table.finish();
    let (requester, department, resource, operation) = (requester?, department?, resource?, operation?);
    let (name, time, expect) = (name?.value, time?.value, expect?);
    let stated = supposed::state(scenario.as_deref(), case.as_deref());
    let call = Supposed { requester, department, roles: None, scope: None, resource, operation, stated, time, given };
    Some(Case { name, place, call, expect, policies, items, regions })
}

fn unknown(table: &Table<'_, '_>, key: &str, written: &str, known: impl Iterator<Item = Arc<str>>) {
    let known: Vec<Arc<str>> = known.collect();
    let message = Text::new(format!("`{key}` 的值 `{written}` 没有登记"), format!("`{key}` names `{written}`, which is not registered"));
    let help = did_you_mean(written, known.iter().map(|id| &**id));
    table.error(key, "unknown_reference", message, help);
}

fn requester(table: &Table<'_, '_>, world: World<'_>) -> Option<Arc<Requester>> {
    let id = table.filled("requester")?.value;
    let found = world.parties.requesters.get(id.as_str());
    if found.is_none() {
        unknown(table, "requester", &id, world.parties.requesters.keys().cloned());
    }
    found.map(|requester| requester.value.clone())
}

fn resource(table: &Table<'_, '_>, world: World<'_>) -> Option<Arc<Resource>> {
    let id = table.filled("resource")?.value;
    let found = world.catalogue.resources.get(id.as_str());
    if found.is_none() {
        unknown(table, "resource", &id, world.catalogue.resources.keys().cloned());
    }
    found.cloned()
}

/// The operation that is called: of its kind the first, or the one with `path`.
fn operation(table: &Table<'_, '_>, resource: &Resource, kind: Kind, path: Option<&str>) -> Option<Arc<Operation>> {
    let mut of_kind = resource.operations.iter().filter(|operation| operation.kind == kind);
    let found = of_kind.clone().find(|operation| path.is_none_or(|path| path == operation.path)).cloned();
    if found.is_none() {
        let key = if of_kind.next().is_some() { "path" } else { "kind" };
        let known: Vec<String> = resource.operations.iter().map(|known| format!("{} `{}`", known.kind.name(), known.path)).collect();
        let message = Text::new(
            format!("资源 `{}` 没有这一 {} 接口", resource.id, kind.name()),
            format!("resource `{}` has no such `{}` operation", resource.id, kind.name()),
        );
        let known = known.join(", ");
        table.error(key, "unknown_operation", message, Some(Text::new(format!("可用：{known}"), format!("it has {known}"))));
    }
    found
}

fn circumstances(table: Table<'_, '_>) -> Given {
    let given = Given {
        network: table.opt_string("network").map(|text| text.value.into()),
        emergency: table.opt_bool("emergency"),
        work_time: table.opt_bool("work_time"),
        bound: table.opt_bool("bound"),
        operator_roles: table.strings("operator_roles").into_iter().map(|role| role.value.into()).collect(),
        operator_clearance: table.opt_integer("operator_clearance", 0..=i64::MAX),
        source: table.opt_parsed("source", address).map(|address| address.value),
    };
    table.finish();
    given
}

fn address(text: &str) -> Result<IpAddr, Text> {
    text.parse().map_err(|_| Text::new("应写 IP 地址，例如 `59.192.0.1`", "write an IP address, such as `59.192.0.1`"))
}

fn expect(table: &Table<'_, '_>) -> Option<String> {
    let text = table.filled("expect")?.value;
    if text != "allow" && !REFUSALS.contains(&text.as_str()) {
        let known = REFUSALS.map(|code| format!("`{code}`")).join(", ");
        table.wrong_value("expect", &format!("应为 `allow` 或以下之一：{known}"), &format!("must be `allow` or one of {known}"));
        return None;
    }
    Some(text)
}

/// Region codes, and whether the answer may hold their records; codes that are not registered too.
fn regions(table: &Table<'_, '_>, resource: Option<&Resource>) -> BTreeMap<String, bool> {
    let mut regions = BTreeMap::new();
    let Some(written) = table.opt_table("regions") else { return regions };
    if let Some(resource) = resource.filter(|resource| resource.region.is_none()) {
        let message = Text::new(
            format!("资源 `{}` 没有 `region_item`，不按行政区划筛选", resource.id),
            format!("resource `{}` has no `region_item`: its records are not filtered", resource.id),
        );
        table.error("regions", "no_region_item", message, None);
    }
    for key in written.keys() {
        if let Some(included) = written.opt_bool(&key.value) {
            regions.insert(key.value, included);
        }
    }
    written.finish();
    regions
}

fn forms(table: Table<'_, '_>, resource: Option<&Resource>) -> BTreeMap<String, Option<Form>> {
    let mut forms = BTreeMap::new();
    let shown = Form::SHOWN.map(|form| (form.name(), Some(form)));
    let choices: Vec<_> = shown.into_iter().chain([(Form::Compare.name(), Some(Form::Compare)), ("omit", None)]).collect();
    for key in table.keys() {
        let Some(form) = table.choice(&key.value, &choices) else { continue };
        if let Some(resource) = resource
            && !resource.items.iter().any(|item| *item.name == *key.value)
        {
            unknown(&table, &key.value, &key.value, resource.items.iter().map(|item| item.name.clone()));
            continue;
        }
        forms.insert(key.value, form);
    }
    table.finish();
    forms
}
