//! Rows by region on the line: what the policies say to each region code that an answer holds, asked once a code.

use std::collections::HashMap;
use std::sync::Arc;

use crate::disclosure::{Error, Regions};
use crate::policy::rows::Question;
use crate::snapshot::Snapshot;

/// Codes whose answer is kept; a register that holds more of them is asked again.
const KEPT: usize = 4096;

/// The regions of one answer, decided under the snapshot of its call.
pub struct Rows {
    snapshot: Arc<Snapshot>,
    question: Question,
    decided: HashMap<Box<str>, bool>,
}

impl Rows {
    /// Nothing decided yet.
    pub fn new(snapshot: Arc<Snapshot>, question: Question) -> Self {
        Self { snapshot, question, decided: HashMap::new() }
    }
}

impl Regions for Rows {
    fn include(&mut self, code: &str) -> Result<bool, Error> {
        if let Some(included) = self.decided.get(code) {
            return Ok(*included);
        }
        let Snapshot { policies, parties, .. } = &*self.snapshot;
        let included = policies.include(&self.question, parties, code).map_err(|denial| {
            tracing::error!(errors = denial.errors.join("; "), "whether a region's records may be shown could not be decided");
            Error::Undecided
        })?;
        if self.decided.len() < KEPT {
            self.decided.insert(code.into(), included);
        }
        Ok(included)
    }
}
