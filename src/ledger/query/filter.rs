//! What a query asks for, judged on an entry's own bytes: whatever found a candidate, the log decides.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::super::entry::time_text;

/// What a query asks for; what is empty or absent fits everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Exact values of members: `requester`, `department`, `provider`, `resource`, `scenario`, `case`, `kind`, `id`,
    /// `grant`, `code`.
    pub members: Vec<(&'static str, String)>,
    /// Digests of the operator, one for each key.
    pub operator: Option<Vec<String>>,
    /// Digests of the subject, one for each key.
    pub subject: Option<Vec<String>>,
    /// An item that was disclosed.
    pub item: Option<String>,
    /// A form in which something (the item, if one is asked for) was disclosed.
    pub form: Option<String>,
    /// A determining policy.
    pub policy: Option<String>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// The members that a filter looks at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Seen<'a> {
    #[serde(borrow)]
    requester: Option<Cow<'a, str>>,
    #[serde(borrow)]
    department: Option<Cow<'a, str>>,
    #[serde(borrow)]
    operator: Option<Cow<'a, str>>,
    #[serde(borrow)]
    provider: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource: Option<Cow<'a, str>>,
    #[serde(borrow)]
    scenario: Option<Cow<'a, str>>,
    #[serde(borrow)]
    case: Option<Cow<'a, str>>,
    #[serde(borrow)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow)]
    grant: Option<Cow<'a, str>>,
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    items: BTreeMap<String, serde_json::Value>,
    policies: Vec<String>,
}

/// How an entry stands to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Judged {
    Fits,
    Differs,
    /// It is not before `until`; neither is any after it.
    TooLate,
}

impl Filter {
    /// Whether the entry fits.
    pub fn fits(&self, entry: &[u8]) -> bool {
        self.judge(entry) == Judged::Fits
    }

    pub(in super::super) fn judge(&self, entry: &[u8]) -> Judged {
        let Ok(seen) = serde_json::from_slice::<Seen<'_>>(entry) else { return Judged::Differs };
        let one_of = |value: &Option<Cow<'_, str>>, wanted: &Option<Vec<String>>| match wanted {
            None => true,
            Some(wanted) => value.as_ref().is_some_and(|value| wanted.iter().any(|w| w == value)),
        };
        let time = seen.time.as_deref().unwrap_or_default();
        if self.until.is_some_and(|until| time >= &*time_text(until)) {
            return Judged::TooLate;
        }
        let fits = self.members.iter().all(|(name, wanted)| seen.member(name) == Some(wanted))
            && one_of(&seen.operator, &self.operator)
            && one_of(&seen.subject, &self.subject)
            && self.policy.as_ref().is_none_or(|policy| seen.policies.contains(policy))
            && seen.disclosed(self.item.as_deref(), self.form.as_deref())
            && self.since.is_none_or(|since| time >= &*time_text(since));
        if fits { Judged::Fits } else { Judged::Differs }
    }
}

impl Seen<'_> {
    fn member(&self, name: &str) -> Option<&str> {
        let value = match name {
            "requester" => &self.requester,
            "department" => &self.department,
            "provider" => &self.provider,
            "resource" => &self.resource,
            "scenario" => &self.scenario,
            "case" => &self.case,
            "kind" => &self.kind,
            "id" => &self.id,
            "grant" => &self.grant,
            "code" => &self.code,
            _ => &None,
        };
        value.as_deref()
    }

    /// A granted entry says one form of each item, a settled one counts several.
    fn disclosed(&self, item: Option<&str>, form: Option<&str>) -> bool {
        let in_form = |value: &serde_json::Value| form.is_none_or(|form| value == form || value.get(form).is_some());
        match item {
            Some(item) => self.items.get(item).is_some_and(in_form),
            None => form.is_none() || self.items.values().any(in_form),
        }
    }
}
