//! Single entries of a signed log, each proven to be under its root: for whoever asks about one receipt.

use std::path::Path;

use serde::Deserialize;
use tlog_tiles::{Error, Hash, HashReader, Tile, TileHashReader, TileReader, check_tree, prove_tree, record_hash, stored_hash_index};

use super::edge::read;
use super::{Keys, Signed};
use crate::lang::Text;

/// A log in a folder, under a checkpoint whose signature holds.
pub(super) struct Log<'a> {
    folder: &'a Path,
    pub(super) signed: Signed,
}

#[derive(Deserialize)]
struct Settles {
    receipt_of: Option<u64>,
}

/// Tiles of hashes, as the crate asks for them.
struct Tiles<'a>(&'a Path);

impl TileReader for Tiles<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            let mut bytes =
                read(self.0, Some(tile.level()), tile.level_index(), tile.width()).map_err(|bad| Error::InvalidInput(bad.reason.en))?;
            bytes.truncate(tile.width() as usize * 32);
            Ok(bytes)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

fn broken(error: &Error) -> Text {
    Text::new(format!("台账的哈希块与其签名的根不符：{error}"), format!("the log's tiles do not have its signed root: {error}"))
}

impl<'a> Log<'a> {
    pub(super) fn open(folder: &'a Path, keys: &Keys) -> Result<Self, Text> {
        let path = folder.join("checkpoint");
        let failed = |error| Text::new(format!("`{}`：{error}", path.display()), format!("`{}`: {error}", path.display()));
        let note = std::fs::read(&path).map_err(failed)?;
        Ok(Self { folder, signed: keys.checkpoint(&note)? })
    }

    /// The log in this folder, under a checkpoint that was judged before.
    pub(super) fn under(folder: &'a Path, signed: Signed) -> Self {
        Self { folder, signed }
    }

    /// The leaves of the 256 entries of bundle `n`, or of as many as the log has.
    pub(super) fn leaves(&self, n: u64) -> Result<Vec<Hash>, Text> {
        let tiles = Tiles(self.folder);
        let reader = TileHashReader::new(self.signed.size, self.signed.root, &tiles);
        let indexes: Vec<u64> = (n * 256..self.signed.size.min(n * 256 + 256)).map(|index| stored_hash_index(0, index)).collect();
        reader.read_hashes(&indexes).map_err(|error| broken(&error))
    }

    /// The leaf at `index`, which must be below the log's size.
    pub(super) fn leaf(&self, index: u64) -> Result<Hash, Text> {
        let tiles = Tiles(self.folder);
        let reader = TileHashReader::new(self.signed.size, self.signed.root, &tiles);
        let found = reader.read_hashes(&[stored_hash_index(0, index)]).map_err(|error| broken(&error))?;
        found.first().copied().ok_or_else(|| broken(&Error::BadMath))
    }

    /// The entry at `index`, as its leaf says it is.
    pub(super) fn entry(&self, index: u64) -> Result<Vec<u8>, Text> {
        let wrong = || Text::new(format!("第 {index} 条与签名的根不符"), format!("entry {index} is not the one under the signed root"));
        let found = self.bundle(index / 256)?.into_iter().nth(usize::try_from(index % 256).unwrap_or(0)).ok_or_else(wrong)?;
        if record_hash(&found) == self.leaf(index)? { Ok(found) } else { Err(wrong()) }
    }

    /// The entry that settles the share granted at `granted`, and its index.
    pub(super) fn settlement(&self, granted: u64) -> Result<Option<(u64, Vec<u8>)>, Text> {
        let settles = |entry: &[u8]| serde_json::from_slice::<Settles>(entry).is_ok_and(|entry| entry.receipt_of == Some(granted));
        for n in granted / 256..self.signed.size.div_ceil(256) {
            if let Some((index, _)) = (n * 256..).zip(self.bundle(n)?).find(|(_, entry)| settles(entry)) {
                return Ok(Some((index, self.entry(index)?)));
            }
        }
        Ok(None)
    }

    pub(super) fn bundle(&self, n: u64) -> Result<Vec<Vec<u8>>, Text> {
        let width = u32::try_from(self.signed.size.saturating_sub(n * 256).min(256)).unwrap_or(256);
        let bytes = read(self.folder, None, n, width).map_err(|bad| bad.reason)?;
        let mut rest = &bytes[..];
        let mut entries = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<2>()
            && let Some((entry, after)) = after.split_at_checked(u16::from_be_bytes(*length).into())
        {
            entries.push(entry.to_vec());
            rest = after;
        }
        entries.truncate(width as usize);
        Ok(entries)
    }

    /// Whether the log continues the earlier one that this checkpoint signs.
    pub(super) fn continues(&self, earlier: &Signed) -> Result<bool, Text> {
        if earlier.size > self.signed.size {
            return Ok(false);
        }
        if earlier.size == 0 || earlier.size == self.signed.size {
            return Ok(earlier.size == 0 || earlier.root == self.signed.root);
        }
        let (size, root) = (self.signed.size, self.signed.root);
        let tiles = Tiles(self.folder);
        let proof = prove_tree(size, earlier.size, &TileHashReader::new(size, root, &tiles)).map_err(|error| broken(&error))?;
        Ok(check_tree(&proof, size, root, earlier.size, earlier.root).is_ok())
    }
}
