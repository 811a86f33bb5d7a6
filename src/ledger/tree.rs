//! The Merkle tree as C2SP tlog-tiles: in memory only its right edge, on disk full tiles as they fill and partial ones
//! at each checkpoint.

use std::io;
use std::path::{Path, PathBuf};

use super::journal::{Batch, Salt, entries};
use super::keys::sha256;
use super::volume::Volume;

/// Hashes in a full tile, entries in a full bundle.
const FULL: usize = 256;

type Hash = [u8; 32];

fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// The root of a perfect subtree of a power of two hashes.
fn perfect(hashes: &[Hash]) -> Option<Hash> {
    match hashes {
        [] => None,
        [one] => Some(*one),
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            Some(node(&perfect(left)?, &perfect(right)?))
        }
    }
}

/// `x001/x234/067`, as tlog-tiles writes a tile's number.
fn number(n: u64) -> String {
    let mut text = format!("{:03}", n % 1000);
    let mut rest = n / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    text
}

/// The file of a tile, full where `width` is 256. Level none: an entry bundle.
pub(super) fn tile_path(folder: &Path, level: Option<usize>, n: u64, width: usize) -> PathBuf {
    let level = level.map_or_else(|| "entries".to_owned(), |level| level.to_string());
    let partial = if width == FULL { String::new() } else { format!(".p/{width}") };
    folder.join("tile").join(level).join(format!("{}{partial}", number(n)))
}

/// The file of the log under this path (C2SP tlog-tiles), where it is one, in the one form that such a path has.
pub fn published(folder: &Path, path: &str) -> Option<PathBuf> {
    if path == "checkpoint" {
        return Some(folder.join(path));
    }
    let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let (digits, width) = match rest.split_once(".p/") {
        Some((digits, width)) => (digits, width.parse().ok().filter(|width| (1..FULL).contains(width))?),
        None => (rest, FULL),
    };
    let level = if level == "entries" { None } else { Some(level.parse().ok().filter(|level| *level < 64_usize)?) };
    let digits: String = digits.split('/').map(|part| part.strip_prefix('x').unwrap_or(part)).collect();
    let file = tile_path(folder, level, digits.parse().ok()?, width);
    (folder.join(path) == file && !path.contains("//")).then_some(file)
}

/// Reads a tile of at least `width`: itself, or the full one that came after it.
pub(super) fn read_tile(folder: &Path, level: Option<usize>, n: u64, width: usize) -> io::Result<Vec<u8>> {
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match std::fs::read(tile_path(folder, level, n, width)) {
        Err(error) if missing(&error) && width < FULL => std::fs::read(tile_path(folder, level, n, FULL)),
        other => other,
    }
}

/// The right edge of the tree.
#[derive(Default)]
pub(super) struct Tree {
    size: u64,
    /// The hashes of each level's unfinished tile.
    levels: Vec<Vec<Hash>>,
    /// The unfinished entry bundle.
    bundle: Vec<u8>,
    /// Files written since the last checkpoint, not yet durable.
    dirty: Vec<PathBuf>,
    /// Salts not yet in their files: written together, a file at a time.
    salts: Vec<Salt>,
    /// Partial files of the last checkpoint and the one before: a reader may still be at it.
    partials: [Vec<PathBuf>; 2],
}

impl Tree {
    /// Reads the right edge of a tree of `size` entries.
    pub(super) fn read(folder: &Path, size: u64) -> io::Result<Self> {
        let mut levels = Vec::new();
        let mut count = size;
        while count > 0 {
            let width = usize::try_from(count % FULL as u64).unwrap_or(0);
            let hashes = if width == 0 { Vec::new() } else { read_tile(folder, Some(levels.len()), count / FULL as u64, width)? };
            let hashes: Vec<Hash> = hashes.as_chunks::<32>().0.iter().take(width).copied().collect();
            if hashes.len() != width {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            levels.push(hashes);
            count /= FULL as u64;
        }
        let width = usize::try_from(size % FULL as u64).unwrap_or(0);
        let bundle = if width == 0 { Vec::new() } else { read_tile(folder, None, size / FULL as u64, width)? };
        let whole: usize = entries(&bundle).take(width).map(|entry| entry.len() + 2).sum();
        if entries(&bundle).take(width).count() != width {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut tree = Self { size, levels, bundle: bundle.get(..whole).unwrap_or_default().to_vec(), ..Self::default() };
        // A checkpoint rests on these: they are never written again.
        tree.partials[0] = tree.partial_tiles(folder).into_iter().map(|(path, _)| path).collect();
        Ok(tree)
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The last entry, where the unfinished bundle holds it.
    pub(super) fn last_in_bundle(&self) -> Option<&[u8]> {
        entries(&self.bundle).last()
    }

    /// The leaves of the unfinished tile, to compare a journal with: from the index at which it begins.
    pub(super) fn edge(&self) -> (u64, &[Hash]) {
        let leaves = self.levels.first().map_or(&[][..], Vec::as_slice);
        (self.size - leaves.len() as u64, leaves)
    }

    /// Adds durable entries; full tiles and bundles are written, not yet synced.
    pub(super) fn apply(&mut self, folder: &Path, volume: &dyn Volume, batch: &Batch) -> Result<(), (PathBuf, io::Error)> {
        for (entry, leaf) in batch.entries().zip(&batch.leaves) {
            let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
            self.bundle.extend_from_slice(&length.to_be_bytes());
            self.bundle.extend_from_slice(entry);
            let n = self.size / FULL as u64;
            self.size += 1;
            if self.size.is_multiple_of(FULL as u64) {
                let bundle = std::mem::take(&mut self.bundle);
                self.put(volume, tile_path(folder, None, n, FULL), &bundle)?;
            }
            self.push(folder, volume, 0, *leaf)?;
        }
        self.salts.extend_from_slice(&batch.salts);
        if self.salts.len() > 1 << 16 { self.put_salts(folder, volume) } else { Ok(()) }
    }

    fn push(&mut self, folder: &Path, volume: &dyn Volume, level: usize, hash: Hash) -> Result<(), (PathBuf, io::Error)> {
        if self.levels.len() == level {
            self.levels.push(Vec::with_capacity(FULL));
        }
        self.levels[level].push(hash);
        if self.levels[level].len() < FULL {
            return Ok(());
        }
        let full = std::mem::take(&mut self.levels[level]);
        let n = (self.size >> (8 * (level + 1))) - 1;
        self.put(volume, tile_path(folder, Some(level), n, FULL), full.as_flattened())?;
        let root = perfect(&full).unwrap_or_default();
        self.push(folder, volume, level + 1, root)
    }

    fn put(&mut self, volume: &dyn Volume, path: PathBuf, bytes: &[u8]) -> Result<(), (PathBuf, io::Error)> {
        if let Err(error) = volume.put(&path, bytes) {
            return Err((path, error));
        }
        self.dirty.push(path);
        Ok(())
    }

    fn put_salts(&mut self, folder: &Path, volume: &dyn Volume) -> Result<(), (PathBuf, io::Error)> {
        let mut salts = std::mem::take(&mut self.salts);
        salts.sort_unstable();
        for salts in salts.chunk_by(|a, b| a.0 >> 16 == b.0 >> 16) {
            let path = salt_place(folder, salts.first().map_or(0, |salt| salt.0)).0;
            let records: Vec<_> = salts.iter().map(|(index, salt)| (salt_place(folder, *index).1, salt)).collect();
            if let Err(error) = volume.put_records(&path, &records) {
                return Err((path, error));
            }
            self.dirty.push(path);
        }
        Ok(())
    }

    /// The partial tiles and bundle of the tree as it is, lower levels first.
    fn partial_tiles(&self, folder: &Path) -> Vec<(PathBuf, &[u8])> {
        let mut partial = Vec::new();
        for (level, hashes) in self.levels.iter().enumerate().filter(|(_, hashes)| !hashes.is_empty()) {
            let n = self.size >> (8 * (level + 1));
            partial.push((tile_path(folder, Some(level), n, hashes.len()), hashes.as_flattened()));
        }
        let (n, width) = (self.size / FULL as u64, usize::try_from(self.size % FULL as u64).unwrap_or(0));
        if width > 0 {
            partial.push((tile_path(folder, None, n, width), &*self.bundle));
        }
        partial
    }

    /// The tree's root (RFC 9162 section 2.1).
    pub(super) fn root(&self) -> Hash {
        // Lower levels stand further right; within one, the smallest perfect subtree does.
        let mut root: Option<Hash> = None;
        for hashes in &self.levels {
            let mut end = hashes.len();
            while end > 0 {
                let width = 1 << end.trailing_zeros();
                let subtree = perfect(&hashes[end - width..end]);
                root = match (subtree, root) {
                    (Some(left), Some(right)) => Some(node(&left, &right)),
                    (left, right) => left.or(right),
                };
                end -= width;
            }
        }
        root.unwrap_or_else(|| sha256(&[]))
    }

    /// Writes the partial tiles and makes all that was written since the last checkpoint durable: after this the
    /// checkpoint may be signed.
    pub(super) fn flush(&mut self, folder: &Path, volume: &dyn Volume) -> Result<(), (PathBuf, io::Error)> {
        self.put_salts(folder, volume)?;
        let mut paths = Vec::new();
        for (path, bytes) in self.partial_tiles(folder) {
            // The same name has the same content; writing it anew would endanger what an older checkpoint rests on.
            if !self.partials[0].contains(&path) {
                volume.put(&path, bytes).map_err(|error| (path.clone(), error))?;
                paths.push((path, true));
            } else {
                paths.push((path, false));
            }
        }
        self.dirty.extend(paths.iter().filter(|(_, new)| *new).map(|(path, _)| path.clone()));
        let paths = paths.into_iter().map(|(path, _)| path).collect();
        let last = std::mem::replace(&mut self.partials[0], paths);
        let old = std::mem::replace(&mut self.partials[1], last);
        let dirty = std::mem::take(&mut self.dirty);
        volume.settle(folder, &dirty).map_err(|error| (folder.to_owned(), error))?;
        for path in old.into_iter().filter(|path| !self.partials.iter().flatten().any(|kept| kept == path)) {
            // What stays behind is superseded, and removed by nobody's need.
            let _ = std::fs::remove_file(&path);
            let _ = path.parent().map(std::fs::remove_dir);
        }
        Ok(())
    }
}

/// Where the salt of the share granted at `index` lies: 32 bytes in `salts/N`, 65,536 to a sparse file.
pub(super) fn salt_place(folder: &Path, index: u64) -> (PathBuf, u64) {
    (folder.join("salts").join((index >> 16).to_string()), (index & 0xffff) * 32)
}

/// The root of the first `size` entries of the log on disk, which must hold at least so many under full or partial tiles.
pub(super) fn root_at(folder: &Path, size: u64, written: u64) -> io::Result<Hash> {
    // The edge of a smaller tree, cut out of the tiles of the larger one.
    let mut levels = Vec::new();
    let (mut count, mut have) = (size, written);
    while count > 0 {
        let width = usize::try_from(count % FULL as u64).unwrap_or(0);
        let n = count / FULL as u64;
        let there = if have / FULL as u64 == n { usize::try_from(have % FULL as u64).unwrap_or(0) } else { FULL };
        let bytes = if width == 0 { Vec::new() } else { read_tile(folder, Some(levels.len()), n, there)? };
        let hashes: Vec<Hash> = bytes.as_chunks::<32>().0.iter().take(width).copied().collect();
        if hashes.len() != width {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        levels.push(hashes);
        count /= FULL as u64;
        have /= FULL as u64;
    }
    Ok(Tree { size, levels, ..Tree::default() }.root())
}
