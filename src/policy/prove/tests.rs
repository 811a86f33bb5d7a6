//! Every starting invariant is proved, and each has its control: a hole in a copy of the policies that is found. Whatever
//! the solver does not decide is not proved.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Claim, Options, Report, Useless, Verdict, plain, prove};
use crate::policy::tests::world::{Folder, sources};
use crate::policy::{Policies, Sources};

fn options() -> Options<'static> {
    Options { at: "2026-11-24T02:00:00Z".parse().unwrap(), ..Options::default() }
}

fn proved(sources: &Sources, options: &Options<'_>) -> Report {
    let folder = Folder::shipped();
    let policies: Policies = folder.load(sources).unwrap_or_else(|problems| panic!("{problems:#?}"));
    prove(&policies, folder.world(), options)
}

fn verdict<'r>(report: &'r Report, id: &str) -> &'r Verdict {
    &report.properties.iter().find(|property| &*property.id == id).unwrap().verdict
}

#[test]
fn the_starting_policies_keep_every_invariant_and_never_err() {
    let report = proved(&sources(), &Options { hints: true, ..options() });
    assert!(report.solver.as_ref().unwrap().starts_with("cvc5 "), "{report:#?}");
    assert!(report.holds(), "{report:#?}");
    let invariants: Vec<_> = report.properties.iter().filter(|property| property.claim == Claim::Never).collect();
    assert_eq!(invariants.len(), 9);
    assert!(invariants.iter().all(|property| !property.actions.is_empty()), "{invariants:#?}");
    assert_eq!(report.properties.len() - invariants.len(), report.policies);
    assert_eq!(report.unsaid, 0);
    // The caps only repeat what binding does; today no permit reaches beyond a grant.
    let hints: Vec<_> = report.hints.iter().map(|hint| (&*hint.id, hint.useless)).collect();
    assert_eq!(hints.iter().filter(|(_, useless)| *useless == Useless::Dead).count(), 0, "{hints:?}");
    for cap in ["cap-reveal", "cap-mask", "cap-pseudonymise", "cap-compare"] {
        assert!(hints.contains(&(cap, Useless::Shadowed)), "{hints:?}");
    }
    assert!(!hints.iter().any(|(id, _)| *id == "core-never" || *id == "elderly-in-emergency"), "{hints:?}");
}

/// The invariant, and how a copy of the policies is made to break it: in which file what is replaced by what.
const HOLES: &[(&str, &str, &str, &str)] = &[
    ("core-never-disclosed", "base.cedar", "resource.level == \"core\"", "resource.level == \"core\" && !context.emergency"),
    ("grade-4-in-full-only-with-case", "base.cedar", "resource.grade >= 4", "resource.grade > 4"),
    ("nothing-revealed-beyond-grant", "base.cedar", "", "@id(\"h\") permit (principal, action == Action::\"reveal\", resource); //"),
    ("nothing-masked-beyond-grant", "base.cedar", "", "@id(\"h\") permit (principal, action == Action::\"mask\", resource); //"),
    (
        "nothing-pseudonymised-beyond-grant",
        "base.cedar",
        "",
        "@id(\"h\") permit (principal, action == Action::\"pseudonymise\", resource); //",
    ),
    ("nothing-compared-beyond-grant", "base.cedar", "", "@id(\"h\") permit (principal, action == Action::\"compare\", resource); //"),
    ("no-row-beyond-grant", "base.cedar", "context.grant.regions.isEmpty() ||", "context.grant.regions.isEmpty() || context.emergency ||"),
    (
        "no-share-without-grant",
        "flood.cedar",
        "context.emergency && context has grant && context.grant.resource == resource",
        "context.emergency",
    ),
    ("number-in-full-only-in-working-time", "housing.cedar", "&& context.work_time", "&& (context.work_time || context.bound)"),
];

fn with_hole((id, file, from, to): (&str, &str, &str, &str)) -> Sources {
    let mut sources = sources();
    let text = &mut sources.policies.iter_mut().find(|(name, _)| name == file).unwrap().1;
    if from.is_empty() {
        // The cap goes, and a permit comes that reaches beyond it.
        let form = id.trim_start_matches("nothing-").trim_end_matches("-beyond-grant");
        let form = ["reveal", "mask", "pseudonymise", "compare"].into_iter().find(|name| form.starts_with(name)).unwrap();
        let start = text.find(&format!("@id(\"cap-{form}\")")).unwrap();
        let end = start + text[start..].find(';').unwrap();
        text.replace_range(start..=end, to.trim_end_matches(" //"));
    } else {
        assert!(text.contains(from), "{file}: {from}");
        *text = text.replace(from, to);
    }
    sources
}

#[test]
fn every_starting_invariant_has_a_hole_that_is_found() {
    for &hole in HOLES {
        let report = proved(&with_hole(hole), &Options { only: Some(hole.0), ..options() });
        let Verdict::Refuted(example) = verdict(&report, hole.0) else { panic!("{}: {report:#?}", hole.0) };
        let model = example.model.as_ref().unwrap();
        assert!(plain(&model.principal["uid"]).starts_with("Requester::"), "{model:?}");
        assert!(!example.policies.is_empty());
        assert!(!report.holds());
    }
}

#[test]
fn a_hole_that_the_control_folder_reaches_is_shown_as_a_call() {
    let only = Some(HOLES.last().unwrap().0);
    let report = proved(&with_hole(*HOLES.last().unwrap()), &Options { only, ..options() });
    let Verdict::Refuted(example) = verdict(&report, HOLES.last().unwrap().0) else { panic!("{report:#?}") };
    let call = example.call.as_ref().unwrap();
    assert_eq!((&*call.requester, &*call.resource, call.item.as_deref()), ("housing-app", "psb.population", Some("id_number")));
    assert!(call.has_case, "{call:?}");
    assert_eq!((&call.circumstances["work_time"], &call.circumstances["bound"]), (&false.into(), &true.into()), "{call:?}");
    assert_eq!(call.circumstances["network"], "government");
}

#[test]
fn without_a_solver_nothing_is_proved_but_a_reachable_hole_is_still_found() {
    let missing = Options { solver: Some("/nonexistent/cvc5".into()), ..options() };
    let report = proved(&sources(), &missing);
    assert!(report.solver.is_err() && !report.holds());
    assert!(report.properties.iter().all(|property| matches!(property.verdict, Verdict::NotProved(_))), "{report:#?}");
    let report = proved(&with_hole(*HOLES.last().unwrap()), &Options { only: Some(HOLES.last().unwrap().0), ..missing });
    let Verdict::Refuted(example) = verdict(&report, HOLES.last().unwrap().0) else { panic!("{report:#?}") };
    assert!(example.model.is_none() && example.call.is_some());
}

/// A program that calls itself cvc5 and does `then` when it is asked.
fn pretender(name: &str, then: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("kanhe-solver-{}-{name}", std::process::id()));
    let script = format!("#!/bin/sh\ncase \"$1\" in --version) echo 'This is cvc5 version 9.9.9'; exit 0;; esac\n{then}\n");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_solver_that_hangs_dies_babbles_or_does_not_know_proves_nothing() {
    for (name, then) in [
        ("hangs", "exec sleep 60"),
        ("dies", "exit 3"),
        ("babbles", "while read line; do case \"$line\" in *check-sat*) echo maybe;; esac; done"),
        ("unknown", "while read line; do case \"$line\" in *check-sat*) echo unknown;; esac; done"),
        ("lies", "while read line; do case \"$line\" in *check-sat*) echo sat;; *get-model*) printf '(\\n)\\n';; esac; done"),
    ] {
        let solver = pretender(name, then);
        let report = proved(
            &sources(),
            &Options { solver: Some(solver.clone()), timeout: Duration::from_millis(100), only: Some(HOLES[1].0), ..options() },
        );
        std::fs::remove_file(&solver).unwrap();
        assert_eq!(report.solver.as_deref().unwrap(), format!("cvc5 9.9.9 ({})", solver.display()));
        assert!(matches!(verdict(&report, HOLES[1].0), Verdict::NotProved(_)), "{name}: {report:#?}");
    }
}

#[test]
fn a_program_that_is_not_cvc5_is_no_solver() {
    assert!(Path::new("/bin/true").exists());
    let report = proved(&sources(), &Options { solver: Some("/bin/true".into()), only: Some(HOLES[1].0), ..options() });
    assert!(report.solver.unwrap_err().en.contains("not cvc5"));
}

fn with_policy(text: &str) -> Sources {
    let mut sources = sources();
    sources.policies.push(("more.cedar".into(), text.into()));
    sources
}

#[test]
fn a_policy_that_can_err_is_refuted_and_a_dead_one_is_told() {
    let report = proved(
        &with_policy(
            "@id(\"errs\") forbid (principal, action == Action::\"query\", resource) when { resource.grade * 4 > principal.clearance };\n\
             @id(\"dead\") permit (principal, action == Action::\"query\", resource) when { resource.grade > 3 && resource.grade < 2 };",
        ),
        &Options { hints: true, ..options() },
    );
    assert!(matches!(verdict(&report, "errs"), Verdict::Refuted(_)), "{report:#?}");
    assert!(matches!(verdict(&report, "dead"), Verdict::Proved), "{report:#?}");
    let told: Vec<_> = report.hints.iter().filter(|hint| &*hint.id == "dead").map(|hint| hint.useless).collect();
    assert_eq!(told, [Useless::Dead]);
}

#[test]
fn an_invariant_that_describes_nothing_is_not_proved() {
    let mut sources = sources();
    let text = "@id(\"nothing\") @never permit (principal, action == Action::\"query\", resource) when { resource.grade > 3 && resource.grade < 2 };";
    sources.invariants.push(("invariants/nothing.cedar".into(), text.into()));
    assert!(matches!(verdict(&proved(&sources, &Options { only: Some("nothing"), ..options() }), "nothing"), Verdict::NotProved(_)));
}
