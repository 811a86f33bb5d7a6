//! Whether a share still stands while it is answered: its requester, department, scenario and grant, in the snapshot that
//! is in force by then. A suspension ends running answers; anything else that changed holds for new calls only.

use std::sync::Arc;

use super::Shared;
use super::refusal::{Code, Refusal};
use crate::identity::Subject;
use crate::lang::Text;
use crate::purpose::bind::Bound;
use crate::purpose::{GrantStatus, ScenarioStatus};
use crate::snapshot::Snapshot;

/// What a share stands on.
#[derive(Clone)]
pub struct Standing {
    requester: Arc<str>,
    department: Arc<str>,
    scenario: Arc<str>,
    grant: Option<Arc<str>>,
}

/// Why a share no longer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Withdrawn {
    Requester,
    Scenario,
    Grant,
}

impl Standing {
    /// What this call stands on.
    pub fn of(subject: &Subject, bound: &Bound) -> Self {
        Self {
            requester: subject.requester.id.clone(),
            department: subject.department.id.clone(),
            scenario: bound.scenario.id.clone(),
            grant: bound.grant.as_ref().map(|grant| grant.id.clone()),
        }
    }

    fn withdrawn(&self, snapshot: &Snapshot) -> Option<Withdrawn> {
        let requester = snapshot.parties.requesters.get(&self.requester).map(|placed| &placed.value);
        if requester.is_none_or(|requester| requester.suspended || requester.calls_for(&self.department).is_none()) {
            return Some(Withdrawn::Requester);
        }
        let scenario = snapshot.purposes.scenarios.get(&self.scenario);
        if scenario.is_none_or(|scenario| scenario.status != ScenarioStatus::Approved) {
            return Some(Withdrawn::Scenario);
        }
        let grant = self.grant.as_ref()?;
        let active = snapshot.purposes.grants.get(grant).is_some_and(|grant| grant.status == GrantStatus::Active);
        (!active).then_some(Withdrawn::Grant)
    }

    /// Before the reply: the refusal of a share that no longer stands.
    pub fn check(&self, shared: &Shared, began: &Arc<Snapshot>) -> Result<(), Refusal> {
        let now = shared.snapshot.load();
        if Arc::ptr_eq(&now, began) {
            return Ok(());
        }
        let Some(withdrawn) = self.withdrawn(&now) else { return Ok(()) };
        let (code, zh, en) = match withdrawn {
            Withdrawn::Requester => (Code::RequesterSuspended, "需求系统已暂停", "the requester was suspended"),
            Withdrawn::Scenario => (Code::PurposeNotGranted, "场景已暂停或结束", "the scenario was suspended or ended"),
            Withdrawn::Grant => (Code::PurposeNotGranted, "授权已暂停或终止", "the grant was suspended or terminated"),
        };
        Err(Refusal::new(code, Text::new(format!("{zh}，发生在本次调用应答之前"), format!("{en} before this call was answered"))))
    }

    /// Ends once the share no longer stands: for answers that take their time.
    pub async fn lost(self, shared: Arc<Shared>) {
        let mut activations = shared.activations.subscribe();
        loop {
            if let Some(withdrawn) = self.withdrawn(&shared.snapshot()) {
                tracing::warn!(requester = %self.requester, scenario = %self.scenario, ?withdrawn, "a running answer is ended: it no longer stands");
                return;
            }
            if activations.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}
