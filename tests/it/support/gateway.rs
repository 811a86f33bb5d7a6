//! The gateway as a process: started on a world, told things by signals, killed with its test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process};

use super::{Ask, Client, PATIENCE, World, eventually};

/// A gateway that is ready.
pub struct Gateway {
    child: Mutex<Child>,
    lines: Mutex<Receiver<String>>,
    log: PathBuf,
    /// Where requesters call.
    pub address: SocketAddr,
    /// Where it is watched.
    pub admin: SocketAddr,
    /// The digest of the snapshot that it started with.
    pub snapshot: String,
    client: Client,
}

impl Gateway {
    /// Starts it, creating a ledger where there is none.
    pub fn start(world: &World) -> Self {
        let mut command = world.command(&["serve"]);
        if !world.folder.path().join("ledger/checkpoint").exists() {
            command.arg("--create-ledger");
        }
        Self::of(command, world)
    }

    /// Starts `command`, which serves this world.
    pub fn of(mut command: Command, world: &World) -> Self {
        let log = world.folder.path().join("gateway.log");
        let stderr = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let (told, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| told.send(line).ok()));
        let next = |prefix: &str| {
            let line =
                lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it did not start: {}", std::fs::read_to_string(&log).unwrap()));
            line.strip_prefix(prefix).unwrap_or_else(|| panic!("expected `{prefix}…`, read `{line}`")).to_owned()
        };
        let at = |url: String| url.split_once("://").unwrap().1.trim_end_matches('/').parse::<SocketAddr>().unwrap();
        let gateway = next("listening gateway ");
        let client = Client::new(world, gateway.starts_with("https://"));
        let (address, admin, snapshot) = (at(gateway), at(next("listening admin ")), next("snapshot "));
        assert!(snapshot.starts_with("sha256:") && snapshot.len() == 71, "{snapshot}");
        Self { child: Mutex::new(child), lines: Mutex::new(lines), log, address, admin, snapshot, client }
    }

    /// The next line on standard output.
    pub fn line(&self) -> String {
        self.lines.lock().unwrap().recv_timeout(PATIENCE).expect("no further line came")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Asks for a reload and gives the line that tells how it went.
    pub fn reload(&self) -> String {
        self.signal(Signal::HUP);
        self.line()
    }

    /// Kills it as a loss of power would, as far as a process can feel one.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// How it ended, once it has.
    pub fn ended(&self) -> ExitStatus {
        eventually("the gateway ends", || self.child.lock().unwrap().try_wait().unwrap())
    }

    /// Stops it in good order.
    pub fn stop(&self) {
        self.signal(Signal::TERM);
        let status = self.ended();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// A client that trusts this gateway.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A call, by the usual client.
    pub fn ask(&self, method: &str, target: &str) -> Ask<'_> {
        Ask::new(self, method, target)
    }

    /// Status and content of a GET on the admin listener.
    pub fn admin(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.admin).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// Status and content of a GET on the admin listener, with this token.
    pub fn admin_as(&self, path: &str, token: Option<&str>) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        let authorization = token.map_or(String::new(), |token| format!("authorization: Bearer {token}\r\n"));
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\n{authorization}connection: close\r\n\r\n", self.admin).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
        let status = String::from_utf8_lossy(&answer[..head]).split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer[head + 4..].to_vec())
    }

    /// A number of `/proc/PID/status`, in KiB.
    pub fn memory(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            eprintln!("--- the gateway's last lines, newest first\n{}", tail.join("\n"));
        }
    }
}
