//! The shipped control folder as a world for the tests of this module.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::catalogue::Catalogue;
use crate::catalogue::route::Target;
use crate::identity::parties::Parties;
use crate::identity::{Credential, CredentialKind, Subject};
use crate::policy::decide::Call;
use crate::policy::{Circumstances, Policies, Sources, World};
use crate::purpose::{Purposes, Texts};
use crate::written::{Problem, Problems};

/// The texts of one kind in the shipped folder.
pub(in crate::policy) fn texts(folder: &str, extension: &str) -> Vec<(String, String)> {
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
pub(in crate::policy) fn sources() -> Sources {
    let schema = texts("", "cedarschema").remove(0);
    Sources { schema, policies: texts("", "cedar"), invariants: texts("invariants", "cedar"), suites: texts("tests", "toml") }
}

/// Everything but the policies.
pub(in crate::policy) struct Folder {
    pub(in crate::policy) parties: Parties,
    pub(in crate::policy) catalogue: Catalogue,
    pub(in crate::policy) purposes: Purposes,
}

impl Folder {
    pub(in crate::policy) fn shipped() -> Self {
        let problems = Problems::default();
        let files = texts("", "toml");
        let file = |name: &str| files.iter().find(|(file, _)| file == name).map(|(file, text)| (file.as_str(), text.as_str()));
        let parties = Parties::load(file("departments.toml"), file("requesters.toml"), file("regions.toml"), &problems);
        assert!(problems.is_ok(), "{problems:?}");
        let catalogue = Catalogue::load(&texts("catalogue", "toml"), None, None, &parties, &problems);
        let (scenarios, grants) = (texts("scenarios", "toml"), texts("grants", "toml"));
        let read = Texts { scenarios: &scenarios, grants: &grants, calendar: file("calendar.toml"), basis: &[] };
        let purposes = Purposes::load(&read, &parties, &catalogue, None, &problems);
        assert!(problems.is_ok(), "{problems:?}");
        Self { parties, catalogue, purposes }
    }

    pub(in crate::policy) fn world(&self) -> World<'_> {
        World { parties: &self.parties, catalogue: &self.catalogue, purposes: &self.purposes }
    }

    /// Loads; the problems come back where there are any.
    pub(in crate::policy) fn load(&self, sources: &Sources) -> Result<Policies, Vec<Problem>> {
        let problems = Problems::default();
        let policies = Policies::load(sources, self.world(), None, &problems);
        policies.ok_or_else(|| problems.into_parts().0)
    }

    pub(in crate::policy) fn subject(&self, requester: &str, operator_clearance: i64) -> Subject {
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

    pub(in crate::policy) fn target(&self, resource: &str) -> Target {
        let resource = self.catalogue.resources[resource].clone();
        Target { operation: resource.operations[0].clone(), resource, parameters: Vec::new() }
    }

    /// A call under a scenario and, where there is one, a grant.
    pub(in crate::policy) fn call<'c>(
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
pub(in crate::policy) fn plain() -> Circumstances {
    Circumstances {
        time: "2026-11-23T02:00:00Z".parse().unwrap(),
        source: "127.0.0.1".parse().unwrap(),
        network: "government".into(),
        work_time: true,
        work_period_ends: None,
        emergency: false,
    }
}
