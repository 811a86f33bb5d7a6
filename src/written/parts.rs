//! A large register cut before its tables, so that it is read in parts on every core and never held parsed as a whole.

/// About how many bytes a part has.
const PART: usize = 64 << 10;

/// A part of a file.
#[derive(Clone, Copy, Debug)]
pub struct Part<'t> {
    /// What it says.
    pub text: &'t str,
    /// Lines of the file before it.
    pub above: u32,
}

/// Cuts before `[[name]]` at the start of a line. A file with multi-line strings, which could hold such a line, stays
/// whole.
pub fn parts<'t>(text: &'t str, name: &str) -> Vec<Part<'t>> {
    let header = format!("\n[[{name}]]");
    let (mut parts, mut rest, mut above) = (Vec::new(), text, 0);
    let cuttable = text.len() > PART && !text.contains("\"\"\"") && !text.contains("'''");
    while cuttable && rest.len() > PART {
        let from = rest.ceil_char_boundary(PART);
        // The line feed ends the part before.
        let found = rest[from..].find(&header);
        let Some((part, after)) = found.and_then(|at| rest.split_at_checked(from + at + 1)) else { break };
        parts.push(Part { text: part, above });
        above += u32::try_from(part.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX);
        rest = after;
    }
    parts.push(Part { text: rest, above });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_text_and_begin_at_tables() {
        let text: String = (0..4000).map(|n| format!("[[grants]]\nid = \"授权-{n}\" # [[grants]]\n  [[grants]] \n")).collect();
        let cut = parts(&text, "grants");
        assert!(cut.len() > 1);
        assert_eq!(cut.iter().map(|part| part.text).collect::<String>(), text);
        let mut lines = 0;
        for part in &cut {
            assert!(part.text.starts_with("[[grants]]\nid"));
            assert_eq!(part.above, lines);
            lines += u32::try_from(part.text.lines().count()).unwrap();
        }
        assert_eq!(parts(&text, "requesters").len(), 1);
        assert_eq!(parts(&format!("{text}x = \"\"\"\n\"\"\""), "grants").len(), 1);
        assert_eq!(parts("", "grants").len(), 1);
    }
}
