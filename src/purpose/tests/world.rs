//! A small control folder in text, to be changed by each test.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use hyper::Method;
use jiff::Timestamp;

use crate::catalogue::Catalogue;
use crate::catalogue::route::Target;
use crate::identity::parties::Parties;
use crate::identity::{Credential, CredentialKind, Subject, TokenScope};
use crate::purpose::bind::{Bound, NotBound, Registered, bind};
use crate::purpose::fitting::fitting;
use crate::purpose::stated::Stated;
use crate::purpose::{Grant, Purposes, Scenario, Texts};
use crate::written::{Problem, Problems};

pub(super) struct World {
    pub(super) parties: Parties,
    pub(super) catalogue: Catalogue,
    pub(super) purposes: Purposes,
}

fn departments() -> String {
    let department = |id: &str| {
        format!(
            "[[departments]]\nid = \"{id}\"\nname = {{ zh = \"部门\", en = \"Department\" }}\ntier = \"province\"\nregion = \"990000\"\n\
             code = \"x\"\nparent = \"\"\nauthority = false\n"
        )
    };
    ["mca", "psb", "housing", "jia", "tax"].map(department).concat()
}

fn requesters() -> String {
    let requester = |(id, department, serves): (&str, &str, &str)| {
        format!(
            "[[requesters]]\nid = \"{id}\"\ndepartment = \"{department}\"\nserves = [{serves}]\nname = {{ zh = \"系统\", en = \"App\" }}\n\
             clearance = 3\nroles = []\nstatus = \"active\"\n"
        )
    };
    [("housing-app", "housing", "\"jia\""), ("jia-app", "jia", ""), ("tax-app", "tax", "")].map(requester).concat()
}

fn resource(id: &str, sharing: &str, grade: i64) -> (String, String) {
    let provider = id.split('.').next().unwrap();
    let path = id.replace('.', "/");
    let text = format!(
        "id = \"{id}\"\ncode = \"1/1\"\nname = {{ zh = \"一\", en = \"one\" }}\nprovider = \"{provider}\"\nsharing = \"{sharing}\"\n\
         conditions = [\"c\"]\nlegal_basis = \"第一条\"\nmode = \"service_interface\"\nformat = \"json\"\nupdate_cycle = \"daily\"\n\
         level = \"general\"\ngrade = {grade}\nversion = \"1\"\n[origin]\nurl = \"http://127.0.0.1:7001\"\n\
         [[operations]]\nkind = \"query\"\nmethod = \"GET\"\npath = \"/{path}\"\nmax_records = 100\n\
         [[operations]]\nkind = \"bulk\"\nmethod = \"POST\"\npath = \"/{path}\"\n\
         [[items]]\nname = \"name\"\ntitle = {{ zh = \"姓名\", en = \"Name\" }}\npath = \"$.name\"\nmask = \"name\"\n\
         [[items]]\nname = \"code\"\ntitle = {{ zh = \"代码\", en = \"Code\" }}\npath = \"$.code\"\n"
    );
    (format!("catalogue/{id}.toml"), text)
}

/// A scenario; `more` holds lines that set what differs.
pub(super) fn scenario(id: &str, more: &str) -> (String, String) {
    let mut text =
        format!("id = \"{id}\"\nname = {{ zh = \"场景\", en = \"Scenario\" }}\npurpose = \"p\"\nlegal_basis = \"第二条\"\n{more}");
    for (key, line) in [
        ("lead", "lead = \"housing\""),
        ("participants", "participants = [\"jia\"]"),
        ("resources", "resources = [\"psb.*\", \"mca.open\"]"),
        ("kinds", "kinds = [\"query\"]"),
        ("case", "case = \"optional\""),
        ("max_grade", "max_grade = 3"),
        ("valid_from", "valid_from = \"2026-01-01\""),
        ("valid_until", "valid_until = \"2026-12-31\""),
        ("status", "status = \"approved\""),
    ] {
        if !more.contains(key) {
            writeln!(text, "{line}").unwrap();
        }
    }
    (format!("scenarios/{id}.toml"), text)
}

/// A grant; `more` holds lines that set what differs.
pub(super) fn grant(id: &str, more: &str) -> String {
    let mut text = format!("[[grants]]\nid = \"{id}\"\napplication = \"a\"\nlegal_basis = \"b\"\nmode = \"service_interface\"\n{more}");
    let holder = if more.contains("department") { "" } else { "requester = \"housing-app\"" };
    for (key, line) in [
        ("requester", holder),
        ("resource", "resource = \"psb.people\""),
        ("scenario", "scenario = \"housing\""),
        ("kinds", "kinds = [\"query\"]"),
        ("items", if more.contains("psb.*") { "items = { \"psb.people#name\" = [\"mask\"] }" } else { "items = { name = [\"mask\"] }" }),
        ("valid_from", "valid_from = \"2026-01-01\""),
        ("valid_until", "valid_until = \"2026-12-31\""),
        ("status", "status = \"active\""),
    ] {
        if !more.contains(key) {
            writeln!(text, "{line}").unwrap();
        }
    }
    for side in ["demander", "provider"] {
        writeln!(text, "[[grants.approvals]]\nside = \"{side}\"\nname = \"n\"\npost = \"p\"\ndate = \"2026-01-01\"\ndocument = \"d\"")
            .unwrap();
    }
    text
}

/// Loads; with what is wrong and what should be looked at.
pub(super) fn load(scenarios: &[(String, String)], grants: &[String]) -> (World, Vec<Problem>, Vec<Problem>) {
    let problems = Problems::default();
    let (departments, requesters) = (departments(), requesters());
    let parties = Parties::load(Some(("departments.toml", &departments)), Some(("requesters.toml", &requesters)), None, &problems);
    let resources = [
        resource("psb.people", "conditional", 3),
        resource("psb.plates", "conditional", 1),
        resource("mca.open", "unconditional", 4),
        resource("mca.secret", "not_shared", 4),
    ];
    let catalogue = Catalogue::load(&resources, None, None, &parties, &problems);
    let grants = [("grants/all.toml".to_owned(), grants.concat())];
    let texts = Texts { scenarios, grants: &grants, calendar: None, basis: &[] };
    let purposes = Purposes::load(&texts, &parties, &catalogue, None, &problems);
    let (errors, warnings) = problems.into_parts();
    (World { parties, catalogue, purposes }, errors, warnings)
}

/// Loads what is right.
pub(super) fn world(scenarios: &[(String, String)], grants: &[String]) -> World {
    let (world, errors, _) = load(scenarios, grants);
    assert!(errors.is_empty(), "{errors:#?}");
    world
}

/// One call, in the making.
pub(super) struct Call<'w> {
    world: &'w World,
    requester: &'static str,
    department: Option<&'static str>,
    target: (Method, &'static str),
    stated: Option<Stated>,
    scope: Option<TokenScope>,
    now: &'static str,
}

impl World {
    /// By `housing-app` for people, on an ordinary day.
    pub(super) fn call(&self) -> Call<'_> {
        let target = (Method::GET, "/psb/people");
        Call {
            world: self,
            requester: "housing-app",
            department: None,
            target,
            stated: None,
            scope: None,
            now: "2026-11-23T10:00:00+08:00",
        }
    }
}

impl Call<'_> {
    pub(super) fn by(mut self, requester: &'static str) -> Self {
        self.requester = requester;
        self
    }

    pub(super) fn for_department(mut self, department: &'static str) -> Self {
        self.department = Some(department);
        self
    }

    pub(super) fn get(mut self, path: &'static str) -> Self {
        self.target = (Method::GET, path);
        self
    }

    pub(super) fn bulk(mut self, path: &'static str) -> Self {
        self.target = (Method::POST, path);
        self
    }

    pub(super) fn states(mut self, field: &str) -> Self {
        self.stated = Stated::parse(std::iter::once(field.as_bytes())).unwrap();
        self
    }

    pub(super) fn token(mut self, scenarios: &[&str], case: Option<&str>) -> Self {
        self.scope = Some(TokenScope { scenarios: scenarios.iter().map(|id| (*id).into()).collect(), case: case.map(str::to_owned) });
        self
    }

    pub(super) fn at(mut self, now: &'static str) -> Self {
        self.now = now;
        self
    }

    fn subject(&self) -> Subject {
        let parties = &self.world.parties;
        let requester = parties.requesters[self.requester].value.clone();
        let department = match self.department {
            Some(id) => requester.calls_for(id).unwrap().clone(),
            None => requester.department.clone(),
        };
        Subject {
            department,
            roles: BTreeSet::new(),
            requester,
            operator: None,
            operator_roles: BTreeSet::new(),
            operator_clearance: 0,
            credential: Credential { kind: CredentialKind::Jwt, issuer: None, kid: None, fingerprint: [0; 32] },
            bound: false,
            scope: self.scope.clone(),
        }
    }

    pub(super) fn bind(self) -> Result<Bound, NotBound> {
        let (World { parties, catalogue, purposes }, subject) = (self.world, self.subject());
        let target: Target = catalogue.routes.find(&self.target.0, self.target.1).unwrap();
        let now: Timestamp = self.now.parse().unwrap();
        bind(Registered { parties, catalogue, purposes }, &subject, &target, self.stated.as_ref(), now)
    }

    /// What the caller could ask for: `GET /psb/people` with `housing/g1` for each scenario and its grant.
    pub(super) fn fitting(self) -> Vec<(String, Vec<String>)> {
        let World { parties, catalogue, purposes } = self.world;
        let found = fitting(Registered { parties, catalogue, purposes }, &self.subject(), self.now.parse().unwrap());
        let named = |(scenario, grant): &(Arc<Scenario>, Option<Arc<Grant>>)| {
            format!("{}/{}", scenario.id, grant.as_ref().map_or("", |grant| &*grant.id))
        };
        found.iter().map(|fitting| (fitting.target.template(), fitting.purposes.iter().map(named).collect())).collect()
    }

    /// Scenario and grant that the call is bound to.
    pub(super) fn bound(self) -> (String, Option<String>) {
        let bound = self.bind().unwrap_or_else(|refused| panic!("{refused:?}"));
        (bound.scenario.id.to_string(), bound.grant.as_ref().map(|grant| grant.id.to_string()))
    }

    /// The refusal's code.
    pub(super) fn refused(self) -> &'static str {
        self.bind().map_or_else(|refused| refused.reason.code(), |bound| panic!("bound: {bound:?}"))
    }
}
