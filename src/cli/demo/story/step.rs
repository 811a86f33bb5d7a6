//! One step of the story: what it shows, and whether it came out as told.

use std::fmt::Display;

use serde_json::Value;

use super::super::client::Answer;
use crate::lang::Text;

/// Something that happened in a step.
pub(in super::super) enum Shown {
    /// The demo changed something.
    Did(Text),
    /// Another command of this binary was run.
    Command { line: String, output: String },
    /// The gateway was called.
    Call { line: String, answer: Answer },
}

/// One thing that was told.
pub(in super::super) struct Check {
    /// What about.
    pub(in super::super) what: Text,
    /// As told.
    pub(in super::super) expected: String,
    /// As it came.
    pub(in super::super) got: String,
}

impl Check {
    /// Came as told.
    pub(in super::super) fn ok(&self) -> bool {
        self.expected == self.got
    }
}

/// A step as it goes.
pub(in super::super) struct Step {
    /// Its place in the story.
    pub(in super::super) number: &'static str,
    /// In a line.
    pub(in super::super) title: Text,
    /// What it shows, told beforehand.
    pub(in super::super) says: Text,
    /// What happened.
    pub(in super::super) shown: Vec<Shown>,
    /// What was told.
    pub(in super::super) checks: Vec<Check>,
}

impl Step {
    /// A step in which nothing has happened yet.
    pub(super) fn new(number: &'static str, title: (&str, &str), says: (&str, &str)) -> Self {
        let text = |(zh, en): (&str, &str)| Text::new(zh, en);
        Self { number, title: text(title), says: text(says), shown: Vec::new(), checks: Vec::new() }
    }

    /// Each thing came as told, and something was told at all.
    pub(in super::super) fn as_told(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(Check::ok)
    }

    /// Notes a change that the demo made.
    pub(super) fn did(&mut self, zh: impl Into<String>, en: impl Into<String>) {
        self.shown.push(Shown::Did(Text::new(zh, en)));
    }

    /// These are the same.
    pub(super) fn equal(&mut self, zh: &str, en: &str, expected: impl Display, got: impl Display) {
        self.checks.push(Check { what: Text::new(zh, en), expected: expected.to_string(), got: got.to_string() });
    }

    /// This holds of what came.
    pub(super) fn holds(&mut self, zh: &str, en: &str, holds: bool, got: impl Display) {
        let got = got.to_string();
        let expected = if holds { got.clone() } else { en.to_owned() };
        self.checks.push(Check { what: Text::new(zh, en), expected, got });
    }

    /// The status, and that what is answered leaves with a receipt and stays in no cache.
    pub(super) fn shared(&mut self, answer: &Answer) {
        self.equal("放行：状态码", "let through: status", 200, answer.status);
        self.holds(
            "附共享凭据（Share-Receipt）",
            "with a receipt (Share-Receipt)",
            answer.receipt().is_some(),
            answer.field("share-receipt"),
        );
        self.equal("不得缓存", "kept in no cache", "private, no-store", answer.field("cache-control"));
    }

    /// The status and code of a refusal, which never carries a receipt.
    pub(super) fn refused(&mut self, answer: &Answer, status: u16, code: &str) {
        self.equal("本次调用未放行：状态码", "refused: status", status, answer.status);
        self.equal("原因代码", "code", code, text(&answer.json()["code"]));
        self.equal("无共享凭据", "no receipt", "", answer.field("share-receipt"));
    }

    /// The members of a record, neither fewer nor more.
    pub(super) fn members(&mut self, record: &Value, expected: &[&str]) {
        let mut got: Vec<&str> = record.as_object().map(|members| members.keys().map(String::as_str).collect()).unwrap_or_default();
        got.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        self.equal("只含目录与授权所列数据项", "only the granted items, nothing else", expected.join(" "), got.join(" "));
    }
}

/// A member's text; empty where it is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
