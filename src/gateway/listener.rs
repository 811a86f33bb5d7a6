//! The gateway's listener: accepts, shakes hands, chooses the HTTP version by ALPN (plain listeners: by the first
//! bytes), and hands each connection to a worker. Every wait here has a bound.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, server};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_rustls::TlsAcceptor;

use super::patience::Patient;
use super::{Line, pipeline};
use crate::identity::mtls::PeerCertificate;

/// How long a closed connection is read on.
const LINGER: Duration = Duration::from_secs(1);
/// How long a connection that was taken just before the gateway stops has for its first request.
const FIRST: Duration = Duration::from_secs(2);

/// What every request of a connection shares.
#[derive(Debug)]
pub struct Connection {
    /// The caller's address.
    pub peer: SocketAddr,
    /// Its certificate, already verified against the departments' authority.
    pub certificate: Option<PeerCertificate>,
    /// Whether the connection is encrypted, for `Forwarded`.
    pub encrypted: bool,
}

/// What HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Http1,
    Http2,
}

/// The first bytes of HTTP/2's connection preface that no HTTP/1.1 method begins with.
const HTTP2_PREFACE: &[u8; 3] = b"PRI";

/// Serves one connection to its end. `stopping` turning true lets calls in flight finish and no new one begin.
pub async fn serve(line: Arc<Line>, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit, stopping: watch::Receiver<bool>) {
    let _place = place;
    // A socket without it only loses speed.
    let _ = stream.set_nodelay(true);
    match line.shared.tls() {
        Some(config) => serve_tls(line, TlsAcceptor::from(config), stream, peer, stopping).await,
        None => {
            let first = tokio::time::timeout(line.shared.limits.header_timeout, sniff(&stream)).await;
            let Ok(Ok(speaks)) = first else { return };
            let connection = Connection { peer, certificate: None, encrypted: false };
            speak(line, connection, speaks, stream, stopping).await;
        }
    }
}

async fn serve_tls(line: Arc<Line>, acceptor: TlsAcceptor, stream: TcpStream, peer: SocketAddr, stopping: watch::Receiver<bool>) {
    let stream = match tokio::time::timeout(line.shared.limits.tls_handshake, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "the TLS handshake failed"),
        Err(_) => return tracing::debug!(%peer, "the TLS handshake took too long"),
    };
    let (_, session) = stream.get_ref();
    let speaks = if session.alpn_protocol() == Some(b"h2") { Speaks::Http2 } else { Speaks::Http1 };
    let certificate = match session.peer_certificates().and_then(<[_]>::first).map(|der| PeerCertificate::from_der(der)) {
        Some(Err(error)) => return tracing::warn!(%peer, %error, "a verified client certificate could not be read"),
        Some(Ok(certificate)) => Some(certificate),
        None => None,
    };
    speak(line, Connection { peer, certificate, encrypted: true }, speaks, stream, stopping).await;
}

/// Which HTTP a plain connection speaks, without taking a byte.
async fn sniff(stream: &TcpStream) -> std::io::Result<Speaks> {
    let mut first = [0; HTTP2_PREFACE.len()];
    loop {
        let seen = stream.peek(&mut first).await?;
        if first[..seen] != HTTP2_PREFACE[..seen] || seen == 0 {
            return Ok(Speaks::Http1);
        }
        if seen == first.len() {
            return Ok(Speaks::Http2);
        }
        // `peek` answers at once while it has a byte; the caller bounds the whole wait.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn speak<S>(line: Arc<Line>, connection: Connection, speaks: Speaks, mut stream: S, mut stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = line.shared.limits.clone();
    let peer = connection.peer;
    let connection = Arc::new(connection);
    let heard = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        heard.store(true, Ordering::Relaxed);
        let (line, connection) = (line.clone(), connection.clone());
        async move {
            let shared = line.shared.clone();
            let mut response = pipeline::answer(line, connection, request).await;
            // HTTP/2 has a goodbye of its own, which loses no call.
            if speaks == Speaks::Http1 && shared.leaving.load(Ordering::Relaxed) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let io = TokioIo::new(Patient::new(&mut stream, limits.write_timeout));
    let outcome = match speaks {
        Speaks::Http1 => {
            let mut builder = server::conn::http1::Builder::new();
            // Beyond our own limits, so that a refusal has a document; hyper's own answers have none.
            builder.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
            builder.max_headers(limits.header_fields.saturating_mul(2).saturating_add(64));
            builder.max_buf_size(buffer_for(limits.header_size.saturating_add(limits.target_size)));
            let mut serving = std::pin::pin!(builder.serve_connection(io, service));
            tokio::select! {
                outcome = serving.as_mut() => outcome,
                () = stop(&mut stopping) => {
                    // Its first request may be on its way, and a shutdown would close what is unread.
                    let first = if heard.load(Ordering::Relaxed) { Duration::ZERO } else { FIRST };
                    match tokio::time::timeout(first, serving.as_mut()).await {
                        Ok(outcome) => outcome,
                        Err(_) => {
                            serving.as_mut().graceful_shutdown();
                            serving.await
                        }
                    }
                }
            }
        }
        Speaks::Http2 => {
            let mut builder = server::conn::http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).max_concurrent_streams(limits.streams);
            builder.max_header_list_size(u32::try_from(limits.header_size.saturating_mul(2)).unwrap_or(u32::MAX));
            builder.keep_alive_interval(Some(limits.header_timeout)).keep_alive_timeout(limits.header_timeout);
            builder.max_pending_accept_reset_streams(Some(20)).max_local_error_reset_streams(Some(128));
            let mut serving = std::pin::pin!(builder.serve_connection(io, service));
            tokio::select! {
                outcome = serving.as_mut() => outcome,
                () = stop(&mut stopping) => {
                    serving.as_mut().graceful_shutdown();
                    serving.await
                }
            }
        }
    };
    match outcome {
        Ok(()) => linger(&mut stream).await,
        Err(error) => tracing::debug!(%peer, %error, "a connection ended in an error"),
    }
}

/// A socket that is closed with something unread is reset, and the caller may lose the answer that was on its way: what it
/// still sends is read until it closes too (RFC 9112 section 9.6).
async fn linger<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut rest = [0; 1024];
    // Whoever does not close in time has had the answer by then.
    let _ = tokio::time::timeout(LINGER, async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} }).await;
}

fn buffer_for(bytes: u64) -> usize {
    usize::try_from(bytes.saturating_mul(2)).unwrap_or(usize::MAX).max(16 << 10)
}

async fn stop(stopping: &mut watch::Receiver<bool>) {
    // The sender lives as long as the gateway; its end is a stop too.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
