//! `kanhe ledger verify`: a whole ledger, a receipt that somebody kept, or a copy of what was released.

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::Trouble;
use crate::cli::{Exit, Format, Settings, open_config};
use crate::lang::Text;
use crate::ledger::register;
use crate::ledger::verify::content::{self, Matches};
use crate::ledger::verify::receipt::{self, Finding, Question};
use crate::ledger::verify::{Bad, Keys, Options, Report, Witness, verify};

/// What is to be judged.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// 台账目录（默认取配置） · the ledger's folder (by default the configuration's)
    #[arg(long, value_name = "FOLDER")]
    ledger: Option<PathBuf>,
    /// 可信的核验公钥，或其文件（默认台账自带的 log.vkey） · the verifier key to trust, or its file (by default the ledger's own log.vkey)
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
    /// 先前的检查点：台账须是其延续 · an earlier checkpoint that the log must continue
    #[arg(long, value_name = "CHECKPOINT", conflicts_with_all = ["receipt", "content"])]
    since: Option<PathBuf>,
    /// 核验一份回执：回执包，或 Share-Receipt 的值；`-` 为标准输入 · judge a receipt: a bundle, or the value of Share-Receipt; `-`: standard input
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with_all = ["ledger", "content"])]
    receipt: Option<PathBuf>,
    /// 与回执对照的台账目录、检查点或另一份回执包 · a log's folder, a checkpoint or another bundle to hold the receipt against
    #[arg(long, value_name = "PATH", requires = "receipt")]
    log: Option<PathBuf>,
    /// 可信见证方的公钥，或其文件；可重复 · a trusted witness's verifier key, or its file; may be repeated
    #[arg(long, value_name = "VKEY", requires = "receipt")]
    witness: Vec<String>,
    /// 该条之前、同一见证方会签的检查点：由此得知提交时间的下限 · an earlier checkpoint that the same witness cosigned, from before the entry: bounds its time from below
    #[arg(long, value_name = "CHECKPOINT", requires_all = ["receipt", "witness"])]
    after: Option<PathBuf>,
    /// 核对一份内容是否为当时提供的内容；`-` 为标准输入 · whether a copy is what was released; `-`: standard input
    #[arg(long, value_name = "FILE", requires = "index")]
    content: Option<PathBuf>,
    /// 该次提供的序号 · index of that share
    #[arg(long, value_name = "INDEX", requires = "content")]
    index: Option<u64>,
}

impl VerifyArgs {
    fn folder(&self, settings: &Settings) -> Result<PathBuf, Trouble> {
        match &self.ledger {
            Some(folder) => Ok(folder.clone()),
            None => Ok(open_config(settings).map_err(Trouble::Told)?.ledger.folder),
        }
    }

    fn keys(&self) -> Result<Option<Keys>, Trouble> {
        self.key.as_deref().map(|key| Keys::parse(&written(key)?).map_err(Trouble::Text)).transpose()
    }
}

/// A key as it is written, or the text of the file that holds it.
pub(super) fn written(key: &str) -> Result<String, Trouble> {
    let (path, looks_like_key) = (Path::new(key), key.matches('+').count() >= 2);
    if key == "-" || path.exists() {
        return String::from_utf8(content_of(path)?).map_err(|_| not_text(key));
    }
    if looks_like_key {
        return Ok(key.to_owned());
    }
    Err(Trouble::Text(Text::new(
        format!("`{key}` 既不是公钥（`名称+8 位十六进制+base64`），也不是存在的文件"),
        format!("`{key}` is neither a verifier key (`NAME+8 hexadecimal digits+base64`) nor a file that exists"),
    )))
}

fn not_text(path: &str) -> Trouble {
    Trouble::Text(Text::new(format!("`{path}` 不是文本"), format!("`{path}` is not a text")))
}

fn content_of(path: &Path) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    let shown = path.display();
    read.map_err(|error| Trouble::Text(Text::new(format!("无法读取 `{shown}`：{error}"), format!("cannot read `{shown}`: {error}"))))?;
    Ok(bytes)
}

/// Judges what the arguments name.
pub(super) fn run(args: &VerifyArgs, settings: &Settings) -> Result<Exit, Trouble> {
    match (&args.receipt, &args.content, args.index) {
        (Some(receipt), _, _) => one_receipt(args, receipt, settings),
        (None, Some(content), Some(index)) => one_content(args, content, index, settings),
        _ => whole(args, settings),
    }
}

fn print(value: &Value, text: &Text, settings: &Settings) -> Result<(), Trouble> {
    let line = match settings.format {
        Format::Json => value.to_string(),
        Format::Human => text.get(settings.lang).to_owned(),
    };
    writeln!(io::stdout().lock(), "{line}").map_err(Trouble::writing)
}

fn whole(args: &VerifyArgs, settings: &Settings) -> Result<Exit, Trouble> {
    let folder = args.folder(settings)?;
    let since = args.since.as_deref().map(content_of).transpose()?;
    let on_screen = io::stderr().is_terminal();
    let progress = |done: u64, of: u64| show_progress(done, of, settings);
    let progress: Option<&dyn Fn(u64, u64)> = on_screen.then_some(&progress);
    let report = verify(&folder, &Options { keys: args.keys()?, since, progress });
    if on_screen {
        // Whoever watches sees the result in place of the progress.
        let _ = write!(io::stderr().lock(), "\r\x1b[K");
    }
    let mut report = report.map_err(Trouble::reading(&folder))?;
    let register = if report.first_bad.is_none() { registered(&folder, &mut report) } else { "not_judged" };
    let bad = report.first_bad.as_ref().map(|bad| json!({"index": bad.index, "reason": bad.reason.get(settings.lang)}));
    let value = json!({
        "ok": bad.is_none(), "size": report.size, "root": report.root, "first_bad": bad, "minimum": report.minimum, "open": report.open,
        "register": register,
    });
    let (size, root, open) = (report.size, &report.root, report.open);
    let text = match &report.first_bad {
        None => {
            let (zh, en) = if open == 0 {
                (String::new(), String::new())
            } else {
                (format!("，{open} 次提供尚未结清"), format!(", {open} shares not settled yet"))
            };
            Text::new(format!("核验通过：{size} 条，根 {root}{zh}"), format!("verified: {size} entries, root {root}{en}"))
        }
        Some(bad) => Text::new(
            format!("核验未通过：第 {} 条：{}", bad.index, bad.reason.zh),
            format!("not verified: entry {}: {}", bad.index, bad.reason.en),
        ),
    };
    print(&value, &text, settings)?;
    Ok(if report.first_bad.is_none() { Exit::Yes } else { Exit::No })
}

/// Judges the register of a log that holds. One that cannot be used says nothing wrong: it is derived, and made anew.
fn registered(folder: &Path, report: &mut Report) -> &'static str {
    if !folder.join("register.sqlite").exists() {
        return "absent";
    }
    match register::check(folder, |_| {}) {
        Ok(None) if matches!(register::Reader::open(folder), Ok(Some(_))) => "equal",
        Ok(None) => "being_made",
        Ok(Some((index, what))) => {
            let en = format!("the register does not say what the log says ({what}): `kanhe ledger reindex` makes it anew");
            let reason = Text::new(format!("登记库与台账不符（{what}）：`kanhe ledger reindex` 可重建"), en);
            report.first_bad = Some(Bad { index, reason });
            "differs"
        }
        Err(_) => "unusable",
    }
}

fn show_progress(done: u64, of: u64, settings: &Settings) {
    let text = Text::new(format!("已核验 {done} / {of} 条"), format!("{done} of {of} entries judged"));
    let _ = write!(io::stderr().lock(), "\r\x1b[K{}", text.get(settings.lang));
}

fn one_receipt(args: &VerifyArgs, path: &Path, settings: &Settings) -> Result<Exit, Trouble> {
    let Some(keys) = args.keys()? else { return Ok(Exit::Trouble) };
    let witnesses = args.witness.iter().map(|key| Witness::parse(&written(key)?).map_err(Trouble::Text));
    let witnesses = witnesses.collect::<Result<Vec<_>, _>>()?;
    let text = String::from_utf8(content_of(path)?).map_err(|_| not_text(&path.display().to_string()))?;
    let earlier = args.after.as_deref().map(content_of).transpose()?;
    let question = Question { keys: &keys, witnesses: &witnesses, earlier: earlier.as_deref(), against: args.log.as_deref() };
    let finding = receipt::judge(&text, &question);
    let value = json!({
        "ok": finding.reason.is_none(), "kind": if finding.field { "field" } else { "bundle" }, "origin": finding.origin, "index": finding.index,
        "leaf": finding.leaf, "settled": finding.settled,
        "promises": {"signed": finding.signed, "included": finding.included.is_some(), "witnessed": !finding.witnessed.is_empty()},
        "size": finding.included, "witnesses": finding.witnessed, "told_witnessed": finding.told_witnessed,
        "between": {"after": finding.between.0.map(|time| time.to_string()), "until": finding.between.1.map(|time| time.to_string())},
        "exposed": finding.exposed,
        "reason": finding.reason.as_ref().map(|reason| reason.get(settings.lang)),
    });
    print(&value, &told(&finding), settings)?;
    Ok(if finding.reason.is_none() { Exit::Yes } else { Exit::No })
}

/// What a finding says to people, one promise a line.
fn told(finding: &Finding) -> Text {
    let Finding { origin, index, leaf, .. } = finding;
    let mut zh = vec![format!("台账 `{origin}` 第 {index} 条，叶 {leaf}")];
    let mut en = vec![format!("log `{origin}`, entry {index}, leaf {leaf}")];
    let mut say = |holds: bool, zh_text: String, en_text: String| {
        zh.push(format!("{} {zh_text}", if holds { "是" } else { "否" }));
        en.push(format!("{}  {en_text}", if holds { "yes" } else { "no " }));
    };
    say(finding.signed, "已签名：台账签署了这条记录".to_owned(), "signed: the log put its name to the entry".to_owned());
    let (of_zh, of_en) = finding.included.map_or_else(Default::default, |size| (format!("（{size} 条）"), format!(" over {size} entries")));
    say(
        finding.included.is_some(),
        format!("已收录：在签名的检查点之下{of_zh}"),
        format!("included: the entry is under a signed checkpoint{of_en}"),
    );
    let names = finding.witnessed.join(", ");
    let by = if names.is_empty() { "by no witness that was named".to_owned() } else { format!("by {names}") };
    let by_zh = if names.is_empty() { "没有指定的见证方会签" } else { &names };
    say(!finding.witnessed.is_empty(), format!("已见证：{by_zh}"), format!("witnessed: {by}"));
    if let Some(size) = finding.told_witnessed {
        zh.push(format!("据回执自述（未签名）：当时见证方已会签前 {size} 条"));
        en.push(format!("by the receipt's own word, which is not signed: witnesses had cosigned the first {size} entries by then"));
    }
    if let Some(until) = finding.between.1 {
        let (after_zh, after_en) =
            finding.between.0.map_or_else(Default::default, |after| (format!("晚于 {after}，"), format!("after {after} and ")));
        zh.push(format!("提交时间（据见证方）：{after_zh}不晚于 {until}"));
        en.push(format!("committed, by what witnesses saw: {after_en}no later than {until}"));
    }
    if finding.exposed {
        zh.push("台账与其签名自相矛盾：回执即证据，请妥善保存并报告主管部门".to_owned());
        en.push("the log contradicts what it signed: keep the receipt, it is the evidence, and tell the authority".to_owned());
    }
    match &finding.reason {
        Some(reason) => {
            zh.push(format!("核验未通过：{}", reason.zh));
            en.push(format!("not verified: {}", reason.en));
        }
        None => {
            zh.push("核验通过".to_owned());
            en.push("verified".to_owned());
        }
    }
    Text::new(zh.join("\n"), en.join("\n"))
}

fn one_content(args: &VerifyArgs, path: &Path, index: u64, settings: &Settings) -> Result<Exit, Trouble> {
    let folder = args.folder(settings)?;
    let content = content_of(path)?;
    let keys = match args.keys()? {
        Some(keys) => keys,
        None => Keys::read(&folder.join("log.vkey")).map_err(Trouble::reading(&folder))?,
    };
    let judged = content::judge(&folder, &keys, index, &content);
    let (matches, zh, en) = match judged.as_ref().map(|found| found.matches) {
        Ok(Matches::Both) => {
            (Some("both"), "即当时提供的内容，与接口返回的内容相同".to_owned(), "what was released, the same as the origin sent".to_owned())
        }
        Ok(Matches::Released) => (Some("released"), "即当时提供的内容".to_owned(), "what was released".to_owned()),
        Ok(Matches::Origin) => (
            Some("origin"),
            "即接口返回的内容，其中一部分已提供".to_owned(),
            "what the origin sent, of which a part was released".to_owned(),
        ),
        Ok(Matches::Neither) => (None, "与当时提供的内容不符".to_owned(), "not what was released".to_owned()),
        Err(reason) => (None, reason.zh.clone(), reason.en.clone()),
    };
    let settled = judged.ok().map(|found| found.settled);
    let text = Text::new(format!("第 {index} 条：{zh}"), format!("entry {index}: {en}"));
    let value = json!({
        "ok": matches.is_some(), "index": index, "settled": settled, "matches": matches,
        "reason": if matches.is_some() { Value::Null } else { text.get(settings.lang).into() },
    });
    print(&value, &text, settings)?;
    Ok(if matches.is_some() { Exit::Yes } else { Exit::No })
}
