//! Tables as comma-separated values (RFC 4180), for spreadsheets.

use std::io::{self, Write};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;

use crate::ledger::query::Record;

/// Columns of an entry: where it stands, then members by their names.
pub(super) const ENTRY: [&str; 25] = [
    "index",
    "leaf",
    "time",
    "kind",
    "id",
    "requester",
    "department",
    "operator",
    "provider",
    "resource",
    "operation",
    "scenario",
    "case",
    "subject",
    "grant",
    "code",
    "items",
    "policies",
    "snapshot",
    "receipt_of",
    "outcome",
    "status",
    "records",
    "bytes",
    "reason",
];

/// A table being written.
pub(super) struct Sheet<'a> {
    columns: &'a [&'a str],
}

impl<'a> Sheet<'a> {
    pub(super) fn new(columns: &'a [&'a str]) -> Self {
        Self { columns }
    }

    pub(super) fn heading(&self, out: &mut impl Write) -> io::Result<()> {
        record(out, self.columns)
    }

    pub(super) fn row(&self, out: &mut impl Write, cells: &[Value]) -> io::Result<()> {
        let cells: Vec<String> = cells.iter().map(cell).collect();
        record(out, &cells)
    }

    pub(super) fn entry(&self, out: &mut impl Write, found: &Record) -> io::Result<()> {
        let entry: Value = serde_json::from_slice(&found.entry).unwrap_or_default();
        let cells = self.columns.iter().map(|column| match *column {
            "index" => found.index.into(),
            "leaf" => BASE64_STANDARD.encode(found.leaf).into(),
            member => entry.get(member).cloned().unwrap_or_default(),
        });
        let cells: Vec<Value> = cells.collect();
        self.row(out, &cells)
    }
}

fn record<T: AsRef<[u8]>>(out: &mut impl Write, cells: &[T]) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells).map_err(io::Error::other)?;
    out.write_all(&writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?)
}

/// A cell that begins like a formula would be run by a spreadsheet, and callers choose what stands in some: an apostrophe
/// makes it text.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => return other.to_string(),
    };
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_and_never_a_formula() {
        let sheet = Sheet::new(&["a", "b", "c", "d"]);
        let mut out = Vec::new();
        sheet.heading(&mut out).unwrap();
        sheet.row(&mut out, &["=1+1".into(), "a,\"b\"\n".into(), Value::Null, serde_json::json!({"x": 1})]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a,b,c,d\r\n'=1+1,\"a,\"\"b\"\"\n\",,\"{\"\"x\"\":1}\"\r\n");
    }
}
