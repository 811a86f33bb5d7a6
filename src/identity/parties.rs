//! The registered parties: departments, the requesters that belong to them, and the regions they stand in.

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
#[derive(Debug)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Everyone registered in one control snapshot.
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
}
