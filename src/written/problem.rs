//! Places in written files and what is wrong there.

use std::cell::RefCell;
use std::sync::Arc;

use super::did_you_mean;
use crate::lang::{Lang, Text};

/// A position in a written file; line and column count from 1, columns in characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as the reader knows it: relative to the control folder, or the configuration's own name.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A value with the place where it was written, for errors found later.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub place: Place,
}

/// One thing that is wrong in a file.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// Stable name of the kind of error, such as `unknown_key`.
    pub code: &'static str,
    /// What is wrong.
    pub message: Text,
    /// What would be right, where that can be told.
    pub help: Option<Text>,
}

impl Problem {
    /// `FILE:LINE:COLUMN: message`, as `kanhe check` prints it.
    pub fn line(&self, lang: Lang) -> String {
        let Place { file, line, column } = &self.place;
        let help = self.help.as_ref().map(|help| format!(" ({})", help.get(lang))).unwrap_or_default();
        format!("{file}:{line}:{column}: {}{help}", self.message.get(lang))
    }
}

/// All that was found wrong so far.
#[derive(Debug, Default)]
pub struct Problems {
    errors: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Problems {
    /// Adds an error.
    pub fn error(&self, place: &Place, code: &'static str, message: Text, help: Option<Text>) {
        self.errors.borrow_mut().push(Problem { place: place.clone(), code, message, help });
    }

    /// Adds a warning: the load goes on.
    pub fn warning(&self, place: &Place, code: &'static str, message: Text, help: Option<Text>) {
        self.warnings.borrow_mut().push(Problem { place: place.clone(), code, message, help });
    }

    /// Adds what was found elsewhere.
    pub fn add(&self, errors: Vec<Problem>, warnings: Vec<Problem>) {
        self.errors.borrow_mut().extend(errors);
        self.warnings.borrow_mut().extend(warnings);
    }

    /// A name that is not among the registered ones, told as what it should be: `("部门", "department")`.
    pub fn dangling<'k>(&self, written: &Placed<impl AsRef<str>>, (zh, en): (&str, &str), known: impl Iterator<Item = &'k Arc<str>>) {
        let text = written.value.as_ref();
        let message = Text::new(format!("{zh} `{text}` 未登记"), format!("{en} `{text}` is not registered"));
        self.error(&written.place, "dangling_reference", message, did_you_mean(text, known.map(|id| &**id)));
    }

    /// An id that the same file registers already.
    pub fn twice(&self, id: &str, place: &Place) {
        let message = Text::new(format!("标识 `{id}` 重复登记"), format!("`{id}` is registered twice"));
        self.error(place, "duplicate_id", message, None);
    }

    /// An id that is registered already, in `first`.
    pub fn known_from(&self, first: &str, (zh, en): (&str, &str), id: &str, place: &Place) {
        let message = Text::new(format!("{zh} `{id}` 重复登记，已见于 {first}"), format!("{en} `{id}` is already registered in {first}"));
        self.error(place, "duplicate_id", message, None);
    }

    /// Whether nothing was found that forbids loading.
    pub fn is_ok(&self) -> bool {
        self.errors.borrow().is_empty()
    }

    /// Errors, then warnings, each by place.
    pub fn into_parts(self) -> (Vec<Problem>, Vec<Problem>) {
        let sorted = |problems: RefCell<Vec<Problem>>| {
            let mut problems = problems.into_inner();
            problems.sort_by(|a, b| a.place.cmp(&b.place));
            problems
        };
        (sorted(self.errors), sorted(self.warnings))
    }
}

/// Where the lines of a text begin: found once, so that places in a file of a hundred thousand grants stay cheap.
#[derive(Debug)]
pub struct Lines(Vec<usize>);

impl Lines {
    /// Those of `text`.
    pub fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect())
    }

    /// Line and column of a byte offset.
    pub fn place(&self, file: &Arc<str>, text: &str, offset: usize) -> Place {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.0.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|line| self.0.get(line)).copied().unwrap_or(0);
        Place {
            file: file.clone(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(text[start..offset].chars().count() + 1).unwrap_or(u32::MAX),
        }
    }
}

/// Line and column of a byte offset in a text.
pub fn place_in(file: &Arc<str>, text: &str, offset: usize) -> Place {
    Lines::of(text).place(file, text, offset)
}
