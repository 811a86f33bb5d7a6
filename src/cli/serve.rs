//! `kanhe serve`: runs the gateway.

use clap::Args;

use super::{Exit, Settings, out, print_problems, print_trouble};
use crate::app;

/// Arguments of `kanhe serve`.
#[derive(Args)]
pub struct ServeArgs {
    /// 在不存在或为空的目录中新建共享台账 · create a ledger in an absent or empty folder
    #[arg(long)]
    create_ledger: bool,
}

/// Runs until SIGTERM.
pub fn run(args: &ServeArgs, settings: &Settings) -> Exit {
    let announce: app::Announce = Box::new(out);
    ended(app::serve(&settings.config, args.create_ledger, &announce), settings)
}

/// Tells people why what should have gone on serving did not.
pub(super) fn ended(served: Result<(), app::Error>, settings: &Settings) -> Exit {
    match served {
        Ok(()) => Exit::Yes,
        Err(app::Error::Written(problems)) => {
            print_problems(&problems, settings);
            Exit::Trouble
        }
        Err(app::Error::Trouble(text)) => {
            print_trouble(&text, settings);
            Exit::Trouble
        }
    }
}
