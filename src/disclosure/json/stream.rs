//! An answer rewritten piece by piece.

use std::sync::Arc;

use super::super::{self as disclosure, Outcome, Pseudonyms, Regions};
use super::compiled::Compiled;

/// One answer on its way through its plan.
pub struct Stream {
    plan: Arc<Compiled>,
    pseudonyms: Pseudonyms,
    regions: Option<Box<dyn Regions>>,
    held: Vec<u8>,
    limit: usize,
}

impl Compiled {
    /// Begins an answer. At most `limit` bytes of one value or one record are held. Where the plan filters records,
    /// `regions` decides which are shown; without it none is.
    pub fn stream(self: &Arc<Self>, pseudonyms: &Pseudonyms, regions: Option<Box<dyn Regions>>, limit: usize) -> Stream {
        Stream { plan: self.clone(), pseudonyms: pseudonyms.clone(), regions, held: Vec::new(), limit }
    }
}

impl Stream {
    /// Takes the next bytes of the origin's content and puts after `out` what can leave by now.
    pub fn push(&mut self, input: &[u8], _out: &mut Vec<u8>) -> Result<(), disclosure::Error> {
        if self.held.len() + input.len() > self.limit {
            return Err(disclosure::Error::TooLarge { limit: self.limit as u64 });
        }
        self.held.extend_from_slice(input);
        Ok(())
    }

    /// The origin's content is at its end.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<Outcome, disclosure::Error> {
        if self.regions.is_some() {
            return Err(disclosure::Error::Undecided);
        }
        let rewritten = self.plan.rewrite(&self.pseudonyms, &self.held)?;
        out.extend_from_slice(&rewritten.bytes);
        Ok(rewritten.outcome)
    }
}
