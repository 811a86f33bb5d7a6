//! The promise in a receipt: one signature over each batch of entries that became durable together, and the short
//! proof that an entry is in it. The signed text is five lines, each ended by a line feed:
//!
//! ```text
//! kanhe batch v1
//! NAME
//! FIRST
//! COUNT
//! ROOT
//! ```
//!
//! NAME is the log's name, FIRST the index of the batch's first entry and COUNT how many there are, both in decimal, and
//! ROOT the base64 of the root of the RFC 9162 tree over their leaves. A name holds no space, so that no checkpoint, whose
//! first line is a name, can be taken for such a text, nor the other way round.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use base64::prelude::{BASE64_STANDARD, Engine};

use super::journal::Batch;
use super::keys::{Signer, sha256};

/// What names the text that is signed, and its version.
const DOMAIN: &str = "kanhe batch v1";

type Hash = [u8; 32];

/// A batch on its way to be durable, and the signature over it, made at most once: by the signing thread while the
/// disk syncs, or by whoever needs it first. It leaves this process only with entries that are durable.
pub(super) struct Sealed {
    pub(super) batch: Batch,
    signer: Arc<Signer>,
    /// How much of the log its witnesses had cosigned, where it has any.
    witnessed: Option<u64>,
    seal: OnceLock<Seal>,
}

struct Seal {
    /// The tree over the batch's leaves, level by level; one that has no neighbour is its own parent.
    levels: Vec<Vec<Hash>>,
    /// What the receipts of this batch end with.
    tail: String,
}

impl Sealed {
    pub(super) fn new(batch: Batch, signer: Arc<Signer>, witnessed: Option<u64>) -> Self {
        Self { batch, signer, witnessed, seal: OnceLock::new() }
    }

    /// Signs, unless that was done.
    pub(super) fn sign(&self) {
        self.seal();
    }

    fn seal(&self) -> &Seal {
        self.seal.get_or_init(|| {
            let levels = levels(&self.batch.leaves);
            let root = levels.last().and_then(|level| level.first()).copied().unwrap_or_else(|| sha256(&[]));
            let text = text(self.signer.name(), self.batch.first, self.batch.leaves.len() as u64, &root);
            let (key, signature) = (hex::encode(self.signer.key_id()), BASE64_STANDARD.encode(self.signer.sign_text(&text)));
            let witnessed = self.witnessed.map_or_else(String::new, |size| format!(";witnessed={size}"));
            Seal { levels, tail: format!(":;key=\"{key}\";sig=:{signature}:{witnessed}") }
        })
    }

    /// The promise for the entry at this place in the batch: `Share-Receipt` (RFC 9651 item) with its place in the log and
    /// its leaf, the batch, the proof of the leaf in it (RFC 9162 order), the id of the key, and the signature;
    /// where the log has witnesses, how many of its entries they had cosigned by then (not signed: their cosignatures prove it).
    pub(super) fn receipt(&self, position: usize) -> Option<String> {
        let (seal, batch, name) = (self.seal(), &self.batch, self.signer.name());
        let (index, first, count) = (batch.first + position as u64, batch.first, batch.leaves.len());
        let (leaf, proof) = (batch.leaves.get(position)?, path(&seal.levels, position));
        let mut receipt = String::with_capacity(name.len() + 160 + proof.len() * 44 + seal.tail.len());
        // Writing to a string does not fail.
        let _ = write!(receipt, "\"{name}\";index={index};leaf=:");
        BASE64_STANDARD.encode_string(leaf, &mut receipt);
        let _ = write!(receipt, ":;first={first};count={count};proof=:");
        BASE64_STANDARD.encode_string(proof.as_flattened(), &mut receipt);
        receipt.push_str(&seal.tail);
        Some(receipt)
    }
}

fn text(name: &str, first: u64, count: u64, root: &Hash) -> String {
    format!("{DOMAIN}\n{name}\n{first}\n{count}\n{}\n", BASE64_STANDARD.encode(root))
}

fn levels(leaves: &[Hash]) -> Vec<Vec<Hash>> {
    let mut levels = vec![leaves.to_vec()];
    while let Some(below) = levels.last().filter(|level| level.len() > 1) {
        let above = below.chunks(2).map(|pair| match pair {
            [left, right] => sha256(&[&[1], left, right]),
            alone => alone.first().copied().unwrap_or_default(),
        });
        let above = above.collect();
        levels.push(above);
    }
    levels
}

fn path(levels: &[Vec<Hash>], position: usize) -> Vec<Hash> {
    let neighbours = levels.iter().enumerate().map(|(height, level)| level.get((position >> height) ^ 1));
    neighbours.flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog_tiles::{Hash as Theirs, check_record, record_hash};

    #[test]
    fn every_proof_in_a_batch_of_any_size_is_one_that_others_accept() {
        for count in 1..70_u64 {
            let entries: Vec<_> = (0..count).map(|n| n.to_be_bytes()).collect();
            let leaves: Vec<_> = entries.iter().map(|entry| record_hash(entry).0).collect();
            let levels = levels(&leaves);
            let root = Theirs(levels.last().unwrap()[0]);
            for (n, leaf) in (0..count).zip(&leaves) {
                let proof = path(&levels, usize::try_from(n).unwrap()).into_iter().map(Theirs).collect();
                check_record(&proof, count, root, n, Theirs(*leaf)).unwrap();
                assert!(check_record(&proof, count, root, n, Theirs([7; 32])).is_err());
            }
        }
    }
}
