//! Each recorded decision again under the very snapshot that it was made under: all must come out as recorded.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::run::{Range, each};
use super::{Cannot, Recorded};
use crate::lang::Text;
use crate::policy::supposed::Refused;
use crate::snapshot::Snapshot;

/// Snapshots kept at a time: entries follow the order in which snapshots were in force.
const KEPT: usize = 4;

/// A decision that is not reproduced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The entry.
    pub index: u64,
    /// What differs.
    pub what: Text,
}

/// What came of a self-check.
#[derive(Debug, Default)]
pub struct Reproduced {
    /// Entries of calls in the range.
    pub calls: u64,
    /// Those that were decided again and came out as recorded.
    pub same: u64,
    /// Those that did not.
    pub differ: Vec<Difference>,
    /// What could not be decided again: why, and the entries.
    pub left: BTreeMap<(&'static str, String), Vec<u64>>,
}

/// Decides every recorded call again under its own snapshot.
pub fn self_check(ledger: &Path, range: Range, progress: &(dyn Fn(u64) + Sync)) -> io::Result<Reproduced> {
    let snapshots = Snapshots { ledger, kept: Mutex::default() };
    let parts = each(ledger, range, progress, |found: &mut Reproduced, index, recorded| found.take(index, recorded, &snapshots))?;
    let mut all = Reproduced::default();
    for part in parts {
        all.calls += part.calls;
        all.same += part.same;
        all.differ.extend(part.differ);
        for (reason, entries) in part.left {
            all.left.entry(reason).or_default().extend(entries);
        }
    }
    all.differ.sort_by_key(|difference| difference.index);
    all.left.values_mut().for_each(|entries| entries.sort_unstable());
    Ok(all)
}

impl Reproduced {
    fn take(&mut self, index: u64, recorded: &Recorded<'_>, snapshots: &Snapshots<'_>) {
        self.calls += 1;
        if let Err(cannot) = recorded.is_decided() {
            return self.left.entry((cannot.word(), recorded.outcome().to_owned())).or_default().push(index);
        }
        match snapshots.get(recorded.snapshot.as_deref()).and_then(|snapshot| differs(recorded, &snapshot)) {
            Ok(()) => self.same += 1,
            Err(what) => self.differ.push(Difference { index, what }),
        }
    }
}

/// A snapshot, or why it cannot be had.
type Loaded = Result<Arc<Snapshot>, Text>;

/// Loaded snapshots, the latest asked for last.
struct Snapshots<'s> {
    ledger: &'s Path,
    kept: Mutex<Vec<(String, Loaded)>>,
}

impl Snapshots<'_> {
    fn get(&self, digest: Option<&str>) -> Loaded {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let name = digest.unwrap_or_default();
        let loaded = match kept.iter().position(|(known, _)| known == name) {
            Some(at) => kept.remove(at).1,
            None => super::snapshot(self.ledger, digest).map(Arc::new).map_err(|missing| missing.text()),
        };
        if kept.len() >= KEPT {
            drop(kept.remove(0));
        }
        kept.push((name.to_owned(), loaded.clone()));
        loaded
    }
}

fn differs(recorded: &Recorded<'_>, snapshot: &Snapshot) -> Result<(), Text> {
    // A requester that a later registry knows with more roles is no matter here: the snapshot is the entry's own.
    let supposed = recorded.supposed(snapshot, None).map_err(|cannot: Cannot| cannot.text())?;
    let as_recorded = |what: &str, then: &str, now: &str| {
        if then == now {
            return Ok(());
        }
        Err(Text::new(format!("{what}：记录为 `{then}`，重算为 `{now}`"), format!("{what}: recorded as `{then}`, now `{now}`")))
    };
    let forms = |forms: &mut dyn Iterator<Item = (String, String)>| {
        let forms: BTreeMap<String, String> = forms.collect();
        forms.into_iter().map(|(name, form)| format!("{name}={form}")).collect::<Vec<_>>().join(" ")
    };
    let ids = |ids: &mut dyn Iterator<Item = &str>| ids.take(recorded.policies.len().max(1)).collect::<Vec<_>>().join(" ");
    let then = |member: &std::collections::BTreeMap<std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>>| {
        forms(&mut member.iter().map(|(name, form)| (name.to_string(), form.to_string())))
    };
    let policies = recorded.policies.join(" ");
    match snapshot.policies.suppose(&supposed, snapshot.world()) {
        Ok((bound, decision)) => {
            as_recorded("outcome", recorded.outcome(), "allow")?;
            let plan = &decision.plan.items;
            let shown = plan.iter().filter_map(|item| Some((item.name.to_string(), item.form?.name().to_owned())));
            as_recorded("items", &then(&recorded.items), &forms(&mut shown.into_iter()))?;
            let narrowed = plan.iter().filter_map(|item| Some((item.name.to_string(), item.narrowed_by.as_ref()?.to_string())));
            as_recorded("narrowed", &then(&recorded.narrowed), &forms(&mut narrowed.into_iter()))?;
            as_recorded("policies", &policies, &ids(&mut decision.policies.iter().map(|id| &**id)))?;
            as_recorded("grant", recorded.grant.as_deref().unwrap_or_default(), bound.grant.as_ref().map_or("", |grant| &grant.id))?;
            as_recorded("flags", &recorded.flags.join(" "), &decision.flags.join(" "))
        }
        Err(refused) => {
            as_recorded("outcome", recorded.outcome(), refused.code())?;
            if let Refused::Denied(_, denial) = &refused {
                as_recorded("policies", &policies, &ids(&mut denial.policies.iter().map(|id| &**id)))?;
            }
            Ok(())
        }
    }
}
