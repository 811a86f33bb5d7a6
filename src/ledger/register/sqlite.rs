//! `register.sqlite`: words, plans and sets of policies once each, an entry as a row of small numbers. What has too many
//! values to be kept once (ids, cases, digests) stands as 64 bits of its SHA-256: the log's own bytes decide.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::super::keys::sha256;
use super::row::{Members, Row, pairs};
use super::{Broken, Store};

/// Told by `user_version` once the indexes are there; another form is made anew.
pub(super) const FORM: i64 = 1;
/// The words with fixed numbers: the two kinds that nearly every entry has are not worth an index.
pub(super) const GRANTED: i64 = 1;
/// As [`GRANTED`].
pub(super) const SETTLED: i64 = 2;
/// Words, plans and sets kept in memory; beyond, they are looked up.
const MOST_KEPT: usize = 100_000;

const TABLES: &str = "
CREATE TABLE log (only INTEGER PRIMARY KEY CHECK (only = 0), \"end\" INTEGER NOT NULL, leaf BLOB) STRICT;
CREATE TABLE words (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE shapes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE shape_items (shape INTEGER NOT NULL, item TEXT NOT NULL, form TEXT NOT NULL, PRIMARY KEY (item, form, shape)) STRICT, WITHOUT ROWID;
CREATE TABLE sets (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE set_policies (\"set\" INTEGER NOT NULL, policy TEXT NOT NULL, PRIMARY KEY (policy, \"set\")) STRICT, WITHOUT ROWID;
CREATE TABLE entries (idx INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind INTEGER NOT NULL, id INTEGER NOT NULL,
  requester INTEGER, department INTEGER, provider INTEGER, resource INTEGER, operation INTEGER, scenario INTEGER,
  \"grant\" INTEGER, code INTEGER, operator INTEGER, subject INTEGER, \"case\" INTEGER, shape INTEGER, policies INTEGER,
  receipt_of INTEGER, settled INTEGER, outcome INTEGER, records INTEGER, bytes INTEGER) STRICT;
INSERT INTO log VALUES (0, 0, NULL);
INSERT INTO words VALUES (1, 'share.granted'), (2, 'share.settled');
";

/// Columns with an index of their own; each index ends with the entry's index, so that a page is one walk.
const INDEXED: [&str; 12] =
    ["id", "requester", "department", "provider", "resource", "scenario", "grant", "code", "operator", "subject", "case", "policies"];

const INSERT: &str = "INSERT INTO entries VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,NULL,?19,?20,?21)";
const SETTLE: &str = "UPDATE entries SET settled = ?2, outcome = ?3, records = ?4, bytes = ?5 WHERE idx = ?1";

/// The file in a ledger's folder.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("register.sqlite")
}

/// 64 bits that stand for a text.
pub(super) fn mark(text: &str) -> i64 {
    let hash = sha256(&[text.as_bytes()]);
    i64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
}

/// A number as SQLite keeps it; the log's are far below.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Texts that stand once, with their numbers.
#[derive(Default)]
struct Once(HashMap<String, i64>);

impl Once {
    /// The text's number, and whether it is new.
    fn number(&mut self, tx: &Transaction<'_>, table: &str, text: &str) -> Result<(i64, bool), Broken> {
        if let Some(id) = self.0.get(text) {
            return Ok((*id, false));
        }
        let known = tx.prepare(&format!("SELECT id FROM {table} WHERE text = ?1"))?.query_row([text], |row| row.get(0)).optional()?;
        let id = match known {
            Some(id) => id,
            None => tx.prepare(&format!("INSERT INTO {table} (text) VALUES (?1)"))?.insert([text])?,
        };
        if self.0.len() >= MOST_KEPT {
            self.0.clear();
        }
        self.0.insert(text.to_owned(), id);
        Ok((id, known.is_none()))
    }
}

/// The register being written.
pub(super) struct Sqlite {
    connection: Connection,
    end: u64,
    indexed: bool,
    words: Once,
    shapes: Once,
    /// Plans by the entry's own text, which is mostly the same: not even read again.
    plans: HashMap<String, i64>,
    sets: Once,
}

impl Sqlite {
    /// Opens the register, or begins one. `leaf_at` tells the log's leaf at an index: a register of another history
    /// is not gone on with.
    pub(super) fn open(folder: &Path, leaf_at: impl FnOnce(u64) -> Result<Option<[u8; 32]>, Broken>) -> Result<Self, Broken> {
        let connection = Connection::open(path(folder))?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 4000;",
        )?;
        let form: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables == 0 {
            connection.execute_batch(&format!("BEGIN; {TABLES} COMMIT;"))?;
        } else if form != 0 && form != FORM {
            return Err(Broken { why: format!("the register has form {form}, not {FORM}"), anew: true });
        }
        let (end, leaf): (i64, Option<[u8; 32]>) =
            connection.query_row("SELECT \"end\", leaf FROM log", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let end = u64::try_from(end).unwrap_or(0);
        if end > 0 && leaf_at(end - 1)? != leaf {
            return Err(Broken { why: format!("the register's entry {} is not the log's", end - 1), anew: true });
        }
        let (words, shapes, plans, sets) = Default::default();
        Ok(Self { connection, end, indexed: form == FORM, words, shapes, plans, sets })
    }

    fn forget(&mut self) {
        // What a rolled-back transaction numbered is not there.
        (self.words, self.shapes, self.plans, self.sets) = Default::default();
    }

    fn add_rows(&mut self, rows: &[Row<'_>]) -> Result<(), Broken> {
        let Self { connection, words, shapes, plans, sets, .. } = self;
        let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let (mut insert, mut settle) = (tx.prepare(INSERT)?, tx.prepare(SETTLE)?);
            for row in rows {
                let members = &row.members;
                let mut word = |text: &Option<std::borrow::Cow<'_, str>>| match text {
                    None => Ok(None),
                    Some(text) => words.number(&tx, "words", text).map(|(id, _)| Some(id)),
                };
                let outcome = word(&members.outcome)?;
                let (records, bytes) = (members.records.map(signed), members.bytes.map(signed));
                let marked = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(mark);
                insert.execute(params![
                    signed(row.index),
                    row.time.as_microsecond(),
                    word(&Some(members.kind.as_ref().into()))?,
                    mark(&members.id),
                    word(&members.requester)?,
                    word(&members.department)?,
                    word(&members.provider)?,
                    word(&members.resource)?,
                    word(&members.operation)?,
                    word(&members.scenario)?,
                    word(&members.grant)?,
                    word(&members.code)?,
                    marked(&members.operator),
                    marked(&members.subject),
                    marked(&members.case),
                    shape(&tx, shapes, plans, members)?,
                    set(&tx, sets, members)?,
                    members.receipt_of.map(signed),
                    outcome,
                    records,
                    bytes,
                ])?;
                if let Some(granted) = members.receipt_of {
                    settle.execute(params![signed(granted), signed(row.index), outcome, records, bytes])?;
                }
            }
        }
        if let Some(last) = rows.last() {
            tx.execute("UPDATE log SET \"end\" = ?1, leaf = ?2", params![signed(last.index + 1), last.leaf])?;
        }
        Ok(tx.commit()?)
    }
}

fn shape(tx: &Transaction<'_>, shapes: &mut Once, plans: &mut HashMap<String, i64>, members: &Members<'_>) -> Result<Option<i64>, Broken> {
    let Some(plan) = members.items else { return Ok(None) };
    if let Some(id) = plans.get(plan.get()) {
        return Ok(Some(*id));
    }
    let Some(text) = members.shape() else { return Ok(None) };
    let (id, new) = shapes.number(tx, "shapes", &text)?;
    if new {
        let mut insert = tx.prepare("INSERT OR IGNORE INTO shape_items VALUES (?1, ?2, ?3)")?;
        for (item, form) in pairs(&text) {
            insert.execute(params![id, item, form])?;
        }
    }
    if plans.len() >= MOST_KEPT {
        plans.clear();
    }
    plans.insert(plan.get().to_owned(), id);
    Ok(Some(id))
}

fn set(tx: &Transaction<'_>, sets: &mut Once, members: &Members<'_>) -> Result<Option<i64>, Broken> {
    let Some(policies) = &members.policies else { return Ok(None) };
    let (id, new) = sets.number(tx, "sets", &policies.join("\n"))?;
    if new {
        let mut insert = tx.prepare("INSERT OR IGNORE INTO set_policies VALUES (?1, ?2)")?;
        for policy in policies {
            insert.execute(params![id, policy])?;
        }
    }
    Ok(Some(id))
}

impl Store for Sqlite {
    fn end(&self) -> u64 {
        self.end
    }

    fn add(&mut self, rows: &[Row<'_>]) -> Result<(), Broken> {
        self.add_rows(rows).inspect_err(|_| self.forget())?;
        self.end = rows.last().map_or(self.end, |last| last.index + 1);
        Ok(())
    }

    /// Indexes are made of all rows at once: many times faster than row by row for a long log.
    fn caught_up(&mut self) -> Result<(), Broken> {
        if self.indexed {
            return Ok(());
        }
        let tx = self.connection.transaction()?;
        for column in INDEXED {
            tx.execute_batch(&format!(
                "CREATE INDEX IF NOT EXISTS entries_{column} ON entries (\"{column}\") WHERE \"{column}\" IS NOT NULL"
            ))?;
        }
        tx.execute_batch(&format!(
            "CREATE INDEX IF NOT EXISTS entries_shape ON entries (shape) WHERE shape IS NOT NULL;
             CREATE INDEX IF NOT EXISTS entries_kind ON entries (kind) WHERE kind > {SETTLED};
             PRAGMA user_version = {FORM};"
        ))?;
        tx.commit()?;
        self.indexed = true;
        Ok(())
    }
}

/// Removes the register and what SQLite keeps beside it.
pub(super) fn remove(folder: &Path) -> std::io::Result<()> {
    let path = path(folder);
    for beside in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.clone().into_os_string();
        name.push(beside);
        match std::fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
