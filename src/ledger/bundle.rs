//! Bundles: all that it takes to prove a share offline. The exact bytes of an entry and of its settlement, their
//! inclusion proofs under one signed checkpoint, and that checkpoint. Read from the tiles of the signed log alone.

use std::io;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};
use tlog_tiles::{Error, Hash, Tile, TileHashReader, TileReader, prove_record};

use super::entry::{Effect, Gist};
use super::journal::entries;
use super::retention;
use super::tree::read_tile;

/// Who may see an entry, and so all of its bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Owners {
    /// The requester whose call it records.
    pub requester: Option<String>,
    /// The provider whose data it is about.
    pub provider: Option<String>,
}

/// A bundle, as the contract has it; base64 is padded, proofs go from the leaf to the root (RFC 9162).
#[derive(Clone, Debug, Serialize)]
pub struct Bundle {
    v: u8,
    origin: String,
    index: u64,
    entry: String,
    /// Left out while the share is not settled, and for entries that grant none.
    #[serde(skip_serializing_if = "Option::is_none")]
    settled: Option<Settled>,
    proof: Vec<String>,
    checkpoint: String,
    key: String,
}

#[derive(Clone, Debug, Serialize)]
struct Settled {
    index: u64,
    entry: String,
    proof: Vec<String>,
}

impl Bundle {
    /// Whether it holds the settlement of a share.
    pub fn is_settled(&self) -> bool {
        self.settled.is_some()
    }

    /// Whether the entry grants a share whose settlement the checkpoint does not cover yet.
    pub fn is_open(&self) -> bool {
        let granted = || {
            let entry = BASE64_STANDARD.decode(&self.entry).ok()?;
            Gist::read(&entry).map(|gist| gist.effect() == Effect::Opens)
        };
        self.settled.is_none() && granted().unwrap_or(false)
    }
}

/// The log as one checkpoint covers it.
pub struct Signed<'a> {
    folder: &'a Path,
    note: String,
    origin: String,
    size: u64,
    root: Hash,
}

impl<'a> Signed<'a> {
    /// The log in `folder` under this checkpoint, whose signature is the reader's affair.
    pub fn of(folder: &'a Path, note: &[u8]) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "the checkpoint cannot be read");
        let note = String::from_utf8(note.to_vec()).map_err(|_| wrong())?;
        let mut lines = note.lines();
        let origin = lines.next().ok_or_else(wrong)?.to_owned();
        let size = lines.next().and_then(|size| size.parse().ok()).ok_or_else(wrong)?;
        let root = lines.next().and_then(|root| Hash::parse_hash(root).ok()).ok_or_else(wrong)?;
        Ok(Self { folder, origin, size, root, note })
    }

    /// The log under the newest checkpoint that enough witnesses cosigned; none where there is none that can be read.
    pub fn witnessed(folder: &'a Path) -> Option<Self> {
        let note = std::fs::read(folder.join(super::witness::WITNESSED)).ok()?;
        Self::of(folder, &note).ok()
    }

    /// How many entries it covers.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The owners of the entry at `index`: of a settlement, those of its share. None where it covers no such entry.
    pub fn owners(&self, index: u64) -> io::Result<Option<Owners>> {
        let Some(entry) = self.entry(index)? else { return Ok(None) };
        let of = match Gist::read(&entry).map(|gist| gist.effect()) {
            Some(Effect::Closes(granted)) => self.entry(granted)?.unwrap_or_default(),
            _ => entry,
        };
        Ok(Some(serde_json::from_slice(&of).unwrap_or_default()))
    }

    /// The bundle of the entry at `index`; none where the checkpoint covers no such entry.
    pub fn bundle(&self, index: u64) -> io::Result<Option<Bundle>> {
        let Some(entry) = self.entry(index)? else { return Ok(None) };
        let granted = Gist::read(&entry).is_some_and(|gist| gist.effect() == Effect::Opens);
        let settled = match if granted { self.settlement(index)? } else { None } {
            Some((index, entry)) => Some(Settled { index, entry: BASE64_STANDARD.encode(entry), proof: self.proof(index)? }),
            None => None,
        };
        let key = std::fs::read_to_string(self.folder.join("log.vkey"))?;
        Ok(Some(Bundle {
            v: 1,
            origin: self.origin.clone(),
            index,
            entry: BASE64_STANDARD.encode(entry),
            settled,
            proof: self.proof(index)?,
            checkpoint: self.note.clone(),
            key: key.lines().next().unwrap_or_default().to_owned(),
        }))
    }

    fn tile(&self, n: u64) -> io::Result<(Vec<u8>, usize)> {
        let width = usize::try_from((self.size - n * 256).min(256)).unwrap_or(256);
        Ok((read_tile(self.folder, None, n, width)?, width))
    }

    fn entry(&self, index: u64) -> io::Result<Option<Vec<u8>>> {
        if index >= self.size || index < retention::minimum(self.folder)? / 256 * 256 {
            return Ok(None);
        }
        let (bundle, _) = self.tile(index / 256)?;
        let found = entries(&bundle).nth(usize::try_from(index % 256).unwrap_or(0)).map(<[u8]>::to_vec);
        found.map(Some).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The entry that settles the share granted at `granted`: nearly always a few entries further on.
    fn settlement(&self, granted: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
        for n in granted / 256..self.size.div_ceil(256) {
            let (bundle, width) = self.tile(n)?;
            let closes = |entry: &[u8]| Gist::read(entry).is_some_and(|gist| gist.effect() == Effect::Closes(granted));
            if let Some((index, entry)) = (n * 256..).zip(entries(&bundle).take(width)).find(|(_, entry)| closes(entry)) {
                return Ok(Some((index, entry.to_vec())));
            }
        }
        Ok(None)
    }

    fn proof(&self, index: u64) -> io::Result<Vec<String>> {
        let tiles = Tiles(self.folder);
        let reader = TileHashReader::new(self.size, self.root, &tiles);
        let proof =
            prove_record(self.size, index, &reader).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        Ok(proof.iter().map(|hash| BASE64_STANDARD.encode(hash.0)).collect())
    }
}

/// Tiles of hashes, as the crate asks for them.
struct Tiles<'a>(&'a Path);

impl TileReader for Tiles<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            let width = usize::try_from(tile.width()).unwrap_or(256);
            let mut bytes = read_tile(self.0, Some(tile.level().into()), tile.level_index(), width)
                .map_err(|error| Error::InvalidInput(error.to_string()))?;
            bytes.truncate(width * 32);
            Ok(bytes)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}
