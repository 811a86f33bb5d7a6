//! Carrying out a plan on one JSON document, token by token, whatever pieces it comes in.
//!
//! What is read goes straight to `out`. Where a value may yet turn out not to be shown, the place at which it began is
//! kept, and `out` is cut back to it; `certain` says how much of `out` nothing can take back any more.
//!
//! Members whose names were expected and whose values are plain scalars, which is most of what answers hold, go by a
//! shorter way (`members`) with the same end; whatever it does not know goes the long one.

use std::borrow::Cow;
use std::sync::Arc;

use super::super::compiled::Compiled;
use super::super::stream::Reader;
use super::super::tally::{Tally, TooMany};
use super::super::{self as disclosure, ContentKind, JsonPath, Outcome, Plan, PseudonymKey, Pseudonyms};
use super::names::{Names, Seen};
use super::scan::{self, Fault, Progress};
use super::write::{Sink, write_string};
use super::{Error, LONGEST_NUMBER, Reason};

mod members;
mod values;

/// So deep most answers are.
const USUAL_DEPTH: usize = 4;

/// What happens to values that are no item themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// Only what leads to items stays.
    Filter,
    /// They are part of a revealed container and stay.
    Copy,
    /// Nothing stays: the value is judged, and its records counted.
    Drop,
}

/// What becomes of a container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It stays.
    Stays,
    /// It stays if something in it does.
    Open,
    /// It became null.
    Null,
    /// It is omitted.
    Omitted,
}

/// What is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value; the root to begin with.
    Value,
    /// A container's first member or element, or its end.
    First,
    /// A member's name.
    Name,
    /// The colon behind a name.
    Colon,
    /// What stands behind a member or an element.
    After,
    /// Nothing but white space.
    End,
}

/// An open container.
struct Frame {
    /// Of its names, if it is an object.
    seen: Option<Seen>,
    around: Around,
    fate: Fate,
    /// Something in it was written.
    kept: bool,
    /// It is a record, which may be dropped at its end.
    record: bool,
    /// Where `out` ended before it, its name and its comma included.
    before: usize,
    /// Where the nodes of its members or elements begin.
    base: usize,
}

/// Why a piece was not read to its end.
enum Stop {
    More,
    Refused(disclosure::Error),
}

/// One document on its way.
pub(in super::super) struct Machine {
    plan: Arc<Compiled>,
    pseudonyms: Pseudonyms,
    state: State,
    frames: Vec<Frame>,
    names: Names,
    /// The nodes at which the open values stand, innermost last.
    nodes: Vec<usize>,
    /// Where `out` ended before the value that is read next.
    before: usize,
    progress: Progress,
    /// What was written and not taken away.
    out: Sink,
    tally: Tally,
    /// Where in the document the window begins.
    offset: u64,
    /// No more comes behind this window.
    last: bool,
    /// The document is judged, and nothing shown.
    judges: bool,
    /// The document was one record, and dropped.
    dropped: bool,
    /// Then nothing stands for it.
    leaves_nothing: bool,
}

impl Machine {
    pub(in super::super) fn new(plan: &Arc<Compiled>, pseudonyms: &Pseudonyms, tally: Tally) -> Self {
        let mut machine = Self {
            plan: plan.clone(),
            pseudonyms: pseudonyms.clone(),
            state: State::Value,
            frames: Vec::with_capacity(USUAL_DEPTH),
            names: Names::new(plan),
            nodes: Vec::with_capacity(USUAL_DEPTH),
            before: 0,
            progress: Progress::default(),
            out: Sink::default(),
            tally,
            offset: 0,
            last: false,
            judges: false,
            dropped: false,
            leaves_nothing: false,
        };
        machine.enter(0, 0);
        machine
    }

    /// Of several documents one that is dropped leaves nothing behind.
    pub(in super::super) fn leaving_nothing(self) -> Self {
        Self { leaves_nothing: true, ..self }
    }

    /// Begins another document, behind what `out` holds.
    pub(in super::super) fn restart(&mut self) {
        self.dropped = false;
        self.state = State::Value;
        self.before = self.out.len();
        self.nodes.clear();
        self.enter(0, 0);
    }

    /// Only judges: nothing is shown.
    pub(super) fn judging() -> Self {
        let plan = Plan { items: Vec::new(), content: ContentKind::Json, records: JsonPath::root(), max_records: u64::MAX, region: None };
        let plan = Arc::new(Compiled::new(&plan));
        let tally = Tally::new(&plan, None);
        // Nothing is pseudonymised where there is no item.
        let pseudonyms = PseudonymKey::new(&[0; 32]).scope("", "");
        let mut machine = Self::new(&plan, &pseudonyms, tally);
        machine.judges = true;
        machine.nodes.clear();
        machine
    }

    /// Whether the document has not begun.
    pub(in super::super) fn is_fresh(&self) -> bool {
        self.state == State::Value && self.frames.is_empty()
    }

    /// Whether the document was one record, and dropped.
    pub(in super::super) fn is_dropped(&self) -> bool {
        self.dropped
    }

    /// Reads a window, in UTF-8, as far as its tokens are whole: how much of it was read.
    pub(in super::super) fn read_document(&mut self, window: &str) -> Result<usize, disclosure::Error> {
        self.out.reserve(window.len());
        let mut at = 0;
        loop {
            at = scan::space(window.as_bytes(), at);
            let Some(byte) = window.as_bytes().get(at) else { break };
            match self.step(window, at, *byte) {
                Ok(next) => at = next,
                Err(Stop::More) => break,
                Err(Stop::Refused(error)) => return Err(error),
            }
        }
        self.out.settle(window.as_bytes());
        self.offset += at as u64;
        Ok(at)
    }

    /// Reads the last window; the document must end in it.
    pub(in super::super) fn end_document(&mut self, window: &str) -> Result<(), disclosure::Error> {
        self.last = true;
        let read = self.read_document(window)?;
        self.last = false;
        let reason = match self.state {
            State::End if read == window.len() => return Ok(()),
            State::Value if self.frames.is_empty() && read == window.len() => Reason::Empty,
            _ => Reason::Cut,
        };
        Err(Error { at: self.offset, reason }.into())
    }

    fn refused(&self, at: usize, reason: Reason) -> Stop {
        Stop::Refused(Error { at: self.offset + at as u64, reason }.into())
    }

    fn fault(&self, fault: Fault) -> Stop {
        match fault {
            Fault::More => Stop::More,
            Fault::Bad(at, reason) => self.refused(at, reason),
        }
    }

    fn too_many(&self, at: usize) -> impl Fn(TooMany) -> Stop + use<> {
        let error = Error { at: self.offset + at as u64, reason: Reason::TooManyRecords };
        move |TooMany| Stop::Refused(error.into())
    }

    /// Reads the token that stands at `at`; where the next may.
    fn step(&mut self, window: &str, at: usize, byte: u8) -> Result<usize, Stop> {
        match self.state {
            State::Value => self.value(window, at, byte),
            State::Name => self.name(window, at, byte),
            State::Colon if byte == b':' => {
                self.state = State::Value;
                Ok(at + 1)
            }
            State::End => Err(self.refused(at, Reason::Trailing)),
            State::First | State::After => {
                let Some(frame) = self.frames.last() else { return Err(self.refused(at, Reason::Syntax)) };
                match (byte, frame.seen.is_some(), self.state) {
                    (b'}', true, _) | (b']', false, _) => self.close(window.as_bytes(), at),
                    (b',', true, State::After) => {
                        self.state = State::Name;
                        self.next_name(window, at + 1)
                    }
                    (b',', false, State::After) => {
                        self.element(window, at);
                        Ok(at + 1)
                    }
                    (_, true, State::First) => self.name(window, at, byte),
                    (_, false, State::First) => {
                        self.element(window, at);
                        Ok(at)
                    }
                    _ => Err(self.refused(at, Reason::Syntax)),
                }
            }
            State::Colon => Err(self.refused(at, Reason::Syntax)),
        }
    }

    /// The name that follows a comma, where it follows at once and whole.
    fn next_name(&mut self, window: &str, at: usize) -> Result<usize, Stop> {
        if window.as_bytes().get(at) != Some(&b'"') {
            return Ok(at);
        }
        match self.name(window, at, b'"') {
            Err(Stop::More) => Ok(at),
            read => read,
        }
    }

    /// Makes ready for an element of the innermost array; its comma, if there is one, stands at `at`.
    fn element(&mut self, window: &str, at: usize) {
        self.state = State::Value;
        self.before = self.out.len();
        let Some(frame) = self.frames.last() else { return };
        let (around, kept, base) = (frame.around, frame.kept, frame.base);
        self.descend(base, None);
        if kept && (around == Around::Copy || (around == Around::Filter && self.nodes.len() > base)) {
            self.out.copy(window.as_bytes(), at, at + 1);
        }
    }

    /// Reads a member's name, and writes it where its value may be shown.
    fn name(&mut self, window: &str, at: usize, byte: u8) -> Result<usize, Stop> {
        if byte != b'"' {
            return Err(self.refused(at, Reason::Syntax));
        }
        let next = self.members(window, at);
        if next > at {
            return Ok(next);
        }
        let bytes = window.as_bytes();
        let Some(Frame { seen: Some(seen), base, .. }) = self.frames.last_mut() else {
            return Err(self.refused(at, Reason::Syntax));
        };
        let base = *base;
        let end = match self.names.expected(&self.plan, seen, bytes, at) {
            Some(expected) => {
                Names::take(seen, expected);
                self.progress = Progress::default();
                if let Some(node) = expected.leads {
                    self.enter(base, node);
                }
                self.before = self.out.len();
                if self.separate(bytes, at) {
                    self.out.copy(bytes, at, expected.end);
                    self.out.write(bytes, b":");
                }
                expected.end
            }
            None => self.other_name(window, at, base)?,
        };
        if bytes.get(end) == Some(&b':') {
            self.state = State::Value;
            return Ok(end + 1);
        }
        self.state = State::Colon;
        Ok(end)
    }

    /// Reads a name that was not expected.
    fn other_name(&mut self, window: &str, at: usize, base: usize) -> Result<usize, Stop> {
        let bytes = window.as_bytes();
        let end = scan::string(bytes, at, &mut self.progress).map_err(|fault| self.fault(fault))?;
        let escaped = std::mem::take(&mut self.progress).escaped;
        let raw = self.text(window, at + 1, end - 1)?;
        let name = if escaped { Cow::Owned(scan::unescape(raw)) } else { Cow::Borrowed(raw) };
        let node = self.nodes[self.own(base)..base].first().copied();
        let Some(Frame { seen: Some(seen), .. }) = self.frames.last_mut() else {
            return Err(self.refused(at, Reason::Syntax));
        };
        let noted = self.names.note(&self.plan, seen, name.as_bytes(), node);
        if let Err(reason) = noted {
            return Err(self.refused(at, reason));
        }
        self.descend(base, Some(name.as_bytes()));
        self.before = self.out.len();
        if self.separate(bytes, at) {
            if escaped {
                // A name that was spelt with escapes is written without those that JSON does not demand.
                write_string(self.out.settle(bytes), |out| {
                    out.extend_from_slice(name.as_bytes());
                    true
                });
            } else {
                self.out.copy(bytes, at, end);
            }
            self.out.write(bytes, b":");
        }
        Ok(end)
    }

    /// Whether the value of the name at `at` may be shown; if so, the comma before the name is written.
    fn separate(&mut self, bytes: &[u8], at: usize) -> bool {
        let Some(frame) = self.frames.last() else { return false };
        let shows = frame.around == Around::Copy || (frame.around == Around::Filter && self.nodes.len() > frame.base);
        if shows && frame.kept {
            comma(&mut self.out, bytes, at);
        }
        shows
    }

    /// A stretch of the window, which begins and ends at ASCII.
    fn text<'w>(&self, window: &'w str, from: usize, to: usize) -> Result<&'w str, Stop> {
        window.get(from..to).ok_or_else(|| self.refused(from, Reason::NotUtf8))
    }

    /// Adds a node, and the loop that begins at it, to the set that starts at `base`.
    fn enter(&mut self, base: usize, node: usize) {
        for node in [Some(node), self.plan.nodes[node].descend].into_iter().flatten() {
            if !self.nodes[base..].contains(&node) {
                self.nodes.push(node);
            }
        }
    }

    /// Where the innermost container's own nodes begin, which end at `base`.
    fn own(&self, base: usize) -> usize {
        self.frames.len().checked_sub(2).map_or(0, |outer| self.frames[outer].base).min(base)
    }

    /// Puts down the nodes of a member, or of an element, of the innermost container, whose own end at `base`.
    fn descend(&mut self, base: usize, name: Option<&[u8]>) {
        for at in self.own(base)..base {
            let index = self.nodes[at];
            let node = &self.plan.nodes[index];
            let loops = node.loops;
            if let Some(next) = name.map_or_else(|| node.elements(), |name| node.member(name)) {
                self.enter(base, next);
            }
            if loops && !self.nodes[base..].contains(&index) {
                self.nodes.push(index);
            }
        }
    }

    /// Reads a scalar, or the beginning of a container.
    fn value(&mut self, whole: &str, at: usize, byte: u8) -> Result<usize, Stop> {
        let window = whole.as_bytes();
        let end = match byte {
            b'{' | b'[' => {
                self.open(window, at, byte == b'{')?;
                return Ok(at + 1);
            }
            b'"' => scan::string(window, at, &mut self.progress),
            b'-' | b'0'..=b'9' => match scan::number(window, at, self.last) {
                Err(Fault::More) if window.len() - at > LONGEST_NUMBER => Err(Fault::Bad(at, Reason::LongNumber)),
                Ok(end) if end - at > LONGEST_NUMBER => Err(Fault::Bad(at, Reason::LongNumber)),
                end => end,
            },
            0xef if self.offset == 0 && at == 0 && window.starts_with(b"\xef\xbb\xbf") => Err(Fault::Bad(0, Reason::ByteOrderMark)),
            _ => scan::literal(window, at),
        };
        let end = end.map_err(|fault| self.fault(fault))?;
        let escaped = std::mem::take(&mut self.progress).escaped;
        self.scalar(whole, at, end, escaped)?;
        Ok(end)
    }
}

/// Writes the comma that stands before the token at `at`, mostly right before it.
#[inline]
fn comma(out: &mut Sink, window: &[u8], at: usize) {
    match at.checked_sub(1).filter(|before| window[*before] == b',') {
        Some(before) => out.copy(window, before, at),
        None => out.write(window, b","),
    }
}

impl Reader for Machine {
    fn read(&mut self, window: &str, _searched: usize) -> Result<usize, disclosure::Error> {
        self.read_document(window)
    }

    fn end(&mut self, window: &str) -> Result<(), disclosure::Error> {
        self.end_document(window)
    }

    fn out(&mut self) -> &mut Vec<u8> {
        self.out.bytes()
    }

    fn certain(&self) -> usize {
        let mut certain = if matches!(self.state, State::Colon | State::Value) { self.before } else { self.out.len() };
        let mut sure = false;
        for frame in self.frames.iter().rev() {
            sure |= frame.kept || matches!(frame.fate, Fate::Stays | Fate::Null);
            if frame.record {
                sure = false;
            }
            if !sure {
                certain = certain.min(frame.before);
            }
        }
        certain
    }

    fn rebase(&mut self, taken: usize) {
        self.before = self.before.saturating_sub(taken);
        for frame in &mut self.frames {
            frame.before = frame.before.saturating_sub(taken);
        }
    }

    fn outcome(&self) -> Outcome {
        self.tally.outcome(&self.plan)
    }
}
