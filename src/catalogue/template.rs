//! Path templates: what the catalogue may register as a path, and the one spelling in which paths are matched and sent.
//! The gateway normalises a call's path before it is matched; a template that is not in that normal form could never
//! match, or match two resources, and is refused.

use std::fmt::Write;

use crate::lang::Text;
use crate::written::is_id;

/// One segment of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment<'t> {
    /// These characters.
    Literal(&'t str),
    /// `{name}`: any one segment.
    Parameter(&'t str),
}

/// The segments of a registered path, which begins with `/`.
pub(super) fn segments(path: &str) -> impl Iterator<Item = Segment<'_>> {
    path.strip_prefix('/').unwrap_or(path).split('/').map(|segment| {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        name.map_or(Segment::Literal(segment), Segment::Parameter)
    })
}

/// The names of a template's parameters, in order.
pub(super) fn names(path: &str) -> impl Iterator<Item = &str> {
    segments(path).filter_map(|segment| match segment {
        Segment::Parameter(name) => Some(name),
        Segment::Literal(_) => None,
    })
}

/// Whether `path` is a template in normal form; the error says what would be right.
pub(super) fn check(path: &str) -> Result<String, Text> {
    let right = || {
        Text::new(
            "以 `/` 开头；每段为规范写法的字符（中文等写成 %XX）或 `{名称}`，不含空段、`.`、`..`、`;`、查询串",
            "begin with `/`; each segment is plain characters (others as %XX, upper case) or `{name}`; no empty segment, `.`, `..`, `;` or query",
        )
    };
    if !path.starts_with('/') {
        return Err(right());
    }
    if path == "/.well-known" || path.starts_with("/.well-known/") {
        return Err(Text::new("`/.well-known/` 由网关自用", "`/.well-known/` is the gateway's own"));
    }
    let count = segments(path).count();
    let mut seen = Vec::new();
    for (at, segment) in segments(path).enumerate() {
        let fits = match segment {
            Segment::Parameter(name) => is_id(name) && !seen.contains(&name),
            // A slash at the end is a last segment that is empty.
            Segment::Literal("") => at + 1 == count,
            Segment::Literal(text) => is_normal(text),
        };
        if let Segment::Parameter(name) = segment {
            seen.push(name);
        }
        if !fits {
            return Err(right());
        }
    }
    Ok(path.to_owned())
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Whether a literal segment is spelt as the gateway spells it: RFC 3986 `pchar` without `;`, escapes in upper case and
/// only where they are needed.
fn is_normal(segment: &str) -> bool {
    if matches!(segment, "." | "..") {
        return false;
    }
    let mut rest = segment.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let fits = match byte {
            b'%' => {
                let Some((escape, after)) = rest.split_first_chunk::<2>() else { return false };
                rest = after;
                let lower = escape.iter().any(u8::is_ascii_lowercase);
                !lower
                    && from_hex(*escape).is_some_and(|byte| !is_unreserved(byte) && !matches!(byte, b'/' | b'\\' | b'%' | 0..=0x1f | 0x7f))
            }
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => true,
            _ => is_unreserved(byte),
        };
        if !fits {
            return false;
        }
    }
    true
}

fn from_hex(escape: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(escape[0])? * 16 + digit(escape[1])?).ok()
}

/// A parameter's value, percent-decoded once. None where two readers could understand it differently: an escape that
/// does not decode to text, controls, separators, dots that walk, or what would decode a second time.
pub(super) fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (escape, after) = rest.split_first_chunk::<2>()?;
            rest = after;
            bytes.push(from_hex(*escape)?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().filter(|text| is_plain(text))
}

/// Whether two readers of a path could not understand this value differently.
pub(super) fn is_plain(value: &str) -> bool {
    let separates = |c: char| c.is_control() || matches!(c, '/' | '\\' | ';');
    let escape = |at: usize| value.as_bytes().get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    let twice = value.match_indices('%').any(|(at, _)| escape(at));
    !(value.is_empty() || value == "." || value == ".." || value.contains(separates) || twice)
}

/// Adds a parameter's value to a path, so that it stays one segment.
pub(super) fn encode(value: &str, path: &mut String) {
    for &byte in value.as_bytes() {
        if is_unreserved(byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}
