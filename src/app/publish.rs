//! The gate: what a control snapshot must pass before it is put in force, as `[control]` says. One that does not pass
//! changes nothing.

use std::path::Path;

use crate::config::Config;
use crate::lang::{Lang, Text};
use crate::policy::prove::{self, Claim, Property, Verdict};
use crate::policy::suite;
use crate::replay;
use crate::share::Activation;
use crate::snapshot::approval::{self, Approved};
use crate::snapshot::{Requirement, Snapshot};
use crate::written::{Place, Problem};

/// A snapshot's way through the gate. Made by [`pass`] and [`again`] alone.
#[derive(Debug)]
#[must_use]
pub struct Passed {
    approved: Approved,
    required: Vec<&'static str>,
}

impl Passed {
    /// Who stands for it.
    pub fn approved(&self) -> &Approved {
        &self.approved
    }

    /// What it was held to, sorted.
    pub fn required(&self) -> &[&'static str] {
        &self.required
    }

    /// What the ledger says of the activation.
    pub fn activation<'a>(&'a self, snapshot: &'a str, previous: Option<&'a str>) -> Activation<'a> {
        let Approved { author, approvers } = &self.approved;
        Activation { snapshot, previous, author: author.as_deref(), approvers, required: &self.required }
    }
}

/// The shadow that the configuration names. One that does not load is told of and left out: it must never stand in the
/// way of the folder in force.
pub fn shadow(config: &Config, live: &Snapshot) -> Option<Snapshot> {
    let folder = config.publishing.shadow.as_ref()?;
    match Snapshot::load_after(folder, Some(live)) {
        Ok((mut shadow, _)) => {
            shadow.files = Vec::new();
            Some(shadow)
        }
        Err(refused) => {
            for problem in &refused.errors {
                tracing::warn!(folder = %folder.display(), "the shadow is not loaded: {}", problem.line(Lang::En));
            }
            None
        }
    }
}

/// Holds a snapshot to everything that is required; all that stands in the way comes back at once.
pub fn pass(config: &Config, snapshot: &Snapshot, warnings: &[Problem]) -> Result<Passed, Vec<Problem>> {
    let mut problems = Vec::new();
    for requirement in &config.publishing.require {
        match requirement {
            Requirement::Check => problems.extend(warnings.iter().cloned()),
            Requirement::Test => problems.extend(failed_cases(snapshot)),
            Requirement::Prove => problems.extend(unproved(snapshot)),
            Requirement::Replay => problems.extend(widened(&config.ledger.folder, snapshot)),
        }
    }
    let approved = approval::gather(&config.publishing, &snapshot.digest).unwrap_or_else(|missing| {
        problems.extend(missing);
        Approved::default()
    });
    let required = config.publishing.require.iter().map(|requirement| requirement.name()).collect();
    if problems.is_empty() { Ok(Passed { approved, required }) } else { Err(problems) }
}

/// A start with a snapshot that the ledger keeps, and so was in force or let pass before, is held to nothing again: a
/// gateway comes up after a crash whatever became of its solver or its folder of approvals.
pub fn again(ledger: &Path, snapshot: &Snapshot) -> Option<Passed> {
    let kept = ledger.join("snapshots").join(snapshot.hex()).is_dir();
    kept.then(|| Passed { approved: Approved::default(), required: Vec::new() })
}

/// Each test case that does not come out as told. A folder without a case has nothing that could fail: that is a
/// failure too.
fn failed_cases(snapshot: &Snapshot) -> Vec<Problem> {
    let cases = snapshot.policies.cases();
    if cases.is_empty() {
        let place = Place { file: "tests".into(), line: 1, column: 1 };
        let message = Text::new("要求通过用例，但 tests/ 中没有用例", "test cases are required, but there is none in tests/");
        return vec![Problem { place, code: "no_cases", message, help: None }];
    }
    let verdicts = cases.iter().map(|case| snapshot.policies.run(case, snapshot.world()));
    verdicts.filter(|verdict| !verdict.differences.is_empty()).map(|verdict| failed(&verdict)).collect()
}

/// Each property that is not proved, for whatever reason.
fn unproved(snapshot: &Snapshot) -> Vec<Problem> {
    let report = prove::prove(&snapshot.policies, snapshot.world(), &prove::Options::default());
    if report.properties.iter().all(|property| property.claim != Claim::Never) {
        let place = Place { file: "invariants".into(), line: 1, column: 1 };
        let message = Text::new("要求证明，但 invariants/ 中没有不变式", "proofs are required, but there is no invariant in invariants/");
        return vec![Problem { place, code: "no_invariants", message, help: None }];
    }
    let problem = |property: Property| {
        let id = &property.id;
        let (zh, en) = match property.claim {
            Claim::Never => (format!("不变式 `{id}`"), format!("invariant `{id}`")),
            Claim::NeverErrs => (format!("策略 `{id}` 从不出错"), format!("that policy `{id}` never errs")),
        };
        let message = match property.verdict {
            Verdict::Proved => return None,
            Verdict::Refuted(_) => Text::new(format!("{zh}：已找到反例"), format!("{en}: refuted by a counterexample")),
            Verdict::NotProved(why) => Text::new(format!("{zh}：未能证明：{}", why.zh), format!("{en}: not proved: {}", why.en)),
        };
        let help = Text::new("用 `kanhe policy prove` 查看", "`kanhe policy prove` shows it");
        Some(Problem { place: property.place, code: "not_proved", message, help: Some(help) })
    };
    report.properties.into_iter().filter_map(problem).collect()
}

/// Each way in which recorded calls would show more than they did. A ledger that is not there holds none.
fn widened(ledger: &Path, snapshot: &Snapshot) -> Vec<Problem> {
    if !ledger.join("checkpoint").exists() {
        return Vec::new();
    }
    let place = |file: &str| Place { file: file.into(), line: 1, column: 1 };
    let report = match replay::replay(ledger, snapshot, replay::Range::default(), &|_| {}) {
        Ok(report) => report,
        Err(error) => {
            let message = Text::new(format!("台账无法重放：{error}"), format!("the ledger cannot be replayed: {error}"));
            return vec![Problem { place: place(&ledger.display().to_string()), code: "replay_failed", message, help: None }];
        }
    };
    let widening = report.changes.iter().filter(|(group, _)| group.change.widens());
    let problem = |(group, entries): (&replay::Group, &Vec<u64>)| {
        let replay::Group { department, resource, scenario, item, from, to, .. } = group;
        let item = item.as_ref().map(|item| format!("#{item}")).unwrap_or_default();
        let (count, first) = (entries.len(), entries.first().copied().unwrap_or_default());
        let message = Text::new(
            format!("重放：{department} 为 {scenario} 调用 {resource}{item}：{from} 将变为 {to}，{count} 条记录，首条 {first}"),
            format!(
                "replay: {department} for {scenario} on {resource}{item}: {from} would become {to} in {count} entries, the first {first}"
            ),
        );
        let help = Text::new("用 `kanhe policy replay` 查看", "`kanhe policy replay` shows them");
        Problem { place: place(resource), code: "widens", message, help: Some(help) }
    };
    widening.map(problem).collect()
}

fn failed(verdict: &suite::Verdict<'_>) -> Problem {
    let (name, told) = (&verdict.case.name, |pick: fn(&Text) -> &String| {
        verdict.differences.iter().map(pick).map(String::as_str).collect::<Vec<_>>().join("; ")
    });
    let message = Text::new(
        format!("用例“{name}”未通过：{}", told(|text| &text.zh)),
        format!("test case `{name}` failed: {}", told(|text| &text.en)),
    );
    Problem { place: verdict.case.place.clone(), code: "test_failed", message, help: None }
}
