//! The system's edge: clock, randomness and durable writes. Nothing else in Kanhe asks for them (held by lints), so
//! that what they promise is read in one place.

use std::cell::RefCell;
use std::fs::{self, File, TryLockError};
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

/// An exclusive lock on a file or folder, held against other processes and other holders in this one. Let go of when it is
/// dropped, and not only when the last copy of the file is closed: a process that was just begun has one for a moment.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// None: another holds it.
    pub fn try_on(file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file does the same, later perhaps.
        let _ = self.0.unlock();
    }
}

/// Bytes drawn from the generator at a time: one call of it costs as much as dozens of ids.
const DRAWN: usize = 1024;

thread_local! {
    /// Random bytes of this thread that nobody has had yet, and how many of them are left.
    static LEFT: RefCell<([u8; DRAWN], usize)> = const { RefCell::new(([0; DRAWN], 0)) };
}

/// Bytes that nobody can guess.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    LEFT.with_borrow_mut(|(drawn, left)| {
        if *left < N {
            draw(drawn);
            *left = DRAWN;
        }
        match left.checked_sub(N) {
            Some(rest) => {
                bytes.copy_from_slice(&drawn[rest..*left]);
                // Each byte is given once: a salt that is erased elsewhere must not be found here.
                drawn[rest..*left].fill(0);
                *left = rest;
            }
            None => draw(&mut bytes),
        }
    });
    bytes
}

fn draw(bytes: &mut [u8]) {
    // Ids, salts and keys rest on it: without randomness there is nothing to go on with.
    aws_lc_rs::rand::fill(bytes).unwrap_or_else(|_| std::process::abort());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_random_byte_is_given_twice() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            assert!(seen.insert(random::<16>().to_vec()));
            assert!(seen.insert(random::<32>().to_vec()));
        }
        // More than is drawn at a time.
        let long = random::<3000>();
        assert!(long.chunks_exact(8).all(|chunk| chunk != [0; 8]));
    }

    #[test]
    fn a_lock_is_let_go_although_a_copy_of_its_file_is_open() {
        let path = std::env::temp_dir().join(format!("kanhe-lock-{}", hex::encode(random::<6>())));
        let open = || File::options().create(true).truncate(false).write(true).open(&path).unwrap();
        let file = open();
        let _copy = file.try_clone().unwrap();
        let lock = Lock::try_on(file).unwrap().unwrap();
        assert!(Lock::try_on(open()).unwrap().is_none());
        drop(lock);
        assert!(Lock::try_on(open()).unwrap().is_some());
        fs::remove_file(&path).unwrap();
    }
}
