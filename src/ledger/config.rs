//! `[ledger]` of `kanhe.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::witness::Witnesses;
use crate::lang::Text;
use crate::written::{Table, units};

/// The smallest journal segment: room for the head and several of the largest entries.
const MIN_SEGMENT: u64 = 1 << 20;
const MIN_YEARS: units::Years = units::Years(3);

/// Where the ledger lies, and under which keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The ledger's folder.
    pub folder: PathBuf,
    /// The log's origin line and its note key name.
    pub name: String,
    /// Bytes of one preallocated journal file.
    pub journal_segment: u64,
    /// The Ed25519 key that signs checkpoints.
    pub key: PathBuf,
    /// The key under which persons' identifiers are digested.
    pub subject_key: PathBuf,
    /// Keys used earlier, to search with.
    pub subject_keys_old: Vec<PathBuf>,
    /// How often a grown log is signed.
    pub checkpoint_interval: Duration,
    /// A second path of the checkpoint: tells at start that the log was cut or replaced.
    pub checkpoint_copy: Option<PathBuf>,
    /// Where entries are registered for searching.
    pub register: Register,
    /// Who cosigns its checkpoints.
    pub witnesses: Witnesses,
}

/// Where entries are registered for searching; the log itself is whole without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// `register.sqlite` in the ledger's folder.
    Sqlite,
    /// Nowhere: queries read the log's files.
    Off,
}

impl Config {
    /// Reads the table but does not finish it.
    pub fn read(table: &Table<'_, '_>, base: &Path, gateway_name: &str) -> Option<Self> {
        let path = |key| table.filled(key).map(|text| base.join(text.value));
        let (folder, key, subject_key) = (path("folder"), path("key"), path("subject_key"));
        let old = table.strings("subject_keys_old").into_iter().map(|text| base.join(text.value)).collect();
        let segment = optional(table, "journal_segment", 64 << 20, segment_size);
        let interval = optional(table, "checkpoint_interval", Duration::from_secs(1), interval);
        let copy = table.opt_string("checkpoint_copy").filter(|text| !text.value.trim().is_empty());
        let register = optional(table, "register", Register::Sqlite, register);
        let witnesses = Witnesses::read(table, base);
        let gate = optional(table, "gate", (), gate);
        let retention = optional(table, "retention", (), retention);
        let ((), ()) = (gate?, retention?);
        Some(Self {
            folder: folder?,
            name: gateway_name.to_owned(),
            journal_segment: segment?,
            key: key?,
            subject_key: subject_key?,
            subject_keys_old: old,
            checkpoint_interval: interval?,
            checkpoint_copy: copy.map(|text| base.join(text.value)),
            register: register?,
            witnesses: witnesses?,
        })
    }
}

/// A value with its own grammar and a default; none where what is written is wrong.
fn optional<T>(table: &Table<'_, '_>, key: &str, default: T, parse: fn(&str) -> Result<T, Text>) -> Option<T> {
    if table.has(key) {
        table.opt_parsed(key, parse).map(|placed| placed.value)
    } else {
        table.opt_string(key);
        Some(default)
    }
}

fn segment_size(text: &str) -> Result<u64, Text> {
    let size = units::size(text)?;
    if (MIN_SEGMENT..=1 << 30).contains(&size) { Ok(size) } else { Err(Text::new("应在 1MiB 至 1GiB 之间", "from 1MiB to 1GiB")) }
}

fn interval(text: &str) -> Result<Duration, Text> {
    let interval = units::duration(text)?;
    if (Duration::from_millis(10)..=Duration::from_secs(3600)).contains(&interval) {
        Ok(interval)
    } else {
        Err(Text::new("应在 10ms 至 1h 之间", "from 10ms to 1h"))
    }
}

fn register(text: &str) -> Result<Register, Text> {
    match text {
        "sqlite" => Ok(Register::Sqlite),
        "off" => Ok(Register::Off),
        _ if text.starts_with("postgres://") => Err(Text::new(
            "PostgreSQL 登记库尚未提供，请写 `sqlite` 或 `off`",
            "a PostgreSQL register comes with later work: write `sqlite` or `off`",
        )),
        _ => Err(Text::new("应为 `sqlite` 或 `off`", "`sqlite` or `off`")),
    }
}

fn gate(text: &str) -> Result<(), Text> {
    match text {
        "local" => Ok(()),
        "register" => Err(Text::new("等待登记库尚未提供，请写 `local`", "waiting for the register comes with later work: write `local`")),
        _ => Err(Text::new("应为 `local`", "`local`")),
    }
}

fn retention(text: &str) -> Result<(), Text> {
    if units::years(text)? >= MIN_YEARS {
        Ok(())
    } else {
        Err(Text::new("不得少于 3 年：`3y` 或更长", "at least three years: `3y` or more"))
    }
}
