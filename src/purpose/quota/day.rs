//! One grant's day at this gateway: what it holds, what of that is used, and what running answers may still give back.

use std::time::{Duration, Instant};

use jiff::civil::Date;

use crate::ledger::register::Portion;
use crate::purpose::Grant;
use crate::sys;

/// How long nobody asks again after nothing was left.
const DRY: Duration = Duration::from_secs(1);

/// A grant's limits of a day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Calls and records; none: not counted.
    pub(super) days: [Option<u64>; 2],
    /// This gateway counts alone: it holds the whole day.
    pub(super) alone: bool,
}

impl Limits {
    pub(super) fn of(grant: &Grant, alone: bool) -> Self {
        Self { days: [grant.quota.calls_per_day, grant.quota.records_per_day], alone }
    }
}

/// The newest day, and the one before it: calls that came before midnight end after it.
#[derive(Debug, Default)]
pub(super) struct Days {
    newest: Option<Day>,
    before: Option<Day>,
}

/// A day's calls and records.
#[derive(Debug)]
pub(super) struct Day {
    pub(super) date: Date,
    calls: Account,
    records: Account,
    /// The next portion is on its way.
    asked: bool,
    /// When nothing was left for as much as this.
    dry: Option<(Instant, Portion)>,
    /// What was last said to be unused.
    told: Option<Portion>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Given to this gateway.
    held: u64,
    used: u64,
    /// The part of `used` that running answers may give back.
    open: u64,
    /// The portion that was given last.
    portion: u64,
}

impl Days {
    /// The day's account. A day before all that are known is taken for the newest: a clock that was set back opens nothing.
    pub(super) fn on(&mut self, date: Date) -> &mut Day {
        self.begin(date);
        match &mut self.before {
            Some(before) if before.date == date => before,
            _ => self.newest.get_or_insert_with(|| Day::new(date)),
        }
    }

    /// The day's account, unless it is over and forgotten.
    pub(super) fn of(&mut self, date: Date) -> Option<&mut Day> {
        self.begin(date);
        [&mut self.newest, &mut self.before].into_iter().flatten().find(|day| day.date == date)
    }

    fn begin(&mut self, date: Date) {
        if self.newest.as_ref().is_none_or(|newest| newest.date < date) {
            self.before = self.newest.replace(Day::new(date));
        }
    }

    pub(super) fn since(&self, date: Date) -> impl Iterator<Item = Date> {
        [&self.newest, &self.before].into_iter().flatten().map(|day| day.date).filter(move |known| *known >= date)
    }
}

impl Account {
    fn free(&self, limit: Option<u64>, alone: bool) -> u64 {
        // A lower limit that came in force meanwhile holds for what this gateway has, too.
        limit.map_or(u64::MAX, |limit| if alone { limit } else { self.held.min(limit) }.saturating_sub(self.used))
    }

    fn unused(&self) -> u64 {
        self.held.saturating_sub(self.used)
    }

    fn is_low(&self, limit: Option<u64>) -> bool {
        limit.is_some() && self.unused().saturating_mul(2) <= self.portion
    }

    fn hold(&mut self, held: u64) {
        if held > self.held {
            self.portion = (held - self.held).min(held.saturating_sub(self.used));
        }
        self.held = held;
    }
}

impl Day {
    fn new(date: Date) -> Self {
        Self { date, calls: Account::default(), records: Account::default(), asked: false, dry: None, told: None }
    }

    /// Whether there is so much.
    pub(super) fn has(&self, limits: Limits, wanted: Portion) -> bool {
        let [calls, records] = limits.days;
        self.calls.free(calls, limits.alone) >= wanted.calls && self.records.free(records, limits.alone) >= wanted.records
    }

    /// Takes so much, which is there; whether it is time for the next portion.
    pub(super) fn take(&mut self, limits: Limits, taken: Portion) -> bool {
        self.calls.used += taken.calls;
        self.records.used += taken.records;
        self.records.open += taken.records;
        let [calls, records] = limits.days;
        let low = !limits.alone && !self.asked && (self.calls.is_low(calls) || self.records.is_low(records));
        let low = low && !self.is_dry(Portion { calls: u64::MAX, records: u64::MAX });
        self.asked |= low;
        low
    }

    /// The call was none.
    pub(super) fn undo(&mut self, most: u64) {
        self.calls.used = self.calls.used.saturating_sub(1);
        self.shown(most, 0);
    }

    /// The answer showed so many of the records that it might have.
    pub(super) fn shown(&mut self, most: u64, shown: u64) {
        self.records.open = self.records.open.saturating_sub(most);
        self.records.used = self.records.used.saturating_sub(most.saturating_sub(shown));
    }

    pub(super) fn is_open(&self) -> bool {
        self.records.open > 0
    }

    pub(super) fn restore(&mut self, used: Portion) {
        (self.calls.used, self.records.used) = (used.calls, used.records);
    }

    /// Nothing was left for as much as `wanted`.
    pub(super) fn dry(&mut self, wanted: Portion) {
        self.dry = Some((sys::instant(), wanted));
    }

    /// Whether nothing was left for as much as this a moment ago.
    pub(super) fn is_dry(&self, wanted: Portion) -> bool {
        self.dry.is_some_and(|(since, least)| least.calls <= wanted.calls && least.records <= wanted.records && since.elapsed() < DRY)
    }

    /// What this gateway holds, never less than what it used; and what of it is unused.
    pub(super) fn held(&mut self) -> (Portion, Portion) {
        let unused = Portion { calls: self.calls.unused(), records: self.records.unused() };
        self.told = Some(unused);
        (Portion { calls: self.calls.held.max(self.calls.used), records: self.records.held.max(self.records.used) }, unused)
    }

    pub(super) fn hold(&mut self, held: Portion) {
        let before = (self.calls.held, self.records.held);
        self.calls.hold(held.calls);
        self.records.hold(held.records);
        // Where the next portion was nothing, the one after it is not asked for at once.
        if self.asked && before == (held.calls, held.records) {
            self.dry(Portion { calls: u64::MAX, records: u64::MAX });
        }
        self.asked = false;
    }

    pub(super) fn give_half(&mut self) -> Option<(Portion, Portion)> {
        let before = self.told;
        for account in [&mut self.calls, &mut self.records] {
            account.held -= account.unused().div_ceil(2);
        }
        let now = self.held();
        // Whoever never held anything has nothing to say.
        (before.unwrap_or_default() != now.1 || (before.is_none() && now.0 != Portion::default())).then_some(now)
    }

    pub(super) fn give_all(&mut self) -> Portion {
        for account in [&mut self.calls, &mut self.records] {
            account.held -= account.unused();
        }
        self.held().0
    }
}
