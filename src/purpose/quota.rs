//! What grants have been used for: calls within a time, calls and records within a day. Kept across reloads, by the
//! grant's id. Where several gateways share a register, a day's calls and records are used up by *portions* that all of
//! them draw from one book: what was given to one is given to no other. Without one, each gateway counts alone.

mod day;
mod wish;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, ZonedDateTime};
use tokio::sync::oneshot;

pub use wish::{Message, Told, Wish};

use super::Grant;
use crate::lang::Text;
use crate::ledger::register::Portion;
use crate::sys;
use crate::written::units::Rate;
use day::{Day, Days, Limits};

/// Locks are spread so that calls under different grants rarely meet at one.
const SHARDS: usize = 64;
/// How long a call waits for a portion.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often it tries where others were faster each time.
const TRIES: usize = 16;
/// When more may be there although there is nothing now.
const SOON: Duration = Duration::from_secs(1);

/// All use of grants. Holds no more than one small record for each grant with a quota that was ever used.
#[derive(Debug)]
pub struct Quotas {
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<Box<str>, Used>>>,
    /// Who draws portions; none: this gateway counts alone.
    desk: Option<mpsc::Sender<Message>>,
}

/// A grant's quota does not allow another call now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// When it will.
    pub retry_after: Duration,
    /// Which limit was met.
    pub what: Text,
}

impl std::fmt::Display for Exceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.what.fmt(f)
    }
}

impl std::error::Error for Exceeded {}

/// Why a call was not counted, and so is not let pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The quota is used up.
    Exceeded(Exceeded),
    /// This gateway holds nothing, and the book that all gateways share cannot be asked.
    Unavailable,
}

impl From<Exceeded> for Refused {
    fn from(exceeded: Exceeded) -> Self {
        Self::Exceeded(exceeded)
    }
}

/// What one grant was used for.
#[derive(Debug, Default)]
struct Used {
    /// When the last call's share of the rate is used up, in nanoseconds since the epoch.
    until: i128,
    days: Days,
}

/// A call that was counted. Dropped before it is recorded, it was none.
#[must_use]
#[derive(Debug)]
pub struct Taken(Option<Spent>);

/// What a recorded share uses of its day.
#[must_use]
#[derive(Debug)]
pub struct Spent {
    quotas: Arc<Quotas>,
    grant: Arc<str>,
    day: Date,
    /// Records that its answer may hold.
    most: u64,
}

impl Taken {
    /// The share is on record: the call counts. None: nothing of it comes back, whatever its answer shows.
    pub fn recorded(mut self) -> Option<Box<Spent>> {
        self.0.take().filter(|spent| spent.most > 0).map(Box::new)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(Spent { quotas, grant, day, most }) = self.0.take() {
            quotas.with(&grant, |used| used.days.of(day).map(|day| day.undo(most)));
        }
    }
}

impl Spent {
    /// The answer ended and showed so many records; none: nobody knows how many, and all that it might have count.
    pub fn shown(self, records: Option<u64>) {
        let shown = records.unwrap_or(self.most);
        self.quotas.with(&self.grant, |used| used.days.of(self.day).map(|day| day.shown(self.most, shown)));
    }
}

/// How taking went under the lock.
enum Tried {
    /// Taken; and whether it is time to draw the next portion.
    Taken { day: Date, low: bool },
    /// This gateway holds too little.
    Lacking { day: Date },
}

impl Default for Quotas {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect(), desk: None }
    }
}

impl Quotas {
    /// Days are used up by portions that whoever reads `desk` draws.
    pub fn shared(desk: mpsc::Sender<Message>) -> Self {
        Self { desk: Some(desk), ..Self::default() }
    }

    /// Counts one call that may show up to `most` records, which is asked where a grant counts them, or says which limit it
    /// meets; a call that is not let pass is not counted. Waits only where this gateway holds too little of the day. None: the grant has no quota.
    pub async fn take(
        self: &Arc<Self>,
        grant: &Grant,
        most: impl FnOnce() -> u64,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<Option<Taken>, Refused> {
        let quota = grant.quota;
        if quota.rate.is_none() && quota.calls_per_day.is_none() && quota.records_per_day.is_none() {
            return Ok(None);
        }
        let most = quota.records_per_day.map_or(0, |_| most());
        let today = now.to_zoned_datetime(zone.clone());
        for _ in 0..TRIES {
            match self.attempt(grant, most, now, &today)? {
                Tried::Taken { day, low } => {
                    if low {
                        self.wish(grant, day, Portion::default(), None);
                    }
                    let spent = Spent { quotas: self.clone(), grant: grant.id.clone(), day, most };
                    return Ok(Some(Taken(Some(spent))));
                }
                // Apart, so that other calls carry no room for it.
                Tried::Lacking { day } => Box::pin(self.drawn(grant, day, most, &today)).await?,
            }
        }
        Err(self.exceeded(grant, most, &today, Some(SOON)).into())
    }

    fn attempt(&self, grant: &Grant, most: u64, now: Timestamp, today: &ZonedDateTime) -> Result<Tried, Exceeded> {
        let limits = Limits::of(grant, self.desk.is_none());
        let wanted = Portion { calls: 1, records: most };
        self.with(&grant.id, |used| {
            let until = grant.quota.rate.map(|rate| after_call(used.until, rate, now).map_err(|wait| rate_exceeded(rate, wait)));
            let until = until.transpose()?;
            let day = used.days.on(today.date());
            if !day.has(limits, wanted) {
                return if limits.alone || day.is_dry(wanted) {
                    Err(exceeded(day, limits, today, None))
                } else {
                    Ok(Tried::Lacking { day: day.date })
                };
            }
            let low = day.take(limits, wanted);
            let day = day.date;
            used.until = until.unwrap_or(used.until);
            Ok(Tried::Taken { day, low })
        })
    }

    /// Waits for the next portion.
    async fn drawn(&self, grant: &Grant, day: Date, most: u64, today: &ZonedDateTime) -> Result<(), Refused> {
        let (answer, told) = oneshot::channel();
        self.wish(grant, day, Portion { calls: 1, records: most }, Some(answer));
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(Told::Given)) => Ok(()),
            Ok(Ok(Told::Spent)) => Err(self.exceeded(grant, most, today, None).into()),
            Ok(Ok(Told::Later)) => Err(self.exceeded(grant, most, today, Some(SOON)).into()),
            Ok(Ok(Told::Unavailable) | Err(_)) | Err(_) => Err(Refused::Unavailable),
        }
    }

    fn wish(&self, grant: &Grant, day: Date, wanted: Portion, answer: Option<oneshot::Sender<Told>>) {
        let limits = Limits::of(grant, false);
        let wish = Wish { grant: grant.id.clone(), day, limits: limits.days, wanted, answer, since: sys::instant() };
        // Nobody there to draw it: the wish is dropped, and whoever waits for it is told so by that.
        let _ = self.desk.as_ref().map(|desk| desk.send(Message::Wish(wish)));
    }

    fn exceeded(&self, grant: &Grant, most: u64, today: &ZonedDateTime, retry_after: Option<Duration>) -> Exceeded {
        let limits = Limits::of(grant, false);
        self.with(&grant.id, |used| {
            let day = used.days.on(today.date());
            if retry_after.is_none() {
                day.dry(Portion { calls: 1, records: most });
            }
            exceeded(day, limits, today, retry_after)
        })
    }

    /// Sets a day's use as the ledger tells it, after a start.
    pub fn restore(&self, grant: &str, day: Date, used: Portion) {
        self.with(grant, |of| of.days.on(day).restore(used));
    }

    /// What this gateway holds of a day, and how much of that is unused.
    pub fn held(&self, grant: &str, day: Date) -> (Portion, Portion) {
        self.with(grant, |used| used.days.of(day).map(Day::held).unwrap_or_default())
    }

    /// This gateway holds so much of a day now. Ends a wish for the next portion.
    pub fn hold(&self, grant: &str, day: Date, held: Portion) {
        self.with(grant, |used| used.days.of(day).map(|day| day.hold(held)));
    }

    /// Takes half of what is unused of a day from what this gateway holds: what it holds then, and what of it is unused;
    /// none: nothing changed since this was last told.
    pub fn give_half(&self, grant: &str, day: Date) -> Option<(Portion, Portion)> {
        self.with(grant, |used| used.days.of(day)?.give_half())
    }

    /// Takes all that is unused of a day from what this gateway holds: what it holds then.
    pub fn give_all(&self, grant: &str, day: Date) -> Option<Portion> {
        self.with(grant, |used| used.days.of(day).map(Day::give_all))
    }

    /// Grants that were used, or held a portion, on this day or later.
    pub fn since(&self, day: Date) -> Vec<(Arc<str>, Date)> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            found.extend(shard.iter().flat_map(|(grant, used)| used.days.since(day).map(|date| (Arc::from(&**grant), date))));
        }
        found
    }

    fn with<T>(&self, grant: &str, act: impl FnOnce(&mut Used) -> T) -> T {
        let shard = usize::try_from(self.hasher.hash_one(grant) % SHARDS as u64).unwrap_or_default();
        // A panic elsewhere leaves whole numbers behind: they go on counting.
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        match shard.get_mut(grant) {
            Some(used) => act(used),
            None => act(shard.entry(grant.into()).or_default()),
        }
    }
}

/// When a call's share of the rate is used up, where the shares before it are until `until`; where the whole time of the
/// rate is used already, how long to wait (generic cell rate algorithm; nanoseconds since the epoch).
pub(super) fn after_call(until: i128, rate: Rate, now: Timestamp) -> Result<i128, Duration> {
    let now = now.as_nanosecond();
    let per = i128::try_from(rate.per.as_nanos()).unwrap_or(i128::MAX);
    let share = per / i128::from(rate.count.max(1));
    // A clock that was set back must not close anything for longer than the rate's time.
    let used = until.clamp(now, now.saturating_add(per));
    let until = used.saturating_add(share);
    let over = until - now - per;
    if over <= 0 { Ok(until) } else { Err(Duration::from_nanos(u64::try_from(over).unwrap_or(u64::MAX))) }
}

/// The time of a rate in words.
pub(super) fn unit(rate: Rate) -> (&'static str, &'static str) {
    match rate.per.as_secs() {
        1 => ("秒", "a second"),
        60 => ("分钟", "a minute"),
        _ => ("小时", "an hour"),
    }
}

fn rate_exceeded(rate: Rate, retry_after: Duration) -> Exceeded {
    let (zh, en) = unit(rate);
    let what =
        Text::new(format!("超出授权额度：每{zh} {} 次", rate.count), format!("the grant's rate is used up: {} calls {en}", rate.count));
    Exceeded { retry_after, what }
}

/// Which of the day's limits stands in the way, and until when; what running answers do not show may be there soon.
fn exceeded(day: &Day, limits: Limits, today: &ZonedDateTime, retry_after: Option<Duration>) -> Exceeded {
    let (limit, zh, en) = match (limits.days[0], limits.days[1]) {
        (Some(calls), _) if !day.has(limits, Portion { calls: 1, records: 0 }) => (calls, "次", "calls"),
        (_, Some(records)) => (records, "条记录", "records"),
        (calls, None) => (calls.unwrap_or_default(), "次", "calls"),
    };
    let soon = (en == "records" && day.is_open()).then_some(SOON);
    let what = Text::new(format!("超出授权额度：每日 {limit} {zh}"), format!("the grant's quota is used up: {limit} {en} a day"));
    Exceeded { retry_after: retry_after.or(soon).unwrap_or_else(|| until_tomorrow(today)), what }
}

fn until_tomorrow(today: &ZonedDateTime) -> Duration {
    let tomorrow = today.start_of_day().and_then(|start| start.checked_add(1.day()));
    let seconds = tomorrow.map_or(86_400, |tomorrow| tomorrow.timestamp().as_second() - today.timestamp().as_second());
    Duration::from_secs(u64::try_from(seconds).unwrap_or(1).max(1))
}
