//! Quotas: the rate, the day and what survives.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::date;

use super::world::{World, grant, scenario, world};
use crate::purpose::quota::{Exceeded, Quotas};

fn with(quota: &str) -> World {
    world(&[scenario("housing", "")], &[grant("g1", &format!("quota = {quota}\n"))])
}

fn take(quotas: &Quotas, world: &World, now: &str) -> Result<(), Exceeded> {
    let now: Timestamp = now.parse().unwrap();
    quotas.take(&world.purposes.grants["g1"], now, &world.parties.time_zone)
}

#[test]
fn without_a_quota_nothing_is_counted() {
    let (quotas, world) = (Quotas::default(), with("{ records_per_call = 1 }"));
    for _ in 0..1000 {
        take(&quotas, &world, "2026-11-23T10:00:00Z").unwrap();
    }
}

#[test]
fn a_rate_allows_its_count_at_once_and_then_as_time_passes() {
    let (quotas, world) = (Quotas::default(), with("{ rate = \"3/s\" }"));
    for _ in 0..3 {
        take(&quotas, &world, "2026-11-23T10:00:00Z").unwrap();
    }
    let exceeded = take(&quotas, &world, "2026-11-23T10:00:00Z").unwrap_err();
    assert!(exceeded.retry_after <= Duration::from_millis(334) && exceeded.retry_after > Duration::from_millis(330), "{exceeded:?}");
    take(&quotas, &world, "2026-11-23T10:00:00.334Z").unwrap();
    take(&quotas, &world, "2026-11-23T10:00:00.334Z").unwrap_err();
    for _ in 0..3 {
        take(&quotas, &world, "2026-11-23T10:00:05Z").unwrap();
    }
    take(&quotas, &world, "2026-11-23T10:00:05Z").unwrap_err();
}

#[test]
fn a_clock_set_back_does_not_close_the_grant() {
    let (quotas, world) = (Quotas::default(), with("{ rate = \"1/s\" }"));
    take(&quotas, &world, "2026-11-23T10:00:00Z").unwrap();
    let exceeded = take(&quotas, &world, "2026-11-23T08:00:00Z").unwrap_err();
    assert!(exceeded.retry_after <= Duration::from_secs(1), "{exceeded:?}");
}

#[test]
fn a_day_ends_at_midnight_of_the_folders_time_zone() {
    let (quotas, world) = (Quotas::default(), with("{ calls_per_day = 2 }"));
    take(&quotas, &world, "2026-11-23T15:59:58Z").unwrap();
    take(&quotas, &world, "2026-11-23T15:59:58Z").unwrap();
    let exceeded = take(&quotas, &world, "2026-11-23T15:59:58Z").unwrap_err();
    assert_eq!(exceeded.retry_after, Duration::from_secs(2));
    take(&quotas, &world, "2026-11-23T16:00:00Z").unwrap();
}

#[test]
fn a_day_goes_on_after_a_start() {
    let (quotas, world) = (Quotas::default(), with("{ calls_per_day = 2 }"));
    quotas.restore("g1", date(2026, 11, 23), 2);
    take(&quotas, &world, "2026-11-23T10:00:00+08:00").unwrap_err();
    take(&quotas, &world, "2026-11-24T10:00:00+08:00").unwrap();
}

#[test]
fn a_call_that_is_refused_uses_up_nothing() {
    let (quotas, world) = (Quotas::default(), with("{ rate = \"1/s\", calls_per_day = 2 }"));
    take(&quotas, &world, "2026-11-23T10:00:00Z").unwrap();
    for _ in 0..5 {
        take(&quotas, &world, "2026-11-23T10:00:00Z").unwrap_err();
    }
    take(&quotas, &world, "2026-11-23T10:00:01Z").unwrap();
    assert!(take(&quotas, &world, "2026-11-23T10:00:02Z").unwrap_err().what.en.contains("a day"));
}
