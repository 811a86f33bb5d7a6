//! What becomes of each value: the plan carried out where it stands.

use std::borrow::Cow;

use super::super::super::compiled::Item;
use super::super::super::tally::Tally;
use super::super::super::{Form, Pseudonyms};
use super::super::write::write_string;
use super::super::{DEPTH, Reason, scan};
use super::{Around, Fate, Frame, Machine, State, Stop};

impl Machine {
    /// Where the nodes of the value that is read begin, and what happens to it if it is no item.
    fn slot(&self) -> (usize, Around) {
        self.frames.last().map_or((0, Around::Filter), |frame| (frame.base, frame.around))
    }

    /// What the nodes from `from` on say: the item, in the narrowest of their forms, whether the value is a record, and
    /// whether it is a record's region.
    fn place(&self, from: usize) -> (Option<usize>, bool, bool) {
        if let [node] = self.nodes[from..] {
            let node = &self.plan.nodes[node];
            return (node.item, node.record, node.region);
        }
        let (mut item, mut record, mut region) = (None, false, false);
        for node in &self.nodes[from..] {
            let node = &self.plan.nodes[*node];
            record |= node.record;
            region |= node.region;
            if let Some(found) = node.item {
                item = Some(item.map_or(found, |item| self.plan.narrower(item, found)));
            }
        }
        (item, record, region)
    }

    /// Carries out the plan on a scalar that was read whole.
    pub(super) fn scalar(&mut self, window: &str, at: usize, end: usize, escaped: bool) -> Result<(), Stop> {
        let bytes = window.as_bytes();
        let first = bytes[at];
        let (from, around) = self.slot();
        let (item, record, region) = self.place(from);
        if record {
            self.tally.begin().map_err(self.too_many(at))?;
        }
        if region {
            let code = if first == b'"' { Some(content(self.text(window, at + 1, end - 1)?, escaped)) } else { None };
            self.tally.region(code.as_deref()).map_err(Stop::Refused)?;
        }
        let form = item.filter(|_| around != Around::Drop).map(|item| (item, self.plan.items[item].form));
        let mut written = match form {
            None if around != Around::Copy => false,
            None => {
                self.out.copy(bytes, at, end);
                true
            }
            Some((item, Some(Form::Reveal))) => {
                self.out.copy(bytes, at, end);
                self.tally.shown(item, Form::Reveal);
                true
            }
            Some((item, Some(form @ (Form::Mask | Form::Pseudonymise)))) => {
                let raw = (self.text(window, at, end)?, escaped);
                let (out, item) = (self.out.settle(bytes), (item, &self.plan.items[item]));
                write_changed(out, &mut self.tally, item, form, &self.pseudonyms, raw);
                true
            }
            Some((_, None | Some(Form::Compare))) => false,
        };
        if record {
            written &= self.end_record(at)?;
        }
        if !written {
            self.out.cut(self.before);
        }
        if self.frames.is_empty() {
            self.end_root(bytes, written, first, at)?;
        }
        self.done(written);
        Ok(())
    }

    /// Enters a container.
    pub(super) fn open(&mut self, window: &[u8], at: usize, object: bool) -> Result<(), Stop> {
        if self.frames.len() == DEPTH {
            return Err(self.refused(at, Reason::TooDeep));
        }
        let (from, around) = self.slot();
        let (item, record, region) = self.place(from);
        if record {
            self.tally.begin().map_err(self.too_many(at))?;
        }
        if region {
            self.tally.region(None).map_err(Stop::Refused)?;
        }
        let (mut fate, inner) = match item.filter(|_| around != Around::Drop) {
            None => self.container(from, around, object),
            Some(item) => self.container_item(item),
        };
        // The root cannot be left out: what stands for it is as empty as it can be.
        if self.frames.is_empty() && matches!(fate, Fate::Open | Fate::Omitted) && !self.judges {
            if !self.plan.root_leads(object) {
                return Err(self.refused(at, Reason::Shape));
            }
            fate = Fate::Stays;
        }
        match fate {
            Fate::Stays | Fate::Open => self.out.copy(window, at, at + 1),
            Fate::Null => self.out.write(window, b"null"),
            Fate::Omitted => self.out.cut(self.before),
        }
        let (before, base) = (self.before, self.nodes.len());
        // Where one node is, or none, a name always leads to the same.
        let place = match &self.nodes[from..] {
            [] => Some(self.plan.nowhere()),
            [node] if !self.plan.nodes[*node].loops => Some(self.plan.nodes[*node].place),
            _ => None,
        };
        let seen = object.then(|| self.names.open(place));
        let record = record && self.tally.filters();
        self.frames.push(Frame { seen, around: inner, fate, kept: false, record, before, base });
        self.state = State::First;
        Ok(())
    }

    /// What becomes of a container that is no item, and what happens to its content.
    fn container(&self, from: usize, around: Around, object: bool) -> (Fate, Around) {
        match around {
            Around::Copy => return (Fate::Stays, Around::Copy),
            Around::Drop => return (Fate::Omitted, Around::Drop),
            Around::Filter => {}
        }
        let (mut leads, mut stays) = (false, false);
        for node in &self.nodes[from..] {
            let node = &self.plan.nodes[*node];
            let shows = if object { node.shows_members } else { node.shows_elements };
            leads |= shows;
            stays |= shows && !node.loops;
        }
        match (leads, stays) {
            (false, _) => (Fate::Omitted, Around::Drop),
            (true, false) => (Fate::Open, Around::Filter),
            (true, true) => (Fate::Stays, Around::Filter),
        }
    }

    /// The same of one that is an item.
    fn container_item(&mut self, index: usize) -> (Fate, Around) {
        let item = &self.plan.items[index];
        match item.form {
            None | Some(Form::Compare) => (Fate::Omitted, Around::Drop),
            Some(Form::Reveal) => {
                self.tally.shown(index, Form::Reveal);
                (Fate::Stays, Around::Copy)
            }
            Some(form) => {
                if item.nulls(form) {
                    self.tally.shown(index, form);
                } else {
                    self.tally.unfit();
                }
                (Fate::Null, Around::Drop)
            }
        }
    }

    /// Leaves the innermost container.
    pub(super) fn close(&mut self, window: &[u8], at: usize) -> Result<usize, Stop> {
        let Some(frame) = self.frames.pop() else { return Err(self.refused(at, Reason::Syntax)) };
        if let Some(seen) = &frame.seen {
            self.names.close(seen);
        }
        let first = if frame.seen.is_some() { b'{' } else { b'[' };
        let mut written = match frame.fate {
            Fate::Stays => true,
            Fate::Open => frame.kept,
            Fate::Null => true,
            Fate::Omitted => false,
        };
        if written && frame.fate != Fate::Null {
            self.out.copy(window, at, at + 1);
        }
        if frame.record {
            written &= self.end_record(at)?;
        }
        if !written {
            self.out.cut(frame.before);
        }
        if self.frames.is_empty() {
            self.end_root(window, written, first, at)?;
        }
        self.done(written);
        Ok(at + 1)
    }

    /// A record that may be dropped is at its end, and no longer open; whether it stays.
    fn end_record(&mut self, at: usize) -> Result<bool, Stop> {
        let stays = self.tally.end().map_err(self.too_many(at))?;
        self.dropped |= !stays && self.frames.is_empty();
        Ok(stays)
    }

    /// A root that was not written: what stands for it is as empty as it can be.
    fn end_root(&mut self, window: &[u8], written: bool, first: u8, at: usize) -> Result<(), Stop> {
        if written || self.judges || (self.dropped && self.leaves_nothing) {
            return Ok(());
        }
        let empty: &[u8] = match first {
            b'n' => b"null",
            b'{' if self.plan.root_leads(true) => b"{}",
            b'[' if self.plan.root_leads(false) => b"[]",
            _ => return Err(self.refused(at, Reason::Shape)),
        };
        self.out.write(window, empty);
        Ok(())
    }

    /// A value is at its end.
    fn done(&mut self, written: bool) {
        match self.frames.last_mut() {
            Some(frame) => {
                frame.kept |= written;
                self.nodes.truncate(frame.base);
                self.state = State::After;
            }
            None => {
                self.nodes.clear();
                self.state = State::End;
            }
        }
    }
}

/// What a string's raw content, or a number, stands for.
fn content(raw: &str, escaped: bool) -> Cow<'_, str> {
    if escaped { scan::unescape(raw).into() } else { raw.into() }
}

/// Writes a scalar, as it is spelt and whether with escapes, masked or pseudonymised.
pub(super) fn write_changed(
    out: &mut Vec<u8>,
    tally: &mut Tally,
    (index, item): (usize, &Item),
    form: Form,
    pseudonyms: &Pseudonyms,
    (raw, escaped): (&str, bool),
) {
    let text = match raw.as_bytes() {
        [b'"', .., b'"'] => Some(content(&raw[1..raw.len() - 1], escaped)),
        [b'n', ..] => return out.extend_from_slice(raw.as_bytes()),
        [b't' | b'f', ..] => None,
        _ => Some(raw.into()),
    };
    let shown = text.is_some_and(|text| write_string(out, |out| item.change(form, pseudonyms, &text, out)));
    if shown || item.nulls(form) {
        tally.shown(index, form);
    } else {
        tally.unfit();
    }
    if !shown {
        out.extend_from_slice(b"null");
    }
}
