//! Each direction with and without a solver, and the cases in which sameness may not be claimed.

use super::{Change, Found, Options, Report, Side, diff};
use crate::policy::Sources;
use crate::policy::tests::world::{Folder, sources};

fn options(solver: bool) -> Options<'static> {
    let solver = (!solver).then(|| "/nonexistent/cvc5".into());
    Options { solver, at: "2026-11-24T02:00:00Z".parse().unwrap(), ..Options::default() }
}

fn compared(old: &Sources, new: &Sources, options: &Options<'_>) -> Report {
    let folder = Folder::shipped();
    let (old, new) = (folder.load(old).unwrap(), folder.load(new).unwrap_or_else(|problems| panic!("{problems:#?}")));
    let side = |policies| Side { policies, world: folder.world() };
    diff(side(&old), side(&new), false, options)
}

fn changed(file: &str, from: &str, to: &str) -> Sources {
    let mut sources = sources();
    let text = &mut sources.policies.iter_mut().find(|(name, _)| name == file).unwrap().1;
    assert!(text.contains(from), "{file}: {from}");
    *text = text.replace(from, to);
    sources
}

/// The actions that are wider, and those that are narrower.
fn directions(changes: &[Change]) -> (Vec<&'static str>, Vec<&'static str>) {
    let of =
        |found: fn(&Change) -> &Found| changes.iter().filter(|one| matches!(found(one), Found::One(_))).map(|one| one.action).collect();
    (of(|change| &change.wider), of(|change| &change.narrower))
}

fn without_case() -> Sources {
    changed("housing.cedar", "&& context.has_case &&", "&&")
}

#[test]
fn a_change_is_wider_one_way_and_narrower_the_other() {
    let report = compared(
        &sources(),
        &changed("housing.cedar", "context.operator_clearance >= 3", "context.operator_clearance >= 2"),
        &options(true),
    );
    assert_eq!(directions(&report.proof), (vec!["reveal"], vec![]), "{report:#?}");
    assert_eq!((report.same(), report.own.is_none()), (Some(false), true));
    assert_eq!(report.policies.changed, ["population-number-in-full".into()]);
    let Found::One(example) = &report.proof.iter().find(|change| change.action == "reveal").unwrap().wider else { panic!() };
    let call = example.call.as_ref().expect("the shipped folder reaches it");
    assert_eq!((&*call.requester, call.item.as_deref()), ("housing-app", Some("id_number")));
    assert_eq!(call.circumstances["operator_clearance"], 2);
    let report = compared(&changed("housing.cedar", ">= 3", ">= 2"), &sources(), &options(true));
    assert_eq!(directions(&report.proof), (vec![], vec!["reveal"]), "{report:#?}");
}

#[test]
fn what_another_policy_forbids_anyway_is_no_difference() {
    // Grade 4 needs a case by another rule, but not every number is of grade 4 as far as the schema knows.
    let report = compared(&sources(), &without_case(), &options(true));
    assert_eq!(directions(&report.proof), (vec!["reveal"], vec![]));
    let own = compared(&sources(), &without_case(), &options(false)).own.unwrap();
    assert_eq!(directions(&own.changes), (vec![], vec![]), "{own:#?}");
    assert!(own.complete && own.calls > 100, "{}", own.calls);
}

#[test]
fn order_comments_and_layout_are_no_difference() {
    let mut new = sources();
    new.policies.reverse();
    for (_, text) in &mut new.policies {
        *text = format!("// another comment\n{}", text.replace("  ", " "));
    }
    let report = compared(&sources(), &new, &Options { own: true, ..options(true) });
    assert_eq!(report.same(), Some(true), "{report:#?}");
    assert!(report.policies.added.is_empty() && report.policies.removed.is_empty() && report.policies.changed.is_empty());
}

#[test]
fn without_a_solver_the_folders_own_calls_tell() {
    let new = changed("housing.cedar", "&& context.work_time", "&& (context.work_time || context.bound)");
    let report = compared(&sources(), &new, &options(false));
    assert!(report.solver.is_err() && report.proof.is_empty());
    let own = report.own.as_ref().unwrap();
    assert_eq!(directions(&own.changes), (vec!["reveal"], vec![]), "{own:#?}");
    assert_eq!(report.same(), Some(false));
    let report = compared(&sources(), &sources(), &options(false));
    assert_eq!(report.same(), Some(true), "{report:#?}");
    // Cut short, it says nothing.
    let report = compared(&sources(), &sources(), &Options { calls: 10, ..options(false) });
    assert_eq!(report.same(), None);
}

#[test]
fn a_new_policy_that_can_err_is_never_the_same() {
    let mut new = sources();
    let text = "@id(\"errs\") forbid (principal, action == Action::\"query\", resource) \
                when { resource.grade * 4 > 9223372036854775806 && resource.grade < 0 };";
    new.policies.push(("more.cedar".into(), text.into()));
    let report = compared(&sources(), &new, &options(true));
    assert_eq!(report.policies.added, ["errs".into()]);
    let query = report.proof.iter().find(|change| change.action == "query").unwrap();
    assert!(matches!(query.wider, Found::Unknown(_)) && matches!(query.narrower, Found::Unknown(_)), "{query:#?}");
    assert_eq!(report.same(), None);
}

#[test]
fn folders_that_differ_in_more_than_policies_are_asked_about_their_own_calls() {
    let folder = Folder::shipped();
    let mut other = Folder::shipped();
    let id: std::sync::Arc<str> = "housing-app".into();
    other.parties.requesters.remove(&id);
    let (old, new) = (folder.load(&sources()).unwrap(), folder.load(&sources()).unwrap());
    let (old, new) = (Side { policies: &old, world: folder.world() }, Side { policies: &new, world: other.world() });
    let report = diff(old, new, true, &options(true));
    assert_eq!(directions(&report.proof), (vec![], vec![]));
    let (wider, narrower) = directions(&report.own.as_ref().unwrap().changes);
    assert_eq!((wider, narrower), (vec![], vec!["query", "verify", "reveal", "mask", "compare"]));
    let report = diff(new, old, true, &options(true));
    assert_eq!(directions(&report.own.as_ref().unwrap().changes).0, ["query", "verify", "reveal", "mask", "compare"]);
    assert_eq!(report.same(), Some(false));
}
