//! The place of a problem as a person sees it: the line, and a mark under the column.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::written::Problem;

/// Lines are shown up to this many columns.
const WIDEST: usize = 160;

/// Files that problems are in, each read once.
pub(super) struct Excerpts {
    folder: Option<PathBuf>,
    texts: HashMap<String, Option<String>>,
}

impl Excerpts {
    /// Paths of problems are relative to `folder`, or as they stand.
    pub(super) fn new(folder: Option<&Path>) -> Self {
        Self { folder: folder.map(Path::to_owned), texts: HashMap::new() }
    }

    /// The excerpt, where the file can be read and has such a line.
    pub(super) fn of(&mut self, problem: &Problem) -> Option<String> {
        let place = &problem.place;
        let folder = self.folder.as_deref();
        let text = self.texts.entry(place.file.to_string()).or_insert_with(|| {
            let within = folder.and_then(|folder| std::fs::read_to_string(folder.join(&*place.file)).ok());
            within.or_else(|| std::fs::read_to_string(&*place.file).ok())
        });
        let line = text.as_deref()?.lines().nth((place.line as usize).checked_sub(1)?)?;
        mark(line, place.line, place.column as usize)
    }
}

/// The line behind its number, and the mark beneath.
fn mark(line: &str, number: u32, column: usize) -> Option<String> {
    if line.trim().is_empty() {
        return None;
    }
    let shown: String = line.chars().take(WIDEST).map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect();
    let before: usize = shown.chars().take(column.saturating_sub(1)).map(width).sum();
    let number = number.to_string();
    let margin = " ".repeat(number.len());
    Some(format!("  {number} | {shown}\n  {margin} | {}^", " ".repeat(before)))
}

/// Chinese characters take two places on a terminal.
fn width(c: char) -> usize {
    let wide = matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{20000}'..='\u{3fffd}');
    if wide { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::mark;

    #[test]
    fn the_mark_stands_under_the_column() {
        assert_eq!(mark("permit (principal);", 7, 8).unwrap(), "  7 | permit (principal);\n    |        ^");
        assert_eq!(mark("住房 x", 12, 4).unwrap(), "  12 | 住房 x\n     |      ^");
        assert_eq!(mark("\ta", 1, 2).unwrap(), "  1 |  a\n    |  ^");
        assert_eq!(mark("  ", 1, 1), None);
    }
}
