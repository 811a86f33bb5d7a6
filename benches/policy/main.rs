//! What policies cost as they and the grants grow: `cargo bench --bench policy`. For 20, 1,000 and 10,000 policies and 10
//! and 100,000 grants: load time and memory of the gateway as a process (start to ready, at rest, and the peak of a
//! reload), and the time of a decision, cold (each call a new requester) and kept. Two numbers choose one size.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark stops at the first surprise, prints its table and reads the clock"
)]

mod decide;
mod process;
mod world;

use std::path::Path;

fn main() {
    let wanted: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let sizes = [(20, 10), (20, 20), (20, 100_000), (1_000, 10), (1_000, 100_000), (10_000, 10), (10_000, 100_000)];
    let chosen = |(policies, grants): &(usize, usize)| wanted.is_empty() || wanted == [*policies, *grants];
    let folder = std::env::temp_dir().join(format!("kanhe-bench-policy-{}", std::process::id()));
    println!(
        "policies  grants | load ms (processor)  ready ms (processor) | rest MiB  peak MiB  reload × | cold µs  first µs  50 items warm ns  10 items warm ns"
    );
    for (policies, grants) in sizes.into_iter().filter(chosen) {
        let control = folder.join("policies");
        std::fs::create_dir_all(&control).expect("a temporary folder");
        world::write(&control, policies, grants);
        measure(&folder, &control, policies, grants);
        std::fs::remove_dir_all(&folder).ok();
    }
}

fn measure(folder: &Path, control: &Path, policies: usize, grants: usize) {
    let run = process::run(folder);
    let decided = decide::run(control, grants);
    println!(
        "{policies:>8} {grants:>7} | {:>7.0} {:>11.0}  {:>8.0} {:>11.0} | {:>8.1}  {:>8.1}  {:>8.2} | {:>7.1}  {:>8.1}  {:>16.0}  {:>16.0}",
        decided.load.as_secs_f64() * 1e3,
        decided.work.as_secs_f64() * 1e3,
        run.ready.as_secs_f64() * 1e3,
        run.work.as_secs_f64() * 1e3,
        run.rest_kib as f64 / 1024.0,
        run.peak_kib as f64 / 1024.0,
        run.peak_kib as f64 / run.rest_kib as f64,
        decided.cold * 1e6,
        decided.first * 1e6,
        decided.warm_many * 1e9,
        decided.warm * 1e9,
    );
}
