//! Plain text that stands in columns, also where Chinese characters take two places each.

use crate::lang::Lang;

/// How many places a text takes on a terminal.
fn width(text: &str) -> usize {
    let wide = |c: char| {
        matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
            | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{20000}'..='\u{3fffd}')
    };
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

fn padded(text: &str, places: usize) -> String {
    format!("{text}{}", " ".repeat(places.saturating_sub(width(text))))
}

/// A line across the page.
pub(super) fn rule() -> String {
    "─".repeat(72)
}

/// Rows of cells, each column as wide as its widest cell.
#[derive(Default)]
pub(super) struct Columns(Vec<Vec<String>>);

impl Columns {
    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.push(cells.into());
    }

    /// The finished lines.
    pub(super) fn lines(&self) -> Vec<String> {
        let count = self.0.iter().map(Vec::len).max().unwrap_or_default();
        let widest = |at: usize| self.0.iter().filter_map(|row| row.get(at)).map(|cell| width(cell)).max().unwrap_or_default();
        let widths: Vec<usize> = (0..count).map(widest).collect();
        let line = |row: &Vec<String>| {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, places)| padded(cell, *places)).collect();
            cells.join("  ").trim_end().to_owned()
        };
        self.0.iter().map(line).collect()
    }
}

/// Names and what they say, one a line.
pub(super) struct Facts {
    lang: Lang,
    rows: Columns,
}

impl Facts {
    pub(super) fn new(lang: Lang) -> Self {
        Self { lang, rows: Columns::default() }
    }

    /// Adds a fact.
    pub(super) fn add(&mut self, name: (&str, &str), value: &str) {
        self.rows.row([super::words::pick(name, self.lang).to_owned(), value.to_owned()]);
    }

    /// Adds a fact unless there is nothing to say.
    pub(super) fn add_filled(&mut self, name: (&str, &str), value: &str) {
        if !value.is_empty() {
            self.add(name, value);
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.rows.lines()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let mut columns = Columns::default();
        columns.row(["身份证号".to_owned(), "4".to_owned()]);
        columns.row(["name".to_owned(), "3".to_owned()]);
        assert_eq!(columns.lines(), ["身份证号  4", "name      3"]);
    }
}
