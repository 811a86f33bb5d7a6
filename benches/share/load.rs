//! The client: plain HTTP/1.1 over kept connections, each asking again as soon as it is answered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is asked of whom.
pub struct Request {
    pub address: String,
    pub token: String,
    pub path: &'static str,
}

/// How it went.
pub struct Answered {
    pub good: usize,
    pub wrong: Option<String>,
}

/// Asks `requests` times over `connections` connections.
pub async fn run(request: &Request, connections: usize, requests: usize) -> Answered {
    let left = Arc::new(AtomicUsize::new(requests));
    let (good, wrong) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None)));
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\nShare-Purpose: bench;case=\"2026-000123\"\r\n\r\n",
        request.path, request.token
    );
    let tasks = (0..connections).map(|_| {
        let (left, good, wrong, head, address) = (left.clone(), good.clone(), wrong.clone(), head.clone(), request.address.clone());
        async move {
            let mut stream = TcpStream::connect(&address).await.expect("the proxy accepts");
            stream.set_nodelay(true).ok();
            let mut buffer = Vec::with_capacity(8192);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                stream.write_all(head.as_bytes()).await.expect("the proxy reads");
                match answer(&mut stream, &mut buffer).await {
                    Ok(()) => _ = good.fetch_add(1, Ordering::Relaxed),
                    Err(text) => {
                        wrong.lock().expect("no panic").get_or_insert(text);
                        return;
                    }
                }
            }
        }
    });
    let mut set = tokio::task::JoinSet::new();
    tasks.for_each(|task| _ = set.spawn(task));
    set.join_all().await;
    let wrong = wrong.lock().expect("no panic").take();
    Answered { good: good.load(Ordering::Relaxed), wrong }
}

/// Reads one answer with a declared length.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(), String> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await.map_err(|error| error.to_string())? == 0 {
            return Err("closed".to_owned());
        }
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let length: usize =
            head.split("content-length:").nth(1).and_then(|rest| rest.split("\r\n").next()?.trim().parse().ok()).ok_or(head.clone())?;
        if buffer.len() >= end + 4 + length {
            return if head.starts_with("http/1.1 200") { Ok(()) } else { Err(String::from_utf8_lossy(buffer).into_owned()) };
        }
    }
}
