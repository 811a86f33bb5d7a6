//! The journal: what is durable before a share is acknowledged. Files `journal/FIRSTINDEX.seg`, preallocated, each a
//! row of frames that begin at multiples of 64 bytes:
//!
//! ```text
//!  0  "KHJ1"   4  kind (1 head, 2 batch), 3 zero bytes   8  u32 length of the body
//! 12  u64 first index   20  u32 entries   24  u32 salts   28  32-byte check   60  zeros   64  body
//! ```
//!
//! Numbers are big-endian. A head's body is the log's id, then the open set when the file began: the indices of granted
//! shares not yet settled, so that recovery never reads further back. A batch's body is its entries as in an entry bundle (uint16 length
//! and bytes), then its salts (u64 index of the granted entry, 32 bytes). The check is SHA-256 over the log's id, the
//! first 28 bytes, and the body of a head, or the leaves and salts of a batch, which bind every entry byte.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::keys::sha256;
use super::volume::{Segment, Volume};

pub(super) const ALIGN: usize = 64;
pub(super) const MAGIC: &[u8; 4] = b"KHJ1";
const HEAD: u8 = 1;
const BATCH: u8 = 2;
/// Bytes of one salt record.
pub(super) const SALT: usize = 8 + 32;

/// The leaf of an entry: SHA-256(0x00 ‖ entry).
pub(super) fn leaf(entry: &[u8]) -> [u8; 32] {
    sha256(&[&[0], entry])
}

/// A salt and the index of the granted entry whose digests it belongs to.
pub(super) type Salt = (u64, [u8; 32]);

/// Entries that became durable together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) first: u64,
    /// Entries as in an entry bundle: uint16 length and bytes.
    pub(super) bundle: Vec<u8>,
    pub(super) leaves: Vec<[u8; 32]>,
    pub(super) salts: Vec<Salt>,
}

impl Batch {
    pub(super) fn push(&mut self, entry: &[u8]) {
        // `Draft` holds entries to the uint16.
        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        self.bundle.extend_from_slice(&length.to_be_bytes());
        self.bundle.extend_from_slice(entry);
        self.leaves.push(leaf(entry));
    }

    /// The entries' bytes, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        entries(&self.bundle)
    }

    pub(super) fn end(&self) -> u64 {
        self.first + self.leaves.len() as u64
    }
}

/// The entries of a bundle; stops at a torn one.
pub(super) fn entries(bundle: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bundle;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (entry, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        rest = after;
        Some(entry)
    })
}

/// A frame read back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Head { first: u64, log: [u8; 32], open: Vec<u64> },
    Batch(Batch),
}

fn header(kind: u8, body: usize, first: u64, entries: usize, salts: usize) -> io::Result<[u8; 28]> {
    let number = |n: usize| u32::try_from(n).map(u32::to_be_bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge));
    let mut header = [0; 28];
    header[..4].copy_from_slice(MAGIC);
    header[4] = kind;
    header[8..12].copy_from_slice(&number(body)?);
    header[12..20].copy_from_slice(&first.to_be_bytes());
    header[20..24].copy_from_slice(&number(entries)?);
    header[24..].copy_from_slice(&number(salts)?);
    Ok(header)
}

fn seal(out: &mut Vec<u8>, header: [u8; 28], check: [u8; 32], body: &[&[u8]]) {
    out.clear();
    out.extend_from_slice(&header);
    out.extend_from_slice(&check);
    out.extend_from_slice(&[0; 4]);
    body.iter().for_each(|part| out.extend_from_slice(part));
    out.resize(out.len().next_multiple_of(ALIGN), 0);
}

fn salt_bytes(salts: &[Salt]) -> Vec<u8> {
    salts.iter().flat_map(|(index, salt)| index.to_be_bytes().into_iter().chain(*salt)).collect()
}

/// Frames `batch` into `out`.
pub(super) fn write_batch(out: &mut Vec<u8>, log: &[u8; 32], batch: &Batch) -> io::Result<()> {
    let salts = salt_bytes(&batch.salts);
    let header = header(BATCH, batch.bundle.len() + salts.len(), batch.first, batch.leaves.len(), batch.salts.len())?;
    let check = sha256(&[log, &header, batch.leaves.as_flattened(), &salts]);
    seal(out, header, check, &[&batch.bundle, &salts]);
    Ok(())
}

fn write_head(out: &mut Vec<u8>, log: &[u8; 32], first: u64, open: &BTreeSet<u64>) -> io::Result<()> {
    let body: Vec<u8> = log.iter().copied().chain(open.iter().flat_map(|index| index.to_be_bytes())).collect();
    let header = header(HEAD, body.len(), first, 0, 0)?;
    let check = sha256(&[log, &header, &body]);
    seal(out, header, check, &[&body]);
    Ok(())
}

/// Reads the frame at the start of `bytes` and its length; none where it is torn, of another log, or absent. A head of another log is
/// told by its own id.
pub(super) fn read_frame(bytes: &[u8], log: Option<&[u8; 32]>) -> Option<(Frame, usize)> {
    let header: &[u8; 28] = bytes.first_chunk()?;
    let check = bytes.get(28..60)?;
    let number = |at: usize| header.get(at..at + 4)?.first_chunk().map(|b| u32::from_be_bytes(*b) as usize);
    let first = u64::from_be_bytes(*header.get(12..20)?.first_chunk()?);
    let body = bytes.get(ALIGN..ALIGN.checked_add(number(8)?)?)?;
    if header.get(..4)? != MAGIC {
        return None;
    }
    let length = (ALIGN + body.len()).next_multiple_of(ALIGN);
    let frame = match header[4] {
        HEAD => {
            let (own, open) = body.split_first_chunk::<32>()?;
            (sha256(&[own, header, body]) == check).then_some(())?;
            let open = open.as_chunks::<8>().0.iter().map(|index| u64::from_be_bytes(*index)).collect();
            Frame::Head { first, log: *own, open }
        }
        BATCH => {
            let salts_length = number(24)?.checked_mul(SALT)?;
            let (bundle, salts) = body.split_at_checked(body.len().checked_sub(salts_length)?)?;
            let leaves: Vec<_> = entries(bundle).map(leaf).collect();
            let whole = entries(bundle).map(|entry| entry.len() + 2).sum::<usize>() == bundle.len() && leaves.len() == number(20)?;
            (whole && sha256(&[log?, header, leaves.as_flattened(), salts]) == check).then_some(())?;
            let salts = salts.as_chunks::<SALT>().0.iter().map(read_salt).collect();
            Frame::Batch(Batch { first, bundle: bundle.to_vec(), leaves, salts })
        }
        _ => return None,
    };
    Some((frame, length))
}

/// What the first bytes of a frame say of it, unchecked: enough to pass over what is known already.
pub(super) struct Peek {
    pub(super) first: u64,
    pub(super) entries: u64,
    /// Up to the next frame.
    pub(super) length: usize,
}

pub(super) fn peek(bytes: &[u8]) -> Option<Peek> {
    let header: &[u8; 28] = bytes.first_chunk()?;
    let number = |at: usize| header.get(at..at + 4)?.first_chunk().map(|b| u32::from_be_bytes(*b));
    let first = u64::from_be_bytes(*header.get(12..20)?.first_chunk()?);
    let length = (ALIGN + number(8)? as usize).next_multiple_of(ALIGN);
    header.starts_with(MAGIC).then_some(Peek { first, entries: number(20)?.into(), length })
}

fn read_salt(record: &[u8; SALT]) -> Salt {
    let (mut index, mut salt) = ([0; 8], [0; 32]);
    index.copy_from_slice(&record[..8]);
    salt.copy_from_slice(&record[8..]);
    (u64::from_be_bytes(index), salt)
}

/// The journal files of a ledger by first index.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder.join("journal"))? {
        let path = file?.path();
        let stem = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".seg"));
        if let Some(first) = stem.and_then(|stem| stem.parse().ok()) {
            found.push((first, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The name of the file that begins at `first`.
pub(super) fn segment_path(folder: &Path, first: u64) -> PathBuf {
    folder.join("journal").join(format!("{first:020}.seg"))
}

/// The journal being written.
pub(super) struct Journal {
    folder: PathBuf,
    log: [u8; 32],
    size: u64,
    path: PathBuf,
    segment: Box<dyn Segment>,
    offset: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Begins a new file at `first`; what it begins with is durable when this returns.
    pub(super) fn begin(
        volume: &dyn Volume,
        folder: &Path,
        log: [u8; 32],
        size: u64,
        first: u64,
        open: &BTreeSet<u64>,
    ) -> Result<Self, (PathBuf, io::Error)> {
        let path = segment_path(folder, first);
        let failed = |error| (path.clone(), error);
        let mut buffer = Vec::new();
        write_head(&mut buffer, &log, first, open).map_err(failed)?;
        let segment = volume.segment(&path, size.max(buffer.len() as u64), &buffer).map_err(failed)?;
        Ok(Self { folder: folder.to_owned(), log, size, path, segment, offset: buffer.len() as u64, buffer })
    }

    /// Writes one batch and makes it durable: **the commit point of every share**. After an error nothing is known
    /// about what is on the disk, and this journal must not be used again.
    pub(super) fn commit(&mut self, volume: &dyn Volume, batch: &Batch, open: &BTreeSet<u64>) -> Result<(), (PathBuf, io::Error)> {
        write_batch(&mut self.buffer, &self.log, batch).map_err(|error| (self.path.clone(), error))?;
        if self.offset + self.buffer.len() as u64 > self.size {
            let buffer = std::mem::take(&mut self.buffer);
            *self = Self::begin(volume, &self.folder, self.log, self.size, batch.first, open)?;
            self.buffer = buffer;
        }
        let done = self.segment.write(&self.buffer, self.offset).and_then(|()| self.segment.sync());
        done.map_err(|error| (self.path.clone(), error))?;
        self.offset += self.buffer.len() as u64;
        Ok(())
    }
}
