//! Proofs that a log grew from what a witness saw before, read from the log's own tiles.

use std::cell::RefCell;
use std::io;
use std::path::Path;

use tlog_tiles::{Error, Hash, HashReader, Tile, prove_tree};

use crate::ledger::query::signed_size;
use crate::ledger::tree::read_tile;

/// How often reading starts over when the log grew under it and took a partial tile away.
const PATIENCE: usize = 5;
/// Hashes of a full tile.
const FULL: u64 = 256;

/// The tiles on disk of a log of `written` entries.
struct Tiles<'a> {
    folder: &'a Path,
    written: u64,
    /// tlog_tiles' errors have no room for the disk's.
    failed: RefCell<Option<io::Error>>,
}

impl Tiles<'_> {
    /// A tile, as far as `tile` asks for: a wider one begins with the narrower one.
    fn read(&self, tile: &Tile) -> io::Result<Vec<u8>> {
        let (level, n) = (tile.level(), tile.level_index());
        let hashes = self.written >> (8 * u32::from(level));
        let width = if hashes / FULL > n { FULL } else { hashes % FULL };
        let mut bytes = read_tile(self.folder, Some(usize::from(level)), n, usize::try_from(width).unwrap_or(0))?;
        let needed = usize::try_from(tile.width()).unwrap_or(usize::MAX) * 32;
        if bytes.len() < needed {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.truncate(needed);
        Ok(bytes)
    }
}

impl HashReader for Tiles<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let hash = |index: &u64| {
            let tile = Tile::from_index(8, *index);
            let bytes = self.read(&tile).map_err(|error| {
                self.failed.replace(Some(error));
                Error::InvalidTile
            })?;
            tile.hash_at_index(&bytes, *index)
        };
        indexes.iter().map(hash).collect()
    }
}

/// The consistency proof from the first `old` entries to the first `new` (RFC 6962 section 2.1.2); both lie under the
/// checkpoint on disk. Nothing needs no proof, nor does a tree to itself.
pub(crate) fn consistency(folder: &Path, old: u64, new: u64) -> io::Result<Vec<Hash>> {
    if old == 0 || old >= new {
        return Ok(Vec::new());
    }
    let mut left = PATIENCE;
    loop {
        let tiles = Tiles { folder, written: signed_size(folder)?, failed: RefCell::default() };
        left -= 1;
        let proof = prove_tree(new, old, &tiles);
        match (proof, tiles.failed.into_inner()) {
            (Ok(proof), _) => return Ok(proof),
            (Err(_), Some(error)) if error.kind() == io::ErrorKind::NotFound && left > 0 => {}
            (Err(_), Some(error)) => return Err(error),
            (Err(error), None) => return Err(io::Error::other(error.to_string())),
        }
    }
}
