//! The demo's own client: it makes the very call that the printed `curl` line makes, and keeps the answer whole.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use super::Trouble;
use super::config::GOVERNMENT;
use super::folder::Folder;
use super::keys::Keys;
use crate::lang::Lang;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a call carries.
#[derive(Clone, Debug)]
enum Content {
    Json(Value),
    /// A file in the demo's folder.
    File(&'static str),
}

/// A call, and all that the `curl` line for it must say.
#[derive(Clone, Debug)]
pub(super) struct Call {
    method: Method,
    path: &'static str,
    token: Option<&'static str>,
    purpose: Option<String>,
    content: Option<Content>,
    from_government: bool,
    certificate: bool,
}

impl Call {
    /// Reads.
    pub(super) fn get(path: &'static str) -> Self {
        Self { method: Method::GET, path, token: None, purpose: None, content: None, from_government: false, certificate: false }
    }

    /// Asks with a content, in which the person's number belongs: addresses end up in logs.
    pub(super) fn post(path: &'static str, content: Value) -> Self {
        Self { method: Method::POST, content: Some(Content::Json(content)), ..Self::get(path) }
    }

    /// Hands over a file of the demo's folder.
    pub(super) fn post_file(path: &'static str, file: &'static str) -> Self {
        Self { method: Method::POST, content: Some(Content::File(file)), ..Self::get(path) }
    }

    /// With the token in `tokens/NAME.jwt`.
    pub(super) fn token(self, name: &'static str) -> Self {
        Self { token: Some(name), ..self }
    }

    /// For this scenario.
    pub(super) fn purpose(self, purpose: impl Into<String>) -> Self {
        Self { purpose: Some(purpose.into()), ..self }
    }

    /// From the address that counts as the government network.
    pub(super) fn over_government_network(self) -> Self {
        Self { from_government: true, ..self }
    }

    /// With the housing system's client certificate.
    pub(super) fn certificate(self) -> Self {
        Self { certificate: true, ..self }
    }

    /// The same call as a line to copy.
    pub(super) fn curl(&self, base: &str, folder: &Folder, lang: Lang) -> String {
        let root = folder.root().display();
        let mut line = String::from("curl -sS -i");
        // Writing to a String cannot fail.
        if base.starts_with("https:") {
            let _ = write!(line, " --cacert {root}/ca.pem");
        }
        if self.from_government {
            let _ = write!(line, " --interface {GOVERNMENT}");
        }
        if self.certificate {
            let _ = write!(line, " --cert {root}/certs/housing-app.pem --key {root}/secrets/housing-app.key");
        }
        if let Some(token) = self.token {
            let _ = write!(line, " \\\n  -H \"Authorization: Bearer $(cat {root}/tokens/{token}.jwt)\"");
        }
        if let Some(purpose) = &self.purpose {
            let _ = write!(line, " -H 'Share-Purpose: {purpose}'");
        }
        let _ = write!(line, " -H 'Accept-Language: {}'", lang.tag());
        match &self.content {
            Some(Content::Json(content)) => {
                let _ = write!(line, " \\\n  -H 'Content-Type: application/json' -d '{content}'");
            }
            Some(Content::File(name)) => {
                let _ = write!(line, " \\\n  -H 'Content-Type: text/plain' --data-binary @{root}/{name}");
            }
            None => {}
        }
        let _ = write!(line, " \\\n  '{base}{}'", self.path);
        line
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: u16,
    /// The fields.
    pub(super) fields: HeaderMap,
    /// The content.
    pub(super) content: Bytes,
}

impl Answer {
    /// The content as JSON; null where it is not.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.content).unwrap_or_default()
    }

    /// A field's text; empty where it is absent.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The index in `Share-Receipt`.
    pub(super) fn receipt(&self) -> Option<u64> {
        self.field("share-receipt").split(';').find_map(|part| part.trim().strip_prefix("index=")?.parse().ok())
    }
}

/// Trusts the demo's own authority and nobody else.
pub(super) struct Client {
    plain: TlsConnector,
    certified: TlsConnector,
    folder: PathBuf,
}

impl Client {
    /// A client for the demo in `folder`.
    pub(super) fn new(keys: &Keys, folder: &Folder) -> Result<Self, Trouble> {
        let failed = |error: rustls::Error| Trouble::new(format!("客户端无法启动：{error}"), format!("the client cannot start: {error}"));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(keys.ca.clone())).map_err(failed)?;
        let builder = || {
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map(|builder| builder.with_root_certificates(roots.clone()))
        };
        let plain = builder().map_err(failed)?.with_no_client_auth();
        let (certificate, key) = &keys.client;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.clone()));
        let certified = builder()
            .and_then(|builder| builder.with_client_auth_cert(vec![CertificateDer::from(certificate.clone())], key))
            .map_err(failed)?;
        Ok(Self {
            plain: TlsConnector::from(Arc::new(plain)),
            certified: TlsConnector::from(Arc::new(certified)),
            folder: folder.root().to_owned(),
        })
    }

    /// Makes the call on a connection of its own, as `curl` does.
    pub(super) async fn send(&self, base: &str, call: &Call, lang: Lang) -> Result<Answer, Trouble> {
        let request = self.request(base, call, lang)?;
        let failed = |why: String| {
            Trouble::new(format!("调用 {base}{} 失败：{why}", call.path), format!("calling {base}{} failed: {why}", call.path))
        };
        let answered = async {
            let stream = connect(request.uri(), call.from_government).await.map_err(|error| error.to_string())?;
            if request.uri().scheme_str() != Some("https") {
                return exchange(stream, request).await.map_err(|error| error.to_string());
            }
            let connector = if call.certificate { &self.certified } else { &self.plain };
            let name = ServerName::from(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
            exchange(stream, request).await.map_err(|error| error.to_string())
        };
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(answer) => answer.map_err(failed),
            Err(_) => Err(failed(format!("{} s", PATIENCE.as_secs()))),
        }
    }

    fn token(&self, name: &str) -> Result<String, Trouble> {
        self.file(&format!("tokens/{name}.jwt"))
    }

    fn file(&self, name: &str) -> Result<String, Trouble> {
        let path = self.folder.join(name);
        std::fs::read_to_string(&path).map_err(|error| {
            Trouble::new(format!("无法读取 `{}`：{error}", path.display()), format!("cannot read `{}`: {error}", path.display()))
        })
    }

    fn request(&self, base: &str, call: &Call, lang: Lang) -> Result<Request<Full<Bytes>>, Trouble> {
        let uri = format!("{base}{}", call.path);
        let authority = base.split_once("://").map_or(base, |(_, authority)| authority);
        let mut request = Request::builder().method(&call.method).uri(&uri).header(HOST, authority).header(ACCEPT_LANGUAGE, lang.tag());
        if let Some(token) = call.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", self.token(token)?));
        }
        if let Some(purpose) = &call.purpose {
            request = request.header("share-purpose", purpose);
        }
        let (kind, content) = match &call.content {
            Some(Content::Json(content)) => (Some("application/json"), content.to_string()),
            Some(Content::File(name)) => (Some("text/plain"), self.file(name)?),
            None => (None, String::new()),
        };
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        request
            .body(Full::new(Bytes::from(content)))
            .map_err(|error| Trouble::new(format!("`{uri}` 不能作为请求：{error}"), format!("`{uri}` is no request: {error}")))
    }
}

async fn connect(uri: &Uri, from_government: bool) -> std::io::Result<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if from_government {
        let address: Ipv4Addr = GOVERNMENT.parse().map_err(std::io::Error::other)?;
        socket.bind(SocketAddr::from((address, 0)))?;
    }
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, uri.port_u16().unwrap_or(443)))).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    mut request: Request<Full<Bytes>>,
) -> hyper::Result<Answer> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Its error reaches the caller through the answer that then stays away.
    tokio::spawn(connection);
    // HTTP/1.1 asks in origin form (RFC 9112 section 3.2.1).
    if let Some(target) = request.uri().path_and_query().and_then(|target| target.as_str().parse().ok()) {
        *request.uri_mut() = target;
    }
    let (head, content) = sender.send_request(request).await?.into_parts();
    let content = content.collect().await?.to_bytes();
    Ok(Answer { status: head.status.as_u16(), fields: head.headers, content })
}
