//! A client stricter than any real one: it knows every response field that may come, and judges every refusal's shape.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;

use super::keys::{Authority, Issued};
use super::{Gateway, World};

/// The HTTP version to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speak {
    Http1,
    Http2,
}

/// How to reach the gateway.
#[derive(Clone)]
pub struct Client {
    roots: Arc<RootCertStore>,
    encrypted: bool,
    speak: Speak,
    versions: &'static [&'static SupportedProtocolVersion],
    source: IpAddr,
    certificate: Option<(Vec<u8>, Vec<u8>)>,
}

/// Every response field that the contract knows, those of the version's own framing included.
const FIELDS: &[&str] = &[
    "content-type",
    "content-length",
    "content-language",
    "cache-control",
    "date",
    "share-receipt",
    "share-disclosure",
    "www-authenticate",
    "allow",
    "retry-after",
    "vary",
    "link",
    "transfer-encoding",
    "connection",
    "content-disposition",
    "x-content-type-options",
];

/// An open connection.
pub enum Connection {
    Http1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub fn new(world: &World, encrypted: bool) -> Self {
        let source = IpAddr::from([127, 0, 0, 1]);
        let roots = Arc::new(RootCertStore::empty());
        let client = Self { roots, encrypted, speak: Speak::Http1, versions: rustls::DEFAULT_VERSIONS, source, certificate: None };
        client.trusting(&world.authority)
    }

    /// Trusts this authority alone.
    pub fn trusting(mut self, authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(authority.der())).unwrap();
        self.roots = Arc::new(roots);
        self
    }

    /// Speaks this version of HTTP.
    pub fn speaking(self, speak: Speak) -> Self {
        Self { speak, ..self }
    }

    /// Offers these versions of TLS.
    pub fn offering(self, versions: &'static [&'static SupportedProtocolVersion]) -> Self {
        Self { versions, ..self }
    }

    /// Calls from this address.
    pub fn calling_from(self, source: [u8; 4]) -> Self {
        Self { source: source.into(), ..self }
    }

    /// Shows this certificate.
    pub fn showing(mut self, issued: &Issued) -> Self {
        self.certificate = Some((issued.der.clone(), issued.key_der.clone()));
        self
    }

    fn tls(&self) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(self.versions).unwrap();
        let builder = builder.with_root_certificates(self.roots.clone());
        let mut config = match &self.certificate {
            Some((certificate, key)) => {
                let key = PrivateKeyDer::try_from(key.clone()).unwrap();
                builder.with_client_auth_cert(vec![CertificateDer::from(certificate.clone())], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![if self.speak == Speak::Http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        config
    }

    /// Connects, over TLS where the gateway has it.
    pub async fn connect(&self, to: SocketAddr) -> std::io::Result<Connection> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.source, 0))?;
        let stream = socket.connect(to).await?;
        if !self.encrypted {
            return self.speak_on(stream).await;
        }
        let connector = tokio_rustls::TlsConnector::from(Arc::new(self.tls()));
        let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
        self.speak_on(stream).await
    }

    async fn speak_on<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: S) -> std::io::Result<Connection> {
        let io = TokioIo::new(stream);
        match self.speak {
            Speak::Http1 => {
                let (sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(std::io::Error::other)?;
                tokio::spawn(connection);
                Ok(Connection::Http1(sender))
            }
            Speak::Http2 => {
                let (sender, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(std::io::Error::other)?;
                tokio::spawn(connection);
                Ok(Connection::Http2(sender))
            }
        }
    }
}

impl Connection {
    /// Sends one request; the answer's content is still to come.
    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                *request.uri_mut() = request.uri().path_and_query().unwrap().as_str().parse().unwrap();
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                request.headers_mut().remove("host");
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Sends one request, or none where the connection had ended before a byte of it was sent: no call was made.
    pub async fn send_unless_ended(&mut self, mut request: Request<Full<Bytes>>) -> Option<hyper::Result<Response<Incoming>>> {
        let sent = match self {
            Self::Http1(sender) => {
                *request.uri_mut() = request.uri().path_and_query().unwrap().as_str().parse().unwrap();
                sender.ready().await.ok()?;
                sender.try_send_request(request).await
            }
            Self::Http2(sender) => {
                request.headers_mut().remove("host");
                sender.ready().await.ok()?;
                sender.try_send_request(request).await
            }
        };
        match sent {
            Ok(response) => Some(Ok(response)),
            Err(mut error) => error.take_message().is_none().then(|| Err(error.into_error())),
        }
    }
}

/// A call that is being put together.
pub struct Ask<'a> {
    gateway: &'a Gateway,
    client: Client,
    request: hyper::http::request::Builder,
    content: Bytes,
}

impl<'a> Ask<'a> {
    pub fn new(gateway: &'a Gateway, method: &str, target: &str) -> Self {
        let client = gateway.client();
        let uri = format!("{}://localhost{target}", if client.encrypted { "https" } else { "http" });
        let request = Request::builder().method(method).uri(uri).header("host", "localhost");
        Self { gateway, client, request, content: Bytes::new() }
    }

    pub fn by(mut self, client: &Client) -> Self {
        self.client = client.clone();
        self
    }

    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.field("authorization", format!("Bearer {token}"))
    }

    pub fn purpose(self, purpose: &str) -> Self {
        self.field("share-purpose", purpose)
    }

    pub fn json(mut self, content: impl Into<Bytes>) -> Self {
        self.content = content.into();
        self.field("content-type", "application/json")
    }

    /// The finished request.
    pub fn request(self) -> Request<Full<Bytes>> {
        self.request.body(Full::new(self.content)).unwrap()
    }

    /// Connects, sends, reads the whole answer and judges it.
    pub async fn send(self) -> Answer {
        let (client, address) = (self.client.clone(), self.gateway.address);
        let mut connection = client.connect(address).await.unwrap_or_else(|error| panic!("no connection: {error}"));
        let response = connection.send(self.request()).await.unwrap_or_else(|error| panic!("no answer: {error:?}"));
        let answer = Answer::read(response).await;
        assert!(answer.cut.is_none(), "the answer broke off: {:?}", answer.cut);
        answer
    }

    /// As [`send`](Self::send), for answers that may break off or never come: `None` where not even a head came.
    pub async fn attempt(self) -> Option<Answer> {
        let (client, address) = (self.client.clone(), self.gateway.address);
        let mut connection = client.connect(address).await.ok()?;
        Some(Answer::read(connection.send(self.request()).await.ok()?).await)
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub version: Version,
    pub fields: HeaderMap,
    pub content: Bytes,
    /// Why the content broke off, if it did.
    pub cut: Option<String>,
}

/// What `Share-Receipt` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub index: u64,
    pub leaf: String,
    /// How much of the log its witnesses had cosigned, where it has any.
    pub witnessed: Option<u64>,
}

impl Answer {
    /// Reads to the end; fields that no contract knows fail the test.
    pub async fn read(response: Response<Incoming>) -> Self {
        let (head, mut body) = response.into_parts();
        for name in head.headers.keys() {
            assert!(FIELDS.contains(&name.as_str()), "an unknown response field: {name}");
        }
        let (mut content, mut cut) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => content.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Err(error) => {
                    cut = Some(format!("{error:?}"));
                    break;
                }
            }
        }
        Self { status: head.status.as_u16(), version: head.version, fields: head.headers, content: content.into(), cut }
    }

    /// A field's only value.
    #[track_caller]
    pub fn field(&self, name: &str) -> &str {
        let values: Vec<_> = self.fields.get_all(name).iter().collect();
        assert_eq!(values.len(), 1, "one `{name}` in {self:?}");
        values[0].to_str().unwrap()
    }

    /// The content of a share, which must be one.
    #[track_caller]
    pub fn shared(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.content));
        assert_eq!(self.field("cache-control"), "private, no-store");
        serde_json::from_slice(&self.content).unwrap()
    }

    /// `Share-Receipt`, parsed strictly.
    #[track_caller]
    pub fn receipt(&self) -> Receipt {
        use base64::Engine;
        let item: sfv::Item = sfv::Parser::new(self.field("share-receipt")).parse().unwrap();
        assert_eq!(item.bare_item.as_string().unwrap().as_str(), "gw-1.test.example");
        let number = |name: &str| Some(u64::try_from(i64::from(item.params.get(name)?.as_integer().unwrap())).unwrap());
        let leaf = item.params["leaf"].as_byte_sequence().unwrap();
        assert_eq!(leaf.len(), 32);
        let leaf = base64::engine::general_purpose::STANDARD.encode(leaf);
        Receipt { index: number("index").unwrap(), leaf, witnessed: number("witnessed") }
    }

    /// The problem document of a refusal with this code, which must be one in every respect.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let text = String::from_utf8_lossy(&self.content);
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.field("content-type").split(';').next().unwrap(), "application/problem+json");
        let problem: Value = serde_json::from_slice(&self.content).unwrap();
        assert_eq!(problem["code"], code, "{text}");
        assert_eq!(problem["type"], format!("urn:kanhe:{code}"));
        assert_eq!(problem["status"], status);
        for text in ["title", "detail"] {
            assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        for member in problem.as_object().unwrap().keys() {
            assert!(["type", "title", "status", "detail", "code", "entry", "would_work"].contains(&member.as_str()), "{problem}");
        }
        assert_eq!(self.fields.contains_key("www-authenticate"), status == 401);
        assert_eq!(self.fields.contains_key("allow"), status == 405);
        problem
    }
}
