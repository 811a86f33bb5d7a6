//! `kanhe ledger prune`: takes away entries beyond their retention; what is kept is proven as before.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{Trouble, moment};
use crate::cli::{Exit, Format, Settings, open_config};
use crate::lang::Text;
use crate::ledger::retention;
use crate::sys;

/// A running gateway records the pruning within a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// What goes, and why.
#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// 只清理此日之前的记录（默认：配置的保存年限） · only what is older (by default: than the configured retention)
    #[arg(long, value_name = "DAY")]
    before: Option<String>,
    /// 移入此目录，而不删除 · move it into this folder instead of removing it
    #[arg(long, value_name = "FOLDER")]
    archive: Option<PathBuf>,
    /// 原因，记入台账 · why; recorded in the ledger
    #[arg(long)]
    reason: String,
    /// 只说明将清理到哪一条 · only say what would go
    #[arg(long)]
    dry_run: bool,
}

/// Prunes what may be pruned.
pub(super) fn run(args: &PruneArgs, settings: &Settings) -> Result<Exit, Trouble> {
    let config = open_config(settings).map_err(Trouble::Told)?.ledger;
    let folder = &config.folder;
    let before = args.before.as_deref().map(moment).transpose()?.unwrap_or_else(sys::now);
    let minimum = retention::prunable(folder, config.retention, before, sys::now()).map_err(Trouble::forgetting(folder))?;
    let known = retention::minimum(folder).map_err(Trouble::reading(folder))?;
    let mut files = 0;
    if minimum > known && !args.dry_run {
        let is_recorded = || retention::is_recorded(folder, minimum).map_err(Trouble::reading(folder));
        if !is_recorded()? {
            retention::announce(folder, minimum, &args.reason).map_err(Trouble::forgetting(folder))?;
            let begun = sys::instant();
            while !is_recorded()? {
                if begun.elapsed() > PATIENCE {
                    return Err(Trouble::Text(Text::new(
                        "清理已登记待记，网关运行后记入台账；届时请再次执行本命令",
                        "the pruning waits to be recorded, which a running gateway does: run this command again then",
                    )));
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        files = retention::prune(folder, minimum, args.archive.as_deref()).map_err(Trouble::forgetting(folder))?;
    }
    let text = match (minimum > known, args.dry_run) {
        (false, _) => Text::new("没有超过保存年限的记录", "nothing is beyond its retention"),
        (true, true) => Text::new(format!("将清理第 {minimum} 条之前的记录"), format!("entries before {minimum} would go")),
        (true, false) => Text::new(
            format!("第 {minimum} 条之前的记录已清理（{files} 个文件）"),
            format!("entries before {minimum} are pruned ({files} files)"),
        ),
    };
    let line = match settings.format {
        Format::Json => json!({"minimum": minimum.max(known), "before": known, "files": files, "dry_run": args.dry_run}).to_string(),
        Format::Human => text.get(settings.lang).to_owned(),
    };
    writeln!(io::stdout().lock(), "{line}").map_err(Trouble::writing)?;
    Ok(Exit::Yes)
}
