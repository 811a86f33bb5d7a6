//! What another version of the policies would change, per action: nothing, more, less, or both. With a solver over all
//! requests that the schema admits; and, where there is none or more than the policies changed, by asking both sides
//! about every call that either control folder allows for.

mod own;
mod proof;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cedar_policy::PolicyId;
use jiff::Timestamp;
use serde_json::Value;

pub use own::Own;

use super::prove::{self, Counterexample, Solver, on_a_big_stack};
use super::{Policies, World};
use crate::lang::Text;
use own::Pair;

/// One of the two versions.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// Its policies.
    pub policies: &'a Policies,
    /// What they speak about.
    pub world: World<'a>,
}

/// How to compare.
pub struct Options<'a> {
    /// The solver's program, as in [`prove::Options`].
    pub solver: Option<PathBuf>,
    /// How long one question may take.
    pub timeout: Duration,
    /// Questions asked side by side.
    pub workers: usize,
    /// Whether to ask about the folders' own calls though there is a solver.
    pub own: bool,
    /// The moment as of which calls are made.
    pub at: Timestamp,
    /// After so many calls the comparison of own calls ends, unfinished.
    pub calls: usize,
    /// Told after each question of the solver.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

impl Default for Options<'_> {
    fn default() -> Self {
        let prove::Options { solver, timeout, workers, at, progress, .. } = prove::Options::default();
        Self { solver, timeout, workers, own: false, at, calls: 1_000_000, progress }
    }
}

/// What changes for one action.
#[derive(Debug)]
pub struct Change {
    /// The action.
    pub action: &'static str,
    /// Something that only the new version allows.
    pub wider: Found,
    /// Something that only the old version allows.
    pub narrower: Found,
}

/// Whether there is a request of one kind.
#[derive(Debug)]
pub enum Found {
    /// There is none.
    None,
    /// Here is one.
    One(Box<Counterexample>),
    /// It could not be said.
    Unknown(Text),
}

/// The policies by their `@id`s, whatever their order, place and layout.
#[derive(Debug, Default)]
pub struct Policywise {
    /// Only in the new version.
    pub added: Vec<Arc<str>>,
    /// Only in the old version.
    pub removed: Vec<Arc<str>>,
    /// In both, with another effect, scope, condition or annotation.
    pub changed: Vec<Arc<str>>,
}

/// The whole comparison.
#[derive(Debug)]
pub struct Report {
    /// The policies one by one.
    pub policies: Policywise,
    /// Program and version of the solver, or why there is none.
    pub solver: Result<String, Text>,
    /// Over all requests that the schema admits; empty without a solver.
    pub proof: Vec<Change>,
    /// Over the folders' own calls, where they were asked about.
    pub own: Option<Own>,
}

impl Report {
    /// Whether both versions allow the same; none: it could not be said.
    pub fn same(&self) -> Option<bool> {
        let own = self.own.iter().flat_map(|own| &own.changes);
        let found: Vec<&Found> = self.proof.iter().chain(own).flat_map(|change| [&change.wider, &change.narrower]).collect();
        if found.iter().any(|found| matches!(found, Found::One(_))) {
            return Some(false);
        }
        let open = found.iter().any(|found| matches!(found, Found::Unknown(_)));
        let unfinished = self.own.as_ref().is_some_and(|own| !own.complete);
        (!open && !unfinished && !found.is_empty()).then_some(true)
    }
}

/// Compares `from`, the old version, with `to`, the new one. `data_differs`: more than policies changed, which no
/// solver sees.
pub fn diff(from: Side<'_>, to: Side<'_>, data_differs: bool, options: &Options<'_>) -> Report {
    let policies = policywise(from.policies, to.policies);
    let solver = Solver::find(options.solver.as_deref());
    let pair = Pair { from, to, at: options.at, limit: options.calls, seen: std::sync::OnceLock::new() };
    let proof = match &solver {
        Ok(solver) => on_a_big_stack(|| proof::compare(&pair, &policies, solver, options)).unwrap_or_else(no_answers),
        Err(_) => Vec::new(),
    };
    let own = (solver.is_err() || data_differs || options.own).then(|| pair.compare());
    Report { policies, solver: solver.map(|solver| solver.version), proof, own }
}

fn no_answers() -> Vec<Change> {
    let unknown = || Found::Unknown(prove::no_answer());
    prove::environments().iter().map(|one| Change { action: one.name, wider: unknown(), narrower: unknown() }).collect()
}

fn policywise(from: &Policies, to: &Policies) -> Policywise {
    // The syntax tree without places: comments and layout are no change.
    let trees = |policies: &Policies| -> BTreeMap<PolicyId, Option<Value>> {
        policies.rules.index.policies().iter().map(|policy| (policy.id().clone(), policy.to_json().ok())).collect()
    };
    let (old, new) = (trees(from), trees(to));
    let name = |id: &PolicyId| Arc::from(id.to_string());
    Policywise {
        added: new.keys().filter(|id| !old.contains_key(id)).map(name).collect(),
        removed: old.keys().filter(|id| !new.contains_key(id)).map(name).collect(),
        changed: new
            .iter()
            .filter(|(id, tree)| old.get(id).is_some_and(|old| old != *tree || old.is_none()))
            .map(|(id, _)| name(id))
            .collect(),
    }
}
