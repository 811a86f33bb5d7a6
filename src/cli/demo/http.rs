//! A small HTTP/1.1 server on a free port of this machine, plain or over TLS, for the departmental APIs and the issuer.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::Trouble;

/// The most that a caller may send: these servers are asked for one person at a time.
const MAX_CONTENT: usize = 64 * 1024;

/// One call, read whole.
pub(super) struct Asked {
    /// The method.
    pub(super) method: Method,
    /// The target.
    pub(super) uri: Uri,
    /// The content.
    pub(super) content: Bytes,
}

impl Asked {
    /// The value of a query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.uri.query()?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What a server says to a call.
pub(super) type Answering = Arc<dyn Fn(&Asked) -> (StatusCode, Value) + Send + Sync>;

/// Serves until the runtime ends, and says on which port.
pub(super) async fn serve(tls: Option<TlsAcceptor>, answering: Answering) -> Result<u16, Trouble> {
    let failed = |error| Trouble::new(format!("无法监听本机端口：{error}"), format!("cannot listen on this machine: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    tokio::spawn(async move {
        // An error here is the caller's broken connection, or no room for one more: the next may do.
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, tls.clone(), Arc::clone(&answering)));
            }
        }
    });
    Ok(port)
}

async fn connection(stream: tokio::net::TcpStream, tls: Option<TlsAcceptor>, answering: Answering) {
    match tls {
        None => speak(stream, answering).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                speak(stream, answering).await;
            }
        }
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, answering: Answering) {
    let service = service_fn(move |request| answer(request, Arc::clone(&answering)));
    let mut server = hyper::server::conn::http1::Builder::new();
    // Whoever breaks a connection off has his reasons; the gateway under demonstration logs its own side.
    let _ = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, answering: Answering) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, content) = request.into_parts();
    let (status, value) = match Limited::new(content, MAX_CONTENT).collect().await {
        Ok(content) => answering(&Asked { method: head.method, uri: head.uri, content: content.to_bytes() }),
        Err(_) => (StatusCode::BAD_REQUEST, serde_json::json!({ "message": "content cannot be read" })),
    };
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
