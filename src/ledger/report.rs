//! Reports: granted shares with what became of them, added up by whatever columns are asked for. From the register as far
//! as it goes, from the log's files for the rest.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use jiff::Timestamp;

use super::entry::{Effect, Gist};
use super::query::{self, Filter, Judged, Record};
use super::recover::is_granted;
use super::register::{Broken, Fact, Reader, Row, pairs};

/// A time from and a time before which shares count; absent: without end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Period {
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// What shares are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the entry's own members")]
pub enum By {
    Provider,
    Department,
    Requester,
    Resource,
    Scenario,
    Operation,
    Grant,
}

impl By {
    /// The member's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Department => "department",
            Self::Requester => "requester",
            Self::Resource => "resource",
            Self::Scenario => "scenario",
            Self::Operation => "operation",
            Self::Grant => "grant",
        }
    }

    fn of(self, fact: &Fact) -> u32 {
        match self {
            Self::Provider => fact.provider,
            Self::Department => fact.department,
            Self::Requester => fact.requester,
            Self::Resource => fact.resource,
            Self::Scenario => fact.scenario,
            Self::Operation => fact.operation,
            Self::Grant => fact.grant,
        }
    }
}

/// A group of shares, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Granted shares.
    pub shares: u64,
    /// By how they ended: `complete`, `cut`, `failed`, `unknown`, or `open` where they have not.
    pub outcomes: BTreeMap<String, u64>,
    /// Records disclosed.
    pub records: u64,
    /// Bytes handed over.
    pub bytes: u64,
    /// For each item and form that the plans of shares disclosed, in how many shares. A share that failed discloses nothing.
    pub items: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Groups by the values of their columns, in order.
pub type Groups = BTreeMap<Vec<String>, Totals>;

/// Texts by number, as facts name them.
#[derive(Default)]
struct Texts {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Texts {
    fn new(mut texts: Vec<String>) -> Self {
        if texts.is_empty() {
            // Zero means absent.
            texts.push(String::new());
        }
        let numbers = texts.iter().enumerate().skip(1).filter_map(|(n, text)| Some((text.clone(), u32::try_from(n).ok()?)));
        Self { numbers: numbers.collect(), texts }
    }

    fn number(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text else { return 0 };
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(0);
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("", String::as_str)
    }
}

/// Gathers facts and knows what their numbers mean.
struct Gathering {
    words: Texts,
    shapes: Texts,
    period: Period,
    /// Granted, not yet settled.
    open: HashMap<u64, Fact>,
}

impl Gathering {
    fn inside(&self, time: Timestamp) -> bool {
        self.period.since.is_none_or(|since| time >= since) && !self.is_over(time)
    }

    fn is_over(&self, time: Timestamp) -> bool {
        self.period.until.is_some_and(|until| time >= until)
    }

    /// What the register knows, and the index up to which it knows.
    fn take_registered(&mut self, reader: &Reader, each: &mut impl FnMut(&Fact, &Self)) -> Result<u64, Broken> {
        (self.words, self.shapes) = (Texts::new(reader.texts("words")?), Texts::new(reader.texts("shapes")?));
        let from = self.period.since.map_or(Ok(0), |since| reader.first_at(since))?;
        let until = self.period.until.map_or(Ok(reader.end()), |until| reader.first_at(until))?;
        let (mut settled, mut open) = (Vec::new(), Vec::new());
        reader.facts(from, until, |fact, is_settled| if is_settled { settled.push(fact) } else { open.push(fact) })?;
        settled.iter().for_each(|fact| each(fact, self));
        self.open = open.into_iter().map(|fact| (fact.index, fact)).collect();
        Ok(reader.end())
    }

    fn take_entry(&mut self, record: &Record, each: &mut impl FnMut(&Fact, &Self)) -> ControlFlow<()> {
        let row = Row::read(record.index, record.leaf, &record.entry);
        let members = &row.members;
        if let Some(mut fact) = members.receipt_of.and_then(|granted| self.open.remove(&granted)) {
            fact.outcome = self.words.number(members.outcome.as_deref());
            (fact.records, fact.bytes) = (members.records.unwrap_or(0), members.bytes.unwrap_or(0));
            each(&fact, self);
        } else if members.kind == "share.granted" && self.inside(row.time) {
            let fact = Fact {
                index: row.index,
                requester: self.words.number(members.requester.as_deref()),
                department: self.words.number(members.department.as_deref()),
                provider: self.words.number(members.provider.as_deref()),
                resource: self.words.number(members.resource.as_deref()),
                operation: self.words.number(members.operation.as_deref()),
                scenario: self.words.number(members.scenario.as_deref()),
                grant: self.words.number(members.grant.as_deref()),
                shape: self.shapes.number(members.shape().as_deref()),
                ..Fact::default()
            };
            self.open.insert(row.index, fact);
        }
        if self.is_over(row.time) && self.open.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Gives `each` every share of the period once, with its settlement if there is one by now.
    fn gather(&mut self, folder: &Path, reader: Option<&Reader>, mut each: impl FnMut(&Fact, &Self)) -> io::Result<Option<Broken>> {
        let known = reader.map(|reader| self.take_registered(reader, &mut each));
        let (known, broken) = match known.transpose() {
            Ok(known) => (known, None),
            Err(broken) => (None, Some(broken)),
        };
        let from = match (known, self.period.since) {
            (Some(end), _) => end,
            (None, None) => 0,
            (None, Some(since)) => query::first_at(folder, since)?,
        };
        query::read(folder, from, |record| self.take_entry(&record, &mut each))?;
        let open = std::mem::take(&mut self.open);
        open.values().for_each(|fact| each(fact, self));
        Ok(broken)
    }
}

/// Adds the shares of a period up by `columns`; `only` names values that a share must have.
pub fn group(
    folder: &Path,
    reader: Option<&Reader>,
    period: Period,
    only: &[(By, String)],
    columns: &[By],
) -> io::Result<(Groups, Option<Broken>)> {
    #[derive(Default)]
    struct Sum {
        shares: u64,
        outcomes: HashMap<u32, u64>,
        records: u64,
        bytes: u64,
        shapes: HashMap<u32, u64>,
    }
    let mut sums: HashMap<Vec<u32>, Sum> = HashMap::new();
    let mut gathering = Gathering { words: Texts::new(Vec::new()), shapes: Texts::new(Vec::new()), period, open: HashMap::new() };
    let broken = gathering.gather(folder, reader, |fact, texts| {
        if only.iter().any(|(by, wanted)| texts.words.text(by.of(fact)) != wanted) {
            return;
        }
        let key: Vec<u32> = columns.iter().map(|by| by.of(fact)).collect();
        let sum = sums.entry(key).or_default();
        sum.shares += 1;
        sum.records += fact.records;
        sum.bytes += fact.bytes;
        *sum.outcomes.entry(fact.outcome).or_default() += 1;
        if texts.words.text(fact.outcome) != "failed" {
            *sum.shapes.entry(fact.shape).or_default() += 1;
        }
    })?;
    let mut groups = Groups::new();
    for (key, sum) in sums {
        let key = key.iter().map(|number| gathering.words.text(*number).to_owned()).collect();
        let totals: &mut Totals = groups.entry(key).or_default();
        (totals.shares, totals.records, totals.bytes) = (sum.shares, sum.records, sum.bytes);
        for (outcome, count) in sum.outcomes {
            let outcome = if outcome == 0 { "open" } else { gathering.words.text(outcome) };
            totals.outcomes.insert(outcome.to_owned(), count);
        }
        for (shape, count) in sum.shapes {
            for (item, form) in pairs(gathering.shapes.text(shape)) {
                *totals.items.entry(item.to_owned()).or_default().entry(form.to_owned()).or_default() += count;
            }
        }
    }
    Ok((groups, broken))
}

/// The grants among `ids` under which a share was granted in the period.
pub fn used_grants(
    folder: &Path,
    reader: Option<&Reader>,
    period: Period,
    ids: &HashSet<String>,
) -> io::Result<(HashSet<String>, Option<Broken>)> {
    let registered = reader.map(|reader| {
        let from = period.since.map_or(Ok(0), |since| reader.first_at(since))?;
        let until = period.until.map_or(Ok(reader.end()), |until| reader.first_at(until))?;
        let used = reader.used_grants(ids, from, until)?;
        Ok((used, reader.end()))
    });
    let (known, broken) = match registered.transpose() {
        Ok(known) => (known, None),
        Err(broken) => (None, Some(broken)),
    };
    let (mut used, from) = known.unwrap_or_default();
    let filter =
        Filter { members: vec![("kind", "share.granted".to_owned())], since: period.since, until: period.until, ..Filter::default() };
    query::find(folder, None, &filter, from, |record| {
        let grant = Gist::read(&record.entry).and_then(|gist| gist.grant.map(std::borrow::Cow::into_owned));
        used.extend(grant.filter(|grant| ids.contains(grant)));
        if used.len() == ids.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok((used, broken))
}

/// Gives `each` every granted share that fits, with its settlement if there is one by now, in the order of the log, until
/// it breaks. Reads the period's files from end to end.
pub fn shares(folder: &Path, filter: &Filter, mut each: impl FnMut(&Record, Option<&Record>) -> ControlFlow<()>) -> io::Result<()> {
    let mut waiting: VecDeque<(Record, Option<Record>)> = VecDeque::new();
    let from = filter.since.map_or(Ok(0), |since| query::first_at(folder, since))?;
    let mut broke = false;
    query::read(folder, from, |record| {
        let Some(gist) = Gist::read(&record.entry) else { return ControlFlow::Continue(()) };
        let late = filter.judge(&record.entry) == Judged::TooLate;
        if let Effect::Closes(granted) = gist.effect() {
            if let Ok(at) = waiting.binary_search_by_key(&granted, |(granted, _)| granted.index) {
                waiting[at].1 = Some(record);
            }
            while let Some((granted, settled)) = waiting.pop_front_if(|(_, settled)| settled.is_some()) {
                if each(&granted, settled.as_ref()).is_break() {
                    broke = true;
                    return ControlFlow::Break(());
                }
            }
        } else if is_granted(&gist) && filter.fits(&record.entry) {
            waiting.push_back((record, None));
        }
        if late && waiting.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if !broke {
        let _ = waiting.iter().try_for_each(|(granted, settled)| each(granted, settled.as_ref()));
    }
    Ok(())
}
