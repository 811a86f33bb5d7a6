//! The control snapshot: parties, catalogue, purposes and policies of one control folder, under one digest. It is built
//! whole and swapped whole; a call reads one snapshot from its first step to its last.

pub mod approval;
pub mod offers;
pub mod place;
pub mod publishing;
mod read;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::catalogue::Catalogue;
use crate::identity::parties::Parties;
use crate::policy::{Circumstances, Former, Policies, Sources, World};
use crate::purpose::bind::{Bound, Registered};
use crate::purpose::{Purposes, Texts};
use crate::written::{Problem, Problems};

pub use publishing::{Publishing, Requirement};
pub use read::Listing;
use read::{Folder, Sums};

/// Everything that decisions rest on.
#[derive(Debug)]
pub struct Snapshot {
    /// `sha256:HEX` over every file that was read: for each, sorted by path, the path and the content, each behind its
    /// length as 8 bytes, big-endian.
    pub digest: String,
    /// Who asks.
    pub parties: Arc<Parties>,
    /// What there is.
    pub catalogue: Arc<Catalogue>,
    /// What for.
    pub purposes: Purposes,
    /// What may be shared.
    pub policies: Policies,
    /// The files that were read, sorted by their path relative to the control folder. Whoever has kept them takes them
    /// away: a snapshot in force needs none.
    pub files: Vec<(String, Vec<u8>)>,
    sums: Sums,
    /// What was to be said of the catalogue, which is said again where it is taken over.
    warned: Vec<Problem>,
}

/// What parties are read from.
const PARTIES: [&str; 3] = ["departments.toml", "regions.toml", "requesters.toml"];

fn load_parties(folder: &Folder, problems: &Problems) -> Parties {
    Parties::load(folder.one("departments.toml"), folder.one("requesters.toml"), folder.one("regions.toml"), problems)
}

/// The catalogue and its warnings.
fn load_catalogue(folder: &Folder, parties: &Parties, problems: &Problems) -> (Arc<Catalogue>, Vec<Problem>) {
    let (classes, grades, own) = (folder.one("classes.toml"), folder.one("grades.toml"), Problems::default());
    let catalogue = Catalogue::load(&folder.texts("catalogue/", ".toml"), classes, grades, parties, &own);
    let (errors, warnings) = own.into_parts();
    problems.add(errors, Vec::new());
    (Arc::new(catalogue), warnings)
}

/// A control folder that does not load.
#[derive(Debug)]
pub struct Refused {
    /// Everything that is wrong, by place.
    pub errors: Vec<Problem>,
    /// What should be looked at.
    pub warnings: Vec<Problem>,
}

impl Snapshot {
    /// Loads a control folder; the warnings come with it. Everything wrong is reported in one run. The folder is
    /// resolved once, so that swapping a symbolic link publishes a new one atomically, and listed again after
    /// loading: one that changed meanwhile could be half old, half new.
    pub fn load(folder: &Path) -> Result<(Self, Vec<Problem>), Refused> {
        Self::load_after(folder, None)
    }

    /// The same; what did not change since the snapshot `before` is taken from it instead of being read again.
    pub fn load_after(folder: &Path, before: Option<&Self>) -> Result<(Self, Vec<Problem>), Refused> {
        let problems = Problems::default();
        let loaded = Self::read(folder, before, &problems);
        let (errors, warnings) = problems.into_parts();
        match loaded {
            Some(snapshot) if errors.is_empty() => Ok((snapshot, warnings)),
            _ => Err(Refused { errors, warnings }),
        }
    }

    fn read(folder: &Path, before: Option<&Self>, problems: &Problems) -> Option<Self> {
        let folder = Folder::read(folder, problems)?;
        let sums = folder.sums();
        let former = |files: &[&str]| before.filter(|before| before.sums.same(&sums, files));
        let parties = former(&PARTIES).map_or_else(|| Arc::new(load_parties(&folder, problems)), |before| before.parties.clone());
        let (catalogue, warned) = match former(&["departments.toml", "regions.toml", "classes.toml", "grades.toml", "catalogue/"]) {
            Some(before) => (before.catalogue.clone(), before.warned.clone()),
            None => load_catalogue(&folder, &parties, problems),
        };
        problems.add(Vec::new(), warned.clone());
        let singles = ["departments.toml", "regions.toml", "classes.toml", "grades.toml"];
        let mut basis = folder.borrowed("catalogue/", ".toml");
        basis.extend(singles.iter().filter_map(|name| folder.one(name)));
        let (scenarios, grants) = (folder.borrowed("scenarios/", ".toml"), folder.borrowed("grants/", ".toml"));
        let texts = Texts { scenarios: &scenarios, grants: &grants, calendar: folder.one("calendar.toml"), basis: &basis };
        let purposes = Purposes::load(&texts, &parties, &catalogue, before.map(|before| &before.purposes), problems);
        let policies = folder.one("schema.cedarschema").and_then(|(file, text)| {
            let sources = Sources {
                schema: (file.to_owned(), text.to_owned()),
                policies: folder.texts("", ".cedar"),
                invariants: folder.texts("invariants/", ".cedar"),
                suites: folder.texts("tests/", ".toml"),
            };
            let world = World { parties: &parties, catalogue: &catalogue, purposes: &purposes };
            let registers =
                former(&["departments.toml", "regions.toml", "requesters.toml", "classes.toml", "grades.toml", "catalogue/", "scenarios/"]);
            let former = before.map(|before| Former { policies: &before.policies, registers: registers.is_some() });
            Policies::load(&sources, world, former, problems)
        });
        folder.report_changes(problems);
        let (digest, files) = folder.into_files();
        Some(Self { digest, parties, catalogue, purposes, policies: policies?, files, sums, warned })
    }

    /// The digest without its algorithm, as the ledger's folder of snapshots names it.
    pub fn hex(&self) -> &str {
        self.digest.strip_prefix("sha256:").unwrap_or(&self.digest)
    }

    /// What binding looks at.
    pub fn registered(&self) -> Registered<'_> {
        Registered { parties: &self.parties, catalogue: &self.catalogue, purposes: &self.purposes }
    }

    /// What policies speak about.
    pub fn world(&self) -> World<'_> {
        World { parties: &self.parties, catalogue: &self.catalogue, purposes: &self.purposes }
    }

    /// What a decision depends on beside subject, target and purpose.
    pub fn circumstances(&self, bound: &Bound, time: Timestamp, source: IpAddr, network: &Arc<str>) -> Circumstances {
        Circumstances { emergency: bound.emergency(time), ..self.circumstances_at(time, source, network) }
    }

    /// As they are whatever the scenario: without an emergency.
    fn circumstances_at(&self, time: Timestamp, source: IpAddr, network: &Arc<str>) -> Circumstances {
        let zoned = time.to_zoned_datetime(self.parties.time_zone.clone());
        let period = self.purposes.calendar.as_ref().and_then(|calendar| calendar.period_ends(&zoned));
        Circumstances {
            time,
            source,
            network: network.clone(),
            work_time: period.is_some(),
            work_period_ends: period.map(|end| end.timestamp()),
            emergency: false,
        }
    }
}
