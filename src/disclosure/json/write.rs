//! What is written: bytes, and strings with the escapes that JSON demands and no others.

use super::scan;

/// What was written and not taken away. At its end stands a stretch of the window that is to be copied, so that what is
/// shown as it came is copied once however many tokens it holds. Each window is settled before the next.
#[derive(Debug, Default)]
pub(super) struct Sink {
    bytes: Vec<u8>,
    from: usize,
    to: usize,
}

impl Sink {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + (self.to - self.from)
    }

    /// Makes room for about as much as the window holds.
    pub(super) fn reserve(&mut self, more: usize) {
        self.bytes.reserve(more);
    }

    /// Copies a stretch of the window.
    #[inline]
    pub(super) fn copy(&mut self, window: &[u8], from: usize, to: usize) {
        if from != self.to {
            self.settle(window);
            self.from = from;
        }
        self.to = to;
    }

    /// Writes what is not the window's.
    #[inline]
    pub(super) fn write(&mut self, window: &[u8], bytes: &[u8]) {
        self.settle(window).extend_from_slice(bytes);
    }

    /// Takes back everything behind this length.
    #[inline]
    pub(super) fn cut(&mut self, length: usize) {
        match length.checked_sub(self.bytes.len()) {
            Some(left) => self.to = self.to.min(self.from + left),
            None => {
                self.bytes.truncate(length);
                self.to = self.from;
            }
        }
    }

    /// Everything as bytes: nothing stands in the window any more.
    #[inline]
    pub(super) fn settle(&mut self, window: &[u8]) -> &mut Vec<u8> {
        if self.from < self.to {
            self.bytes.extend_from_slice(&window[self.from..self.to]);
            self.from = self.to;
        }
        &mut self.bytes
    }

    /// What was written, where nothing stands in a window.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        (self.from, self.to) = (0, 0);
        &mut self.bytes
    }
}

/// Writes a string whose text is put behind `out`; nothing is written where there is none.
pub(super) fn write_string(out: &mut Vec<u8>, text: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
    let before = out.len();
    out.push(b'"');
    if !text(out) {
        out.truncate(before);
        return false;
    }
    let at = scan::special(out, before + 1);
    if at < out.len() {
        escape(out, at);
    }
    out.push(b'"');
    true
}

/// Escapes what stands in `out` from `at` on.
fn escape(out: &mut Vec<u8>, mut at: usize) {
    let plain = out.split_off(at);
    at = 0;
    while at < plain.len() {
        let next = scan::special(&plain, at);
        out.extend_from_slice(&plain[at..next]);
        let Some(byte) = plain.get(next) else { break };
        let short = match byte {
            b'\x08' => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            b'\x0c' => b'f',
            b'\r' => b'r',
            b'"' | b'\\' => *byte,
            _ => 0,
        };
        match short {
            0 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.extend_from_slice(&[b'\\', short]),
        }
        at = next + 1;
    }
}
