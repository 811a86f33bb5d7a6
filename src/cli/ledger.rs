//! `kanhe ledger …`: asks the ledger, gateway running or not.

use std::io;
use std::path::Path;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{Exit, Settings, print_trouble};
use crate::lang::Text;
use crate::ledger::register::{Broken, Reader};
use crate::ledger::{Config, Register};
use crate::written::units;

mod export;
mod names;
mod query;
mod receipt;
mod reconcile;
mod reindex;
mod report;
mod sheet;
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
    Query(Box<query::QueryArgs>),
    /// 查看一条 · show one entry
    Show {
        /// 序号 · its index
        index: u64,
    },
    /// 报表 · reports
    Report(report::ReportArgs),
    /// 导出一段时间及其证明 · a period with its proofs
    Export(export::ExportArgs),
    /// 与回执或源站日志对账 · hold kept receipts or an origin's log against the ledger
    Reconcile(reconcile::ReconcileArgs),
    /// 由台账重建登记库 · make the register anew from the log
    Reindex,
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

impl LedgerArgs {
    /// Whether `--format csv` has a meaning.
    pub fn prints_a_table(&self) -> bool {
        matches!(self.command, Command::Query(_) | Command::Report(_))
    }
}

/// Runs the command.
pub fn run(args: LedgerArgs, settings: &Settings) -> Exit {
    let done = match args.command {
        Command::Query(args) => query::run(*args, settings),
        Command::Show { index } => query::show(index, settings),
        Command::Report(args) => report::run(&args, settings),
        Command::Export(args) => export::run(&args, settings),
        Command::Reconcile(args) => reconcile::run(&args, settings),
        Command::Reindex => reindex::run(settings),
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

/// The register, where the configuration has one that can be asked. Without it the answer only takes longer.
fn register(config: &Config, settings: &Settings) -> Option<Reader> {
    if config.register == Register::Off {
        return None;
    }
    Reader::open(&config.folder).unwrap_or_else(|broken| {
        say_broken(&broken, settings);
        None
    })
}

fn say_broken(broken: &Broken, settings: &Settings) {
    let zh = format!("登记库不可用（{broken}）；改为直接读取共享台账，结果完整。重建：`kanhe ledger reindex`");
    let en = format!(
        "the register cannot be used ({broken}); the ledger itself is read, and the answer is whole. To mend: `kanhe ledger reindex`"
    );
    print_trouble(&Text::new(zh, en), settings);
}
