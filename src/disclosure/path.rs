//! JSON paths: the subset of RFC 9535 that items, records and subjects are declared with (`$`, names, `[*]`, `..name`).

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use crate::lang::Text;

mod read;
#[cfg(test)]
mod tests;

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// A member by name.
    Name(String),
    /// Every element of an array. Unlike RFC 9535 never the members of an object: their names may themselves be data.
    Elements,
    /// Members of this name at any depth.
    Descendant(String),
}

/// A parsed path; no segments is the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JsonPath(pub Vec<Segment>);

/// Why a path gave no single value. Never holds a value: they are persons' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSingle {
    /// Nothing stands there.
    Missing,
    /// More than one value stands there.
    Several,
    /// What stands there is neither a string nor a number.
    NotScalar,
}

impl JsonPath {
    /// The whole answer.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Reads a path as written in a catalogue file.
    pub fn parse(text: &str) -> Result<Self, Text> {
        read::path(text).map(Self)
    }

    /// Whether this is the whole answer.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a value of `other` is, or stands inside, a value of this path by what both declare. A `..name` that
    /// merely *could* turn up inside any container does not count: then it could stand beside nothing else. The
    /// rewriter judges such values by the narrower of both items.
    pub fn contains(&self, other: &Self) -> bool {
        if ![self, other].iter().any(|path| path.0.iter().any(|segment| matches!(segment, Segment::Descendant(_)))) {
            return other.0.starts_with(&self.0);
        }
        // Both paths are walked at once, over every way in which one place can lie on both.
        let mut seen = HashSet::new();
        let mut open = vec![(0, 0, true)];
        while let Some(state @ (own, others, advanced)) = open.pop() {
            if !seen.insert(state) {
                continue;
            }
            if own == self.0.len() {
                if advanced {
                    return true;
                }
                continue;
            }
            let Some(theirs) = other.0.get(others) else { continue };
            let mine = &self.0[own];
            if step_in_common(mine, theirs) {
                open.push((own + 1, others + 1, true));
            }
            if let Segment::Descendant(_) = theirs {
                open.push((own + 1, others, false));
            }
            if let Segment::Descendant(_) = mine {
                open.push((own, others + 1, true));
                if let Segment::Descendant(_) = theirs {
                    open.push((own, others, false));
                }
            }
        }
        false
    }

    /// Whether two items may not both be declared: a value of one is, or stands inside, a value of the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// This path as seen from one value of `container`, where it leads into those at all.
    pub fn within(&self, container: &Self) -> Option<Self> {
        let common = self.0.iter().zip(&container.0).take_while(|(own, other)| own == other).count();
        let rest = self.0.get(common..)?;
        // Where they part at a `..name`, it means every member of that name within the container too.
        let leads = common == container.0.len() || matches!(rest.first(), Some(Segment::Descendant(_)));
        leads.then(|| Self(rest.to_vec()))
    }

    /// Every value that stands at this path, once each, in no particular order.
    pub fn select<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = Vec::new();
        collect(&self.0, value, &mut found);
        // `$.a..b..c` may reach one value in two ways: it is still one.
        found.sort_unstable_by_key(|value| std::ptr::from_ref::<Value>(value));
        found.dedup_by_key(|value| std::ptr::from_ref::<Value>(value));
        found
    }

    /// The text of the one string or number that stands at this path.
    pub fn single(&self, value: &Value) -> Result<String, NotSingle> {
        match self.select(value).as_slice() {
            [] => Err(NotSingle::Missing),
            [Value::String(text)] => Ok(text.clone()),
            [Value::Number(number)] => Ok(number.to_string()),
            [_] => Err(NotSingle::NotScalar),
            [_, _, ..] => Err(NotSingle::Several),
        }
    }
}

/// Whether one member or element can be this step of both paths at once.
fn step_in_common(a: &Segment, b: &Segment) -> bool {
    match (a, b) {
        (Segment::Elements, Segment::Elements) => true,
        (Segment::Elements, _) | (_, Segment::Elements) => false,
        (Segment::Name(a) | Segment::Descendant(a), Segment::Name(b) | Segment::Descendant(b)) => a == b,
    }
}

fn collect<'v>(segments: &[Segment], value: &'v Value, found: &mut Vec<&'v Value>) {
    let Some((first, rest)) = segments.split_first() else {
        found.push(value);
        return;
    };
    match first {
        Segment::Name(name) => {
            if let Some(member) = value.as_object().and_then(|members| members.get(name)) {
                collect(rest, member, found);
            }
        }
        Segment::Elements => value.as_array().into_iter().flatten().for_each(|element| collect(rest, element, found)),
        Segment::Descendant(name) => match value {
            Value::Object(members) => {
                for (key, member) in members {
                    if key == name {
                        collect(rest, member, found);
                    }
                    collect(segments, member, found);
                }
            }
            Value::Array(elements) => elements.iter().for_each(|element| collect(segments, element, found)),
            _ => {}
        },
    }
}

/// As it could have been written; the root as `$`.
impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for segment in &self.0 {
            match segment {
                Segment::Elements => f.write_str("[*]")?,
                Segment::Name(name) if read::is_shorthand(name) => write!(f, ".{name}")?,
                Segment::Name(name) => write!(f, "['{}']", read::quoted(name))?,
                Segment::Descendant(name) if read::is_shorthand(name) => write!(f, "..{name}")?,
                Segment::Descendant(name) => write!(f, "..['{}']", read::quoted(name))?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for NotSingle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "nothing stands at the path",
            Self::Several => "several values stand at the path",
            Self::NotScalar => "the value at the path is neither a string nor a number",
        })
    }
}

impl std::error::Error for NotSingle {}
