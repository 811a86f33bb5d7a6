//! What grants have been used for: calls within a time and within a day. Kept across reloads, by the grant's id.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::Grant;
use crate::lang::Text;
use crate::written::units::Rate;

/// Locks are spread so that calls under different grants rarely meet at one.
const SHARDS: usize = 64;

/// All use of grants. Holds no more than one small record for each grant with a quota that was ever used.
#[derive(Debug)]
pub struct Quotas {
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<Box<str>, Used>>>,
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

/// What one grant was used for.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    /// When the last call's share of the rate is used up, in nanoseconds since the epoch.
    until: i128,
    day: Option<Date>,
    calls: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Quotas {
    /// Counts one call, or says which limit it meets; a call that is not let pass is not counted.
    pub fn take(&self, grant: &Grant, now: Timestamp, zone: &TimeZone) -> Result<(), Exceeded> {
        let quota = grant.quota;
        if quota.rate.is_none() && quota.calls_per_day.is_none() {
            return Ok(());
        }
        self.with(&grant.id, |used| {
            let until = quota.rate.map(|rate| after_call(used.until, rate, now).map_err(|wait| rate_exceeded(rate, wait))).transpose()?;
            if let Some(limit) = quota.calls_per_day {
                let today = now.to_zoned_datetime(zone.clone());
                used.begin(today.date());
                if used.calls >= limit {
                    return Err(day_exceeded(limit, &today));
                }
                used.calls += 1;
            }
            used.until = until.unwrap_or(used.until);
            Ok(())
        })
    }

    /// Sets a day's count as the ledger tells it, after a start.
    pub fn restore(&self, grant: &str, day: Date, calls: u64) {
        self.with(grant, |used| {
            used.day = Some(day);
            used.calls = calls;
        });
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

impl Used {
    /// A new day starts at nought.
    fn begin(&mut self, day: Date) {
        if self.day != Some(day) {
            (self.day, self.calls) = (Some(day), 0);
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

fn day_exceeded(limit: u64, today: &jiff::ZonedDateTime) -> Exceeded {
    let tomorrow = today.start_of_day().and_then(|start| start.checked_add(1.day()));
    let seconds = tomorrow.map_or(86_400, |tomorrow| tomorrow.timestamp().as_second() - today.timestamp().as_second());
    let what = Text::new(format!("超出授权额度：每日 {limit} 次"), format!("the grant's quota is used up: {limit} calls a day"));
    Exceeded { retry_after: Duration::from_secs(u64::try_from(seconds).unwrap_or(1).max(1)), what }
}
