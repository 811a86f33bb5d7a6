//! The gateway as a process: from its start to the line that tells its snapshot, and its memory.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};

/// What was measured.
pub struct Run {
    /// From the start of the process to the line `snapshot …`.
    pub ready: Duration,
    /// Processor time until then, of all threads.
    pub work: Duration,
    /// Resident at rest, before any call.
    pub rest_kib: u64,
    /// The most that was resident while it reloaded.
    pub peak_kib: u64,
}

const CONFIG: &str = r#"
[gateway]
name = "bench.example"
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[control]
folder = "policies"
[disclosure]
pseudonym_key = "pseudonym.key"
[ledger]
folder = "ledger"
key = "ledger.key"
subject_key = "subject.key"
register = "off"
[[issuers]]
issuer = "https://iam.example"
audience = "kanhe"
jwks = "file:jwks.json"
algorithms = ["EdDSA"]
[telemetry]
log = "warn"
"#;

/// Starts it, reloads it with one grant changed, and stops it.
pub fn run(folder: &Path) -> Run {
    write_keys(folder);
    std::fs::write(folder.join("kanhe.toml"), CONFIG).expect("the configuration");
    let started = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kanhe"));
    command.args(["serve", "--create-ledger", "--config"]).arg(folder.join("kanhe.toml"));
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the gateway");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    lines.find(|line| line.starts_with("snapshot ")).expect("it is ready");
    let ready = started.elapsed();
    let pid = child.id();
    let work = processor_time(&format!("/proc/{pid}/stat"));
    // What the load let go of is given back to the system within a moment.
    std::thread::sleep(Duration::from_secs(1));
    let rest_kib = memory(pid, "VmRSS:");
    let changed = folder.join("policies/grants/000000.toml");
    let text = std::fs::read_to_string(&changed).expect("grants").replacen("申请0", "申请零", 1);
    std::fs::write(&changed, text).expect("grants");
    // The peak so far is that of the start.
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the peak is set back");
    let signal = |signal| kill_process(Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid"), signal).expect("a signal");
    signal(Signal::HUP);
    lines.next().filter(|line| line.starts_with("snapshot ")).expect("it reloads");
    let peak_kib = memory(pid, "VmHWM:");
    signal(Signal::TERM);
    child.wait().expect("it ends");
    Run { ready, work, rest_kib, peak_kib }
}

/// Processor time of a process, in the hundredths of a second that Linux counts.
pub fn processor_time(stat: &str) -> Duration {
    let stat = std::fs::read_to_string(stat).expect("the process is there");
    let (_, fields) = stat.rsplit_once(')').expect("its name");
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

fn memory(pid: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("the number");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("KiB")
}

fn write_keys(folder: &Path) {
    for name in ["pseudonym.key", "subject.key"] {
        std::fs::write(folder.join(name), STANDARD.encode(kanhe::sys::random::<32>())).expect("a key");
    }
    let ledger = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    std::fs::write(folder.join("ledger.key"), ledger.serialize_pem()).expect("a key");
    let jwk = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    std::fs::write(folder.join("jwks.json"), jwk).expect("a key set");
}
