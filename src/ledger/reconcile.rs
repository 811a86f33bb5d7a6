//! Reconciling: what a requester or an origin kept, held against the ledger. A share that only one side knows is found
//! from either: a receipt without its entry, an entry without its receipt, a call at the origin that no entry names, an
//! entry whose call never came.
//!
//! Receipts are files with `Share-Receipt` values (one a line, with or without the field's name, as in kept answers'
//! heads) or receipt bundles (one JSON object). An origin's log is text or JSON lines; the Share-Id is taken from a
//! member or label of that name (`Share-Id`, `share_id`, `http_share_id`, …), else from any 32 hex digits of the line.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;

use super::entry::{Effect, Gist, time_text};
use super::query;
use super::report::Period;

/// Longer lines and files are no receipts.
const MOST_RECEIPT: u64 = 1 << 20;
/// Most findings of one kind that are listed; all are counted.
pub const MOST_LISTED: usize = 1000;

/// What one side kept and how it stands to the ledger.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// What was read: receipts, or lines.
    pub read: u64,
    /// Of them, those that are in the ledger.
    pub matched: u64,
    /// Kept, but not in the ledger, or not as it was kept: where it stands, and why not.
    pub unrecorded: Findings<(String, &'static str)>,
    /// In the ledger for the same requesters or resources in the same time, but not kept: index, id and how it ended.
    pub unkept: Findings<(u64, String, String)>,
    /// As `unkept`, where how the share ended explains it: it failed, or is not settled. No contradiction.
    pub explained: u64,
}

/// A counted list.
#[derive(Clone, Debug)]
pub struct Findings<T> {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub listed: Vec<T>,
}

impl<T> Default for Findings<T> {
    fn default() -> Self {
        Self { count: 0, listed: Vec::new() }
    }
}

impl<T> Findings<T> {
    fn add(&mut self, finding: T) {
        self.count += 1;
        if self.listed.len() < MOST_LISTED {
            self.listed.push(finding);
        }
    }
}

impl Side {
    /// Whether both sides know the same.
    pub fn agrees(&self) -> bool {
        self.unrecorded.count == 0 && self.unkept.count == 0
    }
}

/// What of a granted entry is compared.
struct Granted {
    id: String,
    leaf: [u8; 32],
    requester: String,
    resource: String,
    outcome: String,
}

/// Granted shares of a period, by index, with the log's name.
pub struct Shares {
    granted: BTreeMap<u64, Granted>,
    by_id: HashMap<String, u64>,
    origin: String,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Members {
    id: String,
    requester: String,
    resource: String,
    outcome: String,
}

impl Shares {
    /// Reads the shares of a period from the log's files.
    pub fn read(folder: &Path, period: Period) -> io::Result<Self> {
        let note = fs::read_to_string(folder.join("checkpoint"))?;
        let origin = note.lines().next().unwrap_or_default().to_owned();
        let (mut granted, mut by_id) = (BTreeMap::<u64, Granted>::new(), HashMap::new());
        let from = period.since.map_or(Ok(0), |since| query::first_at(folder, since))?;
        let (since, until) = (period.since.map(time_text), period.until.map(time_text));
        query::read(folder, from, |record| {
            let Some(gist) = Gist::read(&record.entry) else { return ControlFlow::Continue(()) };
            match gist.effect() {
                Effect::Opens => {
                    let within =
                        since.as_deref().is_none_or(|since| gist.time >= since) && until.as_deref().is_none_or(|until| gist.time < until);
                    if within {
                        let members: Members = serde_json::from_slice(&record.entry).unwrap_or_default();
                        by_id.insert(members.id.clone(), record.index);
                        let Members { id, requester, resource, .. } = members;
                        let outcome = "open".to_owned();
                        granted.insert(record.index, Granted { id, leaf: record.leaf, requester, resource, outcome });
                    }
                }
                Effect::Closes(index) => {
                    if let Some(share) = granted.get_mut(&index) {
                        share.outcome = serde_json::from_slice::<Members>(&record.entry).unwrap_or_default().outcome;
                    }
                }
                Effect::Nothing => {}
            }
            ControlFlow::Continue(())
        })?;
        Ok(Self { granted, by_id, origin })
    }

    /// Adds to `side` the shares between the first and the last that matched, of the same kind as those, that were not kept.
    fn find_unkept(&self, side: &mut Side, kept: &BTreeSet<u64>, of: fn(&Granted) -> &str, whole: bool, is_explained: fn(&str) -> bool) {
        let (Some(first), Some(last)) = (kept.first(), kept.last()) else { return };
        let same: HashSet<&str> = kept.iter().filter_map(|index| self.granted.get(index)).map(of).collect();
        // A period that was asked for is judged from end to end; else only what lies between what was kept.
        let range = if whole { 0..=u64::MAX } else { *first..=*last };
        for (index, share) in self.granted.range(range) {
            if kept.contains(index) || !same.contains(of(share)) {
                continue;
            }
            if is_explained(&share.outcome) {
                side.explained += 1;
            } else {
                side.unkept.add((*index, share.id.clone(), share.outcome.clone()));
            }
        }
    }

    /// Holds a requester's kept receipts against the ledger; `whole`: the shares are those of a period that was asked for.
    pub fn receipts(&self, folder: &Path, kept: &Path, whole: bool) -> io::Result<Side> {
        let (mut side, mut matched, mut read) = (Side::default(), BTreeSet::new(), 0);
        let mut outside = Vec::new();
        for file in files(kept)? {
            let name = file.strip_prefix(kept).unwrap_or(&file).display().to_string();
            for (line, receipt) in read_receipts(&file)? {
                read += 1;
                let place = if line == 0 { name.clone() } else { format!("{name}:{line}") };
                match receipt {
                    Err(why) => side.unrecorded.add((place, why)),
                    Ok(receipt) if receipt.origin != self.origin => side.unrecorded.add((place, "another_log")),
                    Ok(receipt) => match self.granted.get(&receipt.index) {
                        Some(share) if share.leaf == receipt.leaf => {
                            matched.insert(receipt.index);
                            side.matched += 1;
                        }
                        Some(_) => side.unrecorded.add((place, "other_entry")),
                        None => outside.push((place, receipt)),
                    },
                }
            }
        }
        // Settled and denied entries have receipts too, and so have shares outside the period.
        outside.sort_by_key(|(_, receipt)| receipt.index);
        for (place, receipt) in outside {
            let mut leaf = None;
            query::read(folder, receipt.index, |record| {
                leaf = Some(record.leaf);
                ControlFlow::Break(())
            })?;
            match leaf {
                Some(leaf) if leaf == receipt.leaf => side.matched += 1,
                Some(_) => side.unrecorded.add((place, "other_entry")),
                None => side.unrecorded.add((place, "no_entry")),
            }
        }
        side.read = read;
        self.find_unkept(&mut side, &matched, |share| &share.requester, whole, |_| false);
        Ok(side)
    }

    /// Holds an origin's access log against the ledger; `whole` as for [`Shares::receipts`].
    pub fn origin_log(&self, log: &Path, whole: bool) -> io::Result<Side> {
        let (mut side, mut matched) = (Side::default(), BTreeSet::new());
        let mut reader = BufReader::new(File::open(log)?);
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            if text.trim().is_empty() {
                continue;
            }
            side.read += 1;
            let ids = share_ids(text.trim());
            match ids.iter().find_map(|id| self.by_id.get(id)) {
                Some(index) => {
                    matched.insert(*index);
                    side.matched += 1;
                }
                None => side.unrecorded.add((number.to_string(), if ids.is_empty() { "no_share_id" } else { "no_entry" })),
            }
        }
        // A share that failed may never have reached the origin; one that is open may be on its way.
        self.find_unkept(&mut side, &matched, |share| &share.resource, whole, |outcome| matches!(outcome, "failed" | "open" | "unknown"));
        Ok(side)
    }
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

struct Receipt {
    origin: String,
    index: u64,
    leaf: [u8; 32],
}

type Read = Vec<(usize, Result<Receipt, &'static str>)>;

/// The receipts in a file with their lines; line 0 stands for the whole file.
fn read_receipts(path: &Path) -> io::Result<Read> {
    if fs::metadata(path)?.len() > MOST_RECEIPT {
        return Ok(vec![(0, Err("not_a_receipt"))]);
    }
    let bytes = fs::read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    if text.trim_start().starts_with('{') {
        return Ok(vec![(0, bundle(&text).ok_or("not_a_receipt"))]);
    }
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
    let found: Read = lines.filter_map(|(n, line)| value(line).map(|value| (n, field(value).ok_or("not_a_receipt")))).collect();
    Ok(if found.is_empty() && !text.trim().is_empty() { vec![(0, Err("not_a_receipt"))] } else { found })
}

/// The value of `Share-Receipt` in a line; other lines of a kept head are passed over.
fn value(line: &str) -> Option<&str> {
    let line = line.strip_prefix("< ").unwrap_or(line);
    match line.split_once(':') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("share-receipt") => Some(value.trim()),
        _ => line.starts_with('"').then_some(line),
    }
}

fn field(text: &str) -> Option<Receipt> {
    let (origin, mut rest) = text.strip_prefix('"')?.split_once('"')?;
    let (mut index, mut leaf) = (None, None);
    while let Some(parameter) = rest.trim_start().strip_prefix(';') {
        // No value that a receipt has holds a semicolon; names and keys are quoted without escapes.
        let (one, after) = parameter.split_once(';').map_or((parameter, ""), |(one, _)| (one, &parameter[one.len()..]));
        match one.trim().split_once('=')? {
            ("index", number) => index = number.parse().ok(),
            ("leaf", bytes) => leaf = BASE64_STANDARD.decode(bytes.strip_prefix(':')?.strip_suffix(':')?).ok()?.try_into().ok(),
            _ => {}
        }
        rest = after;
    }
    Some(Receipt { origin: origin.to_owned(), index: index?, leaf: leaf? })
}

fn bundle(text: &str) -> Option<Receipt> {
    #[derive(serde::Deserialize)]
    struct Bundle {
        origin: String,
        index: u64,
        entry: String,
    }
    let bundle: Bundle = serde_json::from_str(text).ok()?;
    let leaf = super::journal::leaf(&BASE64_STANDARD.decode(bundle.entry).ok()?);
    Some(Receipt { origin: bundle.origin, index: bundle.index, leaf })
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_label(text: &str) -> bool {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    matches!(plain.to_ascii_lowercase().as_str(), "shareid" | "httpshareid" | "sharerequestid")
}

/// The Share-Ids in a line of an access log: the labelled one, else whatever could be one.
fn share_ids(line: &str) -> Vec<String> {
    if let Ok(object @ Value::Object(_)) = serde_json::from_str::<Value>(line) {
        let mut labelled = None;
        let mut any = Vec::new();
        members(&object, "", &mut |name, text| {
            if is_id(text) {
                if is_label(name) {
                    labelled = Some(text.to_ascii_lowercase());
                }
                any.push(text.to_ascii_lowercase());
            }
        });
        return labelled.map_or(any, |id| vec![id]);
    }
    let mut any = Vec::new();
    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).filter(|word| !word.is_empty());
    let mut before = "";
    for word in words {
        if is_id(word) {
            if is_label(before) {
                return vec![word.to_ascii_lowercase()];
            }
            any.push(word.to_ascii_lowercase());
        }
        before = word;
    }
    any
}

fn members(value: &Value, name: &str, each: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => each(name, text),
        Value::Array(values) => values.iter().for_each(|value| members(value, name, each)),
        Value::Object(object) => object.iter().for_each(|(name, value)| members(value, name, each)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_read_as_it_was_kept() {
        let leaf = BASE64_STANDARD.encode([7; 32]);
        let plain = format!("\"gw-1\";index=42;leaf=:{leaf}:;first=40;proof=:AAAA:;key=\"ab\";sig=:BBBB:");
        for line in [plain.clone(), format!("Share-Receipt: {plain}"), format!("< share-receipt: {plain}")] {
            let receipt = field(value(&line).unwrap()).unwrap();
            assert_eq!((receipt.origin.as_str(), receipt.index, receipt.leaf), ("gw-1", 42, [7; 32]), "{line}");
        }
        assert!(value("content-type: application/json").is_none());
        for wrong in ["\"gw-1\"", "\"gw-1\";index=42", "\"gw-1\";index=x;leaf=:AA==:", "gw-1;index=1"] {
            assert!(field(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_share_id_is_found_in_logs_of_many_kinds() {
        let (id, other) = ("0123456789abcdef0123456789abcdef", "ffffffffffffffffffffffffffffffff");
        let one = |line: &str| share_ids(line);
        assert_eq!(one(&format!("127.0.0.1 - - [24/Nov/2026:10:00:00 +0800] \"GET /x HTTP/1.1\" 200 5 \"{id}\"")), [id]);
        assert_eq!(one(&format!("request_id={other} share_id={id} 200")), [id]);
        assert_eq!(one(&format!("Share-Id: \"{id}\" rid={other}")), [id]);
        assert_eq!(one(&format!("{other} {id}")), [other, id]);
        assert_eq!(one(&format!("{{\"request_id\":\"{other}\",\"headers\":{{\"Share-Id\":[\"{id}\"]}}}}")), [id]);
        assert_eq!(one("127.0.0.1 - - \"GET /health HTTP/1.1\" 200 2 \"-\""), [""; 0]);
    }
}
