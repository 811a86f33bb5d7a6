//! Witnesses: a log that somebody else has seen grow cannot be replaced by another. Two real processes, and curl.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::support::keys::ed25519_pem;
use super::support::{Gateway, World, eventually};

/// A witness as a process of its own.
struct Witness {
    child: Child,
    url: String,
    key: String,
}

impl Witness {
    /// Starts one that knows this log, on a port of its own or on one that a log was told of.
    fn start(world: &World, log: &str, port: u16) -> Self {
        let folder = world.folder.path();
        if !folder.join("secrets/witness.key").exists() {
            world.folder.write("secrets/witness.key", ed25519_pem());
        }
        let config = format!(
            "[witness]\nname = \"authority.example/witness\"\nlisten = \"127.0.0.1:{port}\"\nfolder = \"witness\"\nkey = \"secrets/witness.key\"\nlogs = [\"{log}\"]\n"
        );
        let config = world.folder.write("witness.toml", config);
        let mut child = command(&config, &["ledger", "witness", "--create"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.next().unwrap().strip_prefix("listening witness ").unwrap().to_owned();
        let key = lines.next().unwrap().strip_prefix("witness ").unwrap().to_owned();
        Self { child, url, key }
    }

    fn port(&self) -> u16 {
        self.url.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// curl's status, content type and content of a request with this content.
    fn curl(&self, path: &str, content: Option<&[u8]>) -> (u16, String, String) {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-w", "\n%{http_code} %{content_type}", &format!("{}{path}", self.url)]);
        if content.is_some() {
            curl.args(["--data-binary", "@-"]).stdin(Stdio::piped());
        }
        let mut child = curl.stdout(Stdio::piped()).spawn().unwrap();
        if let Some(content) = content {
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), content).unwrap();
        }
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let (content, status) = output.rsplit_once('\n').unwrap();
        let (status, kind) = status.split_once(' ').unwrap();
        (status.parse().unwrap(), kind.to_owned(), content.to_owned())
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.kill();
    }
}

fn command(config: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kanhe"));
    command.arg("--config").arg(config).args(args).stdin(Stdio::null());
    command
}

/// Serves once so that there is a log with its key; the key.
fn log_key(world: &World) -> String {
    world.serve().stop();
    std::fs::read_to_string(world.folder.path().join("ledger/log.vkey")).unwrap().trim().to_owned()
}

fn ask_for_witnesses(world: &World, witness: &Witness, grace: &str) {
    let config = std::fs::read_to_string(world.config()).unwrap();
    let more = format!("[[ledger.witnesses]]\nkey = \"{}\"\nurl = \"{}\"\n", witness.key, witness.url);
    let config = config
        .replace("[telemetry]", &format!("{more}[telemetry]"))
        .replace("retention =", &format!("witness_grace = \"{grace}\"\nretention ="));
    std::fs::write(world.config(), config).unwrap();
}

async fn share(gateway: &Gateway, world: &World) -> super::support::Answer {
    gateway.ask("GET", "/psb/population").token(&world.housing()).purpose("housing").send().await
}

/// Waits until a checkpoint of at least so many entries is witnessed; its note.
fn witnessed(world: &World, least: u64) -> String {
    let file: PathBuf = world.folder.path().join("ledger/checkpoint.witnessed");
    eventually("a witnessed checkpoint", || {
        let note = std::fs::read_to_string(&file).ok()?;
        (note.lines().nth(1)?.parse::<u64>().ok()? >= least).then_some(note)
    })
}

/// Checks a cosignature by hand, as C2SP tlog-cosignature writes it.
fn holds(note: &str, key: &str) -> bool {
    let (text, signatures) = note.rsplit_once("\n\n").unwrap();
    let mut parts = key.splitn(3, '+');
    let (name, id, typed) = (parts.next().unwrap(), parts.next().unwrap(), STANDARD.decode(parts.next().unwrap()).unwrap());
    assert_eq!(typed[0], 4);
    let line = signatures.lines().find_map(|line| line.strip_prefix(&format!("— {name} "))).expect("no line of the witness");
    let blob = STANDARD.decode(line).unwrap();
    assert_eq!(hex::encode(&blob[..4]), id);
    let time = u64::from_be_bytes(blob[4..12].try_into().unwrap());
    let message = format!("cosignature/v1\ntime {time}\n{text}\n");
    UnparsedPublicKey::new(&ED25519, &typed[1..]).verify(message.as_bytes(), &blob[12..]).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_cosigned_as_the_log_grows() {
    let world = World::new();
    let log = log_key(&world);
    let witness = Witness::start(&world, &log, 0);
    ask_for_witnesses(&world, &witness, "off");
    let gateway = world.serve();
    for _ in 0..3 {
        let receipt = share(&gateway, &world).await.receipt();
        let note = witnessed(&world, receipt.index + 1);
        assert!(holds(&note, &witness.key), "{note}");
    }
    let (status, _, newest) = witness.curl("/checkpoint?origin=gw-1.test.example", None);
    assert_eq!(status, 200);
    assert!(holds(&newest, &witness.key), "{newest}");
    let (_, metrics) = gateway.admin("/metrics");
    let line = metrics.lines().find(|line| line.starts_with("kanhe_ledger_witnessed_entries ")).unwrap();
    assert!(line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() > 0.0, "{line}");
    gateway.stop();
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_tells_how_much_of_the_log_is_witnessed() {
    let world = World::new();
    let log = log_key(&world);
    let mut witness = Witness::start(&world, &log, 0);
    let gateway = world.serve();
    assert_eq!(share(&gateway, &world).await.receipt().witnessed, None, "no witness was asked for");
    gateway.stop();
    ask_for_witnesses(&world, &witness, "off");
    let gateway = world.serve();
    let first = share(&gateway, &world).await.receipt();
    assert!(first.witnessed.unwrap() <= first.index, "a share cannot be witnessed before it is made");
    witnessed(&world, first.index + 1);
    let mut newest = share(&gateway, &world).await;
    while newest.receipt().witnessed.unwrap() <= first.index {
        newest = share(&gateway, &world).await;
    }
    let kept = newest.receipt().witnessed.unwrap();
    let receipt = world.folder.write("receipt.txt", newest.field("share-receipt"));
    let key = world.folder.path().join("ledger/log.vkey");
    let output =
        command(&world.config(), &["--format", "json", "ledger", "verify", "--receipt"]).arg(receipt).arg("--key").arg(key).output();
    let told: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!((&told["ok"], &told["told_witnessed"]), (&true.into(), &kept.into()), "{told}");
    assert_eq!(told["promises"]["witnessed"], false, "the field's word alone proves nothing");
    gateway.stop();
    witness.kill();
    let gateway = world.serve();
    assert!(share(&gateway, &world).await.receipt().witnessed.unwrap() >= kept, "a restart forgets nothing");
    gateway.stop();
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_witnesses_shares_stop_after_the_grace_period_and_go_on_by_themselves() {
    let world = World::new();
    let log = log_key(&world);
    let mut witness = Witness::start(&world, &log, 0);
    ask_for_witnesses(&world, &witness, "1s");
    let gateway = world.serve();
    let receipt = share(&gateway, &world).await.receipt();
    witnessed(&world, receipt.index + 1);
    let port = witness.port();
    witness.kill();
    assert_eq!(share(&gateway, &world).await.status, 200, "the grace period");
    let refused = loop {
        let answer = share(&gateway, &world).await;
        if answer.status != 200 {
            break answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    refused.refused(503, "ledger_unavailable");
    let (status, ready) = gateway.admin("/readyz");
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!((status, &ready["reasons"][0]["code"]), (503, &Value::from("witnesses_missing")));
    let _witness = Witness::start(&world, &log, port);
    eventually("shares go on", || (gateway.admin("/readyz").0 == 200).then_some(()));
    assert_eq!(share(&gateway, &world).await.status, 200);
    gateway.stop();
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_rewritten_and_signed_again_finds_no_witness() {
    let world = World::new();
    let log = log_key(&world);
    let witness = Witness::start(&world, &log, 0);
    ask_for_witnesses(&world, &witness, "1s");
    let gateway = world.serve();
    let receipt = share(&gateway, &world).await.receipt();
    let honest = witnessed(&world, receipt.index + 1);
    gateway.stop();
    // The operator holds every key, and begins the history anew.
    std::fs::rename(world.folder.path().join("ledger"), world.folder.path().join("old")).unwrap();
    let gateway = world.serve();
    while share(&gateway, &world).await.status == 200 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    eventually("the log tells of it", || {
        gateway.log().contains("did not cosign").then_some(()).or_else(|| gateway.log().contains("another history").then_some(()))
    });
    let (_, _, kept) = witness.curl("/checkpoint?origin=gw-1.test.example", None);
    assert!(kept.lines().nth(1).unwrap().parse::<u64>().unwrap() >= honest.lines().nth(1).unwrap().parse::<u64>().unwrap());
    assert!(!world.folder.path().join("ledger/checkpoint.witnessed").exists(), "nothing of the new history is witnessed");
}

#[test]
fn a_witness_answers_each_wrong_request_in_its_way() {
    let world = World::new();
    let log = log_key(&world);
    let witness = Witness::start(&world, &log, 0);
    let note = std::fs::read(world.folder.path().join("ledger/checkpoint")).unwrap();
    let request = |old: u64| [format!("old {old}\n\n").as_bytes(), &note].concat();
    let size: u64 = String::from_utf8_lossy(&note).lines().nth(1).unwrap().parse().unwrap();
    assert_eq!(witness.curl("/add-checkpoint", Some(b"old zero\n\n")).0, 400);
    assert_eq!(witness.curl("/add-checkpoint", Some(&request(size + 1))).0, 400);
    assert_eq!(witness.curl("/add-checkpoint", Some(&vec![b'x'; 100_000])).0, 413);
    let stranger = String::from_utf8(request(0)).unwrap().replace("gw-1.test.example\n", "gw-2.test.example\n");
    assert_eq!(witness.curl("/add-checkpoint", Some(stranger.as_bytes())).0, 404);
    let unsigned = String::from_utf8(request(0)).unwrap().replace(&format!("\n{size}\n"), &format!("\n{}\n", size + 1));
    assert_eq!(witness.curl("/add-checkpoint", Some(unsigned.as_bytes())).0, 403);
    assert_eq!(witness.curl("/checkpoint?origin=gw-1.test.example", None).0, 404);
    let (status, _, line) = witness.curl("/add-checkpoint", Some(&request(0)));
    assert_eq!(status, 200);
    assert!(line.starts_with("— authority.example/witness "), "{line}");
    let (status, kind, content) = witness.curl("/add-checkpoint", Some(&request(0)));
    assert_eq!((status, kind.as_str(), content), (409, "text/x.tlog.size", format!("{size}\n")));
}

#[test]
fn a_witness_says_what_is_wrong_with_its_configuration() {
    let world = World::new();
    let run = |config: &str, create: bool| {
        let path = world.folder.write("wrong.toml", config);
        let args: &[&str] = if create { &["ledger", "witness", "--create"] } else { &["ledger", "witness"] };
        let output = command(&path, args).args(["--lang", "en"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(run("", true).contains("`witness` is required"), "{}", run("", true));
    let log = log_key(&world);
    world.folder.write("secrets/witness.key", ed25519_pem());
    let good = format!(
        "[witness]\nname = \"w\"\nlisten = \"127.0.0.1:0\"\nfolder = \"nowhere\"\nkey = \"secrets/witness.key\"\nlogs = [\"{log}\"]\n"
    );
    assert!(run(&good, false).contains("--create"), "a lost memory is not begun anew by itself");
    for (from, to, told) in [
        ("name = \"w\"", "name = \"w w\"", "without spaces"),
        ("127.0.0.1:0", "0.0.0.0:0", "loopback"),
        (log.as_str(), "file:absent.vkey", "absent.vkey"),
        (log.as_str(), "nonsense", "verifier key"),
        ("logs = ", "log = ", "log"),
    ] {
        let told_of = run(&good.replace(from, to), true);
        assert!(told_of.contains("wrong.toml:") && told_of.contains(told), "{told_of}");
    }
}
