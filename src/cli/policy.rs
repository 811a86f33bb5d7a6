//! `kanhe policy`: what officers ask of their policies. Each question has a file of its own.

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
}

/// Runs the command.
pub fn run(args: PolicyArgs, settings: &Settings) -> Exit {
    match args.command {
        Command::Test(args) => test::run(&args, settings),
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
