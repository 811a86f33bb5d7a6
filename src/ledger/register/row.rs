//! An entry as a register takes it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

/// One entry of the log with its members read.
#[derive(Debug)]
pub struct Row<'a> {
    /// Its index.
    pub index: u64,
    /// Its leaf.
    pub leaf: [u8; 32],
    /// When it was recorded.
    pub time: Timestamp,
    /// What can be searched for.
    pub members: Members<'a>,
}

/// The members that a register knows.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Members<'a> {
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow)]
    pub time: Cow<'a, str>,
    #[serde(borrow)]
    pub requester: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub department: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub operator: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub provider: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub resource: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub operation: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub scenario: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub case: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub subject: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub grant: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub outcome: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub items: Option<&'a RawValue>,
    pub policies: Option<Vec<String>>,
    pub receipt_of: Option<u64>,
    pub records: Option<u64>,
    pub bytes: Option<u64>,
}

impl<'a> Row<'a> {
    /// An entry of a shape that this version does not know is registered by index alone: it must not stop what follows.
    pub fn read(index: u64, leaf: [u8; 32], entry: &'a [u8]) -> Self {
        let members: Members<'a> = serde_json::from_slice(entry).unwrap_or_default();
        let time = members.time.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        Self { index, leaf, time, members }
    }
}

impl Members<'_> {
    /// What was disclosed, as `ITEM FORM` lines in order: granted entries say one form of an item, settled ones count
    /// several.
    pub fn shape(&self) -> Option<String> {
        let items: BTreeMap<String, serde_json::Value> = serde_json::from_str(self.items?.get()).ok()?;
        let mut shape = String::new();
        for (item, forms) in items {
            match forms {
                serde_json::Value::String(form) => line(&mut shape, &item, &form),
                serde_json::Value::Object(counts) if counts.is_empty() => line(&mut shape, &item, ""),
                serde_json::Value::Object(counts) => counts.keys().for_each(|form| line(&mut shape, &item, form)),
                _ => line(&mut shape, &item, ""),
            }
        }
        Some(shape)
    }
}

fn line(shape: &mut String, item: &str, form: &str) {
    shape.extend([item, " ", form, "\n"]);
}

/// Items and forms of a shape.
pub fn pairs(shape: &str) -> impl Iterator<Item = (&str, &str)> {
    shape.lines().filter_map(|line| line.rsplit_once(' '))
}
