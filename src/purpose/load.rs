//! Reads `scenarios/*.toml`, `grants/*.toml` and `calendar.toml`.

mod files;
mod grant;
mod overlap;
mod scenario;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::civil::Date;

use super::calendar::Calendar;
use super::{Purposes, ResourcePattern, Scenario};
use crate::catalogue::{Catalogue, Kind};
use crate::identity::parties::Parties;
use crate::lang::Text;
use crate::written::{Document, Problems, Table, Word, units};

const KINDS: [(&str, Kind); 3] = [("query", Kind::Query), ("verify", Kind::Verify), ("bulk", Kind::Bulk)];

pub(super) use files::Files;

/// The files that purposes are read from, each as its relative path and text.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'t, S> {
    /// `scenarios/*.toml`.
    pub scenarios: &'t [(S, S)],
    /// `grants/*.toml`.
    pub grants: &'t [(S, S)],
    /// `calendar.toml`.
    pub calendar: Option<(&'t str, &'t str)>,
    /// What grants are held against beside requesters and scenarios: departments, regions, classes and the catalogue.
    pub basis: &'t [(S, S)],
}

impl Purposes {
    /// Reads every scenario and grant, and the calendar where there is one. A grant file that is as it was `before`, with
    /// all that its grants are held against, is not read again.
    pub fn load<S: AsRef<str> + Sync>(
        texts: &Texts<'_, S>,
        parties: &Parties,
        catalogue: &Catalogue,
        before: Option<&Self>,
        problems: &Problems,
    ) -> Self {
        let mut read: HashMap<Arc<str>, Arc<Scenario>> = HashMap::new();
        for (file, text) in texts.scenarios {
            let document = Document::parse(file.as_ref(), text.as_ref(), problems);
            let Some(scenario) = scenario::read(document.root(problems), parties, catalogue) else { continue };
            if let Some(first) = read.get(&scenario.id) {
                problems.known_from(&first.place.file, ("场景", "scenario"), &scenario.id, &scenario.place);
                continue;
            }
            read.insert(scenario.id.clone(), Arc::new(scenario));
        }
        let reading = grant::Reading::new(parties, catalogue, &read);
        let basis = files::basis(parties, &read, texts.basis);
        let (files, grants) = files::read(texts.grants, &reading, basis, before.map(|before| &before.files), problems);
        let calendar = texts.calendar.map(|calendar| Calendar::load(calendar, problems));
        let purposes = Self { files, ..Self::new(read, grants, calendar) };
        overlap::report(&purposes.held, problems);
        purposes
    }
}

/// Reports a name that is not registered.
fn dangling<'k>(table: &Table<'_, '_>, written: Word<'_, '_>, kind: (&str, &str), known: impl Iterator<Item = &'k Arc<str>>) {
    table.problems().dangling(&written.placed::<String>(), kind, known);
}

/// A registered department's id, shared with its registration.
fn department(table: &Table<'_, '_>, written: Word<'_, '_>, parties: &Parties) -> Option<Arc<str>> {
    let known = parties.departments.get_key_value(written.text);
    if known.is_none() {
        dangling(table, written, ("部门", "department"), parties.departments.keys());
    }
    known.map(|(id, _)| id.clone())
}

/// One resource, or `PROVIDER.*` for all of a department's.
fn pattern(table: &Table<'_, '_>, written: Word<'_, '_>, parties: &Parties, catalogue: &Catalogue) -> Option<ResourcePattern> {
    if let Some(provider) = written.text.strip_suffix(".*") {
        return department(table, written.part(provider), parties).map(ResourcePattern::Provider);
    }
    let known = catalogue.resources.get_key_value(written.text);
    if known.is_none() {
        dangling(table, written, ("数据资源", "resource"), catalogue.resources.keys());
    }
    known.map(|(id, _)| ResourcePattern::One(id.clone()))
}

/// Kinds of operation: at least one.
fn kinds(table: &Table<'_, '_>) -> BTreeSet<Kind> {
    if !table.has("kinds") {
        table.missing("kinds");
    }
    let mut kinds = BTreeSet::new();
    let mut written = table.words("kinds").peekable();
    if written.peek().is_none() && table.has("kinds") {
        table.wrong_value("kinds", "不得为空", "must not be empty");
    }
    for word in written {
        match KINDS.iter().find(|(name, _)| *name == word.text) {
            Some((_, kind)) => {
                kinds.insert(*kind);
            }
            None => {
                let message = Text::new(format!("没有 `{}` 这类操作", word.text), format!("there is no kind `{}`", word.text));
                let help = Text::new("可用：`query`、`verify`、`bulk`", "there are `query`, `verify` and `bulk`");
                table.problems().error(&word.place(), "wrong_value", message, Some(help));
            }
        }
    }
    kinds
}

/// First and last day, both inclusive.
fn validity(table: &Table<'_, '_>) -> Option<(Date, Date)> {
    let (from, until) = (table.read("valid_from", units::date), table.read("valid_until", units::date));
    let (from, until) = (from?, until?);
    if until < from {
        table.wrong_value("valid_until", "不得早于 `valid_from`", "must not be before `valid_from`");
        return None;
    }
    Some((from, until))
}
