//! Control snapshots beside the log: `snapshots/HEX/…`, whole or not there. A file that an earlier one holds alike is
//! one file in both: a reload that changes one grant of a hundred thousand writes one file.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path};

use crate::sys;

/// Stores the files of a snapshot under its digest, durably; what is there already stays. `earlier` is one that was
/// stored before, if any.
pub(super) fn store(folder: &Path, hex: &str, files: &[(String, Vec<u8>)], earlier: Option<&str>) -> io::Result<()> {
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
    fs::create_dir_all(&beside)?;
    let earlier = earlier.map(|hex| snapshots.join(hex));
    let mut folders = BTreeSet::from([beside.clone()]);
    for (name, bytes) in files {
        let path = beside.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        folders.extend(path.ancestors().skip(1).take_while(|folder| folder.starts_with(&beside)).map(Path::to_owned));
        if earlier.as_ref().is_some_and(|earlier| link(&earlier.join(name), &path, bytes)) {
            continue;
        }
        fs::write(&path, bytes)?;
        sys::sync(&fs::File::open(&path)?)?;
    }
    folders.iter().rev().try_for_each(|folder| sys::sync_folder(folder))?;
    match fs::rename(&beside, &place) {
        // Somebody else stored the same snapshot meanwhile.
        Err(_) if place.exists() => fs::remove_dir_all(&beside)?,
        other => other?,
    }
    sys::sync_folder(&snapshots)
}

/// Makes `path` the same file as the earlier one, where that holds these bytes. It was synced when it was written.
fn link(earlier: &Path, path: &Path, bytes: &[u8]) -> bool {
    fs::read(earlier).is_ok_and(|known| known == bytes) && fs::hard_link(earlier, path).is_ok()
}
