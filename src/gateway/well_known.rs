//! The gateway's own documents, for callers that it knows: what they could ask for, the bundle of an entry, for those
//! whose entry it is, and the newest signed checkpoint. Whoever may not see an entry is told what is told of one that does not exist.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Response};

use super::admission::Admitted;
use super::content::Content;
use super::listener::Connection;
use super::refusal::{Code, Refusal};
use super::{Shared, api_catalog};
use crate::catalogue::route::RouteError;
use crate::identity::Subject;
use crate::lang::Text;
use crate::ledger::Ledger;
use crate::ledger::bundle::{Bundle, Owners, Signed};

const RECEIPTS: &str = "/.well-known/kanhe/receipts/";
const CHECKPOINT: &str = "/.well-known/kanhe/checkpoint";
/// Sees every entry.
const AUDITOR: &str = "auditor";
/// How long a checkpoint that was asked for may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often reading starts over with a newer checkpoint, when files went under it.
const ATTEMPTS: usize = 5;

/// One of the gateway's own documents.
pub(super) enum Asked {
    Checkpoint,
    /// What the caller could ask for.
    Catalogue,
    /// The bundle of the entry at this index.
    Receipt(u64),
}

/// What of its own the gateway is asked for, if anything.
pub(super) fn asked(admitted: &Admitted) -> Result<Option<Asked>, Refusal> {
    let asked = match admitted.path.strip_prefix(RECEIPTS) {
        Some(index) => Asked::Receipt(read_index(index).ok_or_else(no_receipt)?),
        None if admitted.path == CHECKPOINT => Asked::Checkpoint,
        None if admitted.path == api_catalog::PATH => Asked::Catalogue,
        None => return Ok(None),
    };
    if matches!(admitted.head.method, Method::GET | Method::HEAD) {
        Ok(Some(asked))
    } else {
        Err(RouteError::Method(vec![Method::GET, Method::HEAD]).into())
    }
}

/// One form for each number: no sign, no zero before it.
fn read_index(text: &str) -> Option<u64> {
    let index = text.parse().ok()?;
    (u64::to_string(&index) == text).then_some(index)
}

/// The document, for a caller that may see it.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    (connection, admitted): (&Connection, &Admitted),
    subject: &Arc<Subject>,
    asked: Asked,
) -> Result<Response<Content>, Refusal> {
    match asked {
        Asked::Checkpoint => Ok(document(shared.ledger.checkpoint().into(), "text/plain; charset=utf-8")),
        Asked::Catalogue => {
            let bytes = api_catalog::document(&shared.catalogues, admitted, connection.encrypted, subject).await?;
            let mut response = document(bytes, api_catalog::KIND);
            response.headers_mut().insert(header::LINK, HeaderValue::from_static(api_catalog::LINK));
            Ok(response)
        }
        Asked::Receipt(index) => {
            let bundle = receipt(&shared.ledger, Viewer::of(subject), index).await?;
            let bytes = serde_json::to_vec(&bundle).map_err(|error| unreadable(&error))?;
            Ok(document(bytes.into(), "application/json"))
        }
    }
}

fn document(bytes: Bytes, kind: &'static str) -> Response<Content> {
    let mut response = Response::new(Content::refusal(Full::new(bytes)));
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

/// On whose behalf an entry is looked at.
#[derive(Clone)]
struct Viewer {
    requester: Arc<str>,
    /// Its own, not one that it may call for.
    department: Arc<str>,
    auditor: bool,
}

impl Viewer {
    fn of(subject: &Subject) -> Self {
        Self {
            requester: subject.requester.id.clone(),
            department: subject.requester.department.id.clone(),
            auditor: subject.roles.contains(AUDITOR),
        }
    }

    fn may_see(&self, owners: &Owners) -> bool {
        let is = |owner: &Option<String>, id: &str| owner.as_deref() == Some(id);
        self.auditor || is(&owners.requester, &self.requester) || is(&owners.provider, &self.department)
    }
}

/// The bundle, under a checkpoint made for it where none covers the entry or its settlement yet.
async fn receipt(ledger: &Arc<Ledger>, viewer: Viewer, index: u64) -> Result<Bundle, Refusal> {
    let known = ledger.next_index();
    if index >= known {
        return Err(no_receipt());
    }
    if let Some(witnessed) = witnessed_receipt(ledger, &viewer, index).await {
        return Ok(witnessed);
    }
    let mut size = index + 1;
    let mut attempts = 0;
    loop {
        let covered = tokio::time::timeout(PATIENCE, ledger.covered(size)).await;
        let note = covered.map_err(|_| unreadable(&"no checkpoint in time"))?.map_err(crate::share::Error::from)?;
        let (reader, viewer) = (ledger.clone(), viewer.clone());
        let read = tokio::task::spawn_blocking(move || {
            let signed = Signed::of(reader.folder(), &note)?;
            let visible = signed.owners(index)?.is_some_and(|owners| viewer.may_see(&owners));
            let bundle = if visible { signed.bundle(index)? } else { None };
            Ok::<_, std::io::Error>((bundle, signed.size()))
        });
        attempts += 1;
        match read.await.map_err(|error| unreadable(&error))? {
            Ok((None, _)) => return Err(no_receipt()),
            // What was queued when the question came, a settlement perhaps, belongs to the answer.
            Ok((Some(bundle), covered)) if bundle.is_open() && covered < known => size = known,
            Ok((Some(bundle), _)) => return Ok(bundle),
            Err(error) if attempts < ATTEMPTS => tracing::debug!(%error, index, "a bundle is read again under a newer checkpoint"),
            Err(error) => return Err(unreadable(&error)),
        }
    }
}

/// The bundle under the newest checkpoint that others have seen too, where that covers share and settlement.
async fn witnessed_receipt(ledger: &Arc<Ledger>, viewer: &Viewer, index: u64) -> Option<Bundle> {
    let (ledger, viewer) = (ledger.clone(), viewer.clone());
    let read = move || {
        let signed = Signed::witnessed(ledger.folder())?;
        signed.owners(index).ok()?.filter(|owners| viewer.may_see(owners))?;
        signed.bundle(index).ok()?.filter(|bundle| !bundle.is_open())
    };
    tokio::task::spawn_blocking(read).await.ok()?
}

/// The same for an entry that is another's and for one that does not exist.
fn no_receipt() -> Refusal {
    let text = Text::new("没有可供查看的回执", "there is no receipt here that you may see");
    Refusal::new(Code::ResourceUnknown, text)
}

fn unreadable(error: &dyn std::fmt::Display) -> Refusal {
    let text = Text::new("暂时无法读取共享台账，请稍后再试", "the ledger cannot be read now; try again soon");
    let mut refusal = Refusal::new(Code::LedgerUnavailable, text);
    refusal.log = Some(error.to_string());
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_has_one_form() {
        assert_eq!(read_index("42"), Some(42));
        for wrong in ["", "+1", "01", "-1", "1/", " 1", "18446744073709551616", "1e3"] {
            assert_eq!(read_index(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_entry_without_an_owner_is_the_auditors_alone() {
        let viewer = |auditor| Viewer { requester: "a".into(), department: "d".into(), auditor };
        let owners = |requester: Option<&str>, provider: Option<&str>| Owners {
            requester: requester.map(str::to_owned),
            provider: provider.map(str::to_owned),
        };
        assert!(!viewer(false).may_see(&owners(None, None)) && viewer(true).may_see(&owners(None, None)));
        assert!(viewer(false).may_see(&owners(Some("a"), Some("x"))) && viewer(false).may_see(&owners(Some("b"), Some("d"))));
        assert!(!viewer(false).may_see(&owners(Some("b"), Some("x"))));
    }
}
