//! One fetch of a key set: HTTP/1.1 over TLS to an authority of our own choosing, bounded in time and size, status 200
//! or nothing (a redirect is an error).

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, CONTENT_ENCODING, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::identity::issuer::RemoteJwks;
use crate::lang::Text;

/// The largest key set that is read.
const SET_LARGEST: usize = 256 << 10;

/// Fetches the set's bytes.
pub(super) async fn fetch(remote: &RemoteJwks, connector: &TlsConnector) -> Result<Bytes, Text> {
    let late = |_| Text::new("获取密钥超时", "fetching the keys took too long");
    tokio::time::timeout(remote.timeout, fetch_untimed(remote, connector)).await.map_err(late)?
}

async fn fetch_untimed(remote: &RemoteJwks, connector: &TlsConnector) -> Result<Bytes, Text> {
    let failed = |error: &dyn std::fmt::Display| Text::new(format!("获取密钥失败：{error}"), format!("fetching the keys failed: {error}"));
    let host = remote.url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let stream = TcpStream::connect((&*host, remote.url.port_u16().unwrap_or(443))).await.map_err(|error| failed(&error))?;
    let name = ServerName::try_from(host).map_err(|error| failed(&error))?;
    let stream = connector.connect(name, stream).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    // Ends when `sender` is dropped, whatever the outcome here.
    tokio::spawn(connection);
    let authority = remote.url.authority().map_or("", |authority| authority.as_str());
    let target = remote.url.path_and_query().map_or("/", |target| target.as_str());
    let request = Request::get(target).header(HOST, authority).header(ACCEPT, "application/jwk-set+json, application/json");
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| failed(&error))?;
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    if response.status() != StatusCode::OK {
        return Err(failed(&format_args!("status {}", response.status().as_u16())));
    }
    if response.headers().contains_key(CONTENT_ENCODING) {
        return Err(failed(&"the answer is encoded"));
    }
    let body = Limited::new(response.into_body(), SET_LARGEST).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| failed(&error))
}
