//! `kanhe policy`: what officers ask of their policies. Each question has a file of its own.

mod diff;
mod example;
mod explain;
mod format;
mod prove;
mod publish;
mod replay;
mod strict;
mod test;

use std::path::Path;

use clap::{Args, Subcommand};

use super::{Exit, Settings, open_config, print_problems, print_trouble};
use crate::lang::Text;
use crate::ledger::query;
use crate::snapshot::{Refused, Snapshot};

/// Arguments of `kanhe policy`.
#[derive(Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 运行 tests/ 中的用例 · run the cases in tests/
    Test(test::TestArgs),
    /// 说明一次调用为何放行或不放行，以及谁能得到什么 · why a call comes out as it does, and who may get what
    Explain(Box<explain::ExplainArgs>),
    /// 用候选策略重放台账中的决定 · recorded decisions again, under a candidate
    Replay(replay::ReplayArgs),
    /// 排版 · lay out Cedar files alike
    Format(format::FormatArgs),
    /// 列出比目录公布的使用条件更严的策略 · policies stricter than the catalogue's published conditions
    Strict(strict::StrictArgs),
    /// 证明策略永远不会放行什么 · prove what the policies can never allow
    Prove(prove::ProveArgs),
    /// 比较两个版本会放行什么 · compare what two versions would allow
    Diff(diff::DiffArgs),
    /// 生成审批人的密钥 · make an approver's key
    Keygen(publish::KeygenArgs),
    /// 批准控制目录 · approve a control folder
    Approve(publish::ApproveArgs),
    /// 按 [control] 的要求检验控制目录，不作改动 · hold a folder to what [control] requires, and change nothing
    Gate(publish::FolderArgs),
    /// 检验并发布控制目录 · hold a folder to what is required, and put it in place
    Publish(publish::PublishArgs),
    /// 恢复台账所存的控制快照 · put a snapshot that the ledger keeps in place again
    Rollback(publish::RollbackArgs),
}

/// Runs the command.
pub fn run(args: PolicyArgs, settings: &Settings) -> Exit {
    match args.command {
        Command::Test(args) => test::run(&args, settings),
        Command::Explain(args) => explain::run(*args, settings),
        Command::Replay(args) => replay::run(&args, settings),
        Command::Format(args) => format::run(&args, settings),
        Command::Strict(args) => strict::run(&args, settings),
        Command::Prove(args) => prove::run(&args, settings),
        Command::Diff(args) => diff::run(&args, settings),
        Command::Keygen(args) => publish::keygen(&args, settings),
        Command::Approve(args) => publish::approve(&args, settings),
        Command::Gate(args) => publish::gate(&args, settings),
        Command::Publish(args) => publish::publish(&args, settings),
        Command::Rollback(args) => publish::rollback(&args, settings),
    }
}

/// The control folder that the configuration names, loaded. A folder that does not load is trouble: nothing can be
/// asked of it.
fn load_configured(settings: &Settings) -> Result<Snapshot, Exit> {
    load(&open_config(settings)?.control, settings)
}

/// Loads a control folder and prints what is wrong with it. What is merely to be looked at is told by `kanhe check`: said
/// before every answer, it would hide the one that was asked for.
fn load(folder: &Path, settings: &Settings) -> Result<Snapshot, Exit> {
    match Snapshot::load(folder) {
        Ok((snapshot, _)) => Ok(snapshot),
        Err(Refused { errors, warnings }) => {
            print_problems(&warnings, settings);
            print_problems(&errors, settings);
            Err(Exit::Trouble)
        }
    }
}

/// The exact bytes of the ledger's entry at `index`; a ledger without it is trouble, since nothing can be asked of it.
fn entry(ledger: &Path, index: u64, settings: &Settings) -> Result<Vec<u8>, Exit> {
    let mut found = None;
    let read = query::read(ledger, index, |record| {
        found = (record.index == index).then_some(record.entry);
        std::ops::ControlFlow::Break(())
    });
    let text = match (read, found) {
        (Ok(()), Some(entry)) => return Ok(entry),
        (Ok(()), None) => Text::new(format!("共享台账中没有第 {index} 条"), format!("the ledger has no entry {index}")),
        (Err(error), _) => {
            let folder = ledger.display();
            Text::new(format!("无法读取共享台账 `{folder}`：{error}"), format!("cannot read the ledger `{folder}`: {error}"))
        }
    };
    print_trouble(&text, settings);
    Err(Exit::Trouble)
}
