//! What an answer shows while it is rewritten: values in their forms, records, and which records may be shown at all.

use std::sync::Arc;

use super::compiled::Compiled;
use super::{Error, Form, Forms, Outcome, Regions, Shown};

/// Counts of one answer.
pub(super) struct Tally {
    /// By item and form.
    counts: Vec<Forms>,
    records: u64,
    max_records: u64,
    unfit: u64,
    dropped: u64,
    regions: Option<Box<dyn Regions>>,
    filters: bool,
    /// Records that are filtered and not at their end.
    open: Vec<Open>,
    /// What the open records have counted, to be taken back where one is dropped.
    log: Vec<(usize, Form)>,
}

struct Open {
    log: usize,
    records: u64,
    unfit: u64,
    /// Whether its region may be shown; none: it has not told its region.
    included: Option<bool>,
}

/// More records than the plan allows.
#[derive(Debug)]
pub(super) struct TooMany;

impl Tally {
    pub(super) fn new(plan: &Compiled, regions: Option<Box<dyn Regions>>) -> Self {
        Self {
            counts: vec![Forms::default(); plan.items.len()],
            records: 0,
            max_records: plan.max_records,
            unfit: 0,
            dropped: 0,
            filters: plan.filters || regions.is_some(),
            regions,
            open: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Whether each record is held until its region is known.
    pub(super) fn filters(&self) -> bool {
        self.filters
    }

    /// A value of an item was shown.
    #[inline]
    pub(super) fn shown(&mut self, item: usize, form: Form) {
        self.counts[item].add(form);
        if !self.open.is_empty() {
            self.log.push((item, form));
        }
    }

    /// A value became null because its form could not work on it.
    pub(super) fn unfit(&mut self) {
        self.unfit += 1;
    }

    /// A record begins. Where none is filtered it counts from here on.
    pub(super) fn begin(&mut self) -> Result<(), TooMany> {
        if !self.filters {
            return self.record();
        }
        self.open.push(Open { log: self.log.len(), records: self.records, unfit: self.unfit, included: None });
        Ok(())
    }

    /// A record begins of those that are not filtered, unless it is one too many; whether it does.
    pub(super) fn begin_if_room(&mut self) -> bool {
        let begins = !self.filters && self.records < self.max_records;
        self.records += u64::from(begins);
        begins
    }

    /// The innermost open record tells a region; none: something stands there that is no code.
    pub(super) fn region(&mut self, code: Option<&str>) -> Result<(), Error> {
        let Some(record) = self.open.last_mut() else { return Ok(()) };
        let included = match (code, &mut self.regions) {
            (Some(code), Some(regions)) => regions.include(code)?,
            _ => false,
        };
        record.included = Some(included && record.included != Some(false));
        Ok(())
    }

    /// The innermost open record ends; whether it stays.
    pub(super) fn end(&mut self) -> Result<bool, TooMany> {
        let Some(record) = self.open.pop() else { return Ok(true) };
        if record.included == Some(true) {
            if self.open.is_empty() {
                self.log.clear();
            }
            return self.record().map(|()| true);
        }
        for (item, form) in self.log.drain(record.log..) {
            self.counts[item].take_back(form);
        }
        self.records = record.records;
        self.unfit = record.unfit;
        self.dropped += 1;
        Ok(false)
    }

    fn record(&mut self) -> Result<(), TooMany> {
        self.records += 1;
        if self.records > self.max_records { Err(TooMany) } else { Ok(()) }
    }

    /// What was shown up to here. Of a record that is still open nothing was.
    pub(super) fn outcome(&self, plan: &Arc<Compiled>) -> Outcome {
        let mut counts = self.counts.clone();
        for (item, form) in &self.log {
            counts[*item].take_back(*form);
        }
        let items = Shown::counted(plan, counts);
        let (records, unfit) = self.open.first().map_or((self.records, self.unfit), |open| (open.records, open.unfit));
        Outcome { records, items, unfit, rows_dropped: self.dropped }
    }
}
