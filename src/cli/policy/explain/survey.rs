//! `kanhe policy explain --who` and `--department`: who may get what.

use serde_json::{Map, Value, json};

use super::super::{Exit, Settings, load_configured, open_config, print_trouble};
use super::ExplainArgs;
use super::call::unknown;
use crate::cli::{Format, out};
use crate::lang::{Lang, Text};
use crate::policy::explain::{Alternatives, Asked, Row, Survey, Way};
use crate::snapshot::Snapshot;

/// Exit 0: somebody gets something; 1: nobody gets anything.
pub(super) fn run(args: &ExplainArgs, settings: &Settings) -> Result<Exit, Exit> {
    let trouble = |text: Text| {
        print_trouble(&text, settings);
        Exit::Trouble
    };
    if args.item.is_some() != args.who || (!args.who && args.call.department.is_none() && args.call.requester.is_none()) {
        return Err(trouble(Text::new(
            "请写台账序号；或用 --requester、--resource 设想一次调用；或 --who --item RESOURCE#ITEM；或 --department ID",
            "name an entry's index, or a call by --requester and --resource, or ask --who --item RESOURCE#ITEM, or --department ID",
        )));
    }
    let config = open_config(settings)?;
    let snapshot = load_configured(settings)?;
    let asked = asked(args, &snapshot).map_err(trouble)?;
    let time = args.call.time().map_err(trouble)?;
    let alternatives = Alternatives { networks: config.networks.names() };
    let survey = snapshot.policies.survey(&asked, snapshot.world(), time, &alternatives);
    match settings.format {
        Format::Json => {
            let rows: Vec<Value> = survey.rows.iter().map(row_json).collect();
            out(&json!({"snapshot": snapshot.digest, "time": time.to_string(), "rows": rows, "nothing": survey.nothing}).to_string());
        }
        Format::Human => out(&print(&survey, settings.lang)),
    }
    Ok(if survey.rows.is_empty() { Exit::No } else { Exit::Yes })
}

fn asked(args: &ExplainArgs, snapshot: &Snapshot) -> Result<Asked, Text> {
    let mut asked = Asked::default();
    let call = &args.call;
    let (parties, scenarios) = (&snapshot.parties, &snapshot.purposes.scenarios);
    let resources = &snapshot.catalogue.resources;
    if let Some(id) = &call.requester {
        let known = parties.requesters.get_key_value(id.as_str()).ok_or_else(|| unknown("requester", id, parties.requesters.keys()))?;
        asked.requester = Some(known.0.clone());
    }
    if let Some(id) = &call.department {
        let known = parties.departments.get_key_value(id.as_str()).ok_or_else(|| unknown("department", id, parties.departments.keys()))?;
        asked.department = Some(known.0.clone());
    }
    if let Some(id) = &call.scenario {
        asked.scenario = Some(scenarios.get_key_value(id.as_str()).ok_or_else(|| unknown("scenario", id, scenarios.keys()))?.0.clone());
    }
    let (resource, item) = match &args.item {
        Some(item) => match item.split_once('#') {
            Some((resource, item)) => (Some(resource), Some(item)),
            None => {
                let text = Text::new(
                    format!("`--item {item}` 应写作 RESOURCE#ITEM，例如 `psb.population#name`"),
                    format!("`--item {item}` must be RESOURCE#ITEM, such as `psb.population#name`"),
                );
                return Err(text);
            }
        },
        None => (call.resource.as_deref(), None),
    };
    if let Some(id) = resource {
        let (id, resource) = resources.get_key_value(id).ok_or_else(|| unknown("resource", id, resources.keys()))?;
        asked.resource = Some(id.clone());
        if let Some(name) = item {
            let names: Vec<_> = resource.items.iter().map(|item| item.name.clone()).collect();
            asked.item = Some(names.iter().find(|known| ***known == *name).cloned().ok_or_else(|| unknown("item", name, names.iter()))?);
        }
    }
    Ok(asked)
}

fn row_json(row: &Row) -> Value {
    let ways = |ways: &Vec<Way>| -> Vec<Value> { ways.iter().map(|way| json!({"form": way.form.name(), "needs": way.needs})).collect() };
    let items: Map<String, Value> = row.items.iter().map(|(name, found)| (name.to_string(), json!(ways(found)))).collect();
    json!({
        "requester": &*row.requester,
        "department": &*row.department,
        "scenario": &*row.scenario,
        "resource": &*row.resource,
        "operation": row.kind,
        "path": row.path,
        "grant": row.grant.as_deref(),
        "items": items,
        "cut": row.cut,
    })
}

fn print(survey: &Survey, lang: Lang) -> String {
    let mut lines = Vec::new();
    for row in &survey.rows {
        let grant = row.grant.as_deref().unwrap_or("-");
        let text = Text::new(
            format!("{}（{}）  场景 {}  {} {}  授权 {grant}", row.requester, row.department, row.scenario, row.kind, row.resource),
            format!("{} ({})  scenario {}  {} {}  grant {grant}", row.requester, row.department, row.scenario, row.kind, row.resource),
        );
        lines.push(text.get(lang).to_owned());
        for (name, ways) in &row.items {
            let ways: Vec<String> = ways.iter().map(|way| words(way, lang)).collect();
            lines.push(format!("  {name}: {}", ways.join("; ")));
        }
        if row.cut {
            lines.push(Text::new("  情形过多，未全部试过", "  there are more circumstances than were tried").get(lang).to_owned());
        }
    }
    let (found, nothing) = (survey.rows.len(), survey.nothing);
    let sum = Text::new(
        format!("{found} 种调用方式可以得到数据，{nothing} 种得不到"),
        format!("{found} ways to ask get something, {nothing} get nothing"),
    );
    lines.push(sum.get(lang).to_owned());
    lines.join("\n")
}

fn words(way: &Way, lang: Lang) -> String {
    let form = way.form.name();
    if way.needs.is_empty() {
        return form.to_owned();
    }
    let needs: Vec<String> =
        way.needs.iter().map(|(name, value)| if value == "true" { (*name).to_owned() } else { format!("{name}={value}") }).collect();
    let needs = needs.join(", ");
    Text::new(format!("{form}，须有 {needs}"), format!("{form} with {needs}")).get(lang).to_owned()
}
