//! The demo's folder: what the demo made it may make again, anything else it leaves alone.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Trouble;
use crate::sys::{self, Lock};

/// Tells a demo's folder from any other; locked while a demo runs in it.
const MARKER: &str = ".kanhe-demo";

/// All that a demo writes at the top of its folder.
const MADE: [&str; 18] = [
    "certs",
    "secrets",
    "policies",
    "ledger",
    "ledger-copy",
    "ledger-forged",
    "ledger-rewritten",
    "witness",
    "witness.toml",
    "witness.log",
    "witnessed.txt",
    "submission.txt",
    "kept-receipt.txt",
    "full",
    "tokens",
    "kanhe.toml",
    "ca.pem",
    "gateway.log",
];

/// A folder that this demo alone writes in.
pub(super) struct Folder {
    root: PathBuf,
    /// Holds the lock; the system lets go of it when the demo ends, however it ends.
    _marker: Lock,
}

impl Folder {
    /// Makes the folder, or empties the one that an earlier demo left.
    pub(super) fn prepare(wanted: Option<&Path>) -> Result<Self, Trouble> {
        let root = wanted.map_or_else(fresh, Path::to_path_buf);
        let existed = root.exists();
        if existed && !root.join(MARKER).exists() && !is_empty(&root)? {
            return Err(Trouble::new(
                format!("文件夹 `{}` 不为空，也不是演示文件夹；请另选一个", root.display()),
                format!("folder `{}` is not empty and not a demo's; choose another", root.display()),
            ));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&root).map_err(|error| cannot_write(&root, &error))?;
        let root = root.canonicalize().map_err(|error| cannot_write(&root, &error))?;
        let marker = root.join(MARKER);
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&marker).map_err(|error| cannot_write(&marker, &error))?;
        let marker = Lock::try_on(file).map_err(|error| cannot_write(&marker, &error))?.ok_or_else(|| {
            Trouble::new(
                format!("另一个演示正在使用文件夹 `{}`", root.display()),
                format!("another demo is running in folder `{}`", root.display()),
            )
        })?;
        let folder = Self { root, _marker: marker };
        folder.empty()?;
        Ok(folder)
    }

    /// The folder itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file that anyone may read, with the folders on the way to it.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Trouble> {
        self.put(name, text.as_bytes(), 0o644)
    }

    /// Writes a file for this user's eyes only.
    pub(super) fn write_secret(&self, name: &str, text: &str) -> Result<(), Trouble> {
        self.put(name, text.as_bytes(), 0o600)
    }

    /// Reads a file back.
    pub(super) fn read(&self, name: &str) -> Result<String, Trouble> {
        let path = self.path(name);
        fs::read_to_string(&path).map_err(|error| {
            Trouble::new(format!("无法读取 `{}`：{error}", path.display()), format!("cannot read `{}`: {error}", path.display()))
        })
    }

    /// Replaced by renaming, so that a reload never reads half a file.
    fn put(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), Trouble> {
        let path = self.path(name);
        let parent = path.parent().unwrap_or(&self.root);
        // Outside the control folder: a reload that lists it at this moment must not find a stray file.
        let beside = self.root.join(format!(".{}.new", path.file_name().unwrap_or_default().to_string_lossy()));
        let write = || -> io::Result<()> {
            fs::create_dir_all(parent)?;
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&beside)?;
            file.write_all(bytes)?;
            fs::rename(&beside, &path)
        };
        write().map_err(|error| cannot_write(&path, &error))
    }

    fn empty(&self) -> Result<(), Trouble> {
        let disk = self.path("full/disk");
        if disk.exists() {
            // A demo that was killed may have left its small file system mounted.
            super::story::unmount(&disk);
        }
        for name in MADE {
            let path = self.path(name);
            let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match gone {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(cannot_write(&path, &error)),
            }
        }
        Ok(())
    }
}

/// Copies a folder whole: files and folders, nothing else.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else if entry.file_type()?.is_file()
            && let Err(error) = fs::copy(entry.path(), &target)
            && error.kind() != io::ErrorKind::NotFound
        {
            // Not found: a running gateway replaced the file between listing and copying.
            return Err(error);
        }
    }
    Ok(())
}

/// What to say when something in the folder cannot be written.
pub(super) fn cannot_write(path: &Path, error: &io::Error) -> Trouble {
    Trouble::new(format!("无法写入 `{}`：{error}", path.display()), format!("cannot write `{}`: {error}", path.display()))
}

fn fresh() -> PathBuf {
    std::env::temp_dir().join(format!("kanhe-demo-{}", hex::encode(sys::random::<4>())))
}

fn is_empty(path: &Path) -> Result<bool, Trouble> {
    let mut entries = fs::read_dir(path).map_err(|error| cannot_write(path, &error))?;
    Ok(entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> PathBuf {
        std::env::temp_dir().join(format!("kanhe-demo-test-{}", hex::encode(sys::random::<6>())))
    }

    #[test]
    fn a_folder_of_someone_else_is_left_alone() {
        let dir = scratch();
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("thesis.tex"), "ten years of work").unwrap();
        assert!(Folder::prepare(Some(&dir)).is_err());
        assert!(dir.join("thesis.tex").exists());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_demos_folder_is_made_again_but_never_under_a_running_demo() {
        let dir = scratch();
        let first = Folder::prepare(Some(&dir)).unwrap();
        first.write("ledger/checkpoint", "old").unwrap();
        assert!(Folder::prepare(Some(&dir)).is_err(), "the first still runs");
        assert_eq!(first.read("ledger/checkpoint").unwrap(), "old");
        drop(first);
        let second = Folder::prepare(Some(&dir)).unwrap();
        assert!(!second.path("ledger").exists());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn secrets_are_for_this_user_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = scratch();
        let folder = Folder::prepare(Some(&dir)).unwrap();
        folder.write_secret("secrets/a.key", "x").unwrap();
        assert_eq!(fs::metadata(folder.path("secrets/a.key")).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_dir_all(&dir).unwrap();
    }
}
