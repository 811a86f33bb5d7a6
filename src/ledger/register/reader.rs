//! Asking the register: candidates for a filter, counts, settlements, and the facts that reports add up.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params_from_iter};

use super::super::query::{Bundles, Filter};
use super::Broken;
use super::sqlite::{self, FORM, GRANTED, SETTLED, mark, signed};

/// Entries under an index that are counted before it is taken for a large one.
const MANY: i64 = 5_000;

/// The register, open for asking; what it shows does not change while this lives.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    end: u64,
}

/// One granted share with its settlement, in the register's numbers for words.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the entries' own members; 0 where absent")]
pub struct Fact {
    pub index: u64,
    pub requester: u32,
    pub department: u32,
    pub provider: u32,
    pub resource: u32,
    pub operation: u32,
    pub scenario: u32,
    pub grant: u32,
    pub shape: u32,
    pub outcome: u32,
    pub records: u64,
    pub bytes: u64,
}

/// A condition on one column, with the values that it compares with.
struct Condition {
    column: &'static str,
    sql: String,
    values: Vec<Value>,
}

/// A filter in SQL; none where it can fit nothing that is registered.
struct Plan {
    conditions: Vec<Condition>,
    from: u64,
    until: u64,
}

impl Reader {
    /// None where there is no register, or one that is still being made.
    pub fn open(folder: &Path) -> Result<Option<Self>, Broken> {
        let path = sqlite::path(folder);
        if !path.exists() {
            return Ok(None);
        }
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch("PRAGMA cache_size = -16384; BEGIN")?;
        let form: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if form != FORM {
            return Ok(None);
        }
        let (end, leaf): (i64, Option<[u8; 32]>) =
            connection.query_row("SELECT \"end\", leaf FROM log", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let end = u64::try_from(end).unwrap_or(0);
        // A log restored from an older copy, or a register from another log: what it knows is not this log.
        if end > 0 && Bundles::open(folder)?.record(end - 1)?.map(|record| record.leaf) != leaf {
            return Err(Broken { why: format!("its entry {} is not the log's", end - 1), anew: true });
        }
        Ok(Some(Self { connection, end }))
    }

    /// How many entries are registered.
    pub fn end(&self) -> u64 {
        self.end
    }

    fn word(&self, table: &str, text: &str) -> Result<Option<i64>, Broken> {
        Ok(self.connection.query_row(&format!("SELECT id FROM {table} WHERE text = ?1"), [text], |row| row.get(0)).optional()?)
    }

    /// The first index at or after a time.
    pub fn first_at(&self, time: jiff::Timestamp) -> Result<u64, Broken> {
        let mut at = self.connection.prepare("SELECT idx, time FROM entries WHERE idx >= ?1 ORDER BY idx LIMIT 1")?;
        let (mut low, mut high) = (0, self.end);
        while low < high {
            let middle = u64::midpoint(low, high);
            let found: Option<i64> = at.query_row([signed(middle)], |row| row.get(1)).optional()?;
            if found.is_some_and(|found| found < time.as_microsecond()) { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    fn plan(&self, filter: &Filter, from: u64) -> Result<Option<Plan>, Broken> {
        let mut conditions = Vec::new();
        let mut add =
            |column: &'static str, sql: &str, values: Vec<Value>| conditions.push(Condition { column, sql: sql.to_owned(), values });
        for (name, value) in &filter.members {
            if matches!(*name, "id" | "case") {
                add(name, "= ?", vec![mark(value).into()]);
                continue;
            }
            match self.word("words", value)? {
                Some(word) => add(name, "= ?", vec![word.into()]),
                None => return Ok(None),
            }
        }
        for (column, digests) in [("operator", &filter.operator), ("subject", &filter.subject)] {
            if let Some(digests) = digests {
                let marks = vec!["?"; digests.len()].join(",");
                add(column, &format!("IN ({marks})"), digests.iter().map(|digest| mark(digest).into()).collect());
            }
        }
        let text = |text: &String| Value::from(text.clone());
        if let Some(policy) = &filter.policy {
            add("policies", "IN (SELECT \"set\" FROM set_policies WHERE policy = ?)", vec![text(policy)]);
        }
        match (&filter.item, &filter.form) {
            (Some(item), Some(form)) => {
                add("shape", "IN (SELECT shape FROM shape_items WHERE item = ? AND form = ?)", vec![text(item), text(form)]);
            }
            (Some(item), None) => add("shape", "IN (SELECT shape FROM shape_items WHERE item = ?)", vec![text(item)]),
            (None, Some(form)) => add("shape", "IN (SELECT shape FROM shape_items WHERE form = ?)", vec![text(form)]),
            (None, None) => {}
        }
        let since = filter.since.map(|since| self.first_at(since)).transpose()?.unwrap_or(0);
        let until = filter.until.map(|until| self.first_at(until)).transpose()?.unwrap_or(self.end);
        Ok(Some(Plan { conditions, from: from.max(since), until }))
    }

    /// The column whose index leaves least to look at; none where walking the range itself does.
    fn best(&self, plan: &Plan) -> Result<Option<&'static str>, Broken> {
        let mut best = (i64::try_from(plan.until.saturating_sub(plan.from)).unwrap_or(i64::MAX).min(MANY), None);
        for condition in &plan.conditions {
            let Condition { column, sql, values } = condition;
            if *column == "kind" && values.first().is_some_and(|kind| matches!(kind, Value::Integer(kind) if *kind <= SETTLED)) {
                continue;
            }
            let inner =
                format!("SELECT 1 FROM entries WHERE \"{column}\" {sql}{} AND idx >= ? AND idx < ? LIMIT {MANY}", Self::aid(column));
            let values = values.iter().cloned().chain([signed(plan.from).into(), signed(plan.until).into()]);
            let count: i64 =
                self.connection.query_row(&format!("SELECT count(*) FROM ({inner})"), params_from_iter(values), |row| row.get(0))?;
            if count < best.0 || (best.1.is_none() && count == best.0 && count == MANY) {
                best = (count, Some(*column));
            }
        }
        Ok(best.1)
    }

    /// What lets SQLite see that the partial index on kinds applies.
    fn aid(column: &str) -> String {
        if column == "kind" { format!(" AND kind > {SETTLED}") } else { String::new() }
    }

    fn sql(&self, plan: &Plan, what: &str) -> Result<(String, Vec<Value>), Broken> {
        let best = self.best(plan)?;
        let by = best.map_or_else(|| "NOT INDEXED".to_owned(), |column| format!("INDEXED BY entries_{column}"));
        let mut sql = format!("SELECT {what} FROM entries {by} WHERE idx >= ? AND idx < ?");
        let mut values: Vec<Value> = vec![signed(plan.from).into(), signed(plan.until).into()];
        for Condition { column, sql: condition, values: more } in &plan.conditions {
            let aid = if best == Some(*column) { Self::aid(column) } else { String::new() };
            // Writing to a string does not fail.
            let _ = write!(sql, " AND \"{column}\" {condition}{aid}");
            values.extend(more.iter().cloned());
        }
        Ok((sql, values))
    }

    /// Gives `each` the index of every registered entry that may fit, ascending, until it breaks. Goes on with the index up
    /// to which the register could tell.
    pub fn search(&self, filter: &Filter, from: u64, mut each: impl FnMut(u64) -> ControlFlow<()>) -> Result<ControlFlow<(), u64>, Broken> {
        let Some(plan) = self.plan(filter, from)? else { return Ok(ControlFlow::Continue(self.end)) };
        let (sql, values) = self.sql(&plan, "idx")?;
        let mut statement = self.connection.prepare(&format!("{sql} ORDER BY idx"))?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let index: i64 = row.get(0)?;
            if each(u64::try_from(index).unwrap_or(0)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(self.end))
    }

    /// How many registered entries fit, and the index up to which the register could tell.
    pub fn count(&self, filter: &Filter, from: u64) -> Result<(u64, u64), Broken> {
        let Some(plan) = self.plan(filter, from)? else { return Ok((0, self.end)) };
        let (sql, values) = self.sql(&plan, "count(*)")?;
        let count: i64 = self.connection.query_row(&sql, params_from_iter(values), |row| row.get(0))?;
        Ok((u64::try_from(count).unwrap_or(0), self.end))
    }

    /// Where the share granted at `index` was settled.
    pub fn settled(&self, index: u64) -> Result<Option<u64>, Broken> {
        let settled = self.connection.query_row("SELECT settled FROM entries WHERE idx = ?1", [signed(index)], |row| row.get(0));
        let settled: Option<Option<i64>> = settled.optional()?;
        Ok(settled.flatten().and_then(|settled| u64::try_from(settled).ok()))
    }

    /// The words, plans or sets, by number from 0.
    pub fn texts(&self, table: &'static str) -> Result<Vec<String>, Broken> {
        let mut texts = Vec::new();
        let mut statement = self.connection.prepare(&format!("SELECT id, text FROM {table} ORDER BY id"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id: usize = row.get::<_, i64>(0)?.try_into().unwrap_or(0);
            texts.resize(id.max(texts.len()), String::new());
            texts.push(row.get(1)?);
        }
        Ok(texts)
    }

    /// Gives `each` the granted shares from one index to before another.
    pub fn facts(&self, from: u64, until: u64, mut each: impl FnMut(Fact, bool)) -> Result<(), Broken> {
        let mut statement = self.connection.prepare(&format!(
            "SELECT idx, requester, department, provider, resource, operation, scenario, \"grant\", shape, outcome, records, bytes, settled
             FROM entries WHERE idx >= ?1 AND idx < ?2 AND +kind = {GRANTED}"
        ))?;
        let mut rows = statement.query([signed(from), signed(until)])?;
        while let Some(row) = rows.next()? {
            let number = |at: usize| row.get::<_, Option<i64>>(at).map(Option::unwrap_or_default);
            let word = |at: usize| number(at).map(|number| u32::try_from(number).unwrap_or(0));
            let large = |at: usize| number(at).map(|number| u64::try_from(number).unwrap_or(0));
            let fact = Fact {
                index: large(0)?,
                requester: word(1)?,
                department: word(2)?,
                provider: word(3)?,
                resource: word(4)?,
                operation: word(5)?,
                scenario: word(6)?,
                grant: word(7)?,
                shape: word(8)?,
                outcome: word(9)?,
                records: large(10)?,
                bytes: large(11)?,
            };
            each(fact, row.get::<_, Option<i64>>(12)?.is_some());
        }
        Ok(())
    }

    /// The grants among `ids` under which a share was granted from one index to before another.
    pub fn used_grants(&self, ids: &HashSet<String>, from: u64, until: u64) -> Result<HashSet<String>, Broken> {
        let mut statement = self.connection.prepare(&format!(
            "SELECT 1 FROM entries INDEXED BY entries_grant
             WHERE \"grant\" = (SELECT id FROM words WHERE text = ?1) AND idx >= ?2 AND idx < ?3 AND +kind = {GRANTED} LIMIT 1"
        ))?;
        let mut used = HashSet::new();
        for id in ids {
            if statement.exists(rusqlite::params![id, signed(from), signed(until)])? {
                used.insert(id.clone());
            }
        }
        Ok(used)
    }

    /// For the check: every row as it stands, ascending.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}
