//! Kept connections before an origin that is written out by hand.

use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// An origin; what it counts are connections.
struct ByHand {
    origin: Origin,
    connections: Arc<AtomicUsize>,
}

/// Answers each connection's requests in turn: each with one of `answers`, after the last of which it closes.
async fn by_hand(answers: &'static [&'static str]) -> ByHand {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                for answer in answers {
                    if !request_of(&mut stream).await {
                        return;
                    }
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    let time = Duration::from_secs(5);
    let origin =
        Origin { url, ca: None, certificate: None, key: None, connect_timeout: time, first_byte_timeout: time, idle_timeout: time };
    ByHand { origin, connections }
}

async fn request_of(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("get /data?a=1 http/1.1\r\n") && head.contains("\r\nhost: 127.0.0.1:"), "{head}");
    true
}

const SMALL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsmall\r\n0\r\n\r\n";

impl ByHand {
    async fn ask(&self, origins: &Origins) -> Result<Response<Answer>, Error> {
        let mut request = Request::new(Either::Left(Full::new(Bytes::new())));
        *request.uri_mut() = Uri::from_static("/data?a=1");
        origins.forward(Passage(()), &self.origin, request).await
    }

    async fn whole(&self, origins: &Origins) -> String {
        let mut answer = self.ask(origins).await.unwrap().into_body();
        let mut whole = Vec::new();
        while let Some(piece) = answer.piece().await {
            whole.extend_from_slice(&piece.unwrap());
        }
        String::from_utf8(whole).unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn origins() -> Origins {
    Origins::new(Path::new("."), Arc::default())
}

#[tokio::test]
async fn a_connection_serves_one_call_after_the_other() {
    let (origin, origins) = (by_hand(&[SMALL, CHUNKED, SMALL, CHUNKED]).await, origins());
    for _ in 0..4 {
        assert_eq!(origin.whole(&origins).await, "small");
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn calls_at_once_have_connections_of_their_own() {
    let (origin, origins) = (by_hand(&[SMALL, SMALL]).await, origins());
    for _ in 0..2 {
        let (a, b) = tokio::join!(origin.whole(&origins), origin.whole(&origins));
        assert_eq!((a.as_str(), b.as_str()), ("small", "small"));
    }
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_the_origin_closed_is_replaced() {
    let (origin, origins) = (by_hand(&[SMALL]).await, origins());
    for asked in 1..=20 {
        assert_eq!(origin.whole(&origins).await, "small");
        assert_eq!(origin.connections(), asked);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_read_to_its_end_closes_its_connection() {
    let (origin, origins) = (by_hand(&["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsmall", SMALL]).await, origins());
    let mut answer = origin.ask(&origins).await.unwrap().into_body();
    assert_eq!(answer.piece().await.unwrap().unwrap(), "small");
    drop(answer);
    assert!(origin.ask(&origins).await.is_ok());
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn an_origin_that_is_not_there_is_unreachable() {
    let (mut origin, origins) = (by_hand(&[]).await, origins());
    assert!(matches!(origin.ask(&origins).await, Err(Error::Unreachable(_))));
    origin.origin.url = "http://127.0.0.1:1".to_owned();
    assert!(matches!(origin.ask(&origins).await, Err(Error::Unreachable(_))));
}

#[tokio::test]
async fn an_answer_that_nobody_reads_leaves_its_connection_to_others() {
    const MISSING: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nsmall";
    const NOTHING: &str = "HTTP/1.1 204 No Content\r\n\r\n";
    let (origin, origins) = (by_hand(&[MISSING, NOTHING, SMALL]).await, origins());
    assert_eq!(origin.ask(&origins).await.unwrap().status(), 404);
    assert_eq!(origin.ask(&origins).await.unwrap().status(), 204);
    assert_eq!(origin.whole(&origins).await, "small");
    assert_eq!(origin.connections(), 1);
}
