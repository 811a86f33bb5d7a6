//! Quotas: the rate, the day and what survives.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::date;

use super::world::{World, grant, scenario, world};
use crate::ledger::register::Portion;
use crate::purpose::quota::{Exceeded, Message, Quotas, Refused, Spent, Told};

fn with(quota: &str) -> World {
    world(&[scenario("housing", "")], &[grant("g1", &format!("quota = {quota}\n"))])
}

fn try_take(quotas: &Arc<Quotas>, world: &World, most: u64, now: &str) -> Result<Option<Box<Spent>>, Refused> {
    let now: Timestamp = now.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let taken = runtime.block_on(quotas.take(&world.purposes.grants["g1"], || most, now, &world.parties.time_zone))?;
    Ok(taken.and_then(crate::purpose::quota::Taken::recorded))
}

fn take(quotas: &Arc<Quotas>, world: &World, now: &str) -> Result<(), Exceeded> {
    match try_take(quotas, world, 0, now) {
        Ok(_) => Ok(()),
        Err(Refused::Exceeded(exceeded)) => Err(exceeded),
        Err(Refused::Unavailable) => panic!("nobody else is asked"),
    }
}

fn exceeded(refused: Result<Option<Box<Spent>>, Refused>) -> Exceeded {
    match refused {
        Err(Refused::Exceeded(exceeded)) => exceeded,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_quota_nothing_is_counted() {
    let (quotas, world) = (Arc::<Quotas>::default(), with("{ records_per_call = 1 }"));
    for _ in 0..1000 {
        take(&quotas, &world, "2026-11-23T10:00:00Z").unwrap();
    }
}

#[test]
fn a_rate_allows_its_count_at_once_and_then_as_time_passes() {
    let (quotas, world) = (Arc::<Quotas>::default(), with("{ rate = \"3/s\" }"));
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
    let (quotas, world) = (Arc::<Quotas>::default(), with("{ rate = \"1/s\" }"));
    take(&quotas, &world, "2026-11-23T10:00:00Z").unwrap();
    let exceeded = take(&quotas, &world, "2026-11-23T08:00:00Z").unwrap_err();
    assert!(exceeded.retry_after <= Duration::from_secs(1), "{exceeded:?}");
}

#[test]
fn a_day_ends_at_midnight_of_the_folders_time_zone() {
    let (quotas, world) = (Arc::<Quotas>::default(), with("{ calls_per_day = 2 }"));
    take(&quotas, &world, "2026-11-23T15:59:58Z").unwrap();
    take(&quotas, &world, "2026-11-23T15:59:58Z").unwrap();
    let exceeded = take(&quotas, &world, "2026-11-23T15:59:58Z").unwrap_err();
    assert_eq!(exceeded.retry_after, Duration::from_secs(2));
    take(&quotas, &world, "2026-11-23T16:00:00Z").unwrap();
}

#[test]
fn a_day_goes_on_after_a_start() {
    let (quotas, world) = (Arc::<Quotas>::default(), with("{ calls_per_day = 2 }"));
    quotas.restore("g1", date(2026, 11, 23), Portion { calls: 2, records: 0 });
    take(&quotas, &world, "2026-11-23T10:00:00+08:00").unwrap_err();
    take(&quotas, &world, "2026-11-24T10:00:00+08:00").unwrap();
}

#[test]
fn a_call_that_is_refused_uses_up_nothing() {
    let (quotas, world) = (Arc::<Quotas>::default(), with("{ rate = \"1/s\", calls_per_day = 2 }"));
    take(&quotas, &world, "2026-11-23T10:00:00Z").unwrap();
    for _ in 0..5 {
        take(&quotas, &world, "2026-11-23T10:00:00Z").unwrap_err();
    }
    take(&quotas, &world, "2026-11-23T10:00:01Z").unwrap();
    assert!(take(&quotas, &world, "2026-11-23T10:00:02Z").unwrap_err().what.en.contains("a day"));
}

const NOON: &str = "2026-11-23T12:00:00+08:00";

#[test]
fn records_are_taken_before_they_are_known_and_what_was_not_shown_comes_back() {
    let (quotas, world) = (Arc::<Quotas>::default(), with("{ records_per_day = 10, records_per_call = 6 }"));
    let first = try_take(&quotas, &world, 6, NOON).unwrap().unwrap();
    let refused = exceeded(try_take(&quotas, &world, 6, NOON));
    assert!(refused.what.en.contains("10 records a day"), "{refused}");
    assert_eq!(refused.retry_after, Duration::from_secs(1), "the first answer may leave enough");
    first.shown(Some(1));
    let second = try_take(&quotas, &world, 6, NOON).unwrap().unwrap();
    // Nobody knows what it showed: all that it might have counts.
    second.shown(None);
    let refused = exceeded(try_take(&quotas, &world, 6, NOON));
    assert!(refused.retry_after > Duration::from_secs(3600), "{refused:?}");
    // Three are left, and a claim shows none.
    let late = try_take(&quotas, &world, 3, "2026-11-23T23:59:59+08:00").unwrap();
    try_take(&quotas, &world, 0, NOON).unwrap();
    // The next day is a new one, and what ends then is of the day on which it began.
    try_take(&quotas, &world, 6, "2026-11-24T00:00:00+08:00").unwrap().unwrap().shown(Some(6));
    late.unwrap().shown(Some(0));
    exceeded(try_take(&quotas, &world, 6, "2026-11-24T00:00:01+08:00"));
}

#[test]
fn a_call_that_is_not_recorded_was_none() {
    let (quotas, world) = (Arc::<Quotas>::default(), with("{ calls_per_day = 1, records_per_day = 6 }"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let now: Timestamp = NOON.parse().unwrap();
    for _ in 0..3 {
        let taken = runtime.block_on(quotas.take(&world.purposes.grants["g1"], || 6, now, &world.parties.time_zone));
        drop(taken.unwrap().unwrap());
    }
    assert!(try_take(&quotas, &world, 6, NOON).unwrap().is_some());
    exceeded(try_take(&quotas, &world, 0, NOON));
}

/// A desk that gives what the test says, once for each wish that waits, and counts those that do not.
fn desk(answers: Vec<(u64, Told)>) -> (Arc<Quotas>, std::thread::JoinHandle<usize>) {
    let (desk, wishes) = mpsc::channel();
    let quotas = Arc::new(Quotas::shared(desk));
    let of = Arc::downgrade(&quotas);
    let thread = std::thread::spawn(move || {
        let (mut answers, mut background) = (answers.into_iter(), 0);
        for message in wishes {
            let Message::Wish(wish) = message else { break };
            if wish.answer.is_none() {
                background += 1;
                continue;
            }
            let (calls, told) = answers.next().expect("a wish more than was meant");
            if let Some(quotas) = of.upgrade() {
                let (held, _) = quotas.held("g1", wish.day);
                quotas.hold("g1", wish.day, Portion { calls: held.calls + calls, records: 0 });
            }
            wish.tell(told);
        }
        assert!(answers.next().is_none(), "a wish less than was meant");
        background
    });
    (quotas, thread)
}

#[test]
fn with_others_a_gateway_uses_no_more_than_it_was_given_and_asks_when_half_is_used() {
    let world = with("{ calls_per_day = 100 }");
    let (quotas, thread) = desk(vec![(10, Told::Given), (0, Told::Spent)]);
    for _ in 0..10 {
        try_take(&quotas, &world, 0, NOON).unwrap();
    }
    let refused = exceeded(try_take(&quotas, &world, 0, NOON));
    assert!(refused.retry_after > Duration::from_secs(3600), "{refused:?}");
    // What was answered a moment ago is not asked again.
    exceeded(try_take(&quotas, &world, 0, NOON));
    drop(quotas);
    assert_eq!(thread.join().unwrap(), 1, "once, when half was used");
}

#[test]
fn with_others_nothing_held_and_nobody_to_ask_is_no_quota() {
    let world = with("{ calls_per_day = 100 }");
    let (quotas, thread) = desk(vec![(0, Told::Unavailable), (0, Told::Later)]);
    assert_eq!(try_take(&quotas, &world, 0, NOON).unwrap_err(), Refused::Unavailable);
    assert_eq!(exceeded(try_take(&quotas, &world, 0, NOON)).retry_after, Duration::from_secs(1));
    drop(quotas);
    assert_eq!(thread.join().unwrap(), 0);
}

#[test]
fn half_of_what_is_unused_goes_back_and_what_is_used_never_does() {
    let world = with("{ calls_per_day = 100 }");
    let (quotas, thread) = desk(vec![(10, Told::Given)]);
    try_take(&quotas, &world, 0, NOON).unwrap();
    let day = date(2026, 11, 23);
    let calls = |pair: Option<(Portion, Portion)>| pair.map(|(held, unused)| (held.calls, unused.calls));
    assert_eq!(calls(quotas.give_half("g1", day)), Some((5, 4)));
    assert_eq!(calls(quotas.give_half("g1", day)), Some((3, 2)));
    assert_eq!(calls(quotas.give_half("g1", day)), Some((2, 1)));
    assert_eq!(calls(quotas.give_half("g1", day)), Some((1, 0)));
    assert_eq!(calls(quotas.give_half("g1", day)), None, "told already");
    assert_eq!(quotas.give_all("g1", day), Some(Portion { calls: 1, records: 0 }));
    drop(quotas);
    thread.join().unwrap();
}
