//! What a caller could ask for: each operation that binding and the policies would let pass now, for this caller, from
//! where it calls. Exactly what a call would be told, found without one.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::Snapshot;
use crate::catalogue::route::Target;
use crate::identity::Subject;
use crate::policy::Circumstances;
use crate::purpose::bind::WouldWork;
use crate::purpose::fitting::{Fitting, fitting};

/// An operation that a caller could ask for.
#[derive(Debug)]
pub struct Offer {
    /// The operation.
    pub target: Target,
    /// The scenarios that would work, sorted, and whether a case must be stated. Never empty.
    pub scenarios: Vec<WouldWork>,
}

impl Snapshot {
    /// The operations that this caller could ask for, sorted by resource. Quotas are not looked at: they refuse a call
    /// for now, and not what it asks for. Takes as long as that many decisions: not for a thread that others wait for.
    pub fn offers(&self, subject: &Subject, time: Timestamp, source: IpAddr, network: &Arc<str>) -> Vec<Offer> {
        let holds_case = subject.scope.as_ref().is_some_and(|scope| scope.case.is_some());
        let now = self.circumstances_at(time, source, network);
        let offer = |Fitting { target, purposes }| {
            let scenarios = purposes.iter().filter_map(|(scenario, grant)| {
                let circumstances = Circumstances { emergency: scenario.emergency(time), ..now.clone() };
                let purpose = (&**scenario, grant.as_deref());
                let case = self.policies.case_needed(subject, &target, purpose, holds_case, &circumstances)?;
                Some(WouldWork { scenario: scenario.id.clone(), case })
            });
            let scenarios: Vec<_> = scenarios.collect();
            (!scenarios.is_empty()).then_some(Offer { target, scenarios })
        };
        fitting(self.registered(), subject, time).into_iter().filter_map(offer).collect()
    }
}
