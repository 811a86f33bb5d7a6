//! The decision: may this call be made, and in which form does its answer show each item? Step 5 of the line.
//!
//! The share is asked first, then each item from the widest form to the narrowest. Asked are only the forms that the
//! bound grant lists, for items that may be shared at all and lie within the scenario's grade; a mask is asked only
//! where the item has a preset, and opaque content, which cannot be rewritten, in full or not at all. A call whose
//! answer would show nothing is denied, naming the forbids that narrowed it. A `verify` call shows nothing and needs
//! `compare` on every item that it compares. Whatever cannot be evaluated denies the whole call: Cedar skips a policy
//! that errs, a forbid too.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use cedar_policy::{Context, Decision as Answer, Entities, Entity, EntityUid, Request, Schema};
use serde_json::value::{RawValue, to_raw_value};

use super::cache::Outcome;
use super::context;
use super::entities::{Asset, Lineage, Registered, TYPES, action, grant_entity, item_id, uid};
use super::index::Slice;
use super::reads::Reads;
use super::{Circumstances, Policies};
use crate::catalogue::route::Target;
use crate::catalogue::verify::Verify;
use crate::catalogue::{Item, Kind, Sharing};
use crate::disclosure::{Compiled, ContentKind, Form, Plan, PlannedItem};
use crate::identity::Subject;
use crate::lang::Text;
use crate::purpose::{Grant, Scenario};

/// What was decided for a call that may be made; shared with the cache, so that a warm decision copies nothing.
#[derive(Debug)]
pub struct Decision {
    /// The determining policies of the call and of each chosen form, sorted.
    pub policies: Vec<Arc<str>>,
    /// `@flag` of those policies, sorted.
    pub flags: Vec<Arc<str>>,
    /// What the answer shows.
    pub plan: Arc<Plan>,
    /// The plan, ready for rewriting, and its `Share-Disclosure`.
    pub compiled: Arc<Compiled>,
    /// The highest grade among what is shown or compared, no lower than the resource's (stricter grade wins, 就高从严),
    /// and higher for many records.
    pub effective_grade: i64,
    /// In JSON, as every record of it repeats it.
    pub told: Told,
}

/// A decision in JSON (members sorted), written once for all calls that share it.
#[derive(Debug)]
pub struct Told {
    /// The form of each item that is shown or compared.
    pub items: Box<RawValue>,
    /// The policy that narrowed an item, where one did.
    pub narrowed: Option<Box<RawValue>>,
    /// The first [`MOST_POLICIES`] determining policies.
    pub policies: Box<RawValue>,
    /// The flags.
    pub flags: Box<RawValue>,
}

/// A record holds this many policy ids, and how many there were.
pub const MOST_POLICIES: usize = 64;

impl Told {
    fn of(policies: &[Arc<str>], flags: &[Arc<str>], plan: &Plan) -> Result<Self, serde_json::Error> {
        let items = plan.items.iter().filter_map(|item| Some((&*item.name, item.form?.name())));
        let narrowed = plan.items.iter().filter_map(|item| Some((&*item.name, &**item.narrowed_by.as_ref()?)));
        let narrowed: BTreeMap<_, _> = narrowed.collect();
        Ok(Self {
            items: to_raw_value(&items.collect::<BTreeMap<_, _>>())?,
            narrowed: (!narrowed.is_empty()).then(|| to_raw_value(&narrowed)).transpose()?,
            policies: texts(policies)?,
            flags: to_raw_value(&flags.iter().map(|flag| &**flag).collect::<Vec<_>>())?,
        })
    }
}

/// Policy ids as a record repeats them.
pub fn texts(policies: &[Arc<str>]) -> Result<Box<RawValue>, serde_json::Error> {
    to_raw_value(&policies.iter().take(MOST_POLICIES).map(|id| &**id).collect::<Vec<_>>())
}

/// The proof that a call was decided and allowed. Minted here alone, eaten by the commit to the ledger.
#[derive(Debug)]
#[must_use]
pub struct Permit(Arc<Decision>);

impl Permit {
    /// Gives up the proof for what was decided.
    pub fn into_decision(self) -> Arc<Decision> {
        self.0
    }
}

impl Deref for Permit {
    type Target = Decision;

    fn deref(&self) -> &Decision {
        &self.0
    }
}

/// Why a call may not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The determining forbids, sorted; empty: nothing permits it.
    pub policies: Vec<Arc<str>>,
    /// Policies that could not be evaluated: an incident, and always a denial, since Cedar skips a forbid that errs.
    pub errors: Vec<String>,
}

impl Denial {
    /// What the caller may know; officers read the same.
    pub fn detail(&self) -> Text {
        if !self.errors.is_empty() {
            return Text::new(
                "有策略无法求值，因此未放行；请联系安全管理员",
                "a policy could not be evaluated, so the call is not let pass; tell the security officer",
            );
        }
        if self.policies.is_empty() {
            return Text::new("没有策略允许此次调用", "no policy permits this call");
        }
        let names = self.policies.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
        Text::new(format!("被以下策略禁止：{names}"), format!("forbidden by {names}"))
    }

    pub(super) fn incident(error: String) -> Self {
        Self { policies: Vec::new(), errors: vec![error] }
    }
}

/// One call, as policies see it.
pub(super) struct Call<'c> {
    pub(super) subject: &'c Subject,
    pub(super) target: &'c Target,
    pub(super) scenario: &'c Scenario,
    pub(super) grant: Option<&'c Grant>,
    pub(super) has_case: bool,
    pub(super) circumstances: &'c Circumstances,
}

/// From the cache, or decided and kept.
pub(super) fn decide(policies: &Policies, call: &Call<'_>) -> Result<Permit, Denial> {
    if let Some(outcome) = policies.cache.find(call) {
        return outcome.map(Permit).map_err(|denial| (*denial).clone());
    }
    let (reads, outcome) = decide_cold(policies, call);
    // An incident is told again on every call.
    let incident = matches!(&outcome, Err(denial) if !denial.errors.is_empty());
    if let (Some(reads), false) = (&reads, incident) {
        policies.cache.keep(call, reads, &outcome);
    }
    outcome.map(Permit).map_err(|denial| (*denial).clone())
}

/// Whether a call would be let pass. What is found is not kept: questions about calls that nobody makes would push out
/// the decisions of those that are made.
pub(super) fn passes(policies: &Policies, call: &Call<'_>) -> bool {
    policies.cache.find(call).unwrap_or_else(|| decide_cold(policies, call).1).is_ok()
}

/// The decision without any cache, and the circumstances that its policies read.
pub(super) fn decide_cold(policies: &Policies, call: &Call<'_>) -> (Option<Reads>, Outcome) {
    match Judge::new(policies, call) {
        Ok(judge) => {
            let outcome = judge.judge().map(Arc::new).map_err(Arc::new);
            (Some(judge.reads), outcome)
        }
        Err(error) => (None, Err(Arc::new(Denial::incident(error)))),
    }
}

/// An item and the policies to ask for each form that comes into question, widest first.
pub(super) struct Candidate<'c> {
    pub(super) item: &'c Item,
    pub(super) lineage: &'c Lineage,
    pub(super) forms: Vec<(Form, Arc<Slice>)>,
}

/// Everything that one call's questions share.
pub(super) struct Judge<'c> {
    policies: &'c Policies,
    call: &'c Call<'c>,
    pub(super) asset: &'c Asset,
    pub(super) principal: EntityUid,
    pub(super) context: Context,
    pub(super) entities: Entities,
    pub(super) share: Arc<Slice>,
    pub(super) candidates: Vec<Candidate<'c>>,
    pub(super) reads: Reads,
}

impl<'c> Judge<'c> {
    pub(super) fn new(policies: &'c Policies, call: &'c Call<'c>) -> Result<Self, String> {
        let resource = &call.target.resource;
        let registered = &policies.registered;
        let asset = registered.asset(&resource.id).ok_or_else(|| format!("resource `{}` is not in this snapshot", resource.id))?;
        let principal = call.principal(registered);
        let share = policies.rules.index.slice(&action(call.target.operation.kind.name()), &principal, &asset.resource)?;
        let mut candidates = Vec::with_capacity(asset.items.len());
        for (item, lineage) in resource.items.iter().zip(&asset.items).filter(|(item, _)| call.carries(item)) {
            let forms = call.forms(item).into_iter();
            let forms = forms.map(|form| Ok((form, policies.rules.index.slice(&action(form.name()), &principal, lineage)?)));
            candidates.push(Candidate { item, lineage, forms: forms.collect::<Result<_, String>>()? });
        }

        let mut reads = share.reads.clone();
        let mut named: BTreeSet<&EntityUid> = share.named.iter().collect();
        for (_, slice) in candidates.iter().flat_map(|candidate| &candidate.forms) {
            reads.merge(&slice.reads);
            named.extend(&slice.named);
        }
        let own = call.own(registered, asset)?;
        let seeds = named.into_iter().cloned().chain(principal.ancestors.iter().cloned());
        let entities = registered.for_call(&resource.id, asset, own, seeds, &policies.rules.schema)?;
        let context = context::of(call, &reads, &policies.unread)?;
        Ok(Self { policies, call, asset, principal: principal.uid, context, entities, share, candidates, reads })
    }

    fn judge(&self) -> Result<Decision, Denial> {
        let kind = action(self.call.target.operation.kind.name());
        // The context is held against the schema once: every question of the call has the same, and `conform` has
        // held its members against every action.
        let share = self.ask(kind, &self.asset.resource.uid, &self.share, Some(&self.policies.rules.schema))?;
        if !share.allowed {
            return Err(Denial { policies: self.names(&share.reasons), errors: Vec::new() });
        }
        let mut determining = share.reasons;
        let mut effective_grade = self.call.target.resource.grade;
        let mut items = Vec::with_capacity(self.candidates.len());
        for candidate in &self.candidates {
            let mut narrowed_by = None;
            let mut chosen = None;
            for (form, slice) in &candidate.forms {
                let answer = self.ask(action(form.name()), &candidate.lineage.uid, slice, None)?;
                if answer.allowed {
                    determining.extend(answer.reasons);
                    effective_grade = effective_grade.max(candidate.item.grade);
                    chosen = Some(*form);
                    break;
                }
                narrowed_by = narrowed_by.or_else(|| self.names(&answer.reasons).into_iter().next());
            }
            items.push(planned(candidate.item, chosen, narrowed_by));
        }
        let verified = self.call.target.operation.verify.as_ref().map(|verify| &verify.comparison.items);
        let refused = match verified {
            Some(compared) => compared.iter().any(|item| !items.iter().any(|known| known.name == item.name && known.form.is_some())),
            None => items.iter().all(|item| item.form.is_none()),
        };
        if refused {
            let forbids: BTreeSet<_> = items.into_iter().filter_map(|item| item.narrowed_by).collect();
            return Err(Denial { policies: forbids.into_iter().collect(), errors: Vec::new() });
        }
        let flags: BTreeSet<_> = determining.iter().filter_map(|id| self.policies.rules.known.get(id)?.flag.clone()).collect();
        let operation = &self.call.target.operation;
        let granted = self.call.grant.and_then(|grant| grant.quota.records());
        let max_records = granted.map_or(operation.max_records, |granted| granted.min(operation.max_records));
        let region = self.call.target.resource.region.as_ref().map(|region| region.paths.clone());
        let effective_grade = operation.graded(effective_grade);
        let plan = Plan { items, content: operation.content, records: operation.records.clone(), max_records, region };
        let policies = self.names(&determining);
        let compiled = Arc::new(Compiled::new(&plan));
        let flags: Vec<_> = flags.into_iter().collect();
        let told = Told::of(&policies, &flags, &plan).map_err(|error| Denial::incident(error.to_string()))?;
        Ok(Decision { policies, flags, plan: Arc::new(plan), compiled, effective_grade, told })
    }

    pub(super) fn ask(&self, action: EntityUid, resource: &EntityUid, slice: &Slice, schema: Option<&Schema>) -> Result<Asked, Denial> {
        let request = Request::new(self.principal.clone(), action, resource.clone(), self.context.clone(), schema)
            .map_err(|error| Denial::incident(error.to_string()))?;
        answer(self.policies, slice, &self.entities, &request)
    }

    pub(super) fn names(&self, ids: &BTreeSet<cedar_policy::PolicyId>) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = ids.iter().filter_map(|id| Some(self.policies.rules.known.get(id)?.id.clone())).collect();
        names.sort_unstable();
        names
    }
}

/// Cedar's answer to one question.
pub(super) struct Asked {
    pub(super) allowed: bool,
    pub(super) reasons: BTreeSet<cedar_policy::PolicyId>,
}

/// Asks one question of the policies that can match it.
pub(super) fn answer(policies: &Policies, slice: &Slice, entities: &Entities, request: &Request) -> Result<Asked, Denial> {
    let response = policies.authorizer.is_authorized(request, &slice.policies, entities);
    let mut errors: Vec<String> = response.diagnostics().errors().map(ToString::to_string).collect();
    if !errors.is_empty() {
        errors.sort_unstable();
        return Err(Denial { policies: Vec::new(), errors });
    }
    let reasons = response.diagnostics().reason().cloned().collect();
    Ok(Asked { allowed: response.decision() == Answer::Allow, reasons })
}

impl Call<'_> {
    /// The bound scenario and grant, which the requester stands under for this call.
    fn purpose(&self) -> impl Iterator<Item = EntityUid> + use<> {
        let grant = self.grant.map(|grant| uid(&TYPES.grant, &grant.id));
        [Some(uid(&TYPES.scenario, &self.scenario.id)), grant].into_iter().flatten()
    }

    /// Who asks, with all that the call puts it under.
    pub(super) fn principal(&self, registered: &Registered) -> Lineage {
        let mut ancestors = registered.above_requester(&self.subject.department, &self.subject.roles);
        ancestors.extend(self.purpose());
        Lineage { uid: uid(&TYPES.requester, &self.subject.requester.id), ancestors }
    }

    /// The entities that are the call's own: requester and grant.
    pub(super) fn own(&self, registered: &Registered, asset: &Asset) -> Result<Vec<Entity>, String> {
        let Subject { requester, department, roles, .. } = self.subject;
        let mut own = vec![registered.requester(requester, department, roles, self.purpose())?];
        own.extend(self.grant.map(|grant| grant_entity(grant, &asset.resource.uid)).transpose()?);
        Ok(own)
    }

    /// Whether the operation's answer carries the item at all: opaque content is the implicit item `*` alone.
    pub(super) fn carries(&self, item: &Item) -> bool {
        (&*item.name == "*") == (self.target.operation.content == ContentKind::Opaque)
    }

    /// The forms that come into question before any policy is asked, widest first.
    pub(super) fn forms(&self, item: &Item) -> Vec<Form> {
        let resource = &self.target.resource;
        // Conditions may not be added to unconditional resources (order 809, article 15).
        let graded = resource.sharing == Sharing::Unconditional || item.grade <= self.scenario.max_grade;
        // A cap on regions that nothing can carry out shows nothing; the loader refuses such a grant.
        let uncapped = resource.region.is_none() && self.grant.is_some_and(|grant| !grant.regions.is_empty());
        if item.sharing == Sharing::NotShared || !graded || uncapped {
            return Vec::new();
        }
        let operation = &self.target.operation;
        let compared = |verify: &Verify| verify.comparison.items.iter().any(|compared| compared.name == item.name);
        let asked: &[Form] = match &operation.verify {
            Some(verify) if compared(verify) => &[Form::Compare],
            None if operation.kind != Kind::Verify => &Form::SHOWN,
            Some(_) | None => &[],
        };
        let approved = self.grant.map(|grant| grant.items.get(item_id(&resource.id, &item.name).as_str()));
        let possible = |form: &Form| match form {
            Form::Reveal | Form::Compare => true,
            Form::Mask => item.mask.is_some(),
            Form::Pseudonymise => operation.content != ContentKind::Opaque,
        };
        let granted = |form: &Form| approved.is_none_or(|forms| forms.is_some_and(|forms| forms.contains(*form)));
        asked.iter().copied().filter(|form| possible(form) && granted(form)).collect()
    }
}

fn planned(item: &Item, form: Option<Form>, narrowed_by: Option<Arc<str>>) -> PlannedItem {
    PlannedItem {
        name: item.name.clone(),
        paths: item.paths.clone(),
        form,
        preset: item.mask.clone(),
        joinable: item.joinable,
        likeness: item.likeness,
        narrowed_by,
    }
}
