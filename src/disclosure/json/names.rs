//! The names that the open objects have shown, to refuse one that comes again. Held are keyed 64-bit hashes, not the
//! names: memory stays bounded, and two names that meet on one hash (one pair in 2^64) refuse an answer; none passes.

use std::collections::HashSet;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::Reason;

/// Up to this many names of an object are compared one by one, which is faster than a set.
const FEW: usize = 24;
/// The most names that the open objects may hold together.
pub(super) const MOST: usize = 1 << 16;

/// The names of all open objects.
#[derive(Debug, Default)]
pub(super) struct Names {
    keyed: RandomState,
    /// Of the objects that have few, innermost last.
    few: Vec<u64>,
    held: usize,
}

/// The names of one open object.
#[derive(Debug)]
pub(super) struct Seen {
    base: usize,
    count: usize,
    many: Option<Box<HashSet<u64, RandomState>>>,
}

impl Names {
    /// A new object, inside all others.
    pub(super) fn open(&self) -> Seen {
        Seen { base: self.few.len(), count: 0, many: None }
    }

    /// The innermost object is at its end.
    pub(super) fn close(&mut self, seen: &Seen) {
        self.few.truncate(seen.base);
        self.held -= seen.count;
    }

    /// Notes a name, spelt without escapes, of the innermost object.
    pub(super) fn note(&mut self, seen: &mut Seen, name: &[u8]) -> Result<(), Reason> {
        let hash = self.keyed.hash_one(name);
        let fresh = match &mut seen.many {
            Some(many) => many.insert(hash),
            None => {
                let few = &self.few[seen.base..];
                let fresh = !few.contains(&hash);
                if few.len() < FEW {
                    self.few.push(hash);
                } else {
                    seen.many = Some(Box::new(self.few.drain(seen.base..).chain([hash]).collect()));
                }
                fresh
            }
        };
        if !fresh {
            return Err(Reason::DuplicateName);
        }
        seen.count += 1;
        self.held += 1;
        if self.held > MOST { Err(Reason::TooManyNames) } else { Ok(()) }
    }
}
