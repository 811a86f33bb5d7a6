//! Strict reading of the small JSON objects of tokens and key sets: a member written twice is an error however it is
//! spelt, and a value is looked at only by who knows its type. Nothing here turns a number into another type: the
//! exactness of `exp` is decided on its digits.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of one JSON object, in the order written; each name is there once.
#[derive(Debug)]
pub(super) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads one object and nothing after it.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The raw text of a member.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.get())
    }

    /// The names of all members.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// A member as string: absent is `Ok(None)`, another type is an error.
    pub(super) fn string(&self, name: &str) -> Result<Option<String>, NotThatType> {
        self.get(name).map(string).transpose()
    }

    /// A member as whole number without sign, fraction or exponent.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, NotThatType> {
        let digits = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().map_err(|_| NotThatType),
            false => Err(NotThatType),
        };
        self.get(name).map(digits).transpose()
    }

    /// A member that is a string, or an array of strings.
    pub(super) fn one_or_more(&self, name: &str) -> Result<Option<OneOrMore>, NotThatType> {
        let read = |text: &str| match string(text) {
            Ok(one) => Ok(OneOrMore::One(one)),
            Err(NotThatType) => strings(text).map(OneOrMore::More),
        };
        self.get(name).map(read).transpose()
    }
}

/// A value is not of the type that its name stands for.
#[derive(Debug)]
pub(super) struct NotThatType;

/// A string or an array of strings.
#[derive(Debug)]
pub(super) enum OneOrMore {
    /// One string.
    One(String),
    /// An array.
    More(Vec<String>),
}

/// Reads a JSON string.
pub(super) fn string(text: &str) -> Result<String, NotThatType> {
    serde_json::from_str(text).map_err(|_| NotThatType)
}

/// Reads a JSON array of strings.
pub(super) fn strings(text: &str) -> Result<Vec<String>, NotThatType> {
    serde_json::from_str(text).map_err(|_| NotThatType)
}

/// Reads a JSON array; its elements stay raw.
pub(super) fn array(text: &str) -> Result<Vec<&str>, NotThatType> {
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| NotThatType)?;
    Ok(items.into_iter().map(RawValue::get).collect())
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, &'de RawValue)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("a member is written twice"));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
