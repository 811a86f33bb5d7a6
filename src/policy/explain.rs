//! Why a call comes out as it does: each question that was asked, the policies that answered it, the facts that their
//! conditions read, and which single fact would change the outcome. Everything is found by asking the authorizer again,
//! never by reasoning about it.

mod facts;
mod flips;
mod literals;
mod regions;
mod strict;
mod survey;

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::{Effect, Entities, EntityUid, Policy, PolicyId, Request};

pub use facts::Fact;
pub use flips::{Alternatives, Flip, Flips};
pub use regions::RegionWhy;
pub use strict::{Ground, Stricter};
pub use survey::{Asked, Row, Survey, Way};

use super::decide::{Call, Judge};
use super::entities::{action, item_id};
use super::index::Slice;
use super::supposed::{Refused, Supposed};
use super::{Policies, World};
use crate::catalogue::{Item, Kind, Sharing};
use crate::disclosure::{ContentKind, Form};
use crate::lang::Text;
use crate::purpose::bind::WouldWork;
use crate::written::Place;

/// So many policies are told of each question; the determining ones first.
const MOST: usize = 24;

/// Why a call comes out as it does.
#[derive(Debug)]
pub struct Explanation {
    /// `allow`, or the code of the refusal.
    pub outcome: &'static str,
    /// What binding says, or which policies could not be evaluated.
    pub detail: Option<Text>,
    /// The scenarios that the caller would pass.
    pub would_work: Vec<WouldWork>,
    /// The bound scenario, or the one that was meant.
    pub scenario: Option<Arc<str>>,
    /// The bound grant, or the one that refused.
    pub grant: Option<Arc<str>>,
    /// `@flag` of the determining policies.
    pub flags: Vec<Arc<str>>,
    /// Whether the call may be made; none: it was not bound, so no policy was asked.
    pub share: Option<Question>,
    /// Why each item has its form; none where the call itself may not be made.
    pub items: Vec<ItemWhy>,
    /// Which single fact would change the outcome.
    pub flips: Flips,
}

/// One question to the authorizer, and what answered it.
#[derive(Debug)]
pub struct Question {
    /// The action.
    pub action: &'static str,
    /// The answer.
    pub allowed: bool,
    /// Policies whose scope matches, the determining ones first.
    pub policies: Vec<PolicyWhy>,
    /// How many more there are.
    pub more: usize,
}

/// What one policy said to a question.
#[derive(Debug)]
pub struct PolicyWhy {
    /// Its `@id`.
    pub id: Arc<str>,
    /// Whether it permits; else it forbids.
    pub permits: bool,
    /// Where it is written.
    pub place: Place,
    /// As it is written.
    pub text: String,
    /// Whether it determined the answer.
    pub determining: bool,
    /// Whether its conditions hold.
    pub holds: bool,
    /// What its conditions read.
    pub facts: Vec<Fact>,
}

/// Why an item has its form.
#[derive(Debug)]
pub struct ItemWhy {
    /// Its name.
    pub name: Arc<str>,
    /// The form; none: it is omitted.
    pub form: Option<Form>,
    /// From the widest form to the chosen one; all where none was chosen.
    pub steps: Vec<Step>,
}

/// What came of one form.
#[derive(Debug)]
pub struct Step {
    /// The form.
    pub form: Form,
    /// Why it was not asked; none: it was.
    pub not_asked: Option<Text>,
    /// What the policies said.
    pub asked: Option<Question>,
}

impl Policies {
    /// Why this call would come out as it would.
    pub fn explain(&self, supposed: &Supposed, world: World<'_>, alternatives: &Alternatives) -> Explanation {
        let mut told = Explanation {
            outcome: "allow",
            detail: None,
            would_work: Vec::new(),
            scenario: None,
            grant: None,
            flags: Vec::new(),
            share: None,
            items: Vec::new(),
            flips: flips::find(self, supposed, world, alternatives),
        };
        match self.suppose_anew(supposed, world) {
            Ok((_, decision)) => told.flags = decision.flags.clone(),
            Err(refused) => {
                told.outcome = refused.code();
                told.detail = refused.detail();
                if let Refused::NotBound(not) = refused {
                    (told.scenario, told.grant, told.would_work) = (not.scenario, not.grant, not.would_work);
                }
            }
        }
        let Ok(made) = supposed.make(world) else { return told };
        told.scenario = Some(made.bound.scenario.id.clone());
        told.grant = made.bound.grant.as_ref().map(|grant| grant.id.clone());
        let call = made.call();
        if let Ok(judge) = Judge::new(self, &call) {
            let teller = Teller { policies: self, judge: &judge, call: &call };
            let share = teller.question(call.target.operation.kind.name(), &judge.asset.resource.uid, &judge.share);
            if share.allowed {
                told.items = judge.candidates.iter().map(|candidate| teller.item(candidate)).collect();
            }
            told.share = Some(share);
        }
        told
    }

    /// The policies that determined any answer of this call's questions, forbids that refused a wider form among them.
    pub fn decisive(&self, supposed: &Supposed, world: World<'_>) -> BTreeSet<Arc<str>> {
        let Ok(made) = supposed.make(world) else { return BTreeSet::new() };
        let call = made.call();
        let Ok(judge) = Judge::new(self, &call) else { return BTreeSet::new() };
        let mut decisive = BTreeSet::new();
        let mut ask = |name: &str, resource: &EntityUid, slice: &Slice| {
            let Ok(asked) = judge.ask(action(name), resource, slice, None) else { return false };
            decisive.extend(judge.names(&asked.reasons));
            asked.allowed
        };
        if ask(call.target.operation.kind.name(), &judge.asset.resource.uid, &judge.share) {
            for candidate in &judge.candidates {
                let _ = candidate.forms.iter().any(|(form, slice)| ask(form.name(), &candidate.lineage.uid, slice));
            }
        }
        decisive
    }

    /// Every policy and where it is written, by id.
    pub fn places(&self) -> Vec<(Arc<str>, Place)> {
        let mut places: Vec<_> = self.rules.known.values().map(|known| (known.id.clone(), known.place.clone())).collect();
        places.sort();
        places
    }
}

/// One question with its answer, and what the policies said to it.
fn told(
    policies: &Policies,
    (action, allowed): (&'static str, bool),
    slice: &Slice,
    asked: Option<(&Request, &Entities)>,
    reasons: &BTreeSet<PolicyId>,
) -> Question {
    let mut matching: Vec<&Policy> = slice.policies.policies().collect();
    matching.sort_by_key(|policy| (!reasons.contains(policy.id()), policy.effect() == Effect::Permit, policy.id().to_string()));
    let more = matching.len().saturating_sub(MOST.max(reasons.len()));
    matching.truncate(MOST.max(reasons.len()));
    let why = |policy: &Policy| {
        let (request, entities) = asked?;
        let known = policies.rules.known.get(policy.id())?;
        let conditions = facts::of(policy, request, entities);
        Some(PolicyWhy {
            id: known.id.clone(),
            permits: policy.effect() == Effect::Permit,
            place: known.place.clone(),
            text: policy.to_string(),
            determining: reasons.contains(policy.id()),
            holds: conditions.hold,
            facts: conditions.facts,
        })
    };
    Question { action, allowed, policies: matching.into_iter().filter_map(why).collect(), more }
}

/// Asks a call's questions again and tells what answered them.
struct Teller<'t, 'c> {
    policies: &'t Policies,
    judge: &'t Judge<'c>,
    call: &'t Call<'c>,
}

impl Teller<'_, '_> {
    fn question(&self, name: &'static str, resource: &EntityUid, slice: &Slice) -> Question {
        let (allowed, reasons) = match self.judge.ask(action(name), resource, slice, None) {
            Ok(asked) => (asked.allowed, asked.reasons),
            Err(_) => (false, BTreeSet::new()),
        };
        let context = self.judge.context.clone();
        let request = Request::new(self.judge.principal.clone(), action(name), resource.clone(), context, None).ok();
        told(self.policies, (name, allowed), slice, request.as_ref().map(|request| (request, &self.judge.entities)), &reasons)
    }

    fn item(&self, candidate: &super::decide::Candidate<'_>) -> ItemWhy {
        let item = candidate.item;
        let mut why = ItemWhy { name: item.name.clone(), form: None, steps: Vec::new() };
        let forms: &[Form] = if self.call.target.operation.kind == Kind::Verify { &[Form::Compare] } else { &Form::SHOWN };
        for &form in forms {
            let slice = candidate.forms.iter().find(|(asked, _)| *asked == form).map(|(_, slice)| slice);
            let asked = slice.map(|slice| self.question(form.name(), &candidate.lineage.uid, slice));
            let allowed = asked.as_ref().is_some_and(|question| question.allowed);
            let not_asked = slice.is_none().then(|| self.not_asked(item, form));
            why.steps.push(Step { form, not_asked, asked });
            if allowed {
                why.form = Some(form);
                break;
            }
        }
        why
    }

    /// Why a form does not come into question, in the order in which `decide` looks.
    fn not_asked(&self, item: &Item, form: Form) -> Text {
        let Call { target, scenario, grant, .. } = self.call;
        let resource = &target.resource;
        if item.sharing == Sharing::NotShared {
            return Text::new("该数据项不予共享", "the item is not shared");
        }
        if resource.sharing != Sharing::Unconditional && item.grade > scenario.max_grade {
            let (id, grade, most) = (&scenario.id, item.grade, scenario.max_grade);
            return Text::new(
                format!("数据项为 {grade} 级，场景 `{id}` 最高到 {most} 级"),
                format!("the item is of grade {grade}, scenario `{id}` reaches {most}"),
            );
        }
        if let Some(verify) = &target.operation.verify
            && !verify.comparison.items.iter().any(|compared| compared.name == item.name)
        {
            return Text::new("该操作不比对此项", "the operation does not compare it");
        }
        if form == Form::Mask && item.mask.is_none() {
            return Text::new("该数据项没有脱敏规则", "the item has no mask");
        }
        if form != Form::Reveal && target.operation.content == ContentKind::Opaque {
            return Text::new("内容不可改写，只能整体提供或不提供", "the content cannot be rewritten: it is shown whole or not at all");
        }
        match grant {
            Some(grant) if !grant.items.get(item_id(&resource.id, &item.name).as_str()).is_some_and(|forms| forms.contains(form)) => {
                let id = &grant.id;
                Text::new(format!("授权 `{id}` 没有列出此形式"), format!("grant `{id}` does not list this form"))
            }
            _ => Text::new("该操作不提供此形式", "the operation has no such form"),
        }
    }
}
