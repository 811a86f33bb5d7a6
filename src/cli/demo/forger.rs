//! What an operator can do who holds the ledger's key: takes a share out of the log, or rewrites all of it, puts it
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

/// Makes `to` a copy of the ledger in `from` in which `rewrite` decided what the entries are, signed with the key at `key`.
pub(super) fn forge(from: &Path, to: &Path, key: &Path, rewrite: impl FnOnce(Vec<Value>) -> Vec<Value>) -> io::Result<()> {
    copy(from, to)?;
    fs::remove_dir_all(to.join("tile"))?;
    fs::remove_dir_all(to.join("journal"))?;
    // The register is derived, and made anew from whatever the log says. What others signed is of another history.
    for file in fs::read_dir(to)? {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("register.") || name == "checkpoint.witnessed" {
            fs::remove_file(path)?;
        }
    }
    let mut all = Vec::new();
    query::read(from, 0, |record| {
        all.push(serde_json::from_slice::<Value>(&record.entry).unwrap_or_default());
        ControlFlow::Continue(())
    })?;
    let entries: Vec<Vec<u8>> = rewrite(all).into_iter().map(|entry| entry.to_string().into_bytes()).collect();
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
    fs::write(to.join("checkpoint"), signer.sign(&format!("{name}\n{size}\n{root}\n")))
}

fn broken(error: Error) -> io::Error {
    io::Error::other(error.to_string())
}

/// The entries but a share's, and so that what is left fits together.
pub(super) fn without(all: Vec<Value>, gone: u64) -> Vec<Value> {
    let of = |entry: &Value| entry["receipt_of"].as_u64();
    let numbered: Vec<(u64, Value)> = (0..).zip(all).collect();
    let taken: Vec<u64> =
        numbered.iter().filter(|(index, entry)| *index == gone || of(entry) == Some(gone)).map(|(index, _)| *index).collect();
    let left = numbered.into_iter().filter(|(index, _)| !taken.contains(index)).map(|(_, mut entry)| {
        if let Some(share) = of(&entry) {
            entry["receipt_of"] = (share - taken.iter().filter(|index| **index < share).count() as u64).into();
        }
        entry
    });
    left.collect()
}

/// The entries as if `other` had asked wherever `requester` did.
pub(super) fn blamed(mut all: Vec<Value>, requester: &str, other: &str) -> Vec<Value> {
    for entry in &mut all {
        if entry["requester"] == requester {
            entry["requester"] = other.into();
        }
    }
    all
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
