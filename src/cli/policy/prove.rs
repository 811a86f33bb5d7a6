//! `kanhe policy prove`: what the policies can never allow, over all requests that the schema admits.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::{Exit, Settings, example, load, load_configured, print_trouble};
use crate::cli::Format;
use crate::lang::{Lang, Text};
use crate::policy::prove::{Claim, Hint, Options, Property, Report, Useless, Verdict, prove};
use crate::written::units;

/// Arguments of `kanhe policy prove`.
#[derive(Args)]
pub(super) struct ProveArgs {
    /// 此控制目录，不读配置文件 · this control folder, without a configuration file
    folder: Option<PathBuf>,
    #[command(flatten)]
    solving: Solving,
    /// 只证明这一条不变式或策略 · about this one invariant or policy only
    #[arg(long, value_name = "ID")]
    only: Option<String>,
    /// 只证明不变式和“不出错”，不找无用的策略 · invariants and never-errs only, no look for useless policies
    #[arg(long)]
    quick: bool,
}

/// How the solver is used.
#[derive(Args)]
pub(super) struct Solving {
    /// cvc5 程序 · the cvc5 program (by default the variable CVC5, else `cvc5` on the PATH)
    #[arg(long, value_name = "PATH")]
    pub(super) solver: Option<PathBuf>,
    /// 每个问题最多多久 · the most time for one question
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(super) timeout: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).map_err(|error| format!("{} · {}", error.zh, error.en))
}

/// Tells on a terminal how far it is; nothing where nobody watches.
pub(super) fn progress(done: usize, of: usize) {
    let mut err = io::stderr().lock();
    if err.is_terminal() {
        let end = if done == of { "\r\x1b[K" } else { "" };
        let _ = write!(err, "\r{done}/{of}{end}").and_then(|()| err.flush());
    }
}

/// No if a property is refuted or not proved; trouble if the folder does not load, since then nothing was asked.
pub(super) fn run(args: &ProveArgs, settings: &Settings) -> Exit {
    let loaded = match &args.folder {
        Some(folder) => load(folder, settings),
        None => load_configured(settings),
    };
    let snapshot = match loaded {
        Ok(snapshot) => snapshot,
        Err(exit) => return exit,
    };
    let Solving { solver, timeout } = &args.solving;
    let only = args.only.as_deref();
    let options =
        Options { solver: solver.clone(), timeout: *timeout, only, hints: !args.quick, progress: &progress, ..Options::default() };
    let report = prove(&snapshot.policies, snapshot.world(), &options);
    if let (Some(only), true) = (only, report.properties.is_empty()) {
        print_trouble(&Text::new(format!("没有不变式或策略叫 `{only}`"), format!("no invariant or policy is named `{only}`")), settings);
        return Exit::Trouble;
    }
    let mut out = io::stdout().lock();
    let printed = match settings.format {
        Format::Json => writeln!(out, "{}", as_json(&report, settings.lang)),
        Format::Human => print(&mut out, &report, settings.lang),
    };
    match printed {
        Err(_) => Exit::Trouble,
        Ok(()) if report.holds() => Exit::Yes,
        Ok(()) => Exit::No,
    }
}

fn as_json(report: &Report, lang: Lang) -> Value {
    let hint = |hint: &Hint| {
        let kind = if hint.useless == Useless::Dead { "dead" } else { "shadowed" };
        json!({ "id": &*hint.id, "kind": kind, "file": &*hint.place.file, "line": hint.place.line })
    };
    json!({
        "ok": report.holds(),
        "solver": report.solver.as_ref().ok(),
        "no_solver": report.solver.as_ref().err().map(|why| why.get(lang)),
        "policies": report.policies,
        "properties": report.properties.iter().map(|property| property_as_json(property, lang)).collect::<Vec<_>>(),
        "hints": report.hints.iter().map(hint).collect::<Vec<_>>(),
        "unsaid": report.unsaid,
        "scope": Report::scope().get(lang),
    })
}

fn property_as_json(property: &Property, lang: Lang) -> Value {
    let (verdict, reason, example) = match &property.verdict {
        Verdict::Proved => ("proved", None, None),
        Verdict::Refuted(example) => ("refuted", None, Some(example::as_json(example))),
        Verdict::NotProved(why) => ("not_proved", Some(why.get(lang)), None),
    };
    json!({
        "id": &*property.id,
        "claim": if property.claim == Claim::Never { "never" } else { "never_errs" },
        "file": &*property.place.file,
        "line": property.place.line,
        "actions": property.actions,
        "verdict": verdict,
        "reason": reason,
        "counterexample": example,
        "milliseconds": u64::try_from(property.took.as_millis()).unwrap_or(u64::MAX),
    })
}

fn print(out: &mut impl Write, report: &Report, lang: Lang) -> io::Result<()> {
    for property in report.properties.iter().filter(|property| property.claim == Claim::Never) {
        print_property(out, property, lang)?;
    }
    // Of policies that never err only their number is told.
    let errs = report.properties.iter().filter(|property| property.claim == Claim::NeverErrs);
    let (fine, bad): (Vec<_>, Vec<_>) = errs.partition(|property| matches!(property.verdict, Verdict::Proved));
    for property in &bad {
        print_property(out, property, lang)?;
    }
    let sum = Text::new(
        format!("{} 条策略中 {} 条证明不会出错", report.policies, fine.len()),
        format!("{} of {} policies are proved never to err", fine.len(), report.policies),
    );
    writeln!(out, "{}", sum.get(lang))?;
    for hint in &report.hints {
        let why = match hint.useless {
            Useless::Dead => Text::new("没有请求能满足", "no request satisfies it"),
            Useless::Shadowed => Text::new("去掉也不改变任何决定", "no decision would change without it"),
        };
        writeln!(out, "{}:{}: {} · {}", hint.place.file, hint.place.line, hint.id, why.get(lang))?;
    }
    if report.unsaid > 0 {
        let text = Text::new(
            format!("另有 {} 个“是否无用”的问题没有结论", report.unsaid),
            format!("{} questions whether a policy does anything have no answer", report.unsaid),
        );
        writeln!(out, "{}", text.get(lang))?;
    }
    print_end(out, report, lang)
}

fn print_property(out: &mut impl Write, property: &Property, lang: Lang) -> io::Result<()> {
    let mark = match &property.verdict {
        Verdict::Proved => Text::new("已证明", "proved    "),
        Verdict::Refuted(_) => Text::new("被推翻", "REFUTED   "),
        Verdict::NotProved(_) => Text::new("未证明", "NOT PROVED"),
    };
    let what = match property.claim {
        Claim::Never => property.actions.join(", "),
        Claim::NeverErrs => Text::new("不出错", "never errs").get(lang).to_owned(),
    };
    let place = &property.place;
    writeln!(out, "{} {}:{}: {} ({what})", mark.get(lang), place.file, place.line, property.id)?;
    match &property.verdict {
        Verdict::Proved => Ok(()),
        Verdict::Refuted(example) => example::print(out, example, lang),
        Verdict::NotProved(why) => writeln!(out, "    {}", why.get(lang)),
    }
}

fn print_end(out: &mut impl Write, report: &Report, lang: Lang) -> io::Result<()> {
    match &report.solver {
        Ok(version) => writeln!(out, "{} {version}", Text::new("求解器：", "solver:").get(lang))?,
        Err(why) => writeln!(out, "{}\n{}", why.get(lang), Report::installation().get(lang))?,
    }
    writeln!(out, "{}", Report::scope().get(lang))?;
    let never = |verdict: fn(&Verdict) -> bool| report.properties.iter().filter(|property| verdict(&property.verdict)).count();
    let proved = never(|verdict| matches!(verdict, Verdict::Proved));
    let refuted = never(|verdict| matches!(verdict, Verdict::Refuted(_)));
    let open = report.properties.len() - proved - refuted;
    let sum = Text::new(
        format!("{proved} 条已证明，{refuted} 条被推翻，{open} 条未证明"),
        format!("{proved} proved, {refuted} refuted, {open} not proved"),
    );
    writeln!(out, "{}", sum.get(lang))
}
