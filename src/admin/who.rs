//! Who asks on the admin listener: authenticated as the gateway does, and let in by registered role alone.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::State;
use crate::identity::{AuthorizationFields, Credentials, Error, PeerCertificate, Subject};
use crate::lang::{Lang, Text};
use crate::sys;

/// The certificate that the connection showed.
#[derive(Clone)]
pub(super) struct Shown(pub(super) Option<Arc<PeerCertificate>>);

/// The language of whoever asks.
pub(super) fn language(fields: &HeaderMap) -> Lang {
    fields.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).map_or_else(Lang::default, Lang::from_accept_language)
}

/// The caller, if it has this role; else the answer that it gets.
pub(super) async fn with_role(state: &State, head: &Parts, role: &str) -> Result<Subject, Response> {
    let lang = language(&head.headers);
    let authorization = AuthorizationFields::of(&head.headers);
    let shown = head.extensions.get::<Shown>().and_then(|shown| shown.0.clone());
    let snapshot = state.snapshot.load_full();
    let credentials = Credentials { authorization, certificate: shown.as_deref() };
    match state.authenticator.authenticate(&snapshot.parties, credentials, sys::now()).await {
        Ok(subject) if subject.roles.contains(role) => Ok(subject),
        Ok(subject) => {
            tracing::warn!(requester = %subject.requester.id, role, "an administrative request lacks its role");
            let detail = Text::new(format!("需要已登记的角色 `{role}`"), format!("the registered role `{role}` is needed"));
            Err(problem(StatusCode::FORBIDDEN, "role_missing", &detail, lang))
        }
        Err(error @ Error::RequesterSuspended { .. }) => Err(problem(StatusCode::FORBIDDEN, error.code(), &error.reason(), lang)),
        Err(error) => {
            tracing::warn!(code = error.code(), "an administrative request is not authenticated");
            let mut response = problem(StatusCode::UNAUTHORIZED, error.code(), &error.reason(), lang);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
            Err(response)
        }
    }
}

/// A problem document (RFC 9457).
pub(super) fn problem(status: StatusCode, code: &str, detail: &Text, lang: Lang) -> Response {
    let document = json!({
        "type": format!("urn:kanhe:{code}"), "title": status.canonical_reason(), "status": status.as_u16(), "detail": detail.get(lang), "code": code,
    });
    let fields = [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "private, no-store")];
    (status, fields, document.to_string()).into_response()
}
