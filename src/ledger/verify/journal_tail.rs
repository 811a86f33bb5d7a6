//! The journal as the auditor reads it: its own parser of the frames that `journal.rs` describes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tlog_tiles::record_hash;

use super::Bad;

/// The journal's entries by index.
pub(super) struct Tail(BTreeMap<u64, Vec<u8>>);

fn big_endian(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    bytes.get(at..at + length).map(|bytes| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn size(bytes: &[u8], at: usize) -> Option<usize> {
    big_endian(bytes, at, 4).and_then(|n| usize::try_from(n).ok())
}

/// Kind, first index, body and whole length of the frame at the start of `bytes`, not yet checked.
fn frame(bytes: &[u8]) -> Option<(u8, u64, &[u8], usize)> {
    if !bytes.starts_with(b"KHJ1") {
        return None;
    }
    let body = bytes.get(64..64 + size(bytes, 8)?)?;
    Some((*bytes.get(4)?, big_endian(bytes, 12, 8)?, body, (64 + body.len()).div_ceil(64) * 64))
}

fn check(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().try_into().unwrap_or_default()
}

/// The entries of a batch, where its check holds.
fn batch<'b>(bytes: &[u8], log: &[u8], body: &'b [u8]) -> Option<Vec<&'b [u8]>> {
    let (count, salts) = (size(bytes, 20)?, size(bytes, 24)?.checked_mul(40)?);
    let (mut rest, salts) = body.split_at_checked(body.len().checked_sub(salts)?)?;
    let (mut found, mut leaves) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        let length = usize::try_from(big_endian(rest, 0, 2)?).ok()?;
        let entry = rest.get(2..2 + length)?;
        leaves.extend_from_slice(&record_hash(entry).0);
        found.push(entry);
        rest = &rest[2 + length..];
    }
    (found.len() == count && check(&[log, bytes.get(..28)?, &leaves, salts]) == bytes.get(28..60)?).then_some(found)
}

impl Tail {
    pub(super) fn read(folder: &Path) -> Result<Self, Bad> {
        let trouble = |error: std::io::Error| Bad::new(0, format!("`journal`：{error}"), format!("`journal`: {error}"));
        let mut paths = Vec::new();
        for file in fs::read_dir(folder.join("journal")).map_err(trouble)? {
            let path = file.map_err(trouble)?.path();
            if path.extension().is_some_and(|extension| extension == "seg") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut tail = Self(BTreeMap::new());
        for path in paths {
            match fs::read(&path) {
                Ok(bytes) => tail.segment(&bytes)?,
                // Covered by a checkpoint meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(trouble(error)),
            }
        }
        Ok(tail)
    }

    fn segment(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        let (mut rest, mut log) = (bytes, &[][..]);
        let mut next = 0;
        while let Some((kind, first, body, length)) = frame(rest) {
            if kind == 1 {
                log = body.get(..32).unwrap_or_default();
                if check(&[log, rest.get(..28).unwrap_or_default(), body]) != rest.get(28..60).unwrap_or_default() {
                    return Err(Bad::new(first, "日志文件头已损坏", "the journal file's head is damaged"));
                }
            } else if let Some(entries) = batch(rest, log, body) {
                self.0.extend((first..).zip(entries.into_iter().map(<[u8]>::to_vec)));
            } else {
                break;
            }
            next = self.0.last_key_value().map_or(first, |(last, _)| last + 1);
            rest = rest.get(length..).unwrap_or_default();
        }
        let whole = |part: &[u8]| frame(part).is_some_and(|(kind, _, body, _)| kind == 2 && batch(part, log, body).is_some());
        if rest.chunks(64).enumerate().skip(1).any(|(n, chunk)| chunk.starts_with(b"KHJ1") && whole(rest.get(n * 64..).unwrap_or_default()))
        {
            return Err(Bad::new(next, "日志在已确认的记录之前损坏", "the journal is damaged before entries that were acknowledged"));
        }
        Ok(())
    }

    /// The entry that the journal holds under `index`.
    pub(super) fn entry(&self, index: u64) -> Option<&[u8]> {
        self.0.get(&index).map(Vec::as_slice)
    }

    /// The entries that the signed log does not cover yet, without a gap.
    pub(super) fn after(&self, size: u64) -> Result<Vec<(u64, &[u8])>, Bad> {
        let entries: Vec<_> = self.0.range(size..).map(|(index, entry)| (*index, entry.as_slice())).collect();
        match (size..).zip(&entries).find(|(expected, (index, _))| expected != index) {
            Some((expected, _)) => Err(Bad::new(expected, "日志中缺少此条", "the entry is missing from the journal")),
            None => Ok(entries),
        }
    }
}
