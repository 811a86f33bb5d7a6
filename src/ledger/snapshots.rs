//! Control snapshots beside the log: `snapshots/HEX/…`, whole or not there.

use std::fs;
use std::io;
use std::path::{Component, Path};

use crate::sys;

/// Stores the files of a snapshot under its digest, durably; what is there already stays.
pub(super) fn store(folder: &Path, hex: &str, files: &[(String, Vec<u8>)]) -> io::Result<()> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("`{what}` is not a name within a snapshot"));
    if hex.len() != 64 || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(wrong(hex));
    }
    let within = |name: &str| !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if let Some((name, _)) = files.iter().find(|(name, _)| !within(name)) {
        return Err(wrong(name));
    }
    let snapshots = folder.join("snapshots");
    let place = snapshots.join(hex);
    if place.exists() {
        return Ok(());
    }
    let beside = snapshots.join(format!("{}.new", ::hex::encode(sys::random::<8>())));
    for (name, bytes) in files {
        let path = beside.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&path, bytes)?;
        sync_up(&path, &beside)?;
    }
    fs::create_dir_all(&beside)?;
    sys::sync_folder(&beside)?;
    match fs::rename(&beside, &place) {
        // Somebody else stored the same snapshot meanwhile.
        Err(_) if place.exists() => fs::remove_dir_all(&beside)?,
        other => other?,
    }
    sys::sync_folder(&snapshots)
}

fn sync_up(path: &Path, root: &Path) -> io::Result<()> {
    sys::sync(&fs::File::open(path)?)?;
    path.ancestors().skip(1).take_while(|folder| folder.starts_with(root)).try_for_each(sys::sync_folder)
}
