//! JSON: the listed items in their forms, nothing else. Every byte is judged strictly (RFC 8259 in UTF-8, no name twice
//! in an object) before it, or anything behind it, leaves. Numbers and strings that are shown as they are keep their
//! spelling; everything between them is written anew.
//!
//! What the rules are where an answer is not as declared, always towards showing less:
//! - Containers on the way to a shown item stay, empty ones too. Those that only a `..name` leads through stay when
//!   something in them is shown, since their names may be data. Whatever else stands there is omitted.
//! - An answer whose root is neither on the way to any item nor an item itself is refused; null stays null.
//! - A value that several items match is shown in the narrowest of their forms. Inside a revealed container other
//!   items keep their own forms; inside one in any other form nothing is shown.
//! - Masking and pseudonymising work on strings and on numbers by their text. Null stays null and is not counted;
//!   booleans, containers and values without the preset's shape become null and are counted as unfit.
//! - Where records are filtered, one without a region, with a region that is no string, or with several of which one
//!   may not be shown, is dropped.

use std::fmt;

use crate::lang::Text;

mod machine;
mod names;
mod scan;
#[cfg(test)]
mod tests;
mod write;

pub(super) use machine::Machine;

/// The deepest nesting of objects and arrays that is judged.
pub const DEPTH: usize = 128;

/// The longest number that is read, in bytes.
const LONGEST_NUMBER: usize = 4096;

/// Why content is refused, and where. Holds nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The byte at which it was known.
    pub at: u64,
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
    /// A number of thousands of digits.
    LongNumber,
    /// A name that stands twice in its object, however spelt.
    DuplicateName,
    /// More names in the open objects than can be held against each other.
    TooManyNames,
    /// Deeper nesting than [`DEPTH`].
    TooDeep,
    /// More after the end of the first value.
    Trailing,
    /// A root that leads to no item.
    Shape,
    /// More records than the plan allows.
    TooManyRecords,
}

/// Reads content as strictly as an answer is judged, for request content whose subject is looked up.
pub fn parse(input: &[u8]) -> Result<serde_json::Value, Error> {
    let text = std::str::from_utf8(input).map_err(|error| Error { at: error.valid_up_to() as u64, reason: Reason::NotUtf8 })?;
    let otherwise = Error { at: 0, reason: Reason::Syntax };
    Machine::judging().end_document(text).map_err(|error| if let super::Error::Json(error) = error { error } else { otherwise })?;
    serde_json::from_str(text).map_err(|_| otherwise)
}

impl Error {
    /// What the caller is told.
    pub fn public(&self) -> Text {
        match self.reason {
            Reason::TooManyRecords => super::too_many_records(),
            Reason::Shape => super::other_shape(),
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
            Reason::LongNumber => "a number that is too long",
            Reason::TooManyNames => "too many names in the open objects",
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
