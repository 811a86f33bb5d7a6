//! The names that the open objects have shown, to refuse one that comes again.
//!
//! Objects at one place of the plan mostly have the same names in the same order. So each place learns its first names,
//! as they are spelt, with the node that each leads to; an object of learnt names costs a comparison and a bit a name.
//! Of other names keyed 64-bit hashes are held: memory stays bounded, and two names that meet on one hash (one pair in
//! 2^64) refuse an answer; none passes.

use std::collections::HashSet;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::Reason;

/// How many names a place learns: one bit each.
pub(super) const LEARNT: usize = 64;
/// The longest name that is learnt.
const LONGEST_LEARNT: usize = 64;
/// Up to this many names of an object are compared one by one, which is faster than a set.
const FEW: usize = 24;
/// The most names that are not learnt which the open objects may hold together.
pub(super) const MOST: usize = 1 << 16;

/// The names of all open objects.
#[derive(Debug)]
pub(super) struct Names {
    keyed: RandomState,
    /// By place.
    learnt: Vec<Vec<Learnt>>,
    /// Of the objects that have few others, innermost last.
    few: Vec<u64>,
    held: usize,
}

/// A name that a place knows.
#[derive(Debug)]
struct Learnt {
    /// As it stands in an object, quotes included; none: it cannot stand without escapes.
    spelt: Option<Box<[u8]>>,
    name: Box<[u8]>,
    hash: u64,
    /// The node that it leads to.
    leads: Option<usize>,
}

/// The names of one open object.
#[derive(Debug)]
pub(super) struct Seen {
    place: Option<usize>,
    /// The learnt names that it has shown.
    used: u64,
    /// The learnt name that should come next.
    next: usize,
    base: usize,
    count: usize,
    many: Option<HashSet<u64, RandomState>>,
}

impl Names {
    /// For objects at so many places.
    pub(super) fn new(places: usize) -> Self {
        Self { keyed: RandomState::default(), learnt: std::iter::repeat_with(Vec::new).take(places).collect(), few: Vec::new(), held: 0 }
    }

    /// A new object, inside all others; none: at no place that learns.
    pub(super) fn open(&self, place: Option<usize>) -> Seen {
        Seen { place, used: 0, next: 0, base: self.few.len(), count: 0, many: None }
    }

    /// The innermost object is at its end.
    pub(super) fn close(&mut self, seen: &Seen) {
        self.few.truncate(seen.base);
        self.held -= seen.count;
    }

    /// Where the name that stands at `at` ends, and the node that it leads to, if it is the one that should come next.
    #[inline]
    pub(super) fn expected(&self, seen: &mut Seen, window: &[u8], at: usize) -> Option<(usize, Option<usize>)> {
        let learnt = self.learnt.get(seen.place?)?.get(seen.next)?;
        let spelt = learnt.spelt.as_deref()?;
        let bit = 1 << seen.next;
        // One that comes again is left to `note`.
        if seen.used & bit != 0 || !window[at..].starts_with(spelt) {
            return None;
        }
        seen.used |= bit;
        seen.next += 1;
        Some((at + spelt.len(), learnt.leads))
    }

    /// Notes a name, given without escapes, of the innermost object; `leads` tells the node that it leads to.
    pub(super) fn note(&mut self, seen: &mut Seen, name: &[u8], leads: impl Fn() -> Option<usize>) -> Result<Option<usize>, Reason> {
        let hash = self.keyed.hash_one(name);
        if let Some(learnt) = seen.place.and_then(|place| self.learnt.get_mut(place)) {
            let known = learnt.iter().position(|known| known.hash == hash && *known.name == *name);
            let index = match known {
                Some(index) if seen.used & (1 << index) != 0 => return Err(Reason::DuplicateName),
                Some(index) => Some(index),
                None if learnt.len() < LEARNT && name.len() <= LONGEST_LEARNT => {
                    learnt.push(Learnt { spelt: spelt(name), name: name.into(), hash, leads: leads() });
                    Some(learnt.len() - 1)
                }
                None => None,
            };
            if let Some(index) = index {
                seen.used |= 1 << index;
                seen.next = index + 1;
                return Ok(learnt[index].leads);
            }
        }
        self.other(seen, hash).map(|()| leads())
    }

    /// Notes a name that is not learnt.
    fn other(&mut self, seen: &mut Seen, hash: u64) -> Result<(), Reason> {
        let fresh = match &mut seen.many {
            Some(many) => many.insert(hash),
            None => {
                let few = &self.few[seen.base..];
                let fresh = !few.contains(&hash);
                if few.len() < FEW {
                    self.few.push(hash);
                } else {
                    seen.many = Some(self.few.drain(seen.base..).chain([hash]).collect());
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

/// A name as it stands in an object without escapes.
fn spelt(name: &[u8]) -> Option<Box<[u8]>> {
    let plain = !name.iter().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
    plain.then(|| [b"\"", name, b"\""].concat().into())
}
