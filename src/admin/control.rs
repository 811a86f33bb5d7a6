//! `/api/control`: which control snapshot is in force and on whose word, what stood in the way of the last one, and what
//! the shadow would decide otherwise. For security officers.

use std::sync::{Mutex, PoisonError};

use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{State, who};
use crate::lang::Lang;
use crate::shadow::{Difference, Kind, Report};
use crate::snapshot::approval::Approved;
use crate::sys;
use crate::written::Problem;

/// Writes and publishes policies.
const OFFICER: &str = "officer";
/// Problems of a refused reload that are told; the log has all of them.
const MOST_TOLD: usize = 100;

/// The last activation and the last refusal.
pub struct Control(Mutex<Last>);

struct Last {
    activated: Timestamp,
    approved: Approved,
    required: Vec<&'static str>,
    refused: Option<(Timestamp, Vec<Problem>)>,
}

impl Control {
    /// The snapshot of the start.
    pub fn new(approved: &Approved, required: &[&'static str]) -> Self {
        let (approved, required) = (approved.clone(), required.to_vec());
        Self(Mutex::new(Last { activated: sys::now(), approved, required, refused: None }))
    }

    /// Another snapshot is in force.
    pub fn activated(&self, approved: &Approved, required: &[&'static str]) {
        let (approved, required) = (approved.clone(), required.to_vec());
        *self.last() = Last { activated: sys::now(), approved, required, refused: None };
    }

    /// A reload was refused; the snapshot in force stays.
    pub fn refused(&self, problems: Vec<Problem>) {
        self.last().refused = Some((sys::now(), problems));
    }

    /// How many problems stood in the way of the last reload; none: it was activated, or there was none.
    pub(super) fn errors(&self) -> Option<usize> {
        self.last().refused.as_ref().map(|(_, problems)| problems.len())
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn serve(state: &State, head: &Parts) -> Response {
    if let Err(refused) = who::with_role(state, head, OFFICER).await {
        return refused;
    }
    let document = document(state, who::language(&head.headers));
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "private, no-store")], format!("{document}\n")).into_response()
}

fn document(state: &State, lang: Lang) -> Value {
    let last = state.control.last();
    let refused = last.refused.as_ref().map(|(time, problems)| {
        let told: Vec<Value> = problems.iter().take(MOST_TOLD).map(|problem| told(problem, lang)).collect();
        json!({"time": time.to_string(), "errors": problems.len(), "problems": told})
    });
    json!({
        "snapshot": state.snapshot.load().digest,
        "activated": last.activated.to_string(),
        "author": last.approved.author,
        "approvers": last.approved.approvers,
        "required": last.required,
        "refused": refused,
        "shadow": shadow(&state.shadow.report()),
    })
}

fn told(problem: &Problem, lang: Lang) -> Value {
    let place = &problem.place;
    json!({
        "file": &*place.file, "line": place.line, "column": place.column, "code": problem.code,
        "message": problem.message.get(lang), "help": problem.help.as_ref().map(|help| help.get(lang)),
    })
}

fn shadow(report: &Report) -> Value {
    let Some(snapshot) = &report.snapshot else { return Value::Null };
    let counts = Kind::ALL.iter().zip(report.counts).map(|(kind, count)| (kind.name().to_owned(), json!(count)));
    json!({
        "snapshot": snapshot,
        "compared": report.compared,
        "dropped": report.dropped,
        "differences": counts.collect::<serde_json::Map<_, _>>(),
        "newest": report.shown.iter().map(difference).collect::<Vec<_>>(),
    })
}

fn difference(difference: &Difference) -> Value {
    json!({
        "kind": difference.kind.name(),
        "time": difference.time.to_string(),
        "requester": &*difference.requester,
        "department": &*difference.department,
        "resource": &*difference.resource,
        "scenario": difference.scenario,
        "code": difference.code,
        "items": difference.items.iter().map(|item| &**item).collect::<Vec<_>>(),
    })
}
