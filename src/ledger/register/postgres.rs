//! A register in PostgreSQL that many gateways fill, each with its own log: schema `kanhe`, one table partitioned by month.
//! What it holds of a log is a prefix of it; entries go in by whole transactions, each once.

mod database;
mod feed;
mod hand;
mod search;
mod snapshots;

use std::collections::BTreeSet;

use postgres::Client;
use postgres::types::ToSql;

pub use database::Database;
pub(in super::super) use feed::Gate;
pub use feed::SharedFeed;
pub use hand::Hand;
pub use search::Registered;
pub use snapshots::Ahead;

use super::{Broken, Row, Store};

/// Held while schema and partitions are made, which several gateways may want at once.
const LOCK: i64 = 0x006b_616e_6865;

const SCHEMA: &str = "
CREATE SCHEMA IF NOT EXISTS kanhe;
CREATE TABLE IF NOT EXISTS kanhe.entries (log text NOT NULL, index bigint NOT NULL, time timestamptz NOT NULL, kind text NOT NULL,
  requester text, department text, provider text, resource text, scenario text, subject text, entry bytea NOT NULL,
  PRIMARY KEY (log, time, index)) PARTITION BY RANGE (time);
CREATE INDEX IF NOT EXISTS entries_subject ON kanhe.entries (subject, time) WHERE subject IS NOT NULL;
CREATE INDEX IF NOT EXISTS entries_provider ON kanhe.entries (provider, resource, time);
CREATE INDEX IF NOT EXISTS entries_department ON kanhe.entries (department, scenario, time);
CREATE INDEX IF NOT EXISTS entries_requester ON kanhe.entries (requester, time);
CREATE TABLE IF NOT EXISTS kanhe.gateways (log text PRIMARY KEY, entries bigint NOT NULL, snapshot text, seen timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS kanhe.quotas (grant_id text NOT NULL, day date NOT NULL, calls bigint NOT NULL DEFAULT 0,
  records bigint NOT NULL DEFAULT 0, hungry timestamptz, PRIMARY KEY (grant_id, day));
CREATE INDEX IF NOT EXISTS quotas_hungry ON kanhe.quotas (hungry) WHERE hungry IS NOT NULL;
CREATE TABLE IF NOT EXISTS kanhe.portions (grant_id text NOT NULL, day date NOT NULL, log text NOT NULL, calls bigint NOT NULL,
  records bigint NOT NULL, unused_calls bigint NOT NULL, unused_records bigint NOT NULL, PRIMARY KEY (grant_id, day, log));
CREATE INDEX IF NOT EXISTS portions_log ON kanhe.portions (log, day);
";

const INSERT: &str = "
INSERT INTO kanhe.entries (log, index, time, kind, requester, department, provider, resource, scenario, subject, entry)
SELECT $1, u.index, u.time::timestamptz, u.kind, u.requester, u.department, u.provider, u.resource, u.scenario, u.subject, u.entry
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bytea[])
  AS u (index, time, kind, requester, department, provider, resource, scenario, subject, entry)";

const SEEN: &str = "
INSERT INTO kanhe.gateways (log, entries, snapshot, seen) VALUES ($1, $2, $3, now())
ON CONFLICT (log) DO UPDATE SET entries = excluded.entries, snapshot = coalesce(excluded.snapshot, kanhe.gateways.snapshot), seen = now()";

/// Registers what is signed of the log in `folder`, as its gateway would after an outage, in a database that has nothing of
/// it yet; how many entries it has then.
pub fn fill(database: &Database, log: &str, folder: &std::path::Path) -> Result<u64, Broken> {
    let mut store = Postgres::open(database, log, |_| Ok(None))?;
    super::feed::catch_up(folder, &mut store, |_, _| true)?;
    Ok(store.end())
}

/// Makes what is not there yet; a role that may not make anything finds it made.
fn make_tables(client: &mut Client) -> Result<(), Broken> {
    // The last of them.
    let there: Option<String> = client.query_one("SELECT to_regclass('kanhe.snapshots_snapshot')::text", &[])?.get(0);
    if there.is_none() {
        let mut making = client.transaction()?;
        making.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
        making.batch_execute(SCHEMA)?;
        making.batch_execute(snapshots::TABLE)?;
        making.commit()?;
    }
    Ok(())
}

impl From<postgres::Error> for Broken {
    fn from(error: postgres::Error) -> Self {
        // The library says the kind of error alone; what the server or the system said comes with its source.
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        Self { why: format!("{error}{}", source.unwrap_or_default()), anew: false }
    }
}

/// One log's part of the register, being written.
pub(super) struct Postgres {
    client: Client,
    log: String,
    end: u64,
    minimum: u64,
    /// Months whose partitions are known to be there.
    months: BTreeSet<(i16, i8)>,
    snapshot: Option<String>,
}

impl Postgres {
    /// Connects. `entry_at` gives the log's entry at an index: a register that holds another history of this log is not gone
    /// on with.
    pub(super) fn open(
        database: &Database,
        log: &str,
        entry_at: impl FnOnce(u64) -> Result<Option<Vec<u8>>, Broken>,
    ) -> Result<Self, Broken> {
        let mut client = database.connect()?;
        make_tables(&mut client)?;
        let last =
            client.query_opt("SELECT index, entry FROM kanhe.entries WHERE log = $1 ORDER BY time DESC, index DESC LIMIT 1", &[&log])?;
        let end = match last {
            None => 0,
            Some(row) => {
                let (index, entry): (i64, Vec<u8>) = (row.get(0), row.get(1));
                let index = u64::try_from(index).unwrap_or(0);
                if entry_at(index)?.as_deref() != Some(&entry) {
                    let why = format!("the database holds another history of the log `{log}`: its entry {index} is not this log's");
                    return Err(Broken { why, anew: false });
                }
                index + 1
            }
        };
        Ok(Self { client, log: log.to_owned(), end, minimum: 0, months: BTreeSet::new(), snapshot: None })
    }

    /// Partitions for these months and the one after the last, so that none is made at midnight under load.
    fn partitions(&mut self, rows: &[Row<'_>]) -> Result<(), Broken> {
        let zoned = |row: &Row<'_>| row.time.to_zoned_datetime(jiff::tz::TimeZone::UTC).date().first_of_month();
        let mut wanted: BTreeSet<_> = rows.iter().map(zoned).collect();
        let next = wanted.last().and_then(|last| last.checked_add(jiff::Span::new().months(1)).ok());
        wanted.extend(next);
        for month in wanted {
            let key = (month.year(), month.month());
            let Ok(after) = month.checked_add(jiff::Span::new().months(1)) else { continue };
            if self.months.contains(&key) {
                continue;
            }
            let mut making = self.client.transaction()?;
            making.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
            // Numbers and dates of our own making: nothing here was written by anybody.
            making.batch_execute(&format!(
                "CREATE TABLE IF NOT EXISTS kanhe.entries_{:04}_{:02} PARTITION OF kanhe.entries FOR VALUES FROM ('{month} 00:00+00') TO ('{after} 00:00+00')",
                key.0, key.1
            ))?;
            making.commit()?;
            self.months.insert(key);
        }
        Ok(())
    }

    /// Says that this gateway is there, and under which snapshot; whether a peer has a newer one.
    pub(super) fn seen(&mut self, snapshot: Option<&str>) -> Result<Option<Ahead>, Broken> {
        if snapshot.is_some() {
            self.snapshot = snapshot.map(str::to_owned);
        }
        self.client.execute(SEEN, &[&self.log, &i64::try_from(self.end).unwrap_or(i64::MAX), &self.snapshot])?;
        match &self.snapshot {
            Some(snapshot) => snapshots::compare(&mut self.client, &self.log, snapshot),
            None => Ok(None),
        }
    }
}

impl Store for Postgres {
    fn end(&self) -> u64 {
        self.end
    }

    fn prune(&mut self, minimum: u64) -> Result<(), Broken> {
        if minimum != self.minimum {
            let before = i64::try_from(minimum).unwrap_or(i64::MAX);
            self.client.execute("DELETE FROM kanhe.entries WHERE log = $1 AND index < $2", &[&self.log, &before])?;
            (self.minimum, self.end) = (minimum, self.end.max(minimum));
        }
        Ok(())
    }

    fn add(&mut self, rows: &[Row<'_>]) -> Result<(), Broken> {
        let Some(last) = rows.last().map(|row| row.index) else { return Ok(()) };
        self.partitions(rows)?;
        let indexes: Vec<i64> = rows.iter().map(|row| i64::try_from(row.index).unwrap_or(i64::MAX)).collect();
        let times: Vec<String> = rows.iter().map(|row| row.time.to_string()).collect();
        let kinds: Vec<&str> = rows.iter().map(|row| &*row.members.kind).collect();
        let entries: Vec<&[u8]> = rows.iter().map(|row| row.entry).collect();
        let column = |of: for<'r> fn(&'r Row<'_>) -> Option<&'r str>| rows.iter().map(of).collect::<Vec<Option<&str>>>();
        let columns = [
            column(|row| row.members.requester.as_deref()),
            column(|row| row.members.department.as_deref()),
            column(|row| row.members.provider.as_deref()),
            column(|row| row.members.resource.as_deref()),
            column(|row| row.members.scenario.as_deref()),
            column(|row| row.members.subject.as_deref()),
        ];
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&self.log, &indexes, &times, &kinds];
        values.extend(columns.iter().map(|column| column as &(dyn ToSql + Sync)));
        values.push(&entries);
        self.client.execute(INSERT, &values)?;
        self.end = last + 1;
        Ok(())
    }

    fn caught_up(&mut self) -> Result<(), Broken> {
        Ok(())
    }
}
