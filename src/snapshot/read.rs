//! Reads the files of a control folder, and tells whether they changed meanwhile.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256, digest};

use crate::cores::on_every_core;
use crate::lang::Text;
use crate::written::{Place, Problems};

/// Larger files are refused: more grants go into more files.
const LARGEST: u64 = 64 << 20;
/// How deep folders may lie in each other, which also ends circles of symbolic links.
const DEEPEST: usize = 16;

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A digest of each file but the grants.
#[derive(Debug)]
pub(super) struct Sums(BTreeMap<String, Box<[u8]>>);

impl Sums {
    /// Whether all of these are as they were: files, or folders where the name ends in `/`.
    pub(super) fn same(&self, other: &Self, names: &[&str]) -> bool {
        let within = |path: &str| names.iter().any(|name| path == *name || name.ends_with('/') && path.starts_with(name));
        let of =
            |sums: &Self| sums.0.iter().filter(|(path, _)| within(path)).map(|(path, sum)| (path.clone(), sum.clone())).collect::<Vec<_>>();
        of(self) == of(other)
    }
}

/// A control folder's files as they were read.
pub(super) struct Folder {
    root: PathBuf,
    listed: BTreeMap<String, Stamp>,
    texts: BTreeMap<String, String>,
}

impl Folder {
    /// Reads every file that belongs to a control folder; none where the folder itself cannot be read.
    pub(super) fn read(folder: &Path, problems: &Problems) -> Option<Self> {
        let root = match fs::canonicalize(folder) {
            Ok(root) => root,
            Err(error) => {
                unreadable(&folder.display().to_string(), &error, problems);
                return None;
            }
        };
        let listed = list(&root, problems)?;
        let mut texts = BTreeMap::new();
        for (path, stamp) in &listed {
            if let Some(text) = read_text(&root, path, stamp.size, problems) {
                texts.insert(path.clone(), text);
            }
        }
        if !listed.contains_key("schema.cedarschema") {
            let message = Text::new("缺少文件 `schema.cedarschema`", "file `schema.cedarschema` is missing");
            problems.error(&start_of("schema.cedarschema"), "missing_file", message, None);
        }
        Some(Self { root, listed, texts })
    }

    /// The path and text of one file, where it is there.
    pub(super) fn one(&self, path: &str) -> Option<(&str, &str)> {
        self.texts.get_key_value(path).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The files of one part: `catalogue/` with all folders in it, the others without.
    pub(super) fn borrowed(&self, part: &str, extension: &str) -> Vec<(&str, &str)> {
        let belongs = |path: &str| {
            let rest = path.strip_prefix(part).unwrap_or_default();
            rest.ends_with(extension) && (part == "catalogue/" || !rest.contains('/'))
        };
        self.texts.iter().filter(|(path, _)| belongs(path)).map(|(path, text)| (path.as_str(), text.as_str())).collect()
    }

    /// As [`Folder::borrowed`], copied.
    pub(super) fn texts(&self, part: &str, extension: &str) -> Vec<(String, String)> {
        self.borrowed(part, extension).into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect()
    }

    /// What tells one content of each file from another; grants are told apart where they are read.
    pub(super) fn sums(&self) -> Sums {
        let others: Vec<_> = self.texts.iter().filter(|(path, _)| !path.starts_with("grants/")).collect();
        let sums = on_every_core(&others, |(path, text)| ((*path).clone(), digest(&SHA256, text.as_bytes()).as_ref().into()));
        Sums(sums.into_iter().collect())
    }

    /// Lists the folder again: what changed, came or went since the first listing is an error.
    pub(super) fn report_changes(&self, problems: &Problems) {
        let unheard = Problems::default();
        let now = list(&self.root, &unheard).unwrap_or_default();
        let paths = self.listed.keys().chain(now.keys().filter(|path| !self.listed.contains_key(*path)));
        for path in paths.filter(|path| self.listed.get(*path) != now.get(*path)) {
            let message = Text::new("文件在读取期间发生变化", "the file changed while the folder was read");
            let help =
                Text::new("写好整个目录后用符号链接切换，再重新加载", "write the whole folder, then swap a symbolic link, and load again");
            problems.error(&start_of(path), "changed_while_reading", message, Some(help));
        }
    }

    /// The digest over all files, and the files.
    pub(super) fn into_files(self) -> (String, Vec<(String, Vec<u8>)>) {
        let files: Vec<(String, Vec<u8>)> = self.texts.into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
        (digest_of(&files), files)
    }
}

/// `sha256:HEX` over files sorted by path.
pub(super) fn digest_of(files: &[(String, Vec<u8>)]) -> String {
    let mut context = Context::new(&SHA256);
    for part in files.iter().flat_map(|(path, content)| [path.as_bytes(), content]) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    format!("sha256:{}", hex::encode(context.finish()))
}

/// A folder's files as they stand: equal to another listing while nothing in it changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Listing(Option<(PathBuf, BTreeMap<String, Stamp>)>);

impl Listing {
    /// Lists a control folder; one that cannot be listed is like any other such.
    pub fn of(folder: &Path) -> Self {
        let root = fs::canonicalize(folder).ok();
        let listed = root.and_then(|root| list(&root, &Problems::default()).map(|listed| (root, listed)));
        Self(listed)
    }

    /// Lists the files of a plain folder, whatever they are.
    pub fn of_any(folder: &Path) -> Self {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let stamped =
            entries.filter_map(|entry| Some((entry.file_name().to_string_lossy().into_owned(), Stamp::of(&entry.metadata().ok()?))));
        Self(Some((folder.to_owned(), stamped.collect())))
    }
}

/// Whether a control folder holds a file of this path.
fn belongs(path: &str) -> bool {
    let single =
        ["schema.cedarschema", "departments.toml", "requesters.toml", "regions.toml", "classes.toml", "calendar.toml", "grades.toml"];
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match folder {
        "" => single.contains(&path) || name.ends_with(".cedar"),
        "scenarios" | "grants" | "tests" => name.ends_with(".toml"),
        "invariants" => name.ends_with(".cedar"),
        _ => (folder == "catalogue" || folder.starts_with("catalogue/")) && name.ends_with(".toml"),
    }
}

/// Every file that belongs to the folder, by its relative path. Names that begin with a dot are not looked at.
fn list(root: &Path, problems: &Problems) -> Option<BTreeMap<String, Stamp>> {
    let mut listed = BTreeMap::new();
    if let Err(error) = list_into(root, "", 0, &mut listed, problems) {
        unreadable(&root.display().to_string(), &error, problems);
        return None;
    }
    Some(listed)
}

fn list_into(root: &Path, folder: &str, depth: usize, listed: &mut BTreeMap<String, Stamp>, problems: &Problems) -> std::io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let name = entry?.file_name();
        let shown = name.to_string_lossy();
        if shown.starts_with('.') {
            continue;
        }
        let path = if folder.is_empty() { shown.to_string() } else { format!("{folder}/{shown}") };
        let metadata = match fs::metadata(root.join(folder).join(&name)) {
            Ok(metadata) => metadata,
            Err(error) => {
                unreadable(&path, &error, problems);
                continue;
            }
        };
        if metadata.is_dir() {
            if depth < DEEPEST
                && let Err(error) = list_into(root, &path, depth + 1, listed, problems)
            {
                unreadable(&path, &error, problems);
            }
        } else if belongs(&path) && name.to_str().is_some() {
            if metadata.is_file() {
                listed.insert(path, Stamp::of(&metadata));
            } else {
                unreadable(&path, &std::io::ErrorKind::InvalidInput.into(), problems);
            }
        } else {
            report_stray(&path, problems);
        }
    }
    Ok(())
}

/// A file that nobody reads. A policy or register in the wrong place would be missed without a word: that is an error.
fn report_stray(path: &str, problems: &Problems) {
    let help = Text::new(
        "控制目录：schema.cedarschema、*.cedar、departments.toml、requesters.toml、regions.toml、classes.toml、calendar.toml、grades.toml，以及 catalogue/、scenarios/、grants/、tests/、invariants/",
        "a control folder holds schema.cedarschema, *.cedar, departments.toml, requesters.toml, regions.toml, classes.toml, calendar.toml, grades.toml, and catalogue/, scenarios/, grants/, tests/, invariants/",
    );
    if [".cedar", ".cedarschema", ".toml"].iter().any(|extension| path.ends_with(extension)) {
        let message = Text::new("文件不在应有的位置，不会被读取", "the file is not in a place where it is read");
        problems.error(&start_of(path), "misplaced_file", message, Some(help));
    } else if !path.ends_with(".md") {
        problems.warning(
            &start_of(path),
            "unknown_file",
            Text::new("文件不属于控制目录，未读取", "the file is not part of a control folder and not read"),
            Some(help),
        );
    }
}

fn read_text(root: &Path, path: &str, size: u64, problems: &Problems) -> Option<String> {
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(LARGEST) + 1).unwrap_or_default());
    let read = fs::File::open(root.join(path)).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        unreadable(path, &error, problems);
        return None;
    }
    if bytes.len() as u64 > LARGEST {
        let message = Text::new("文件超过 64 MiB", "the file is larger than 64 MiB");
        let help = Text::new("分成几个文件", "split it into several files");
        problems.error(&start_of(path), "file_too_large", message, Some(help));
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let (line, column) = (error.utf8_error().valid_up_to(), error.into_bytes());
            let before = &column[..line];
            let lines = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let place = Place { file: path.into(), line: u32::try_from(lines).unwrap_or(u32::MAX), column: 1 };
            problems.error(&place, "not_utf8", Text::new("文件不是 UTF-8 编码", "the file is not UTF-8"), None);
            None
        }
    }
}

fn unreadable(path: &str, error: &std::io::Error, problems: &Problems) {
    let message = Text::new(format!("无法读取：{error}"), format!("cannot be read: {error}"));
    problems.error(&start_of(path), "unreadable", message, None);
}

fn start_of(path: &str) -> Place {
    Place { file: path.into(), line: 1, column: 1 }
}
