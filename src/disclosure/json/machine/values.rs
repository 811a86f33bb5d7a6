//! What becomes of each value: the plan carried out where it stands.

use std::borrow::Cow;

use super::super::super::Form;
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
    pub(super) fn scalar(&mut self, raw: &[u8], escaped: bool, at: usize) -> Result<(), Stop> {
        let (from, around) = self.slot();
        let (item, record, region) = self.place(from);
        if record {
            self.tally.begin().map_err(self.too_many(at))?;
        }
        if region {
            let code = if raw[0] == b'"' { Some(self.content(raw, escaped, at)?) } else { None };
            self.tally.region(code.as_deref()).map_err(Stop::Refused)?;
        }
        let form = item.filter(|_| around != Around::Drop).map(|item| (item, self.plan.items[item].form));
        let mut written = match form {
            None if around != Around::Copy => false,
            None => {
                self.out.extend_from_slice(raw);
                true
            }
            Some((item, Some(Form::Reveal))) => {
                self.out.extend_from_slice(raw);
                self.tally.shown(item, Form::Reveal);
                true
            }
            Some((item, Some(form @ (Form::Mask | Form::Pseudonymise)))) => {
                self.changed(raw, escaped, item, form, at)?;
                true
            }
            Some((_, None | Some(Form::Compare))) => false,
        };
        if record {
            self.dropped = !self.tally.end().map_err(self.too_many(at))?;
            written &= !self.dropped;
        }
        if !written {
            self.out.truncate(self.before);
        }
        if self.frames.is_empty() {
            self.end_root(written, raw[0], at)?;
        }
        self.done(written);
        Ok(())
    }

    /// A string's content or a number's text.
    fn content<'w>(&self, raw: &'w [u8], escaped: bool, at: usize) -> Result<Cow<'w, str>, Stop> {
        let inner = if raw[0] == b'"' { &raw[1..raw.len() - 1] } else { raw };
        let text = self.text(inner, at)?;
        Ok(if escaped { scan::unescape(text).into() } else { text.into() })
    }

    /// A scalar masked or pseudonymised.
    fn changed(&mut self, raw: &[u8], escaped: bool, index: usize, form: Form, at: usize) -> Result<(), Stop> {
        let item = &self.plan.items[index];
        let shown = match raw[0] {
            b'n' => {
                self.out.extend_from_slice(raw);
                return Ok(());
            }
            b't' | b'f' => None,
            _ => item.changed(form, &self.pseudonyms, &self.content(raw, escaped, at)?),
        };
        if shown.is_some() || item.nulls(form) {
            self.tally.shown(index, form);
        } else {
            self.tally.unfit();
        }
        match shown {
            Some(text) => write_string(&mut self.out, &text),
            None => self.out.extend_from_slice(b"null"),
        }
        Ok(())
    }

    /// Enters a container.
    pub(super) fn open(&mut self, at: usize, object: bool) -> Result<(), Stop> {
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
            Fate::Stays | Fate::Open => self.out.push(if object { b'{' } else { b'[' }),
            Fate::Null => self.out.extend_from_slice(b"null"),
            Fate::Omitted => self.out.truncate(self.before),
        }
        let (before, base) = (self.before, self.nodes.len());
        // Where one node is, or none, a name always leads to the same.
        let place = match &self.nodes[from..] {
            [] => Some(self.plan.nodes.len()),
            [node] if !self.plan.nodes[*node].loops => Some(*node),
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
    pub(super) fn close(&mut self, at: usize) -> Result<usize, Stop> {
        let Some(frame) = self.frames.pop() else { return Err(self.refused(at, Reason::Syntax)) };
        if let Some(seen) = &frame.seen {
            self.names.close(seen);
        }
        let bracket = if frame.seen.is_some() { b'}' } else { b']' };
        let mut written = match frame.fate {
            Fate::Stays => true,
            Fate::Open => frame.kept,
            Fate::Null => true,
            Fate::Omitted => false,
        };
        if written && frame.fate != Fate::Null {
            self.out.push(bracket);
        }
        if frame.record {
            self.dropped = !self.tally.end().map_err(self.too_many(at))?;
            written &= !self.dropped;
        }
        if !written {
            self.out.truncate(frame.before);
        }
        if self.frames.is_empty() {
            self.end_root(written, if bracket == b'}' { b'{' } else { b'[' }, at)?;
        }
        self.done(written);
        Ok(at + 1)
    }

    /// A root that was not written: what stands for it is as empty as it can be.
    fn end_root(&mut self, written: bool, first: u8, at: usize) -> Result<(), Stop> {
        if written || self.judges || (self.dropped && self.leaves_nothing) {
            return Ok(());
        }
        self.out.extend_from_slice(match first {
            b'n' => b"null",
            b'{' if self.plan.root_leads(true) => b"{}",
            b'[' if self.plan.root_leads(false) => b"[]",
            _ => return Err(self.refused(at, Reason::Shape)),
        });
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
