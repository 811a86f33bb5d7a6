//! Processor time per share beside a plain nginx `proxy_pass` and a bare hyper proxy that checks nothing, in one run:
//! `cargo bench --bench share`. Every proxy stands before the same origin (nginx answering a fixed JSON of 10 items), is
//! asked by the same client over the same connections, and is measured by its own process's processor time, so that
//! neither client nor origin counts. Rounds are interleaved; ratios say more than figures on a noisy machine.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark stops at the first surprise, prints its table and reads the clock"
)]

mod hyper_proxy;
mod load;
mod peers;
mod world;

use std::path::Path;

use peers::Running;

/// Connections that ask without a pause.
const CONNECTIONS: usize = 32;
/// Requests of one round.
const REQUESTS: usize = 20_000;
/// Rounds of each proxy, interleaved.
const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--hyper-proxy") {
        return hyper_proxy::run(&arguments[at + 1]);
    }
    let folder = std::env::temp_dir().join(format!("kanhe-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    measure(&folder);
    std::fs::remove_dir_all(&folder).ok();
}

fn measure(folder: &Path) {
    let origin = peers::nginx_origin(folder);
    let world = world::write(folder, &origin.address);
    let plain = vec![
        ("nginx proxy_pass", peers::nginx_proxy(folder, &origin.address)),
        ("bare hyper proxy", peers::bare_hyper(&origin.address)),
        ("kanhe, full line", peers::kanhe(&world.config)),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let request = |address: &str| load::Request { address: address.to_owned(), token: world.token.clone(), path: world::PATH };
    for (name, peer) in &plain {
        let answered = runtime.block_on(load::run(&request(&peer.address), CONNECTIONS, 2_000));
        assert_eq!(answered.good, 2_000, "{name}: every warm-up call is answered, first wrong answer: {:?}", answered.wrong);
    }
    let mut times: Vec<Vec<(f64, f64)>> = vec![Vec::new(); plain.len()];
    for _ in 0..ROUNDS {
        for ((name, peer), times) in plain.iter().zip(&mut times) {
            times.push(round(&runtime, name, peer, &request(&peer.address)));
        }
    }
    report(&plain, &times);
}

/// One round: microseconds of processor time per request, and requests a second.
fn round(runtime: &tokio::runtime::Runtime, name: &str, peer: &Running, request: &load::Request) -> (f64, f64) {
    let (before, started) = (peer.processor_time(), std::time::Instant::now());
    let answered = runtime.block_on(load::run(request, CONNECTIONS, REQUESTS));
    let (took, used) = (started.elapsed(), peer.processor_time() - before);
    assert_eq!(answered.good, REQUESTS, "{name}: every call is answered, first wrong answer: {:?}", answered.wrong);
    let requests = REQUESTS as f64;
    (used.as_secs_f64() * 1e6 / requests, requests / took.as_secs_f64())
}

fn report(plain: &[(&str, Running)], times: &[Vec<(f64, f64)>]) {
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let of = |times: &Vec<(f64, f64)>| (median(&mut times.iter().map(|t| t.0).collect()), median(&mut times.iter().map(|t| t.1).collect()));
    let base = of(&times[0]).0;
    println!("| proxy | processor time per request | × nginx | requests a second |");
    println!("| --- | --- | --- | --- |");
    for ((name, _), times) in plain.iter().zip(times) {
        let (each, rate) = of(times);
        println!("| {name} | {each:.1} µs | {:.2} | {rate:.0} |", each / base);
    }
    println!("\n{CONNECTIONS} connections, HTTP/1.1 without TLS, median of {ROUNDS} interleaved rounds of {REQUESTS} requests.");
}
