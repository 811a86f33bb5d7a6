//! What a candidate changes in one recorded decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Recorded;
use crate::disclosure::Form;
use crate::policy::supposed::Refused;
use crate::policy::{Decision, Policies, World};

/// How a decision differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// A call that was refused would be let pass.
    Allowed,
    /// An item would be shown in a wider form, or compared where it was not.
    Wider,
    /// An item would be shown in a narrower form, or no longer compared.
    Narrower,
    /// A call that was let pass would be refused.
    Denied,
}

impl Change {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Wider => "wider",
            Self::Narrower => "narrower",
            Self::Denied => "denied",
        }
    }

    /// Whether somebody would see more than before.
    pub const fn widens(self) -> bool {
        matches!(self, Self::Allowed | Self::Wider)
    }
}

/// What like changes have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// How they differ.
    pub change: Change,
    /// The demanding department.
    pub department: Arc<str>,
    /// The resource.
    pub resource: Arc<str>,
    /// The scenario; empty where none was meant.
    pub scenario: Arc<str>,
    /// The item, where it is one item that differs.
    pub item: Option<Arc<str>>,
    /// The code or form that was recorded.
    pub from: String,
    /// The code or form under the candidate.
    pub to: String,
}

/// What the candidate makes of the call.
pub(super) enum Now {
    /// It is let pass.
    Allowed(Arc<Decision>),
    /// It is refused, with this code.
    Refused(&'static str),
}

/// Puts a recorded call to the candidate.
pub(super) fn decide(policies: &Policies, supposed: &crate::policy::supposed::Supposed, world: World<'_>) -> Now {
    match policies.suppose(supposed, world) {
        Ok((_, decision)) => Now::Allowed(decision),
        Err(refused) => Now::Refused(Refused::code(&refused)),
    }
}

/// The groups that the recorded call falls under; none: it comes out as it did. A refusal on another ground is no
/// change: nobody sees more or less.
pub(super) fn compare(recorded: &Recorded<'_>, now: &Now) -> Vec<Group> {
    let group = |change, item: Option<Arc<str>>, from: &str, to: &str| Group {
        change,
        department: recorded.department.as_deref().unwrap_or_default().into(),
        resource: recorded.resource.as_deref().unwrap_or_default().into(),
        scenario: recorded.scenario.as_deref().unwrap_or_default().into(),
        item,
        from: from.to_owned(),
        to: to.to_owned(),
    };
    match (recorded.granted(), now) {
        (false, Now::Refused(_)) => Vec::new(),
        (false, Now::Allowed(_)) => vec![group(Change::Allowed, None, recorded.outcome(), "allow")],
        (true, Now::Refused(code)) => vec![group(Change::Denied, None, "allow", code)],
        (true, Now::Allowed(decision)) => {
            let planned = decision.plan.items.iter().map(|item| (&*item.name, item.form.map_or("omit", Form::name)));
            let mut forms: BTreeMap<&str, (&str, &str)> = planned.map(|(name, form)| (name, ("omit", form))).collect();
            for (name, form) in &recorded.items {
                forms.entry(name).or_insert(("omit", "omit")).0 = form;
            }
            let differing = forms.into_iter().filter(|(_, (from, to))| from != to);
            differing.map(|(name, (from, to))| group(direction(from, to), Some(name.into()), from, to)).collect()
        }
    }
}

/// Forms from the widest: reveal, mask, pseudonymise, omit. A comparison is set apart: with it or without it. What is
/// no known form counts as widening, so that it is looked at.
fn direction(from: &str, to: &str) -> Change {
    let rank = |form: &str| ["omit", "pseudonymise", "mask", "reveal"].iter().position(|known| *known == form);
    match (from, to) {
        ("compare", "omit") => Change::Narrower,
        _ => match (rank(from), rank(to)) {
            (Some(from), Some(to)) if to < from => Change::Narrower,
            _ => Change::Wider,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_have_an_order_and_comparing_stands_apart() {
        for (from, to, change) in [
            ("omit", "pseudonymise", Change::Wider),
            ("pseudonymise", "mask", Change::Wider),
            ("mask", "reveal", Change::Wider),
            ("reveal", "omit", Change::Narrower),
            ("mask", "pseudonymise", Change::Narrower),
            ("omit", "compare", Change::Wider),
            ("compare", "omit", Change::Narrower),
            ("compare", "reveal", Change::Wider),
            ("reveal", "compare", Change::Wider),
            ("unheard-of", "omit", Change::Wider),
        ] {
            assert_eq!(direction(from, to), change, "{from} → {to}");
        }
    }

    #[test]
    fn a_refusal_on_another_ground_is_no_change() {
        let entry = br#"{"kind":"share.denied","code":"purpose_missing","department":"d","resource":"p.r","time":""}"#;
        let recorded = Recorded::read(entry).unwrap();
        assert!(compare(&recorded, &Now::Refused("policy_denied")).is_empty());
        let granted = br#"{"kind":"share.granted","department":"d","resource":"p.r","scenario":"s","time":""}"#;
        let denied = compare(&Recorded::read(granted).unwrap(), &Now::Refused("policy_denied"));
        assert_eq!(
            denied.iter().map(|group| (group.change, &*group.scenario, &*group.to)).collect::<Vec<_>>(),
            [(Change::Denied, "s", "policy_denied")]
        );
    }
}
