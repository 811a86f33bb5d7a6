//! The control snapshot: policies, catalogue, parties, scenarios and grants of one control folder under one digest. Built
//! whole, then swapped in; a folder that changes while it is read is refused.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;

use crate::catalogue::Catalogue;
use crate::identity::parties::Parties;
use crate::lang::Text;
use crate::policy::{Circumstances, Policies, Sources, World};
use crate::purpose::Purposes;
use crate::purpose::bind::{Bound, Registered};
use crate::written::{Place, Problem, Problems};

/// The largest file of a control folder.
const LARGEST_FILE: u64 = 64 << 20;

/// Everything that decides, as one value.
#[derive(Debug)]
pub struct Snapshot {
    /// `sha256:HEX` over the folder's files, by path.
    pub digest: String,
    /// Who asks.
    pub parties: Parties,
    /// For what.
    pub catalogue: Catalogue,
    /// What for.
    pub purposes: Purposes,
    /// What is allowed.
    pub policies: Policies,
    /// The files, as read.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Why a control folder does not load.
#[derive(Debug)]
pub struct Refused {
    /// Each with its place.
    pub errors: Vec<Problem>,
    /// What would not have forbidden it.
    pub warnings: Vec<Problem>,
}

/// What tells one version of a file from another without reading it.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

impl Snapshot {
    /// Loads the folder, which may be a symbolic link: swapping it publishes another folder at once.
    pub fn load(folder: &Path) -> Result<(Self, Vec<Problem>), Refused> {
        let problems = Problems::default();
        let loaded = read_folder(folder, &problems).and_then(|files| Self::build(files, &problems));
        let (errors, warnings) = problems.into_parts();
        match loaded {
            Some(snapshot) if errors.is_empty() => Ok((snapshot, warnings)),
            _ => Err(Refused { errors, warnings }),
        }
    }

    fn build(files: BTreeMap<String, String>, problems: &Problems) -> Option<Self> {
        let one = |name: &str| files.get_key_value(name).map(|(name, text)| (name.as_str(), text.as_str()));
        let below = |folder: &str, ending: &str| -> Vec<(String, String)> {
            let inside = |name: &String| {
                let rest = name.strip_prefix(folder)?.strip_suffix(ending)?;
                Some(folder == "catalogue/" || !rest.contains('/'))
            };
            files.iter().filter(|(name, _)| inside(name) == Some(true)).map(|(name, text)| (name.clone(), text.clone())).collect()
        };
        let parties = Parties::load(one("departments.toml"), one("requesters.toml"), one("regions.toml"), problems);
        let catalogue = Catalogue::load(&below("catalogue/", ".toml"), one("classes.toml"), &parties, problems);
        let (scenarios, grants) = (below("scenarios/", ".toml"), below("grants/", ".toml"));
        let purposes = Purposes::load(&scenarios, &grants, one("calendar.toml"), &parties, &catalogue, problems);
        let schema = one("schema.cedarschema").map(|(name, text)| (name.to_owned(), text.to_owned()));
        if schema.is_none() {
            let place = Place { file: "schema.cedarschema".into(), line: 1, column: 1 };
            problems.error(&place, "missing_file", Text::new("缺少策略模型文件", "the policies' schema is missing"), None);
        }
        let sources = Sources {
            schema: schema?,
            policies: below("", ".cedar"),
            invariants: below("invariants/", ".cedar"),
            suites: below("tests/", ".toml"),
        };
        let world = World { parties: &parties, catalogue: &catalogue, purposes: &purposes };
        let policies = Policies::load(&sources, world, problems)?;
        let digest = digest(&files);
        let files = files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
        Some(Self { digest, parties, catalogue, purposes, policies, files })
    }

    /// The digest without its algorithm, as the ledger's folder of snapshots names it.
    pub fn hex(&self) -> &str {
        self.digest.strip_prefix("sha256:").unwrap_or(&self.digest)
    }

    /// What binding looks at.
    pub fn registered(&self) -> Registered<'_> {
        Registered { parties: &self.parties, catalogue: &self.catalogue, purposes: &self.purposes }
    }

    /// The circumstances of a call at `time`.
    pub fn circumstances(&self, bound: &Bound, time: Timestamp, source: IpAddr, network: &Arc<str>) -> Circumstances {
        let emergency = bound.scenario.emergency.as_ref().is_some_and(|order| order.from <= time && time < order.until);
        let at = time.to_zoned_datetime(self.parties.time_zone.clone());
        let calendar = self.purposes.calendar.as_ref();
        Circumstances {
            time,
            source,
            network: network.clone(),
            work_time: calendar.is_some_and(|calendar| calendar.work_time(&at)),
            work_period_ends: calendar.and_then(|calendar| calendar.period_ends(&at)).map(|end| end.timestamp()),
            emergency,
        }
    }
}

/// SHA-256 over each file's path and content, each with its length, so that no two folders are alike by chance.
fn digest(files: &BTreeMap<String, String>) -> String {
    let mut context = Context::new(&SHA256);
    for (name, text) in files {
        for part in [name.as_bytes(), text.as_bytes()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
    }
    format!("sha256:{}", hex::encode(context.finish()))
}

/// Reads every file that the folder is known by, then looks again: what changed meanwhile is refused.
fn read_folder(folder: &Path, problems: &Problems) -> Option<BTreeMap<String, String>> {
    let whole = Place { file: folder.display().to_string().into(), line: 1, column: 1 };
    let unreadable = |place: &Place, error: &io::Error| {
        let message = Text::new(format!("无法读取：{error}"), format!("cannot be read: {error}"));
        problems.error(place, "unreadable", message, None);
    };
    let resolved = folder.canonicalize().map_err(|error| unreadable(&whole, &error)).ok()?;
    let before = list(&resolved).map_err(|error| unreadable(&whole, &error)).ok()?;
    let mut files = BTreeMap::new();
    for (name, (path, stamp)) in &before {
        let place = Place { file: name.as_str().into(), line: 1, column: 1 };
        if !is_known(name) {
            let message = Text::new("此文件不属于控制目录，未读取", "this file is no part of a control folder and is not read");
            problems.warning(&place, "unknown_file", message, None);
            continue;
        }
        if stamp.2 > LARGEST_FILE {
            problems.error(&place, "too_large", Text::new("文件超过 64 MiB", "the file is over 64 MiB"), None);
            continue;
        }
        match fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => _ = files.insert(name.clone(), text),
            Ok(Err(_)) => problems.error(&place, "not_utf8", Text::new("文件不是 UTF-8 文本", "the file is not UTF-8 text"), None),
            Err(error) => unreadable(&place, &error),
        }
    }
    let after = list(&resolved).map_err(|error| unreadable(&whole, &error)).ok()?;
    if let Some(changed) = first_change(&before, &after) {
        let place = Place { file: changed.into(), line: 1, column: 1 };
        let message = Text::new("读取期间文件有变动，未加载", "the file changed while the folder was read");
        let help = Text::new("写入新目录后切换符号链接，再重新加载", "write a new folder, swap the symbolic link, then reload");
        problems.error(&place, "changed_while_reading", message, Some(help));
    }
    Some(files)
}

/// All files below the folder with their stamps; hidden ones are left out.
fn list(folder: &Path) -> io::Result<BTreeMap<String, (PathBuf, Stamp)>> {
    let mut found = BTreeMap::new();
    let mut open = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let metadata = fs::metadata(entry.path())?;
            if metadata.is_dir() {
                open.push((entry.path(), format!("{prefix}{name}/")));
                continue;
            }
            let stamp = (
                metadata.dev(),
                metadata.ino(),
                metadata.len(),
                metadata.mtime(),
                metadata.mtime_nsec(),
                metadata.ctime(),
                metadata.ctime_nsec(),
            );
            found.insert(format!("{prefix}{name}"), (entry.path(), stamp));
        }
    }
    Ok(found)
}

fn first_change(before: &BTreeMap<String, (PathBuf, Stamp)>, after: &BTreeMap<String, (PathBuf, Stamp)>) -> Option<String> {
    let gone = before.iter().find(|(name, file)| after.get(*name) != Some(file));
    let came = after.keys().find(|name| !before.contains_key(*name));
    gone.map(|(name, _)| name).or(came).cloned()
}

/// Whether a path is one that a control folder consists of; texts for people may lie beside them.
fn is_known(name: &str) -> bool {
    let top = ["schema.cedarschema", "departments.toml", "requesters.toml", "regions.toml", "classes.toml", "calendar.toml"];
    let in_folder =
        |folder: &str, ending: &str| name.strip_prefix(folder).is_some_and(|rest| rest.ends_with(ending) && !rest.contains('/'));
    top.contains(&name)
        || in_folder("", ".cedar")
        || in_folder("", ".md")
        || in_folder("scenarios/", ".toml")
        || in_folder("grants/", ".toml")
        || in_folder("tests/", ".toml")
        || in_folder("invariants/", ".cedar")
        || (name.starts_with("catalogue/") && name.ends_with(".toml"))
}
