//! Reads `grants/*.toml`: large files in parts, on every core, and only those that changed since the snapshot before.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::digest::{Context, SHA256, digest};

use super::super::{Grant, ResourcePattern, Scenario};
use super::grant::Reading;
use super::report_twice;
use crate::identity::parties::Parties;
use crate::written::{Document, Problem, Problems};

/// A file is read in parts of about this many bytes, so that no large one is held parsed as a whole.
const PART: usize = 64 << 10;

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

/// A part of a file, by the number of its file.
struct Part<'t> {
    file: usize,
    text: &'t str,
    above: u32,
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
    let parts: Vec<Part<'_>> = changed.flat_map(|(number, (_, (_, text)))| parts(number, text.as_ref())).collect();
    let outcomes = on_every_core(&parts, |part| files.get(part.file).map(|(name, ..)| read_part(name, part, reading)));
    for (part, outcome) in parts.iter().zip(outcomes) {
        if let (Some((grants, errors, warnings)), Some((_, file, _))) = (outcome, files.get_mut(part.file)) {
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
                report_twice(("授权", "grant"), &grant.id, &first, &grant.place, problems);
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

/// Cuts before `[[grants]]` at the start of a line. A file with multi-line strings, which could hold such a line, stays
/// whole.
fn parts(file: usize, text: &str) -> Vec<Part<'_>> {
    const HEADER: &str = "\n[[grants]]";
    let (mut parts, mut rest, mut above) = (Vec::new(), text, 0);
    let cuttable = !text.contains("\"\"\"") && !text.contains("'''");
    while cuttable && rest.len() > PART {
        let from = rest.ceil_char_boundary(PART);
        // The line feed ends the part before.
        let found = rest[from..].find(HEADER);
        let Some((part, after)) = found.and_then(|at| rest.split_at_checked(from + at + 1)) else { break };
        parts.push(Part { file, text: part, above });
        above += u32::try_from(part.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX);
        rest = after;
    }
    parts.push(Part { file, text: rest, above });
    parts
}

fn read_part(file: &Arc<str>, part: &Part<'_>, reading: &Reading<'_>) -> Outcome {
    let problems = Problems::default();
    let document = Document::part(file, part.text, part.above, &problems);
    let root = document.root(&problems);
    let grants = root.tables("grants").into_iter().filter_map(|table| reading.read(table).map(Arc::new)).collect();
    root.finish();
    let (errors, warnings) = problems.into_parts();
    (grants, errors, warnings)
}

/// `work` for each of `all`, in order, by as many threads as there are cores.
fn on_every_core<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(all.len());
    if threads < 2 {
        return all.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = all.get(number) else { return done };
            done.push((number, work(one)));
        }
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for other in others {
            // A panic goes on in whoever asked, as it would without threads.
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_text_and_begin_at_grants() {
        let text: String = (0..4000).map(|n| format!("[[grants]]\nid = \"g-{n}\" # [[grants]]\n  [[grants]] \n")).collect();
        let cut = parts(0, &text);
        assert!(cut.len() > 1);
        assert_eq!(cut.iter().map(|part| part.text).collect::<String>(), text);
        let mut lines = 0;
        for part in &cut {
            assert!(part.text.starts_with("[[grants]]\nid"));
            assert_eq!(part.above, lines);
            lines += u32::try_from(part.text.lines().count()).unwrap();
        }
        assert_eq!(parts(0, &format!("{text}x = \"\"\"\n\"\"\"")).len(), 1);
        assert_eq!(parts(0, "").len(), 1);
    }

    #[test]
    fn work_comes_back_in_order() {
        let all: Vec<usize> = (0..1000).collect();
        assert_eq!(on_every_core(&all, |number| number * 2), (0..1000).map(|number| number * 2).collect::<Vec<_>>());
        assert!(on_every_core(&[0_u8; 0], |byte| *byte).is_empty());
    }
}
