//! `/livez`, `/readyz` with each reason named, and `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::Router;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::{Control, control, log, who};
use crate::identity::Authenticator;
use crate::lang::Text;
use crate::ledger::{Health, Ledger};
use crate::shadow::{Kind, Shadow};
use crate::snapshot::Snapshot;
use crate::telemetry::{LedgerGauges, Metrics};

/// What the admin listener tells of.
pub struct State {
    /// The ledger, whose state decides whether anything can be shared.
    pub ledger: Arc<Ledger>,
    /// Who asks.
    pub authenticator: Arc<Authenticator>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The control snapshot in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Calls being answered.
    pub in_flight: Arc<AtomicI64>,
    /// TLS of new connections, shared with the gateway's listener.
    pub tls: Arc<ArcSwapOption<rustls::ServerConfig>>,
    /// What another control folder would decide.
    pub shadow: Arc<Shadow>,
    /// How the last reloads went.
    pub control: Arc<Control>,
    /// Whether it is about to stop.
    pub draining: AtomicBool,
}

pub(super) fn router(state: Arc<State>) -> Router {
    let (ready, metrics, control, log) = (state.clone(), state.clone(), state.clone(), state);
    Router::new()
        .route("/livez", get(|| async { ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "ok\n") }))
        .route("/readyz", get(move |fields: axum::http::HeaderMap| async move { readiness(&ready, &fields) }))
        .route("/metrics", get(move || async move { exposition(&metrics) }))
        .route("/api/control", get(move |head: Parts| async move { control::serve(&control, &head).await }))
        .route("/log/{*path}", get(move |head: Parts| async move { log::serve(&log, &head).await }))
}

/// Why shares are refused now, each by its stable name.
fn reasons(state: &State) -> Vec<(&'static str, Text)> {
    let mut reasons = Vec::new();
    if state.draining.load(Ordering::Relaxed) {
        reasons.push(("draining", Text::new("网关正在停止", "the gateway is stopping")));
    }
    match state.ledger.health() {
        Health::Ok => {}
        Health::Unregistered => {
            let zh = "须等待的登记库不可用；恢复后自动继续";
            let en = "the register that shares wait for takes nothing; shares go on once it is back";
            reasons.push(("register_unavailable", Text::new(zh, en)));
        }
        Health::Stalled => {
            let text =
                Text::new("共享台账所在磁盘没有响应；恢复后自动继续", "the ledger's disk does not answer; shares go on once it does");
            reasons.push(("ledger_unavailable", text));
        }
        Health::Unwitnessed => {
            let zh = "检查点的见证方不足已超过宽限期；恢复见证方后自动继续";
            let en = "the checkpoints have found too few witnesses for longer than the grace period; shares go on once they are back";
            reasons.push(("witnesses_missing", Text::new(zh, en)));
        }
        Health::Poisoned { path, error } => {
            let path = path.display();
            let text = Text::new(
                format!("共享台账无法写入（{path}：{error}）；排除原因后重启网关"),
                format!("the ledger cannot be written ({path}: {error}); remove the cause and restart the gateway"),
            );
            reasons.push(("ledger_unavailable", text));
        }
    }
    reasons
}

/// What somebody should look after, though shares go on: each by its stable name.
fn remarks(state: &State) -> Vec<(&'static str, Text)> {
    let mut remarks = Vec::new();
    if let Some(errors) = state.control.errors() {
        remarks.push((
            "reload_refused",
            Text::new(
                format!("最近一次重新加载因 {errors} 处错误未被接受，仍用原快照"),
                format!("the last reload was refused for {errors} errors; the snapshot before it stays in force"),
            ),
        ));
    }
    // Where shares wait for it, that is a reason already.
    let waited_for = matches!(state.ledger.health(), Health::Unregistered);
    if !waited_for && state.ledger.database().is_some_and(|database| database.broken.is_some()) {
        let zh = "数据库不接收登记；台账本身完整，恢复后自动补登";
        let en = "the database registers nothing; the log itself is whole, and what is missing follows once it is back";
        remarks.push(("register_unavailable", Text::new(zh, en)));
    }
    if let Some(ahead) = state.ledger.snapshot_ahead() {
        remarks.push((
            "snapshot_lags",
            Text::new(
                format!("网关 `{}` 已启用较新的控制快照 {}，本网关尚未启用", ahead.log, ahead.snapshot),
                format!("gateway `{}` has the newer control snapshot {}, which this one has not", ahead.log, ahead.snapshot),
            ),
        ));
    }
    remarks
}

fn readiness(state: &State, fields: &axum::http::HeaderMap) -> Response {
    let lang = who::language(fields);
    let reasons = reasons(state);
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let told: Vec<_> = reasons.iter().map(|(code, text)| json!({"code": code, "message": text.get(lang)})).collect();
    let remarks: Vec<_> = remarks(state).iter().map(|(code, text)| json!({"code": code, "message": text.get(lang)})).collect();
    let mut document = json!({"ready": reasons.is_empty(), "reasons": told, "remarks": remarks, "snapshot": state.snapshot.load().digest});
    // Calls go on under the snapshot in force; whoever published another must hear of it.
    if let (Some(errors), Some(document)) = (state.control.errors(), document.as_object_mut()) {
        document.insert("reload_refused".to_owned(), json!(errors));
    }
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{document}\n")).into_response()
}

fn exposition(state: &State) -> Response {
    let (stats, register, database) = (state.ledger.stats(), state.ledger.register(), state.ledger.database());
    state.metrics.in_flight(state.in_flight.load(Ordering::Relaxed));
    let gauges = LedgerGauges {
        size: stats.size,
        batches: stats.batches,
        syncs: stats.syncs,
        queued: stats.queued as u64,
        lag: stats.lag,
        last_sync: stats.last_sync,
        healthy: matches!(state.ledger.health(), Health::Ok),
        register_lag: register.as_ref().map_or(0, |register| stats.size.saturating_sub(register.size)),
        register_healthy: register.is_none_or(|register| register.broken.is_none()),
        database_lag: database.as_ref().map_or(0, |database| stats.size.saturating_sub(database.size)),
        database_healthy: database.is_none_or(|database| database.broken.is_none()),
        witnessed: stats.witnessed,
        snapshot_lags: state.ledger.snapshot_ahead().is_some(),
    };
    let shadow = state.shadow.report();
    let counts = Kind::ALL.iter().zip(shadow.counts).map(|(kind, count)| (kind.name(), count));
    state.metrics.shadow(shadow.compared, shadow.dropped, counts);
    let text = state.metrics.exposition(gauges);
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}
