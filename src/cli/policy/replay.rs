//! `kanhe policy replay`: recorded decisions under a candidate, or under their own snapshots.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{Exit, Settings, load, open_config, print_trouble};
use crate::cli::{Format, out};
use crate::lang::{Lang, Text};
use crate::replay::{self, Change, Group, Range, Report, Reproduced};
use crate::written::units;

/// Entries are listed by name up to this many in print; JSON has them all.
const LISTED: usize = 8;
/// Progress is told this often, in entries.
const STEP: u64 = 20_000;

/// Arguments of `kanhe policy replay`.
#[derive(Args)]
pub(super) struct ReplayArgs {
    /// 候选控制目录 · the candidate's control folder
    #[arg(long, value_name = "DIR", required_unless_present = "self_check", conflicts_with = "self_check")]
    candidate: Option<PathBuf>,
    /// 按各条记录自己的控制快照重算，须与记录一致 · decide each again under its own snapshot: all must come out as recorded
    #[arg(long)]
    self_check: bool,
    /// 起（含） · from this time or day on
    #[arg(long)]
    since: Option<String>,
    /// 止（不含） · before this time or day
    #[arg(long)]
    until: Option<String>,
}

/// Exit 0: nothing widens (self-check: all reproduced); 1: something does; 2: the ledger or candidate cannot be read.
pub(super) fn run(args: &ReplayArgs, settings: &Settings) -> Exit {
    replayed(args, settings).unwrap_or_else(|exit| exit)
}

fn replayed(args: &ReplayArgs, settings: &Settings) -> Result<Exit, Exit> {
    let ledger = open_config(settings)?.ledger.folder;
    let trouble = |text: Text| {
        print_trouble(&text, settings);
        Exit::Trouble
    };
    let unreadable = |error: std::io::Error| {
        let folder = ledger.display();
        trouble(Text::new(format!("无法读取共享台账 `{folder}`：{error}"), format!("cannot read the ledger `{folder}`: {error}")))
    };
    let range = |zone: &TimeZone| {
        let moment = |text: &Option<String>| text.as_deref().map(|text| moment(text, zone)).transpose();
        Ok(Range { since: moment(&args.since).map_err(trouble)?, until: moment(&args.until).map_err(trouble)? })
    };
    let progress = Progress::new(settings.lang);
    if let Some(folder) = &args.candidate {
        let candidate = load(folder, settings)?;
        let range = range(&candidate.parties.time_zone)?;
        let report = replay::replay(&ledger, &candidate, range, &|seen| progress.tell(seen)).map_err(unreadable)?;
        progress.end();
        match settings.format {
            Format::Json => out(&report_json(&candidate.digest, &report).to_string()),
            Format::Human => out(&print_report(&report, settings.lang)),
        }
        return Ok(if report.widens() { Exit::No } else { Exit::Yes });
    }
    let range = range(&TimeZone::get("Asia/Shanghai").unwrap_or(TimeZone::UTC))?;
    let found = replay::self_check(&ledger, range, &|seen| progress.tell(seen)).map_err(unreadable)?;
    progress.end();
    match settings.format {
        Format::Json => out(&check_json(&found, settings.lang).to_string()),
        Format::Human => out(&print_check(&found, settings.lang)),
    }
    Ok(if found.differ.is_empty() { Exit::Yes } else { Exit::No })
}

/// A time with its offset, or a day, which begins at midnight in `zone`.
fn moment(text: &str, zone: &TimeZone) -> Result<Timestamp, Text> {
    if let Ok(day) = units::date(text)
        && let Ok(midnight) = day.to_zoned_datetime(zone.clone())
    {
        return Ok(midnight.timestamp());
    }
    units::moment(text)
        .map_err(|right| Text::new(format!("`{text}` 无法识别：{}", right.zh), format!("`{text}` cannot be read: {}", right.en)))
}

/// How far it is, on standard error where a person watches it.
struct Progress {
    watched: bool,
    told: AtomicU64,
    lang: Lang,
}

#[expect(clippy::print_stderr, reason = "progress is no part of the result")]
impl Progress {
    fn new(lang: Lang) -> Self {
        Self { watched: std::io::stderr().is_terminal(), told: AtomicU64::new(0), lang }
    }

    fn tell(&self, seen: u64) {
        if self.watched && seen / STEP > self.told.swap(seen, Ordering::Relaxed) / STEP {
            eprint!("\r{}", Text::new(format!("已读 {seen} 条"), format!("{seen} entries read")).get(self.lang));
        }
    }

    fn end(&self) {
        if self.watched && self.told.load(Ordering::Relaxed) >= STEP {
            eprintln!();
        }
    }
}

fn left_json(left: &BTreeMap<(&'static str, String), Vec<u64>>) -> Vec<Value> {
    left.iter().map(|((why, code), entries)| json!({"why": why, "outcome": code, "count": entries.len(), "entries": entries})).collect()
}

fn report_json(candidate: &str, report: &Report) -> Value {
    let changes = report.changes.iter().map(|(group, entries)| {
        json!({
            "change": group.change.name(),
            "department": &*group.department,
            "resource": &*group.resource,
            "scenario": &*group.scenario,
            "item": group.item.as_deref(),
            "from": group.from,
            "to": group.to,
            "count": entries.len(),
            "entries": entries,
        })
    });
    json!({
        "candidate": candidate,
        "widens": report.widens(),
        "calls": report.calls,
        "replayed": report.replayed,
        "changes": changes.collect::<Vec<_>>(),
        "not_replayed": left_json(&report.left),
        "folded": report.folded,
    })
}

fn check_json(found: &Reproduced, lang: Lang) -> Value {
    let differ = found.differ.iter().map(|difference| json!({"index": difference.index, "what": difference.what.get(lang)}));
    json!({
        "ok": found.differ.is_empty(),
        "calls": found.calls,
        "same": found.same,
        "differ": differ.collect::<Vec<_>>(),
        "not_replayed": left_json(&found.left),
    })
}

fn listed(entries: &[u64]) -> String {
    let named: Vec<String> = entries.iter().take(LISTED).map(u64::to_string).collect();
    let more = entries.len().saturating_sub(LISTED);
    if more == 0 { named.join(", ") } else { format!("{}, … (+{more})", named.join(", ")) }
}

fn print_report(report: &Report, lang: Lang) -> String {
    let mut lines = Vec::new();
    for change in [Change::Allowed, Change::Wider, Change::Narrower, Change::Denied] {
        let groups: Vec<_> = report.changes.iter().filter(|(group, _)| group.change == change).collect();
        if groups.is_empty() {
            continue;
        }
        let count = report.count(change);
        let heading = match change {
            Change::Allowed => Text::new(format!("新放行：{count} 次调用"), format!("newly let pass: {count} calls")),
            Change::Wider => Text::new(format!("数据项放宽：{count} 次调用"), format!("items wider: {count} calls")),
            Change::Narrower => Text::new(format!("数据项收窄：{count} 次调用"), format!("items narrower: {count} calls")),
            Change::Denied => Text::new(format!("新不放行：{count} 次调用"), format!("newly refused: {count} calls")),
        };
        lines.push(heading.get(lang).to_owned());
        lines.extend(groups.into_iter().map(|(group, entries)| row(group, entries, lang)));
    }
    let (calls, replayed) = (report.calls, report.replayed);
    let sum = Text::new(format!("{calls} 次调用中重放 {replayed} 次"), format!("{replayed} of {calls} calls were replayed"));
    lines.push(sum.get(lang).to_owned());
    if report.changes.is_empty() {
        lines.push(Text::new("结果都不变", "all come out as they did").get(lang).to_owned());
    }
    lines.extend(left_lines(&report.left, lang));
    if report.folded > 0 {
        let folded = report.folded;
        let text = Text::new(
            format!("  另有 {folded} 次未放行合并在其他记录里，各自的内容没有记录，未重放"),
            format!("  {folded} more refusals are folded into others' entries; what each was for is not recorded"),
        );
        lines.push(text.get(lang).to_owned());
    }
    let limits = Text::new(
        "未重放：按行政区划筛选记录、配额、条数上限、令牌与证书本身",
        "not replayed: records by region, quotas, limits on records, and tokens and certificates themselves",
    );
    lines.push(limits.get(lang).to_owned());
    lines.join("\n")
}

fn row(group: &Group, entries: &[u64], lang: Lang) -> String {
    let item = group.item.as_deref().map(|item| format!(" {item}")).unwrap_or_default();
    let scenario = if group.scenario.is_empty() { "-" } else { &group.scenario };
    let count = entries.len();
    let what = format!("  {}  {}{item}  {scenario}  {} → {}", group.department, group.resource, group.from, group.to);
    let entries = listed(entries);
    Text::new(format!("{what}  {count} 条：{entries}"), format!("{what}  {count} entries: {entries}")).get(lang).to_owned()
}

fn left_lines(left: &BTreeMap<(&'static str, String), Vec<u64>>, lang: Lang) -> Vec<String> {
    let line = |((why, code), entries): (&(&'static str, String), &Vec<u64>)| {
        let (count, entries) = (entries.len(), listed(entries));
        let text = match *why {
            "undecided" => Text::new(
                format!("  {count} 次 {code} 与策略无关，不重放：{entries}"),
                format!("  {count} times {code}: the policies had no part in it, not replayed: {entries}"),
            ),
            _ => Text::new(
                format!("  {count} 次 {code} 的记录缺少所需事实，无法重放：{entries}"),
                format!("  {count} times {code}: the entry lacks what a replay needs: {entries}"),
            ),
        };
        text.get(lang).to_owned()
    };
    left.iter().map(line).collect()
}

fn print_check(found: &Reproduced, lang: Lang) -> String {
    let mut lines: Vec<String> = Vec::new();
    for difference in &found.differ {
        let (index, what) = (difference.index, &difference.what);
        lines.push(Text::new(format!("第 {index} 条：{}", what.zh), format!("entry {index}: {}", what.en)).get(lang).to_owned());
    }
    let (calls, same, differ) = (found.calls, found.same, found.differ.len());
    let sum = Text::new(
        format!("{calls} 次调用：{same} 次与记录一致，{differ} 次不一致"),
        format!("{calls} calls: {same} come out as recorded, {differ} do not"),
    );
    lines.push(sum.get(lang).to_owned());
    lines.extend(left_lines(&found.left, lang));
    lines.join("\n")
}
