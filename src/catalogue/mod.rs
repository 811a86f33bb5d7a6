//! The catalogue of data resources: what can be asked for, who provides it and how sensitive it is.
//! One file under `catalogue/` is one resource (order 809, article 13 names what an entry must carry).

mod load;
pub mod route;
mod template;
#[cfg(test)]
mod tests;
pub mod verify;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::disclosure::{ContentKind, JsonPath, Likeness, Preset};
use crate::lang::Text;
use crate::written::Place;

/// Sharing attribute (共享属性; order 809, article 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// 无条件共享.
    Unconditional,
    /// 有条件共享.
    Conditional,
    /// 不予共享: refused whatever the policies say.
    NotShared,
}

/// Data level (数据级别; GB/T 43697-2024).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 一般数据.
    General,
    /// 重要数据.
    Important,
    /// 核心数据.
    Core,
}

/// Sharing mode (共享方式; order 809, article 22).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 服务接口.
    ServiceInterface,
    /// 批量交换.
    BatchExchange,
    /// 文件下载.
    FileDownload,
}

/// Kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// 查询.
    Query,
    /// 核验.
    Verify,
    /// 批量.
    Bulk,
}

/// A data resource (数据资源).
#[derive(Debug)]
pub struct Resource {
    /// `PROVIDER.…`.
    pub id: Arc<str>,
    /// Resource code `class/serial`.
    pub code: String,
    /// Its name.
    pub name: Text,
    /// The providing department's id.
    pub provider: Arc<str>,
    /// Sharing attribute.
    pub sharing: Sharing,
    /// Published conditions of conditional sharing.
    pub conditions: Vec<String>,
    /// The exact legal basis for not sharing.
    pub legal_basis: String,
    /// Sharing mode.
    pub mode: Mode,
    /// Data format, free text.
    pub format: String,
    /// Update cycle, free text.
    pub update_cycle: String,
    /// Data level.
    pub level: Level,
    /// Grade, 1 to 4.
    pub grade: i64,
    /// Whether any item is personal information.
    pub personal: bool,
    /// Data classes.
    pub classes: Vec<Arc<str>>,
    /// Version of this entry.
    pub version: String,
    /// Where the department's API is.
    pub origin: Origin,
    /// What can be asked.
    pub operations: Vec<Arc<Operation>>,
    /// The data items, in the order written; the implicit item `*` of opaque content is among them.
    pub items: Vec<Item>,
    /// Where a record carries its region; none: records are not filtered by region.
    pub region: Option<Region>,
    /// Where the resource is written.
    pub place: Place,
}

/// The item that carries the region's code of a record.
#[derive(Clone, Debug)]
pub struct Region {
    /// The item's name.
    pub item: Arc<str>,
    /// Where it stands in answers.
    pub paths: Arc<[JsonPath]>,
}

/// The department's API behind a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// `http` or `https`, host and port, without path.
    pub url: String,
    /// The authority that signs the origin's certificate, instead of the system's.
    pub ca: Option<PathBuf>,
    /// Certificate shown to the origin.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Time to the answer's head.
    pub first_byte_timeout: Duration,
    /// Time between two pieces of content.
    pub idle_timeout: Duration,
}

impl Origin {
    /// Whether its client is built from files, whose content may change under one name.
    pub fn has_files(&self) -> bool {
        self.ca.is_some() || self.certificate.is_some() || self.key.is_some()
    }
}

/// One way to ask for a resource.
#[derive(Debug)]
pub struct Operation {
    /// Its kind.
    pub kind: Kind,
    /// HTTP method, also sent to the origin unless a claim is verified.
    pub method: hyper::Method,
    /// Path as registered, with `{name}` for a path parameter.
    pub path: String,
    /// Path at the origin, same parameters.
    pub origin_path: String,
    /// Where the person's number stands whose data is asked for.
    pub subject: Option<SubjectSource>,
    /// Query parameters let through.
    pub parameters: BTreeSet<String>,
    /// What the answer is.
    pub content: ContentKind,
    /// What one record of the answer is.
    pub records: JsonPath,
    /// The most records an answer may hold.
    pub max_records: u64,
    /// By how many grades an answer of that many records is above one of them (`grades.toml`).
    pub uplift: i64,
    /// How a claim is verified: of every `verify` operation, and of no other.
    pub verify: Option<verify::Verify>,
}

/// The highest grade of general data.
const HIGHEST: i64 = 4;

impl Operation {
    /// The grade of an answer whose items and resource have this one. A verified claim shows no record.
    pub fn graded(&self, grade: i64) -> i64 {
        if self.verify.is_some() { grade } else { grade.saturating_add(self.uplift).min(grade.max(HIGHEST)) }
    }

    /// The method that the origin is asked with.
    pub fn origin_method(&self) -> &hyper::Method {
        self.verify.as_ref().map_or(&self.method, |verify| &verify.ask.method)
    }
}

/// Where an operation carries the data subject's identifier (个人信息主体标识).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectSource {
    /// `content.$…` of the request's JSON content.
    Content(JsonPath),
    /// `path.NAME`.
    Path(String),
    /// `query.NAME`.
    Query(String),
}

/// A data item (数据项).
#[derive(Debug)]
pub struct Item {
    /// Its name; `*` for opaque content.
    pub name: Arc<str>,
    /// Its title.
    pub title: Text,
    /// Where it stands in answers.
    pub paths: Vec<JsonPath>,
    /// Standard data element.
    pub element: Option<String>,
    /// Whether this resource is the element's one authoritative source (数源).
    pub authoritative: bool,
    /// Sharing attribute, inherited where not set.
    pub sharing: Sharing,
    /// Level, inherited where not set.
    pub level: Level,
    /// Grade, inherited where not set.
    pub grade: i64,
    /// Personal information.
    pub personal: bool,
    /// Sensitive personal information.
    pub sensitive: bool,
    /// Data classes: the resource's and its own.
    pub classes: Vec<Arc<str>>,
    /// Mask preset.
    pub mask: Option<Preset>,
    /// Pseudonyms keyed by scenario alone.
    pub joinable: bool,
    /// What pseudonyms look like; none: 22 characters of base64url.
    pub likeness: Option<Likeness>,
}

/// A data class (数据分类) of `classes.toml`, or one used by a resource.
#[derive(Debug)]
pub struct Class {
    /// Its id.
    pub id: Arc<str>,
    /// Its name, where registered.
    pub name: Option<Text>,
    /// The class around it.
    pub parent: Option<Arc<str>>,
}

/// All resources of one control snapshot.
#[derive(Debug)]
pub struct Catalogue {
    /// By id.
    pub resources: HashMap<Arc<str>, Arc<Resource>>,
    /// By id.
    pub classes: HashMap<Arc<str>, Class>,
    /// Method and path to operation.
    pub routes: route::Routes,
}

impl Sharing {
    /// The word in files and entries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unconditional => "unconditional",
            Self::Conditional => "conditional",
            Self::NotShared => "not_shared",
        }
    }
}

impl Level {
    /// The word in files and entries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Important => "important",
            Self::Core => "core",
        }
    }
}

impl Kind {
    /// The word in files and entries, and the Cedar action.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Verify => "verify",
            Self::Bulk => "bulk",
        }
    }
}
