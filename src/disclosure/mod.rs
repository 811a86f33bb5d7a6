//! What an answer shows: the plan of forms per item, and the rewriters that carry it out and fail closed.

pub mod compare;
mod compiled;
pub mod csv;
pub mod field;
mod form_set;
pub mod head;
pub mod json;
mod likeness;
mod lines;
pub mod path;
pub mod preset;
pub mod pseudonym;
mod shown;
mod stream;
mod tally;

use std::fmt;
use std::sync::Arc;

pub use compiled::Compiled;
pub use form_set::FormSet;
pub use likeness::Likeness;
pub use path::JsonPath;
pub use preset::Preset;
pub use pseudonym::{PseudonymKey, Pseudonyms};
pub use shown::{Forms, Shown};
pub use stream::Stream;

use crate::lang::Text;

/// The form in which an item is disclosed, from the widest to the narrowest. Omitted items have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// 原值提供: the value as it is.
    Reveal,
    /// 脱敏: the item's mask preset.
    Mask,
    /// 假名化: a keyed pseudonym.
    Pseudonymise,
    /// 仅比对: compared by a verify call, never shown.
    Compare,
}

impl Form {
    /// The forms that show something, in the order in which they are asked for.
    pub const SHOWN: [Self; 3] = [Self::Reveal, Self::Mask, Self::Pseudonymise];
    /// All of them, in the order of their numbers.
    const ALL: [Self; 4] = [Self::Reveal, Self::Mask, Self::Pseudonymise, Self::Compare];

    /// The Cedar action, and the word in entries, fields and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reveal => "reveal",
            Self::Mask => "mask",
            Self::Pseudonymise => "pseudonymise",
            Self::Compare => "compare",
        }
    }
}

/// What the answer's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentKind {
    /// JSON, rewritten item by item.
    Json,
    /// One JSON document a line; each is a record.
    Ndjson,
    /// RFC 4180 with a header row, which names the items; each further row is a record.
    Csv,
    /// Anything, disclosed whole or not at all, judged as the implicit item `*`.
    Opaque,
}

/// One item of a plan.
#[derive(Clone, Debug)]
pub struct PlannedItem {
    /// The item's name; `*` for opaque content.
    pub name: Arc<str>,
    /// Where it stands in the answer; several for operations of different shapes.
    pub paths: Vec<JsonPath>,
    /// The chosen form; none: omitted.
    pub form: Option<Form>,
    /// The item's mask.
    pub preset: Option<Preset>,
    /// Its pseudonyms are keyed by the scenario alone.
    pub joinable: bool,
    /// Its pseudonyms keep this type; none: 22 characters.
    pub likeness: Option<Likeness>,
    /// The forbid that refused a wider form, where one did.
    pub narrowed_by: Option<Arc<str>>,
}

/// What one call's answer shows. Made by the policy, carried out by the rewriters.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Every item of the resource, in the catalogue's order.
    pub items: Vec<PlannedItem>,
    /// What the answer is.
    pub content: ContentKind,
    /// What one record is; the root: the answer is one.
    pub records: JsonPath,
    /// More records than this are not disclosed.
    pub max_records: u64,
    /// Where a record carries its region's code; none: records are not filtered.
    pub region: Option<Arc<[JsonPath]>>,
}

/// Which records may be shown, by the region that they belong to.
pub trait Regions: Send {
    /// Whether records of this region may be shown; decided once per code. An error aborts the answer.
    fn include(&mut self, code: &str) -> Result<bool, Error>;
}

impl Plan {
    /// Records that the answer may show at the most: opaque content is one, a claim's yes or no none.
    pub fn most(&self) -> u64 {
        let compares = self.items.iter().any(|item| item.form == Some(Form::Compare));
        match self.content {
            _ if compares => 0,
            ContentKind::Opaque => 1,
            ContentKind::Json | ContentKind::Ndjson | ContentKind::Csv => self.max_records,
        }
    }

    /// Whether opaque content leaves: whole where the implicit item `*` is revealed, otherwise not at all.
    pub fn discloses_whole(&self) -> bool {
        self.content == ContentKind::Opaque
            && matches!(self.items.as_slice(), [item] if &*item.name == "*" && item.form == Some(Form::Reveal))
    }

    /// The value of the field `Share-Disclosure`; kept by [`Compiled`], so that it is made once per plan.
    pub fn field(&self) -> String {
        field::value(self)
    }
}

/// What an answer showed in the end, for the settled entry. The plan says what it was allowed to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many records.
    pub records: u64,
    /// For each item that was shown, how many values in which form.
    pub items: Shown,
    /// How many values became null because they had no shape that their form could work on.
    pub unfit: u64,
    /// How many records were left out because of their region.
    pub rows_dropped: u64,
}

impl Outcome {
    /// Of opaque content that left whole.
    pub fn whole() -> Self {
        Self { records: 1, items: Shown::once([Arc::from("*")].into_iter(), Form::Reveal), unfit: 0, rows_dropped: 0 }
    }
}

/// Why an answer is not disclosed: `disclosure_failed` to the caller. Holds nothing of the answer, so that it can be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The answer's head does not promise what the catalogue declares.
    Head(head::Error),
    /// The answer's content is not strict JSON of the declared shape.
    Json(json::Error),
    /// The answer's content is not strict CSV of the declared columns.
    Csv(csv::Error),
    /// A value, or a record whose region is not known yet, is larger than what is held.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The answer broke off before its end.
    BrokenOff,
    /// The answer ends by closing, so that a cut one would look complete.
    Unframed,
    /// The plan does not let opaque content out.
    NotWhole,
    /// Whether a region's records may be shown could not be decided.
    Undecided,
}

impl Error {
    /// What the caller is told.
    pub fn public(&self) -> Text {
        match self {
            Self::Head(error) => error.public(),
            Self::Json(error) => error.public(),
            Self::Csv(error) => error.public(),
            Self::TooLarge { limit } => Text::new(
                format!("提供部门的应答中有超过 {limit} 字节的值或记录，无法核对，未予提供"),
                format!("the provider's answer holds a value or a record of more than {limit} bytes, which cannot be judged"),
            ),
            Self::BrokenOff => Text::new("提供部门的应答中途断开，未予放出", "the provider's answer broke off before its end"),
            Self::Unframed => Text::new(
                "提供部门的应答未声明长度，无法确认完整，未予放出",
                "the provider's answer does not say where it ends, so that a part could pass for the whole",
            ),
            Self::Undecided => {
                Text::new("无法判定某一区域的记录可否提供，未予放出", "whether a region's records may be shown could not be decided")
            }
            Self::NotWhole => Text::new("策略不允许提供此内容", "the policies do not let this content out"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => error.fmt(f),
            Self::Json(error) => error.fmt(f),
            Self::Csv(error) => error.fmt(f),
            Self::TooLarge { limit } => write!(f, "a value or a record of the answer is larger than {limit} bytes"),
            Self::BrokenOff => f.write_str("the answer broke off before its end"),
            Self::Unframed => f.write_str("the answer ends by closing"),
            Self::Undecided => f.write_str("whether a region's records may be shown could not be decided"),
            Self::NotWhole => f.write_str("the plan does not disclose opaque content"),
        }
    }
}

impl std::error::Error for Error {}

impl From<head::Error> for Error {
    fn from(error: head::Error) -> Self {
        Self::Head(error)
    }
}

impl From<json::Error> for Error {
    fn from(error: json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<csv::Error> for Error {
    fn from(error: csv::Error) -> Self {
        Self::Csv(error)
    }
}

/// What the caller is told where an answer holds too many records.
fn too_many_records() -> Text {
    Text::new("提供部门的应答记录数超过允许的上限，未予提供", "the provider's answer holds more records than this call may be given")
}

/// What the caller is told where an answer leads to no item.
fn other_shape() -> Text {
    Text::new("提供部门的应答与目录登记的结构不符", "the provider's answer does not have the shape that the catalogue declares")
}
