//! `kanhe policy diff`: what another version of the policies would allow more, or less.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::prove::{Solving, progress};
use super::{Exit, Settings, example, load};
use crate::cli::Format;
use crate::lang::{Lang, Text};
use crate::policy::diff::{Change, Found, Options, Own, Report, Side, diff};
use crate::policy::prove;
use crate::snapshot::Snapshot;

/// Arguments of `kanhe policy diff`.
#[derive(Args)]
pub(super) struct DiffArgs {
    /// 旧的控制目录 · the old control folder
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// 新的控制目录 · the new control folder
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    solving: Solving,
    /// 有求解器时也逐一比较两个目录自己的调用 · compare the folders' own calls too, though there is a solver
    #[arg(long)]
    own: bool,
}

/// Yes if both allow the same, no if they differ, trouble if a folder does not load or it could not be said.
pub(super) fn run(args: &DiffArgs, settings: &Settings) -> Exit {
    let loaded = load(&args.from, settings).and_then(|from| Ok((from, load(&args.to, settings)?)));
    let (from, to) = match loaded {
        Ok(both) => both,
        Err(exit) => return exit,
    };
    let files = changed_files(&from, &to);
    let data_differs = files.iter().any(|file| !is_policy(file));
    let Solving { solver, timeout } = &args.solving;
    let options = Options { solver: solver.clone(), timeout: *timeout, own: args.own, progress: &progress, ..Options::default() };
    let [old, new] = [&from, &to].map(|one| Side { policies: &one.policies, world: one.world() });
    let report = diff(old, new, data_differs, &options);
    let mut out = io::stdout().lock();
    let printed = match settings.format {
        Format::Json => writeln!(out, "{}", as_json(&report, &files, settings.lang)),
        Format::Human => print(&mut out, &report, &files, settings.lang),
    };
    match (printed, report.same()) {
        (Err(_), _) | (_, None) => Exit::Trouble,
        (Ok(()), Some(true)) => Exit::Yes,
        (Ok(()), Some(false)) => Exit::No,
    }
}

/// Files that came, went or changed.
fn changed_files(from: &Snapshot, to: &Snapshot) -> Vec<String> {
    let of = |snapshot: &Snapshot| snapshot.files.iter().cloned().collect::<BTreeMap<_, _>>();
    let (old, new) = (of(from), of(to));
    let paths = old.keys().chain(new.keys().filter(|path| !old.contains_key(*path)));
    paths.filter(|path| old.get(*path) != new.get(*path)).cloned().collect()
}

/// Whether the solver sees what this file says, or no decision rests on it.
fn is_policy(file: &str) -> bool {
    file.ends_with(".cedar") || file.ends_with(".cedarschema") || file.starts_with("tests/")
}

fn word(change: &Change) -> &'static str {
    match (&change.wider, &change.narrower) {
        (Found::One(_), Found::One(_)) => "both",
        (Found::Unknown(_), _) | (_, Found::Unknown(_)) => "unknown",
        (Found::One(_), Found::None) => "wider",
        (Found::None, Found::One(_)) => "narrower",
        (Found::None, Found::None) => "equivalent",
    }
}

fn as_json(report: &Report, files: &[String], lang: Lang) -> Value {
    let found = |found: &Found| match found {
        Found::One(example) => example::as_json(example),
        Found::None | Found::Unknown(_) => Value::Null,
    };
    let reason = |change: &Change| {
        let unknown = [&change.wider, &change.narrower].into_iter().find_map(|found| match found {
            Found::Unknown(why) => Some(why.get(lang).to_owned()),
            _ => None,
        });
        unknown.map_or(Value::Null, Value::String)
    };
    let change = |change: &Change| {
        let (wider, narrower) = (found(&change.wider), found(&change.narrower));
        json!({ "action": change.action, "change": word(change), "wider": wider, "narrower": narrower, "reason": reason(change) })
    };
    let changes = |changes: &[Change]| changes.iter().map(change).collect::<Vec<_>>();
    let own =
        |own: &Own| json!({ "at": own.at.to_string(), "calls": own.calls, "complete": own.complete, "actions": changes(&own.changes) });
    let ids = |ids: &[std::sync::Arc<str>]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "same": report.same(),
        "solver": report.solver.as_ref().ok(),
        "no_solver": report.solver.as_ref().err().map(|why| why.get(lang)),
        "policies": {
            "added": ids(&report.policies.added), "removed": ids(&report.policies.removed), "changed": ids(&report.policies.changed),
        },
        "files": files,
        "actions": changes(&report.proof),
        "own_calls": report.own.as_ref().map(own),
        "scope": prove::Report::scope().get(lang),
    })
}

fn print(out: &mut impl Write, report: &Report, files: &[String], lang: Lang) -> io::Result<()> {
    let policies = &report.policies;
    let lists = [
        (Text::new("新增策略", "policies added"), &policies.added),
        (Text::new("删除策略", "policies removed"), &policies.removed),
        (Text::new("改动策略", "policies changed"), &policies.changed),
    ];
    for (title, ids) in lists.iter().filter(|(_, ids)| !ids.is_empty()) {
        writeln!(out, "{}: {}", title.get(lang), ids.join(", "))?;
    }
    let data: Vec<&str> = files.iter().map(String::as_str).filter(|file| !is_policy(file)).collect();
    if !data.is_empty() {
        writeln!(out, "{}: {}", Text::new("其他改动的文件", "other files changed").get(lang), data.join(", "))?;
    }
    match &report.solver {
        Ok(version) => {
            let title = Text::new(
                format!("模式所允许的一切请求（求解器 {version}）："),
                format!("over all requests that the schema admits (solver: {version}):"),
            );
            writeln!(out, "{}", title.get(lang))?;
            print_changes(out, &report.proof, lang)?;
        }
        Err(why) => writeln!(out, "{}\n{}", why.get(lang), prove::Report::installation().get(lang))?,
    }
    if let Some(own) = &report.own {
        let Own { at, calls, complete, changes } = own;
        let all = if *complete { Text::default() } else { Text::new("（未全部比较）", " (not all of them)") };
        let title = Text::new(
            format!("两个控制目录自己的 {calls} 次调用{}，时间 {at}：", all.zh),
            format!("over {calls} calls of the folders' own{}, as of {at}:", all.en),
        );
        writeln!(out, "{}", title.get(lang))?;
        print_changes(out, changes, lang)?;
    }
    let sum = match report.same() {
        Some(true) => Text::new("两者相同", "both allow the same"),
        Some(false) => Text::new("两者不同", "they differ"),
        None => Text::new("无法判定是否相同", "whether they allow the same could not be said"),
    };
    writeln!(out, "{}", sum.get(lang))
}

fn print_changes(out: &mut impl Write, changes: &[Change], lang: Lang) -> io::Result<()> {
    for change in changes {
        let text = match word(change) {
            "both" => Text::new("有放宽也有收紧", "wider and narrower"),
            "wider" => Text::new("放宽", "wider"),
            "narrower" => Text::new("收紧", "narrower"),
            "equivalent" => Text::new("相同", "equivalent"),
            _ => Text::new("无法判定", "could not be said"),
        };
        writeln!(out, "  {}: {}", change.action, text.get(lang))?;
        let sides = [
            (Text::new("只有新版放行：", "only the new one allows:"), &change.wider),
            (Text::new("只有旧版放行：", "only the old one allows:"), &change.narrower),
        ];
        for (title, found) in sides {
            match found {
                Found::None => {}
                Found::Unknown(why) => writeln!(out, "    {}", why.get(lang))?,
                Found::One(example) => {
                    writeln!(out, "    {}", title.get(lang))?;
                    example::print(out, example, lang)?;
                }
            }
        }
    }
    Ok(())
}
