//! How often a requester may verify claims about one person. A `verify` operation answers yes or no, so whoever may ask
//! often enough can find out a value by trying: the rate bounds that, whatever its grant allows beside it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::quota::{self, Exceeded};
use crate::lang::Text;
use crate::written::units::Rate;

/// Locks are spread so that calls about different persons rarely meet at one.
const SHARDS: usize = 64;
/// Most persons in a shard: beyond it, calls about others are refused until some are forgotten.
const MOST: usize = 16 << 10;

/// All claims that were verified lately. Holds keyed hashes, never whom they are about.
#[derive(Debug)]
pub struct Probes {
    rate: Rate,
    /// Most persons in a shard.
    most: usize,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

/// When the share of the rate that was used is free again, in nanoseconds since the epoch, by requester and person.
#[derive(Debug, Default)]
struct Shard {
    used: HashMap<u64, i128>,
    /// How many there may be before those that are free again are forgotten.
    sweep_at: usize,
}

impl Probes {
    /// Nothing verified yet.
    pub fn new(rate: Rate) -> Self {
        Self { rate, most: MOST, hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Counts one claim of `requester` about whom `about` names, or says when the next will be verified; what is not
    /// let pass is not counted.
    pub fn take(&self, requester: &str, about: &str, now: Timestamp) -> Result<(), Exceeded> {
        let key = self.hasher.hash_one((requester, about));
        let shard = usize::try_from(key % SHARDS as u64).unwrap_or_default();
        // A panic elsewhere leaves whole numbers behind: they go on counting.
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let used = shard.used.get(&key).copied().unwrap_or_default();
        let until = quota::after_call(used, self.rate, now).map_err(|retry_after| {
            let what = Text::new(
                format!("对同一主体的核验过于频繁：每{} {} 次", quota::unit(self.rate).0, self.rate.count),
                format!("too many claims about one person: {} {}", self.rate.count, quota::unit(self.rate).1),
            );
            Exceeded { retry_after, what }
        })?;
        if shard.used.len() >= shard.sweep_at.max(64) {
            shard.used.retain(|_, until| *until > now.as_nanosecond());
            shard.sweep_at = shard.used.len() * 2;
        }
        if shard.used.len() >= self.most && !shard.used.contains_key(&key) {
            let what = Text::new("正在核验的主体过多，请稍后再试", "claims about too many persons are being verified; try again soon");
            return Err(Exceeded { retry_after: self.rate.per, what });
        }
        shard.used.insert(key, until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-23T{text}Z").parse().unwrap()
    }

    #[test]
    fn each_requester_may_ask_about_each_person_so_often() {
        let probes = Probes::new(Rate { count: 3, per: Duration::from_secs(60) });
        let now = at("10:00:00");
        for _ in 0..3 {
            probes.take("a", "x", now).unwrap();
        }
        let exceeded = probes.take("a", "x", now).unwrap_err();
        assert_eq!(exceeded.retry_after, Duration::from_secs(20));
        assert!(exceeded.what.en.contains("3 a minute"), "{exceeded}");
        probes.take("a", "y", now).unwrap();
        probes.take("b", "x", now).unwrap();
        probes.take("a", "x", at("10:00:20")).unwrap();
        probes.take("a", "x", at("10:00:20")).unwrap_err();
    }

    #[test]
    fn what_is_free_again_is_forgotten() {
        let probes = Probes::new(Rate { count: 1, per: Duration::from_secs(1) });
        let start = at("10:00:00");
        for second in 0..6000 {
            probes.take("a", &second.to_string(), start + Duration::from_secs(second)).unwrap();
        }
        let held: usize = probes.shards.iter().map(|shard| shard.lock().unwrap().used.len()).sum();
        assert!(held <= 64 * 65, "{held}");
        let burst = Probes { most: 10, ..Probes::new(Rate { count: 1, per: Duration::from_secs(3600) }) };
        let refused = (0..(10 * SHARDS * 2)).filter(|person| burst.take("a", &person.to_string(), start).is_err()).count();
        assert!(refused > 0, "a flood of persons is refused, not forgotten");
        burst.take("a", "0", start).unwrap_err();
    }
}
