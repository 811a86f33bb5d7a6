//! Refusals on record: what a denied call's entry holds, and how a flood of them folds into few entries. A requester's
//! first denial in any second is always its own.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::commit::Who;
use super::{Recorder, new_id};
use crate::catalogue::route::Target;
use crate::identity::{self, Subject};
use crate::ledger::entry::{self, Draft, TooLong};
use crate::ledger::{Pending, SubjectKeys};
use crate::policy::decide;
use crate::purpose::bind::{Bound, NotBound};
use crate::sys;

/// A denial's answer waits this long for its index and goes without it after that.
const WAIT: Duration = Duration::from_millis(50);
/// Denials of one requester within a second that each get an entry of their own.
const OWN_ENTRIES: u32 = 10;
/// Requesters and networks whose denials are counted at a time.
const COUNTED: usize = 10_000;

/// What is known of a call by the time it is refused. The line writes it, the exit reads it, no step in between does.
pub struct Known {
    source: IpAddr,
    network: Option<Arc<str>>,
    snapshot: Option<String>,
    stranger: bool,
    suspended: Option<Suspended>,
    subject: Option<Arc<Subject>>,
    target: Option<Arc<Target>>,
    scenario: Option<Arc<str>>,
    case: Option<String>,
    grant: Option<Arc<str>>,
    stated: Option<bool>,
    time: Option<Timestamp>,
}

/// A registered requester that may not call at present.
struct Suspended {
    requester: Arc<str>,
    department: Arc<str>,
}

impl Known {
    /// Only where the call comes from.
    pub fn at(peer: &SocketAddr) -> Self {
        Self {
            source: peer.ip().to_canonical(),
            network: None,
            snapshot: None,
            stranger: false,
            suspended: None,
            subject: None,
            target: None,
            scenario: None,
            case: None,
            grant: None,
            stated: None,
            time: None,
        }
    }

    /// The call was admitted under this snapshot, at this time, which its decision rests on.
    pub fn admitted(&mut self, network: &Arc<str>, snapshot: &str, time: Timestamp) {
        self.time = Some(time);
        self.network = Some(network.clone());
        self.snapshot = Some(snapshot.to_owned());
    }

    /// The caller was authenticated, or not.
    pub fn authenticated(&mut self, outcome: Result<Subject, identity::Error>) -> Result<Arc<Subject>, identity::Error> {
        match outcome {
            Ok(subject) => {
                let subject = Arc::new(subject);
                self.subject = Some(subject.clone());
                Ok(subject)
            }
            Err(error) => {
                match &error {
                    identity::Error::RequesterSuspended { requester, department, .. } => {
                        self.suspended = Some(Suspended { requester: requester.id.clone(), department: department.id.clone() });
                    }
                    _ => self.stranger = true,
                }
                Err(error)
            }
        }
    }

    /// The call is for this operation.
    pub fn resolved(&mut self, target: Target) -> Arc<Target> {
        let target = Arc::new(target);
        self.target = Some(target.clone());
        target
    }

    /// The call was bound, or not.
    pub fn bound(&mut self, outcome: Result<Bound, NotBound>) -> Result<Bound, NotBound> {
        match &outcome {
            Ok(bound) => {
                self.scenario = Some(bound.scenario.id.clone());
                self.case.clone_from(&bound.case);
                self.grant = bound.grant.as_ref().map(|grant| grant.id.clone());
                self.stated = (!bound.stated).then_some(false);
            }
            Err(not) => {
                self.scenario.clone_from(&not.scenario);
                self.case.clone_from(&not.case);
                self.grant.clone_from(&not.grant);
                self.stated = (!not.stated).then_some(false);
            }
        }
        outcome
    }

    /// The resource, for metrics; empty where it is not known.
    pub fn resource(&self) -> &str {
        self.target.as_ref().map_or("", |target| &target.resource.id)
    }

    /// Under whose name denials are counted: the requester, or the network of a stranger.
    fn who(&self) -> String {
        let requester = self.subject.as_ref().map(|subject| &subject.requester.id);
        match requester.or(self.suspended.as_ref().map(|suspended| &suspended.requester)) {
            Some(requester) => requester.to_string(),
            None => network_of(self.source),
        }
    }

    /// The entry of this call's refusal, standing for `count` like it; none for what was not even admitted.
    fn draft(&self, code: &str, policies: &[Arc<str>], keys: &SubjectKeys, count: Option<u64>) -> Option<Result<Draft, TooLong>> {
        let (id, source) = (new_id(), self.source.to_string());
        if self.stranger {
            let network = self.network.as_deref();
            let failed = entry::AuthenticationFailed { id: &id, code, source: &source, network, count, reason: None };
            return Some(failed.draft());
        }
        let who = self.subject.as_ref().map(|subject| Who::of(subject, keys));
        let base = match (&who, &self.suspended) {
            (Some(who), _) => who.entry(),
            (None, Some(suspended)) => {
                entry::Share { requester: Some(&suspended.requester), department: Some(&suspended.department), ..entry::Share::default() }
            }
            (None, None) => return None,
        };
        let target = self.target.as_ref().map(|target| (target, target.template()));
        let total = policies.len() as u64;
        // Ids are always JSON.
        let policies = decide::texts(policies).ok();
        let entry = entry::Share {
            id: &id,
            code: Some(code),
            count,
            time_decided: Some(self.time.unwrap_or_else(sys::now)),
            source: Some(&source),
            network: self.network.as_deref(),
            provider: target.as_ref().map(|(target, _)| &*target.resource.provider),
            resource: target.as_ref().map(|(target, _)| &*target.resource.id),
            operation: target.as_ref().map(|(target, _)| target.operation.kind.name()),
            target: target.as_ref().map(|(_, template)| template.as_str()),
            scenario: self.scenario.as_deref(),
            stated: self.stated,
            case: self.case.as_deref(),
            grant: self.grant.as_deref(),
            policies: policies.as_deref().filter(|_| total > 0),
            policies_total: (total > 0).then_some(total),
            snapshot: self.snapshot.as_deref(),
            ..base
        };
        Some(entry.draft())
    }
}

/// A stranger's network: its /24, or its /64.
fn network_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Denials of the second under way.
#[derive(Default)]
pub struct Folds {
    second: i64,
    counts: HashMap<String, u32>,
    folded: HashMap<(String, &'static str), Folded>,
}

/// Like denials that share one entry.
struct Folded {
    known: Known,
    policies: Vec<Arc<str>>,
    count: u64,
}

impl Folds {
    /// Whether a denial of `who` in this second gets an entry of its own.
    fn own_entry(&mut self, who: &str) -> bool {
        let full = self.counts.len() >= COUNTED;
        match self.counts.get_mut(who) {
            Some(count) => {
                *count += 1;
                *count <= OWN_ENTRIES
            }
            // So many callers at once are themselves one flood.
            None if full => false,
            None => {
                self.counts.insert(who.to_owned(), 1);
                true
            }
        }
    }
}

impl Recorder {
    /// Records a refusal; its entry's index, where that is durable in time.
    pub async fn refused(&self, known: Known, code: &'static str, policies: &[Arc<str>]) -> Option<u64> {
        if !known.stranger && known.suspended.is_none() && known.subject.is_none() {
            return None;
        }
        let pending = self.record_or_fold(known, code, policies)?;
        let index = pending.index();
        tokio::time::timeout(WAIT, pending).await.ok()?.ok().map(|_| index)
    }

    fn record_or_fold(&self, known: Known, code: &'static str, policies: &[Arc<str>]) -> Option<Pending> {
        let (who, second) = (known.who(), sys::now().as_second());
        let mut folds = self.folds.lock().unwrap_or_else(PoisonError::into_inner);
        let over = (folds.second != second).then(|| std::mem::replace(&mut *folds, Folds { second, ..Folds::default() }));
        let own = folds.own_entry(&who);
        if !own {
            let policies = policies.to_vec();
            folds.folded.entry((who, code)).or_insert(Folded { known, policies, count: 0 }).count += 1;
            drop(folds);
            over.into_iter().for_each(|over| self.write(over));
            return None;
        }
        drop(folds);
        over.into_iter().for_each(|over| self.write(over));
        self.append_denial(known.draft(code, policies, self.ledger.keys(), None)?)
    }

    /// Writes what was folded in seconds that are over.
    pub fn flush_folded(&self) {
        let over = std::mem::take(&mut *self.folds.lock().unwrap_or_else(PoisonError::into_inner));
        self.write(over);
    }

    fn write(&self, folds: Folds) {
        for ((_, code), folded) in folds.folded {
            if let Some(draft) = folded.known.draft(code, &folded.policies, self.ledger.keys(), Some(folded.count)) {
                drop(self.append_denial(draft));
            }
        }
    }

    /// A denial stays a denial where it cannot be recorded; readiness tells of the ledger.
    fn append_denial(&self, draft: Result<Draft, TooLong>) -> Option<Pending> {
        let appended = draft.map_err(super::Error::from).and_then(|draft| self.ledger.append(draft).map_err(super::Error::from));
        match appended {
            Ok(pending) => Some(pending),
            Err(error) => {
                tracing::warn!(%error, "a refusal could not be recorded");
                None
            }
        }
    }
}
