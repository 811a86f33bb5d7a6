//! Reads `grades.toml`: by how much many records together are graded higher than one.

use crate::written::{Document, Problems};

/// From so many records on, so many grades higher.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    records: u64,
    by: i64,
}

/// The steps of `grades.toml`.
pub(super) fn read((file, text): (&str, &str), problems: &Problems) -> Vec<Step> {
    let document = Document::parse(file, text, problems);
    let root = document.root(problems);
    let mut steps = Vec::new();
    for table in root.tables("uplift") {
        let records = table.integer("records", 1..=i64::MAX).and_then(|records| u64::try_from(records).ok());
        let by = table.integer("by", 1..=3);
        table.finish();
        steps.extend(records.zip(by).map(|(records, by)| Step { records, by }));
    }
    root.finish();
    steps
}

/// By how much an answer of at most so many records is graded higher.
pub(super) fn of(steps: &[Step], max_records: u64) -> i64 {
    steps.iter().filter(|step| step.records <= max_records).map(|step| step.by).max().unwrap_or(0)
}
