//! The department's API: step 7 of the line. A pooled client that takes a `Passage`, which is made from a recorded
//! intent and a safe method, or from a receipt; nothing reaches an origin without one. Redirects are never followed.

mod pool;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::ConfigBuilderExt;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use pool::{Failure, Link, Pool};

use crate::catalogue::Origin;
use crate::share::{Intent, Receipt};

/// Why an origin gave no answer. Texts are for the log.
#[derive(Debug)]
pub enum Error {
    /// It could not be reached, or broke off before its head.
    Unreachable(String),
    /// It took longer than its catalogue entry allows.
    Timeout(&'static str),
    /// The caller's content was larger than the limit.
    ContentTooLarge(u64),
    /// The caller's content did not arrive whole.
    ContentBroken,
}

/// What an origin's client cannot be built from.
#[derive(Debug)]
pub struct ClientError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: String,
}

/// The right to ask an origin. Only a recorded intent or a receipt makes one:
///
/// ```compile_fail,E0423
/// let passage = kanhe::origin::Passage(());
/// ```
///
/// and without one nothing is forwarded:
///
/// ```compile_fail,E0061
/// use kanhe::origin::{Origins, RequestContent};
/// async fn forward(origins: &Origins, origin: &kanhe::catalogue::Origin, request: hyper::Request<RequestContent>) {
///     let _ = origins.forward(origin, request).await;
/// }
/// ```
#[must_use]
pub struct Passage(());

impl Passage {
    /// Ahead of the receipt: only with a safe method (RFC 9110 section 9.2.1), so that the call overlaps the sync.
    pub fn ahead(_intent: &Intent, method: &Method) -> Option<Self> {
        method.is_safe().then_some(Self(()))
    }

    /// With the share on record.
    pub fn recorded(_receipt: &Receipt) -> Self {
        Self(())
    }
}

/// Content of a request to an origin.
pub type RequestContent = Either<Full<Bytes>, Guarded>;

/// The clients of all origins, by what their catalogue entries say. One a worker: a pool is driven by one runtime.
#[derive(Debug)]
pub struct Origins {
    base: PathBuf,
    files: Arc<AtomicU64>,
    clients: Mutex<Clients>,
}

/// Clients, and which reading of certificates and keys they were built from.
#[derive(Debug, Default)]
struct Clients {
    files: u64,
    by_origin: HashMap<Origin, Arc<OriginClient>>,
}

/// A pooled client of one origin.
#[derive(Debug)]
struct OriginClient {
    pool: Arc<Pool>,
    host: HeaderValue,
}

impl Origins {
    /// No clients yet; relative paths of certificates and keys start at `base`. When `files` grows, clients are built
    /// anew; calls under way keep theirs.
    pub fn new(base: &Path, files: Arc<AtomicU64>) -> Self {
        Self { base: base.to_owned(), files, clients: Mutex::default() }
    }

    /// Builds the client of `origin`, or says which file stands in the way.
    pub fn prepare(&self, origin: &Origin) -> Result<(), ClientError> {
        self.client(origin).map(drop)
    }

    fn client(&self, origin: &Origin) -> Result<Arc<OriginClient>, ClientError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.files.load(Ordering::Relaxed);
        if clients.files != files {
            *clients = Clients { files, ..Clients::default() };
        }
        if let Some(client) = clients.by_origin.get(origin) {
            return Ok(client.clone());
        }
        let client = Arc::new(OriginClient::new(origin, &self.base)?);
        clients.by_origin.insert(origin.clone(), client.clone());
        Ok(client)
    }

    /// Step 7: asks the origin.
    pub async fn forward(&self, _passage: Passage, origin: &Origin, request: Request<RequestContent>) -> Result<Response<Answer>, Error> {
        let client = self.client(origin).map_err(|error| Error::Unreachable(format!("{}: {}", error.path.display(), error.error)))?;
        let asked = tokio::time::timeout(origin.first_byte_timeout, client.ask(request)).await;
        let (answer, link) = asked.map_err(|_| Error::Timeout("no head in time"))?.map_err(|error| classify(&*error))?;
        let lease = Some(Lease { link, pool: client.pool.clone() });
        Ok(answer.map(|incoming| Answer { incoming, idle: Idle::new(origin.idle_timeout), lease }))
    }
}

impl OriginClient {
    fn new(origin: &Origin, base: &Path) -> Result<Self, ClientError> {
        let unusable = || wrong(Path::new(&origin.url), "not an absolute URL");
        let uri: Uri = origin.url.parse().map_err(|_| unusable())?;
        let host = host_field(&uri).ok_or_else(unusable)?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(origin.connect_timeout));
        let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls(origin, base)?);
        let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
        Ok(Self { pool: Arc::new(Pool::new(connector, uri)), host })
    }

    async fn ask(&self, mut request: Request<RequestContent>) -> Result<(Response<Incoming>, Box<Link>), Failure> {
        request.headers_mut().insert(HOST, self.host.clone());
        let again = replay(&request);
        match self.pool.ask(request).await {
            // A kept connection that the origin closed meanwhile; asked again once, where that is harmless.
            Err((error, true))
                if is_stale(&*error)
                    && let Some(request) = again =>
            {
                self.pool.ask(request).await.map_err(|(error, _)| error)
            }
            asked => asked.map_err(|(error, _)| error),
        }
    }
}

/// The port is left out where it is the scheme's own (RFC 9110 section 4.2.3).
fn host_field(uri: &Uri) -> Option<HeaderValue> {
    let authority = uri.authority()?;
    let own = matches!((uri.scheme_str(), authority.port_u16()), (Some("http"), Some(80)) | (Some("https"), Some(443)));
    HeaderValue::from_str(if own { authority.host() } else { authority.as_str() }).ok()
}

fn tls(origin: &Origin, base: &Path) -> Result<rustls::ClientConfig, ClientError> {
    let builder = rustls::ClientConfig::builder();
    let builder = match &origin.ca {
        Some(ca) => {
            let path = base.join(ca);
            let mut roots = rustls::RootCertStore::empty();
            for certificate in certificates(&path)? {
                roots.add(certificate).map_err(|error| wrong(&path, error))?;
            }
            builder.with_root_certificates(roots)
        }
        None if origin.url.starts_with("https:") => {
            builder.with_native_roots().map_err(|error| wrong(Path::new("the system's certificates"), error))?
        }
        None => builder.with_root_certificates(rustls::RootCertStore::empty()),
    };
    match (&origin.certificate, &origin.key) {
        (Some(certificate), Some(key)) => {
            let key_path = base.join(key);
            let key = PrivateKeyDer::from_pem_file(&key_path).map_err(|error| wrong(&key_path, error))?;
            let path = base.join(certificate);
            builder.with_client_auth_cert(certificates(&path)?, key).map_err(|error| wrong(&path, error))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(wrong(path, "holds no certificate")),
        read => read.map_err(|error| wrong(path, error)),
    }
}

fn wrong(path: &Path, error: impl ToString) -> ClientError {
    ClientError { path: path.to_owned(), error: error.to_string() }
}

/// The same request once more, where its method is idempotent and its content at hand.
fn replay(request: &Request<RequestContent>) -> Option<Request<RequestContent>> {
    let Either::Left(content) = request.body() else { return None };
    if !request.method().is_idempotent() {
        return None;
    }
    let mut again = Request::new(Either::Left(content.clone()));
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    Some(again)
}

fn find<'e, T: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e T> {
    std::iter::successors(Some(error), |error| error.source()).find_map(<dyn std::error::Error>::downcast_ref)
}

/// hyper#2136: a kept connection that the origin has closed shows as an incomplete message.
fn is_stale(error: &(dyn std::error::Error + 'static)) -> bool {
    let reset = find::<std::io::Error>(error).is_some_and(|error| {
        matches!(error.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionAborted)
    });
    reset || find::<hyper::Error>(error).is_some_and(hyper::Error::is_incomplete_message)
}

fn classify(error: &(dyn std::error::Error + 'static)) -> Error {
    if let Some(content) = find::<ContentError>(error) {
        return match content {
            ContentError::TooLarge(limit) => Error::ContentTooLarge(*limit),
            ContentError::Broken => Error::ContentBroken,
        };
    }
    if find::<std::io::Error>(error).is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut) {
        return Error::Timeout("no connection in time");
    }
    let chain = std::iter::successors(Some(error), |error| error.source());
    Error::Unreachable(chain.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

/// A caller's content on its way to the origin: bounded in size, and in time between two pieces.
#[derive(Debug)]
pub struct Guarded {
    incoming: Incoming,
    left: u64,
    limit: u64,
    idle: Idle,
}

/// Why a caller's content could not be sent on.
#[derive(Debug)]
pub enum ContentError {
    /// More than the limit.
    TooLarge(u64),
    /// Broken off, or too slow.
    Broken,
}

impl std::fmt::Display for ContentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge(limit) => write!(f, "the content is over {limit} bytes"),
            Self::Broken => f.write_str("the content did not arrive whole"),
        }
    }
}

impl std::error::Error for ContentError {}

impl Guarded {
    /// At most `limit` bytes, each piece within `idle`.
    pub fn new(incoming: Incoming, limit: u64, idle: Duration) -> Self {
        Self { incoming, left: limit, limit, idle: Idle::new(idle) }
    }
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = ContentError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ContentError>>> {
        let this = &mut *self;
        loop {
            let frame = match Pin::new(&mut this.incoming).poll_frame(context) {
                Poll::Pending if this.idle.poll_expired(context) => return Poll::Ready(Some(Err(ContentError::Broken))),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(Err(ContentError::Broken))),
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            this.idle.moved();
            // Trailers end here: they could name fields that were stripped from the head.
            if let Ok(data) = frame.into_data() {
                let Some(left) = this.left.checked_sub(data.len() as u64) else {
                    return Poll::Ready(Some(Err(ContentError::TooLarge(this.limit))));
                };
                this.left = left;
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// An origin's content: bounded in time between two pieces. It drives the connection that it comes over, and gives it
/// back to the pool at its end; dropped before, it closes it.
#[derive(Debug)]
pub struct Answer {
    incoming: Incoming,
    idle: Idle,
    lease: Option<Lease>,
}

/// A connection in use.
#[derive(Debug)]
struct Lease {
    link: Box<Link>,
    pool: Arc<Pool>,
}

/// Why an origin's content broke off, for the log.
#[derive(Debug)]
pub struct BrokenOff(String);

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BrokenOff {}

impl Answer {
    /// The length that the origin declared.
    pub fn declared_length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    /// The next piece; trailers are dropped.
    pub async fn piece(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        std::future::poll_fn(|context| self.poll_piece(context)).await
    }

    /// As [`Answer::piece`].
    pub fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            let frame = match self.poll_frame(context) {
                Poll::Pending if self.idle.poll_expired(context) => {
                    return Poll::Ready(Some(Err(BrokenOff("the origin sent nothing for too long".to_owned()))));
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame,
            };
            self.idle.moved();
            if (frame.is_none() || self.incoming.is_end_stream())
                && let Some(Lease { link, pool }) = self.lease.take()
            {
                pool.keep(link, context);
            }
            match frame {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(BrokenOff(error.to_string())))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }

    /// What has come; where nothing has, the connection is driven on.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        match (&polled, &mut self.lease) {
            (Poll::Pending, Some(lease)) => {
                lease.link.drive(context);
                Pin::new(&mut self.incoming).poll_frame(context)
            }
            _ => polled,
        }
    }
}

/// A deadline that moves on with every piece; its timer is made when one first waits.
#[derive(Debug)]
struct Idle {
    limit: Duration,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    fn poll_expired(&mut self, context: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.limit)));
        timer.as_mut().poll(context).is_ready()
    }

    fn moved(&mut self) {
        self.timer = None;
    }
}

/// Whether an answer says where its content ends. One that ends by closing could be cut without a sign of it.
pub fn is_framed(fields: &HeaderMap) -> bool {
    use hyper::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
    fields.contains_key(CONTENT_LENGTH) || fields.contains_key(TRANSFER_ENCODING)
}
