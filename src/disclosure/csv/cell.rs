//! Cells of CSV in a window of bytes: where each ends, and how one is written.

use super::Reason;

/// What stands behind a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Comma,
    Line,
    Content,
}

/// A cell that was read whole.
#[derive(Debug)]
pub(super) struct Cell<'w> {
    /// As it is spelt.
    pub(super) raw: &'w [u8],
    /// Without the quotes around it.
    pub(super) inner: &'w [u8],
    /// Quotes in it stand twice.
    pub(super) doubled: bool,
    pub(super) end: End,
    /// Where the next cell begins.
    pub(super) next: usize,
}

/// Why no cell ends in the window.
#[derive(Debug)]
pub(super) enum Fault {
    More,
    Bad(usize, Reason),
}

/// How far an unfinished cell was judged, from its first byte on.
#[derive(Debug, Default)]
pub(super) struct Progress {
    judged: usize,
    doubled: bool,
}

/// Reads the cell that begins at `start`. It may go on behind the window, unless that is the `last`.
pub(super) fn read<'w>(window: &'w [u8], start: usize, last: bool, progress: &mut Progress) -> Result<Cell<'w>, Fault> {
    if window.get(start) == Some(&b'"') {
        return quoted(window, start, last, progress);
    }
    let mut at = start + progress.judged;
    while let Some(byte) = window.get(at)
        && (!matches!(byte, b',' | b'"' | 0x7f | 0..0x20) || *byte == b'\t')
    {
        at += 1;
    }
    progress.judged = at - start;
    if window.get(at) == Some(&b'"') {
        return Err(Fault::Bad(at, Reason::Quote));
    }
    let (end, next) = end(window, at, last, Reason::Control)?;
    let raw = &window[start..at];
    Ok(Cell { raw, inner: raw, doubled: false, end, next })
}

fn quoted<'w>(window: &'w [u8], start: usize, last: bool, progress: &mut Progress) -> Result<Cell<'w>, Fault> {
    let mut at = start + progress.judged.max(1);
    loop {
        let close = memchr::memchr(b'"', &window[at..]).map(|length| at + length);
        let judged = &window[at..close.unwrap_or(window.len())];
        if let Some(control) = judged.iter().position(|byte| matches!(byte, 0x7f | 0..0x20) && !matches!(byte, b'\t' | b'\r' | b'\n')) {
            return Err(Fault::Bad(at + control, Reason::Control));
        }
        progress.judged = at + judged.len() - start;
        let close = close.ok_or(Fault::More)?;
        match window.get(close + 1) {
            Some(b'"') => {
                progress.doubled = true;
                at = close + 2;
            }
            None if !last => return Err(Fault::More),
            _ => {
                let (end, next) = end(window, close + 1, last, Reason::Quote)?;
                return Ok(Cell { raw: &window[start..=close], inner: &window[start + 1..close], doubled: progress.doubled, end, next });
            }
        }
    }
}

/// What ends a cell at `at`, and where the next begins.
fn end(window: &[u8], at: usize, last: bool, otherwise: Reason) -> Result<(End, usize), Fault> {
    match (window.get(at), window.get(at + 1)) {
        (Some(b','), _) => Ok((End::Comma, at + 1)),
        (Some(b'\n'), _) => Ok((End::Line, at + 1)),
        (Some(b'\r'), Some(b'\n')) => Ok((End::Line, at + 2)),
        (Some(b'\r'), None) if !last => Err(Fault::More),
        (None, _) if last => Ok((End::Content, at)),
        (None, _) => Err(Fault::More),
        _ => Err(Fault::Bad(at, otherwise)),
    }
}

/// Writes a cell whose text is put behind `out`, in quotes where it needs them; nothing where there is no text.
pub(super) fn write(out: &mut Vec<u8>, text: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
    let before = out.len();
    if !text(out) {
        out.truncate(before);
        return false;
    }
    if out[before..].iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        let plain = out.split_off(before);
        out.push(b'"');
        for byte in plain {
            if byte == b'"' {
                out.push(b'"');
            }
            out.push(byte);
        }
        out.push(b'"');
    }
    true
}
