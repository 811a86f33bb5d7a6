//! `kanhe ledger query | show | verify | receipt`: asks the ledger's files, gateway running or not.

use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{Exit, Format, Settings, open_config, print_trouble};
use crate::lang::Text;
use crate::ledger::SubjectKeys;
use crate::ledger::query::{self, Filter, Record};
use crate::written::units;

mod names;
mod receipt;
mod table;
mod verify;
mod witness;

/// `kanhe ledger …`.
#[derive(Debug, Args)]
pub struct LedgerArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// 检索 · find entries
    Query(Box<QueryArgs>),
    /// 查看一条 · show one entry
    Show {
        /// 序号 · its index
        index: u64,
    },
    /// 核验台账、回执或内容 · judge the whole ledger by its files, a receipt, or a copy of what was released
    Verify(Box<verify::VerifyArgs>),
    /// 取得一条记录的回执包 · the bundle that proves an entry offline
    Receipt {
        /// 序号 · its index
        index: u64,
    },
    /// 为其他台账的检查点会签 · witness other logs: cosign their checkpoints
    Witness(witness::WitnessArgs),
}

#[derive(Debug, Args)]
struct QueryArgs {
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
    /// 最多条数 · at most so many
    #[arg(long)]
    limit: Option<u64>,
}

/// Runs the command.
pub fn run(args: LedgerArgs, settings: &Settings) -> Exit {
    let done = match args.command {
        Command::Query(args) => find(*args, settings),
        Command::Show { index } => show(index, settings),
        Command::Verify(args) => verify::run(&args, settings),
        Command::Receipt { index } => receipt::run(index, settings),
        Command::Witness(args) => Ok(witness::run(&args, settings)),
    };
    done.unwrap_or_else(|trouble| trouble.end(settings))
}

/// Why a command could not answer.
enum Trouble {
    /// Already printed.
    Told(Exit),
    Text(Text),
    /// Standard output is gone: whoever read it has enough.
    Closed,
}

impl Trouble {
    fn end(self, settings: &Settings) -> Exit {
        match self {
            Self::Told(exit) => exit,
            Self::Closed => Exit::Yes,
            Self::Text(text) => {
                print_trouble(&text, settings);
                Exit::Trouble
            }
        }
    }

    fn reading(folder: &Path) -> impl Fn(io::Error) -> Self {
        let folder = folder.display().to_string();
        move |error| {
            Self::Text(Text::new(format!("无法读取共享台账 `{folder}`：{error}"), format!("cannot read the ledger `{folder}`: {error}")))
        }
    }

    fn writing(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Text(Text::new(format!("无法输出：{error}"), format!("cannot print: {error}"))),
        }
    }
}

fn find(args: QueryArgs, settings: &Settings) -> Result<Exit, Trouble> {
    let config = open_config(settings).map_err(Trouble::Told)?.ledger;
    let mut left = args.limit.unwrap_or(u64::MAX);
    let needs_keys = args.operator.is_some() || args.subject.is_some();
    let keys = needs_keys.then(|| SubjectKeys::read(&config.subject_key, &config.subject_keys_old));
    let keys = keys.transpose().map_err(|error| Trouble::Text(error.text()))?;
    let filter = filter(args, keys.as_ref())?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if settings.format == Format::Human {
        table::heading(&mut out, settings.lang).map_err(Trouble::writing)?;
    }
    let mut printed = Ok(());
    let each = |record: Record| {
        if left == 0 {
            return ControlFlow::Break(());
        }
        if !filter.fits(&record.entry) {
            return ControlFlow::Continue(());
        }
        left -= 1;
        printed = match settings.format {
            Format::Json => write_json(&mut out, &record),
            Format::Human => table::row(&mut out, &record, settings.lang),
        };
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    query::read(&config.folder, 0, each).map_err(Trouble::reading(&config.folder))?;
    printed.and_then(|()| out.flush()).map_err(Trouble::writing)?;
    Ok(Exit::Yes)
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
fn read_number() -> Result<String, Trouble> {
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(_) if !line.trim().is_empty() => Ok(line.trim().to_uppercase()),
        _ => Err(Trouble::Text(Text::new("标准输入中没有个人信息主体标识", "no number on standard input"))),
    }
}

/// A time with its offset, or a day, which begins at midnight in `Asia/Shanghai`.
fn moment(text: &str) -> Result<Timestamp, Trouble> {
    if let Ok(day) = units::date(text)
        && let Ok(zoned) = day.in_tz("Asia/Shanghai")
    {
        return Ok(zoned.timestamp());
    }
    units::moment(text).map_err(|right| {
        Trouble::Text(Text::new(format!("`{text}` 无法识别：{}", right.zh), format!("`{text}` cannot be read: {}", right.en)))
    })
}

/// The entry's exact bytes within one line.
fn write_json(out: &mut impl Write, record: &Record) -> io::Result<()> {
    write!(out, r#"{{"index":{},"leaf":"{}","entry":"#, record.index, BASE64_STANDARD.encode(record.leaf))?;
    out.write_all(&record.entry)?;
    out.write_all(b"}\n")
}

fn show(index: u64, settings: &Settings) -> Result<Exit, Trouble> {
    let folder = open_config(settings).map_err(Trouble::Told)?.ledger.folder;
    let Some((record, settled)) = query::show(&folder, index).map_err(Trouble::reading(&folder))? else {
        print_trouble(&Text::new(format!("共享台账中没有第 {index} 条"), format!("the ledger has no entry {index}")), settings);
        return Ok(Exit::No);
    };
    let mut out = io::stdout().lock();
    let printed = match settings.format {
        Format::Json => write_json(&mut out, &record),
        Format::Human => {
            table::labelled(&mut out, &record, settled.as_ref(), &names::resolve(&folder, &record.entry, settings.lang), settings.lang)
        }
    };
    printed.and_then(|()| out.flush()).map_err(Trouble::writing)?;
    Ok(Exit::Yes)
}
