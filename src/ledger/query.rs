//! Reading the ledger's files, gateway running or not: the signed log's bundles, then the journal's tail.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use super::entry::{Gist, time_text};
use super::journal::{Frame, entries, leaf, read_frame, segments};
use super::recover::is_granted;
use super::tree::read_tile;

/// How often a reader starts over when the writer moved files under it.
const PATIENCE: usize = 20;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its index.
    pub index: u64,
    /// Its leaf.
    pub leaf: [u8; 32],
    /// Its exact bytes.
    pub entry: Vec<u8>,
}

/// What a query asks for; what is empty or absent fits everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Exact values of members: `requester`, `department`, `provider`, `resource`, `scenario`, `case`, `kind`.
    pub members: Vec<(&'static str, String)>,
    /// Digests of the operator, one for each key.
    pub operator: Option<Vec<String>>,
    /// Digests of the subject, one for each key.
    pub subject: Option<Vec<String>>,
    /// An item that was disclosed.
    pub item: Option<String>,
    /// A form in which something (the item, if one is asked for) was disclosed.
    pub form: Option<String>,
    /// A determining policy.
    pub policy: Option<String>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// The members that a filter looks at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Seen<'a> {
    #[serde(borrow)]
    requester: Option<Cow<'a, str>>,
    #[serde(borrow)]
    department: Option<Cow<'a, str>>,
    #[serde(borrow)]
    operator: Option<Cow<'a, str>>,
    #[serde(borrow)]
    provider: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource: Option<Cow<'a, str>>,
    #[serde(borrow)]
    scenario: Option<Cow<'a, str>>,
    #[serde(borrow)]
    case: Option<Cow<'a, str>>,
    #[serde(borrow)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    items: BTreeMap<String, serde_json::Value>,
    policies: Vec<String>,
}

impl Filter {
    /// Whether the entry fits.
    pub fn fits(&self, entry: &[u8]) -> bool {
        let Ok(seen) = serde_json::from_slice::<Seen<'_>>(entry) else { return false };
        let one_of = |value: &Option<Cow<'_, str>>, wanted: &Option<Vec<String>>| match wanted {
            None => true,
            Some(wanted) => value.as_ref().is_some_and(|value| wanted.iter().any(|w| w == value)),
        };
        let time = seen.time.as_deref().unwrap_or_default();
        self.members.iter().all(|(name, wanted)| seen.member(name) == Some(wanted))
            && one_of(&seen.operator, &self.operator)
            && one_of(&seen.subject, &self.subject)
            && self.policy.as_ref().is_none_or(|policy| seen.policies.contains(policy))
            && seen.disclosed(self.item.as_deref(), self.form.as_deref())
            && self.since.is_none_or(|since| time >= &*time_text(since))
            && self.until.is_none_or(|until| time < &*time_text(until))
    }
}

impl Seen<'_> {
    fn member(&self, name: &str) -> Option<&str> {
        let value = match name {
            "requester" => &self.requester,
            "department" => &self.department,
            "provider" => &self.provider,
            "resource" => &self.resource,
            "scenario" => &self.scenario,
            "case" => &self.case,
            "kind" => &self.kind,
            _ => &None,
        };
        value.as_deref()
    }

    /// A granted entry says one form of each item, a settled one counts several.
    fn disclosed(&self, item: Option<&str>, form: Option<&str>) -> bool {
        let in_form = |value: &serde_json::Value| form.is_none_or(|form| value == form || value.get(form).is_some());
        match item {
            Some(item) => self.items.get(item).is_some_and(in_form),
            None => form.is_none() || self.items.values().any(in_form),
        }
    }
}

/// Size of the signed log on disk, unverified: `verify` is for that.
pub(super) fn signed_size(folder: &Path) -> io::Result<u64> {
    let note = fs::read_to_string(folder.join("checkpoint"))?;
    note.lines().nth(1).and_then(|line| line.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The journal's batches: first index and bundle.
fn journal(folder: &Path) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let mut batches = Vec::new();
    for (_, path) in segments(folder)? {
        let bytes = fs::read(path)?;
        let (mut offset, mut id) = (0, None);
        while let Some((frame, length)) = read_frame(bytes.get(offset..).unwrap_or_default(), id.as_ref()) {
            match frame {
                Frame::Head { log, .. } => id = Some(log),
                Frame::Batch(batch) => batches.push((batch.first, batch.bundle)),
            }
            offset += length;
        }
    }
    Ok(batches)
}

/// Gives `each` every entry from index `from` on that is durable when this begins, ascending, until it breaks.
pub fn read(folder: &Path, from: u64, mut each: impl FnMut(Record) -> ControlFlow<()>) -> io::Result<()> {
    // The journal first: whatever leaves it meanwhile is then under the checkpoint read after it.
    let moved = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let mut tail = journal(folder);
    for _ in 0..PATIENCE {
        match &tail {
            Err(error) if moved(error) && folder.join("checkpoint").exists() => tail = journal(folder),
            _ => break,
        }
    }
    let tail = tail?;
    let mut next = from;
    let mut give = |index: u64, entry: &[u8]| {
        if index != next {
            return ControlFlow::Continue(());
        }
        next += 1;
        each(Record { index, leaf: leaf(entry), entry: entry.to_vec() })
    };
    let mut size = signed_size(folder)?;
    let mut n = from / 256;
    while n * 256 < size {
        let width = usize::try_from((size - n * 256).min(256)).unwrap_or(256);
        match read_tile(folder, None, n, width) {
            Ok(bundle) => {
                for (index, entry) in (n * 256..).zip(entries(&bundle).take(width)) {
                    if give(index, entry).is_break() {
                        return Ok(());
                    }
                }
                n += 1;
            }
            // A partial bundle went when the log grew: the newer checkpoint names the one that is there.
            Err(error) if moved(&error) && signed_size(folder)? > size => size = signed_size(folder)?,
            Err(error) => return Err(error),
        }
    }
    for (first, bundle) in tail {
        for (index, entry) in (first..).zip(entries(&bundle)) {
            if index >= size && give(index, entry).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The entry at `index`, and where it granted a share the settlement of that share.
pub fn show(folder: &Path, index: u64) -> io::Result<Option<(Record, Option<Record>)>> {
    let mut found: Option<Record> = None;
    let mut settled = None;
    read(folder, index, |record| match &found {
        None => {
            let granted = Gist::read(&record.entry).is_some_and(|gist| is_granted(&gist));
            found = Some(record);
            if granted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }
        Some(_) if Gist::read(&record.entry).is_some_and(|gist| gist.effect() == super::entry::Effect::Closes(index)) => {
            settled = Some(record);
            ControlFlow::Break(())
        }
        Some(_) => ControlFlow::Continue(()),
    })?;
    Ok(found.filter(|record| record.index == index).map(|record| (record, settled)))
}

/// Granted entries by grant since then, read backwards from the end of the signed log.
pub(super) fn day_counts(folder: &Path, since: Timestamp) -> io::Result<HashMap<String, u64>> {
    let since = time_text(since);
    let mut counts = HashMap::new();
    let size = signed_size(folder)?;
    for n in (0..size.div_ceil(256)).rev() {
        let width = usize::try_from((size - n * 256).min(256)).unwrap_or(256);
        let bundle = read_tile(folder, None, n, width)?;
        let mut earlier = false;
        for entry in entries(&bundle).take(width) {
            let gist = Gist::read(entry).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
            earlier |= gist.time < &*since;
            if gist.time >= &*since
                && is_granted(&gist)
                && let Some(grant) = gist.grant
            {
                *counts.entry(grant.into_owned()).or_default() += 1;
            }
        }
        if earlier {
            break;
        }
    }
    Ok(counts)
}
