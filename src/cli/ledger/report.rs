//! `kanhe ledger report …`: who received what, for what, and what was never used.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::ops::ControlFlow;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::super::{Exit, Format, Settings, open_config, print_problems};
use super::{Trouble, moment, register, say_broken, sheet::Sheet, table};
use crate::config::Config;
use crate::lang::{Lang, Text};
use crate::ledger::query::{Filter, Record};
use crate::ledger::report::{self, By, Groups, Period, Totals};
use crate::purpose::{Grant, GrantStatus, ResourcePattern};
use crate::snapshot::Snapshot;

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    #[command(subcommand)]
    report: Report,
}

#[derive(Debug, Subcommand)]
enum Report {
    /// 谁取得了哪些数据 · who received what of a provider's data
    Receivers(Scope),
    /// 各使用场景使用了哪些数据 · what each scenario used
    Scenarios(Scope),
    /// 各部门提供与取得 · given and received by department
    Departments(Scope),
    /// 从未使用的授权 · grants under which nothing was shared
    UnusedGrants(Scope),
    /// 事件导出：主体、数据项、取得方 · for a breach: subjects, items and receivers between two times
    Breach(Scope),
}

#[derive(Debug, Args)]
struct Scope {
    /// 提供部门 · provider
    #[arg(long)]
    provider: Option<String>,
    /// 需求部门 · demanding department
    #[arg(long)]
    department: Option<String>,
    /// 需求系统 · requester
    #[arg(long)]
    requester: Option<String>,
    /// 数据资源 · resource
    #[arg(long)]
    resource: Option<String>,
    /// 使用场景 · scenario
    #[arg(long)]
    scenario: Option<String>,
    /// 起（含） · from this time or day on
    #[arg(long)]
    since: Option<String>,
    /// 止（不含） · before this time or day
    #[arg(long)]
    until: Option<String>,
}

impl Scope {
    fn period(&self) -> Result<Period, Trouble> {
        let time = |text: &Option<String>| text.as_deref().map(moment).transpose();
        let period = Period { since: time(&self.since)?, until: time(&self.until)? };
        match (period.since, period.until) {
            (Some(since), Some(until)) if since >= until => {
                Err(Trouble::Text(Text::new("`--since` 应早于 `--until`", "`--since` must be before `--until`")))
            }
            _ => Ok(period),
        }
    }

    fn only(&self) -> Vec<(By, String)> {
        let values = [
            (By::Provider, &self.provider),
            (By::Department, &self.department),
            (By::Requester, &self.requester),
            (By::Resource, &self.resource),
            (By::Scenario, &self.scenario),
        ];
        values.into_iter().filter_map(|(by, value)| Some((by, value.clone()?))).collect()
    }
}

/// A column: its name for programs, and for people.
type Column = (&'static str, &'static str, &'static str);

const OUTCOMES: [Column; 8] = [
    ("shares", "次数", "shares"),
    ("complete", "完整", "complete"),
    ("cut", "中断", "cut"),
    ("failed", "失败", "failed"),
    ("unknown", "不明", "unknown"),
    ("open", "未结", "open"),
    ("records", "记录数", "records"),
    ("bytes", "字节数", "bytes"),
];
const ITEMS: Column = ("items", "数据项", "items");

fn column(by: By) -> Column {
    match by {
        By::Provider => ("provider", "提供部门", "provider"),
        By::Department => ("department", "需求部门", "department"),
        By::Requester => ("requester", "需求系统", "requester"),
        By::Resource => ("resource", "数据资源", "resource"),
        By::Scenario => ("scenario", "使用场景", "scenario"),
        By::Operation => ("operation", "操作", "operation"),
        By::Grant => ("grant", "授权", "grant"),
    }
}

/// Makes the report and prints it.
pub(super) fn run(args: &ReportArgs, settings: &Settings) -> Result<Exit, Trouble> {
    let config = open_config(settings).map_err(Trouble::Told)?;
    match &args.report {
        Report::Receivers(scope) => {
            let by = [By::Provider, By::Department, By::Requester, By::Resource, By::Scenario, By::Operation];
            grouped(&config, scope, &by, settings)
        }
        Report::Scenarios(scope) => grouped(&config, scope, &[By::Scenario, By::Resource, By::Department], settings),
        Report::Departments(scope) => departments(&config, scope, settings),
        Report::UnusedGrants(scope) => unused_grants(&config, scope, settings),
        Report::Breach(scope) => breach(&config, scope, settings),
    }
}

fn groups(config: &Config, scope: &Scope, by: &[By], settings: &Settings) -> Result<Groups, Trouble> {
    let register = register(&config.ledger, settings);
    let folder = &config.ledger.folder;
    let grouped = report::group(folder, register.as_ref(), scope.period()?, &scope.only(), by);
    let (groups, broken) = grouped.map_err(Trouble::reading(folder))?;
    broken.iter().for_each(|broken| say_broken(broken, settings));
    Ok(groups)
}

fn numbers(totals: &Totals) -> Vec<Value> {
    let number = |name: &str| match name {
        "shares" => totals.shares,
        "records" => totals.records,
        "bytes" => totals.bytes,
        outcome => totals.outcomes.get(outcome).copied().unwrap_or(0),
    };
    OUTCOMES.iter().map(|(name, ..)| number(name).into()).collect()
}

fn grouped(config: &Config, scope: &Scope, by: &[By], settings: &Settings) -> Result<Exit, Trouble> {
    let groups = groups(config, scope, by, settings)?;
    let columns: Vec<Column> = by.iter().map(|by| column(*by)).chain(OUTCOMES).chain([ITEMS]).collect();
    let rows = groups.iter().map(|(key, totals)| {
        let key = key.iter().map(|text| if text.is_empty() { Value::Null } else { text.as_str().into() });
        key.chain(numbers(totals)).chain([json!(totals.items)]).collect()
    });
    print(&columns, rows, settings)
}

fn departments(config: &Config, scope: &Scope, settings: &Settings) -> Result<Exit, Trouble> {
    let groups = groups(config, scope, &[By::Provider, By::Department], settings)?;
    let mut sums: BTreeMap<&str, [u64; 6]> = BTreeMap::new();
    for (key, totals) in &groups {
        let values = [totals.shares, totals.records, totals.bytes];
        for (at, department) in key.iter().enumerate() {
            let sum = sums.entry(department).or_default();
            sum.iter_mut().skip(at * 3).zip(values).for_each(|(sum, value)| *sum += value);
        }
    }
    let columns = [
        ("department", "部门", "department"),
        ("given_shares", "提供次数", "given"),
        ("given_records", "提供记录数", "records given"),
        ("given_bytes", "提供字节数", "bytes given"),
        ("received_shares", "取得次数", "received"),
        ("received_records", "取得记录数", "records received"),
        ("received_bytes", "取得字节数", "bytes received"),
    ];
    let rows = sums.iter().map(|(department, sum)| std::iter::once((*department).into()).chain(sum.map(Value::from)).collect());
    print(&columns, rows, settings)
}

fn unused_grants(config: &Config, scope: &Scope, settings: &Settings) -> Result<Exit, Trouble> {
    let (snapshot, _) = Snapshot::load(&config.control).map_err(|refused| {
        print_problems(&refused.errors, settings);
        Trouble::Told(Exit::Trouble)
    })?;
    let is_asked = |grant: &&Grant| {
        let pattern = pattern(&grant.resource);
        let is = |wanted: &Option<String>, value: Option<&str>| wanted.as_deref().is_none_or(|wanted| value == Some(wanted));
        is(&scope.requester, grant.holder.requester.as_deref())
            && is(&scope.department, grant.holder.department.as_deref())
            && is(&scope.scenario, Some(&grant.scenario))
            && is(&scope.resource, Some(&pattern))
            && is(&scope.provider, pattern.split('.').next())
    };
    let mut grants: Vec<&Grant> = snapshot.purposes.grants.values().map(AsRef::as_ref).filter(is_asked).collect();
    grants.sort_by(|a, b| a.id.cmp(&b.id));
    let ids: HashSet<String> = grants.iter().map(|grant| grant.id.to_string()).collect();
    let register = register(&config.ledger, settings);
    let folder = &config.ledger.folder;
    let (used, broken) = report::used_grants(folder, register.as_ref(), scope.period()?, &ids).map_err(Trouble::reading(folder))?;
    broken.iter().for_each(|broken| say_broken(broken, settings));
    let columns = [
        ("grant", "授权", "grant"),
        ("requester", "需求系统", "requester"),
        ("department", "需求部门", "department"),
        ("resource", "数据资源", "resource"),
        ("scenario", "使用场景", "scenario"),
        ("status", "状态", "status"),
        ("valid_from", "起始日", "valid from"),
        ("valid_until", "截止日", "valid until"),
        ("application", "申请", "application"),
    ];
    let rows = grants.iter().filter(|grant| !used.contains(&*grant.id)).map(|grant| {
        let status = match grant.status {
            GrantStatus::Active => "active",
            GrantStatus::Suspended => "suspended",
            GrantStatus::Terminated => "terminated",
        };
        vec![
            (&*grant.id).into(),
            json!(grant.holder.requester.as_deref()),
            json!(grant.holder.department.as_deref()),
            pattern(&grant.resource).into(),
            (&*grant.scenario).into(),
            status.into(),
            grant.valid_from.to_string().into(),
            grant.valid_until.to_string().into(),
            grant.application.to_string().into(),
        ]
    });
    print(&columns, rows, settings)
}

fn pattern(resource: &ResourcePattern) -> String {
    match resource {
        ResourcePattern::One(id) => id.to_string(),
        ResourcePattern::Provider(provider) => format!("{provider}.*"),
    }
}

const BREACH: [Column; 16] = [
    ("index", "序号", "index"),
    ("time", "时间", "time"),
    ("subject", "个人信息主体标识", "subject"),
    ("department", "需求部门", "department"),
    ("requester", "需求系统", "requester"),
    ("operator", "经办人", "operator"),
    ("provider", "提供部门", "provider"),
    ("resource", "数据资源", "resource"),
    ("operation", "操作", "operation"),
    ("scenario", "使用场景", "scenario"),
    ("case", "业务编号", "case"),
    ("items", "数据项", "items"),
    ("outcome", "结果", "outcome"),
    ("records", "记录数", "records"),
    ("bytes", "字节数", "bytes"),
    ("id", "记录标识", "id"),
];

fn breach(config: &Config, scope: &Scope, settings: &Settings) -> Result<Exit, Trouble> {
    let period = scope.period()?;
    let (Some(since), Some(until)) = (period.since, period.until) else {
        let en = "an export for a breach is of a period: write `--since` and `--until`";
        return Err(Trouble::Text(Text::new("事件导出须限定时间：请写 `--since` 和 `--until`", en)));
    };
    let members = scope.only().into_iter().map(|(by, value)| (by.name(), value)).collect();
    let filter = Filter { members, since: Some(since), until: Some(until), ..Filter::default() };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut printer = Printer::new(&BREACH, settings);
    let mut printed = printer.heading(&mut out);
    let folder = &config.ledger.folder;
    report::shares(folder, &filter, |granted, settled| {
        let done = std::mem::replace(&mut printed, Ok(())).and_then(|()| printer.row(&mut out, &breach_row(granted, settled)));
        printed = done;
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .map_err(Trouble::reading(folder))?;
    printed.and_then(|()| printer.end(&mut out)).and_then(|()| out.flush()).map_err(Trouble::writing)?;
    Ok(Exit::Yes)
}

fn breach_row(granted: &Record, settled: Option<&Record>) -> Vec<Value> {
    let parse = |record: &Record| serde_json::from_slice::<Value>(&record.entry).unwrap_or_default();
    let (entry, settled) = (parse(granted), settled.map(parse).unwrap_or_default());
    let cell = |name: &str| match name {
        "index" => granted.index.into(),
        "outcome" if settled.is_null() => "open".into(),
        "outcome" | "records" | "bytes" => settled[name].clone(),
        _ => entry[name].clone(),
    };
    BREACH.iter().map(|(name, ..)| cell(name)).collect()
}

fn print(columns: &[Column], rows: impl Iterator<Item = Vec<Value>>, settings: &Settings) -> Result<Exit, Trouble> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut printer = Printer::new(columns, settings);
    let printed = printer.heading(&mut out).and_then(|()| {
        for row in rows {
            printer.row(&mut out, &row)?;
        }
        printer.end(&mut out)?;
        out.flush()
    });
    printed.map_err(Trouble::writing)?;
    Ok(Exit::Yes)
}

/// Prints rows as they come; for people a hundred at a time, so that columns can be as wide as what stands in them.
struct Printer<'a> {
    columns: &'a [Column],
    names: Vec<&'static str>,
    settings: &'a Settings,
    waiting: Vec<Vec<String>>,
}

impl<'a> Printer<'a> {
    fn new(columns: &'a [Column], settings: &'a Settings) -> Self {
        Self { columns, names: columns.iter().map(|(name, ..)| *name).collect(), settings, waiting: Vec::new() }
    }

    fn heading(&mut self, out: &mut impl Write) -> io::Result<()> {
        match self.settings.format {
            _ if self.settings.csv => Sheet::new(&self.names).heading(out),
            Format::Json => Ok(()),
            Format::Human => {
                let zh = self.settings.lang == Lang::Zh;
                self.waiting.push(self.columns.iter().map(|(_, in_zh, en)| (if zh { in_zh } else { en }).to_string()).collect());
                Ok(())
            }
        }
    }

    fn row(&mut self, out: &mut impl Write, cells: &[Value]) -> io::Result<()> {
        match self.settings.format {
            _ if self.settings.csv => Sheet::new(&self.names).row(out, cells),
            Format::Json => {
                let object: serde_json::Map<String, Value> =
                    self.names.iter().zip(cells).map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect();
                writeln!(out, "{}", Value::Object(object))
            }
            Format::Human => {
                self.waiting.push(cells.iter().map(table::told).collect());
                if self.waiting.len() > 100 { self.end(out) } else { Ok(()) }
            }
        }
    }

    fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        table::aligned(out, &std::mem::take(&mut self.waiting))
    }
}
