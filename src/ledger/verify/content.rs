//! Whether a copy of an answer is what was released, or what the origin sent: the share's settled entry commits to both
//! under a salt, which lies beside the log and may have been erased since.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use aws_lc_rs::hmac;
use serde::Deserialize;

use super::Keys;
use super::log::Log;
use crate::lang::Text;

/// What a copy turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matches {
    /// What left the gateway, and what the origin sent: nothing was changed on the way.
    Both,
    /// What left the gateway.
    Released,
    /// What the origin sent, of which the gateway disclosed a part.
    Origin,
    /// Neither.
    Neither,
}

/// The share whose content is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Index of the settled entry.
    pub settled: u64,
    /// What the copy is.
    pub matches: Matches,
}

#[derive(Deserialize)]
struct Digests {
    digest: Option<String>,
    origin_digest: Option<String>,
}

/// Compares `content` with what the share granted at `index` released. An error says why it cannot be told.
pub fn judge(folder: &Path, keys: &Keys, index: u64, content: &[u8]) -> Result<Found, Text> {
    let log = Log::open(folder, keys)?;
    if index >= log.signed.size {
        return Err(Text::new(format!("已签署的台账没有第 {index} 条"), format!("the signed log has no entry {index}")));
    }
    let none = || Text::new(format!("第 {index} 条没有结清记录"), format!("entry {index} has no settlement"));
    let (settled, entry) = log.settlement(index)?.ok_or_else(none)?;
    let digests: Digests = serde_json::from_slice(&entry).map_err(|_| none())?;
    let salt = salt(folder, index)?;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salt), content);
    let own = format!("hmac-sha256:{}", hex::encode(tag.as_ref()));
    let is = |digest: &Option<String>| digest.as_deref() == Some(&own);
    let matches = match (is(&digests.digest), is(&digests.origin_digest)) {
        (true, true) => Matches::Both,
        (true, false) => Matches::Released,
        (false, true) => Matches::Origin,
        (false, false) => Matches::Neither,
    };
    Ok(Found { settled, matches })
}

/// The salt of a share: 32 bytes, 65,536 of them to a file; zeros where it was erased.
fn salt(folder: &Path, index: u64) -> Result<[u8; 32], Text> {
    let mut salt = [0; 32];
    let path = folder.join("salts").join((index >> 16).to_string());
    let read = File::open(&path).and_then(|file| file.read_exact_at(&mut salt, (index & 0xffff) * 32));
    if read.is_err() || salt == [0; 32] {
        let (zh, en) = (
            format!("第 {index} 条的盐值已抹除或不存在：其内容无法再证明"),
            format!("the salt of entry {index} was erased or never was: its content can no longer be proven"),
        );
        return Err(Text::new(zh, en));
    }
    Ok(salt)
}
