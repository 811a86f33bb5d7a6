//! The short way through an object: members whose names were expected and whose values are scalars, where no more than
//! their node needs to be known for what becomes of them. Whatever is not so, or not in the window to its end, is left to
//! the long way as if it had not been looked at.

use super::super::super::Form;
use super::super::super::compiled::Scalar;
use super::super::LONGEST_NUMBER;
use super::super::names::Names;
use super::super::scan::{self, Progress};
use super::values::write_changed;
use super::{Around, Fate, Machine, State, comma};

/// Where in the window a member's value stands, and what stands behind it.
struct Value {
    colon: usize,
    start: usize,
    end: usize,
    escaped: bool,
    /// The comma, or the object's end.
    behind: usize,
}

impl Machine {
    /// Reads such members of the innermost object, and of those alike that follow it, from the name on that begins at
    /// `start`; where it stopped.
    pub(super) fn members(&mut self, whole: &str, start: usize) -> usize {
        // A name that was begun in an earlier window is judged up to where that ended.
        if self.progress.is_begun() {
            return start;
        }
        let mut at = start;
        loop {
            at = self.object(whole, at);
            if self.state != State::After {
                return at;
            }
            match self.next_alike(whole.as_bytes(), at) {
                Some(name) => at = name,
                None => return at,
            }
        }
    }

    /// From the end of an object to the first name of the next, where both are elements of one array and nothing but
    /// their place is to be known for what becomes of them.
    fn next_alike(&mut self, window: &[u8], end: usize) -> Option<usize> {
        let token = |at: usize, byte: u8| Some(scan::space(window, at)).filter(|at| window.get(*at) == Some(&byte));
        let comma = token(end + 1, b',')?;
        let open = token(comma + 1, b'{')?;
        let name = token(open + 1, b'"')?;
        let [.., array, object] = &mut self.frames[..] else { return None };
        let seen = object.seen.as_mut().filter(|_| array.seen.is_none() && object.fate == Fate::Stays && !object.record)?;
        match self.nodes[array.base..object.base] {
            [] => {}
            [node] => {
                let node = &self.plan.nodes[node];
                if node.item.is_some() || node.region || node.loops || (node.record && !self.tally.begin_if_room()) {
                    return None;
                }
            }
            _ => return None,
        }
        self.names.close(seen);
        *seen = self.names.open(seen.place());
        (array.kept, object.kept) = (true, false);
        self.out.copy(window, end, end + 1);
        object.before = self.out.len();
        self.out.copy(window, comma, comma + 1);
        self.out.copy(window, open, open + 1);
        self.state = State::First;
        Some(name)
    }

    /// The same of one object. It is at its end where something is to come after it.
    fn object(&mut self, whole: &str, start: usize) -> usize {
        let window = whole.as_bytes();
        let Some(frame) = self.frames.last_mut() else { return start };
        let Some(seen) = &mut frame.seen else { return start };
        let mut at = start;
        while let Some(expected) = self.names.expected(&self.plan, seen, window, at) {
            let scalar = expected.scalar;
            let shows = match (scalar, frame.around) {
                (Scalar::Unknown, _) => break,
                (_, Around::Drop) | (Scalar::Hidden, _) | (Scalar::Around, Around::Filter) => false,
                (Scalar::Around, Around::Copy) | (Scalar::Revealed(_) | Scalar::Changed(..), _) => true,
            };
            let Some(value) = Value::read(window, expected.end) else { break };
            Names::take(seen, expected);
            if shows {
                if frame.kept {
                    comma(&mut self.out, window, at);
                }
                frame.kept = true;
                self.out.copy(window, at, expected.end);
                self.out.copy(window, value.colon, value.colon + 1);
                if let Scalar::Revealed(item) = scalar {
                    self.tally.shown(item, Form::Reveal);
                }
                match scalar {
                    Scalar::Changed(item, form) => {
                        let (out, item) = (self.out.settle(window), (item, &self.plan.items[item]));
                        let raw = (&whole[value.start..value.end], value.escaped);
                        write_changed(out, &mut self.tally, item, form, &self.pseudonyms, raw);
                    }
                    _ => self.out.copy(window, value.start, value.end),
                }
            }
            if window[value.behind] == b'}' {
                self.state = State::After;
                return value.behind;
            }
            self.state = State::Name;
            at = scan::space(window, value.behind + 1);
            if window.get(at) != Some(&b'"') {
                break;
            }
        }
        at
    }
}

impl Value {
    /// The value of the member whose name ends here, if it is a scalar and the window shows what stands behind it.
    #[inline]
    fn read(window: &[u8], name: usize) -> Option<Self> {
        let colon = scan::space(window, name);
        if window.get(colon) != Some(&b':') {
            return None;
        }
        let start = scan::space(window, colon + 1);
        let mut progress = Progress::default();
        let end = match window.get(start)? {
            b'"' => scan::string(window, start, &mut progress).ok()?,
            b'-' | b'0'..=b'9' => match scan::number(window, start, false) {
                Ok(end) if end - start <= LONGEST_NUMBER => end,
                _ => return None,
            },
            b'{' | b'[' => return None,
            _ => scan::literal(window, start).ok()?,
        };
        let behind = scan::space(window, end);
        let value = Self { colon, start, end, escaped: progress.escaped, behind };
        matches!(window.get(behind), Some(b',' | b'}')).then_some(value)
    }
}
