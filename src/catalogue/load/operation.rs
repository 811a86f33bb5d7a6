//! Reads one `[[operations]]`.

use std::collections::BTreeSet;

use hyper::Method;

use super::super::{Kind, Operation, SubjectSource, template};
use super::{not_yet, verify};
use crate::disclosure::{ContentKind, JsonPath};
use crate::lang::Text;
use crate::written::{Place, Placed, Table};

/// Methods that an operation may have; each is registered by itself, HEAD too.
const METHODS: [(&str, &Method); 6] = [
    ("GET", &Method::GET),
    ("HEAD", &Method::HEAD),
    ("POST", &Method::POST),
    ("PUT", &Method::PUT),
    ("PATCH", &Method::PATCH),
    ("DELETE", &Method::DELETE),
];

const MAX_RECORDS: i64 = 1000;

/// The words for kinds of operation.
pub(super) const KINDS: [(&str, Kind); 3] = [("query", Kind::Query), ("verify", Kind::Verify), ("bulk", Kind::Bulk)];

/// An operation as it is written.
pub(super) struct Read {
    pub(super) operation: Operation,
    /// Where its path stands.
    pub(super) place: Place,
    /// The items that it compares, which are known later.
    pub(super) compare: Vec<Placed<String>>,
}

/// Reads one operation.
pub(super) fn read(table: Table<'_, '_>) -> Read {
    let kind = table.choice("kind", &KINDS);
    let method = table.choice("method", &METHODS).cloned();
    let path = table.parsed("path", template::check);
    let origin_path = table.opt_parsed("origin_path", template::check);
    let subject = table.opt_parsed("subject", subject).map(|subject| subject.value);
    let mut parameters = parameters(&table);
    let content = content(&table);
    let records = table.opt_parsed("records", records).map_or_else(JsonPath::root, |path| path.value);
    let max_records = table.opt_integer("max_records", 1..=i64::MAX).unwrap_or(MAX_RECORDS);
    let (verify, compare) = verify::read(&table, kind);
    if content == Some(ContentKind::Opaque) && !records.is_root() {
        table.wrong_value("records", "不适用于 opaque 内容", "does not go with opaque content, which is not read");
    }
    let path_text = path.as_ref().map_or("", |path| &path.value);
    if let Some(origin) = &origin_path {
        let sorted = |path| template::names(path).collect::<BTreeSet<_>>();
        if sorted(&origin.value) != sorted(path_text) {
            table.wrong_value("origin_path", "的参数应与 `path` 相同", "must have the parameters of `path`");
        }
    }
    match &subject {
        Some(SubjectSource::Path(name)) if !template::names(path_text).any(|known| known == name) => {
            let message = Text::new(format!("`path` 中没有参数 `{{{name}}}`"), format!("`path` has no parameter `{{{name}}}`"));
            table.error("subject", "unknown_parameter", message, None);
        }
        Some(SubjectSource::Query(name)) => {
            parameters.insert(name.clone());
        }
        Some(SubjectSource::Content(_)) if matches!(method, Some(Method::GET | Method::HEAD | Method::DELETE)) => {
            table.wrong_value("subject", "在请求内容中，须用 POST、PUT 或 PATCH", "stands in the content, which needs POST, PUT or PATCH");
        }
        _ => {}
    }
    // What could not be read is reported, and the load refused: a stand-in without a path is not routed, and keeps one
    // mistake from being many errors.
    let place = path.as_ref().map_or_else(|| table.place(), |path| path.place.clone());
    let path = path.filter(|_| method.is_some()).map(|path| path.value).unwrap_or_default();
    let operation = Operation {
        kind: kind.unwrap_or(Kind::Query),
        method: method.unwrap_or(Method::GET),
        origin_path: origin_path.map_or_else(|| path.clone(), |path| path.value),
        path,
        subject,
        parameters,
        content: content.unwrap_or(ContentKind::Json),
        records,
        max_records: u64::try_from(max_records).unwrap_or(1),
        verify,
    };
    verify::fits(&table, &operation);
    table.finish();
    Read { operation, place, compare }
}

fn content(table: &Table<'_, '_>) -> Option<ContentKind> {
    let kinds = [("json", Some(ContentKind::Json)), ("opaque", Some(ContentKind::Opaque)), ("ndjson", None), ("csv", None)];
    let content = table.choice_or("content", &kinds, Some(ContentKind::Json))?;
    if content.is_none() {
        let written = table.opt_string("content")?;
        not_yet(table, &written.place, "content", &written.value);
    }
    content
}

fn parameters(table: &Table<'_, '_>) -> BTreeSet<String> {
    let mut parameters = BTreeSet::new();
    for name in table.strings("parameters") {
        let fits = (1..=64).contains(&name.value.len())
            && !name.value.contains(|c: char| c.is_control() || c.is_whitespace() || "&=#%+".contains(c));
        if fits {
            parameters.insert(name.value);
        } else {
            let message =
                Text::new(format!("查询参数名 `{}` 不可用", name.value), format!("`{}` cannot name a query parameter", name.value));
            table.problems().error(&name.place, "wrong_value", message, None);
        }
    }
    parameters
}

/// What one record is; empty: the answer is one.
fn records(text: &str) -> Result<JsonPath, Text> {
    if text.is_empty() { Ok(JsonPath::root()) } else { JsonPath::parse(text) }
}

fn subject(text: &str) -> Result<SubjectSource, Text> {
    let right = || Text::new("应写 `content.$.成员`、`path.参数` 或 `query.参数`", "write `content.$.member`, `path.NAME` or `query.NAME`");
    match text.split_once('.') {
        Some(("content", path)) => JsonPath::parse(path).map(SubjectSource::Content),
        Some(("path", name)) if !name.is_empty() => Ok(SubjectSource::Path(name.to_owned())),
        Some(("query", name)) if !name.is_empty() => Ok(SubjectSource::Query(name.to_owned())),
        _ => Err(right()),
    }
}
