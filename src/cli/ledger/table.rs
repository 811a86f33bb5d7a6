//! Entries for people: a table of many, or all members of one with their labels.

use std::io::{self, Write};

use serde_json::Value;

use super::names::Names;
use crate::lang::{Lang, Text};
use crate::ledger::query::Record;

/// Columns of the table: width and heading.
const COLUMNS: [(usize, &str, &str); 7] = [
    (7, "序号", "index"),
    (20, "时间（UTC）", "time (UTC)"),
    (18, "种类", "kind"),
    (18, "需求系统", "requester"),
    (22, "数据资源", "resource"),
    (16, "使用场景", "scenario"),
    (0, "数据提供", "disclosure"),
];

/// What members are called; in the order in which they are shown.
const LABELS: [(&str, &str, &str); 45] = [
    ("kind", "种类", "kind"),
    ("time", "记录时间", "recorded"),
    ("time_decided", "决定时间", "decided"),
    ("id", "记录标识", "id"),
    ("code", "未放行代码", "refusal"),
    ("count", "合并次数", "count"),
    ("reason", "原因", "reason"),
    ("requester", "需求系统", "requester"),
    ("department", "需求部门", "department"),
    ("roles", "角色", "roles"),
    ("operator", "经办人", "operator"),
    ("operator_roles", "经办人角色", "operator's roles"),
    ("operator_clearance", "经办人访问级别", "operator's clearance"),
    ("credential", "凭证", "credential"),
    ("source", "来源地址", "source"),
    ("network", "网络", "network"),
    ("bound", "凭证绑定", "bound"),
    ("provider", "提供部门", "provider"),
    ("resource", "数据资源", "resource"),
    ("operation", "操作", "operation"),
    ("target", "接口", "target"),
    ("subject", "个人信息主体标识", "subject"),
    ("scenario", "使用场景", "scenario"),
    ("case", "业务编号", "case"),
    ("grant", "授权", "grant"),
    ("emergency", "应急", "emergency"),
    ("work_time", "工作时间", "work time"),
    ("sharing", "共享属性", "sharing"),
    ("level", "数据级别", "level"),
    ("grade", "分级", "grade"),
    ("effective_grade", "有效分级", "effective grade"),
    ("items", "数据项", "items"),
    ("narrowed", "收窄依据", "narrowed by"),
    ("policies", "决定性策略", "policies"),
    ("flags", "标记", "flags"),
    ("snapshot", "策略快照", "snapshot"),
    ("receipt_of", "所结记录", "settles"),
    ("outcome", "结果", "outcome"),
    ("status", "状态码", "status"),
    ("bytes", "字节数", "bytes"),
    ("records", "记录数", "records"),
    ("rows_dropped", "略去行数", "rows dropped"),
    ("command", "命令", "command"),
    ("query", "查询条件", "query"),
    ("uid", "系统账号", "system account"),
];

/// Columns on a terminal: Chinese characters take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if c >= '\u{2e80}' { 2 } else { 1 }).sum()
}

fn padded(out: &mut impl Write, text: &str, to: usize) -> io::Result<()> {
    write!(out, "{text}{:1$}", "", to.saturating_sub(width(text)))
}

/// Control characters would let an entry write on the reader's terminal.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(members) => members.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A cell of a report: nothing where there is nothing, items with their forms and counts.
pub(super) fn told(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Object(items) => {
            let form = |form: &Value| match form {
                Value::Object(counts) => {
                    counts.iter().map(|(form, count)| format!("{form}×{}", plain(count))).collect::<Vec<_>>().join("+")
                }
                other => plain(other),
            };
            items.iter().map(|(item, forms)| format!("{item}={}", form(forms))).collect::<Vec<_>>().join(" ")
        }
        other => plain(other),
    }
}

/// Rows in columns as wide as their widest cell.
pub(super) fn aligned(out: &mut impl Write, rows: &[Vec<String>]) -> io::Result<()> {
    let columns = rows.first().map_or(0, Vec::len);
    let widest = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| width(cell)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(widest).collect();
    for row in rows {
        for (at, (cell, to)) in row.iter().zip(&widths).enumerate() {
            // Nothing pads the last one.
            padded(out, cell, if at + 1 == columns { 0 } else { to + 2 })?;
        }
        writeln!(out)?;
    }
    Ok(())
}

pub(super) fn heading(out: &mut impl Write, lang: Lang) -> io::Result<()> {
    for (to, zh, en) in COLUMNS {
        padded(out, if lang == Lang::Zh { zh } else { en }, to)?;
        out.write_all(b" ")?;
    }
    writeln!(out)
}

pub(super) fn row(out: &mut impl Write, record: &Record, lang: Lang) -> io::Result<()> {
    let entry: Value = serde_json::from_slice(&record.entry).unwrap_or_default();
    let member = |name: &str| entry.get(name).map(plain).unwrap_or_default();
    let kind = member("kind");
    let shown = match (entry.get("code"), entry.get("receipt_of")) {
        (Some(code), _) => plain(code),
        (_, Some(granted)) => format!("#{} {} {}", plain(granted), member("outcome"), member("items")),
        _ => member("items"),
    };
    let time: String = member("time").chars().take(19).collect();
    let kind = kind_text(&kind).map_or(kind, |text| text.get(lang).to_owned());
    let cells =
        [record.index.to_string(), time.replace('T', " "), kind, member("requester"), member("resource"), member("scenario"), shown];
    for ((to, ..), cell) in COLUMNS.iter().zip(cells) {
        padded(out, &cell, *to)?;
        out.write_all(b" ")?;
    }
    writeln!(out)
}

fn kind_text(kind: &str) -> Option<Text> {
    Some(match kind {
        "share.granted" => Text::new("已放行", "share.granted"),
        "share.denied" => Text::new("本次调用未放行", "share.denied"),
        "share.settled" => Text::new("已办结", "share.settled"),
        "authentication.failed" => Text::new("未登记系统", "authentication.failed"),
        "snapshot.activated" => Text::new("策略快照启用", "snapshot.activated"),
        "gateway.started" => Text::new("网关启动", "gateway.started"),
        "gateway.stopped" => Text::new("网关停止", "gateway.stopped"),
        "ledger.read" => Text::new("查询台账", "ledger.read"),
        "ledger.exported" => Text::new("导出台账", "ledger.exported"),
        "ledger.erased" => Text::new("销毁内容摘要盐值", "ledger.erased"),
        "ledger.pruned" => Text::new("清理到期记录", "ledger.pruned"),
        _ => return None,
    })
}

/// All members of an entry with their labels, names as its snapshot gives them, and how the share ended.
pub(super) fn labelled(out: &mut impl Write, record: &Record, settled: Option<&Record>, names: &Names, lang: Lang) -> io::Result<()> {
    one(out, record, names, lang)?;
    settled.map_or(Ok(()), |settled| {
        writeln!(out)?;
        one(out, settled, names, lang)
    })
}

fn one(out: &mut impl Write, record: &Record, names: &Names, lang: Lang) -> io::Result<()> {
    let entry: Value = serde_json::from_slice(&record.entry).unwrap_or_default();
    writeln!(out, "#{}", record.index)?;
    for (member, zh, en) in LABELS {
        let Some(value) = entry.get(member) else { continue };
        padded(out, if lang == Lang::Zh { zh } else { en }, 22)?;
        match value {
            Value::Object(items) if member == "items" => {
                let items = items.iter().map(|(item, form)| format!("{}: {}", names.called(member, item), plain(form)));
                writeln!(out, "{}", items.collect::<Vec<_>>().join("; "))?;
            }
            Value::String(id) => writeln!(out, "{}", names.called(member, &plain(&Value::String(id.clone()))))?,
            other => writeln!(out, "{}", plain(other))?,
        }
    }
    Ok(())
}
