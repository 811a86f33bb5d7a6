//! Whether the register says what the log says: every row against its entry, every settlement against its share.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::types::ValueRef;

use super::super::query;
use super::row::Row;
use super::sqlite::{mark, signed};
use super::{Broken, Reader};

/// Compares the register with the log, as far as the register goes; gives the first entry that differs and how. None where
/// all agree, or there is no register. Reads files only; `each` is told of each entry that is done.
pub fn check(folder: &Path, mut each: impl FnMut(u64)) -> Result<Option<(u64, String)>, Broken> {
    let Some(reader) = Reader::open(folder)? else { return Ok(None) };
    let tables = Tables { words: reader.texts("words")?, shapes: reader.texts("shapes")?, sets: reader.texts("sets")? };
    let mut statement = reader.connection().prepare("SELECT * FROM entries ORDER BY idx")?;
    let mut settling = reader.connection().prepare("SELECT settled, outcome, records, bytes FROM entries WHERE idx = ?1")?;
    let mut rows = statement.query([])?;
    let (mut bad, mut failed, mut settled, mut next) = (None, None, 0_u64, 0);
    query::read(folder, 0, |record| {
        next = record.index;
        if record.index >= reader.end() {
            return ControlFlow::Break(());
        }
        let row = Row::read(record.index, record.leaf, &record.entry);
        let differs = rows.next().and_then(|stored| stored.map_or(Ok(Some("is not registered")), |stored| tables.differs(&row, stored)));
        let share = |granted: u64| {
            settling.query_row([signed(granted)], |stored| {
                let same = stored.get::<_, Option<i64>>(0)? == Some(signed(record.index))
                    && tables.word(stored.get_ref(1)?) == row.members.outcome.as_deref()
                    && stored.get::<_, Option<i64>>(2)? == row.members.records.map(signed)
                    && stored.get::<_, Option<i64>>(3)? == row.members.bytes.map(signed);
                Ok(same)
            })
        };
        match (differs, row.members.receipt_of.map(share).transpose()) {
            (Ok(None), Ok(None)) => {}
            (Ok(None), Ok(Some(true))) => settled += 1,
            (Ok(None), Ok(Some(false))) => bad = Some((record.index, "its share is not registered as settled by it".to_owned())),
            (Ok(Some(what)), _) => bad = Some((record.index, format!("register: {what}"))),
            (Err(error), _) | (_, Err(error)) => failed = Some(error),
        }
        each(record.index);
        if bad.is_some() || failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    if bad.is_none() && rows.next()?.is_some() {
        bad = Some((reader.end(), "register: it holds more than it says".to_owned()));
    }
    let marked: i64 = reader.connection().query_row("SELECT count(*) FROM entries WHERE settled IS NOT NULL", [], |row| row.get(0))?;
    if bad.is_none() && signed(settled) != marked {
        bad = Some((next, "register: more shares are settled than the log settles".to_owned()));
    }
    Ok(bad)
}

struct Tables {
    words: Vec<String>,
    shapes: Vec<String>,
    sets: Vec<String>,
}

fn text<'a>(texts: &'a [String], value: ValueRef<'_>) -> Option<&'a str> {
    let number = value.as_i64_or_null().ok()??;
    texts.get(usize::try_from(number).ok()?).map(String::as_str)
}

impl Tables {
    fn word(&self, value: ValueRef<'_>) -> Option<&str> {
        text(&self.words, value)
    }

    /// The first column that is not the entry's.
    fn differs(&self, row: &Row<'_>, stored: &rusqlite::Row<'_>) -> rusqlite::Result<Option<&'static str>> {
        let members = &row.members;
        let number = |name: &str| stored.get::<_, Option<i64>>(name);
        let words: [(&'static str, Option<&str>); 9] = [
            ("kind", Some(&members.kind)),
            ("requester", members.requester.as_deref()),
            ("department", members.department.as_deref()),
            ("provider", members.provider.as_deref()),
            ("resource", members.resource.as_deref()),
            ("operation", members.operation.as_deref()),
            ("scenario", members.scenario.as_deref()),
            ("grant", members.grant.as_deref()),
            ("code", members.code.as_deref()),
        ];
        for (column, value) in words {
            if self.word(stored.get_ref(column)?) != value {
                return Ok(Some(column));
            }
        }
        let marked = |text: &Option<Cow<'_, str>>| text.as_deref().map(mark);
        let numbers = [
            ("idx", Some(signed(row.index))),
            ("time", Some(row.time.as_microsecond())),
            ("id", Some(mark(&members.id))),
            ("operator", marked(&members.operator)),
            ("subject", marked(&members.subject)),
            ("case", marked(&members.case)),
            ("receipt_of", members.receipt_of.map(signed)),
        ];
        for (column, value) in numbers {
            if number(column)? != value {
                return Ok(Some(column));
            }
        }
        let shape = members.shape();
        if text(&self.shapes, stored.get_ref("shape")?) != shape.as_deref() {
            return Ok(Some("items"));
        }
        let set = members.policies.as_ref().map(|policies| policies.join("\n"));
        Ok((text(&self.sets, stored.get_ref("policies")?) != set.as_deref()).then_some("policies"))
    }
}
