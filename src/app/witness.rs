//! A witness of other logs, served over HTTP: C2SP tlog-witness's `add-checkpoint`, and the newest cosigned checkpoint of
//! a log for whoever audits it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tokio::net::TcpListener;

use super::{Announce, Error, Signals};
use crate::config::WitnessConfig;
use crate::identity::mtls;
use crate::ledger::witness::{Cosigner, LARGEST, Refused, Witness};
use crate::{admin, sys, telemetry};

/// Runs the witness until it is told to stop.
pub fn serve(config_path: &Path, create: bool, announce: &Announce) -> Result<(), Error> {
    let WitnessConfig { listen, tls, witness: config } = WitnessConfig::read(config_path).map_err(Error::Written)?;
    telemetry::start(&telemetry::Config::default());
    let cosigner = Cosigner::read(&config.name, &config.key).map_err(|error| error.text())?;
    let witness = Witness::open(&config.folder, cosigner, &config.logs, create).map_err(|error| Error::Trouble(error.0))?;
    let tls = tls.as_ref().map(mtls::server_config).transpose().map_err(|error| error.text)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::trouble("无法启动运行时", "the runtime cannot start", error))?;
    runtime.block_on(run(listen, tls, Arc::new(witness), announce))
}

async fn run(listen: SocketAddr, tls: Option<Arc<rustls::ServerConfig>>, witness: Arc<Witness>, announce: &Announce) -> Result<(), Error> {
    let listener = super::bind("witness", listen).await?;
    let address = listener.local_addr().map_err(|error| Error::trouble("无法得知监听地址", "a listener's address is unknown", error))?;
    let mut signals = Signals::receive()?;
    announce(&format!("listening witness {}://{address}", if tls.is_some() { "https" } else { "http" }));
    announce(&format!("witness {}", witness.verifier_key()));
    let serving = tokio::spawn(accept(listener, witness, tls));
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.hangup.recv() => tracing::warn!("a witness reads its configuration at start only; restart it"),
        }
    }
    serving.abort();
    Ok(())
}

async fn accept(listener: TcpListener, witness: Arc<Witness>, tls: Option<Arc<rustls::ServerConfig>>) {
    let router = Router::new()
        .route("/add-checkpoint", post(add_checkpoint).layer(DefaultBodyLimit::max(LARGEST)))
        .route("/checkpoint", get(checkpoint))
        .with_state(witness);
    admin::serve_router(listener, router, move || tls.clone()).await;
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, content: Bytes) -> Response {
    // Remembering is a write and a sync: not on the thread that reads sockets.
    let judged = tokio::task::spawn_blocking(move || witness.add_checkpoint(&content, sys::now())).await;
    match judged {
        Ok(Ok(line)) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], line).into_response(),
        Ok(Err(refused)) => refusal(&refused),
        Err(panic) => {
            tracing::error!(%panic, "judging a checkpoint broke off");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn refusal(refused: &Refused) -> Response {
    let (status, kind) = match refused {
        Refused::Malformed(_) => (StatusCode::BAD_REQUEST, "text/plain; charset=utf-8"),
        Refused::UnknownLog => (StatusCode::NOT_FOUND, "text/plain; charset=utf-8"),
        Refused::Unsigned => (StatusCode::FORBIDDEN, "text/plain; charset=utf-8"),
        Refused::Conflict(_) => (StatusCode::CONFLICT, "text/x.tlog.size"),
        Refused::NotConsistent => (StatusCode::UNPROCESSABLE_ENTITY, "text/plain; charset=utf-8"),
        Refused::Storage(path, error) => {
            tracing::error!(path = %path.display(), errno = error.raw_os_error(), %error, "the witness cannot write down what it saw");
            (StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8")
        }
    };
    if matches!(refused, Refused::Conflict(_) | Refused::NotConsistent) {
        tracing::warn!(%refused, "a checkpoint does not follow from what was cosigned");
    }
    (status, [(header::CONTENT_TYPE, kind)], format!("{refused}\n")).into_response()
}

#[derive(Deserialize)]
struct Asked {
    origin: String,
}

async fn checkpoint(State(witness): State<Arc<Witness>>, Query(asked): Query<Asked>) -> Response {
    match witness.newest(&asked.origin) {
        Some(note) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response(),
        None => (StatusCode::NOT_FOUND, "nothing cosigned of that log\n").into_response(),
    }
}
