//! Reads `grants/*.toml`: large files in parts, on every core, and only those that changed since the snapshot before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256, digest};

use super::super::{Grant, ResourcePattern, Scenario};
use super::grant::Reading;
use crate::cores::on_every_core;
use crate::identity::parties::Parties;
use crate::written::{Document, Part, Problem, Problems, parts};

/// SHA-256 of something that was read.
type Digest = [u8; 32];

/// The files as they were last read.
#[derive(Debug, Default)]
pub(in crate::purpose) struct Files {
    /// Of everything else that a grant is held against.
    basis: Digest,
    read: BTreeMap<Arc<str>, File>,
}

/// One file, and what reading it gave.
#[derive(Debug, Default)]
struct File {
    digest: Digest,
    grants: Vec<Arc<Grant>>,
    warnings: Vec<Problem>,
}

/// What reading a part gave: grants, errors, warnings.
type Outcome = (Vec<Arc<Grant>>, Vec<Problem>, Vec<Problem>);

/// What grants are held against: names, and the texts of the files that hold more than names. A requester's status or
/// a scenario's dates are not among it, so that suspending one reads no grant again.
pub(super) fn basis<S: AsRef<str>>(parties: &Parties, scenarios: &HashMap<Arc<str>, Arc<Scenario>>, texts: &[(S, S)]) -> Digest {
    let mut context = Context::new(&SHA256);
    let mut add = |part: &str| {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    };
    for (file, text) in texts {
        add(file.as_ref());
        add(text.as_ref());
    }
    let mut requesters: Vec<_> = parties.requesters.values().map(|requester| &requester.value).collect();
    requesters.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    for requester in requesters {
        let departments = std::iter::once(&requester.department).chain(&requester.serves);
        std::iter::once(&requester.id).chain(departments.map(|department| &department.id)).for_each(|id| add(id));
        add("");
    }
    let mut scenarios: Vec<_> = scenarios.values().collect();
    scenarios.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    for scenario in scenarios {
        add(&scenario.id);
        for pattern in &scenario.resources {
            let (kind, id) = match pattern {
                ResourcePattern::One(id) => ("one", id),
                ResourcePattern::Provider(id) => ("provider", id),
            };
            add(kind);
            add(id);
        }
        add("");
    }
    finish(context)
}

fn finish(context: Context) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// Reads every file that is not as it was before, and gives all grants by their id.
pub(super) fn read<S: AsRef<str> + Sync>(
    texts: &[(S, S)],
    reading: &Reading<'_>,
    basis: Digest,
    before: Option<&Files>,
    problems: &Problems,
) -> (Files, HashMap<Arc<str>, Arc<Grant>>) {
    let before = before.filter(|files| files.basis == basis);
    let mut files: Vec<(Arc<str>, File, bool)> = on_every_core(texts, |(name, text)| {
        let digest = digest_of(text.as_ref());
        let (name, known) = (name.as_ref(), before.and_then(|files| files.read.get_key_value(name.as_ref())));
        match known.filter(|(_, file)| file.digest == digest) {
            Some((name, file)) => (name.clone(), File { digest, grants: file.grants.clone(), warnings: file.warnings.clone() }, true),
            None => (name.into(), File { digest, ..File::default() }, false),
        }
    });
    let changed = files.iter().zip(texts).enumerate().filter(|(_, ((_, _, known), _))| !known);
    let cut = |(number, text)| parts(text, "grants").into_iter().map(move |part| (number, part));
    let parts: Vec<(usize, Part<'_>)> = changed.map(|(number, (_, (_, text)))| (number, text.as_ref())).flat_map(cut).collect();
    let outcomes = on_every_core(&parts, |(number, part)| files.get(*number).map(|(name, ..)| read_part(name, part, reading)));
    for ((number, _), outcome) in parts.iter().zip(outcomes) {
        if let (Some((grants, errors, warnings)), Some((_, file, _))) = (outcome, files.get_mut(*number)) {
            file.grants.extend(grants);
            file.warnings.extend(warnings);
            problems.add(errors, Vec::new());
        }
    }
    let mut all: HashMap<Arc<str>, Arc<Grant>> = HashMap::with_capacity(files.iter().map(|(_, file, _)| file.grants.len()).sum());
    for (_, file, _) in &files {
        problems.add(Vec::new(), file.warnings.clone());
        for grant in &file.grants {
            if let Some(first) = all.get(&grant.id) {
                let first = format!("{}:{}", first.place.file, first.place.line);
                problems.known_from(&first, ("授权", "grant"), &grant.id, &grant.place);
                continue;
            }
            all.insert(grant.id.clone(), grant.clone());
        }
    }
    (Files { basis, read: files.into_iter().map(|(name, file, _)| (name, file)).collect() }, all)
}

fn digest_of(text: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

fn read_part(file: &Arc<str>, part: &Part<'_>, reading: &Reading<'_>) -> Outcome {
    let problems = Problems::default();
    // Every place counts its name's users: threads that share one wait for each other.
    let document = Document::part(&Arc::from(&**file), part, &problems);
    let root = document.root(&problems);
    let grants = root.tables("grants").into_iter().filter_map(|table| reading.read(table).map(Arc::new)).collect();
    root.finish();
    let (errors, warnings) = problems.into_parts();
    (grants, errors, warnings)
}
