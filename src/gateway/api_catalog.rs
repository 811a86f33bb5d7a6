//! What this caller could ask for, as an API catalogue (RFC 9727): a set of links in JSON (RFC 9264) from the catalogue to
//! each operation that binding and the policies would let this caller have now.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::admission::Admitted;
use super::refusal::{Code, Refusal};
use crate::identity::Subject;
use crate::lang::Text;
use crate::purpose::CaseRule;
use crate::snapshot::Snapshot;
use crate::snapshot::offers::Offer;

/// Where the catalogue is.
pub(super) const PATH: &str = "/.well-known/api-catalog";
/// What it is.
pub(super) const KIND: &str = "application/linkset+json; profile=\"https://www.rfc-editor.org/info/rfc9727\"";
/// The field that tells of it (RFC 9727 section 2).
pub(super) const LINK: &str = "</.well-known/api-catalog>; rel=\"api-catalog\"";

/// Documents that wait for slow readers, all together, in KiB.
const KEPT: u32 = 64 << 10;

/// So many callers may wait for their turn: more would take the places of shares.
const WAITING: usize = 64;

/// Keeps catalogues from taking what shares need: one is made at a time, and those on their way have a limit together.
#[derive(Debug)]
pub struct Turns {
    waiting: Semaphore,
    making: Arc<Semaphore>,
    kept: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        let of = |places| Arc::new(Semaphore::new(places));
        Self { waiting: Semaphore::new(WAITING), making: of(1), kept: of(KEPT as usize) }
    }
}

/// Everything that the document depends on.
struct Question {
    snapshot: Arc<Snapshot>,
    subject: Arc<Subject>,
    time: Timestamp,
    source: IpAddr,
    network: Arc<str>,
    base: String,
}

/// The document's bytes, counted until the last of them has left.
struct Kept {
    bytes: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The document for this caller.
pub(super) async fn document(turns: &Turns, admitted: &Admitted, encrypted: bool, subject: &Arc<Subject>) -> Result<Bytes, Refusal> {
    let scheme = if encrypted { "https" } else { "http" };
    let question = Question {
        snapshot: admitted.snapshot.clone(),
        subject: subject.clone(),
        time: admitted.time,
        source: admitted.source,
        network: admitted.network.clone(),
        base: format!("{scheme}://{}", authority(&admitted.head)?),
    };
    let waiting = turns.waiting.try_acquire().map_err(|_| overloaded())?;
    let turn = turns.making.clone().acquire_owned().await.map_err(|error| unmade(&error))?;
    drop(waiting);
    // The turn goes with the work, which ends no sooner when its caller goes away.
    let made = tokio::task::spawn_blocking(move || (question.answer(), turn).0).await.map_err(|error| unmade(&error))?;
    let made = made.map_err(|error| unmade(&error))?;
    let size = u32::try_from(made.len().div_ceil(1024)).unwrap_or(KEPT).min(KEPT);
    let _place = turns.kept.clone().try_acquire_many_owned(size).map_err(|_| overloaded())?;
    Ok(Bytes::from_owner(Kept { bytes: made, _place }))
}

/// The authority that the caller reached: of the request's target, else `Host`.
fn authority(head: &Parts) -> Result<Authority, Refusal> {
    let malformed = || {
        let text = Text::new("请求须写明唯一的 `Host`", "the request must name its `Host`, once");
        Refusal::new(Code::RequestMalformed, text)
    };
    let named = match head.uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => {
            let mut fields = head.headers.get_all(header::HOST).iter();
            let one = fields.next().filter(|_| fields.next().is_none());
            one.and_then(|field| Authority::try_from(field.as_bytes()).ok())
        }
    };
    named.filter(|authority| !authority.host().is_empty() && !authority.as_str().contains('@')).ok_or_else(malformed)
}

impl Question {
    fn answer(self) -> Result<Vec<u8>, serde_json::Error> {
        let offers = self.snapshot.offers(&self.subject, self.time, self.source, &self.network);
        serde_json::to_vec(&Linkset::of(&self.base, &offers))
    }
}

/// A set of links (RFC 9264 section 4.2.1).
#[derive(Serialize)]
struct Linkset<'o> {
    linkset: Vec<Context<'o>>,
}

/// The links from one resource; there is one of these for each (section 4.2.2).
#[derive(Serialize)]
struct Context<'o> {
    anchor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Vec<Item<'o>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<[Link; 1]>,
}

#[derive(Serialize)]
struct Link {
    href: String,
}

/// A link to an operation. Attributes that RFC 8288 does not define are arrays of strings (section 4.2.4.3).
#[derive(Serialize)]
struct Item<'o> {
    href: String,
    #[serde(rename = "title*")]
    title: [Title<'o>; 2],
    resource: [&'o str; 1],
    method: [&'o str; 1],
    kind: [&'static str; 1],
    grade: [String; 1],
    scenario: Vec<&'o str>,
    #[serde(rename = "case-required", skip_serializing_if = "Vec::is_empty")]
    case_required: Vec<&'o str>,
}

#[derive(Serialize)]
struct Title<'o> {
    value: &'o str,
    language: &'static str,
}

impl<'o> Linkset<'o> {
    fn of(base: &str, offers: &'o [Offer]) -> Self {
        let catalogue = format!("{base}{PATH}");
        let paths: BTreeSet<&str> = offers.iter().map(|offer| &*offer.target.operation.path).collect();
        let own =
            Context { anchor: catalogue.clone(), item: Some(offers.iter().map(|offer| Item::of(base, offer)).collect()), collection: None };
        let back = |path| Context { anchor: format!("{base}{path}"), item: None, collection: Some([Link { href: catalogue.clone() }]) };
        Self { linkset: std::iter::once(own).chain(paths.into_iter().map(back)).collect() }
    }
}

impl<'o> Item<'o> {
    fn of(base: &str, Offer { target, scenarios }: &'o Offer) -> Self {
        let (resource, operation) = (&target.resource, &target.operation);
        let with_case = scenarios.iter().filter(|scenario| scenario.case == CaseRule::Required);
        Self {
            href: format!("{base}{}", operation.path),
            title: [Title { value: &resource.name.zh, language: "zh" }, Title { value: &resource.name.en, language: "en" }],
            resource: [&resource.id],
            method: [operation.method.as_str()],
            kind: [operation.kind.name()],
            grade: [resource.grade.to_string()],
            scenario: scenarios.iter().map(|scenario| &*scenario.scenario).collect(),
            case_required: with_case.map(|scenario| &*scenario.scenario).collect(),
        }
    }
}

fn overloaded() -> Refusal {
    let text = Text::new(
        "等待或正在发送的接口目录过多，请稍后再试",
        "as many API catalogues as the gateway takes are waited for or on their way; try again soon",
    );
    super::admission::Error::Overloaded(text).into()
}

fn unmade(error: &dyn std::fmt::Display) -> Refusal {
    let mut refusal = overloaded();
    refusal.log = Some(error.to_string());
    refusal
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn read(uri: &str, hosts: &[&str]) -> Option<String> {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        authority(&head).ok().map(|authority| authority.to_string())
    }

    #[test]
    fn the_caller_says_once_whom_it_reached() {
        assert_eq!(read("/x", &["gw.example:8443"]).as_deref(), Some("gw.example:8443"));
        assert_eq!(read("https://gw.example/x", &["other.example"]).as_deref(), Some("gw.example"));
        assert_eq!(read("/x", &["[::1]:8443"]).as_deref(), Some("[::1]:8443"));
        for hosts in [&[][..], &["a.example", "a.example"], &[""], &["user@a.example"], &["a.example/x"], &["a b"], &["a\"b"]] {
            assert_eq!(read("/x", hosts), None, "{hosts:?}");
        }
    }

    #[test]
    fn documents_on_their_way_have_a_limit_together() {
        let turns = Turns::default();
        let keep = |size| turns.kept.clone().try_acquire_many_owned(size).map(|_place| Bytes::from_owner(Kept { bytes: vec![1], _place }));
        let first = keep(KEPT).unwrap();
        let part = first.slice(0..1);
        drop(first);
        assert!(keep(1).is_err(), "a part of it is still to be sent");
        drop(part);
        assert!(keep(KEPT).is_ok());
    }
}
