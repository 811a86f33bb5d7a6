//! How a `verify` operation (核验) turns a query API into a yes/no answer: what the caller must claim, and what the
//! origin is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hyper::Method;
use serde_json::Value;

use super::template::{self, Segment};
use crate::disclosure::compare::{self, Comparison};

/// A claim and how it is verified.
#[derive(Debug)]
pub struct Verify {
    /// The members that the caller's object must hold, neither fewer nor more: the names in `ask` and the compared items.
    pub members: BTreeSet<Arc<str>>,
    /// What the origin is asked.
    pub ask: Ask,
    /// What its answer is held against.
    pub comparison: Arc<Comparison>,
}

/// The origin's call, with `{name}` where a claimed value stands.
#[derive(Debug)]
pub struct Ask {
    /// GET or POST.
    pub method: Method,
    /// Its path, with `{name}` for a segment.
    pub path: String,
    /// Its JSON content; in strings `{name}` stands for a value. None with GET.
    pub content: Option<Value>,
}

/// The values that a caller claims, by member.
pub type Values = BTreeMap<Arc<str>, Value>;

impl Ask {
    /// The names that path and content are filled from.
    pub fn names(&self) -> BTreeSet<&str> {
        let mut names: BTreeSet<&str> = template::names(&self.path).collect();
        if let Some(content) = &self.content {
            each_string(content, &mut |text| names.extend(pieces(text).into_iter().flatten().filter_map(Piece::name)));
        }
        names
    }

    /// The path with the claimed values in it; where one cannot stand in a path, its name.
    pub fn fill_path(&self, values: &Values) -> Result<String, &str> {
        let mut path = String::with_capacity(self.path.len() + 32);
        for segment in template::segments(&self.path) {
            path.push('/');
            match segment {
                Segment::Literal(text) => path.push_str(text),
                Segment::Parameter(name) => {
                    let value = values.get(name).and_then(compare::text).filter(|value| template::is_plain(value)).ok_or(name)?;
                    template::encode(&value, &mut path);
                }
            }
        }
        Ok(path)
    }

    /// The content with the claimed values in it: a string that is one `{name}` becomes the value as it was claimed.
    pub fn fill_content(&self, values: &Values) -> Option<Value> {
        self.content.as_ref().map(|content| filled(content, values))
    }
}

fn filled(template: &Value, values: &Values) -> Value {
    match template {
        Value::String(text) => match pieces(text).unwrap_or_default().as_slice() {
            [Piece::Name(name)] => values.get(*name).cloned().unwrap_or_default(),
            several => Value::String(several.iter().map(|piece| piece.text(values)).collect()),
        },
        Value::Array(elements) => elements.iter().map(|element| filled(element, values)).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), filled(member, values))).collect(),
        other => other.clone(),
    }
}

/// Calls `act` with every string of a value; names of members are no strings.
pub(super) fn each_string<'v>(value: &'v Value, act: &mut impl FnMut(&'v str)) {
    match value {
        Value::String(text) => act(text),
        Value::Array(elements) => elements.iter().for_each(|element| each_string(element, act)),
        Value::Object(members) => members.values().for_each(|member| each_string(member, act)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A part of a string in `ask.content`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    Name(&'t str),
}

impl<'t> Piece<'t> {
    fn name(self) -> Option<&'t str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Text(_) => None,
        }
    }

    fn text(&self, values: &Values) -> String {
        match self {
            Self::Text(text) => (*text).to_owned(),
            Self::Name(name) => values.get(*name).and_then(compare::text).unwrap_or_default(),
        }
    }
}

/// The parts of a string; none where a brace stands that is not one of `{name}`.
pub(super) fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        if before.contains('}') || !crate::written::is_id(name) {
            return None;
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(Piece::Name(name));
        rest = after;
    }
    if rest.contains('}') {
        return None;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(values: Value) -> Values {
        values.as_object().unwrap().iter().map(|(name, value)| (name.as_str().into(), value.clone())).collect()
    }

    #[test]
    fn content_is_filled_by_name_and_keeps_types() {
        let content = json!({"query": [{"id": "{id}", "text": "no {id}/{n}"}], "n": "{n}", "page": 1, "{id}": true});
        let ask = Ask { method: Method::POST, path: "/q".into(), content: Some(content) };
        assert_eq!(ask.names().into_iter().collect::<Vec<_>>(), ["id", "n"]);
        let filled = ask.fill_content(&values(json!({"id": "a\"b{n}", "n": 5}))).unwrap();
        let expected = json!({"query": [{"id": "a\"b{n}", "text": "no a\"b{n}/5"}], "n": 5, "page": 1, "{id}": true});
        assert_eq!(filled, expected, "a value is never read as a template");
    }

    #[test]
    fn a_value_stays_one_segment_of_the_path() {
        let ask = Ask { method: Method::GET, path: "/people/{id}/all".into(), content: None };
        assert_eq!(ask.fill_path(&values(json!({"id": "甲 1?x#"}))).unwrap(), "/people/%E7%94%B2%201%3Fx%23/all");
        for wrong in ["", ".", "..", "a/b", "a\\b", "a;b", "%2f", "a\nb"] {
            assert_eq!(ask.fill_path(&values(json!({ "id": wrong }))), Err("id"), "{wrong}");
        }
        assert_eq!(ask.fill_path(&values(json!({}))), Err("id"));
    }

    #[test]
    fn braces_stand_for_names_only() {
        assert_eq!(pieces("a{b}c{d}").unwrap(), [Piece::Text("a"), Piece::Name("b"), Piece::Text("c"), Piece::Name("d")]);
        assert_eq!(pieces("").unwrap(), []);
        for wrong in ["{", "}", "a}b{c}", "{a b}", "{}", "{{a}}", "{a}}"] {
            assert_eq!(pieces(wrong), None, "{wrong}");
        }
    }
}
