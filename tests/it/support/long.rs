//! Scripts of the misbehaving origin about rewritten answers: large ones, those that fail late, lines and tables.

use std::io::Write;
use std::net::TcpStream;

use super::scripted::{ANSWER, Gate, wait};

/// The scripts here; those that begin with `late-` are too.
pub const SCRIPTS: &[&str] = &[
    "many",
    "short",
    "long",
    "br",
    "zstd",
    "unchanged",
    "no-content",
    "head",
    "created",
    "trailers",
    "lines",
    "lines-close",
    "table",
    "table-ragged",
    "lines-cut",
    "lines-chunks-cut",
    "table-cut",
    "table-chunks-cut",
    "table-close",
    "number",
    "number-close",
];

/// Plays one script; whether the connection stays open.
pub(super) fn act(script: &str, to: &mut TcpStream, gate: &Gate) -> std::io::Result<bool> {
    let mut whole = |status: &str, fields: &str, content: &[u8]| {
        write!(to, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{fields}\r\n", content.len())?;
        to.write_all(content)?;
        Ok(true)
    };
    let json = "content-type: application/json\r\n";
    match script {
        "many" => whole("200 OK", json, many().as_bytes()),
        "short" => {
            // The length is that of a part, which its content shows.
            write!(to, "HTTP/1.1 200 OK\r\n{json}content-length: 9\r\n\r\n{ANSWER}")?;
            Ok(false)
        }
        "long" => {
            write!(to, "HTTP/1.1 200 OK\r\n{json}content-length: 900\r\n\r\n{ANSWER}")?;
            Ok(false)
        }
        "br" => whole("200 OK", "content-type: application/json\r\ncontent-encoding: br\r\n", b"secret-of-origin"),
        "zstd" => whole("200 OK", "content-type: application/json\r\ncontent-encoding: zstd\r\n", b"secret-of-origin"),
        "number" => whole("200 OK", json, b"12"),
        "number-close" => {
            write!(to, "HTTP/1.1 200 OK\r\n{json}connection: close\r\n\r\n12")?;
            Ok(false)
        }
        "unchanged" => {
            write!(to, "HTTP/1.1 304 Not Modified\r\netag: \"secret-of-origin\"\r\n\r\n")?;
            Ok(true)
        }
        "no-content" => {
            write!(to, "HTTP/1.1 204 No Content\r\netag: \"secret-of-origin\"\r\n\r\n")?;
            Ok(true)
        }
        "head" => {
            write!(to, "HTTP/1.1 200 OK\r\n{json}content-length: 31415\r\nlast-modified: secret-of-origin\r\n\r\n")?;
            Ok(true)
        }
        "created" => whole("201 Created", "content-type: application/json\r\nlocation: /secret-of-origin\r\n", ANSWER.as_bytes()),
        "trailers" => {
            write!(to, "HTTP/1.1 200 OK\r\n{json}trailer: x-secret\r\ntransfer-encoding: chunked\r\n\r\n")?;
            write!(to, "{:x}\r\n{ANSWER}\r\n0\r\nx-secret: secret-of-origin\r\n\r\n", ANSWER.len())?;
            Ok(true)
        }
        "lines" => whole(
            "200 OK",
            "content-type: application/x-ndjson\r\n",
            b"{\"value\":1,\"secret\":\"secret-of-origin\"}\n{\"id_number\":\"990102199003071234\"}\n",
        ),
        "lines-close" => {
            write!(to, "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n{{\"value\":1}}\n")?;
            Ok(false)
        }
        "table" => whole(
            "200 OK",
            "content-type: text/csv; charset=utf-8\r\n",
            b"value,secret,id_number\r\n\"a,b\",secret-of-origin,990102199003071234\r\nc,secret-of-origin,12\r\n",
        ),
        "table-ragged" => whole("200 OK", "content-type: text/csv\r\n", b"value,secret\r\nsecret-of-origin\r\n"),
        "lines-cut" | "lines-chunks-cut" => part(script, to, "application/x-ndjson", "{\"value\":1}\n{\"value\":2}\n"),
        "table-cut" | "table-chunks-cut" | "table-close" => part(script, to, "text/csv", "value,id_number\r\n1,990102199003071234\r\n"),
        _ => late(script, to, gate),
    }
}

/// A part that ends where a record does: nothing in it says that it is one.
fn part(script: &str, to: &mut TcpStream, content_type: &str, content: &str) -> std::io::Result<bool> {
    let fields = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n");
    match script.split_once('-').map_or("", |(_, how)| how) {
        "cut" => write!(to, "{fields}content-length: {}\r\n\r\n{content}", content.len() + 1)?,
        "chunks-cut" => write!(to, "{fields}transfer-encoding: chunked\r\n\r\n{:x}\r\n{content}\r\n", content.len())?,
        _ => write!(to, "{fields}connection: close\r\n\r\n{content}")?,
    }
    Ok(false)
}

/// A megabyte and more of records.
pub fn many() -> String {
    let record = |number| format!(r#"{{"value":"v{number:06}","id_number":"990102199003071234","secret":"secret-of-origin"}}"#);
    format!(r#"{{"data":[{}]}}"#, (0..RECORDS).map(record).collect::<Vec<_>>().join(","))
}

/// How many.
pub const RECORDS: usize = 20_000;

/// [`many`], failing near its end in this way: what is read at once does not reach from the held head to there.
fn late(script: &str, to: &mut TcpStream, gate: &Gate) -> std::io::Result<bool> {
    let whole = many();
    let head = |to: &mut TcpStream, length: usize| {
        write!(to, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n")
    };
    match script {
        "late-cut" => {
            head(to, whole.len())?;
            to.write_all(&whole.as_bytes()[..whole.len() / 20 * 19])?;
            Ok(false)
        }
        "late-slow" => {
            head(to, whole.len())?;
            to.write_all(&whole.as_bytes()[..whole.len() / 20 * 19])?;
            wait(gate).map(|()| false)
        }
        "late-close" => {
            write!(to, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")?;
            to.write_all(&whole.as_bytes()[..whole.len() / 20 * 19])?;
            Ok(false)
        }
        // Whole, and yet a part by its own length.
        "late-long" => {
            head(to, whole.len() + 1)?;
            to.write_all(whole.as_bytes())?;
            Ok(false)
        }
        "late-short" => {
            head(to, whole.len() - 1)?;
            to.write_all(&whole.as_bytes()[..whole.len() - 1])?;
            Ok(true)
        }
        "late-trailing" => {
            head(to, whole.len() + 2)?;
            write!(to, "{whole}{{}}")?;
            Ok(true)
        }
        "late-bad" | "late-twice" | "late-utf8" => {
            let spoil = match script {
                "late-bad" => &b"secret-of-origin\x01"[..],
                "late-twice" => b"\",\"a\":1,\"a\":\"secret-of-origin",
                _ => b"\xff",
            };
            let at = whole.find("v019000").unwrap();
            let bytes = [&whole.as_bytes()[..at], spoil, &whole.as_bytes()[at..]].concat();
            head(to, bytes.len())?;
            to.write_all(&bytes)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}
