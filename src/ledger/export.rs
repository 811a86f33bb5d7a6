//! A period of the log with its proofs, in a folder that can be verified far from the ledger: the exact entries, the
//! signed checkpoint, and those C2SP hash tiles that lead from the entries to its root. No entry outside the period goes
//! along: a tile holds hashes only.
//!
//! ```text
//! entries.jsonl   one {"index":N,"leaf":"BASE64","entry":{…}} a line, ascending without gaps
//! checkpoint      the signed note      log.vkey   the key it claims to be signed with
//! tile/…          hash tiles, by their names in the log
//! manifest.json   what was asked for, and how much came
//! ```

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use signed_note::{Note, StandardVerifier, Verifier, VerifierList};
use tlog_tiles::{Checkpoint, Error, Hash, HashReader, Tile, TileHashReader, TileReader, record_hash, stored_hash_index};

use super::entry::{Gist, time_text};
use super::query::{self, Filter, Judged, Record};
use super::tree::{read_tile, tile_path};
use crate::lang::Text;

/// What an export holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this form.
    pub v: u32,
    /// The log's name.
    pub origin: String,
    /// From this time on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<String>,
    /// Before this time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
    /// Index of the first entry; none where there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first: Option<u64>,
    /// How many entries follow each other from there.
    pub count: u64,
    /// Entries under the checkpoint.
    pub size: u64,
    /// Entries of the period that the checkpoint does not cover yet: not exported.
    pub uncovered: u64,
}

/// Why an export does not hold, or could not be made.
#[derive(Debug)]
pub enum Failure {
    /// What is there is not what was signed.
    Wrong(Text),
    /// It could not be read or written.
    Io(PathBuf, io::Error),
}

impl Failure {
    fn wrong(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self::Wrong(Text::new(zh, en))
    }

    fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io(path.clone(), error)
    }

    /// For people.
    pub fn text(&self) -> Text {
        match self {
            Self::Wrong(text) => text.clone(),
            Self::Io(path, error) => Text::new(format!("{}：{error}", path.display()), format!("{}: {error}", path.display())),
        }
    }
}

/// Hash tiles of a log or of an export; remembers which were asked for.
struct Tiles<'a> {
    folder: &'a Path,
    asked: RefCell<BTreeSet<(u8, u64, u32)>>,
}

impl TileReader for Tiles<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            let width = usize::try_from(tile.width()).unwrap_or(256);
            let bytes = read_tile(self.folder, Some(tile.level().into()), tile.level_index(), width);
            let mut bytes = bytes.map_err(|error| Error::InvalidInput(format!("{}: {error}", tile.path())))?;
            bytes.truncate(width * 32);
            self.asked.borrow_mut().insert((tile.level(), tile.level_index(), tile.width()));
            Ok(bytes)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// The leaves as the signed root proves them, one tile at a time.
struct Leaves<'a> {
    tiles: &'a Tiles<'a>,
    size: u64,
    root: Hash,
    first: u64,
    kept: Vec<Hash>,
}

impl<'a> Leaves<'a> {
    fn new(tiles: &'a Tiles<'a>, signed: &Checkpoint) -> Self {
        Self { tiles, size: signed.size(), root: *signed.hash(), first: 0, kept: Vec::new() }
    }

    /// None beyond the checkpoint.
    fn at(&mut self, index: u64) -> Result<Option<Hash>, Failure> {
        if index >= self.size {
            return Ok(None);
        }
        let found = |leaves: &Self| leaves.kept.get(usize::try_from(index.checked_sub(leaves.first)?).ok()?).copied();
        if let Some(hash) = found(self) {
            return Ok(Some(hash));
        }
        self.first = index / 256 * 256;
        let wanted: Vec<u64> = (self.first..self.size.min(self.first + 256)).map(|index| stored_hash_index(0, index)).collect();
        let hashes = TileHashReader::new(self.size, self.root, self.tiles).read_hashes(&wanted);
        self.kept = hashes.map_err(|error| Failure::wrong(format!("哈希树不符：{error}"), format!("the tiles do not hold: {error}")))?;
        Ok(found(self))
    }
}

fn checkpoint(folder: &Path) -> Result<(Vec<u8>, Checkpoint), Failure> {
    let path = folder.join("checkpoint");
    let bytes = fs::read(&path).map_err(Failure::io(&path))?;
    let note = Note::from_bytes(&bytes).ok();
    let signed = note.and_then(|note| Checkpoint::from_bytes(note.text()).ok());
    let signed = signed.ok_or_else(|| Failure::wrong("检查点无法读取", "the checkpoint cannot be read"))?;
    Ok((bytes, signed))
}

/// Refuses a folder that holds something.
pub fn ready(out: &Path) -> Result<(), Failure> {
    if fs::read_dir(out).is_ok_and(|mut files| files.next().is_some()) {
        return Err(Failure::Io(out.to_owned(), io::ErrorKind::DirectoryNotEmpty.into()));
    }
    fs::create_dir_all(out).map_err(Failure::io(out))
}

/// Exports the entries of a period into `out`, which must be absent or empty.
pub fn export(folder: &Path, since: Option<Timestamp>, until: Option<Timestamp>, out: &Path) -> Result<Manifest, Failure> {
    ready(out)?;
    let (note, signed) = checkpoint(folder)?;
    let tiles = Tiles { folder, asked: RefCell::default() };
    let mut leaves = Leaves::new(&tiles, &signed);
    let mut manifest = Manifest { v: 1, origin: signed.origin().to_owned(), size: signed.size(), ..Manifest::default() };
    (manifest.since, manifest.until) = (since.map(time_text), until.map(time_text));
    let path = out.join("entries.jsonl");
    let mut file = BufWriter::new(fs::File::create(&path).map_err(Failure::io(&path))?);
    let from = since.map_or(Ok(0), |since| query::first_at(folder, since)).map_err(Failure::io(folder))?;
    let filter = Filter { since, until, ..Filter::default() };
    let mut failed = None;
    query::read(folder, from, |record| match filter.judge(&record.entry) {
        Judged::TooLate => ControlFlow::Break(()),
        Judged::Differs => ControlFlow::Continue(()),
        Judged::Fits => match add(&mut file, &mut leaves, &mut manifest, &record) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        },
    })
    .map_err(Failure::io(folder))?;
    failed.map_or(Ok(()), Err)?;
    file.flush().map_err(Failure::io(&path))?;
    for (level, n, width) in tiles.asked.into_inner() {
        let width = usize::try_from(width).unwrap_or(256);
        let to = tile_path(out, Some(level.into()), n, width);
        let mut bytes = read_tile(folder, Some(level.into()), n, width).map_err(Failure::io(&to))?;
        bytes.truncate(width * 32);
        to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&to, bytes)).map_err(Failure::io(&to))?;
    }
    fs::copy(folder.join("log.vkey"), out.join("log.vkey")).map_err(Failure::io(&folder.join("log.vkey")))?;
    fs::write(out.join("checkpoint"), note).map_err(Failure::io(out))?;
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| Failure::Io(out.to_owned(), error.into()))?;
    fs::write(out.join("manifest.json"), format!("{text}\n")).map_err(Failure::io(out))?;
    Ok(manifest)
}

fn add(out: &mut impl Write, leaves: &mut Leaves<'_>, manifest: &mut Manifest, record: &Record) -> Result<(), Failure> {
    let index = record.index;
    match leaves.at(index)? {
        None => manifest.uncovered += 1,
        Some(leaf) if leaf.0 == record.leaf => {
            manifest.first.get_or_insert(index);
            manifest.count += 1;
            write_line(out, record).map_err(Failure::io(Path::new("entries.jsonl")))?;
        }
        Some(_) => {
            let en = format!("entry {index} is not the one that was signed: run `kanhe ledger verify`");
            return Err(Failure::wrong(format!("第 {index} 条不是签名时的记录：请运行 `kanhe ledger verify`"), en));
        }
    }
    Ok(())
}

/// The entry's exact bytes within one line.
pub fn write_line(out: &mut impl Write, record: &Record) -> io::Result<()> {
    write!(out, r#"{{"index":{},"leaf":"{}","entry":"#, record.index, BASE64_STANDARD.encode(record.leaf))?;
    out.write_all(&record.entry)?;
    out.write_all(b"}\n")
}

#[derive(Deserialize)]
struct Line<'a> {
    index: u64,
    leaf: &'a str,
    #[serde(borrow)]
    entry: &'a RawValue,
}

/// Judges an export with the log's verifier key, by its files alone: every entry is the one that was signed at its
/// index, none between the first and the last is missing, and their times are in order and within the period.
pub fn check(out: &Path, key: &str) -> Result<Manifest, Failure> {
    let (note, signed) = checkpoint(out)?;
    if !is_signed(&note, key, signed.origin()) {
        return Err(Failure::wrong("检查点不是以该公钥签名的", "the checkpoint is not signed with that key"));
    }
    let path = out.join("manifest.json");
    let manifest = fs::read(&path).map_err(Failure::io(&path))?;
    let manifest: Manifest = serde_json::from_slice(&manifest)
        .map_err(|error| Failure::wrong(format!("`manifest.json`：{error}"), format!("`manifest.json`: {error}")))?;
    if (manifest.origin.as_str(), manifest.size) != (signed.origin(), signed.size()) {
        return Err(Failure::wrong("`manifest.json` 与检查点不符", "`manifest.json` is not of this checkpoint"));
    }
    let tiles = Tiles { folder: out, asked: RefCell::default() };
    let mut leaves = Leaves::new(&tiles, &signed);
    let path = out.join("entries.jsonl");
    let lines = BufReader::new(fs::File::open(&path).map_err(Failure::io(&path))?).lines();
    let (mut count, mut last) = (0, String::new());
    for line in lines {
        let line = line.map_err(Failure::io(&path))?;
        let index = manifest.first.unwrap_or(0) + count;
        check_line(&line, index, &mut leaves, &manifest, &mut last)?;
        count += 1;
    }
    if count == manifest.count {
        Ok(manifest)
    } else {
        Err(Failure::wrong("条数与清单不符", "there are not as many entries as `manifest.json` says"))
    }
}

fn check_line(line: &str, index: u64, leaves: &mut Leaves<'_>, manifest: &Manifest, last: &mut String) -> Result<(), Failure> {
    let wrong = |zh: &str, en: &str| Failure::wrong(format!("第 {index} 条：{zh}"), format!("entry {index}: {en}"));
    let read: Line<'_> = serde_json::from_str(line).map_err(|_| wrong("无法读取", "its line cannot be read"))?;
    if read.index != index {
        return Err(wrong("缺失或次序不对", "it is missing, or out of order"));
    }
    let entry = read.entry.get().as_bytes();
    let leaf = record_hash(entry);
    if leaves.at(index)? != Some(leaf) || read.leaf != BASE64_STANDARD.encode(leaf.0) {
        return Err(wrong("不是签名时的记录", "it is not the one that was signed"));
    }
    let time = Gist::read(entry).map(|gist| gist.time.to_owned()).ok_or_else(|| wrong("无法读取", "it cannot be read"))?;
    let within = manifest.since.as_ref().is_none_or(|since| time >= *since) && manifest.until.as_ref().is_none_or(|until| time < *until);
    if time < *last || !within {
        return Err(wrong("时间不在该时段内或倒退", "its time goes back, or is outside the period"));
    }
    *last = time;
    Ok(())
}

/// Whether one of the keys (one a line: a log keeps its earlier ones) signed the note.
fn is_signed(note: &[u8], keys: &str, origin: &str) -> bool {
    let Ok(note) = Note::from_bytes(note) else { return false };
    keys.lines().filter_map(|key| StandardVerifier::new(key.trim()).ok()).filter(|key| key.name() == origin).any(|key| {
        let list = VerifierList::new(vec![Box::new(key)]);
        note.verify(&list).is_ok()
    })
}
