//! Running test cases: each call is bound and decided exactly as one that comes in, and held against what was expected.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::Case;
use crate::catalogue::route::Target;
use crate::disclosure::Form;
use crate::identity::{Credential, CredentialKind, Subject};
use crate::lang::Text;
use crate::policy::{Circumstances, Policies, World};
use crate::purpose::Scenario;
use crate::purpose::bind::{Registered, bind};
use crate::purpose::stated::Stated;

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
        let mut verdict = Verdict {
            case,
            outcome: "allow",
            policies: Vec::new(),
            items: BTreeMap::new(),
            narrowed: BTreeMap::new(),
            detail: None,
            differences: Vec::new(),
        };
        if let Err((code, detail)) = self.ask(case, world, &mut verdict) {
            verdict.outcome = code;
            verdict.detail = detail;
        }
        verdict.differences = differences(&verdict);
        verdict
    }

    fn ask(&self, case: &Case, world: World<'_>, verdict: &mut Verdict<'_>) -> Result<(), (&'static str, Option<Text>)> {
        if case.requester.suspended {
            return Err(("requester_suspended", None));
        }
        let subject = subject(case);
        let target = Target { resource: case.resource.clone(), operation: case.operation.clone(), parameters: Vec::new() };
        let field = field(case);
        let stated = Stated::parse(field.as_deref().map(str::as_bytes).into_iter());
        let stated = stated.map_err(|error| ("purpose_malformed", Some(error.detail())))?;
        let World { parties, catalogue, purposes } = world;
        let bound = bind(Registered { parties, catalogue, purposes }, &subject, &target, stated.as_ref(), case.time);
        let bound = bound.map_err(|error| (error.reason.code(), Some(error.detail)))?;
        match self.decide(&subject, &target, &bound, &circumstances(case, world, &bound.scenario)) {
            Ok(permit) => {
                verdict.policies = permit.policies.clone();
                verdict.items = permit.plan.items.iter().map(|item| (item.name.clone(), item.form)).collect();
                let narrowed = permit.plan.items.iter().filter_map(|item| Some((item.name.clone(), item.narrowed_by.clone()?)));
                verdict.narrowed = narrowed.collect();
                Ok(())
            }
            Err(denial) => {
                verdict.policies = denial.policies;
                let errors = denial.errors.join("; ");
                Err(("policy_denied", (!errors.is_empty()).then(|| Text::new(errors.clone(), errors))))
            }
        }
    }
}

fn subject(case: &Case) -> Subject {
    Subject {
        requester: case.requester.clone(),
        department: case.department.clone(),
        roles: case.requester.roles.clone(),
        operator: None,
        operator_roles: case.given.operator_roles.clone(),
        operator_clearance: case.given.operator_clearance.unwrap_or(0),
        credential: Credential { kind: CredentialKind::Jwt, issuer: None, kid: None, fingerprint: [0; 32] },
        bound: case.given.bound.unwrap_or(false),
        scope: None,
    }
}

fn circumstances(case: &Case, world: World<'_>, scenario: &Scenario) -> Circumstances {
    let local = case.time.to_zoned_datetime(world.parties.time_zone.clone());
    let works = || world.purposes.calendar.as_ref().is_some_and(|calendar| calendar.work_time(&local));
    let ordered = || scenario.emergency.as_ref().is_some_and(|order| order.in_force(case.time));
    Circumstances {
        time: case.time,
        source: case.given.source.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        network: case.given.network.as_deref().unwrap_or("other").into(),
        work_time: case.given.work_time.unwrap_or_else(works),
        work_period_ends: None,
        emergency: case.given.emergency.unwrap_or_else(ordered),
    }
}

/// The case's purpose as a call would state it in `Share-Purpose`, so that it is read as strictly.
fn field(case: &Case) -> Option<String> {
    let mut field = case.scenario.clone()?;
    if let Some(case) = &case.case {
        field.push_str(";case=%\"");
        for byte in case.bytes() {
            match byte {
                b' '..=b'~' if byte != b'%' && byte != b'"' => field.push(char::from(byte)),
                // A Display String (RFC 9651 section 3.3.8); writing to a string cannot fail.
                _ => write!(field, "%{byte:02x}").unwrap_or_default(),
            }
        }
        field.push('"');
    }
    Some(field)
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
