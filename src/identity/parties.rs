//! The registered parties: departments, the requesters that belong to them, and the regions they stand in.

mod load;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::lang::Text;
use crate::written::Placed;

/// A department (政务部门), as `departments.toml` registers it.
#[derive(Debug)]
pub struct Department {
    /// Its id.
    pub id: Arc<str>,
    /// Its full name.
    pub name: Text,
    /// Administrative tier, free text such as `province`.
    pub tier: String,
    /// Its region's code.
    pub region: Arc<str>,
    /// Unified social credit code.
    pub code: String,
    /// The department above it.
    pub parent: Option<Arc<str>>,
    /// Whether it is the sharing authority (政务数据共享主管部门).
    pub authority: bool,
}

/// A calling system (需求系统), as `requesters.toml` registers it.
#[derive(Clone, Debug)]
pub struct Requester {
    /// Its id.
    pub id: Arc<str>,
    /// The department it belongs to.
    pub department: Arc<Department>,
    /// Further departments that it may call for.
    pub serves: Vec<Arc<Department>>,
    /// Its name.
    pub name: Text,
    /// Access level (访问级别).
    pub clearance: i64,
    /// Registered roles; a token can only narrow them.
    pub roles: BTreeSet<Arc<str>>,
    /// The certificate that is this requester's.
    pub certificate: Option<CertificateRule>,
    /// Suspended requesters authenticate and are refused.
    pub suspended: bool,
}

/// Which client certificate a requester is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateRule {
    /// `sha256:HEX` of the certificate's DER.
    Fingerprint([u8; 32]),
    /// `subject:CN=…`: the common name of the subject.
    CommonName(String),
}

/// A region (行政区划).
#[derive(Debug)]
pub struct Region {
    /// Its code, 6 to 12 digits.
    pub id: Arc<str>,
    /// Its name, where registered.
    pub name: Option<Text>,
    /// The region around it.
    pub parent: Option<Arc<str>>,
}

/// Everyone registered in one control snapshot; made by [`Parties::load`].
#[derive(Debug)]
pub struct Parties {
    /// By id.
    pub departments: HashMap<Arc<str>, Arc<Department>>,
    /// By id, each with where it was written.
    pub requesters: HashMap<Arc<str>, Placed<Arc<Requester>>>,
    /// By code; without `regions.toml` these are the codes in use and their parents by code.
    pub regions: HashMap<Arc<str>, Region>,
    /// Whether `regions.toml` is there: then an unregistered code is unknown.
    pub regions_registered: bool,
    /// All roles: registered in `departments.toml` or used by a requester.
    pub roles: BTreeSet<Arc<str>>,
    /// The time zone of every date in the control folder.
    pub time_zone: TimeZone,
    certificates: Certificates,
}

/// Requesters by the certificate they registered, so that a call with a certificate alone costs one look-up.
#[derive(Debug, Default)]
struct Certificates {
    fingerprints: HashMap<[u8; 32], Arc<Requester>>,
    names: HashMap<String, Arc<Requester>>,
}

impl Requester {
    /// The department that it calls for when it names `id`: its own, or one that it serves.
    pub fn calls_for(&self, id: &str) -> Option<&Arc<Department>> {
        std::iter::once(&self.department).chain(&self.serves).find(|department| *department.id == *id)
    }
}

impl Parties {
    /// The region itself first, then every region around it, outwards. Works for any code: one that is not known here
    /// counts by its digits without `regions.toml`, and stands alone beside one.
    pub fn region_chain(&self, code: &str) -> Vec<Arc<str>> {
        let own = self.regions.get_key_value(code).map_or_else(|| code.into(), |(known, _)| known.clone());
        let mut chain: Vec<Arc<str>> = vec![own];
        while let Some(parent) = chain.last().and_then(|last| self.region_parent(last))
            && !chain.contains(&parent)
        {
            chain.push(parent);
        }
        chain
    }

    fn region_parent(&self, code: &str) -> Option<Arc<str>> {
        match self.regions.get(code) {
            Some(region) => region.parent.clone(),
            None if self.regions_registered => None,
            None => parent_by_code(code).map(Arc::from),
        }
    }

    /// The requester that registered this certificate; the exact fingerprint goes before the common name.
    pub fn by_certificate(&self, fingerprint: &[u8; 32], common_name: Option<&str>) -> Option<&Arc<Requester>> {
        let Certificates { fingerprints, names } = &self.certificates;
        fingerprints.get(fingerprint).or_else(|| common_name.and_then(|name| names.get(name)))
    }
}

/// The region around `code` by its digits: county 990102, city 990100, province 990000. Codes longer than 6 digits
/// (townships, villages: groups of 3) lose their last group that is not zero, then end in their county's 6 digits.
fn parent_by_code(code: &str) -> Option<String> {
    let (county, below) = code.split_at_checked(6)?;
    if below.is_empty() {
        return match (&county[2..4], &county[4..6]) {
            ("00", "00") => None,
            (_, "00") => Some(format!("{}0000", &county[..2])),
            _ => Some(format!("{}00", &county[..4])),
        };
    }
    let kept = below.trim_end_matches('0').len().saturating_sub(1) / 3 * 3;
    if kept == 0 { Some(county.to_owned()) } else { Some(format!("{county}{:0<width$}", &below[..kept], width = below.len())) }
}
