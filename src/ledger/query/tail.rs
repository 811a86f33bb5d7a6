//! The journal's tail: entries that are durable but not yet under a checkpoint.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::journal::{ALIGN, Frame, peek, read_frame, segments};

/// Read at once; small frames come many together.
const WINDOW: usize = 256 << 10;

/// A file read through a window, so that what is passed over is never read whole.
struct Window {
    file: File,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Up to `length` bytes at `offset`; fewer at the file's end.
    fn at(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let within = |window: &Self| {
            let from = usize::try_from(offset.checked_sub(window.start)?).ok()?;
            (from + length <= window.bytes.len()).then_some(from)
        };
        let from = match within(self) {
            Some(from) => from,
            None => {
                self.fill(offset, length.max(WINDOW))?;
                0
            }
        };
        Ok(self.bytes.get(from..).map_or(&[], |rest| &rest[..rest.len().min(length)]))
    }

    fn fill(&mut self, offset: u64, length: usize) -> io::Result<()> {
        self.bytes.resize(length, 0);
        self.start = offset;
        let mut filled = 0;
        while filled < length {
            match self.file.read_at(&mut self.bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.bytes.truncate(filled);
        Ok(())
    }
}

/// The journal's batches that reach beyond `covered`: first index and bundle.
pub(super) fn batches(folder: &Path, covered: u64) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let segments = segments(folder)?;
    let mut found = Vec::new();
    for (at, (_, path)) in segments.iter().enumerate() {
        if segments.get(at + 1).is_none_or(|(next, _)| *next > covered) {
            segment(path, covered, &mut found)?;
        }
    }
    Ok(found)
}

fn segment(path: &Path, covered: u64, found: &mut Vec<(u64, Vec<u8>)>) -> io::Result<()> {
    let mut window = Window { file: File::open(path)?, start: 0, bytes: Vec::new() };
    let (mut offset, mut id) = (0, None);
    while let Some(peeked) = peek(window.at(offset, ALIGN)?) {
        let known = peeked.entries > 0 && peeked.first.saturating_add(peeked.entries) <= covered;
        if !known {
            match read_frame(window.at(offset, peeked.length)?, id.as_ref()) {
                Some((Frame::Head { log, .. }, _)) => id = Some(log),
                Some((Frame::Batch(batch), _)) => found.push((batch.first, batch.bundle)),
                None => break,
            }
        }
        offset += peeked.length as u64;
    }
    Ok(())
}
