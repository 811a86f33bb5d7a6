//! How fast the ledger is asked at its full length, and how fast the register is made.
//!
//! ```text
//! cargo bench --bench register -- [--entries 10000000] [--dir DIR]
//! cargo bench --bench register -- --postgres [--entries 10000000] [--logs 20]
//! ```
//!
//! With `--postgres`: how fast as many logs are registered in one PostgreSQL, one after the other, at what processor time on
//! either side, and how fast all of them are asked together. The server (Debian's) is started for it, with its defaults, in
//! a temporary folder that is removed at the end.
//!
//! The log is made in DIR where there is none (10 million entries: about 7 GB) and is left there. Every lookup opens
//! the register anew, as a command does. Times are wall clock: median and worst of the rounds.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench prints, measures, and stops at the first surprise"
)]

mod log;
mod postgres;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use kanhe::ledger::query::{self, Filter};
use kanhe::ledger::register::{self, Reader};
use kanhe::ledger::report::{self, By, Period};

fn option(name: &str) -> Option<String> {
    let args: Vec<String> = std::env::args().collect();
    args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1).cloned())
}

fn main() {
    let entries: u64 = option("--entries").map_or(10_000_000, |text| text.parse().unwrap());
    if std::env::args().any(|arg| arg == "--postgres") {
        return postgres::run(entries, option("--logs").map_or(20, |text| text.parse().unwrap()));
    }
    let folder = option("--dir").map_or_else(|| PathBuf::from("target/bench-register").join(entries.to_string()), PathBuf::from);
    if !folder.join("checkpoint").exists() {
        let begun = Instant::now();
        log::make(&folder, entries, 0).unwrap();
        println!("log made: {entries} entries in {:.1?}", begun.elapsed());
    }
    let begun = Instant::now();
    register::rebuild(&folder, |_, _| true).unwrap();
    let took = begun.elapsed();
    let size = fs::metadata(folder.join("register.sqlite")).unwrap().len();
    #[expect(clippy::cast_precision_loss, reason = "a rate is read by eye")]
    let (rate, each) = (entries as f64 / took.as_secs_f64(), size as f64 / entries as f64);
    println!("register made, indexes included: {took:.1?}, {rate:.0} rows/s, {each:.0} bytes a row");
    lookups(&folder, entries);
    reports(&folder);
}

fn lookups(folder: &Path, entries: u64) {
    let share = |round: u64| log::mix(round ^ 0xbe) % (entries / 2) * 2;
    let member = |name, value| Filter { members: vec![(name, value)], ..Filter::default() };
    let person = |n| Filter { subject: Some(vec![log::subject(n)]), ..Filter::default() };
    measure("by person (all shares)", 200, |round| find(folder, &person(share(round)), usize::MAX));
    measure("by Share-Id", 200, |round| find(folder, &member("id", log::id(share(round))), usize::MAX));
    measure("by case", 200, |round| find(folder, &member("case", log::case(share(round))), usize::MAX));
    measure("one entry with its settlement", 200, |round| {
        let reader = Reader::open(folder).unwrap();
        usize::from(query::show_registered(folder, reader.as_ref(), share(round)).unwrap().is_some())
    });
    measure("first 20 of a requester", 50, |round| find(folder, &member("requester", log::requester(share(round))), 20));
    measure("a requester's on one day, first 20", 50, |round| {
        let since = log::begins() + SignedDuration::from_hours(24 * i64::try_from(log::mix(round) % 360).unwrap());
        let until = Some(since + SignedDuration::from_hours(24));
        let filter = Filter { since: Some(since), until, ..member("requester", log::requester(share(round))) };
        find(folder, &filter, 20)
    });
    measure("count of a requester's", 20, |round| {
        let reader = Reader::open(folder).unwrap();
        let filter = member("requester", log::requester(share(round)));
        usize::try_from(query::count(folder, reader.as_ref(), &filter, 0).unwrap()).unwrap()
    });
}

fn reports(folder: &Path) {
    let month = |round: u64| {
        let since = log::begins() + SignedDuration::from_hours(24 * 30 * i64::try_from(round % 12).unwrap());
        Period { since: Some(since), until: Some(since + SignedDuration::from_hours(24 * 30)) }
    };
    let grouped = |round, only: &[(By, String)], by: &[By]| {
        let reader = Reader::open(folder).unwrap();
        report::group(folder, reader.as_ref(), month(round), only, by).unwrap().0.len()
    };
    let all = [By::Provider, By::Department, By::Requester, By::Resource, By::Scenario, By::Operation];
    measure("a month: who received what of one provider", 6, |round| grouped(round, &[(By::Provider, "prov-03".to_owned())], &all));
    measure("a month: what each scenario used", 6, |round| grouped(round, &[], &[By::Scenario, By::Resource, By::Department]));
    measure("a month: given and received", 6, |round| grouped(round, &[], &[By::Provider, By::Department]));
    measure("a day for a breach, from the log", 3, |round| {
        let since = month(round).since.unwrap();
        let filter = Filter { since: Some(since), until: Some(since + SignedDuration::from_hours(24)), ..Filter::default() };
        let mut count = 0;
        report::shares(folder, &filter, |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
        count
    });
}

fn find(folder: &Path, filter: &Filter, limit: usize) -> usize {
    let reader = Reader::open(folder).unwrap();
    let mut found = 0;
    let broken = query::find(folder, reader.as_ref(), filter, 0, |_| {
        found += 1;
        if found == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(broken.unwrap(), None);
    found
}

fn measure(what: &str, rounds: u64, run: impl Fn(u64) -> usize) {
    let mut times: Vec<Duration> = Vec::new();
    let mut found = 0;
    for round in 0..rounds {
        let begun = Instant::now();
        found += run(round);
        times.push(begun.elapsed());
    }
    times.sort();
    let found = found as u64 / rounds;
    println!("{what}: median {:.2?}, worst {:.2?}, {rounds} rounds, {found} found each", times[times.len() / 2], times[times.len() - 1]);
}
