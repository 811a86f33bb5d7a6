//! The client. In a closed loop every connection asks again as soon as it is answered, which shows what a proxy can do;
//! in an open model requests come at a fixed rate whatever happens, and each one's time counts from when it was due, so
//! that a proxy that stalls is charged for everybody who would have waited (no coordinated omission).

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What is asked of whom.
#[derive(Clone)]
pub struct Ask {
    pub address: String,
    pub method: &'static str,
    pub path: &'static str,
    /// Asked in turn.
    pub tokens: Arc<Vec<String>>,
    pub status: u16,
    pub tls: Option<Arc<rustls::ClientConfig>>,
    pub speaks: Speaks,
}

/// How.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1 over kept connections.
    Http1,
    /// HTTP/1.1, a new connection each time.
    Fresh,
    /// HTTP/2, eight streams to a connection.
    Http2,
}

/// Streams to one HTTP/2 connection.
const STREAMS: usize = 8;

impl Ask {
    fn token(&self, number: usize) -> &str {
        &self.tokens[number % self.tokens.len()]
    }

    /// The request's bytes in HTTP/1.1; every call has a case of its own.
    fn head(&self, number: usize) -> Vec<u8> {
        let (method, path, token) = (self.method, self.path, self.token(number));
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nShare-Purpose: bench;case=\"2026-{number:08}\"\r\n{length}\r\n")
            .into_bytes()
    }
}

/// Asks `requests` times over `connections` connections, from request number `first` on; the first wrong answer, if any.
pub async fn closed(ask: &Ask, connections: usize, first: usize, requests: usize) -> Result<(), String> {
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(first));
    let last = first + requests;
    let mut set = tokio::task::JoinSet::new();
    let tasks = if ask.speaks == Speaks::Http2 { connections.div_ceil(STREAMS) } else { connections };
    for _ in 0..tasks {
        let (ask, next) = (ask.clone(), next.clone());
        let take = move || Some(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)).filter(|number| *number < last);
        set.spawn(async move {
            match ask.speaks {
                Speaks::Http1 => {
                    let mut stream = connect(&ask).await?;
                    while let Some(number) = take() {
                        exchange(&mut stream, &ask, number).await?;
                    }
                    Ok(())
                }
                Speaks::Fresh => {
                    while let Some(number) = take() {
                        exchange(&mut connect(&ask).await?, &ask, number).await?;
                    }
                    Ok(())
                }
                Speaks::Http2 => http2(&ask, take).await,
            }
        });
    }
    set.join_all().await.into_iter().collect()
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn connect(ask: &Ask) -> Result<Box<dyn Stream>, String> {
    let stream = TcpStream::connect(&ask.address).await.map_err(|error| format!("connect: {error}"))?;
    stream.set_nodelay(true).ok();
    match &ask.tls {
        None => Ok(Box::new(stream)),
        Some(config) => {
            let name = ServerName::try_from("localhost").expect("a name");
            let stream = TlsConnector::from(config.clone()).connect(name, stream).await;
            Ok(Box::new(stream.map_err(|error| format!("handshake: {error}"))?))
        }
    }
}

async fn exchange(stream: &mut dyn Stream, ask: &Ask, number: usize) -> Result<(), String> {
    stream.write_all(&ask.head(number)).await.map_err(|error| format!("write: {error}"))?;
    let mut buffer = Vec::with_capacity(64 << 10);
    let mut answer = Reading::default();
    loop {
        buffer.clear();
        if stream.read_buf(&mut buffer).await.map_err(|error| format!("read: {error}"))? == 0 {
            return Err("closed".to_owned());
        }
        if answer.takes(&buffer)? {
            return answer.judge(ask.status);
        }
    }
}

async fn http2(ask: &Ask, take: impl Fn() -> Option<usize> + Clone + Send + 'static) -> Result<(), String> {
    let stream = connect(ask).await?;
    let (sender, driver) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|error| format!("handshake: {error}"))?;
    tokio::spawn(driver);
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..STREAMS {
        let (mut sender, ask, take) = (sender.clone(), ask.clone(), take.clone());
        set.spawn(async move {
            while let Some(number) = take() {
                let request = hyper::Request::builder()
                    .method(ask.method)
                    .uri(format!("https://localhost{}", ask.path))
                    .header("authorization", format!("Bearer {}", ask.token(number)))
                    .header("share-purpose", format!("bench;case=\"2026-{number:08}\""))
                    .body(Empty::<Bytes>::new())
                    .expect("a request");
                sender.ready().await.map_err(|error| error.to_string())?;
                let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
                let status = answer.status().as_u16();
                let content = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
                if status != ask.status {
                    return Err(format!("{status}: {}", String::from_utf8_lossy(&content)));
                }
            }
            Ok(())
        });
    }
    set.join_all().await.into_iter().collect()
}

/// What ends chunked content; nothing follows it until the next request.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// One HTTP/1.1 answer as it comes, by its declared length or its last chunk; of its content only a beginning and the last
/// bytes are kept.
#[derive(Default)]
struct Reading {
    seen: Vec<u8>,
    /// Status and length with the head; none: chunked.
    head: Option<(u16, Option<usize>)>,
    got: usize,
    tail: Vec<u8>,
}

impl Reading {
    fn takes(&mut self, bytes: &[u8]) -> Result<bool, String> {
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(LAST_CHUNK.len())..]);
        self.tail.drain(..self.tail.len().saturating_sub(LAST_CHUNK.len()));
        if let Some((_, whole)) = self.head {
            self.got += bytes.len();
            return Ok(self.is_whole(whole));
        }
        self.seen.extend_from_slice(bytes);
        self.got = self.seen.len();
        let Some(end) = self.seen.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(false) };
        let text = String::from_utf8_lossy(&self.seen[..end]).to_ascii_lowercase();
        let length = text.split("content-length:").nth(1).and_then(|rest| rest.split("\r\n").next()?.trim().parse::<usize>().ok());
        let status = text.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(|| text.clone())?;
        let whole = match length {
            Some(length) => Some(end + 4 + length),
            None if text.contains("transfer-encoding: chunked") => None,
            None => return Err(format!("no length: {text}")),
        };
        self.head = Some((status, whole));
        Ok(self.is_whole(whole))
    }

    fn is_whole(&self, whole: Option<usize>) -> bool {
        whole.map_or(self.tail == LAST_CHUNK, |whole| self.got >= whole)
    }

    fn judge(&self, expected: u16) -> Result<(), String> {
        match self.head {
            Some((status, _)) if status == expected => Ok(()),
            _ => Err(String::from_utf8_lossy(&self.seen).into_owned()),
        }
    }
}

/// Asks at `rate` a second for `time`, over `connections` plain HTTP/1.1 connections in turn; each answer's time, sorted.
pub fn open(ask: &Ask, connections: usize, rate: f64, time: Duration) -> Result<Vec<Duration>, String> {
    // Everybody connects before the first request is due.
    let begin = Instant::now() + Duration::from_millis(200);
    let every = Duration::from_secs_f64(connections as f64 / rate);
    let threads: Vec<_> = (0..connections)
        .map(|number| {
            let ask = ask.clone();
            let mine = begin + every.mul_f64(number as f64 / connections as f64);
            std::thread::spawn(move || on_schedule(&ask, number * 1_000_000, mine, every, begin + time))
        })
        .collect();
    let mut all = Vec::new();
    for thread in threads {
        all.extend(thread.join().map_err(|_| "a client panicked".to_owned())??);
    }
    all.sort_unstable();
    Ok(all)
}

fn on_schedule(ask: &Ask, first: usize, begin: Instant, every: Duration, end: Instant) -> Result<Vec<Duration>, String> {
    let mut stream = std::net::TcpStream::connect(&ask.address).map_err(|error| error.to_string())?;
    stream.set_nodelay(true).ok();
    let (mut times, mut due, mut number) = (Vec::new(), begin, first);
    let mut buffer = vec![0; 64 << 10];
    while due < end {
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        stream.write_all(&ask.head(number)).map_err(|error| error.to_string())?;
        let mut answer = Reading::default();
        loop {
            let read = stream.read(&mut buffer).map_err(|error| error.to_string())?;
            if read == 0 {
                return Err("closed".to_owned());
            }
            if answer.takes(&buffer[..read])? {
                break;
            }
        }
        answer.judge(ask.status)?;
        times.push(due.elapsed());
        due += every;
        number += 1;
    }
    Ok(times)
}
