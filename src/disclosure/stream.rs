//! An answer rewritten piece by piece, in one pass. Held are the beginning of a value that is not whole yet, and what
//! was written but may still be taken back: a record whose region is not known, a container that may stay empty.

use std::sync::Arc;

use super::compiled::Compiled;
use super::csv::Csv;
use super::json::{self, Machine, Reason};
use super::lines::Lines;
use super::tally::Tally;
use super::{ContentKind, Error, Outcome, Pseudonyms, Regions};

/// One answer on its way through its plan.
pub struct Stream {
    plan: Arc<Compiled>,
    reader: Box<dyn Reader>,
    /// What was not read yet.
    held: Vec<u8>,
    /// How much of it is known to be UTF-8.
    text: usize,
    /// Where in the content it begins.
    offset: u64,
    limit: usize,
}

/// One kind of content, read window by window.
pub(super) trait Reader: Send {
    /// Reads a window, in UTF-8, as far as it is whole; how much of it was read. It begins with what the last window
    /// left, of which the first `searched` bytes are known.
    fn read(&mut self, window: &[u8], searched: usize) -> Result<usize, Error>;

    /// Reads the last window: the content must end in it.
    fn end(&mut self, window: &[u8]) -> Result<(), Error>;

    /// What was written and not taken away.
    fn out(&mut self) -> &mut Vec<u8>;

    /// How much of it no later byte can take back.
    fn certain(&self) -> usize;

    /// The first `taken` bytes of it were taken away.
    fn rebase(&mut self, taken: usize);

    /// What was counted.
    fn tally(&self) -> &Tally;
}

impl Compiled {
    /// Begins an answer. At most `limit` bytes of one value, or of one record where records are filtered, are held:
    /// a larger one refuses the answer. Where the plan filters records, `regions` decides which are shown; without it
    /// none is. Opaque content is not read: a plan for it discloses nothing here.
    pub fn stream(self: &Arc<Self>, pseudonyms: &Pseudonyms, regions: Option<Box<dyn Regions>>, limit: usize) -> Stream {
        let tally = Tally::new(self, regions);
        let reader: Box<dyn Reader> = match self.content {
            ContentKind::Json | ContentKind::Opaque => Box::new(Machine::new(self, pseudonyms, tally)),
            ContentKind::Ndjson => Box::new(Lines::new(Machine::new(self, pseudonyms, tally))),
            ContentKind::Csv => Box::new(Csv::new(self, pseudonyms, tally)),
        };
        Stream { plan: self.clone(), reader, held: Vec::new(), text: 0, offset: 0, limit }
    }
}

impl Stream {
    /// Takes the next piece of the origin's content, of any length, and puts behind `out` what can leave by now.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if self.held.is_empty() {
            let read = self.read(input)?;
            self.held.extend_from_slice(&input[read..]);
        } else {
            let mut window = std::mem::take(&mut self.held);
            window.extend_from_slice(input);
            let read = self.read(&window)?;
            window.drain(..read);
            self.held = window;
        }
        self.release(out)?;
        if self.held.len() > self.limit { Err(self.too_large()) } else { Ok(()) }
    }

    /// The origin's content is at its end. Nothing may be pushed after it.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<Outcome, Error> {
        let held = std::mem::take(&mut self.held);
        if self.text < held.len() {
            return Err(json::Error { at: self.offset + self.text as u64, reason: Reason::NotUtf8 }.into());
        }
        self.reader.end(&held)?;
        self.release(out)?;
        Ok(self.outcome())
    }

    /// What was shown up to here.
    pub fn outcome(&self) -> Outcome {
        self.reader.tally().outcome(&self.plan)
    }

    /// Reads a window that begins with what was held; how much of it was read.
    fn read(&mut self, window: &[u8]) -> Result<usize, Error> {
        let known = self.text;
        let valid = match simdutf8::compat::from_utf8(&window[known..]) {
            Ok(_) => window.len(),
            // A character may end in the next piece.
            Err(error) if error.error_len().is_none() => known + error.valid_up_to(),
            Err(error) => {
                let at = self.offset + (known + error.valid_up_to()) as u64;
                return Err(json::Error { at, reason: Reason::NotUtf8 }.into());
            }
        };
        let read = self.reader.read(&window[..valid], known)?;
        self.text = valid - read;
        self.offset += read as u64;
        Ok(read)
    }

    /// Lets go of what nothing can take back any more.
    fn release(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let certain = self.reader.certain();
        let written = self.reader.out();
        if written.len() - certain > self.limit {
            return Err(self.too_large());
        }
        if out.is_empty() && certain == written.len() {
            std::mem::swap(out, written);
        } else {
            out.extend_from_slice(&written[..certain]);
            written.drain(..certain);
        }
        self.reader.rebase(certain);
        Ok(())
    }

    fn too_large(&self) -> Error {
        Error::TooLarge { limit: self.limit as u64 }
    }
}
