//! Rows: may an answer hold records of a region? Asked once a region code, while the answer streams, of the same caller
//! and purpose and under the same circumstances as the call itself. The bound grant's regions are the cap.

use std::sync::Arc;

use cedar_policy::{Entities, Entity, EntityUid, Request};

use super::decide::{Call, answer};
use super::entities::{Lineage, TYPES, action, region_entity, rows_entity, uid};
use super::index::Slice;
use super::{Circumstances, Denial, Policies, context};
use crate::catalogue::route::Target;
use crate::identity::Subject;
use crate::identity::parties::Parties;
use crate::purpose::bind::Bound;
use crate::purpose::{Grant, Scenario};

/// Everything that the question is asked with but the region; owned, since an answer may outlast its call.
#[derive(Debug)]
pub struct Question {
    subject: Arc<Subject>,
    target: Arc<Target>,
    scenario: Arc<Scenario>,
    grant: Option<Arc<Grant>>,
    has_case: bool,
    circumstances: Circumstances,
}

impl Question {
    /// The question of one call.
    pub fn new(subject: Arc<Subject>, target: Arc<Target>, bound: &Bound, circumstances: Circumstances) -> Self {
        let (scenario, grant) = (bound.scenario.clone(), bound.grant.clone());
        Self { subject, target, scenario, grant, has_case: bound.case.is_some(), circumstances }
    }
}

/// The question of one region, ready to be asked.
pub(super) struct Asking {
    pub(super) slice: Arc<Slice>,
    pub(super) entities: Entities,
    pub(super) request: Request,
}

impl Policies {
    /// Whether the answer to this call may hold records of the region with this code. A code that is none, or that is
    /// not registered where regions are, is never included; whatever cannot be evaluated is a denial.
    pub fn include(&self, question: &Question, parties: &Parties, code: &str) -> Result<bool, Denial> {
        if !parties.knows_region(code) {
            return Ok(false);
        }
        let chain = parties.region_chain(code);
        let cap = question.grant.as_ref().map_or(&[][..], |grant| &grant.regions);
        if !cap.is_empty() && !chain.iter().any(|region| cap.contains(region)) {
            return Ok(false);
        }
        let Question { subject, target, scenario, grant, has_case, circumstances } = question;
        let call = Call { subject, target, scenario, grant: grant.as_deref(), has_case: *has_case, circumstances };
        self.asked_for_rows(&call, &chain).map_err(Denial::incident)?
    }

    fn asked_for_rows(&self, call: &Call<'_>, chain: &[Arc<str>]) -> Result<Result<bool, Denial>, String> {
        let Asking { slice, entities, request } = self.asking(call, chain)?;
        Ok(answer(self, &slice, &entities, &request).map(|asked| asked.allowed))
    }

    /// What the authorizer is asked about the records of a region: the first of `chain`, the others stand around it.
    pub(super) fn asking(&self, call: &Call<'_>, chain: &[Arc<str>]) -> Result<Asking, String> {
        let resource = &call.target.resource;
        let registered = &self.registered;
        let asset = registered.asset(&resource.id).ok_or_else(|| format!("resource `{}` is not in this snapshot", resource.id))?;
        let regions: Vec<EntityUid> = chain.iter().map(|id| uid(&TYPES.region, id)).collect();
        let mut ancestors = regions.clone();
        ancestors.push(asset.resource.uid.clone());
        ancestors.extend(asset.resource.ancestors.iter().cloned());
        let code = chain.first().map_or("", |code| code);
        let rows = Lineage { uid: uid(&TYPES.rows, &format!("{}@{code}", resource.id)), ancestors };

        let principal = call.principal(registered);
        let slice = self.rules.index.slice(&action("include"), &principal, &rows)?;
        let mut own = call.own(registered, asset)?;
        own.push(rows_entity(&rows, code)?);
        // Without a register, a region may be known by its digits alone.
        let by_digits = (0..regions.len()).filter(|at| !registered.knows(&regions[*at]));
        own.extend(by_digits.map(|at| region_entity(&chain[at], &regions[at + 1..])).collect::<Result<Vec<Entity>, _>>()?);
        let named = slice.named.iter().chain(&principal.ancestors).chain(&regions).cloned();
        let entities = registered.for_call(&resource.id, asset, own, named, &self.rules.schema)?;
        let context = context::of(call, &slice.reads, &self.unread)?;
        let request = Request::new(principal.uid, action("include"), rows.uid, context, Some(&self.rules.schema));
        let request = request.map_err(|error| error.to_string())?;
        Ok(Asking { slice, entities, request })
    }
}
