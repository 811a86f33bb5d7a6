//! Binding: step 4 of the line. A call is for exactly one registered scenario and at most one grant, or it is refused
//! before any policy is asked.

use std::sync::Arc;

use super::{CaseRule, Grant, Scenario};

/// The purpose a call is bound to. Made by [`bind`](super::bind) alone.
#[derive(Debug)]
#[must_use]
pub struct Bound {
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// The grant; none: no grant could apply, and the policies decide.
    pub grant: Option<Arc<Grant>>,
    /// The stated case.
    pub case: Option<String>,
    minted: (),
}

/// A scenario that this caller would pass, told in a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WouldWork {
    /// The scenario's id.
    pub scenario: Arc<str>,
    /// Whether a case is needed.
    pub case: CaseRule,
}
