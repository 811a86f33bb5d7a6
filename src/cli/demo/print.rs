//! What the demo prints: for people, or one JSON object a step.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::client::Answer;
use super::folder::Folder;
use super::gateway::Gateway;
use super::story::Stage;
use super::story::step::{Shown, Step};
use crate::cli::Format;
use crate::lang::{Lang, Text};

/// The fields of an answer that the story is about.
const FIELDS: [&str; 7] =
    ["share-receipt", "share-disclosure", "cache-control", "content-type", "www-authenticate", "retry-after", "allow"];

/// The most lines of a command's output or of an answer that are shown; the rest is counted.
const MOST_LINES: usize = 48;

/// Prints in one format and one language.
pub(super) struct Printer {
    format: Format,
    lang: Lang,
}

impl Printer {
    /// A printer for this person or program.
    pub(super) fn new(format: Format, lang: Lang) -> Self {
        Self { format, lang }
    }

    /// Why the demo could not go on.
    pub(super) fn trouble(&self, why: &Text) {
        let mut err = io::stderr().lock();
        // Nobody is left to be told when standard error is closed.
        let _ = writeln!(err, "{}", self.say("演示无法继续：", "the demo cannot go on: ").to_owned() + why.get(self.lang));
    }

    /// Everything is up.
    pub(super) fn ready(&self, folder: &Folder, gateway: &Gateway, after: Duration) {
        let root = folder.root().display();
        if self.format == Format::Json {
            let milliseconds = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            let ready = json!({ "gateway": gateway.url, "admin": gateway.admin, "folder": root.to_string(), "snapshot": gateway.snapshot, "milliseconds": milliseconds });
            return self.put(&json!({ "ready": ready }).to_string());
        }
        self.put(&match self.lang {
            Lang::Zh => format!(
                "勘合演示：虚构的示例省（990000），人员与企业均为合成数据。\n网关     {}\n管理端口 {}\n文件夹   {root}\n控制快照 {}\n{:.1} 秒后就绪。\n",
                gateway.url,
                gateway.admin,
                gateway.snapshot,
                after.as_secs_f64()
            ),
            Lang::En => format!(
                "Kanhe's demo: a fictional province (990000), synthetic people and enterprises.\ngateway   {}\nadmin     {}\nfolder    {root}\nsnapshot  {}\nready after {:.1} s\n",
                gateway.url,
                gateway.admin,
                gateway.snapshot,
                after.as_secs_f64()
            ),
        });
    }

    /// One step with its calls, answers and outcome.
    pub(super) fn step(&self, step: &Step) {
        match self.format {
            Format::Json => self.put(&self.step_json(step).to_string()),
            Format::Human => self.put(&self.step_text(step)),
        }
    }

    /// What may be tried while the demo serves on.
    pub(super) fn serving_on(&self, stage: &Stage) {
        let lines = stage.to_try();
        if self.format == Format::Json {
            let lines: Vec<Value> = lines.iter().map(|(what, line)| json!({ "what": what.get(self.lang), "line": line })).collect();
            return self.put(&json!({ "serving": { "gateway": stage.gateway.url, "try": lines } }).to_string());
        }
        let mut text =
            self.say("演示继续运行，可以自己试（Ctrl-C 结束）：\n", "the demo serves on; try it yourself (Ctrl-C ends it):\n").to_owned();
        for (what, line) in lines {
            text += &format!("\n# {}\n{line}\n", what.get(self.lang));
        }
        self.put(&text);
    }

    /// The end.
    pub(super) fn ended(&self, folder: &Folder, as_told: bool) {
        let root = folder.root().display();
        if self.format == Format::Json {
            return self.put(&json!({ "ended": { "ok": as_told, "folder": root.to_string() } }).to_string());
        }
        let outcome = if as_told {
            self.say("各步骤均与所述一致。", "each step came out as told.")
        } else {
            self.say("有步骤与所述不符，见上。", "some step did not come out as told, see above.")
        };
        self.put(&format!("{outcome} {}{root}", self.say("网关已停止；文件夹：", "the gateway has stopped; folder: ")));
    }

    fn say(&self, zh: &'static str, en: &'static str) -> &'static str {
        match self.lang {
            Lang::Zh => zh,
            Lang::En => en,
        }
    }

    fn put(&self, text: &str) {
        let mut out = io::stdout().lock();
        // A closed pipe: the reader has seen enough, and the gateway is still to be stopped in order.
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    fn step_text(&self, step: &Step) -> String {
        let mut text = format!("── {} {}\n{}\n", step.number, step.title.get(self.lang), step.says.get(self.lang));
        for shown in &step.shown {
            text.push('\n');
            text += &match shown {
                Shown::Did(did) => format!("* {}\n", did.get(self.lang)),
                Shown::Command { line, output } => format!("$ {line}\n{}", shorten(output)),
                Shown::Call { line, answer } => format!("$ {line}\n{}", answer_text(answer)),
            };
        }
        text.push('\n');
        if step.as_told() {
            text += self.say("✓ 与所述一致", "✓ as told");
        } else {
            text += self.say("✗ 与所述不符", "✗ not as told");
        }
        for check in step.checks.iter() {
            let mark = if check.ok() { "·" } else { "✗" };
            text += &format!("\n  {mark} {}", check.what.get(self.lang));
            if !check.ok() {
                let (expected, got) = (&check.expected, &check.got);
                text += &match self.lang {
                    Lang::Zh => format!("：应为 `{expected}`，实为 `{got}`"),
                    Lang::En => format!(": expected `{expected}`, got `{got}`"),
                };
            }
        }
        text + "\n"
    }

    fn step_json(&self, step: &Step) -> Value {
        let shown: Vec<Value> = step
            .shown
            .iter()
            .map(|shown| match shown {
                Shown::Did(did) => json!({ "did": did.get(self.lang) }),
                Shown::Command { line, output } => json!({ "line": line, "output": output }),
                Shown::Call { line, answer } => {
                    json!({ "line": line, "status": answer.status, "fields": fields(answer), "answer": content(answer) })
                }
            })
            .collect();
        let checks: Vec<Value> = step
            .checks
            .iter()
            .map(|check| json!({ "what": check.what.get(self.lang), "expected": check.expected, "got": check.got, "ok": check.ok() }))
            .collect();
        json!({ "step": step.number, "title": step.title.get(self.lang), "ok": step.as_told(), "shown": shown, "checks": checks })
    }
}

fn fields(answer: &Answer) -> Map<String, Value> {
    FIELDS.iter().filter(|name| answer.fields.contains_key(**name)).map(|name| ((*name).to_owned(), json!(answer.field(name)))).collect()
}

fn content(answer: &Answer) -> Value {
    match answer.json() {
        Value::Null => json!(String::from_utf8_lossy(&answer.content)),
        value => value,
    }
}

fn answer_text(answer: &Answer) -> String {
    let mut text = format!("HTTP {}\n", answer.status);
    for (name, value) in fields(answer) {
        text += &format!("{name}: {}\n", value.as_str().unwrap_or_default());
    }
    let content = match answer.json() {
        Value::Null => String::from_utf8_lossy(&answer.content).into_owned(),
        value => serde_json::to_string_pretty(&value).unwrap_or_default(),
    };
    text + "\n" + &shorten(&content)
}

/// Long outputs keep their beginning and their end.
fn shorten(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() <= MOST_LINES {
        return lines.iter().map(|line| format!("{line}\n")).collect();
    }
    let (head, tail) = (MOST_LINES - 12, 10);
    let left_out = lines.len() - head - tail;
    let kept = lines.iter().take(head).copied().map(str::to_owned);
    let kept = kept.chain([format!("  … ({left_out})")]).chain(lines.iter().skip(head + left_out).copied().map(str::to_owned));
    kept.map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_outputs_keep_both_ends() {
        let text: String = (0..100).map(|line| format!("{line}\n")).collect();
        let short = shorten(&text);
        assert!(short.starts_with("0\n1\n") && short.ends_with("98\n99\n"));
        assert_eq!(short.lines().count(), MOST_LINES - 1);
        assert_eq!(shorten("a\nb"), "a\nb\n");
    }
}
