//! A test case drafted from a recorded entry: what was asked and what came of it, ready to be pasted into `tests/`.

use std::fmt::Write as _;

use super::super::explain::not_a_call;
use super::super::{Exit, Settings, entry, open_config, print_trouble};
use crate::cli::out;
use crate::lang::Text;
use crate::replay::{Cannot, Recorded};

/// Exit 0: drafted; 2: the entry makes no case.
pub(super) fn run(index: u64, settings: &Settings) -> Exit {
    let drafted = || {
        let folder = open_config(settings)?.ledger.folder;
        let bytes = entry(&folder, index, settings)?;
        let trouble = |text: Text| {
            print_trouble(&text, settings);
            Exit::Trouble
        };
        let recorded = Recorded::read(&bytes).ok_or_else(|| trouble(not_a_call(index)))?;
        draft(index, &recorded).map_err(|cannot| trouble(cannot.text()))
    };
    match drafted() {
        Ok(text) => {
            out(text.trim_end());
            Exit::Yes
        }
        Err(exit) => exit,
    }
}

fn draft(index: u64, recorded: &Recorded<'_>) -> Result<String, Cannot> {
    recorded.is_decided()?;
    let mut text = String::from("[[cases]]\n");
    let outcome = recorded.outcome();
    let mut line = |key: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key} = {value}");
    };
    line("name", quoted(&format!("台账第 {index} 条 / entry {index}")));
    let needed = [("requester", &recorded.requester), ("department", &recorded.department), ("resource", &recorded.resource)];
    for (key, value) in needed.into_iter().chain([("kind", &recorded.operation)]) {
        line(key, quoted(value.as_deref().ok_or(Cannot::Unrecorded(key))?));
    }
    let target = recorded.target.as_deref().ok_or(Cannot::Unrecorded("target"))?;
    line("path", quoted(target.split_once(' ').map_or(target, |(_, path)| path)));
    if let Some(scenario) = recorded.scenario.as_deref().filter(|_| recorded.stated != Some(false)) {
        line("scenario", quoted(scenario));
        if let Some(case) = &recorded.case {
            line("case", quoted(case));
        }
    }
    let time = recorded.decided().ok_or(Cannot::Unrecorded("time_decided"))?;
    line("time", quoted(&time.to_string()));
    line("circumstances", circumstances(recorded));
    line("expect", quoted(outcome));
    if recorded.policies_total.is_none_or(|total| total == recorded.policies.len() as u64)
        && (recorded.granted() || outcome == "policy_denied")
    {
        let policies: Vec<String> = recorded.policies.iter().map(|id| quoted(id)).collect();
        line("policies", format!("[{}]", policies.join(", ")));
    }
    if recorded.granted() {
        let items: Vec<String> = recorded.items.iter().map(|(name, form)| format!("{} = {}", key(name), quoted(form))).collect();
        line("items", format!("{{ {} }}", items.join(", ")));
    }
    Ok(text)
}

fn circumstances(recorded: &Recorded<'_>) -> String {
    let mut members = Vec::new();
    members.extend(recorded.network.as_deref().map(|network| format!("network = {}", quoted(network))));
    members.extend(recorded.source.as_deref().map(|source| format!("source = {}", quoted(source))));
    members.extend(recorded.emergency.map(|emergency| format!("emergency = {emergency}")));
    members.extend(recorded.work_time.map(|work_time| format!("work_time = {work_time}")));
    members.push(format!("bound = {}", recorded.bound));
    if !recorded.operator_roles.is_empty() {
        let roles: Vec<String> = recorded.operator_roles.iter().map(|role| quoted(role)).collect();
        members.push(format!("operator_roles = [{}]", roles.join(", ")));
    }
    members.push(format!("operator_clearance = {}", recorded.operator_clearance));
    format!("{{ {} }}", members.join(", "))
}

/// A bare key, quoted where it must be.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if bare { name.to_owned() } else { quoted(name) }
}

/// A basic string: TOML's escapes are those of JSON, but that DEL is escaped too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::written::{Document, Problems, Table};

    #[test]
    fn an_entry_becomes_a_case_of_the_suites_own_notation() {
        let entry = br#"{"bound":false,"case":"A-\"1\"","emergency":false,"items":{"*":"reveal","id_number":"mask"},"kind":"share.granted",
            "network":"other","operation":"query","operator_clearance":2,"operator_roles":["clerk"],"policies":["a"],"policies_total":1,
            "requester":"r","department":"d","resource":"p.r","scenario":"s","source":"127.0.0.1","target":"POST /a/{b}",
            "time":"2026-11-23T02:00:00.000000Z","work_time":true}"#;
        let drafted = draft(7, &Recorded::read(entry).unwrap()).unwrap();
        let problems = Problems::default();
        let document = Document::parse("tests/a.toml", &drafted, &problems);
        let case = document.root(&problems).tables("cases").remove(0);
        let text = |table: &Table<'_, '_>, key: &str| table.opt_string(key).map(|text| text.value);
        assert_eq!(text(&case, "case").as_deref(), Some("A-\"1\""));
        assert_eq!(text(&case, "path").as_deref(), Some("/a/{b}"));
        assert_eq!(text(&case, "expect").as_deref(), Some("allow"));
        assert_eq!(text(&case.opt_table("items").unwrap(), "*").as_deref(), Some("reveal"));
        assert_eq!(case.opt_table("circumstances").unwrap().strings("operator_roles")[0].value, "clerk");
        assert!(problems.is_ok(), "{problems:?}: {drafted}");
    }

    #[test]
    fn what_the_policies_had_no_part_in_is_no_case() {
        let entry = br#"{"code":"rate_limited","kind":"share.denied","requester":"r","time":"2026-11-23T02:00:00.000000Z"}"#;
        assert_eq!(draft(7, &Recorded::read(entry).unwrap()), Err(Cannot::Undecided));
    }
}
