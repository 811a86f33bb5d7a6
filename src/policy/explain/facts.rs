//! What a policy's conditions say of one call: each comparison that they are made of, whether it holds, and the facts
//! that it read. Evaluated by Cedar itself, one comparison at a time.

use std::str::FromStr;

use cedar_policy::{Entities, EvalResult, Expression, Policy, Request, eval_expression};
use serde_json::{Map, Value, json};

/// Values are shown up to this length: a grant's set of items may be long.
const LONGEST: usize = 160;

/// One comparison of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// As Cedar writes it.
    pub text: String,
    /// Whether it holds; none: it cannot be evaluated, as when an earlier one guards it.
    pub holds: Option<bool>,
    /// What it read, and the values.
    pub reads: Vec<(String, String)>,
}

/// What a policy's conditions come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    /// Whether all of them hold, as `when` and `unless` say.
    pub(super) hold: bool,
    pub(super) facts: Vec<Fact>,
}

/// Evaluates the conditions of a policy whose scope matches.
pub(super) fn of(policy: &Policy, request: &Request, entities: &Entities) -> Conditions {
    let written = policy.to_json().unwrap_or_default();
    let mut found = Conditions { hold: true, facts: Vec::new() };
    for condition in written.get("conditions").and_then(Value::as_array).into_iter().flatten() {
        let Some(body) = condition.get("body") else { continue };
        let wanted = condition.get("kind").is_none_or(|kind| kind == "when");
        found.hold &= truth(body, request, entities) == Some(wanted);
        let mut atoms = Vec::new();
        split(body, &mut atoms);
        for atom in atoms {
            let Some(text) = text_of(atom) else { continue };
            let mut paths = Vec::new();
            gather(atom, &mut paths);
            let holds = truth(atom, request, entities);
            let reads = paths.into_iter().filter_map(|path| {
                let value = eval_expression(request, entities, &Expression::from_str(&path).ok()?).ok()?;
                Some((path, shown(&value)))
            });
            let fact = Fact { text, holds, reads: reads.collect() };
            if !found.facts.contains(&fact) {
                found.facts.push(fact);
            }
        }
    }
    found
}

fn truth(expression: &Value, request: &Request, entities: &Entities) -> Option<bool> {
    let expression = Expression::from_str(&text_of(expression)?).ok()?;
    match eval_expression(request, entities, &expression) {
        Ok(EvalResult::Bool(truth)) => Some(truth),
        _ => None,
    }
}

fn shown(value: &EvalResult) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Descends through and, or, not and if to the comparisons.
fn split<'v>(expression: &'v Value, atoms: &mut Vec<&'v Value>) {
    let Some((operator, inner)) = expression.as_object().and_then(|members| members.iter().next()) else { return };
    let parts: &[&str] = match operator.as_str() {
        "&&" | "||" => &["left", "right"],
        "!" => &["arg"],
        "if-then-else" => &["if", "then", "else"],
        _ => return atoms.push(expression),
    };
    parts.iter().filter_map(|part| inner.get(part)).for_each(|part| split(part, atoms));
}

/// The longest attribute paths from a variable in an expression, such as `context.grant.reveal`, and bare variables.
fn gather(expression: &Value, paths: &mut Vec<String>) {
    if let Some(path) = path_of(expression) {
        // What the context or an entity is as a whole tells nobody anything, but who and what they are does.
        if path != "context" && !paths.contains(&path) {
            paths.push(path);
        }
        return;
    }
    match expression {
        Value::Object(members) => {
            for (key, inner) in members {
                match key.as_str() {
                    "Value" => {}
                    // Whether it is there is all that is read.
                    "has" => {}
                    _ => gather(inner, paths),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| gather(element, paths)),
        _ => {}
    }
}

fn path_of(expression: &Value) -> Option<String> {
    if let Some(variable) = expression.get("Var").and_then(Value::as_str) {
        return Some(variable.to_owned());
    }
    let access = expression.get(".")?;
    let (left, attribute) = (path_of(access.get("left")?)?, access.get("attr")?.as_str()?);
    let plain =
        attribute.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !attribute.starts_with(|c: char| c.is_ascii_digit());
    Some(if plain { format!("{left}.{attribute}") } else { format!("{left}[{}]", json!(attribute)) })
}

/// An expression in Cedar's own notation: Cedar writes only whole policies, so it is put into one and cut out again.
fn text_of(expression: &Value) -> Option<String> {
    let scope = |()| json!({ "op": "All" });
    let mut policy = Map::new();
    policy.insert("effect".into(), json!("permit"));
    for part in ["principal", "action", "resource"] {
        policy.insert(part.into(), scope(()));
    }
    policy.insert("conditions".into(), json!([{ "kind": "when", "body": expression }]));
    let written = Policy::from_json(None, Value::Object(policy)).ok()?.to_string();
    let (from, until) = (written.find("when {")? + "when {".len(), written.rfind('}')?);
    Some(written.get(from..until)?.split_whitespace().collect::<Vec<_>>().join(" "))
}
