//! `kanhe policy test`: runs the officers' cases, tells which policies none of them reaches, and drafts one from an entry.

mod draft;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::{Exit, Settings, load_configured, print_trouble};
use crate::cli::Format;
use crate::disclosure::Form;
use crate::lang::{Lang, Text};
use crate::policy::suite::{Case, Verdict};
use crate::snapshot::Snapshot;
use crate::written::Place;

/// Arguments of `kanhe policy test`.
#[derive(Args)]
pub(super) struct TestArgs {
    /// 只运行名称或文件含有此文字的用例 · only cases whose name or file contains this
    #[arg(conflicts_with = "from_entry")]
    filter: Option<String>,
    /// 同时列出没有一个用例由其决定的策略 · also list the policies that decide no case
    #[arg(long)]
    coverage: bool,
    /// 由台账记录起草一个用例（TOML） · draft a case from a recorded entry, as TOML
    #[arg(long, value_name = "INDEX", conflicts_with = "coverage")]
    from_entry: Option<u64>,
}

/// How many policies there are, and those that decided no case.
struct Coverage {
    policies: usize,
    never: Vec<(Arc<str>, Place)>,
}

/// No if a case fails; trouble if the folder does not load, since then nothing was tested.
pub(super) fn run(args: &TestArgs, settings: &Settings) -> Exit {
    if let Some(index) = args.from_entry {
        return draft::run(index, settings);
    }
    let snapshot = match load_configured(settings) {
        Ok(snapshot) => snapshot,
        Err(exit) => return exit,
    };
    let world = snapshot.world();
    let asked = |name: &str, file: &str| args.filter.as_deref().is_none_or(|part| name.contains(part) || file.contains(part));
    let cases: Vec<&Case> = snapshot.policies.cases().iter().filter(|case| asked(&case.name, &case.place.file)).collect();
    let verdicts: Vec<Verdict<'_>> = cases.iter().map(|case| snapshot.policies.run(case, world)).collect();
    if let (Some(filter), true) = (&args.filter, verdicts.is_empty()) {
        let text = Text::new(format!("没有用例的名称或文件含有 `{filter}`"), format!("no case has `{filter}` in its name or file"));
        print_trouble(&text, settings);
        return Exit::Trouble;
    }
    let coverage = args.coverage.then(|| cover(&cases, &snapshot));
    let printed = match settings.format {
        Format::Json => print_json(&verdicts, coverage.as_ref(), settings.lang),
        Format::Human => print_report(&verdicts, coverage.as_ref(), settings.lang),
    };
    match printed {
        Err(_) => Exit::Trouble,
        Ok(()) if verdicts.iter().all(|verdict| verdict.differences.is_empty()) => Exit::Yes,
        Ok(()) => Exit::No,
    }
}

/// A policy is decisive where it determines an answer to any question of a case, a refused wider form included.
fn cover(cases: &[&Case], snapshot: &Snapshot) -> Coverage {
    let decisive: BTreeSet<Arc<str>> = cases.iter().flat_map(|case| snapshot.policies.decisive(&case.call, snapshot.world())).collect();
    let mut never = snapshot.policies.places();
    let policies = never.len();
    never.retain(|(id, _)| !decisive.contains(id));
    Coverage { policies, never }
}

fn print_json(verdicts: &[Verdict<'_>], coverage: Option<&Coverage>, lang: Lang) -> io::Result<()> {
    let failed = verdicts.iter().filter(|verdict| !verdict.differences.is_empty()).count();
    let cases: Vec<Value> = verdicts.iter().map(|verdict| as_json(verdict, lang)).collect();
    let mut report = json!({ "ok": failed == 0, "passed": verdicts.len() - failed, "failed": failed, "cases": cases });
    if let (Some(coverage), Some(members)) = (coverage, report.as_object_mut()) {
        let never = coverage.never.iter().map(|(id, place)| json!({ "id": &**id, "file": &*place.file, "line": place.line }));
        let (policies, never) = (coverage.policies, never.collect::<Vec<_>>());
        members.insert("coverage".into(), json!({ "policies": policies, "decisive": policies - never.len(), "never": never }));
    }
    writeln!(io::stdout().lock(), "{report}")
}

fn as_json(verdict: &Verdict<'_>, lang: Lang) -> Value {
    let items = verdict.items.iter().map(|(name, form)| (name.to_string(), json!(form.map_or("omit", Form::name))));
    let narrowed = verdict.narrowed.iter().map(|(name, by)| (name.to_string(), json!(&**by)));
    json!({
        "name": verdict.case.name,
        "file": &*verdict.case.place.file,
        "line": verdict.case.place.line,
        "ok": verdict.differences.is_empty(),
        "outcome": verdict.outcome,
        "policies": verdict.policies.iter().map(|id| &**id).collect::<Vec<_>>(),
        "items": items.collect::<serde_json::Map<_, _>>(),
        "narrowed": narrowed.collect::<serde_json::Map<_, _>>(),
        "detail": verdict.detail.as_ref().map(|text| text.get(lang)),
        "differences": verdict.differences.iter().map(|text| text.get(lang)).collect::<Vec<_>>(),
    })
}

fn print_report(verdicts: &[Verdict<'_>], coverage: Option<&Coverage>, lang: Lang) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut failed = 0;
    for verdict in verdicts {
        let case = verdict.case;
        let ok = verdict.differences.is_empty();
        let mark = if ok { Text::new("通过  ", "ok  ") } else { Text::new("未通过", "FAIL") };
        writeln!(out, "{} {}:{}: {}", mark.get(lang), case.place.file, case.place.line, case.name)?;
        if ok {
            continue;
        }
        failed += 1;
        for difference in &verdict.differences {
            writeln!(out, "       {}", difference.get(lang))?;
        }
        if let Some(detail) = &verdict.detail {
            writeln!(out, "       {}", detail.get(lang))?;
        }
    }
    let passed = verdicts.len() - failed;
    let sum = Text::new(format!("{passed} 个用例通过，{failed} 个未通过"), format!("{passed} cases passed, {failed} failed"));
    writeln!(out, "{}", sum.get(lang))?;
    let Some(Coverage { policies, never }) = coverage else { return Ok(()) };
    let decisive = policies - never.len();
    let sum = Text::new(
        format!("{policies} 条策略中有 {decisive} 条至少决定过一个用例"),
        format!("{decisive} of {policies} policies decide at least one case"),
    );
    writeln!(out, "{}", sum.get(lang))?;
    for (id, place) in never {
        let text = Text::new("没有用例由其决定", "decides no case");
        writeln!(out, "{}:{}: {id}: {}", place.file, place.line, text.get(lang))?;
    }
    Ok(())
}
