//! Putting a control folder in place: whole and at once, so that a gateway that loads meanwhile reads the old one or the
//! new one. A snapshot that the ledger keeps can be put in place again.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::read;
use crate::lang::Text;
use crate::sys;

/// The fewest hexadecimal digits that may stand for a digest.
const SHORTEST: usize = 8;

/// The files of a snapshot, by their path relative to the control folder.
pub type Files = Vec<(String, Vec<u8>)>;

/// The files of a snapshot that the ledger in `folder` keeps, and its whole digest. `digest` is `sha256:HEX`, its HEX, or
/// an unambiguous beginning of at least 8 digits. What is kept is held against its digest.
pub fn recorded(folder: &Path, digest: &str) -> Result<(String, Files), Text> {
    let written = digest.strip_prefix("sha256:").unwrap_or(digest);
    if written.len() < SHORTEST || !written.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Text::new(
            format!("`{digest}` 不是快照摘要：应写 sha256:HEX，至少前 8 位"),
            format!("`{digest}` is no snapshot's digest: write sha256:HEX, at least its first 8 digits"),
        ));
    }
    let snapshots = folder.join("snapshots");
    let wrong = |error: io::Error| {
        let shown = snapshots.display();
        Text::new(format!("无法读取 {shown}：{error}"), format!("{shown} cannot be read: {error}"))
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(&snapshots).map_err(wrong)? {
        let name = entry.map_err(wrong)?.file_name().to_string_lossy().into_owned();
        if name.len() == 64 && name.starts_with(&written.to_ascii_lowercase()) {
            found.push(name);
        }
    }
    let [hex] = found.as_slice() else {
        let count = found.len();
        return Err(Text::new(
            format!("以 `{written}` 开头的已记录快照有 {count} 个"),
            format!("{count} recorded snapshots begin with `{written}`"),
        ));
    };
    let mut files = Files::new();
    gather(&snapshots.join(hex), "", &mut files).map_err(wrong)?;
    files.sort();
    let digest = read::digest_of(&files);
    if digest != format!("sha256:{hex}") {
        return Err(Text::new(
            format!("台账所存的快照 {hex} 已被改动：其内容的摘要为 {digest}"),
            format!("the kept snapshot {hex} was changed: its content has the digest {digest}"),
        ));
    }
    Ok((digest, files))
}

fn gather(root: &Path, below: &str, files: &mut Files) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type()?.is_dir() {
            gather(root, &path, files)?;
        } else {
            files.push((path, fs::read(entry.path())?));
        }
    }
    Ok(())
}

/// Writes the files beside the control folder and puts them in its place; where the former folder is now. A symbolic
/// link is made to point to the new folder; a folder itself changes places with it.
pub fn put_in_place(files: &Files, control: &Path, hex: &str) -> io::Result<PathBuf> {
    let short = hex.get(..12).unwrap_or(hex);
    let beside = |suffix: &str| {
        let mut name = control.file_name().unwrap_or_default().to_owned();
        name.push(suffix);
        control.with_file_name(name)
    };
    let is_link = fs::symlink_metadata(control)?.is_symlink();
    let fresh = beside(&format!(".{short}-{}", ::hex::encode(sys::random::<4>())));
    for (path, bytes) in files {
        let path = fresh.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, bytes)?;
    }
    fs::create_dir_all(&fresh)?;
    sys::sync_filesystem(&fresh)?;
    let parent = control.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let former = if is_link {
        let former = fs::canonicalize(control)?;
        let link = beside(&format!(".link-{}", ::hex::encode(sys::random::<4>())));
        symlink(fresh.file_name().unwrap_or_default(), &link)?;
        fs::rename(&link, control)?;
        former
    } else {
        renameat_with(CWD, &fresh, CWD, control, RenameFlags::EXCHANGE)?;
        fresh
    };
    sys::sync_folder(parent)?;
    Ok(former)
}
