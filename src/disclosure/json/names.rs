//! The names that the open objects have shown, to refuse one that comes again.
//!
//! Objects at one place of the plan mostly have the same names in the same order. The plan knows some of them; each place
//! learns others, as they are spelt, and what came behind each name the last time. An object of such names costs a
//! comparison and a bit a name. Of other names keyed 64-bit hashes are held: memory stays bounded, and two names that meet
//! on one hash (one pair in 2^64) refuse an answer; none passes.

use std::collections::HashSet;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::super::compiled::{Compiled, Known, Scalar};
use super::{Reason, scan};

/// How many names a place has a bit for: the plan's, and those that it learns.
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
    places: Vec<Place>,
    /// Of the objects that have few others, innermost last.
    few: Vec<u64>,
    held: usize,
}

/// What is known of one place's objects. Its names are numbered: the plan's, then the learnt ones.
#[derive(Clone, Debug)]
struct Place {
    learnt: Vec<Learnt>,
    /// The name that came at the beginning, and behind each name, the last time; before that, the next by number.
    behind: [u8; LEARNT + 1],
}

/// A name that the plan does not have.
#[derive(Clone, Debug)]
struct Learnt {
    /// As it stands in an object, quotes included; none: it cannot stand without escapes.
    spelt: Option<Box<[u8]>>,
    name: Box<[u8]>,
    hash: u64,
    /// The node that it leads to: one that is beyond those which the plan knows at its place.
    leads: Option<usize>,
}

/// The names of one open object.
#[derive(Debug)]
pub(super) struct Seen {
    place: Option<usize>,
    /// The numbered names that it has shown.
    used: u64,
    /// How the last of them stands in `behind`.
    last: usize,
    base: usize,
    count: usize,
    many: Option<HashSet<u64, RandomState>>,
}

/// A name that was expected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    number: u8,
    /// Where it ends.
    pub(super) end: usize,
    /// The node that it leads to.
    pub(super) leads: Option<usize>,
    /// What becomes of a scalar there.
    pub(super) scalar: Scalar,
}

impl Place {
    /// The same where it is not one that the plan knows and that came the last time.
    fn other(&self, plan: &Compiled, known: &[Known], seen: &Seen, (window, at): (&[u8], usize)) -> Option<Expected> {
        let mut number = self.behind[seen.last];
        for _ in 0..2 {
            let (spelt, leads) = match known.get(usize::from(number)) {
                Some(known) => (&*known.spelt, Some(known.node)),
                None => {
                    let learnt = self.learnt.get(usize::from(number) - known.len())?;
                    (learnt.spelt.as_deref()?, learnt.leads)
                }
            };
            if scan::stands(window, at, spelt) {
                let scalar = leads.map_or(Scalar::Around, |node| plan.nodes[node].scalar);
                let expected = Expected { number, end: at + spelt.len(), leads, scalar };
                return (seen.used & (1 << number) == 0).then_some(expected);
            }
            number = self.behind[usize::from(number) + 1];
        }
        None
    }
}

impl Seen {
    pub(super) fn place(&self) -> Option<usize> {
        self.place
    }
}

impl Names {
    pub(super) fn new(plan: &Compiled) -> Self {
        let mut behind = [0; LEARNT + 1];
        behind.iter_mut().zip(0..).for_each(|(behind, number)| *behind = number);
        let places = vec![Place { learnt: Vec::new(), behind }; plan.places.len()];
        Self { keyed: RandomState::default(), places, few: Vec::new(), held: 0 }
    }

    /// A new object, inside all others; none: at no place that learns.
    pub(super) fn open(&self, place: Option<usize>) -> Seen {
        Seen { place, used: 0, last: 0, base: self.few.len(), count: 0, many: None }
    }

    /// The innermost object is at its end.
    pub(super) fn close(&mut self, seen: &Seen) {
        self.few.truncate(seen.base);
        self.held -= seen.count;
    }

    /// The name that stands at `at`, if it is one that was expected here: the one that came the last time, or the one
    /// behind it, where that was left out.
    #[inline]
    pub(super) fn expected(&self, plan: &Compiled, seen: &Seen, window: &[u8], at: usize) -> Option<Expected> {
        let index = seen.place?;
        let (place, known) = (self.places.get(index)?, plan.places.get(index)?);
        let number = place.behind[seen.last];
        match known.get(usize::from(number)) {
            Some(known) if scan::stands(window, at, &known.spelt) => {
                let expected = Expected { number, end: at + known.spelt.len(), leads: Some(known.node), scalar: known.scalar };
                // One that comes again is left to `note`.
                (seen.used & (1 << number) == 0).then_some(expected)
            }
            _ => place.other(plan, known, seen, (window, at)),
        }
    }

    /// Notes that an expected name was read.
    #[inline]
    pub(super) fn take(seen: &mut Seen, expected: Expected) {
        seen.used |= 1 << expected.number;
        seen.last = usize::from(expected.number) + 1;
    }

    /// Notes a name, given without escapes, of the innermost object; the node that it leads to, if it was learnt. `node`
    /// is where the object stands.
    pub(super) fn note(&mut self, plan: &Compiled, seen: &mut Seen, name: &[u8], node: Option<usize>) -> Result<(), Reason> {
        let Some(index) = seen.place else { return self.other(seen, name) };
        let known = &plan.places[index];
        let named = node.and_then(|node| plan.nodes[node].named(name));
        let number = match named {
            Some((_, Some(number))) => number,
            _ => match self.learn(index, known.len(), name, named.map(|(leads, _)| leads)) {
                Some(number) => number,
                None => return self.other(seen, name),
            },
        };
        if seen.used & (1 << number) != 0 {
            return Err(Reason::DuplicateName);
        }
        self.places[index].behind[seen.last] = number;
        seen.used |= 1 << number;
        seen.last = usize::from(number) + 1;
        Ok(())
    }

    /// The number of a name that the plan does not know, learnt if there is room.
    fn learn(&mut self, place: usize, known: usize, name: &[u8], leads: Option<usize>) -> Option<u8> {
        let hash = self.keyed.hash_one(name);
        let learnt = &mut self.places[place].learnt;
        let at = match learnt.iter().position(|learnt| learnt.hash == hash && *learnt.name == *name) {
            Some(at) => at,
            None if known + learnt.len() < LEARNT && name.len() <= LONGEST_LEARNT => {
                learnt.push(Learnt { spelt: spelt(name), name: name.into(), hash, leads });
                learnt.len() - 1
            }
            None => return None,
        };
        u8::try_from(known + at).ok()
    }

    /// Notes a name that has no number.
    fn other(&mut self, seen: &mut Seen, name: &[u8]) -> Result<(), Reason> {
        let hash = self.keyed.hash_one(name);
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
