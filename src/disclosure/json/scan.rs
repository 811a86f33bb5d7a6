//! Tokens of JSON in a window of bytes that are known to be UTF-8: where each ends, judged by RFC 8259 and nothing
//! beyond it. A token that the window does not hold to its end is asked for again with more.

use super::Reason;

/// Why no token ends in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The window ends first.
    More,
    /// It is no token of JSON, from this byte of the window on.
    Bad(usize, Reason),
}

/// How far an unfinished string was judged, from its opening quote on, so that no byte is looked at for each piece.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    judged: usize,
    /// It holds escapes.
    pub(super) escaped: bool,
}

impl Progress {
    /// Whether some of a string was judged, and its end not seen.
    #[inline]
    pub(super) fn is_begun(&self) -> bool {
        self.judged > 0
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Goes past white space.
#[inline]
pub(super) fn space(window: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = window.get(at) {
        at += 1;
    }
    at
}

/// Whether these bytes stand at `at`. They are few, and a call to compare them would take longer than comparing.
#[inline]
pub(super) fn stands(window: &[u8], at: usize, bytes: &[u8]) -> bool {
    let Some(there) = window.get(at..at + bytes.len()) else { return false };
    let ((theirs, _), (ours, _)) = (there.as_chunks::<8>(), bytes.as_chunks::<8>());
    if theirs.iter().zip(ours).any(|(a, b)| u64::from_ne_bytes(*a) != u64::from_ne_bytes(*b)) {
        return false;
    }
    match (there.last_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(a), Some(b)) => u64::from_ne_bytes(*a) == u64::from_ne_bytes(*b),
        _ => there.iter().zip(bytes).all(|(a, b)| a == b),
    }
}

/// The first byte, from `at` on, that is not plain content of a string: a quote, a backslash or a control character.
#[inline]
pub(super) fn special(window: &[u8], mut at: usize) -> usize {
    while let Some(eight) = window.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let eight = u64::from_le_bytes(*eight);
        let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
        let control = eight.wrapping_sub(ONES * 0x20) & !eight;
        let found = (zero(eight ^ (ONES * u64::from(b'"'))) | zero(eight ^ (ONES * u64::from(b'\\'))) | control) & HIGHS;
        if found != 0 {
            // The lowest mark is exact: borrows only reach upwards.
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(byte) = window.get(at)
        && !matches!(byte, b'"' | b'\\' | 0..0x20)
    {
        at += 1;
    }
    at
}

/// The end, behind the closing quote, of the string whose opening quote stands at `start`.
#[inline]
pub(super) fn string(window: &[u8], start: usize, progress: &mut Progress) -> Result<usize, Fault> {
    let at = special(window, start + progress.judged.max(1));
    if window.get(at) == Some(&b'"') { Ok(at + 1) } else { from_special(window, start, at, progress) }
}

/// The same from the first byte on that is not plain, or the window's end.
fn from_special(window: &[u8], start: usize, mut at: usize, progress: &mut Progress) -> Result<usize, Fault> {
    loop {
        progress.judged = at - start;
        match window.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => {
                at = escape(window, at)?;
                progress.escaped = true;
            }
            Some(_) => return Err(Fault::Bad(at, Reason::Control)),
            None => return Err(Fault::More),
        }
        at = special(window, at);
    }
}

/// The end of the escape whose backslash stands at `at`; both halves of a surrogate pair are one.
fn escape(window: &[u8], at: usize) -> Result<usize, Fault> {
    match window.get(at + 1) {
        None => return Err(Fault::More),
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => return Ok(at + 2),
        Some(b'u') => {}
        Some(_) => return Err(Fault::Bad(at, Reason::Escape)),
    }
    match unit(window, at)? {
        0xd800..0xdc00 => {
            let second = at + 6;
            let lone = match (window.get(second), window.get(second + 1)) {
                (None, _) | (Some(b'\\'), None) => return Err(Fault::More),
                (Some(b'\\'), Some(b'u')) => !(0xdc00..0xe000).contains(&unit(window, second)?),
                _ => true,
            };
            if lone { Err(Fault::Bad(at, Reason::LoneSurrogate)) } else { Ok(at + 12) }
        }
        0xdc00..0xe000 => Err(Fault::Bad(at, Reason::LoneSurrogate)),
        _ => Ok(at + 6),
    }
}

/// The four digits of the `\u` whose backslash stands at `at`.
fn unit(window: &[u8], at: usize) -> Result<u32, Fault> {
    let mut unit = 0;
    for place in at + 2..at + 6 {
        let byte = window.get(place).ok_or(Fault::More)?;
        unit = unit * 16 + char::from(*byte).to_digit(16).ok_or(Fault::Bad(at, Reason::Escape))?;
    }
    Ok(unit)
}

/// What a string's raw content, already judged, stands for.
pub(super) fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let code = |at: usize| escape.get(at..at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0);
        let (character, length) = match escape.as_bytes().first() {
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(b'u') => match code(1) {
                high @ 0xd800..0xdc00 => {
                    (char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (code(7).wrapping_sub(0xdc00) & 0x3ff)).unwrap_or('\u{fffd}'), 11)
                }
                code => (char::from_u32(code).unwrap_or('\u{fffd}'), 5),
            },
            Some(other) => (char::from(*other), 1),
            None => break,
        };
        text.push(character);
        rest = escape.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

/// The end of the number that begins at `start`. It may go on behind the window, unless that is the `last`.
pub(super) fn number(window: &[u8], start: usize, last: bool) -> Result<usize, Fault> {
    let mut at = start;
    if window.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match window.get(at) {
        // A digit after it would read on as nothing that may follow a value.
        Some(b'0') => at + 1,
        _ => digits(window, at)?,
    };
    if window.get(at) == Some(&b'.') {
        at = digits(window, at + 1)?;
    }
    if let Some(b'e' | b'E') = window.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = window.get(at) {
            at += 1;
        }
        at = digits(window, at)?;
    }
    if at == window.len() && !last { Err(Fault::More) } else { Ok(at) }
}

/// Goes past digits, of which there must be one.
fn digits(window: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start;
    while window.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    match (at > start, at == window.len()) {
        (true, _) => Ok(at),
        (false, true) => Err(Fault::More),
        (false, false) => Err(Fault::Bad(at, Reason::Number)),
    }
}

/// The end of the `true`, `false` or `null` that begins at `start`.
pub(super) fn literal(window: &[u8], start: usize) -> Result<usize, Fault> {
    let rest = &window[start..];
    for literal in [&b"null"[..], b"true", b"false"] {
        if rest.starts_with(literal) {
            return Ok(start + literal.len());
        }
        if literal.starts_with(rest) {
            return Err(Fault::More);
        }
    }
    Err(Fault::Bad(start, Reason::Syntax))
}
