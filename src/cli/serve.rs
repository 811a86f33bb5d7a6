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
    /// 从运行中的网关接管监听套接字，不丢失任何调用 · take the sockets from the running gateway, so that no call is lost
    #[arg(long)]
    take_over: bool,
}

/// Runs until SIGTERM.
pub fn run(args: &ServeArgs, settings: &Settings) -> Exit {
    let announce: app::Announce = Box::new(out);
    let how = app::How { create_ledger: args.create_ledger, take_over: args.take_over };
    ended(app::serve(&settings.config, how, &announce), settings)
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
