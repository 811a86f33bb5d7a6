//! The processes that are measured, and the origin behind them.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process that answers at an address; ended when dropped.
pub struct Running {
    child: Child,
    pub address: String,
    /// nginx answers in a worker below the process that was started.
    worker: bool,
}

impl Running {
    /// Processor time of the process (of nginx: of its worker) so far.
    pub fn processor_time(&self) -> Duration {
        let pid = if self.worker { worker_of(self.child.id()) } else { self.child.id() };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("a stat line").split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn worker_of(master: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).expect("the process is there");
    children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("nginx has a worker")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// nginx answering a fixed JSON of one record with 10 items, about 250 bytes.
pub fn nginx_origin(folder: &Path) -> Running {
    let items: Vec<String> = (0..10).map(|n| format!("\"item{n}\":\"value-{n}-abcd\"")).collect();
    let json = format!("{{\"data\":[{{{}}}]}}", items.join(","));
    nginx(folder, "origin", &format!("default_type application/json; return 200 '{json}';"))
}

/// nginx passing everything on, with kept connections to the origin.
pub fn nginx_proxy(folder: &Path, origin: &str) -> Running {
    let pass = "proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\";";
    nginx_with(folder, "proxy", pass, &format!("upstream origin {{ server {origin}; keepalive 64; }}"))
}

fn nginx(folder: &Path, name: &str, location: &str) -> Running {
    nginx_with(folder, name, location, "")
}

fn nginx_with(folder: &Path, name: &str, location: &str, more: &str) -> Running {
    let (port, path) = (free_port(), folder.join(format!("{name}.conf")));
    let temporary =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {}/{name}-{kind};", folder.display()));
    let conf = format!(
        "daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log stderr warn;\nevents {{ worker_connections 4096; }}\nhttp {{ {temporary} access_log off; keepalive_requests 100000000; {more}\nserver {{ listen 127.0.0.1:{port}; location / {{ {location} }} }} }}\n",
        folder = folder.display(),
        temporary = temporary.join(" "),
    );
    std::fs::write(&path, conf).expect("nginx's configuration");
    let child = Command::new("nginx").arg("-c").arg(&path).stderr(Stdio::null()).spawn();
    let child = child.unwrap_or_else(|error| panic!("nginx is needed for this benchmark (`apt-get install nginx-light`): {error}"));
    let address = format!("127.0.0.1:{port}");
    while std::net::TcpStream::connect(&address).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    Running { child, address, worker: true }
}

/// This program again, as the bare proxy.
pub fn bare_hyper(origin: &str) -> Running {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program).args(["--hyper-proxy", origin]).stdout(Stdio::piped()).spawn().expect("the bare proxy");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("its output")).read_line(&mut line).expect("its address");
    Running { child, address: line.trim().to_owned(), worker: false }
}

/// The gateway itself.
pub fn kanhe(config: &Path) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kanhe"));
    let mut child =
        command.arg("serve").arg("--create-ledger").arg("--config").arg(config).stdout(Stdio::piped()).spawn().expect("the gateway");
    let lines = BufReader::new(child.stdout.as_mut().expect("its output")).lines();
    let address = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("listening gateway http://").map(str::to_owned));
    Running { child, address: address.expect("the gateway listens"), worker: false }
}
