//! What a log sends to a witness: the size it believes cosigned, a consistency proof, and the checkpoint
//! (C2SP tlog-witness, `add-checkpoint`).

use std::fmt;

use signed_note::Note;
use tlog_tiles::{Checkpoint, Hash};

/// The largest request that a witness reads: 63 proof lines and a note of several signatures fit many times over.
pub const LARGEST: usize = 64 << 10;

/// Proof lines that a request may hold: a tree of 2^63 entries needs no more.
const MOST_PROOF: usize = 63;

/// A request to witness a checkpoint.
#[derive(Debug)]
pub struct Submission {
    /// The size of the last checkpoint that the witness cosigned, as the log believes; 0: none.
    pub old: u64,
    /// From there to the checkpoint (RFC 6962 section 2.1.2).
    pub proof: Vec<Hash>,
    /// The checkpoint's note.
    pub note: Note,
    /// What the note says.
    pub checkpoint: Checkpoint,
}

/// A request that cannot be read, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

impl Submission {
    /// The request's content.
    pub fn encode(old: u64, proof: &[Hash], note: &[u8]) -> Vec<u8> {
        let mut content = format!("old {old}\n").into_bytes();
        for hash in proof {
            content.extend_from_slice(format!("{hash}\n").as_bytes());
        }
        content.push(b'\n');
        content.extend_from_slice(note);
        content
    }

    /// Reads a request's content.
    pub fn decode(content: &[u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(content).map_err(|_| Malformed("the request is not utf-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or(Malformed("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old = old.ok_or(Malformed("the first line is not `old SIZE`"))?;
        let proof = lines.map(|line| Hash::parse_hash(line).map_err(|_| Malformed("a line of the proof is not a hash in base64")));
        let proof = proof.collect::<Result<Vec<_>, _>>()?;
        if proof.len() > MOST_PROOF {
            return Err(Malformed("more than 63 lines of proof"));
        }
        let note = Note::from_bytes(note.as_bytes()).map_err(|_| Malformed("the checkpoint is not a signed note"))?;
        let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|_| Malformed("the note is not a checkpoint"))?;
        Ok(Self { old, proof, note, checkpoint })
    }
}

/// A decimal number in its one spelling.
fn decimal(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}
