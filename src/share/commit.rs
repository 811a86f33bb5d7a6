//! Committing: step 6 of the line. It eats the permit; what comes out is the recorded intent, the receipt to wait for,
//! and the duty to settle. Proofs are minted here and nowhere else.

use std::sync::Arc;

use hyper::Method;
use hyper::header::HeaderValue;

use super::{Error, Recorder, Settlement, new_id};
use crate::catalogue::route::Target;
use crate::disclosure::{Compiled, Plan};
use crate::identity::{CredentialKind, Subject, TokenScope};
use crate::ledger::entry::{self, Draft, TooLong};
use crate::ledger::{Committed, Haste, Pending, SubjectKeys};
use crate::policy::{Circumstances, Decision, Permit};
use crate::purpose::bind::Bound;
use crate::purpose::quota::Taken;
use crate::purpose::stated::check_case;
use crate::written::is_id;

/// What an entry says beside the decision.
pub struct Facts<'a> {
    /// Who asks.
    pub subject: &'a Subject,
    /// For what.
    pub target: &'a Target,
    /// What for.
    pub bound: &'a Bound,
    /// Under which circumstances.
    pub circumstances: &'a Circumstances,
    /// Under which control snapshot.
    pub snapshot: &'a str,
    /// Whose data; kept as keyed digest only.
    pub data_subject: Option<&'a str>,
}

/// A share that is about to happen and is on its way to the ledger.
#[must_use]
pub struct Intent {
    id: String,
    decision: Arc<Decision>,
    scenario: Arc<str>,
    department: Arc<str>,
    method: Method,
}

impl Intent {
    /// The entry's id, which the origin gets as `Share-Id`.
    pub fn id_field(&self) -> HeaderValue {
        // Hexadecimal digits are always a field's value.
        HeaderValue::from_str(&self.id).unwrap_or_else(|_| HeaderValue::from_static("invalid"))
    }

    /// The plan, ready for rewriting, and its `Share-Disclosure`.
    pub fn compiled(&self) -> &Arc<Compiled> {
        &self.decision.compiled
    }

    /// What the answer shows.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.decision.plan
    }

    /// The bound scenario.
    pub fn scenario(&self) -> &str {
        &self.scenario
    }

    /// The demanding department.
    pub fn department(&self) -> &str {
        &self.department
    }

    /// The method that the origin is asked with.
    pub fn method(&self) -> &Method {
        &self.method
    }
}

/// A receipt that is not durable yet.
#[must_use]
pub struct PendingReceipt {
    pending: Pending,
}

impl PendingReceipt {
    /// Waits until the intent is durable.
    pub async fn durable(self) -> Result<Receipt, Error> {
        Ok(Receipt { committed: self.pending.await? })
    }
}

/// Proof that a share is on record. No reply is made without one, and only a durable entry makes one:
///
/// ```compile_fail,E0451
/// let receipt = kanhe::share::Receipt { committed: unreachable!() };
/// ```
#[must_use]
pub struct Receipt {
    committed: Committed,
}

impl Receipt {
    /// The entry's index in the log.
    pub fn index(&self) -> u64 {
        self.committed.index
    }

    /// `Share-Receipt` (RFC 9651 item).
    pub fn field(&self) -> HeaderValue {
        // Names are checked when the configuration is read; everything else here is plain ASCII.
        HeaderValue::from_str(&self.committed.receipt()).unwrap_or_else(|_| HeaderValue::from_static("invalid"))
    }
}

impl Recorder {
    /// Step 6: no record, no share; and what is not recorded was not taken from any quota.
    pub fn commit(&self, permit: Permit, facts: &Facts<'_>, taken: Option<Taken>) -> Result<(Intent, PendingReceipt, Settlement), Error> {
        let decision = permit.into_decision();
        let id = new_id();
        let draft = granted(&id, &decision, facts, self.ledger.keys())?;
        let settling = self.ledger.reserve()?;
        // A safe call asks the origin meanwhile.
        let haste = if facts.target.operation.method.is_safe() { Haste::Busy } else { Haste::Standing };
        let pending = self.ledger.append_with(draft, haste)?;
        let settlement = Settlement::new(settling, pending.index(), taken.and_then(Taken::recorded));
        let intent = Intent {
            id,
            decision,
            scenario: facts.bound.scenario.id.clone(),
            department: facts.subject.department.id.clone(),
            method: facts.target.operation.origin_method().clone(),
        };
        Ok((intent, PendingReceipt { pending }, settlement))
    }
}

/// The entry of a granted share.
fn granted(id: &str, decision: &Decision, facts: &Facts<'_>, keys: &SubjectKeys) -> Result<Draft, TooLong> {
    let Facts { subject, target, bound, circumstances, snapshot, data_subject } = facts;
    let who = Who::of(subject, keys);
    let resource = &target.resource;
    let told = &decision.told;
    let data_subject = data_subject.map(|number| digest_of_number(keys, number));
    let template = target.template();
    let source = circumstances.source.to_string();
    let entry = entry::Share {
        id,
        time_decided: Some(circumstances.time),
        source: Some(&source),
        network: Some(&circumstances.network),
        provider: Some(&resource.provider),
        resource: Some(&resource.id),
        operation: Some(target.operation.kind.name()),
        target: Some(&template),
        subject: data_subject.as_deref(),
        scenario: Some(&bound.scenario.id),
        stated: (!bound.stated).then_some(false),
        case: bound.case.as_deref(),
        grant: bound.grant.as_ref().map(|grant| &*grant.id),
        max_records: bound.grant.as_ref().and_then(|grant| grant.quota.records_per_day).map(|_| decision.plan.most()),
        emergency: Some(circumstances.emergency),
        work_time: Some(circumstances.work_time),
        sharing: Some(resource.sharing.name()),
        level: Some(resource.level.name()),
        grade: grade(resource.grade),
        effective_grade: grade(decision.effective_grade),
        items: Some(&told.items),
        narrowed: told.narrowed.as_deref(),
        policies: Some(&told.policies),
        policies_total: Some(decision.policies.len() as u64),
        flags: Some(&told.flags),
        snapshot: Some(snapshot),
        ..who.entry()
    };
    entry.draft()
}

/// Who asked, as texts that an entry borrows.
pub(super) struct Who<'a> {
    subject: &'a Subject,
    roles: Vec<&'a str>,
    operator: Option<String>,
    operator_roles: Vec<&'a str>,
    digest: String,
}

impl<'a> Who<'a> {
    pub(super) fn of(subject: &'a Subject, keys: &SubjectKeys) -> Self {
        Self {
            subject,
            roles: texts(&subject.roles),
            operator: subject.operator.as_deref().map(|operator| keys.digest(operator)),
            operator_roles: texts(&subject.operator_roles),
            digest: keys.digest_bytes(&subject.credential.fingerprint),
        }
    }

    pub(super) fn entry(&self) -> entry::Share<'_> {
        let subject = self.subject;
        entry::Share {
            requester: Some(&subject.requester.id),
            department: Some(&subject.department.id),
            roles: Some(&self.roles),
            operator: self.operator.as_deref(),
            operator_roles: Some(&self.operator_roles),
            operator_clearance: grade(subject.operator_clearance),
            credential: Some(entry::Credential {
                digest: Some(&self.digest),
                issuer: subject.credential.issuer.as_deref(),
                kid: subject.credential.kid.as_deref(),
                kind: match subject.credential.kind {
                    CredentialKind::Jwt => "jwt",
                    CredentialKind::Certificate => "certificate",
                    CredentialKind::Both => "both",
                },
            }),
            bound: Some(subject.bound),
            scope: subject.scope.as_ref().map(scope),
            ..entry::Share::default()
        }
    }
}

/// A token's limits. Words that are no ids are not repeated: they name no scenario, and could be anything.
fn scope(scope: &TokenScope) -> entry::Scope<'_> {
    let scenarios = scope.scenarios.iter().map(|id| if is_id(id) { &**id } else { "?" }).collect();
    // A case that cannot be used is refused as an empty one is.
    let case = scope.case.as_deref().map(|case| if check_case(case).is_ok() { case } else { "" });
    entry::Scope { case, scenarios }
}

/// Identifiers are compared as people write them: without spaces around, letters in upper case.
fn digest_of_number(keys: &SubjectKeys, number: &str) -> String {
    keys.digest(&number.trim().to_uppercase())
}

fn grade(number: i64) -> Option<u8> {
    u8::try_from(number).ok()
}

fn texts<'a>(all: impl IntoIterator<Item = &'a Arc<str>>) -> Vec<&'a str> {
    all.into_iter().map(|text| &**text).collect()
}
