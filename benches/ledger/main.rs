//! The ledger by itself: durable entries a second and processor time an entry at 1, 32 and 1,024 callers, with its
//! register off and on, how far the register is by then, and how fast the auditor judges what they wrote.
//!
//! ```sh
//! cargo bench --bench ledger              # KANHE_BENCH_FOLDER: in which folder to make one; KANHE_BENCH_SECONDS: how long a case
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench stops at the first surprise, prints what it measured and looks at the clock"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use kanhe::ledger::entry::{Draft, Share};
use kanhe::ledger::verify::{Options, verify};
use kanhe::ledger::{Config, Ledger, Register};
use serde_json::value::{RawValue, to_raw_value};

/// As long as a usual entry: 800 bytes or so.
fn draft() -> Draft {
    // As in the gateway, what belongs to a decision is written once.
    static DECISION: OnceLock<(Box<RawValue>, Box<RawValue>)> = OnceLock::new();
    let (items, policies) = DECISION.get_or_init(|| {
        let items: BTreeMap<_, _> = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(|item| (item, "reveal")).into();
        let policies = ["share-by-grant", "reveal-by-grant", "mask-by-grant"];
        (to_raw_value(&items).unwrap(), to_raw_value(&policies).unwrap())
    });
    let share = Share {
        id: "00112233445566778899aabbccddeeff",
        requester: Some("housing-app"),
        department: Some("housing"),
        provider: Some("psb"),
        resource: Some("psb.population"),
        operation: Some("query"),
        target: Some("POST /psb/population/query"),
        subject: Some("hmac-sha256:00112233:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
        operator: Some("hmac-sha256:00112233:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
        scenario: Some("housing"),
        case: Some("2026-000123"),
        grant: Some("g-2026-0001"),
        items: Some(items),
        policies: Some(policies),
        snapshot: None,
        network: Some("government"),
        source: Some("127.0.0.1"),
        ..Share::default()
    };
    share.draft().unwrap()
}

/// Processor seconds of this process so far, in hundredths.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().map(|at| fields[*at].parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

fn config(base: &std::path::Path, name: &str, register: Register) -> Config {
    let key = base.join("ledger.key");
    if !key.exists() {
        Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&key).status().unwrap();
        let secret = Command::new("openssl").args(["rand", "-base64", "32"]).output().unwrap().stdout;
        std::fs::write(base.join("subject.key"), secret).unwrap();
    }
    Config {
        folder: base.join(name),
        name: "gw-1.bench.example".to_owned(),
        journal_segment: 64 << 20,
        key,
        subject_key: base.join("subject.key"),
        subject_keys_old: Vec::new(),
        checkpoint_interval: Duration::from_secs(1),
        checkpoint_copy: None,
        register,
        database: None,
        gated: false,
        witnesses: kanhe::ledger::witness::Witnesses::default(),
        keys_old: Vec::new(),
        commit_timeout: Duration::from_secs(60),
        retention: kanhe::written::units::Years(3),
    }
}

fn main() {
    let seconds = std::env::var("KANHE_BENCH_SECONDS").map_or(5, |seconds| seconds.parse().unwrap());
    let place = std::env::var_os("KANHE_BENCH_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
    // A folder of its own, which it alone makes: it is removed at the end, and what stands beside it is somebody else's.
    let base = place.join(format!("kanhe-bench-ledger-{}", std::process::id()));
    std::fs::create_dir(&base).unwrap();
    println!("entries of {} bytes in {}", entry_length(), base.display());
    println!(
        "{:>8} {:>8} {:>12} {:>12} {:>14} {:>12} {:>12}",
        "register", "callers", "entries/s", "a batch", "µs processor", "p50 µs", "registered"
    );
    for (register, shown) in [(Register::Off, "off"), (Register::Sqlite, "on")] {
        for callers in [1, 32, 1024] {
            print!("{shown:>8} ");
            write(&config(&base, &format!("log-{shown}-{callers}"), register), callers, Duration::from_secs(seconds));
        }
    }
    judge(&config(&base, "log-off-1024", Register::Off));
    std::fs::remove_dir_all(&base).unwrap();
}

fn entry_length() -> usize {
    // The draft's length is that of the entry: its time has a fixed place.
    format!("{:?}", draft()).split("bytes: [").nth(1).unwrap().split(']').next().unwrap().split(", ").count()
}

/// So many callers, each with one entry on its way at a time.
fn write(config: &Config, callers: usize, time: Duration) {
    let ledger = Arc::new(Ledger::open(config, true).unwrap());
    let (ended, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let waited = Arc::new(std::sync::Mutex::new(Vec::new()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (begun, before) = (Instant::now(), processor());
    runtime.block_on(async {
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                let (ledger, ended, count, waited) = (ledger.clone(), ended.clone(), count.clone(), waited.clone());
                tokio::spawn(async move {
                    let mut own = Vec::new();
                    while !ended.load(Ordering::Relaxed) {
                        let asked = Instant::now();
                        let committed = ledger.append(draft()).unwrap().await.unwrap();
                        // A requester is told its receipt: the signature is part of the price.
                        std::hint::black_box(committed.receipt());
                        own.push(asked.elapsed());
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    waited.lock().unwrap().extend(own);
                })
            })
            .collect();
        std::thread::sleep(time);
        ended.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.unwrap();
        }
    });
    let (took, used) = (begun.elapsed().as_secs_f64(), processor() - before);
    let registered = ledger.register().map(|state| state.size);
    let (entries, batches) = (count.load(Ordering::Relaxed), ledger.stats().batches);
    let mut waited = waited.lock().unwrap();
    waited.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (entries, batches) = (entries as f64, batches as f64);
    let half = waited[waited.len() / 2].as_secs_f64() * 1e6;
    let registered = registered.map_or_else(|| "–".to_owned(), |rows| format!("{rows}"));
    println!(
        "{callers:>8} {:>12.0} {:>12.1} {:>14.1} {half:>12.0} {registered:>12}",
        entries / took,
        entries / batches,
        used / entries * 1e6
    );
    ledger.close();
}

/// The whole audit of what the last case wrote.
fn judge(config: &Config) {
    let (begun, before) = (Instant::now(), processor());
    let report = verify(&config.folder, &Options::default()).unwrap();
    assert_eq!(report.first_bad, None);
    let (took, used) = (begun.elapsed().as_secs_f64(), processor() - before);
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let size = report.size as f64;
    println!("verify: {size:.0} entries in {took:.2} s: {:.0} entries/s, {:.1} µs processor each", size / took, used / size * 1e6);
}
