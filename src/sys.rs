//! The system's edge: clock, randomness and durable writes. Nothing else in Kanhe asks for them (held by lints), so
//! that what they promise is read in one place.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A clock that never goes back, for measuring.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn instant() -> Instant {
    Instant::now()
}

/// Bytes that nobody can guess.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Ids, salts and keys rest on it: without randomness there is nothing to go on with.
    aws_lc_rs::rand::fill(&mut bytes).unwrap_or_else(|_| std::process::abort());
    bytes
}

/// Makes the bytes of `file` survive a loss of power.
#[expect(clippy::disallowed_methods, reason = "this is the one place that syncs")]
pub fn sync(file: &File) -> io::Result<()> {
    rustix::fs::fdatasync(file.as_fd()).map_err(io::Error::from)
}

/// Makes the names in `folder` survive a loss of power: needed after every create, rename and removal.
#[expect(clippy::disallowed_methods, reason = "this is the one place that syncs")]
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes everything on the filesystem of `folder` survive a loss of power: one call where many files changed.
pub fn sync_filesystem(folder: &Path) -> io::Result<()> {
    rustix::fs::syncfs(File::open(folder)?.as_fd()).map_err(io::Error::from)
}

/// Replaces the file at `path` whole: a reader sees the old bytes or the new ones, whatever fails in between.
#[expect(clippy::disallowed_methods, reason = "this is the one place that syncs")]
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = folder.join(name);
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_folder(folder)
}

/// Reserves room for a file that will be written from its start, so that a full disk shows before it matters.
pub fn preallocate(file: &File, length: u64) -> io::Result<()> {
    rustix::fs::fallocate(file.as_fd(), rustix::fs::FallocateFlags::empty(), 0, length).map_err(io::Error::from)
}
