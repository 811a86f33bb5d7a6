//! The shipped control folder as a world for the tests of this module.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use jiff::civil::date;

use crate::catalogue::route::Target;
use crate::catalogue::{Catalogue, Kind, Mode};
use crate::disclosure::Form;
use crate::identity::parties::Parties;
use crate::identity::{Credential, CredentialKind, Subject};
use crate::policy::decide::Call;
use crate::policy::{Circumstances, Policies, Sources, World};
use crate::purpose::{CaseRule, Grant, GrantStatus, Holder, Purposes, Quota, ResourcePattern, Scenario, ScenarioStatus};
use crate::written::{Document, Place, Problem, Problems, Table};

/// The texts of one kind in the shipped folder.
pub(super) fn texts(folder: &str, extension: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut texts: Vec<_> = fs::read_dir(root.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| (path.strip_prefix(&root).unwrap().display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect();
    texts.sort();
    texts
}

/// Schema, policies and invariants as shipped.
pub(super) fn sources() -> Sources {
    let schema = texts("", "cedarschema").remove(0);
    Sources { schema, policies: texts("", "cedar"), invariants: texts("invariants", "cedar"), suites: texts("tests", "toml") }
}

/// Everything but the policies.
pub(super) struct Folder {
    pub(super) parties: Parties,
    pub(super) catalogue: Catalogue,
    pub(super) purposes: Purposes,
}

impl Folder {
    pub(super) fn shipped() -> Self {
        let problems = Problems::default();
        let files = texts("", "toml");
        let file = |name: &str| files.iter().find(|(file, _)| file == name).map(|(file, text)| (file.as_str(), text.as_str()));
        let parties = Parties::load(file("departments.toml"), file("requesters.toml"), file("regions.toml"), &problems);
        assert!(problems.is_ok(), "{problems:?}");
        let catalogue = Catalogue::load(&texts("catalogue", "toml"), None, &parties, &problems);
        let mut scenarios = HashMap::new();
        for (file, text) in texts("scenarios", "toml") {
            let scenario = scenario(&Document::parse(&file, &text, &problems).root(&problems));
            scenarios.insert(scenario.id.clone(), Arc::new(scenario));
        }
        let mut grants = HashMap::new();
        for (file, text) in texts("grants", "toml") {
            for table in Document::parse(&file, &text, &problems).root(&problems).tables("grants") {
                let grant = grant(&table);
                grants.insert(grant.id.clone(), Arc::new(grant));
            }
        }
        assert!(problems.is_ok(), "{problems:?}");
        Self { parties, catalogue, purposes: Purposes::new(scenarios, grants, None) }
    }

    pub(super) fn world(&self) -> World<'_> {
        World { parties: &self.parties, catalogue: &self.catalogue, purposes: &self.purposes }
    }

    /// Loads; the problems come back where there are any.
    pub(super) fn load(&self, sources: &Sources) -> Result<Policies, Vec<Problem>> {
        let problems = Problems::default();
        let policies = Policies::load(sources, self.world(), &problems);
        policies.ok_or_else(|| problems.into_parts().0)
    }

    pub(super) fn subject(&self, requester: &str, operator_clearance: i64) -> Subject {
        let requester = self.parties.requesters[requester].value.clone();
        Subject {
            department: requester.department.clone(),
            roles: requester.roles.clone(),
            requester,
            operator: None,
            operator_roles: BTreeSet::new(),
            operator_clearance,
            credential: Credential { kind: CredentialKind::Jwt, issuer: None, kid: None, fingerprint: [0; 32] },
            bound: false,
            scope: None,
        }
    }

    pub(super) fn target(&self, resource: &str) -> Target {
        let resource = self.catalogue.resources[resource].clone();
        Target { operation: resource.operations[0].clone(), resource, parameters: Vec::new() }
    }

    /// A call under a scenario and, where there is one, a grant.
    pub(super) fn call<'c>(
        &'c self,
        (subject, target): (&'c Subject, &'c Target),
        (scenario, grant): (&str, Option<&str>),
        has_case: bool,
        circumstances: &'c Circumstances,
    ) -> Call<'c> {
        let grant = grant.map(|id| &*self.purposes.grants[id]);
        Call { subject, target, scenario: &self.purposes.scenarios[scenario], grant, has_case, circumstances }
    }
}

/// A plain call in working time from the government network.
pub(super) fn plain() -> Circumstances {
    Circumstances {
        time: "2026-11-23T02:00:00Z".parse().unwrap(),
        source: "127.0.0.1".parse().unwrap(),
        network: "government".into(),
        work_time: true,
        work_period_ends: None,
        emergency: false,
    }
}

fn pattern(text: String) -> ResourcePattern {
    match text.strip_suffix(".*") {
        Some(provider) => ResourcePattern::Provider(provider.into()),
        None => ResourcePattern::One(text.into()),
    }
}

fn scenario(table: &Table<'_, '_>) -> Scenario {
    Scenario {
        id: table.id("id").unwrap().value,
        name: table.text("name").unwrap(),
        purpose: String::new(),
        lead: table.id("lead").unwrap().value,
        participants: table.strings("participants").into_iter().map(|id| id.value.into()).collect(),
        resources: table.strings("resources").into_iter().map(|id| pattern(id.value)).collect(),
        kinds: [Kind::Query].into(),
        legal_basis: String::new(),
        matter_codes: vec![],
        case: CaseRule::Optional,
        max_grade: table.integer("max_grade", 1..=4).unwrap(),
        valid_from: date(2026, 1, 1),
        valid_until: date(2028, 12, 31),
        status: ScenarioStatus::Approved,
        emergency: None,
        place: Place::default(),
    }
}

fn grant(table: &Table<'_, '_>) -> Grant {
    let resource = table.filled("resource").unwrap().value;
    let forms = [("reveal", Form::Reveal), ("mask", Form::Mask), ("pseudonymise", Form::Pseudonymise), ("compare", Form::Compare)];
    let items = table.table("items").unwrap();
    let form = |text: &str| forms.iter().find(|(name, _)| *name == text).unwrap().1;
    let listed = |key: &str| items.strings(key).iter().map(|text| form(&text.value)).collect::<BTreeSet<_>>();
    let items: BTreeMap<Arc<str>, _> =
        items.keys().iter().map(|key| (format!("{resource}#{}", key.value).into(), listed(&key.value))).collect();
    let id = |key: &str| table.opt_string(key).map(|id| id.value.into());
    Grant {
        id: table.id("id").unwrap().value,
        holder: Holder { requester: id("requester"), department: id("department") },
        resource: pattern(resource),
        scenario: table.id("scenario").unwrap().value,
        kinds: [Kind::Query].into(),
        items,
        regions: vec![],
        quota: Quota::default(),
        application: String::new(),
        legal_basis: String::new(),
        mode: Mode::ServiceInterface,
        valid_from: date(2026, 1, 1),
        valid_until: date(2028, 12, 31),
        status: GrantStatus::Active,
        approvals: vec![],
        place: Place::default(),
    }
}
