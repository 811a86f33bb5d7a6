//! `kanhe ledger reconcile`: one-sided shares, found from what a requester or an origin kept.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::super::{Exit, Format, Settings, open_config, out};
use super::{Trouble, moment};
use crate::lang::{Lang, Text};
use crate::ledger::reconcile::{Shares, Side};
use crate::ledger::report::Period;

#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    /// 需求方留存的回执目录 · a folder of receipts that a requester kept
    #[arg(long, value_name = "DIR", required_unless_present = "origin_log")]
    receipts: Option<PathBuf>,
    /// 源站的访问日志（含 Share-Id） · an origin's access log with Share-Id
    #[arg(long, value_name = "FILE")]
    origin_log: Option<PathBuf>,
    /// 起（含） · shares from this time or day on
    #[arg(long)]
    since: Option<String>,
    /// 止（不含） · shares before this time or day
    #[arg(long)]
    until: Option<String>,
}

/// Compares and tells; no where something is one-sided.
pub(super) fn run(args: &ReconcileArgs, settings: &Settings) -> Result<Exit, Trouble> {
    let folder = open_config(settings).map_err(Trouble::Told)?.ledger.folder;
    let time = |text: &Option<String>| text.as_deref().map(moment).transpose();
    let period = Period { since: time(&args.since)?, until: time(&args.until)? };
    let whole = period.since.is_some() || period.until.is_some();
    let shares = Shares::read(&folder, period).map_err(Trouble::reading(&folder))?;
    let failed = |path: &PathBuf| {
        let path = path.display().to_string();
        move |error| Trouble::Text(Text::new(format!("无法读取 `{path}`：{error}"), format!("cannot read `{path}`: {error}")))
    };
    let receipts = args.receipts.as_ref().map(|kept| shares.receipts(&folder, kept, whole).map_err(failed(kept))).transpose()?;
    let origin = args.origin_log.as_ref().map(|log| shares.origin_log(log, whole).map_err(failed(log))).transpose()?;
    let agrees = receipts.iter().chain(&origin).all(Side::agrees);
    match settings.format {
        Format::Json => {
            let mut told = json!({"ok": agrees});
            for (name, side) in [("receipts", &receipts), ("origin", &origin)] {
                if let Some(side) = side {
                    told[name] = as_json(side);
                }
            }
            out(&told.to_string());
        }
        Format::Human => {
            let sides = [
                (&receipts, Text::new("回执", "receipts"), Text::new("无留存回执", "no kept receipt")),
                (&origin, Text::new("源站日志行", "lines of the origin's log"), Text::new("源站日志中没有", "not in the origin's log")),
            ];
            for (side, what, absent) in sides {
                side.iter().for_each(|side| tell(side, &what, &absent, settings.lang));
            }
        }
    }
    Ok(if agrees { Exit::Yes } else { Exit::No })
}

fn as_json(side: &Side) -> Value {
    let unrecorded = side.unrecorded.listed.iter().map(|(place, why)| json!({"place": place, "reason": why}));
    let unkept = side.unkept.listed.iter().map(|(index, id, outcome)| json!({"index": index, "id": id, "outcome": outcome}));
    json!({
        "read": side.read, "matched": side.matched,
        "unrecorded": {"count": side.unrecorded.count, "listed": unrecorded.collect::<Vec<_>>()},
        "unkept": {"count": side.unkept.count, "listed": unkept.collect::<Vec<_>>()},
        "explained": side.explained,
    })
}

fn why_text(why: &str) -> Text {
    match why {
        "not_a_receipt" => Text::new("不是回执", "it is no receipt"),
        "another_log" => Text::new("属于另一个台账", "it is of another log"),
        "other_entry" => Text::new("台账在该序号处是另一条记录", "the ledger has another entry at its index"),
        "no_entry" => Text::new("台账中没有对应记录", "the ledger has no such share"),
        "no_share_id" => Text::new("没有 Share-Id：未经本网关", "it has no Share-Id: it did not come through this gateway"),
        other => Text::new(other, other),
    }
}

fn tell(side: &Side, what: &Text, absent: &Text, lang: Lang) {
    let Side { read, matched, explained, .. } = side;
    let (zh, en) = (&what.zh, &what.en);
    let head = Text::new(
        format!("{zh} {read}，相符 {matched}；台账没有 {}；台账有而未见 {}", side.unrecorded.count, side.unkept.count),
        format!("{read} {en}, {matched} match; {} not in the ledger; {} only in the ledger", side.unrecorded.count, side.unkept.count),
    );
    out(head.get(lang));
    for (place, why) in &side.unrecorded.listed {
        let why = why_text(why);
        out(&format!("  {place}: {}", why.get(lang)));
    }
    for (index, id, outcome) in &side.unkept.listed {
        out(&format!("  #{index} {id} {outcome}: {}", absent.get(lang)));
    }
    if *explained > 0 {
        let en = format!("  {explained} more are only in the ledger, as failed or not settled shares may be");
        out(Text::new(format!("  另有 {explained} 条只在台账中：失败或未结，可以解释"), en).get(lang));
    }
}
