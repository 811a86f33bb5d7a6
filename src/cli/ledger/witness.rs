//! `kanhe ledger witness`: cosigns other logs' checkpoints.

use clap::Args;

use crate::app::{self, Announce};
use crate::cli::{Exit, Settings, out, serve};

#[derive(Debug, Args)]
pub(super) struct WitnessArgs {
    /// 首次运行：新建记录目录 · the first run: make the folder of what was cosigned
    #[arg(long)]
    create: bool,
}

/// Runs until SIGTERM.
pub(super) fn run(args: &WitnessArgs, settings: &Settings) -> Exit {
    let announce: Announce = Box::new(out);
    serve::ended(app::witness::serve(&settings.config, args.create, &announce), settings)
}
