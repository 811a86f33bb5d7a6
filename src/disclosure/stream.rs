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
    reader: Box<dyn Reader>,
    /// What was not read yet.
    held: String,
    /// The beginning of a character behind it that the next piece ends.
    begun: Vec<u8>,
    /// How much is known to be UTF-8.
    judged: u64,
    limit: usize,
}

/// So much of a piece is at first put behind what was held, to read on from there without copying the rest.
const BRIDGE: usize = 256;

/// One kind of content, read window by window.
pub(super) trait Reader: Send {
    /// Reads a window as far as it is whole; how much of it was read. It begins with what the last window
    /// left, of which the first `searched` bytes are known.
    fn read(&mut self, window: &str, searched: usize) -> Result<usize, Error>;

    /// Reads the last window: the content must end in it.
    fn end(&mut self, window: &str) -> Result<(), Error>;

    /// What was written and not taken away.
    fn out(&mut self) -> &mut Vec<u8>;

    /// How much of it no later byte can take back.
    fn certain(&self) -> usize;

    /// The first `taken` bytes of it were taken away.
    fn rebase(&mut self, taken: usize);

    /// What was shown up to here.
    fn outcome(&self) -> Outcome;
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
        Stream { reader, held: String::new(), begun: Vec::new(), judged: 0, limit }
    }
}

impl Stream {
    /// Takes the next piece of the origin's content, of any length, and puts behind `out` what can leave by now.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let mut text = self.judge(input)?;
        let mut more = BRIDGE;
        while !self.held.is_empty() {
            let known = self.held.len();
            let taken = text.floor_char_boundary(more);
            self.held.push_str(&text[..taken]);
            let read = self.reader.read(&self.held, known)?;
            // Where what was held is read, the rest of the piece is read where it stands.
            if read >= known {
                text = &text[read - known..];
                self.held.clear();
                break;
            }
            self.held.drain(..read);
            text = &text[taken..];
            if text.is_empty() {
                break;
            }
            more *= 2;
        }
        if self.held.is_empty() {
            let read = self.reader.read(text, 0)?;
            self.held.push_str(&text[read..]);
        }
        self.release(out)?;
        if self.held.len() > self.limit { Err(self.too_large()) } else { Ok(()) }
    }

    /// Whether nothing that came could go on: a number, or a text that is not whole, could.
    pub fn is_at_end(&self) -> bool {
        self.held.is_empty() && self.begun.is_empty()
    }

    /// The origin's content is at its end. Nothing may be pushed after it.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<Outcome, Error> {
        if !self.begun.is_empty() {
            return Err(self.not_utf8(0));
        }
        self.reader.end(&self.held)?;
        self.release(out)?;
        Ok(self.outcome())
    }

    /// What was shown up to here.
    pub fn outcome(&self) -> Outcome {
        self.reader.outcome()
    }

    /// A piece's characters, but for one at its end that the next piece ends, and one at its beginning that the last
    /// piece began, which is held.
    fn judge<'i>(&mut self, mut input: &'i [u8]) -> Result<&'i str, Error> {
        while let (false, Some((byte, rest))) = (self.begun.is_empty(), input.split_first()) {
            self.begun.push(*byte);
            input = rest;
            match std::str::from_utf8(&self.begun) {
                Ok(character) => {
                    self.held.push_str(character);
                    self.judged += self.begun.len() as u64;
                    self.begun.clear();
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(self.not_utf8(0)),
            }
        }
        let (text, begun) = input.split_at(input.len() - cut_short(input));
        let text = simdutf8::compat::from_utf8(text).map_err(|error| self.not_utf8(error.valid_up_to()))?;
        self.begun.extend_from_slice(begun);
        self.judged += text.len() as u64;
        Ok(text)
    }

    fn not_utf8(&self, at: usize) -> Error {
        json::Error { at: self.judged + at as u64, reason: Reason::NotUtf8 }.into()
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

/// How many bytes at the end begin a character that does not end there.
fn cut_short(input: &[u8]) -> usize {
    for (byte, length) in input.iter().rev().zip(1..=3) {
        let needed = match byte {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0.. => 4,
            _ => 1,
        };
        return if needed > length { length } else { 0 };
    }
    0
}
