//! Strings of a document, identifiers, region codes, and the nearest known word for "did you mean".

use super::{Document, Place, Placed};
use crate::lang::Text;

/// A string where it is written. Its place costs nothing until it is asked for.
#[derive(Clone, Copy)]
pub struct Word<'d, 'i> {
    /// What it says.
    pub text: &'d str,
    pub(super) at: u32,
    pub(super) document: &'d Document<'i>,
}

impl<'d> Word<'d, '_> {
    /// A part of it, told with its place.
    pub const fn part(self, text: &'d str) -> Self {
        Self { text, ..self }
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        self.document.place_of(self.at)
    }

    /// Copied, with its place.
    pub fn placed<T: for<'t> From<&'t str>>(&self) -> Placed<T> {
        Placed { value: self.text.into(), place: self.place() }
    }
}

/// Whether `text` is an identifier of the control folder (DESIGN: ids, item and network names).
pub fn is_id(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 64
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Whether `text` is a region code: 6 to 12 digits.
pub fn is_region(text: &str) -> bool {
    (6..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The word of `known` that is most like `written`, for "did you mean".
pub fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.into_iter().map(|word| (distance(word, written), word)).min()?;
    (near.0 <= 2 + written.len() / 6).then_some(near.1)
}

/// The same, as the help of an error.
pub fn did_you_mean<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<Text> {
    nearest(written, known).map(|near| Text::new(format!("是否应为 `{near}`？"), format!("did you mean `{near}`?")))
}

/// Levenshtein's distance: how many letters differ.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}
