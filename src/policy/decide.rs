//! The decision itself, and the values that prove it was taken.

use std::ops::Deref;
use std::sync::Arc;

use crate::disclosure::Plan;

/// What was decided for a call that may be made; shared with the cache, so that a warm decision copies nothing.
#[derive(Debug)]
pub struct Decision {
    /// The determining policies of the call and of each chosen form, sorted.
    pub policies: Vec<Arc<str>>,
    /// `@flag` of those policies, sorted.
    pub flags: Vec<Arc<str>>,
    /// What the answer shows.
    pub plan: Arc<Plan>,
    /// The highest grade among what is shown, and no lower than the resource's (stricter grade wins, 就高从严).
    pub effective_grade: i64,
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
