//! Carrying out a plan: one pass over the content, value by value.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::{Form, Outcome, Pseudonyms};
use super::compiled::{Compiled, Item};
use super::reader::Reader;
use super::{Error, Reason, Rewritten};

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

struct Rewriter<'a> {
    plan: &'a Compiled,
    pseudonyms: &'a Pseudonyms,
    reader: Reader<'a>,
    out: Vec<u8>,
    /// The nodes at which the open values stand, innermost last.
    nodes: Vec<usize>,
    /// By item and form.
    counts: Vec<[u64; Form::SHOWN.len()]>,
    records: u64,
    unfit: u64,
}

/// Rewrites one whole answer.
pub(super) fn rewrite(plan: &Compiled, pseudonyms: &Pseudonyms, input: &[u8]) -> Result<Rewritten, Error> {
    let mut rewriter = Rewriter {
        plan,
        pseudonyms,
        reader: Reader::new(input)?,
        out: Vec::with_capacity(input.len()),
        nodes: Vec::new(),
        counts: vec![Default::default(); plan.items.len()],
        records: 0,
        unfit: 0,
    };
    rewriter.root()?;
    rewriter.reader.end()?;
    let outcome = rewriter.outcome();
    Ok(Rewritten { bytes: rewriter.out, outcome })
}

impl<'a> Rewriter<'a> {
    fn root(&mut self) -> Result<(), Error> {
        self.enter(0, 0);
        let first = self.reader.peek();
        let error = self.reader.error(Reason::Shape);
        if self.value(0, Around::Filter)? {
            return Ok(());
        }
        // The root cannot be left out: what stands for it is as empty as it can be.
        let stand_in: &[u8] = match first {
            b'n' => b"null",
            b'{' if self.plan.root_leads(true) => b"{}",
            b'[' if self.plan.root_leads(false) => b"[]",
            _ => return Err(error),
        };
        self.out.extend_from_slice(stand_in);
        Ok(())
    }

    /// Adds a node, and the loop that begins at it, to the set that starts at `base`.
    fn enter(&mut self, base: usize, node: usize) {
        for node in [Some(node), self.plan.nodes[node].descend].into_iter().flatten() {
            if !self.nodes[base..].contains(&node) {
                self.nodes.push(node);
            }
        }
    }

    /// Puts down the nodes of a member, or of an element, of the value whose nodes are those from `from` to `base`.
    fn descend(&mut self, from: usize, base: usize, name: Option<&str>) {
        for at in from..base {
            let index = self.nodes[at];
            let node = &self.plan.nodes[index];
            let next = name.map_or_else(|| node.elements(), |name| node.member(name));
            if let Some(next) = next {
                self.enter(base, next);
            }
            if node.loops && !self.nodes[base..].contains(&index) {
                self.nodes.push(index);
            }
        }
    }

    /// Carries out the plan on the value that stands here, at the nodes from `from` on; whether anything was written.
    fn value(&mut self, from: usize, around: Around) -> Result<bool, Error> {
        if self.nodes.len() == from && around != Around::Copy {
            self.reader.skip()?;
            return Ok(false);
        }
        let mut item: Option<usize> = None;
        let mut record = false;
        for node in &self.nodes[from..] {
            let node = &self.plan.nodes[*node];
            record |= node.record;
            if let Some(found) = node.item {
                item = Some(item.map_or(found, |item| self.plan.narrower(item, found)));
            }
        }
        if record {
            self.records += 1;
            if self.records > self.plan.max_records {
                return Err(self.reader.error(Reason::TooManyRecords));
            }
        }
        if around == Around::Drop {
            return self.plain(from, Around::Drop);
        }
        let Some(index) = item else { return self.plain(from, around) };
        match self.plan.items[index].form {
            None | Some(Form::Compare) => self.plain(from, Around::Drop),
            Some(Form::Reveal) => {
                self.counts[index][Form::Reveal as usize] += 1;
                self.plain(from, Around::Copy)
            }
            Some(form @ (Form::Mask | Form::Pseudonymise)) => self.transformed(from, index, form).map(|()| true),
        }
    }

    /// A value in its own form, or what is left of it.
    fn plain(&mut self, from: usize, around: Around) -> Result<bool, Error> {
        match self.reader.peek() {
            b'{' => self.object(from, around),
            b'[' => self.array(from, around),
            _ if around != Around::Copy => self.reader.skip().map(|()| false),
            b'"' => {
                let text = self.reader.string()?;
                self.write_string(&text);
                Ok(true)
            }
            b'-' | b'0'..=b'9' => {
                let text = self.reader.number()?;
                self.out.extend_from_slice(text.as_bytes());
                Ok(true)
            }
            _ => {
                let text = self.reader.literal()?;
                self.out.extend_from_slice(text.as_bytes());
                Ok(true)
            }
        }
    }

    /// What becomes of a container here: how its content is treated, and whether it stays even with nothing in it.
    fn container(&self, from: usize, around: Around, object: bool) -> (Around, bool) {
        if around != Around::Filter {
            return (around, around == Around::Copy);
        }
        let (mut leads, mut stays) = (false, false);
        for node in &self.nodes[from..] {
            let node = &self.plan.nodes[*node];
            let shows = if object { node.shows_members } else { node.shows_elements };
            leads |= shows;
            stays |= shows && !node.loops;
        }
        (if leads { Around::Filter } else { Around::Drop }, stays)
    }

    fn object(&mut self, from: usize, around: Around) -> Result<bool, Error> {
        let (around, stays) = self.container(from, around, true);
        let (start, base) = (self.out.len(), self.nodes.len());
        let mut kept = 0_usize;
        let mut seen = self.reader.object()?;
        if around != Around::Drop {
            self.out.push(b'{');
        }
        while let Some(name) = self.reader.member(&mut seen)? {
            self.descend(from, base, Some(&name));
            let before = self.out.len();
            if around == Around::Copy || (around == Around::Filter && self.nodes.len() > base) {
                if kept > 0 {
                    self.out.push(b',');
                }
                self.write_string(&name);
                self.out.push(b':');
            }
            if self.value(base, around)? {
                kept += 1;
            } else {
                self.out.truncate(before);
            }
            self.nodes.truncate(base);
        }
        Ok(self.finish(start, around, stays || kept > 0, b'}'))
    }

    fn array(&mut self, from: usize, around: Around) -> Result<bool, Error> {
        let (around, stays) = self.container(from, around, false);
        let (start, base) = (self.out.len(), self.nodes.len());
        let mut kept = 0_usize;
        let mut first = true;
        self.reader.array()?;
        if around != Around::Drop {
            self.out.push(b'[');
        }
        while self.reader.element(first)? {
            first = false;
            self.descend(from, base, None);
            let before = self.out.len();
            if around != Around::Drop && kept > 0 {
                self.out.push(b',');
            }
            if self.value(base, around)? {
                kept += 1;
            } else {
                self.out.truncate(before);
            }
            self.nodes.truncate(base);
        }
        Ok(self.finish(start, around, stays || kept > 0, b']'))
    }

    /// Closes a container that stays, takes back one that does not.
    fn finish(&mut self, start: usize, around: Around, stays: bool, close: u8) -> bool {
        let written = stays && around != Around::Drop;
        if written {
            self.out.push(close);
        } else {
            self.out.truncate(start);
        }
        written
    }

    /// A value masked or pseudonymised.
    fn transformed(&mut self, from: usize, index: usize, form: Form) -> Result<(), Error> {
        let item = &self.plan.items[index];
        let text = match self.reader.peek() {
            b'"' => Some(self.reader.string()?),
            b'-' | b'0'..=b'9' => Some(Cow::Borrowed(self.reader.number()?)),
            b'n' => {
                self.out.extend_from_slice(self.reader.literal()?.as_bytes());
                return Ok(());
            }
            _ => {
                self.plain(from, Around::Drop)?;
                None
            }
        };
        let shown = text.and_then(|text| self.form_of(item, form, &text));
        match &shown {
            Some(text) => self.write_string(text),
            None => self.out.extend_from_slice(b"null"),
        }
        // Under the preset `null` null is what was asked for.
        let meant = form == Form::Mask && item.preset == Some(super::super::Preset::Null);
        if shown.is_some() || meant {
            self.counts[index][form as usize] += 1;
        } else {
            self.unfit += 1;
        }
        Ok(())
    }

    fn form_of(&self, item: &Item, form: Form, text: &str) -> Option<String> {
        match form {
            Form::Mask => item.preset.as_ref()?.apply(text),
            Form::Pseudonymise => Some(self.pseudonyms.of(text, item.joinable)),
            Form::Reveal | Form::Compare => None,
        }
    }

    /// Writes a string with the escapes that JSON demands and no others.
    fn write_string(&mut self, text: &str) {
        self.out.push(b'"');
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
            self.out.extend_from_slice(&rest[..at]);
            let short = match rest[at] {
                b'\x08' => b'b',
                b'\t' => b't',
                b'\n' => b'n',
                b'\x0c' => b'f',
                b'\r' => b'r',
                byte @ (b'"' | b'\\') => byte,
                _ => 0,
            };
            match short {
                0 => self.out.extend_from_slice(format!("\\u{:04x}", rest[at]).as_bytes()),
                _ => self.out.extend_from_slice(&[b'\\', short]),
            }
            rest = &rest[at + 1..];
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }

    fn outcome(&self) -> Outcome {
        let mut items = BTreeMap::new();
        for (item, counts) in self.plan.items.iter().zip(&self.counts) {
            let forms: BTreeMap<_, _> =
                Form::SHOWN.into_iter().map(|form| (form.name(), counts[form as usize])).filter(|(_, count)| *count > 0).collect();
            if !forms.is_empty() {
                items.insert(item.name.clone(), forms);
            }
        }
        Outcome { records: self.records, items, unfit: self.unfit, rows_dropped: 0 }
    }
}
