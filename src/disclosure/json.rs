//! Rewriting an answer of JSON: the listed items in their forms, nothing else. Every byte is judged strictly (RFC 8259
//! in UTF-8, no name twice in an object) and every byte that leaves is written anew; the whole answer is held.
//!
//! What the rules are where an answer is not as declared, always towards showing less:
//! - Containers on the way to a shown item stay, empty ones too. Those that only a `..name` leads through stay when
//!   something in them is shown, since their names may be data. Whatever else stands there is omitted.
//! - An answer whose root is neither on the way to any item nor an item itself is refused; null stays null.
//! - A value that several items match is shown in the narrowest of their forms. Inside a revealed container other
//!   items keep their own forms; inside one in any other form nothing is shown.
//! - Masking and pseudonymising work on strings and on numbers by their text. Null stays null and is not counted;
//!   booleans, containers and values without the preset's shape become null and are counted as unfit.

use std::fmt;

use super::{Outcome, Plan, Pseudonyms};
use crate::lang::Text;

mod compiled;
mod reader;
mod rewriter;
mod stream;
#[cfg(test)]
mod tests;

pub use compiled::Compiled;
use reader::Reader;
pub use stream::Stream;

/// The deepest nesting of objects and arrays that is judged.
pub const DEPTH: usize = 128;

/// An answer as disclosed.
#[derive(Debug)]
pub struct Rewritten {
    /// The content, compact.
    pub bytes: Vec<u8>,
    /// What it shows.
    pub outcome: Outcome,
}

/// Why content is refused, and where. Holds nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The byte at which it was known.
    pub at: usize,
    /// What was found there.
    pub reason: Reason,
}

/// What makes content impossible to judge or to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A byte order mark, which RFC 8259 forbids to send.
    ByteOrderMark,
    /// Nothing but white space.
    Empty,
    /// It ends before it is complete.
    Cut,
    /// Something that JSON does not have there.
    Syntax,
    /// A number not in JSON's form.
    Number,
    /// An escape that JSON does not have.
    Escape,
    /// A control character in a string.
    Control,
    /// Half of a surrogate pair.
    LoneSurrogate,
    /// A name that stands twice in its object, however spelt.
    DuplicateName,
    /// Deeper nesting than [`DEPTH`].
    TooDeep,
    /// More after the end of the first value.
    Trailing,
    /// A root that leads to no item.
    Shape,
    /// More records than the plan allows.
    TooManyRecords,
}

/// Rewrites one whole answer by a plan. Where a plan serves many calls, keep its [`Compiled`].
pub fn rewrite(plan: &Plan, pseudonyms: &Pseudonyms, input: &[u8]) -> Result<Rewritten, Error> {
    Compiled::new(plan).rewrite(pseudonyms, input)
}

impl Compiled {
    /// Rewrites one whole answer.
    pub fn rewrite(&self, pseudonyms: &Pseudonyms, input: &[u8]) -> Result<Rewritten, Error> {
        rewriter::rewrite(self, pseudonyms, input)
    }
}

/// Reads content as strictly as an answer is judged, for request content whose subject is looked up.
pub fn parse(input: &[u8]) -> Result<serde_json::Value, Error> {
    let mut reader = Reader::new(input)?;
    reader.skip()?;
    reader.end()?;
    serde_json::from_slice(input).map_err(|_| Error { at: 0, reason: Reason::Syntax })
}

impl Error {
    /// What the caller is told.
    pub fn public(&self) -> Text {
        match self.reason {
            Reason::TooManyRecords => Text::new(
                "提供部门的应答记录数超过允许的上限，未予提供",
                "the provider's answer holds more records than this call may be given",
            ),
            Reason::Shape => {
                Text::new("提供部门的应答与目录登记的结构不符", "the provider's answer does not have the shape that the catalogue declares")
            }
            _ => Text::new("提供部门的应答不是规范的 JSON，无法逐项核对", "the provider's answer is not strict JSON and cannot be judged"),
        }
    }
}

/// For the log.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.reason {
            Reason::NotUtf8 => "not utf-8",
            Reason::ByteOrderMark => "a byte order mark",
            Reason::Empty => "no value",
            Reason::Cut => "ends before it is complete",
            Reason::Syntax => "not json",
            Reason::Number => "not a number of json",
            Reason::Escape => "not an escape of json",
            Reason::Control => "a control character in a string",
            Reason::LoneSurrogate => "half of a surrogate pair",
            Reason::DuplicateName => "a name stands twice in an object",
            Reason::TooDeep => "nested too deeply",
            Reason::Trailing => "more after the end of the value",
            Reason::Shape => "the root leads to no item of the catalogue",
            Reason::TooManyRecords => "more records than the plan allows",
        };
        write!(f, "the json content cannot be disclosed: {what}, at byte {}", self.at)
    }
}

impl std::error::Error for Error {}
