//! What an operator can do who holds the ledger's key: takes a share out of the log, or tells all of it otherwise, puts it
//! together anew and signs it. The forged log is without fault in itself; only what others kept tells.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;
use tlog_tiles::{Error, Hash, HashReader, Tile, stored_hashes, tree_hash};

use super::folder::copy;
use crate::ledger::{Signer, query};

/// Stored hashes, as the published algorithms ask for them.
struct Stored(Vec<Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let one = |index: &u64| usize::try_from(*index).ok().and_then(|at| self.0.get(at)).copied().ok_or(Error::IndexesNotInTree);
        indexes.iter().map(one).collect()
    }
}

/// What the forged log tells otherwise.
pub(super) enum Lie {
    /// It never heard of the share granted at this index.
    Gone(u64),
    /// Nothing in it was ever asked for by the first of these: all of that was the second's doing.
    Blamed(&'static str, &'static str),
}

/// Makes `to` a copy of the ledger in `from` with that lie in it, signed with the key at `key`; how many entries it has.
pub(super) fn forge(from: &Path, to: &Path, key: &Path, lie: &Lie) -> io::Result<u64> {
    copy(from, to)?;
    fs::remove_dir_all(to.join("tile"))?;
    fs::remove_dir_all(to.join("journal"))?;
    // The register is derived, and made anew from whatever the log says.
    for file in fs::read_dir(to)? {
        let path = file?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("register.")) {
            fs::remove_file(path)?;
        }
    }
    let entries = match lie {
        Lie::Gone(gone) => without(from, *gone)?,
        Lie::Blamed(whom, instead) => blaming(from, whom, instead)?,
    };
    let mut stored = Stored(Vec::new());
    for (n, entry) in (0..).zip(&entries) {
        let hashes = stored_hashes(n, entry, &stored).map_err(broken)?;
        stored.0.extend(hashes);
    }
    let size = entries.len() as u64;
    for tile in Tile::new_tiles(8, 0, size) {
        let full = size >> (8 * (u32::from(tile.level()) + 1)) > tile.level_index();
        let width = if full { 256 } else { (size >> (8 * u32::from(tile.level()))) % 256 };
        if u64::from(tile.width()) == width {
            write(to, &tile, tile.read_data(&stored).map_err(broken)?, &entries)?;
        }
    }
    let name = fs::read_to_string(from.join("checkpoint"))?.lines().next().unwrap_or_default().to_owned();
    let root = tree_hash(size, &stored).map_err(broken)?;
    let signer = Signer::read(&name, key).map_err(|error| io::Error::other(error.to_string()))?;
    fs::write(to.join("checkpoint"), signer.sign(&format!("{name}\n{size}\n{root}\n")))?;
    // What witnesses signed would only contradict it.
    match fs::remove_file(to.join("checkpoint.witnessed")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(size),
    }
}

fn broken(error: Error) -> io::Error {
    io::Error::other(error.to_string())
}

/// All entries of a log.
fn entries_of(ledger: &Path) -> io::Result<Vec<(u64, Value)>> {
    let mut all = Vec::new();
    query::read(ledger, 0, |record| {
        all.push((record.index, serde_json::from_slice::<Value>(&record.entry).unwrap_or_default()));
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

/// Every entry in its place, with another requester where it named this one.
fn blaming(ledger: &Path, whom: &str, instead: &str) -> io::Result<Vec<Vec<u8>>> {
    let told = entries_of(ledger)?.into_iter().map(|(_, mut entry)| {
        if entry["requester"] == whom {
            entry["requester"] = instead.into();
        }
        entry.to_string().into_bytes()
    });
    Ok(told.collect())
}

/// The entries of the log but the share's, and so that what is left fits together.
fn without(ledger: &Path, gone: u64) -> io::Result<Vec<Vec<u8>>> {
    let all = entries_of(ledger)?;
    let taken: Vec<u64> =
        all.iter().filter(|(index, entry)| *index == gone || entry["receipt_of"].as_u64() == Some(gone)).map(|(index, _)| *index).collect();
    let left = all.into_iter().filter(|(index, _)| !taken.contains(index)).map(|(_, mut entry)| {
        if let Some(of) = entry["receipt_of"].as_u64() {
            entry["receipt_of"] = (of - taken.iter().filter(|index| **index < of).count() as u64).into();
        }
        entry.to_string().into_bytes()
    });
    Ok(left.collect())
}

/// A tile, and on the lowest level the bundle of entries under it.
fn write(to: &Path, tile: &Tile, hashes: Vec<u8>, entries: &[Vec<u8>]) -> io::Result<()> {
    let number = tile.path().trim_start_matches("tile/8/").split_once('/').map(|(_, number)| number.to_owned()).unwrap_or_default();
    let put = |level: &str, bytes: &[u8]| {
        let path = to.join("tile").join(level).join(&number);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, bytes)
    };
    put(&tile.level().to_string(), &hashes)?;
    if tile.level() > 0 {
        return Ok(());
    }
    let first = usize::try_from(tile.level_index() * 256).unwrap_or_default();
    let mut bundle = Vec::new();
    for entry in entries.iter().skip(first).take(hashes.len() / 32) {
        bundle.extend_from_slice(&u16::try_from(entry.len()).unwrap_or_default().to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    put("entries", &bundle)
}
