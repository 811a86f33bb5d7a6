//! Administration: health, metrics and the log for auditors, on a listener of their own. Plain HTTP on a loopback address; elsewhere with the
//! gateway's TLS.

mod api;
mod control;
mod log;
mod who;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

pub use api::State;
pub use control::Control;
use who::Shown;

use crate::identity::PeerCertificate;
use crate::lang::Text;
use crate::written::Table;

/// `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
}

/// How long an administrator's client may take for a handshake or a head.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at a time; who watches a gateway needs few.
const CONNECTIONS: usize = 256;

impl Config {
    /// Reads `[admin]`; left out: a loopback address, port 9443. `tls`: whether the gateway has TLS to share.
    pub fn read(table: Option<Table<'_, '_>>, tls: bool) -> Option<Self> {
        let default = SocketAddr::from(([127, 0, 0, 1], 9443));
        let Some(table) = table else { return Some(Self { listen: default }) };
        let right = |_| Text::new("应为 IP:端口，例如 `127.0.0.1:9443`", "an IP address and a port, such as `127.0.0.1:9443`");
        let listen = table.opt_parsed("listen", |text| text.parse::<SocketAddr>().map_err(right)).map_or(default, |listen| listen.value);
        if !tls && !listen.ip().is_loopback() {
            let message = Text::new("非回环地址必须启用 TLS", "plain HTTP is served on a loopback address only");
            table.error("listen", "tls_required", message, None);
        }
        table.finish();
        Some(Self { listen })
    }
}

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, state: Arc<State>) {
    let plain = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let router = api::router(state.clone());
    serve_router(listener, router, move || if plain { None } else { state.tls.load_full() }).await;
}

/// Serves what `router` answers, each new connection with the TLS of that moment, until the task is dropped.
pub async fn serve_router(listener: TcpListener, router: axum::Router, tls: impl Fn() -> Option<Arc<rustls::ServerConfig>>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the admin listener could not accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let router = router.clone();
        let tls = tls();
        tokio::spawn(async move {
            let _place = place;
            match tls {
                Some(config) => {
                    // The gateway's certificate, but HTTP/1.1 alone.
                    let mut config = (*config).clone();
                    config.alpn_protocols = vec![b"http/1.1".to_vec()];
                    let config = Arc::new(config);
                    let handshake = tokio::time::timeout(PATIENCE, TlsAcceptor::from(config).accept(stream)).await;
                    if let Ok(Ok(stream)) = handshake {
                        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                        match shown.map(|der| PeerCertificate::from_der(der)).transpose() {
                            Ok(certificate) => speak(TokioIo::new(stream), router.layer(Extension(Shown(certificate.map(Arc::new))))).await,
                            Err(error) => tracing::warn!(%error, "a verified client certificate could not be read"),
                        }
                    }
                }
                None => speak(TokioIo::<TcpStream>::new(stream), router).await,
            }
        });
    }
}

async fn speak<I>(io: I, router: axum::Router)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    if let Err(error) = builder.serve_connection(io, TowerToHyperService::new(router)).await {
        tracing::debug!(%error, "an admin connection ended in an error");
    }
}
