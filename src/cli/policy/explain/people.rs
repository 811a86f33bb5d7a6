//! Explanations for people.

use super::Told;
use super::programs::form;
use crate::lang::{Lang, Text};
use crate::policy::explain::{Explanation, Flip, ItemWhy, PolicyWhy, Question, RegionWhy, Step};

/// The whole explanation, ready to be printed.
pub(super) fn explanation(told: &Told<'_>, why: &Explanation, lang: Lang) -> String {
    let mut page = Page { lines: Vec::new(), lang };
    page.head(told, why);
    if let Some(share) = &why.share {
        page.blank();
        page.line(0, &Text::new("能否调用", "may the call be made"));
        page.question(1, share);
    }
    if !why.items.is_empty() {
        page.blank();
        page.line(0, &Text::new("各数据项的形式", "why each item has its form"));
        why.items.iter().for_each(|item| page.item(item));
    }
    if !told.regions.is_empty() {
        page.blank();
        page.line(0, &Text::new("各行政区划的记录", "records of each region"));
        told.regions.iter().for_each(|region| page.region(region));
    }
    page.blank();
    page.flips(why);
    page.lines.join("\n")
}

struct Page {
    lines: Vec<String>,
    lang: Lang,
}

impl Page {
    fn plain(&mut self, depth: usize, text: &str) {
        self.lines.push(format!("{}{text}", "  ".repeat(depth)));
    }

    fn line(&mut self, depth: usize, text: &Text) {
        let text = text.get(self.lang).to_owned();
        self.plain(depth, &text);
    }

    fn blank(&mut self) {
        self.lines.push(String::new());
    }

    fn head(&mut self, told: &Told<'_>, why: &Explanation) {
        let call = told.supposed;
        if let Some((index, recorded)) = told.entry {
            let outcome = recorded.outcome();
            self.line(0, &Text::new(format!("台账第 {index} 条（记录为 {outcome}）"), format!("entry {index} (recorded as {outcome})")));
        }
        let time = call.time.to_zoned_datetime(told.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string();
        self.plain(0, &format!("{time}  {}", told.snapshot));
        let (requester, department, resource) = (&call.requester.id, &call.department.id, &call.resource.id);
        let kind = call.operation.kind.name();
        let scenario = why.scenario.as_deref().unwrap_or("-");
        let grant = why.grant.as_deref().unwrap_or("-");
        self.line(
            0,
            &Text::new(
                format!("{requester}（{department}）对 {resource} 的 {kind}；场景 {scenario}，授权 {grant}"),
                format!("{requester} ({department}) asks {kind} of {resource}; scenario {scenario}, grant {grant}"),
            ),
        );
        self.blank();
        match (why.outcome, &why.detail) {
            ("allow", _) => self.line(0, &Text::new("放行", "let pass")),
            (code, None) => self.line(0, &Text::new(format!("本次调用未放行：{code}"), format!("not let pass: {code}"))),
            (code, Some(detail)) => {
                let text = Text::new(format!("本次调用未放行：{code}：{}", detail.zh), format!("not let pass: {code}: {}", detail.en));
                self.line(0, &text);
            }
        }
        if !why.flags.is_empty() {
            let flags = why.flags.join(", ");
            self.line(1, &Text::new(format!("标记：{flags}"), format!("flagged: {flags}")));
        }
        if !why.would_work.is_empty() {
            let scenarios = why.would_work.iter().map(|would| would.scenario.to_string()).collect::<Vec<_>>().join(", ");
            self.line(1, &Text::new(format!("可用的场景：{scenarios}"), format!("scenarios that would work: {scenarios}")));
        }
    }

    fn region(&mut self, why: &RegionWhy) {
        let code = &why.code;
        let line = if why.included {
            Text::new(format!("{code}：提供"), format!("{code}: shown"))
        } else {
            Text::new(format!("{code}：不提供"), format!("{code}: dropped"))
        };
        self.line(1, &line);
        why.not_asked.iter().for_each(|text| self.line(2, text));
        why.asked.iter().for_each(|question| self.question(2, question));
    }

    /// The policies that answered, with what they read; of those that did not, the names.
    fn question(&mut self, depth: usize, question: &Question) {
        let action = question.action;
        let determined = question.policies.iter().any(|policy| policy.determining);
        match (question.allowed, determined) {
            (true, _) => self.line(depth, &Text::new(format!("{action}：可以，依据"), format!("{action}: yes, by"))),
            (false, true) => self.line(depth, &Text::new(format!("{action}：不可以，被禁止"), format!("{action}: no, forbidden by"))),
            (false, false) => {
                self.line(depth, &Text::new(format!("{action}：不可以，没有策略准许"), format!("{action}: no, nothing permits it")));
            }
        }
        // Where nothing permits, what could have is the answer.
        let shown = |policy: &&PolicyWhy| policy.determining || (!question.allowed && !determined && policy.permits);
        question.policies.iter().filter(shown).for_each(|policy| self.policy(depth + 1, policy));
        let others: Vec<&str> = question.policies.iter().filter(|policy| !shown(policy)).map(|policy| &*policy.id).collect();
        if !others.is_empty() {
            let (others, more) = (others.join(", "), question.more);
            let (zh, en) = if more == 0 { Default::default() } else { (format!("，另有 {more} 条"), format!(" and {more} more")) };
            self.line(depth + 1, &Text::new(format!("也问过：{others}{zh}"), format!("also asked: {others}{en}")));
        }
    }

    fn policy(&mut self, depth: usize, policy: &PolicyWhy) {
        let effect = if policy.permits { "permit" } else { "forbid" };
        self.plain(depth, &format!("{effect} {}  {}:{}", policy.id, policy.place.file, policy.place.line));
        for line in policy.text.lines().filter(|line| !line.trim().is_empty()) {
            self.plain(depth + 1, &format!("| {line}"));
        }
        for fact in &policy.facts {
            let mark = match fact.holds {
                Some(true) => Text::new("成立  ", "yes"),
                Some(false) => Text::new("不成立", "no "),
                None => Text::new("未求值", "-  "),
            };
            let reads: Vec<String> =
                fact.reads.iter().filter(|(path, _)| *path != fact.text).map(|(path, value)| format!("{path} = {value}")).collect();
            let reads = if reads.is_empty() { String::new() } else { format!("   [{}]", reads.join(", ")) };
            let mark = mark.get(self.lang).to_owned();
            self.plain(depth + 1, &format!("{mark} {}{reads}", fact.text));
        }
    }

    fn item(&mut self, why: &ItemWhy) {
        self.plain(1, &format!("{}: {}", why.name, form(why.form)));
        why.steps.iter().for_each(|step| self.step(step));
    }

    /// One form: permits in one line, forbids with what they read.
    fn step(&mut self, step: &Step) {
        let form = step.form.name();
        if let Some(reason) = &step.not_asked {
            self.line(2, &Text::new(format!("{form}：{}", reason.zh), format!("{form}: {}", reason.en)));
        }
        let Some(question) = &step.asked else { return };
        let by: Vec<String> = question.policies.iter().filter(|policy| policy.determining).map(|policy| policy.id.to_string()).collect();
        if question.allowed {
            let by = by.join(", ");
            self.line(2, &Text::new(format!("{form}：准许，依据 {by}"), format!("{form}: permitted by {by}")));
        } else {
            self.question(2, question);
        }
    }

    fn flips(&mut self, why: &Explanation) {
        let tried = why.flips.tried;
        if why.flips.found.is_empty() {
            self.line(
                0,
                &Text::new(
                    format!("试过 {tried} 处改变，没有一处单独改变结果"),
                    format!("no single fact of {tried} tried would change this"),
                ),
            );
        } else {
            self.line(
                0,
                &Text::new(
                    format!("单独改变一处即可改变结果的有（试过 {tried} 处）"),
                    format!("one fact that would change this ({tried} tried)"),
                ),
            );
            why.flips.found.iter().for_each(|flip| self.flip(flip));
        }
        if why.flips.untried > 0 {
            let untried = why.flips.untried;
            self.line(1, &Text::new(format!("另有 {untried} 处未试"), format!("{untried} more were left untried")));
        }
    }

    fn flip(&mut self, flip: &Flip) {
        let fact = name(flip.fact);
        let none = Text::new("无", "none");
        let or_none = |text: &str| if text.is_empty() { none.get(self.lang).to_owned() } else { text.to_owned() };
        let (from, to) = (or_none(&flip.from), or_none(&flip.to));
        let change = format!("{}: {from} → {to}", fact.get(self.lang));
        let outcome = match flip.outcome {
            "allow" if flip.items.is_empty() => Text::new("放行", "let pass").get(self.lang).to_owned(),
            "allow" => {
                let items = flip.items.iter().map(|(item, from, to)| format!("{item} {} → {}", form(*from), form(*to)));
                items.collect::<Vec<_>>().join(", ")
            }
            code => Text::new(format!("不放行（{code}）"), format!("not let pass ({code})")).get(self.lang).to_owned(),
        };
        self.plain(1, &format!("{change}   {outcome}"));
    }
}

/// What people call a fact.
fn name(fact: &str) -> Text {
    match fact {
        "case" => Text::new("业务编号", "case"),
        "scenario" => Text::new("使用场景", "scenario"),
        "department" => Text::new("需求部门", "department"),
        "operation" => Text::new("操作", "operation"),
        "time" => Text::new("时间", "time"),
        "network" => Text::new("网络", "network"),
        "source" => Text::new("来源地址", "source address"),
        "work_time" => Text::new("工作时间", "working time"),
        "emergency" => Text::new("应急令有效", "emergency order in force"),
        "bound" => Text::new("令牌绑定证书", "token bound to the certificate"),
        "operator_roles" => Text::new("经办人角色", "operator's roles"),
        "operator_clearance" => Text::new("经办人访问级别", "operator's access level"),
        "requester.clearance" => Text::new("系统的访问级别", "requester's access level"),
        "requester.roles" => Text::new("系统的角色", "requester's roles"),
        "requester.status" => Text::new("系统的状态", "requester's status"),
        "grant" => Text::new("授权", "grant"),
        "grant.status" => Text::new("授权的状态", "grant's status"),
        "grant.items" => Text::new("授权列明", "listed by the grant"),
        "scenario.status" => Text::new("场景的状态", "scenario's status"),
        "scenario.max_grade" => Text::new("场景的最高级别", "scenario's highest grade"),
        "scenario.case" => Text::new("场景是否须业务编号", "scenario's rule on cases"),
        "scenario.kinds" => Text::new("场景包含的操作", "kinds that the scenario covers"),
        "scenario.resources" => Text::new("场景包含的资源", "resources that the scenario covers"),
        "scenario.participants" => Text::new("场景的参与部门", "the scenario's participants"),
        other => Text::new(other, other),
    }
}
