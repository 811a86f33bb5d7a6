//! How fast recorded decisions are decided again: `cargo bench --bench replay -- [CALLS]` (default 100,000). A ledger is
//! written by the gateway's own binding, decision and commit over the shipped control folder, then replayed under the
//! same folder as candidate, under one without its forbids, and under the entries' own snapshot.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark stops at the first surprise, prints its table and reads the clock"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use kanhe::catalogue::route::Target;
use kanhe::config::Config;
use kanhe::identity::{Credential, CredentialKind, Subject};
use kanhe::ledger::Ledger;
use kanhe::purpose::bind::bind;
use kanhe::purpose::stated::Stated;
use kanhe::replay::{Range, replay, self_check};
use kanhe::share::{Facts, Recorder};
use kanhe::snapshot::Snapshot;
use kanhe::sys;

/// Entries on their way to the disk at a time.
const UNDER_WAY: u64 = 2_000;

const CONFIG: &str = r#"[gateway]
name = "gw-1.bench.example"
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[[issuers]]
issuer = "https://iam.example"
audience = "kanhe"
jwks = "file:jwks.json"
algorithms = ["ES256"]
typ = ["at+jwt"]
claims = { requester = "sub", department = "department", operator = "operator", operator_roles = "operator_roles", operator_clearance = "operator_clearance", roles = "roles" }
bound = "off"
[control]
folder = "policies"
[disclosure]
pseudonym_key = "secret.key"
[ledger]
folder = "ledger"
key = "ledger.key"
subject_key = "secret.key"
register = "off"
"#;

fn main() {
    let calls = std::env::args().skip(1).find_map(|word| word.parse::<u64>().ok()).unwrap_or(100_000);
    let folder = std::env::temp_dir().join(format!("kanhe-replay-{}", std::process::id()));
    prepare(&folder);
    let config = Config::read(&folder.join("kanhe.toml")).expect("the configuration is read");
    let (snapshot, _) = Snapshot::load(&folder.join("policies")).expect("the folder loads");
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(write(&config, &snapshot, calls));
    println!("{calls} calls written in {:.1} s", started.elapsed().as_secs_f64());

    let (tighter, _) = Snapshot::load(&without_forbids(&folder)).expect("the candidate loads");
    let ledger = folder.join("ledger");
    for (what, candidate) in [("the same policies", &snapshot), ("without the forbids", &tighter)] {
        let (started, used) = (Instant::now(), processor_time());
        let report = replay(&ledger, candidate, Range::default(), &|_| {}).expect("the ledger is read");
        assert_eq!(report.replayed, calls);
        told(what, calls, started, used);
        println!("    {} groups of changes, widens: {}", report.changes.len(), report.widens());
    }
    let (started, used) = (Instant::now(), processor_time());
    let found = self_check(&ledger, Range::default(), &|_| {}).expect("the ledger is read");
    assert_eq!((found.same, found.differ.len()), (calls, 0));
    told("self-check", calls, started, used);
    std::fs::remove_dir_all(&folder).expect("the folder is removed");
}

fn told(what: &str, calls: u64, started: Instant, used: f64) {
    let (wall, used) = (started.elapsed().as_secs_f64(), processor_time() - used);
    let (rate, each) = (calls as f64 / wall, used * 1e6 / calls as f64);
    println!("{what}: {wall:.2} s, {rate:.0} decisions a second, {each:.1} µs of processor time each");
}

/// Of this process, in seconds, all threads.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("the process reads its own state");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

fn prepare(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let secret = base64::prelude::BASE64_STANDARD.encode([7; 32]);
    for (name, text) in [("kanhe.toml", CONFIG), ("ledger.key", &key.serialize_pem()), ("secret.key", &secret)] {
        std::fs::write(folder.join(name), text).expect("a file");
    }
    copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/policies")), &folder.join("policies"));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

fn without_forbids(folder: &Path) -> PathBuf {
    let candidate = folder.join("candidate");
    copy(&folder.join("policies"), &candidate);
    std::fs::remove_file(candidate.join("housing.cedar")).expect("it is there");
    std::fs::remove_dir_all(candidate.join("tests")).expect("it is there");
    candidate
}

/// Records `calls` granted calls: three requesters, every access level of operators, with and without a case, from two
/// networks and four thousand addresses.
async fn write(config: &Config, snapshot: &Snapshot, calls: u64) {
    let ledger = Arc::new(Ledger::open(&config.ledger, true).expect("a new ledger"));
    ledger.store_snapshot(snapshot.hex(), &snapshot.files, None).expect("the snapshot is kept");
    let recorder = Recorder::new(ledger.clone());
    let networks: [Arc<str>; 2] = ["government".into(), "other".into()];
    let kinds = [
        ("housing-app", "psb.population", "housing"),
        ("housing-app", "mca.divisions", "housing"),
        ("stats-app", "tax.enterprise", "macro-control"),
    ];
    for number in 0..calls {
        let (requester, resource, scenario) = kinds[usize::try_from(number % 3).expect("it is small")];
        let subject = subject(snapshot, requester, i64::try_from(number % 5).expect("it is small"));
        let resource = snapshot.catalogue.resources[resource].clone();
        let target = Target { operation: resource.operations[0].clone(), resource, parameters: Vec::new() };
        let stated = Stated { scenario: scenario.to_owned(), case: (number % 2 == 0).then(|| format!("2026-{number}")) };
        let (time, source) = (
            sys::now(),
            std::net::IpAddr::from([
                10,
                0,
                u8::try_from(number / 256 % 16).expect("it is small"),
                u8::try_from(number % 256).expect("it is small"),
            ]),
        );
        let bound = bind(snapshot.registered(), &subject, &target, Some(&stated), time).expect("the call is bound");
        let network = &networks[usize::from(number % 7 < 3)];
        let circumstances = snapshot.circumstances(&bound, time, source, network);
        let permit = snapshot.policies.decide(&subject, &target, &bound, &circumstances).expect("the call is let pass");
        let facts = Facts {
            subject: &subject,
            target: &target,
            bound: &bound,
            circumstances: &circumstances,
            snapshot: &snapshot.digest,
            data_subject: None,
        };
        let (_, pending, settlement) = recorder.commit(permit, &facts, None).expect("the call is recorded");
        drop(settlement);
        if number % UNDER_WAY == 0 {
            let _ = pending.durable().await.expect("the entry is durable");
        }
    }
    recorder.stopped().await;
    drop(recorder);
    ledger.close();
}

fn subject(snapshot: &Snapshot, requester: &str, operator_clearance: i64) -> Subject {
    let requester = snapshot.parties.requesters[requester].value.clone();
    Subject {
        department: requester.department.clone(),
        roles: requester.roles.clone(),
        requester,
        operator: Some("op-1".into()),
        operator_roles: BTreeSet::new(),
        operator_clearance,
        credential: Credential {
            kind: CredentialKind::Jwt,
            issuer: Some("https://iam.example".into()),
            kid: Some("k1".into()),
            fingerprint: [1; 32],
        },
        bound: false,
        scope: None,
    }
}
