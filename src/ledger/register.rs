//! The register: what was logged, laid out for searching. It is derived from the signed log alone, always behind it by a
//! little, never ahead, and made anew from it whenever it is lost, broken or of another form. No share waits for it.
//!
//! The seam between the two halves is `Store`: a store tells up to which index it holds the log, and takes the rows
//! that follow, in order, each once. Feeding goes on from there after any outage, without loss or repetition.

mod check;
mod feed;
mod portion;
mod postgres;
mod reader;
mod row;
mod sqlite;

use std::fmt;

pub use check::check;
#[cfg(test)]
pub(super) use feed::catch_up;
pub use feed::{Feed, State, rebuild};
pub use portion::{Asked, Given, Portion};
pub(super) use postgres::Gate;
pub use postgres::{Ahead, Database, Hand, Registered, SharedFeed, fill};
pub use reader::{Fact, Reader};
pub(super) use row::{Row, pairs};

/// Where rows go. What it holds is a prefix of the log.
pub(super) trait Store {
    /// How many entries it holds: the index of the next.
    fn end(&self) -> u64;
    /// The log keeps nothing before this index any more, and neither may the store; it goes on there if it was not so far.
    fn prune(&mut self, minimum: u64) -> Result<(), Broken>;
    /// Takes the rows that follow, all of them or none.
    fn add(&mut self, rows: &[Row<'_>]) -> Result<(), Broken>;
    /// All that is signed has come: what is better done once than for every row.
    fn caught_up(&mut self) -> Result<(), Broken>;
}

/// The register cannot be used; the log can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What was said.
    pub why: String,
    /// Whether making it anew from the log mends it.
    pub(super) anew: bool,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Broken {}

impl From<rusqlite::Error> for Broken {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{ConstraintViolation, DatabaseCorrupt, NotADatabase};
        let code = error.sqlite_error_code();
        // A broken constraint means that what is there is no prefix of the log.
        let anew = matches!(code, Some(DatabaseCorrupt | NotADatabase | ConstraintViolation));
        Self { why: error.to_string(), anew }
    }
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self { why: error.to_string(), anew: false }
    }
}
