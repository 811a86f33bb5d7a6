//! Rewriting JSON: processor time and speed at several sizes, with none, a tenth and all of the items changed, beside
//! serde_json, sonic-rs and jq parsing, changing and printing the same answers. One line a case:
//! `cargo bench --bench disclosure [-- --quick] [--alone] [BYTES …]` (`--alone`: without the others). A size from 1 GiB on is rewritten piece by piece without being
//! held, to see that memory stays flat: `cargo bench --bench disclosure -- 10737418240`.
//!
//! Everything runs on one thread with the gateway's allocator, in turn, and of several turns each one's best counts: so a
//! noisy machine meets everybody. sonic-rs uses what the compiler may assume of the processor; `RUSTFLAGS="-C
//! target-cpu=native"` shows it at its best.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement stops at the first surprise, and prints")]

mod answers;
mod peers;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use kanhe::disclosure::{Compiled, PseudonymKey, Pseudonyms};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 4] = [250, 10 << 10, 1 << 20, 100 << 20];
/// About as much is rewritten in each turn.
const TURN: usize = 32 << 20;
const TURNS: usize = 5;
/// From here on an answer is not made whole.
const LARGE: usize = 1 << 30;
/// What the network hands over at once.
const PIECE: usize = 64 << 10;
/// The most of one value that is held.
const HELD: usize = 4 << 20;

/// Processor time of this process, its children aside.
fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap())
}

fn rewrite(plan: &Arc<Compiled>, pseudonyms: &Pseudonyms, answer: &[u8]) {
    let (mut stream, mut out) = (plan.stream(pseudonyms, None, HELD), Vec::new());
    for piece in answer.chunks(PIECE) {
        out.clear();
        stream.push(piece, &mut out).unwrap();
        black_box(&out);
    }
    black_box(stream.finish(&mut out).unwrap());
}

/// How long one of these takes.
fn time(rounds: usize, each: &mut dyn FnMut()) -> Duration {
    let before = processor_time();
    for _ in 0..rounds {
        each();
    }
    (processor_time() - before) / u32::try_from(rounds).unwrap()
}

/// The best of several turns of each.
fn best<const N: usize>(bytes: usize, turn: usize, each: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let (mut best, rounds) = ([Duration::MAX; N], (turn / bytes).max(1));
    let mut each = each;
    for _ in 0..TURNS {
        for (best, each) in best.iter_mut().zip(&mut each) {
            // Whatever another left in the caches goes with the first.
            each();
            *best = time(rounds, *each).min(*best);
        }
    }
    best
}

fn speed(bytes: usize, took: Duration) -> String {
    format!("{took:>10.2?} {:>6.0} MB/s", bytes as f64 / took.as_secs_f64().max(1e-9) / 1e6)
}

fn times(theirs: Duration, ours: Duration) -> f64 {
    theirs.as_secs_f64() / ours.as_secs_f64().max(1e-9)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let turn = if arguments.iter().any(|argument| argument == "--quick") { TURN / 8 } else { TURN };
    let sizes = if asked.is_empty() { SIZES.to_vec() } else { asked };
    let pseudonyms = PseudonymKey::new(&[7; 32]).scope("housing", "housing");
    for size in sizes {
        if size >= LARGE {
            large(size, &pseudonyms);
            continue;
        }
        let answer = answers::answer(size);
        for changed in [0, 1, 10] {
            let compiled = Arc::new(Compiled::new(&answers::plan(changed)));
            let presets = answers::presets(changed);
            if arguments.iter().any(|argument| argument == "--alone") {
                let [ours] = best(answer.len(), turn, [&mut || rewrite(&compiled, &pseudonyms, answer.as_bytes())]);
                println!("{:>9} bytes, {:>3} % changed: {}", answer.len(), changed * 10, speed(answer.len(), ours));
                continue;
            }
            let [ours, serde, sonic] = best(
                answer.len(),
                turn,
                [
                    &mut || rewrite(&compiled, &pseudonyms, answer.as_bytes()),
                    &mut || peers::serde_json(&presets, answer.as_bytes()),
                    &mut || peers::sonic_rs(&presets, answer.as_bytes()),
                ],
            );
            let jq = peers::jq(answer.as_bytes(), changed, turn / 8).map_or_else(String::new, |jq| format!(", jq {:.0}", times(jq, ours)));
            let (bytes, changed, took) = (answer.len(), changed * 10, speed(answer.len(), ours));
            println!(
                "{bytes:>9} bytes, {changed:>3} % changed: {took}; × serde_json {:.1}, sonic-rs {:.1}{jq}",
                times(serde, ours),
                times(sonic, ours)
            );
        }
    }
}

/// An answer that is never whole.
fn large(size: usize, pseudonyms: &Pseudonyms) {
    let plan = Arc::new(Compiled::new(&answers::plan(1)));
    let (mut stream, mut out, mut sent) = (plan.stream(pseudonyms, None, HELD), Vec::new(), 0);
    stream.push(br#"{"data":["#, &mut out).unwrap();
    let piece = (0..200).map(answers::record).collect::<Vec<_>>().join(",");
    let before = processor_time();
    while sent < size {
        out.clear();
        if sent > 0 {
            stream.push(b",", &mut out).unwrap();
        }
        stream.push(piece.as_bytes(), &mut out).unwrap();
        sent += piece.len() + 1;
    }
    stream.push(b"]}", &mut out).unwrap();
    let records = stream.finish(&mut out).unwrap().records;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim();
    println!("{sent:>9} bytes, {records} records: {}; peak resident size {peak}", speed(sent, processor_time() - before));
}
