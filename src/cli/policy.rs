//! `kanhe policy`: what officers ask of their policies. Each question has a file of its own.

mod example;
mod prove;
mod publish;
mod test;

use std::path::Path;

use clap::{Args, Subcommand};

use super::{Exit, Settings, open_config, print_problems, print_trouble};
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
    /// 证明策略永远不会放行什么 · prove what the policies can never allow
    Prove(prove::ProveArgs),
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
        Command::Prove(args) => prove::run(&args, settings),
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

/// Loads a control folder and prints what is wrong with it.
fn load(folder: &Path, settings: &Settings) -> Result<Snapshot, Exit> {
    match Snapshot::load(folder) {
        Ok((snapshot, warnings)) => {
            print_problems(&warnings, settings);
            Ok(snapshot)
        }
        Err(Refused { errors, warnings }) => {
            print_problems(&warnings, settings);
            print_problems(&errors, settings);
            Err(Exit::Trouble)
        }
    }
}
