//! CSV by RFC 4180 in UTF-8: the header row names the items, each further row is a record. Columns of no shown item are
//! left out, cells that are shown as they are keep their spelling; an empty cell is what null is in JSON.
//!
//! Strict where guessing would move a value into another column: every row has as many cells as the header, no two
//! columns have one name, quotes stand around a whole cell, lines end with CRLF or LF. A byte order mark, which
//! spreadsheets write, is passed over.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::compiled::Compiled;
use super::stream::Reader;
use super::tally::{Tally, TooMany};
use super::{Error as Refused, Form, Outcome, Pseudonyms};
use crate::lang::Text;

mod cell;
#[cfg(test)]
pub(super) mod tests;

use cell::{Cell, End, Fault, Progress};

/// The most columns that a header may name.
const MOST_COLUMNS: usize = 4096;

/// Why content is refused, and where. Holds nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The byte at which it was known.
    pub at: u64,
    /// What was found there.
    pub reason: Reason,
}

/// What makes content impossible to judge or to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no header row.
    Empty,
    /// It ends inside a quoted cell.
    Cut,
    /// A quote inside a cell that does not begin with one, or something behind a closing quote.
    Quote,
    /// A control character, or a carriage return that ends no line.
    Control,
    /// Two columns of one name.
    DuplicateName,
    /// More columns than are read.
    TooManyColumns,
    /// A row with more or fewer cells than the header.
    Ragged,
    /// A header that names no item.
    Shape,
    /// More records than the plan allows.
    TooManyRecords,
}

/// What becomes of a column.
#[derive(Clone, Copy, Debug)]
struct Column {
    /// The item, and the form in which it is shown.
    shown: Option<(usize, Form)>,
    /// It carries the record's region.
    region: bool,
}

/// Rows on their way.
pub(super) struct Csv {
    plan: Arc<Compiled>,
    pseudonyms: Pseudonyms,
    tally: Tally,
    out: Vec<u8>,
    /// The header's names, until it is whole.
    header: HashSet<Box<[u8]>>,
    columns: Vec<Column>,
    in_header: bool,
    /// The cell that is read next.
    column: usize,
    /// Some cell of the row was written.
    written: bool,
    /// Where `out` ended before the row.
    before: usize,
    progress: Progress,
    offset: u64,
    last: bool,
}

impl Csv {
    pub(super) fn new(plan: &Arc<Compiled>, pseudonyms: &Pseudonyms, tally: Tally) -> Self {
        Self {
            plan: plan.clone(),
            pseudonyms: pseudonyms.clone(),
            tally,
            out: Vec::new(),
            header: HashSet::new(),
            columns: Vec::new(),
            in_header: true,
            column: 0,
            written: false,
            before: 0,
            progress: Progress::default(),
            offset: 0,
            last: false,
        }
    }

    fn refused(&self, at: usize, reason: Reason) -> Refused {
        Error { at: self.offset + at as u64, reason }.into()
    }

    /// Carries out the plan on a cell that was read whole.
    fn cell(&mut self, cell: &Cell<'_>, at: usize) -> Result<(), Refused> {
        if self.in_header {
            self.name(cell, at)?;
        } else {
            if self.column == 0 {
                self.before = self.out.len();
                self.tally.begin().map_err(|TooMany| self.refused(at, Reason::TooManyRecords))?;
            }
            let column = *self.columns.get(self.column).ok_or_else(|| self.refused(at, Reason::Ragged))?;
            if column.region {
                self.tally.region(Some(&*cell.text()).filter(|code| !code.is_empty()))?;
            }
            if let Some((item, form)) = column.shown {
                self.show(cell, item, form);
            }
        }
        self.column += 1;
        if cell.end != End::Comma {
            self.end_row(at)?;
        }
        Ok(())
    }

    /// A column's name.
    fn name(&mut self, cell: &Cell<'_>, at: usize) -> Result<(), Refused> {
        let text = cell.text();
        if !self.header.insert(text.as_bytes().into()) {
            return Err(self.refused(at, Reason::DuplicateName));
        }
        if self.columns.len() == MOST_COLUMNS {
            return Err(self.refused(at, Reason::TooManyColumns));
        }
        let (item, region) = self.plan.column(text.as_bytes());
        let form = item.and_then(|item| Some((item, self.plan.items[item].form?)));
        let shown = form.filter(|(_, form)| *form != Form::Compare);
        if shown.is_some() {
            self.separate();
            self.out.extend_from_slice(cell.raw);
        }
        self.columns.push(Column { shown, region });
        Ok(())
    }

    fn separate(&mut self) {
        if self.written {
            self.out.push(b',');
        }
        self.written = true;
    }

    fn show(&mut self, cell: &Cell<'_>, index: usize, form: Form) {
        self.separate();
        if form == Form::Reveal {
            self.tally.shown(index, form);
            self.out.extend_from_slice(cell.raw);
            return;
        }
        let text = cell.text();
        if text.is_empty() {
            return;
        }
        let item = &self.plan.items[index];
        let shown = cell::write(&mut self.out, |out| item.change(form, &self.pseudonyms, &text, out));
        if shown || item.nulls(form) {
            self.tally.shown(index, form);
        } else {
            self.tally.unfit();
        }
    }

    fn end_row(&mut self, at: usize) -> Result<(), Refused> {
        if self.column != self.columns.len() {
            return Err(self.refused(at, Reason::Ragged));
        }
        let stays = if self.in_header {
            if !self.header.iter().any(|name| self.plan.column(name).0.is_some()) {
                return Err(self.refused(at, Reason::Shape));
            }
            self.header = HashSet::new();
            self.in_header = false;
            true
        } else {
            self.tally.end().map_err(|TooMany| self.refused(at, Reason::TooManyRecords))?
        };
        if !stays {
            self.out.truncate(self.before);
        } else if self.written {
            self.out.extend_from_slice(b"\r\n");
        }
        self.column = 0;
        self.written = false;
        self.before = self.out.len();
        Ok(())
    }
}

impl Reader for Csv {
    fn read(&mut self, window: &str, _searched: usize) -> Result<usize, Refused> {
        let window = window.as_bytes();
        let mut at = 0;
        if self.offset == 0 && self.columns.is_empty() && window.starts_with("\u{feff}".as_bytes()) {
            at = "\u{feff}".len();
        }
        // Behind a line's end another row begins only if there is another byte; behind a comma a cell always does.
        while at < window.len() || (self.last && self.column > 0) {
            match cell::read(window, at, self.last, &mut self.progress) {
                Ok(cell) => {
                    self.progress = Progress::default();
                    self.cell(&cell, at)?;
                    at = cell.next;
                }
                Err(Fault::More) => break,
                Err(Fault::Bad(at, reason)) => return Err(self.refused(at, reason)),
            }
        }
        self.offset += at as u64;
        Ok(at)
    }

    fn end(&mut self, window: &str) -> Result<(), Refused> {
        self.last = true;
        let read = self.read(window, 0)?;
        if read < window.len() {
            return Err(self.refused(0, Reason::Cut));
        }
        if self.in_header { Err(self.refused(0, Reason::Empty)) } else { Ok(()) }
    }

    fn certain(&self) -> usize {
        if self.tally.filters() && !self.in_header { self.before } else { self.out.len() }
    }

    fn rebase(&mut self, taken: usize) {
        self.before = self.before.saturating_sub(taken);
    }

    fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    fn outcome(&self) -> Outcome {
        self.tally.outcome(&self.plan)
    }
}

impl Error {
    /// What the caller is told.
    pub fn public(&self) -> Text {
        match self.reason {
            Reason::TooManyRecords => super::too_many_records(),
            Reason::Shape => super::other_shape(),
            _ => Text::new("提供部门的应答不是规范的 CSV，无法逐项核对", "the provider's answer is not strict CSV and cannot be judged"),
        }
    }
}

/// For the log.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.reason {
            Reason::Empty => "no header row",
            Reason::Cut => "ends inside a quoted cell",
            Reason::Quote => "a quote that does not stand around a whole cell",
            Reason::Control => "a control character",
            Reason::DuplicateName => "two columns of one name",
            Reason::TooManyColumns => "too many columns",
            Reason::Ragged => "a row with more or fewer cells than the header",
            Reason::Shape => "the header names no item of the catalogue",
            Reason::TooManyRecords => "more records than the plan allows",
        };
        write!(f, "the csv content cannot be disclosed: {what}, at byte {}", self.at)
    }
}

impl std::error::Error for Error {}

impl Cell<'_> {
    /// What the cell stands for.
    fn text(&self) -> Cow<'_, str> {
        // The window is UTF-8 and cells end at ASCII, so nothing is lost here.
        let text = String::from_utf8_lossy(self.inner);
        if self.doubled { text.replace("\"\"", "\"").into() } else { text }
    }
}
