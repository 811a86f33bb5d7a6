//! Asking the database, across the logs of all gateways.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use base64::prelude::{BASE64_STANDARD, Engine};
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::ToSql;

use super::super::{Broken, Row};
use super::Database;
use crate::ledger::journal::leaf;
use crate::ledger::query::Filter;

/// One entry of some gateway's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The log's origin line: the gateway's name.
    pub log: String,
    /// The entry's index there.
    pub index: u64,
    /// Its exact bytes.
    pub entry: Vec<u8>,
    /// A column that says otherwise than the entry; looked for where rows are to be proven.
    pub altered: Option<&'static str>,
}

impl Registered {
    /// The entry's leaf, in base64.
    pub fn leaf(&self) -> String {
        BASE64_STANDARD.encode(leaf(&self.entry))
    }
}

/// What the table has columns of; the rest of a filter is decided by the entry itself.
const COLUMNS: [&str; 6] = ["kind", "requester", "department", "provider", "resource", "scenario"];

/// What a row says beside its entry's bytes.
const JUDGED: &str = ", (extract(epoch FROM time) * 1000000)::bigint, kind, requester, department, provider, resource, scenario, subject";

/// The first column that is not what the entry says.
fn altered(stored: &postgres::Row, entry: &[u8]) -> Option<&'static str> {
    let row = Row::read(0, [0; 32], entry);
    let members = &row.members;
    if stored.get::<_, i64>(3) != row.time.as_microsecond() {
        return Some("time");
    }
    let columns = [
        ("kind", Some(&*members.kind)),
        ("requester", members.requester.as_deref()),
        ("department", members.department.as_deref()),
        ("provider", members.provider.as_deref()),
        ("resource", members.resource.as_deref()),
        ("scenario", members.scenario.as_deref()),
        ("subject", members.subject.as_deref()),
    ];
    let mut at = (4..).zip(columns);
    at.find(|(at, (_, said))| stored.get::<_, Option<&str>>(*at) != *said).map(|(_, (name, _))| name)
}

impl Database {
    /// Gives `each` the entries that fit, of one log or of all, by time, until it breaks. Where rows are to be `proven`, those
    /// too whose columns fit and whose entries do not.
    pub fn search(
        &self,
        log: Option<&str>,
        filter: &Filter,
        proven: bool,
        mut each: impl FnMut(Registered) -> ControlFlow<()>,
    ) -> Result<(), Broken> {
        let (since, until) = (filter.since.map(|time| time.to_string()), filter.until.map(|time| time.to_string()));
        let mut conditions: Vec<(&str, &str, &(dyn ToSql + Sync))> = Vec::new();
        conditions.extend(log.as_ref().map(|log| ("log", "=", log as &(dyn ToSql + Sync))));
        for (name, value) in &filter.members {
            conditions.extend(COLUMNS.iter().find(|column| *column == name).map(|column| (*column, "=", value as &(dyn ToSql + Sync))));
        }
        conditions.extend(filter.subject.as_ref().map(|digests| ("subject", "= ANY", digests as &(dyn ToSql + Sync))));
        conditions.extend(since.as_ref().map(|since| ("time", ">=", since as &(dyn ToSql + Sync))));
        conditions.extend(until.as_ref().map(|until| ("time", "<", until as &(dyn ToSql + Sync))));
        let mut sql = format!("SELECT log, index, entry{} FROM kanhe.entries WHERE true", if proven { JUDGED } else { "" });
        for (place, (column, operator, _)) in (1..).zip(&conditions) {
            let cast = if *column == "time" { "::text::timestamptz" } else { "" };
            // Writing to a string does not fail.
            let _ = write!(sql, " AND {column} {operator} (${place}{cast})");
        }
        sql.push_str(" ORDER BY time, log, index");
        let mut client = self.connect()?;
        let mut rows = client.query_raw(&sql, conditions.into_iter().map(|(_, _, value)| value))?;
        while let Some(row) = rows.next()? {
            let index: i64 = row.get(1);
            let entry: Vec<u8> = row.get(2);
            let altered = if proven { altered(&row, &entry) } else { None };
            // No log has an entry of a negative index.
            let found = Registered { log: row.get(0), index: u64::try_from(index).unwrap_or(u64::MAX), entry, altered };
            if (altered.is_some() || filter.fits(&found.entry)) && each(found).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}
