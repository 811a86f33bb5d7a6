//! The log's files as the auditor finds them: its own names of tiles, and the right edge of the tree, which a running
//! gateway moves and which is therefore read first.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tlog_tiles::Tile;

use super::Bad;

/// The file of a tile of this width; without a level, of an entry bundle.
pub(super) fn place(folder: &Path, level: Option<u8>, n: u64, width: u32) -> PathBuf {
    // The crate names tiles of any height and entries otherwise: the number's form is what is taken from it.
    let named = Tile::new(8, 0, n, width, false).path();
    let level = level.map_or_else(|| "entries".to_owned(), |level| level.to_string());
    let number = named.strip_prefix("tile/8/0/").unwrap_or(&named);
    folder.join("tile").join(level).join(number)
}

/// Partial tiles of one checkpoint, by level and number.
pub(super) struct Edge(HashMap<(Option<u8>, u64), Vec<u8>>);

/// Reads a tile: the file of that width, or the full one that came after it.
pub(super) fn read(folder: &Path, level: Option<u8>, n: u64, width: u32) -> Result<Vec<u8>, Bad> {
    let path = place(folder, level, n, width);
    let found = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && width < 256 => fs::read(place(folder, level, n, 256)).map_err(|_| error),
        other => other,
    };
    found.map_err(|error| {
        let first = n.saturating_mul(256_u64.saturating_pow(u32::from(level.unwrap_or(0)) + 1));
        let path = path.strip_prefix(folder).unwrap_or(&path).display();
        Bad::new(first, format!("`{path}`：{error}"), format!("`{path}`: {error}"))
    })
}

/// Width of the unfinished tile of a level, in a tree of `size` entries.
pub(super) fn width(size: u64, level: u8) -> u32 {
    let count = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
    u32::try_from(count % 256).unwrap_or(0)
}

impl Edge {
    pub(super) fn read(folder: &Path, size: u64) -> Result<Self, Bad> {
        let mut tiles = HashMap::new();
        for level in (0..8).filter(|level| width(size, *level) > 0) {
            let n = size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
            tiles.insert((Some(level), n), read(folder, Some(level), n, width(size, level))?);
        }
        if width(size, 0) > 0 {
            tiles.insert((None, size / 256), read(folder, None, size / 256, width(size, 0))?);
        }
        Ok(Self(tiles))
    }

    /// The tile at this place, of at least `width`.
    pub(super) fn tile(&self, folder: &Path, level: Option<u8>, n: u64, width: u32) -> Result<Vec<u8>, Bad> {
        match self.0.get(&(level, n)).filter(|_| width < 256) {
            Some(bytes) => Ok(bytes.clone()),
            None => read(folder, level, n, width),
        }
    }
}

/// Partial tiles that lie beside the tile at this place, of at most `width`: older checkpoints' readers may ask for them.
pub(super) fn older(folder: &Path, level: Option<u8>, n: u64, width: u32) -> Vec<(u32, Vec<u8>)> {
    let beside = place(folder, level, n, 1);
    let Some(files) = beside.parent().and_then(|folder| fs::read_dir(folder).ok()) else { return Vec::new() };
    let widths = files.flatten().filter_map(|file| file.file_name().to_str()?.parse::<u32>().ok());
    // What is gone meanwhile was superseded.
    widths.filter(|w| (1..=width.min(255)).contains(w)).filter_map(|w| Some((w, fs::read(place(folder, level, n, w)).ok()?))).collect()
}
