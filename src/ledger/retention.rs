//! Forgetting what need not be kept: the salts that tie a share to its content, and entries beyond their retention. Both
//! leave every other proof as it was, and both are on record in the log that they concern.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::bundle::Signed;
use super::entry::{Gist, time_text};
use super::inbox::{self, Administrative, Member};
use super::query::{self, Filter};
use super::tree::{read_tile, salt_place, tile_path};
use crate::lang::Text;
use crate::sys;
use crate::written::units::Years;

/// Indices in one `ledger.erased` entry.
const MOST_INDICES: usize = 256;

/// Why nothing was forgotten.
#[derive(Debug)]
pub enum Refused {
    /// The request is not one that may be carried out.
    Text(Text),
    /// A file could not be read or written.
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<inbox::Error> for Refused {
    fn from(error: inbox::Error) -> Self {
        Self::Text(error.text())
    }
}

impl Refused {
    fn text(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self::Text(Text::new(zh, en))
    }
}

/// The index of the first entry that is kept: those before it were pruned.
pub fn minimum(folder: &Path) -> io::Result<u64> {
    query::minimum(folder)
}

/// The granted shares about a person, whose identifier has these digests.
pub fn shares_about(folder: &Path, digests: Vec<String>) -> io::Result<Vec<u64>> {
    let filter = Filter { members: vec![("kind", "share.granted".to_owned())], subject: Some(digests), ..Filter::default() };
    let mut found = Vec::new();
    query::read(folder, 0, |record| {
        if filter.fits(&record.entry) {
            found.push(record.index);
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// Erases the salts of these shares, whose content can then never be proven from a copy; gives how many there were.
/// What is to be erased is handed to the log first: what is gone is on record, whatever happens in between.
pub fn erase(folder: &Path, indices: &[u64], reason: &str) -> Result<usize, Refused> {
    let note = fs::read(folder.join("checkpoint"))?;
    let signed = Signed::of(folder, &note)?;
    let mut there = Vec::new();
    for &index in indices {
        match signed.bundle(index)? {
            Some(bundle) if bundle.is_settled() => {}
            Some(bundle) if bundle.is_open() => {
                return Err(Refused::text(
                    format!("第 {index} 条的提供尚未结清，或检查点尚未包含其结清记录：稍后再试"),
                    format!("the share of entry {index} is not settled under a checkpoint yet: try again later"),
                ));
            }
            _ => return Err(Refused::text(format!("第 {index} 条不是一次提供"), format!("entry {index} grants no share"))),
        }
        if has_salt(folder, index)? {
            there.push(index);
        }
    }
    for indices in there.chunks(MOST_INDICES) {
        let list = Member::List(indices.iter().map(|index| Member::Number(*index)).collect());
        Administrative::new("ledger.erased", reason).with("indices", list).leave(folder)?;
    }
    for &index in &there {
        let (path, offset) = salt_place(folder, index);
        let file = File::options().write(true).open(path)?;
        file.write_all_at(&[0; 32], offset)?;
        sys::sync(&file)?;
    }
    Ok(there.len())
}

fn has_salt(folder: &Path, index: u64) -> io::Result<bool> {
    let (path, offset) = salt_place(folder, index);
    let mut salt = [0; 32];
    match File::open(path).and_then(|file| file.read_exact_at(&mut salt, offset)) {
        Ok(()) => Ok(salt != [0; 32]),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What may be pruned: all before this index, a multiple of 256, is older than the retention, and than
/// `before`.
pub fn prunable(folder: &Path, retention: Years, before: Timestamp, now: Timestamp) -> Result<u64, Refused> {
    let now = now.to_zoned_datetime(TimeZone::UTC);
    let kept_since = jiff::Span::new().try_years(retention.0).and_then(|years| now.checked_sub(years));
    let kept_since = kept_since.map_err(|_| Refused::text("保存年限过长", "the retention is too long"))?.timestamp();
    let before = time_text(before.min(kept_since));
    let size = Signed::of(folder, &fs::read(folder.join("checkpoint"))?)?.size();
    let (mut from, mut to) = (minimum(folder)? / 256, size / 256);
    // Time never goes back: the tiles that end before it come first.
    while from < to {
        let middle = from + (to - from) / 2;
        let bundle = read_tile(folder, None, middle, 256)?;
        let last = super::journal::entries(&bundle).last().and_then(Gist::read);
        let older = last.ok_or(io::ErrorKind::InvalidData).map_err(io::Error::from)?.time < &*before;
        (from, to) = if older { (middle + 1, to) } else { (from, middle) };
    }
    Ok(from * 256)
}

/// Whether the log says that all before `minimum` was pruned.
pub fn is_recorded(folder: &Path, minimum: u64) -> io::Result<bool> {
    #[derive(serde::Deserialize)]
    struct Pruned {
        kind: String,
        minimum: Option<u64>,
    }
    let mut recorded = false;
    query::read(folder, minimum, |record| {
        let pruned = serde_json::from_slice::<Pruned>(&record.entry);
        recorded = pruned.is_ok_and(|entry| entry.kind == "ledger.pruned" && entry.minimum.is_some_and(|known| known >= minimum));
        if recorded { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(recorded)
}

/// Hands the log the intention to prune all before `minimum`.
pub fn announce(folder: &Path, minimum: u64, reason: &str) -> Result<(), Refused> {
    Administrative::new("ledger.pruned", reason).with("minimum", minimum).leave(folder)?;
    Ok(())
}

/// Prunes all before `minimum`, which the log must have on record (C2SP tlog-tiles, pruning): bundles and tiles that end
/// there or before, and salts. With `archive` they are moved there. Proofs of all that is kept still hold.
pub fn prune(folder: &Path, minimum: u64, archive: Option<&Path>) -> Result<u64, Refused> {
    if !is_recorded(folder, minimum)? {
        return Err(Refused::text("台账中没有此项清理的登记", "the log has no record of this pruning"));
    }
    // From here on readers begin behind it; what is still there after a crash, the next prune takes.
    sys::write_whole(&folder.join("minimum"), format!("{minimum}\n").as_bytes())?;
    let mut gone = 0;
    for n in 0..minimum / 256 {
        gone += remove(folder, &tile_path(folder, None, n, 256), archive)?;
    }
    for level in 0..8_usize {
        for n in 0..minimum.checked_shr(8 * (u32::try_from(level).unwrap_or(8) + 1)).unwrap_or(0) {
            gone += remove(folder, &tile_path(folder, Some(level), n, 256), archive)?;
        }
    }
    for n in 0..minimum >> 16 {
        gone += remove(folder, &salt_place(folder, n << 16).0, archive)?;
    }
    Ok(gone)
}

/// Removes a file or moves it to the same place in the archive; one if it was there.
fn remove(folder: &Path, path: &Path, archive: Option<&Path>) -> io::Result<u64> {
    if let Some(archive) = archive {
        let to: PathBuf = archive.join(path.strip_prefix(folder).unwrap_or(path));
        match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            read => {
                to.parent().map_or(Ok(()), fs::create_dir_all)?;
                sys::write_whole(&to, &read?)?;
            }
        }
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        other => other.map(|()| 1),
    }
}
