//! `kanhe ledger query | show`: asks the ledger, gateway running or not.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;

use super::super::{Exit, Format, Settings, open_config, print_trouble};
use super::{Trouble, across, moment, names, register, say_broken, sheet, table};
use crate::lang::Text;
use crate::ledger::export::write_line;
use crate::ledger::inbox::{Administrative, Member};
use crate::ledger::query::{self, Filter, Record};
use crate::ledger::{Config, SubjectKeys};

#[derive(Debug, Args)]
pub(super) struct QueryArgs {
    /// 需求系统 · requester
    #[arg(long)]
    requester: Option<String>,
    /// 需求部门 · demanding department
    #[arg(long)]
    department: Option<String>,
    /// 经办人 · operator
    #[arg(long)]
    operator: Option<String>,
    /// 提供部门 · provider
    #[arg(long)]
    provider: Option<String>,
    /// 数据资源 · resource
    #[arg(long)]
    resource: Option<String>,
    /// 使用场景 · scenario
    #[arg(long)]
    scenario: Option<String>,
    /// 业务编号 · case
    #[arg(long)]
    case: Option<String>,
    /// 个人信息主体标识，只从标准输入读取 · the person, read from standard input
    #[arg(long, value_name = "-", allow_hyphen_values = true)]
    subject: Option<String>,
    /// 数据项 · item
    #[arg(long)]
    item: Option<String>,
    /// 提供形式 · form of disclosure
    #[arg(long)]
    form: Option<String>,
    /// 记录种类 · kind of entry
    #[arg(long)]
    kind: Option<String>,
    /// 决定性策略 · determining policy
    #[arg(long)]
    policy: Option<String>,
    /// 起（含） · from this time or day on
    #[arg(long)]
    since: Option<String>,
    /// 止（不含） · before this time or day
    #[arg(long)]
    until: Option<String>,
    /// 授权 · grant
    #[arg(long)]
    grant: Option<String>,
    /// 未放行代码 · refusal
    #[arg(long)]
    code: Option<String>,
    /// 记录标识（源站日志中的 Share-Id） · the entry's id (`Share-Id` in an origin's log)
    #[arg(long)]
    id: Option<String>,
    /// 从该序号之后继续 · go on after this index
    #[arg(long, value_name = "INDEX")]
    after: Option<u64>,
    /// 只输出条数 · print only how many there are
    #[arg(long)]
    count: bool,
    /// 查询个人信息主体的原因，记入台账 · why a person is looked up; recorded in the ledger
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// 在各网关共用的登记库中检索：某一台账的名称，或 all · ask the register of several gateways: a log's name, or all
    #[arg(long, value_name = "NAME|all", conflicts_with = "after")]
    log: Option<String>,
    /// 逐行以签名的台账证明；未证明的在标准错误中指名 · hold each row against the signed log; what is not proven is named on standard error
    #[arg(long, conflicts_with = "after")]
    prove: bool,
    /// 其他台账的目录或其副本；可重复 · the folder of another gateway's log, or a copy of it; may be repeated
    #[arg(long, value_name = "FOLDER", requires = "prove")]
    copy: Vec<PathBuf>,
    /// 可信的核验公钥，或其文件；可重复 · a verifier key to trust, or its file; may be repeated
    #[arg(long, value_name = "VKEY", requires = "prove")]
    key: Vec<String>,
    /// 最多条数 · at most so many
    #[arg(long)]
    limit: Option<u64>,
}

/// Finds and prints.
pub(super) fn run(args: QueryArgs, settings: &Settings) -> Result<Exit, Trouble> {
    let config = open_config(settings).map_err(Trouble::Told)?.ledger;
    let needs_keys = args.operator.is_some() || args.subject.is_some();
    let keys = needs_keys.then(|| SubjectKeys::read(&config.subject_key, &config.subject_keys_old));
    let keys = keys.transpose().map_err(|error| Trouble::Text(error.text()))?;
    let (limit, count, reason) = (args.limit.unwrap_or(u64::MAX), args.count, args.reason.clone());
    let from = args.after.map_or(0, |after| after.saturating_add(1));
    let log = args.log.clone().or_else(|| args.prove.then(|| "all".to_owned()));
    let proof = args.prove.then(|| across::prover(&config, &args.copy, &args.key)).transpose()?;
    let filter = filter(args, keys.as_ref())?;
    if filter.subject.is_some() || reason.is_some() {
        record_lookup(&config, &filter, reason.as_deref(), settings)?;
    }
    if let Some(log) = log {
        return across::run(&config, &log, &filter, proof, (limit, count), settings);
    }
    if count { count_all(&config, &filter, from, limit, settings) } else { print_all(&config, &filter, from, limit, settings) }
}

fn count_all(config: &Config, filter: &Filter, from: u64, limit: u64, settings: &Settings) -> Result<Exit, Trouble> {
    let register = register(config, settings);
    let count = query::count(&config.folder, register.as_ref(), filter, from).map_err(Trouble::reading(&config.folder))?.min(limit);
    let mut out = io::stdout().lock();
    let printed = match settings.format {
        Format::Json => writeln!(out, r#"{{"count":{count}}}"#),
        Format::Human if settings.csv => writeln!(out, "count\r\n{count}\r"),
        Format::Human => writeln!(out, "{count}"),
    };
    printed.map_err(Trouble::writing)?;
    Ok(Exit::Yes)
}

fn print_all(config: &Config, filter: &Filter, from: u64, limit: u64, settings: &Settings) -> Result<Exit, Trouble> {
    let register = register(config, settings);
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut sheet = settings.csv.then(|| sheet::Sheet::new(&sheet::ENTRY));
    match (&mut sheet, settings.format) {
        (Some(sheet), _) => sheet.heading(&mut out),
        (None, Format::Human) => table::heading(&mut out, settings.lang),
        (None, Format::Json) => Ok(()),
    }
    .map_err(Trouble::writing)?;
    let (mut left, mut printed) = (limit, Ok(()));
    let each = |record: Record| {
        if left == 0 {
            return ControlFlow::Break(());
        }
        left -= 1;
        printed = match (&mut sheet, settings.format) {
            (Some(sheet), _) => sheet.entry(&mut out, &record),
            (None, Format::Json) => write_line(&mut out, &record),
            (None, Format::Human) => table::row(&mut out, &record, settings.lang),
        };
        if printed.is_ok() && left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let broken = query::find(&config.folder, register.as_ref(), filter, from, each).map_err(Trouble::reading(&config.folder))?;
    if let Some(broken) = broken {
        say_broken(&broken, settings);
    }
    printed.and_then(|()| out.flush()).map_err(Trouble::writing)?;
    Ok(Exit::Yes)
}

/// Whoever looks a person up leaves a trace of it first; the trace names the person by digest alone.
fn record_lookup(config: &Config, filter: &Filter, reason: Option<&str>, settings: &Settings) -> Result<(), Trouble> {
    let unsaid = Text::new("未说明原因", "no reason given");
    let mut asked: BTreeMap<String, Member> =
        filter.members.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
    let digests = [("subject", &filter.subject), ("operator", &filter.operator)];
    let digests = digests.into_iter().filter_map(|(name, digests)| Some((name, digests.as_ref()?.first()?.clone())));
    let texts = [("item", &filter.item), ("form", &filter.form), ("policy", &filter.policy)];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?)));
    let times = [("since", filter.since), ("until", filter.until)];
    let times = times.into_iter().filter_map(|(name, time)| Some((name, time?.to_string())));
    asked.extend(digests.chain(texts).chain(times).map(|(name, text)| (name.to_owned(), Member::Text(text))));
    let entry = Administrative::new("ledger.read", reason.unwrap_or(unsaid.get(settings.lang)));
    let entry = entry.with("command", "query").with("query", Member::Table(asked));
    entry.leave(&config.folder).map(drop).map_err(|error| {
        let why = error.text();
        Trouble::Text(Text::new(
            format!("查询个人信息主体须先记入台账，未能记入，故未查询：{}", why.zh),
            format!("looking a person up is recorded first; that failed, so nothing was looked up: {}", why.en),
        ))
    })
}

/// Digests are made here: a person's number goes no further than this function.
fn filter(args: QueryArgs, keys: Option<&SubjectKeys>) -> Result<Filter, Trouble> {
    let members = [
        ("requester", args.requester),
        ("department", args.department),
        ("provider", args.provider),
        ("resource", args.resource),
        ("scenario", args.scenario),
        ("case", args.case),
        ("kind", args.kind),
        ("grant", args.grant),
        ("code", args.code),
        ("id", args.id),
    ];
    let subject = match args.subject.as_deref() {
        None => None,
        Some("-") => Some(read_number()?),
        Some(_) => {
            let zh = "个人信息主体标识只从标准输入读取：请写 `--subject -`";
            let en = "a person's number is read from standard input only: write `--subject -`";
            return Err(Trouble::Text(Text::new(zh, en)));
        }
    };
    let digests = |text: &str| keys.map(|keys| keys.all_digests(text)).unwrap_or_default();
    Ok(Filter {
        members: members.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        operator: args.operator.as_deref().map(digests),
        subject: subject.as_deref().map(digests),
        item: args.item,
        form: args.form,
        policy: args.policy,
        since: args.since.as_deref().map(moment).transpose()?,
        until: args.until.as_deref().map(moment).transpose()?,
    })
}

/// The first line of standard input, as the gateway takes subjects: trimmed and upper-cased.
pub(super) fn read_number() -> Result<String, Trouble> {
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(_) if !line.trim().is_empty() => Ok(line.trim().to_uppercase()),
        _ => Err(Trouble::Text(Text::new("标准输入中没有个人信息主体标识", "no number on standard input"))),
    }
}

/// Shows one entry with its settlement.
pub(super) fn show(index: u64, settings: &Settings) -> Result<Exit, Trouble> {
    let config = open_config(settings).map_err(Trouble::Told)?.ledger;
    let (folder, register) = (&config.folder, register(&config, settings));
    let Some((record, settled)) = query::show_registered(folder, register.as_ref(), index).map_err(Trouble::reading(folder))? else {
        print_trouble(&Text::new(format!("共享台账中没有第 {index} 条"), format!("the ledger has no entry {index}")), settings);
        return Ok(Exit::No);
    };
    let mut out = io::stdout().lock();
    let printed = match settings.format {
        Format::Json => write_line(&mut out, &record),
        Format::Human => {
            table::labelled(&mut out, &record, settled.as_ref(), &names::resolve(folder, &record.entry, settings.lang), settings.lang)
        }
    };
    printed.and_then(|()| out.flush()).map_err(Trouble::writing)?;
    Ok(Exit::Yes)
}
