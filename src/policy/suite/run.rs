//! Running test cases: each call is bound and decided exactly as one that comes in, and held against what was expected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Case;
use crate::disclosure::Form;
use crate::lang::Text;
use crate::policy::{Policies, World};

/// What came of a case.
#[derive(Debug)]
pub struct Verdict<'c> {
    /// The case.
    pub case: &'c Case,
    /// `allow`, or the code of the refusal.
    pub outcome: &'static str,
    /// The determining policies, sorted.
    pub policies: Vec<Arc<str>>,
    /// What the answer would show.
    pub items: BTreeMap<Arc<str>, Option<Form>>,
    /// The forbids that refused a wider form.
    pub narrowed: BTreeMap<Arc<str>, Arc<str>>,
    /// Why it was refused beside its policies: binding's detail, or evaluation errors.
    pub detail: Option<Text>,
    /// Where it differs from what was expected; empty: as told.
    pub differences: Vec<Text>,
}

impl Policies {
    /// Runs a test case.
    pub fn run<'c>(&self, case: &'c Case, world: World<'_>) -> Verdict<'c> {
        let (mut items, mut narrowed) = (BTreeMap::new(), BTreeMap::new());
        let (outcome, policies, detail) = match self.suppose(&case.call, world) {
            Ok((_, decision)) => {
                items.extend(decision.plan.items.iter().map(|item| (item.name.clone(), item.form)));
                narrowed.extend(decision.plan.items.iter().filter_map(|item| Some((item.name.clone(), item.narrowed_by.clone()?))));
                ("allow", decision.policies.clone(), None)
            }
            Err(refused) => (refused.code(), refused.policies().to_vec(), refused.detail()),
        };
        let mut verdict = Verdict { case, outcome, policies, items, narrowed, detail, differences: Vec::new() };
        verdict.differences = differences(&verdict);
        verdict
    }
}

fn differences(verdict: &Verdict<'_>) -> Vec<Text> {
    let case = verdict.case;
    let mut differences = Vec::new();
    if verdict.outcome != case.expect {
        differences.push(Text::new(
            format!("应为 {}，实为 {}", case.expect, verdict.outcome),
            format!("expected {}, found {}", case.expect, verdict.outcome),
        ));
    }
    if let Some(expected) = &case.policies {
        let found: BTreeSet<&str> = verdict.policies.iter().map(|id| &**id).collect();
        if found != expected.iter().map(String::as_str).collect() {
            let list = |ids: Vec<&str>| format!("[{}]", ids.join(", "));
            let (expected, found) = (list(expected.iter().map(String::as_str).collect()), list(found.into_iter().collect()));
            differences.push(Text::new(
                format!("依据的策略应为 {expected}，实为 {found}"),
                format!("determining policies: expected {expected}, found {found}"),
            ));
        }
    }
    // What a refused call would have shown is not the news.
    let items = case.items.iter().filter(|_| verdict.outcome == "allow");
    for (name, expected) in items {
        let found = verdict.items.get(name.as_str()).copied().flatten();
        if found != *expected {
            let word = |form: Option<Form>| form.map_or("omit", Form::name);
            let (expected, found) = (word(*expected), word(found));
            let by = verdict.narrowed.get(name.as_str()).map(|by| format!(" (by `{by}`)")).unwrap_or_default();
            differences.push(Text::new(
                format!("`{name}` 应为 {expected}，实为 {found}{by}"),
                format!("`{name}`: expected {expected}, found {found}{by}"),
            ));
        }
    }
    differences
}
