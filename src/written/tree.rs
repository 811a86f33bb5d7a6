//! What a document says, as a tree of tables whose members are sorted by key. Offsets are bytes of the text; lines and
//! columns are reckoned where somebody asks.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Deref;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it begins.
#[derive(Debug, PartialEq)]
pub(super) struct Node<'i> {
    pub(super) at: u32,
    pub(super) value: Value<'i>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Value<'i> {
    Text(Cow<'i, str>),
    Integer(Cow<'i, str>, u32),
    Float(Cow<'i, str>),
    Boolean(bool),
    Datetime,
    Array(Vec<Node<'i>>),
    Table(Members<'i>),
}

impl Value<'_> {
    /// A whole number: none where it is another value, within: none where it is too large.
    pub(super) fn whole(&self) -> Option<Option<i64>> {
        let Self::Integer(digits, radix) = self else { return None };
        Some(i64::from_str_radix(digits, *radix).ok())
    }

    /// As errors name it.
    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Integer(..) => "integer",
            Self::Float(_) => "float",
            Self::Boolean(_) => "boolean",
            Self::Datetime => "datetime",
            Self::Array(_) => "array",
            Self::Table(_) => "table",
        }
    }
}

/// One key and its value.
#[derive(Debug, PartialEq)]
pub(super) struct Member<'i> {
    pub(super) key: Cow<'i, str>,
    pub(super) at: u32,
    pub(super) node: Node<'i>,
    /// Whether a loader knew it.
    pub(super) taken: Cell<bool>,
}

/// Sorted by key; each key once.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Members<'i>(Vec<Member<'i>>);

impl<'i> Members<'i> {
    /// None: a key is there twice.
    pub(super) fn new(mut members: Vec<Member<'i>>) -> Option<Self> {
        members.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        members.array_windows().all(|[a, b]| a.key != b.key).then_some(Self(members))
    }

    pub(super) fn find(&self, key: &str) -> Option<&Member<'i>> {
        let at = self.0.binary_search_by(|member| (*member.key).cmp(key)).ok()?;
        self.0.get(at)
    }
}

impl<'i> Deref for Members<'i> {
    type Target = [Member<'i>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Files are far smaller; beyond, errors would name a wrong place and nothing else.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl<'i> From<DeTable<'i>> for Members<'i> {
    fn from(table: DeTable<'i>) -> Self {
        let member = |(key, value): (Spanned<Cow<'i, str>>, Spanned<DeValue<'i>>)| Member {
            at: offset(key.span().start),
            key: key.into_inner(),
            node: value.into(),
            taken: Cell::new(false),
        };
        let mut members: Vec<_> = table.into_iter().map(member).collect();
        members.sort_by(|a, b| a.key.cmp(&b.key));
        Self(members)
    }
}

impl<'i> From<Spanned<DeValue<'i>>> for Node<'i> {
    fn from(value: Spanned<DeValue<'i>>) -> Self {
        let at = offset(value.span().start);
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text),
            DeValue::Integer(number) => Value::Integer(Cow::Owned(number.as_str().replace('_', "")), number.radix()),
            DeValue::Float(number) => Value::Float(Cow::Owned(number.as_str().to_owned())),
            DeValue::Boolean(truth) => Value::Boolean(truth),
            DeValue::Datetime(_) => Value::Datetime,
            DeValue::Array(elements) => Value::Array(elements.into_iter().map(Node::from).collect()),
            DeValue::Table(table) => Value::Table(table.into()),
        };
        Self { at, value }
    }
}
