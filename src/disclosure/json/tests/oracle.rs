//! A slow and obvious rewriter over whole documents held as values, to hold the real one against: what it would show, or
//! none where the answer is to be refused. The fuzzers use it too, so it knows nothing that is not public.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::pseudonyms;
use super::{Form, JsonPath, Outcome, Plan, PlannedItem, Preset, Segment};

/// A step of a concrete place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Name(String),
    Element(usize),
}

/// Whether a path's segments lead exactly to a place.
pub fn leads(segments: &[Segment], place: &[Step]) -> bool {
    match (segments.split_first(), place.split_first()) {
        (None, None) => true,
        (Some((Segment::Name(name), rest)), Some((Step::Name(step), below))) => name == step && leads(rest, below),
        (Some((Segment::Elements, rest)), Some((Step::Element(_), below))) => leads(rest, below),
        (Some((Segment::Descendant(name), rest)), Some((step, below))) => {
            (matches!(step, Step::Name(step) if step == name) && leads(rest, below)) || leads(segments, below)
        }
        _ => false,
    }
}

pub fn children(value: &Value) -> Vec<(Step, &Value)> {
    match value {
        Value::Object(members) => members.iter().map(|(name, member)| (Step::Name(name.clone()), member)).collect(),
        Value::Array(elements) => elements.iter().enumerate().map(|(at, element)| (Step::Element(at), element)).collect(),
        _ => Vec::new(),
    }
}

/// Whether serde_json spells some number of the text otherwise: it writes a sign before each exponent, and a small `e`.
/// What is made of such a number's text can then not be compared.
pub fn is_respelt(text: &str) -> bool {
    let bytes = text.as_bytes();
    let capital = bytes.windows(2).any(|two| two[0].is_ascii_digit() && two[1] == b'E');
    capital || bytes.windows(3).any(|three| three[0].is_ascii_digit() && three[1] == b'e' && three[2].is_ascii_digit())
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub records: u64,
    pub dropped: u64,
    pub unfit: u64,
    pub items: BTreeMap<(String, &'static str), u64>,
}

impl Counts {
    /// What the real one counted.
    pub fn of(outcome: &Outcome) -> Self {
        let forms = |(name, forms): (_, &super::Forms)| {
            let name: &str = name;
            forms.iter().map(|(form, count)| ((name.to_owned(), form), count)).collect::<Vec<_>>()
        };
        let items = outcome.items.iter().flat_map(forms).collect();
        Self { records: outcome.records, dropped: outcome.rows_dropped, unfit: outcome.unfit, items }
    }

    fn shown(&mut self, item: &PlannedItem, form: Form) {
        *self.items.entry((item.name.to_string(), form.name())).or_default() += 1;
    }
}

/// Which regions are shown: by code; none: it cannot be decided.
pub type Include<'a> = &'a dyn Fn(&str) -> Option<bool>;

/// What a JSON answer shows.
pub fn json(plan: &Plan, include: Include<'_>, text: &str) -> Option<(Value, Counts)> {
    let mut counts = Counts::default();
    let shown = document(plan, include, text, &mut counts, true)?;
    Some((shown.unwrap_or(Value::Null), counts))
}

/// What an NDJSON answer shows, line by line.
pub fn lines(plan: &Plan, include: Include<'_>, text: &str) -> Option<(Vec<Value>, Counts)> {
    let (plan, mut counts, mut shown) = (each(plan), Counts::default(), Vec::new());
    for line in text.split('\n').filter(|line| !line.trim_matches([' ', '\t', '\r']).is_empty()) {
        shown.extend(document(&plan, include, line, &mut counts, false)?);
    }
    Some((shown, counts))
}

/// What a CSV answer shows, header included.
pub fn table(plan: &Plan, include: Include<'_>, text: &str) -> Option<(Vec<Vec<String>>, Counts)> {
    let of_region = |item: &&PlannedItem| plan.region.as_deref().is_some_and(|region| item.paths.iter().any(|path| region.contains(path)));
    let bearer = plan.items.iter().find(of_region).map(|item| item.name.clone());
    let (plan, mut counts) = (each(plan), Counts::default());
    let mut rows = cells(text.strip_prefix('\u{feff}').unwrap_or(text))?.into_iter();
    let header = rows.next()?;
    if header.iter().collect::<HashSet<_>>().len() < header.len() {
        return None;
    }
    let named = |path: &JsonPath, column: &str| matches!(&path.0[..], [Segment::Name(name) | Segment::Descendant(name)] if name == column);
    let items: Vec<_> = header
        .iter()
        .map(|column| {
            narrowest(plan.items.iter().filter(|item| &*item.name == column || item.paths.iter().any(|path| named(path, column))))
        })
        .collect();
    if items.iter().all(Option::is_none) {
        return None;
    }
    let region = plan.region.as_deref().map(|region| {
        let bears = |column: &String| region.iter().any(|path| named(path, column)) || bearer.as_deref() == Some(column);
        header.iter().map(bears).collect::<Vec<_>>()
    });
    let shows = |at: usize| items[at].is_some_and(|item| rank(item) < u8::MAX);
    let mut shown = vec![header.iter().enumerate().filter(|(at, _)| shows(*at)).map(|(_, name)| name.clone()).collect::<Vec<_>>()];
    for row in rows {
        if row.len() != header.len() {
            return None;
        }
        if let Some(region) = &region {
            let codes = row
                .iter()
                .zip(region)
                .filter(|(_, bears)| **bears)
                .map(|(code, _)| if code.is_empty() { Some(false) } else { include(code) });
            let codes = codes.collect::<Option<Vec<_>>>()?;
            if codes.is_empty() || codes.contains(&false) {
                counts.dropped += 1;
                continue;
            }
        }
        counts.records += 1;
        let mut shown_row = Vec::new();
        for (at, cell) in row.iter().enumerate().filter(|(at, _)| shows(*at)) {
            let Some(item) = items[at] else { continue };
            shown_row.push(match cell.as_str() {
                "" if item.form != Some(Form::Reveal) => String::new(),
                cell => scalar(item, &Value::String(cell.to_owned()), &mut counts).as_str().unwrap_or_default().to_owned(),
            });
        }
        shown.push(shown_row);
    }
    shown.retain(|row| !row.is_empty());
    (counts.records <= plan.max_records).then_some((shown, counts))
}

/// The cells of a table, read character by character.
pub fn cells(text: &str) -> Option<Vec<Vec<String>>> {
    let (mut rows, mut row, mut rest) = (Vec::new(), Vec::new(), text);
    while !rest.is_empty() || !row.is_empty() {
        let mut cell = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted;
            loop {
                let (inner, behind) = rest.split_once('"')?;
                cell.push_str(inner);
                rest = behind;
                let Some(doubled) = rest.strip_prefix('"') else { break };
                cell.push('"');
                rest = doubled;
            }
            if cell.contains(|c: char| c.is_ascii_control() && !"\t\r\n".contains(c)) {
                return None;
            }
        } else {
            let end = rest.find([',', '\r', '\n']).unwrap_or(rest.len());
            cell.push_str(&rest[..end]);
            rest = &rest[end..];
            if cell.contains(|c: char| c == '"' || (c.is_ascii_control() && c != '\t')) {
                return None;
            }
        }
        row.push(cell);
        if let Some(behind) = rest.strip_prefix(',') {
            rest = behind;
            if rest.is_empty() {
                row.push(String::new());
                rows.push(std::mem::take(&mut row));
            }
        } else if let Some(behind) = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')) {
            rest = behind;
            rows.push(std::mem::take(&mut row));
        } else if rest.is_empty() {
            rows.push(std::mem::take(&mut row));
        } else {
            return None;
        }
    }
    Some(rows)
}

/// Of lines and rows `$[*]` is each, as `$` is.
fn each(plan: &Plan) -> Plan {
    let path = |path: &JsonPath| JsonPath(path.0.strip_prefix(&[Segment::Elements]).unwrap_or(&path.0).to_vec());
    let mut plan = plan.clone();
    plan.items.iter_mut().for_each(|item| item.paths = item.paths.iter().map(path).collect());
    plan.records = path(&plan.records);
    plan.region = plan.region.map(|region| region.iter().map(path).collect());
    plan
}

/// One document; none within: it was dropped, and leaves nothing.
fn document(plan: &Plan, include: Include<'_>, text: &str, counts: &mut Counts, leaves_something: bool) -> Option<Option<Value>> {
    let value: Value = serde_json::from_str(text).ok()?;
    serde_json::from_str::<NoDuplicates>(text).ok()?;
    let mut oracle = Oracle { plan, include, counts: std::mem::take(counts), dropped: BTreeSet::new(), refused: false };
    oracle.records(&value, &mut Vec::new(), &mut Vec::new());
    let shown = oracle.show(&value, &mut Vec::new(), false);
    let dropped = oracle.dropped.contains(&Vec::new());
    *counts = oracle.counts;
    if oracle.refused {
        return None;
    }
    if shown.is_some() {
        return Some(shown);
    }
    let leads = |object: bool| {
        let region = plan.region.as_deref().into_iter().flatten();
        let paths = plan.items.iter().flat_map(|item| &item.paths).chain([&plan.records]).chain(region);
        paths.filter_map(|path| path.0.first()).any(|first| match first {
            Segment::Name(_) => object,
            Segment::Elements => !object,
            Segment::Descendant(_) => true,
        })
    };
    let is_item =
        narrowest(plan.items.iter().filter(|item| item.paths.iter().any(JsonPath::is_root))).is_some_and(|item| rank(item) < u8::MAX);
    let leads_nowhere = (value.is_object() && !leads(true)) || (value.is_array() && !leads(false));
    if dropped && !leaves_something && (is_item || !leads_nowhere) {
        return Some(None);
    }
    match value {
        Value::Null => Some(Some(Value::Null)),
        Value::Object(_) if leads(true) => Some(Some(Value::Object(Map::new()))),
        Value::Array(_) if leads(false) => Some(Some(Value::Array(Vec::new()))),
        _ => None,
    }
}

struct Oracle<'a> {
    plan: &'a Plan,
    include: Include<'a>,
    counts: Counts,
    /// Where records stand that are not shown.
    dropped: BTreeSet<Vec<Step>>,
    refused: bool,
}

impl Oracle<'_> {
    /// Counts records, and finds those to be dropped. `open` says of those around whether their regions may be shown.
    fn records(&mut self, value: &Value, place: &mut Vec<Step>, open: &mut Vec<Option<bool>>) {
        let (is_record, filters) = (leads(&self.plan.records.0, place), self.plan.region.is_some());
        let before = self.counts.records;
        if is_record {
            open.push(None);
            if !filters {
                self.record();
            }
        }
        let tells = self.plan.region.as_deref().is_some_and(|region| region.iter().any(|path| leads(&path.0, place)));
        if let Some(record) = open.last_mut().filter(|_| tells) {
            let included = match value {
                Value::String(code) => (self.include)(code).unwrap_or_else(|| {
                    self.refused = true;
                    false
                }),
                _ => false,
            };
            *record = Some(included && *record != Some(false));
        }
        for (step, child) in children(value) {
            place.push(step);
            self.records(child, place, open);
            place.pop();
        }
        if is_record && (open.pop() != Some(Some(true))) && filters {
            self.counts.records = before;
            self.counts.dropped += 1;
            self.dropped.insert(place.clone());
        } else if is_record && filters {
            self.record();
        }
    }

    fn record(&mut self) {
        self.counts.records += 1;
        self.refused |= self.counts.records > self.plan.max_records;
    }

    fn show(&mut self, value: &Value, place: &mut Vec<Step>, copied: bool) -> Option<Value> {
        if self.dropped.contains(place) {
            return None;
        }
        let plan = self.plan;
        let Some(item) = narrowest(plan.items.iter().filter(|item| item.paths.iter().any(|path| leads(&path.0, place)))) else {
            return self.around(value, place, copied);
        };
        match item.form {
            None | Some(Form::Compare) => None,
            Some(Form::Reveal) => {
                self.counts.shown(item, Form::Reveal);
                self.around(value, place, true)
            }
            Some(_) => Some(scalar(item, value, &mut self.counts)),
        }
    }

    /// What stays of a value that is no item, or one that is shown as it is.
    fn around(&mut self, value: &Value, place: &mut Vec<Step>, copied: bool) -> Option<Value> {
        let mut kept = Vec::new();
        for (step, child) in children(value) {
            place.push(step.clone());
            if let Some(child) = self.show(child, place, copied) {
                kept.push((step, child));
            }
            place.pop();
        }
        let stays = copied || !kept.is_empty() || self.on_the_way(place, value.is_object());
        let named = |(step, child)| match step {
            Step::Name(name) => (name, child),
            Step::Element(at) => (at.to_string(), child),
        };
        match value {
            Value::Object(_) => stays.then(|| Value::Object(kept.into_iter().map(named).collect())),
            Value::Array(_) => stays.then(|| Value::Array(kept.into_iter().map(|(_, child)| child).collect())),
            scalar => copied.then(|| scalar.clone()),
        }
    }

    /// Whether a shown item's path goes through this place by steps that it names.
    fn on_the_way(&self, place: &[Step], object: bool) -> bool {
        let hidden: Vec<_> = self.plan.items.iter().filter(|item| rank(item) == u8::MAX).flat_map(|item| &item.paths).collect();
        self.plan.items.iter().flat_map(|item| &item.paths).filter(|path| !hidden.contains(path)).any(|path| {
            (0..path.0.len()).any(|at| {
                let fits = match path.0[at] {
                    Segment::Name(_) => object,
                    Segment::Elements => !object,
                    Segment::Descendant(_) => true,
                };
                fits && leads(&path.0[..at], place)
            })
        })
    }
}

/// A value in its item's form.
fn scalar(item: &PlannedItem, value: &Value, counts: &mut Counts) -> Value {
    let text = match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let form = item.form.unwrap_or(Form::Compare);
    let changed = match form {
        Form::Reveal => Some(value.clone()),
        Form::Mask => text.and_then(|text| item.preset.as_ref()?.apply(&text)).map(Value::String),
        Form::Pseudonymise => text.and_then(|text| pseudonyms().like(&text, item.joinable, item.likeness)).map(Value::String),
        Form::Compare => None,
    };
    if changed.is_some() || (item.preset == Some(Preset::Null) && form == Form::Mask && !value.is_null()) {
        counts.shown(item, form);
    } else if !value.is_null() {
        counts.unfit += 1;
    }
    changed.unwrap_or(Value::Null)
}

pub fn rank(item: &PlannedItem) -> u8 {
    item.form.filter(|form| *form != Form::Compare).map_or(u8::MAX, |form| form as u8)
}

fn narrowest<'p>(items: impl Iterator<Item = &'p PlannedItem>) -> Option<&'p PlannedItem> {
    items.reduce(|a, b| if rank(b) > rank(a) { b } else { a })
}

/// Reads like serde_json and refuses a name that stands twice.
pub struct NoDuplicates;

impl<'de> Deserialize<'de> for NoDuplicates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NoDuplicates)
    }
}

impl<'de> Visitor<'de> for NoDuplicates {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("json")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self, A::Error> {
        while elements.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some((name, _)) = members.next_entry::<String, Self>()? {
            if !seen.insert(name) {
                return Err(serde::de::Error::custom("twice"));
            }
        }
        Ok(self)
    }
}
