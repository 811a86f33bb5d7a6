//! What an answer shows: the plan of forms per item, and the rewriters that carry it out and fail closed.

pub mod path;
pub mod preset;

use std::sync::Arc;

pub use path::JsonPath;
pub use preset::Preset;

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
}
