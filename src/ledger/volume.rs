//! The disk as the ledger sees it. Everything that the writer and the publisher write goes through [`Volume`], so that
//! a disk that fails can stand in its place; [`Files`] is the real one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::sys;

/// Above so many dirty files one sync of the whole filesystem is cheaper than one for each.
const MANY: usize = 64;

/// One journal file being written.
pub(super) trait Segment: Send {
    /// Writes all of `bytes` at `offset`, or fails.
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// Where the ledger writes.
pub(super) trait Volume: Send + Sync {
    /// Makes a journal file with room for `length` bytes that begins with `head`; takes the place of one of that name. The
    /// file is there whole and durable, or not at all.
    fn segment(&self, path: &Path, length: u64, head: &[u8]) -> io::Result<Box<dyn Segment>>;
    /// Writes a whole file, not yet durable; its folders are made.
    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Writes records at their offsets into a file that may be sparse, not yet durable.
    fn put_records(&self, path: &Path, records: &[(u64, &[u8; 32])]) -> io::Result<()>;
    /// Makes those files and their names durable.
    fn settle(&self, root: &Path, paths: &[PathBuf]) -> io::Result<()>;
    /// Replaces a file whole and durably.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
}

/// Real files.
pub(super) struct Files;

/// So far ahead of what was written zeros are.
const AHEAD: u64 = 256 << 10;

/// Reserved blocks become plain ones when they are first written, which a sync has to record beside the data. So zeros are
/// written ahead, many blocks at a time, and nearly every sync has the data alone to write.
struct FileSegment {
    file: File,
    length: u64,
    /// Up to here the blocks are plain.
    plain: u64,
}

impl Segment for FileSegment {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)?;
        let end = offset + bytes.len() as u64;
        let until = end.saturating_add(AHEAD).min(self.length);
        if end > self.plain && end < until {
            self.file.write_all_at(&vec![0; usize::try_from(until - end).unwrap_or(0)], end)?;
            self.plain = until;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        sys::sync(&self.file)
    }
}

impl Volume for Files {
    fn segment(&self, path: &Path, length: u64, head: &[u8]) -> io::Result<Box<dyn Segment>> {
        let beside = path.with_extension("new");
        let file = File::options().write(true).create(true).truncate(true).open(&beside)?;
        let plain = match sys::preallocate(&file, length) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => fill_with_zeros(&file, length).map(|()| length)?,
            other => other.map(|()| 0)?,
        };
        file.write_all_at(head, 0)?;
        sys::sync(&file)?;
        fs::rename(&beside, path)?;
        if let Some(folder) = path.parent() {
            sys::sync_folder(folder)?;
        }
        Ok(Box::new(FileSegment { file, length, plain }))
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        match fs::write(path, bytes) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                path.parent().map_or(Ok(()), fs::create_dir_all)?;
                fs::write(path, bytes)
            }
            other => other,
        }
    }

    fn put_records(&self, path: &Path, records: &[(u64, &[u8; 32])]) -> io::Result<()> {
        let file = File::options().write(true).create(true).truncate(false).open(path)?;
        records.iter().try_for_each(|(offset, record)| file.write_all_at(*record, *offset))
    }

    fn settle(&self, root: &Path, paths: &[PathBuf]) -> io::Result<()> {
        if paths.len() > MANY {
            return sys::sync_filesystem(root);
        }
        let mut folders = std::collections::BTreeSet::new();
        for path in paths {
            sys::sync(&File::options().write(true).open(path)?)?;
            // A new tile may stand in new folders: each name on the way down to it has to last.
            folders.extend(path.ancestors().skip(1).take_while(|folder| folder.starts_with(root)));
        }
        folders.into_iter().try_for_each(sys::sync_folder)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        sys::write_whole(path, bytes)
    }
}

/// Reserves room where the filesystem knows no other way.
fn fill_with_zeros(file: &File, length: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 16];
    let mut offset = 0;
    while offset < length {
        let part = zeros.len().min(usize::try_from(length - offset).unwrap_or(zeros.len()));
        file.write_all_at(&zeros[..part], offset)?;
        offset += part as u64;
    }
    sys::sync(file)
}
