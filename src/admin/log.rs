//! `/log/…`: the files of the log as they are (C2SP tlog-tiles), for auditors. A partial tile that a full one replaced is
//! not found, as the format has it: readers then ask for the full one.

use std::io;

use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{State, who};
use crate::lang::Text;
use crate::ledger::published;

/// Reads the whole log.
const AUDITOR: &str = "auditor";

pub(super) async fn serve(state: &State, head: &Parts) -> Response {
    if let Err(refused) = who::with_role(state, head, AUDITOR).await {
        return refused;
    }
    let lang = who::language(&head.headers);
    let none = || who::problem(StatusCode::NOT_FOUND, "not_found", &Text::new("台账中没有此文件", "the log has no such file"), lang);
    let path = head.uri.path().strip_prefix("/log/").unwrap_or_default();
    let Some(file) = published(state.ledger.folder(), path) else { return none() };
    let kind = if path == "checkpoint" { "text/plain; charset=utf-8" } else { "application/octet-stream" };
    let read = tokio::task::spawn_blocking(move || std::fs::read(file)).await;
    match read.map_err(io::Error::other).and_then(|read| read) {
        Ok(bytes) => ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "private, no-store")], bytes).into_response(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => none(),
        Err(error) => {
            tracing::error!(path, %error, "a file of the log cannot be read");
            let text = Text::new("暂时无法读取共享台账", "the ledger cannot be read now");
            who::problem(StatusCode::SERVICE_UNAVAILABLE, "ledger_unavailable", &text, lang)
        }
    }
}
