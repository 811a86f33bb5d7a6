//! An origin that misbehaves on purpose, byte by byte: one thread a connection, one script a path.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::{PATIENCE, long};

/// Waits of the scripts, and what tests tell them.
#[derive(Default)]
pub(super) struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

/// The misbehaving origin.
pub struct Scripted {
    pub address: SocketAddr,
    gate: Arc<Gate>,
    arrivals: AsyncMutex<UnboundedReceiver<String>>,
    last: Arc<Mutex<Last>>,
}

/// The request that came last.
#[derive(Default)]
struct Last {
    fields: Vec<String>,
    content: Vec<u8>,
}

pub(super) const ANSWER: &str = r#"{"data":[{"value":"seen"}]}"#;

impl Scripted {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (gate, (arrived, arrivals)) = (Arc::new(Gate::default()), unbounded_channel());
        let (shared, last) = (gate.clone(), Arc::new(Mutex::default()));
        let keeping = last.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (gate, arrived, kept) = (shared.clone(), arrived.clone(), keeping.clone());
                std::thread::spawn(move || serve(stream, &gate, &arrived, &kept));
            }
        });
        Self { address, gate, arrivals: AsyncMutex::new(arrivals), last }
    }

    /// Waits for the next request and gives its first line.
    pub async fn arrival(&self) -> String {
        let mut arrivals = self.arrivals.lock().await;
        timeout(PATIENCE, arrivals.recv()).await.expect("no request came to the origin").unwrap()
    }

    /// The content of the request that came last.
    pub fn content(&self) -> Vec<u8> {
        self.last.lock().unwrap().content.clone()
    }

    /// The header lines of the request that came last, in lower case.
    pub fn fields(&self) -> Vec<String> {
        self.last.lock().unwrap().fields.clone()
    }

    /// Whether no request came since the last one that was taken.
    pub async fn is_quiet(&self) -> bool {
        timeout(Duration::from_millis(50), self.arrivals.lock().await.recv()).await.is_err()
    }

    /// Lets go of every script that waits at `hold`.
    pub fn release(&self) {
        *self.gate.open.lock().unwrap() = true;
        self.gate.changed.notify_all();
    }
}

/// Scripts that wait are let go, so that their threads end.
impl Drop for Scripted {
    fn drop(&mut self) {
        self.release();
    }
}

fn serve(stream: TcpStream, gate: &Gate, arrived: &UnboundedSender<String>, last: &Mutex<Last>) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut length, mut fields) = (String::new(), 0_u64, Vec::new());
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            fields.push(line.trim_end().to_ascii_lowercase());
        }
        let mut content = Vec::new();
        if reader.by_ref().take(length).read_to_end(&mut content).is_err() {
            return;
        }
        *last.lock().unwrap() = Last { fields, content };
        let _ = arrived.send(first.trim_end().to_owned());
        let target = first.split(' ').nth(1).unwrap_or("").to_owned();
        match act(target.rsplit('/').next().unwrap_or(""), &mut writer, gate) {
            Ok(true) => {}
            _ => {
                let _ = writer.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}

/// Plays one script; whether the connection stays open.
fn act(script: &str, to: &mut TcpStream, gate: &Gate) -> std::io::Result<bool> {
    let mut whole = |status: &str, fields: &str, content: &[u8]| {
        write!(to, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{fields}\r\n", content.len())?;
        to.write_all(content)?;
        Ok(true)
    };
    let json = "content-type: application/json\r\n";
    match script {
        "type" => whole("200 OK", "content-type: text/html\r\n", b"<p>secret-of-origin</p>"),
        "untyped" => whole("200 OK", "", ANSWER.as_bytes()),
        "gzip" => whole("200 OK", "content-type: application/json\r\ncontent-encoding: gzip\r\n", b"\x1f\x8bsecret-of-origin"),
        "redirect" => whole("302 Found", "location: http://127.0.0.1:1/secret-of-origin\r\n", b""),
        "partial" => whole("206 Partial Content", "content-type: application/json\r\ncontent-range: bytes 0-5/90\r\n", ANSWER.as_bytes()),
        "missing" => whole("404 Not Found", json, br#"{"error":"secret-of-origin"}"#),
        "broken" => whole("500 Internal Server Error", json, br#"{"error":"secret-of-origin"}"#),
        "duplicate" => whole("200 OK", json, br#"{"data":[{"value":"a","val\u0075e":"secret-of-origin"}]}"#),
        "trailing" => whole("200 OK", json, br#"{"data":[{"value":"a"}]}{"data":"secret-of-origin"}"#),
        "utf8" => whole("200 OK", json, b"{\"data\":[{\"value\":\"secret-of-origin\xff\"}]}"),
        "three" => whole("200 OK", json, br#"{"data":[{"value":1},{"value":2},{"value":3}]}"#),
        "fields" => whole(
            "200 OK",
            concat!(
                "content-type: application/json\r\netag: \"secret-of-origin\"\r\nlast-modified: secret-of-origin\r\n",
                "set-cookie: secret-of-origin=b\r\nx-secret: 1\r\ncontent-digest: sha-256=:secret-of-origin:\r\n",
                "repr-digest: sha-256=:secret-of-origin:\r\ndigest: secret-of-origin\r\ncontent-md5: secret-of-origin\r\n",
                "content-location: /secret-of-origin\r\nlocation: /secret-of-origin\r\nlink: </secret-of-origin>\r\n",
                "content-disposition: attachment; filename=secret-of-origin\r\naccept-ranges: bytes\r\nage: 5\r\n",
                "cache-control: public, max-age=99\r\nexpires: secret-of-origin\r\nvary: secret-of-origin\r\n",
            ),
            ANSWER.as_bytes(),
        ),
        "huge" => {
            let long = format!(r#"{{"data":[{{"value":"{}"}}]}}"#, "a".repeat(5 << 20));
            whole("200 OK", json, long.as_bytes())
        }
        "cut" => {
            write!(to, "HTTP/1.1 200 OK\r\n{json}content-length: 500\r\n\r\n{{\"data\":[{{\"value\":\"secret-of-origin\"")?;
            Ok(false)
        }
        "close" => {
            write!(to, "HTTP/1.1 200 OK\r\n{json}connection: close\r\n\r\n{{\"data\":[{{\"value\":\"secret-of-origin\"")?;
            Ok(false)
        }
        "opaque-close" => {
            write!(to, "HTTP/1.1 200 OK\r\ncontent-type: application/zip\r\nconnection: close\r\n\r\nhalf of secret-of-origin")?;
            Ok(false)
        }
        "late" => {
            write!(to, "HTTP/1.1 200 OK\r\ncontent-type: application/zip\r\ncontent-length: 8388608\r\n\r\n")?;
            to.write_all(&vec![b'x'; 1 << 20])?;
            Ok(false)
        }
        "slow-head" => wait(gate).map(|()| false),
        "slow-content" => {
            write!(to, "HTTP/1.1 200 OK\r\n{json}content-length: 500\r\n\r\n{{\"data\":[")?;
            wait(gate).map(|()| false)
        }
        "drop" => Ok(false),
        "hold" => {
            write!(to, "HTTP/1.1 200 OK\r\n{json}content-length: {}\r\n\r\n{{", ANSWER.len())?;
            wait(gate)?;
            to.write_all(&ANSWER.as_bytes()[1..])?;
            Ok(true)
        }
        "endless" => {
            write!(to, "HTTP/1.1 200 OK\r\ncontent-type: application/zip\r\ntransfer-encoding: chunked\r\n\r\n")?;
            let piece = vec![b'x'; 64 << 10];
            loop {
                write!(to, "{:x}\r\n", piece.len())?;
                to.write_all(&piece)?;
                to.write_all(b"\r\n")?;
            }
        }
        _ if long::SCRIPTS.contains(&script) || script.starts_with("late-") => long::act(script, to, gate),
        _ => whole("200 OK", json, ANSWER.as_bytes()),
    }
}

pub(super) fn wait(gate: &Gate) -> std::io::Result<()> {
    let open = gate.open.lock().unwrap();
    drop(gate.changed.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap());
    Ok(())
}
