//! Our log before somebody else's eyes, and theirs before ours: Go's `golang.org/x/mod/sumdb`, from Debian's packages.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use kanhe::ledger::bundle::Signed;
use kanhe::ledger::entry::{Settled, Share};
use kanhe::ledger::{Config, Ledger};
use serde_json::{Value, json};

use super::support::folder::Folder;
use super::support::keys::{ed25519_pem, secret};

/// The Go program, built once into the build's folder.
fn go_program() -> PathBuf {
    let build = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("interop-go");
    std::fs::create_dir_all(&build).unwrap();
    // Each test takes its own away at its end.
    let program = build.join(format!("sumdb-{}", hex::encode(kanhe::sys::random::<8>())));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/interop/main.go");
    let mut command = Command::new("go");
    command.args(["build", "-o"]).arg(&program).arg(source);
    // Debian's packages alone: nothing is fetched.
    command.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOCACHE", build.join("cache")).env("GOFLAGS", "");
    let built = command.output().expect("go is not installed: run tests/run");
    assert!(built.status.success(), "golang-golang-x-mod-dev may be missing: run tests/run; {}", String::from_utf8_lossy(&built.stderr));
    program
}

fn run(program: &Path, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap()
}

fn verify(folder: &Path, more: &[&str]) -> (Option<i32>, Value) {
    let key = folder.join("log.vkey").display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kanhe"));
    let output = command.args(["--format", "json", "ledger", "verify", "--key", &key]).args(more).output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}

/// A ledger of ours with `count` shares, half of them in one batch; its folder, a bundle and a receipt.
async fn ours(folder: &Folder, count: usize) -> (PathBuf, Value, String) {
    folder.write("ledger.key", ed25519_pem());
    folder.write("subject.key", secret());
    let at = |name: &str| folder.path().join(name);
    let config = Config {
        folder: at("ledger"),
        name: "gw-1.interop.example".to_owned(),
        journal_segment: 1 << 20,
        key: at("ledger.key"),
        subject_key: at("subject.key"),
        subject_keys_old: Vec::new(),
        checkpoint_interval: Duration::from_secs(1),
        checkpoint_copy: None,
        register: kanhe::ledger::Register::Off,
        database: None,
        gated: false,
        witnesses: kanhe::ledger::witness::Witnesses::default(),
        keys_old: Vec::new(),
        commit_timeout: Duration::from_secs(60),
        retention: kanhe::written::units::Years(3),
    };
    let ledger = Arc::new(Ledger::open(&config, true).unwrap());
    let mut receipt = String::new();
    for half in 0..2 {
        let reserved: Vec<_> = (0..count / 2).map(|_| ledger.reserve().unwrap()).collect();
        let pending: Vec<_> = (0..count / 2)
            .map(|n| {
                let id = format!("{half:016x}{n:016x}");
                ledger
                    .append(Share { id: &id, requester: Some("housing-app"), case: Some("业务 1"), ..Share::default() }.draft().unwrap())
                    .unwrap()
            })
            .collect();
        for (pending, settling) in pending.into_iter().zip(reserved) {
            let committed = pending.await.unwrap();
            receipt = committed.receipt();
            let settled = Settled { id: "ab", receipt_of: committed.index, outcome: "complete", ..Settled::default() };
            settling.settle(settled.draft().unwrap(), Some([1; 32]));
        }
    }
    ledger.close();
    let note = ledger.checkpoint();
    let bundle = Signed::of(&config.folder, &note).unwrap().bundle(3).unwrap().unwrap();
    (config.folder, serde_json::to_value(&bundle).unwrap(), receipt)
}

#[tokio::test(flavor = "multi_thread")]
async fn gos_sumdb_accepts_our_log_bundles_and_receipts_and_refuses_them_changed() {
    let (folder, program) = (Folder::new(), go_program());
    let (ledger, bundle, receipt) = ours(&folder, 700).await;
    folder.write("bundle.json", bundle.to_string());
    folder.write("receipt", &receipt);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (bundle_path, receipt_path, ledger_path) = (path("bundle.json"), path("receipt"), ledger.display().to_string());
    let check = |bundle: &str, receipt: &str| run(&program, &["check", &ledger_path, bundle, receipt]);
    let output = check(&bundle_path, &receipt_path);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1400 entries\n");

    // The judge is one that can say no.
    let mut other = bundle.clone();
    other["proof"][0] = other["proof"][1].clone();
    folder.write("other.json", other.to_string());
    assert!(!check(&path("other.json"), &receipt_path).status.success());
    let index = receipt.split("index=").nth(1).unwrap().split(';').next().unwrap();
    folder.write("other", receipt.replacen(&format!("count={}", count_of(&receipt)), &format!("count={}", count_of(&receipt) + 1), 1));
    assert!(!check(&bundle_path, &path("other")).status.success(), "{index}");
    let tile = ledger.join("tile/entries/002");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    assert!(!check(&bundle_path, &receipt_path).status.success());
    std::fs::remove_file(program).unwrap();
}

fn count_of(receipt: &str) -> u64 {
    receipt.split("count=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap()
}

#[test]
fn a_log_and_a_bundle_made_by_gos_sumdb_are_accepted_here_and_refused_changed() {
    let (folder, program) = (Folder::new(), go_program());
    for count in ["1", "255", "256", "257", "1000", "66000"] {
        let log = folder.path().join(format!("go-{count}"));
        let output = run(&program, &["make", &log.display().to_string(), count]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (code, report) = verify(&log, &["--ledger", &log.display().to_string()]);
        assert_eq!((code, &report["ok"], &report["size"].to_string()), (Some(0), &json!(true), &count.to_owned()), "{report}");
        let bundle = log.join("bundle.json");
        let (code, found) = verify(&log, &["--receipt", &bundle.display().to_string(), "--log", &log.display().to_string()]);
        assert_eq!((code, &found["promises"]["included"]), (Some(0), &json!(true)), "{found}");
        let text = std::fs::read_to_string(&bundle).unwrap().replace(r#""index":"#, r#""index":1"#);
        std::fs::write(&bundle, text).unwrap();
        assert_eq!(verify(&log, &["--receipt", &bundle.display().to_string()]).0, Some(1));
    }
    let log = folder.path().join("go-1000");
    let tile = log.join("tile/0/001");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[32 * 44] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    let (code, report) = verify(&log, &["--ledger", &log.display().to_string()]);
    assert_eq!((code, &report["first_bad"]["index"]), (Some(1), &json!(300)));
    std::fs::remove_file(program).unwrap();
}
