//! `kanhe ledger export`: a period with its proofs, made, or judged far from the ledger.

use std::path::PathBuf;

use clap::Args;

use super::super::{Exit, Format, Settings, open_config, out, print_trouble};
use super::{Trouble, moment};
use crate::lang::Text;
use crate::ledger::export::{self, Failure, Manifest};
use crate::ledger::inbox::Administrative;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// 起（含） · from this time or day on
    #[arg(long)]
    since: Option<String>,
    /// 止（不含） · before this time or day
    #[arg(long)]
    until: Option<String>,
    /// 导出到此目录（须为空或不存在） · into this folder, absent or empty
    #[arg(long, value_name = "DIR", required_unless_present = "check")]
    out: Option<PathBuf>,
    /// 导出的原因，记入台账 · why; recorded in the ledger
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// 离线核验一份导出 · judge an export, offline
    #[arg(long, value_name = "DIR", conflicts_with_all = ["since", "until", "out", "reason"], requires = "key")]
    check: Option<PathBuf>,
    /// 可信的核验公钥文件，须来自导出之外 · the verifier key to trust, from elsewhere than the export
    #[arg(long, value_name = "VKEYFILE", requires = "check")]
    key: Option<PathBuf>,
}

/// Makes an export, or judges one.
pub(super) fn run(args: &ExportArgs, settings: &Settings) -> Result<Exit, Trouble> {
    match (&args.check, &args.key, &args.out) {
        (Some(folder), Some(key), _) => {
            let key = std::fs::read_to_string(key).map_err(|error| Trouble::Text(Failure::Io(key.clone(), error).text()))?;
            judge(export::check(folder, &key), settings)
        }
        (_, _, Some(out)) => make(args, out, settings),
        _ => Err(Trouble::Text(Text::new("请写 `--out` 或 `--check` 与 `--key`", "write `--out`, or `--check` with `--key`"))),
    }
}

fn make(args: &ExportArgs, to: &std::path::Path, settings: &Settings) -> Result<Exit, Trouble> {
    let config = open_config(settings).map_err(Trouble::Told)?.ledger;
    let time = |text: &Option<String>| text.as_deref().map(moment).transpose();
    let (since, until) = (time(&args.since)?, time(&args.until)?);
    export::ready(to).map_err(|failure| Trouble::Text(failure.text()))?;
    let unsaid = Text::new("未说明原因", "no reason given");
    // Whoever takes records out of the house leaves a trace of it first.
    let mut entry = Administrative::new("ledger.exported", args.reason.as_deref().unwrap_or(unsaid.get(settings.lang)));
    for (name, time) in [("since", since), ("until", until)] {
        entry = time.map(|time| time.to_string()).iter().fold(entry, |entry, time| entry.with(name, time.as_str()));
    }
    entry.leave(&config.folder).map_err(|error| Trouble::Text(error.text()))?;
    let manifest = export::export(&config.folder, since, until, to).map_err(|failure| Trouble::Text(failure.text()))?;
    if manifest.uncovered > 0 {
        let n = manifest.uncovered;
        let en = format!("{n} entries of the period are not under a signed checkpoint yet and were left out: export again later");
        print_trouble(&Text::new(format!("该时段尚有 {n} 条未被签名的检查点覆盖，未导出：请稍后重新导出"), en), settings);
    }
    tell(&manifest, settings, &Text::new("已导出", "exported"));
    Ok(Exit::Yes)
}

fn judge(judged: Result<Manifest, Failure>, settings: &Settings) -> Result<Exit, Trouble> {
    match judged {
        Ok(manifest) => {
            tell(&manifest, settings, &Text::new("核验通过", "verified"));
            Ok(Exit::Yes)
        }
        Err(Failure::Wrong(text)) => {
            match settings.format {
                Format::Json => out(&serde_json::json!({"ok": false, "reason": text.get(settings.lang)}).to_string()),
                Format::Human => {
                    out(Text::new(format!("核验未通过：{}", text.zh), format!("not verified: {}", text.en)).get(settings.lang))
                }
            }
            Ok(Exit::No)
        }
        Err(failure) => Err(Trouble::Text(failure.text())),
    }
}

fn tell(manifest: &Manifest, settings: &Settings, done: &Text) {
    let (count, size, first) = (manifest.count, manifest.size, manifest.first.unwrap_or(0));
    match settings.format {
        Format::Json => {
            let mut told = serde_json::json!(manifest);
            told["ok"] = true.into();
            out(&told.to_string());
        }
        Format::Human => {
            let zh = format!("{}：{count} 条，自第 {first} 条起，检查点覆盖 {size} 条", done.zh);
            let en = format!("{}: {count} entries from {first} on, under a checkpoint of {size}", done.en);
            out(Text::new(zh, en).get(settings.lang));
        }
    }
}
