//! Binding: step 4 of the line. A call is for exactly one registered scenario and at most one grant, or it is refused
//! before any policy is asked.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use super::held::{Choice, Refusal};
use super::stated::{self, Stated};
use super::{CaseRule, Grant, Purposes, Scenario, ScenarioStatus};
use crate::catalogue::route::Target;
use crate::catalogue::{Catalogue, Sharing};
use crate::identity::Subject;
use crate::identity::parties::Parties;
use crate::lang::Text;

/// The purpose a call is bound to. Made by [`bind`] alone.
#[derive(Debug)]
#[must_use]
#[expect(clippy::manual_non_exhaustive, reason = "the last field keeps every other file from making one")]
pub struct Bound {
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// The grant; none: no grant could apply, and the policies decide.
    pub grant: Option<Arc<Grant>>,
    /// The stated case.
    pub case: Option<String>,
    /// Whether the call stated its purpose in `Share-Purpose`, and did not leave it to its token or to what fits.
    pub stated: bool,
    _minted: (),
}

impl Bound {
    /// Whether the scenario's emergency order is in force.
    pub fn emergency(&self, now: Timestamp) -> bool {
        self.scenario.emergency(now)
    }
}

/// A scenario that this caller would pass, told in a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WouldWork {
    /// The scenario's id.
    pub scenario: Arc<str>,
    /// Whether a case is needed.
    pub case: CaseRule,
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The resource is not shared by law.
    NotShared,
    /// No scenario is stated and none or several would fit.
    PurposeMissing,
    /// The scenario is not registered.
    PurposeUnknown,
    /// The scenario or its grant does not cover this call.
    PurposeNotGranted,
    /// The scenario or its grant is outside its dates.
    PurposeExpired,
    /// The scenario demands a case.
    CaseRequired,
}

impl Reason {
    /// The refusal's code, as the contract has it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotShared => "not_shared",
            Self::PurposeMissing => "purpose_missing",
            Self::PurposeUnknown => "purpose_unknown",
            Self::PurposeNotGranted => "purpose_not_granted",
            Self::PurposeExpired => "purpose_expired",
            Self::CaseRequired => "case_required",
        }
    }
}

/// Why a call is for nothing that is registered, with what the ledger may know of it.
#[derive(Debug)]
pub struct NotBound {
    /// What kind of refusal it is.
    pub reason: Reason,
    /// The ground, for the caller.
    pub detail: Text,
    /// The scenarios that this caller would pass.
    pub would_work: Vec<WouldWork>,
    /// The registered scenario that was meant.
    pub scenario: Option<Arc<str>>,
    /// The case that was stated.
    pub case: Option<String>,
    /// The grant that refused.
    pub grant: Option<Arc<str>>,
    /// Whether the call stated its purpose in `Share-Purpose`.
    pub stated: bool,
}

/// What calls are bound to.
#[derive(Clone, Copy, Debug)]
pub struct Registered<'a> {
    /// Who asks, and in which time zone days are counted.
    pub parties: &'a Parties,
    /// What for data.
    pub catalogue: &'a Catalogue,
    /// What for.
    pub purposes: &'a Purposes,
}

/// A ground, before it is known what else to tell.
type Ground = (Reason, Text);

/// Step 4 of the line: the one scenario and grant that the call is for. The checks are made in the order in which the
/// design lists them, since each refusal names the first ground.
pub fn bind(world: Registered<'_>, subject: &Subject, target: &Target, stated: Option<&Stated>, now: Timestamp) -> Result<Bound, NotBound> {
    let today = now.to_zoned_datetime(world.parties.time_zone.clone()).date();
    let call = Call { purposes: world.purposes, subject, target, today };
    let case = stated.and_then(|stated| stated.case.clone()).or_else(|| subject.scope.as_ref()?.case.clone());
    let mut meant = Meant { case, stated: stated.is_some(), ..Meant::default() };
    let refuse = |meant: &Meant, ground| call.refusal(meant, ground);

    call.is_shared().map_err(|ground| refuse(&meant, ground))?;
    let scenario = call.scenario(stated, &mut meant).map_err(|ground| refuse(&meant, ground))?;
    if scenario.case == CaseRule::Required && meant.case.is_none() {
        let ground = Text::new(
            format!("场景 `{}` 须写明业务编号：`Share-Purpose: {};case=\"…\"`", scenario.id, scenario.id),
            format!("scenario `{}` needs a case: `Share-Purpose: {};case=\"…\"`", scenario.id, scenario.id),
        );
        return Err(refuse(&meant, (Reason::CaseRequired, ground)));
    }
    let grant = match world.purposes.held.choose(subject, target, scenario, today) {
        Choice::None => None,
        Choice::Bound(grant) => Some(grant.clone()),
        Choice::Refused(grant, refusal) => {
            meant.grant = Some(grant.id.clone());
            return Err(refuse(&meant, over(grant, refusal)));
        }
    };
    Ok(Bound { scenario: scenario.clone(), grant, case: meant.case, stated: stated.is_some(), _minted: () })
}

/// What was found out so far of what the call means.
#[derive(Default)]
struct Meant {
    scenario: Option<Arc<str>>,
    case: Option<String>,
    grant: Option<Arc<str>>,
    stated: bool,
}

/// A call as binding sees it.
pub(super) struct Call<'c> {
    pub(super) purposes: &'c Purposes,
    pub(super) subject: &'c Subject,
    pub(super) target: &'c Target,
    pub(super) today: Date,
}

impl<'c> Call<'c> {
    fn refusal(&self, meant: &Meant, (reason, detail): Ground) -> NotBound {
        let would_work = if reason == Reason::NotShared { Vec::new() } else { self.would_work() };
        let Meant { scenario, case, grant, stated } = meant;
        // What is shaped like a person's number never reaches the ledger, not even refused.
        let case = case.clone().filter(|case| stated::check_case(case).is_ok());
        NotBound { reason, detail, would_work, scenario: scenario.clone(), case, grant: grant.clone(), stated: *stated }
    }

    pub(super) fn is_shared(&self) -> Result<(), Ground> {
        let resource = &self.target.resource;
        if resource.sharing != Sharing::NotShared {
            return Ok(());
        }
        let (id, basis) = (&resource.id, &resource.legal_basis);
        let detail = Text::new(
            format!("数据资源 `{id}` 属于不予共享类，依据：{basis}"),
            format!("resource `{id}` is not shared; legal basis: {basis}"),
        );
        Err((Reason::NotShared, detail))
    }

    /// The one scenario that the call is for.
    fn scenario(&self, stated: Option<&Stated>, meant: &mut Meant) -> Result<&'c Arc<Scenario>, Ground> {
        let Some(id) = self.named(stated) else { return self.only_fitting(meant) };
        let Some(scenario) = self.purposes.scenarios.get(id) else {
            // The text itself is not repeated: it could be anything, a person's number too.
            let detail = Text::new("所述场景未登记", "the stated scenario is not registered");
            return Err((Reason::PurposeUnknown, detail));
        };
        meant.scenario = Some(scenario.id.clone());
        self.is_within_token(scenario, stated)?;
        self.fits(scenario)?;
        Ok(scenario)
    }

    /// What the field names, or the token where it leaves no choice.
    fn named<'s>(&'s self, stated: Option<&'s Stated>) -> Option<&'s str> {
        let scope = self.subject.scope.as_ref().filter(|scope| scope.scenarios.len() == 1);
        stated.map(|stated| stated.scenario.as_str()).or_else(|| scope?.scenarios.first().map(|id| &**id))
    }

    fn only_fitting(&self, meant: &mut Meant) -> Result<&'c Arc<Scenario>, Ground> {
        let scenarios = self.purposes.scenarios.values();
        let mut fitting = scenarios.filter(|scenario| self.is_within_token(scenario, None).is_ok() && self.fits(scenario).is_ok());
        if let (Some(one), None) = (fitting.next(), fitting.next()) {
            meant.scenario = Some(one.id.clone());
            return Ok(one);
        }
        let detail = Text::new(
            "须用 `Share-Purpose` 写明使用场景：没有写明，且适用的场景不是恰好一个",
            "state the scenario in `Share-Purpose`: none is stated, and not exactly one would fit",
        );
        Err((Reason::PurposeMissing, detail))
    }

    /// The field may only narrow what the token allows (RFC 9396).
    fn is_within_token(&self, scenario: &Scenario, stated: Option<&Stated>) -> Result<(), Ground> {
        let Some(scope) = &self.subject.scope else { return Ok(()) };
        if !scope.scenarios.contains(&scenario.id) {
            return Err(self.not_granted(scenario, "令牌不包含此场景", "the token does not include it"));
        }
        match (&scope.case, stated.and_then(|stated| stated.case.as_ref())) {
            (Some(allowed), Some(case)) if allowed != case => {
                Err(self.not_granted(scenario, "令牌限定了另一业务编号", "the token is for another case"))
            }
            (Some(allowed), _) if stated::check_case(allowed).is_err() => {
                Err(self.not_granted(scenario, "令牌中的业务编号不可用", "the token's case cannot be used"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the scenario covers this call. Participation and grade are no conditions of unconditional resources
    /// (order 809, article 15).
    fn fits(&self, scenario: &Scenario) -> Result<(), Ground> {
        let (resource, kind) = (&self.target.resource, self.target.operation.kind);
        if scenario.status != ScenarioStatus::Approved {
            return Err(self.not_granted(scenario, "该场景已暂停或结束", "it is suspended or ended"));
        }
        if !scenario.resources.iter().any(|pattern| pattern.covers(&resource.id, &resource.provider)) {
            return Err(self.not_granted(scenario, "该场景不包含此数据资源", "it does not cover this resource"));
        }
        if !scenario.kinds.contains(&kind) {
            return Err(self.not_granted(scenario, "该场景不包含此类操作", "it does not cover this kind of operation"));
        }
        if resource.sharing != Sharing::Unconditional {
            let department = &self.subject.department.id;
            if !scenario.takes_part(department) {
                return Err(self.not_granted(scenario, "需求部门不是该场景的参与部门", "the demanding department takes no part in it"));
            }
            if scenario.max_grade < resource.grade {
                return Err(self.not_granted(scenario, "数据级别超出该场景的上限", "the resource's grade is above what it reaches"));
            }
        }
        if self.today < scenario.valid_from || scenario.valid_until < self.today {
            let (id, from, until) = (&scenario.id, scenario.valid_from, scenario.valid_until);
            let detail = Text::new(
                format!("场景 `{id}` 不在有效期内（{from} 至 {until}）"),
                format!("scenario `{id}` is outside its dates ({from} to {until})"),
            );
            return Err((Reason::PurposeExpired, detail));
        }
        Ok(())
    }

    fn not_granted(&self, scenario: &Scenario, zh: &str, en: &str) -> Ground {
        let (id, resource) = (&scenario.id, &self.target.resource.id);
        let detail =
            Text::new(format!("场景 `{id}` 不适用于 `{resource}`：{zh}"), format!("scenario `{id}` does not apply to `{resource}`: {en}"));
        (Reason::PurposeNotGranted, detail)
    }

    /// What the grants say to the call in a scenario that it would pass, stating a case where that needs one.
    pub(super) fn passes(&self, scenario: &Scenario) -> Option<Choice<'c>> {
        self.is_within_token(scenario, None).ok()?;
        self.fits(scenario).ok()?;
        let choice = self.purposes.held.choose(self.subject, self.target, scenario, self.today);
        (!matches!(choice, Choice::Refused(..))).then_some(choice)
    }

    /// The scenarios that this caller would pass, sorted. No stranger asks this: the caller is registered.
    fn would_work(&self) -> Vec<WouldWork> {
        let scenarios = self.purposes.scenarios.values().filter(|scenario| self.passes(scenario).is_some());
        let mut would: Vec<_> = scenarios.map(|scenario| WouldWork { scenario: scenario.id.clone(), case: scenario.case }).collect();
        would.sort_unstable_by(|a, b| a.scenario.cmp(&b.scenario));
        would
    }
}

fn over(grant: &Grant, refusal: Refusal) -> Ground {
    let id = &grant.id;
    let not_granted =
        |zh: &str, en: &str| (Reason::PurposeNotGranted, Text::new(format!("授权 `{id}` {zh}"), format!("grant `{id}` {en}")));
    match refusal {
        Refusal::Suspended => not_granted("已暂停", "is suspended"),
        Refusal::Terminated => not_granted("已终止", "is terminated"),
        Refusal::OutOfDate => {
            let (from, until) = (grant.valid_from, grant.valid_until);
            let detail = Text::new(
                format!("授权 `{id}` 不在有效期内（{from} 至 {until}）"),
                format!("grant `{id}` is outside its dates ({from} to {until})"),
            );
            (Reason::PurposeExpired, detail)
        }
    }
}
