//! Kept connections to one origin, all of one worker. A connection is driven by the call that uses it, so that asking
//! an origin needs no task and no message between tasks. An idle one is looked at when it is taken; what nobody takes
//! is swept away.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tower_service::Service;

use super::RequestContent;
use crate::sys;

/// Idle connections kept.
const KEPT: usize = 256;
/// How long they are.
const IDLE: Duration = Duration::from_secs(60);
/// How often those that nobody takes are looked at.
const SWEEP: Duration = Duration::from_secs(10);

/// Why an origin could not be asked.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What reads and writes a connection.
type Driver = http1::Connection<MaybeHttpsStream<TokioIo<TcpStream>>, RequestContent>;

/// A connection and what drives it; none once it has closed.
#[derive(Debug)]
pub(super) struct Link {
    sender: http1::SendRequest<RequestContent>,
    driver: Option<Driver>,
    idle_since: Instant,
}

impl Link {
    /// Reads and writes what can be.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.driver, context);
    }

    /// Whether another request may be sent.
    fn is_free(&mut self, context: &mut Context<'_>) -> bool {
        self.drive(context);
        self.driver.is_some() && self.sender.is_ready()
    }

    async fn ask(&mut self, request: Request<RequestContent>) -> Result<Response<Incoming>, TrySendError<Request<RequestContent>>> {
        let mut asking = std::pin::pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        std::future::poll_fn(|context| {
            drive(driver, context);
            asking.as_mut().poll(context)
        })
        .await
    }
}

/// Reads and writes what can be. Dropping a driver that has ended tells whoever waits for an answer.
fn drive(driver: &mut Option<Driver>, context: &mut Context<'_>) {
    if driver.as_mut().is_some_and(|open| Pin::new(open).poll(context).is_ready()) {
        *driver = None;
    }
}

/// The connections that wait for their next call.
#[derive(Debug)]
pub(super) struct Pool {
    connector: HttpsConnector<HttpConnector>,
    base: Uri,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    #[expect(clippy::vec_box, reason = "a connection's state is large, and moves at every call")]
    links: Vec<Box<Link>>,
    swept: bool,
}

impl Pool {
    /// No connection yet.
    pub(super) fn new(connector: HttpsConnector<HttpConnector>, base: Uri) -> Self {
        Self { connector, base, idle: Mutex::default() }
    }

    /// Asks over a kept connection, or a new one. A request that a kept one closed on before any of it was sent goes over
    /// another; whether the connection was a kept one comes with an error.
    pub(super) async fn ask(&self, mut request: Request<RequestContent>) -> Result<(Response<Incoming>, Box<Link>), (Failure, bool)> {
        loop {
            let (mut link, kept) = match self.take() {
                Some(link) => (link, true),
                None => (self.connect().await.map_err(|error| (error, false))?, false),
            };
            match link.ask(request).await {
                Ok(answer) => return Ok((answer, link)),
                Err(mut refused) => match refused.take_message() {
                    Some(unsent) if kept => request = unsent,
                    _ => return Err((refused.into_error().into(), kept)),
                },
            }
        }
    }

    async fn connect(&self) -> Result<Box<Link>, Failure> {
        let mut connector = self.connector.clone();
        std::future::poll_fn(|context| connector.poll_ready(context)).await?;
        let stream = connector.call(self.base.clone()).await?;
        let (sender, driver) = http1::Builder::new().max_headers(200).handshake(stream).await?;
        Ok(Box::new(Link { sender, driver: Some(driver), idle_since: sys::instant() }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was used last, and is still open as far as is known.
    fn take(&self) -> Option<Box<Link>> {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let mut link = self.lock().links.pop()?;
            if link.is_free(&mut context) {
                return Some(link);
            }
        }
    }

    /// Keeps a connection whose answer has been read to its end.
    pub(super) fn keep(self: &Arc<Self>, mut link: Box<Link>, context: &mut Context<'_>) {
        if !link.is_free(context) {
            return;
        }
        link.idle_since = sys::instant();
        let mut idle = self.lock();
        if idle.links.len() < KEPT {
            idle.links.push(link);
        }
        if !idle.swept
            && let Ok(runtime) = Handle::try_current()
        {
            idle.swept = true;
            runtime.spawn(sweep(Arc::downgrade(self)));
        }
    }
}

/// Closes what was idle for too long or was closed by the origin, until nothing is left.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut context = Context::from_waker(Waker::noop());
        let mut idle = pool.lock();
        idle.links.retain_mut(|link| link.idle_since.elapsed() < IDLE && link.is_free(&mut context));
        if idle.links.is_empty() {
            idle.swept = false;
            return;
        }
    }
}
