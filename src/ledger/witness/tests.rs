//! The witness against what a log may try.

use tlog_tiles::{Hash, HashReader, prove_tree, stored_hashes, tree_hash};

use super::*;
use crate::ledger::checkpoint;
use crate::ledger::keys::Signer;
use crate::sys;

const ORIGIN: &str = "gw-1.mca.example";

/// A log in memory whose note key signs whatever it is told to.
struct Log {
    hashes: Vec<Hash>,
    size: u64,
    signer: Signer,
    key: LogKey,
}

struct Stored<'a>(&'a [Hash]);

impl HashReader for Stored<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|&index| self.0[usize::try_from(index).unwrap()]).collect())
    }
}

impl Log {
    fn new(place: &Place) -> Self {
        let file = place.0.join(format!("{}.key", hex::encode(sys::random::<4>())));
        std::fs::write(&file, rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem()).unwrap();
        let signer = Signer::read(ORIGIN, &file).unwrap();
        let key = LogKey::parse(&signer.verifier_key()).unwrap();
        Self { hashes: Vec::new(), size: 0, signer, key }
    }

    fn grow(&mut self, entries: &[&str]) -> &mut Self {
        for entry in entries {
            let new = stored_hashes(self.size, entry.as_bytes(), &Stored(&self.hashes)).unwrap();
            self.hashes.extend(new);
            self.size += 1;
        }
        self
    }

    fn note(&self) -> Vec<u8> {
        let root = tree_hash(self.size, &Stored(&self.hashes)).unwrap();
        self.signer.sign(&checkpoint::text(ORIGIN, self.size, &root.0))
    }

    fn request(&self, old: u64) -> Vec<u8> {
        let proof = if old == 0 || old >= self.size { Vec::new() } else { prove_tree(self.size, old, &Stored(&self.hashes)).unwrap() };
        Submission::encode(old, &proof, &self.note())
    }
}

fn cosigner(folder: &std::path::Path) -> Cosigner {
    let key = folder.join("witness.key");
    if !key.exists() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
    }
    Cosigner::read("authority.example/witness", &key).unwrap()
}

struct Place(std::path::PathBuf);

impl Place {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("kanhe-witness-{}", hex::encode(sys::random::<8>())));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn open(&self, log: &Log) -> Witness {
        Witness::open(&self.0.join("memory"), cosigner(&self.0), std::slice::from_ref(&log.key), true).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text_of(note: &[u8]) -> Vec<u8> {
    signed_note::Note::from_bytes(note).unwrap().text().to_vec()
}

#[test]
fn a_growing_log_is_cosigned_and_the_cosignature_holds() {
    let place = Place::new();
    let mut log = Log::new(&place);
    let witness = place.open(&log);
    let key = CosignerKey::parse(&witness.verifier_key()).unwrap();
    let mut old = 0;
    for round in 0..12 {
        log.grow(&["a", "b", "c"][..1 + round % 3]);
        let line = witness.add_checkpoint(&log.request(old), sys::now()).unwrap();
        let cosigned = key.verify(&text_of(&log.note()), &line[..line.len() - 1]).unwrap();
        assert!((sys::now().as_second() - cosigned.time.as_second()).abs() <= 2);
        assert!(key.verify(b"gw-1.mca.example\n1\nother\n", &line[..line.len() - 1]).is_none());
        old = log.size;
    }
    // The same checkpoint may be asked for again.
    assert!(witness.add_checkpoint(&log.request(old), sys::now()).is_ok());
}

#[test]
fn a_rewritten_log_finds_no_witness() {
    let place = Place::new();
    let mut log = Log::new(&place);
    let witness = place.open(&log);
    log.grow(&["a", "b", "c", "d"]);
    witness.add_checkpoint(&log.request(0), sys::now()).unwrap();
    let mut other = Log { hashes: Vec::new(), size: 0, ..log };
    other.grow(&["a", "b", "x", "d"]);
    assert!(matches!(witness.add_checkpoint(&other.request(4), sys::now()), Err(Refused::Conflict(4))), "another tree of that size");
    other.grow(&["e"]);
    assert!(matches!(witness.add_checkpoint(&other.request(4), sys::now()), Err(Refused::NotConsistent)));
    assert!(matches!(witness.add_checkpoint(&other.request(0), sys::now()), Err(Refused::Conflict(4))), "a shrunk belief");
    // Nor after a restart of the witness.
    drop(witness);
    let witness = place.open(&other);
    assert!(matches!(witness.add_checkpoint(&other.request(4), sys::now()), Err(Refused::NotConsistent)));
}

#[test]
fn what_is_malformed_unknown_or_unsigned_is_refused_each_in_its_way() {
    let place = Place::new();
    let mut log = Log::new(&place);
    let witness = place.open(&log);
    log.grow(&["a", "b"]);
    let good = String::from_utf8(log.request(0)).unwrap();
    for bad in [
        "",
        "old 0\n",
        "old\n\n",
        &good.replace("old 0", "old 00"),
        &good.replace("old 0", "old -1"),
        &good.replace("old 0\n", "old 0\nnot base64\n"),
        &good.replace("old 0", "old 3"),
        &good.replace('—', "-"),
        &good.replace(ORIGIN, ""),
    ] {
        assert!(matches!(witness.add_checkpoint(bad.as_bytes(), sys::now()), Err(Refused::Malformed(_))), "{bad}");
    }
    let many = format!("{}\n", Hash([0; 32])).repeat(64);
    let bad = good.replace("old 0\n", &format!("old 0\n{many}"));
    assert!(matches!(witness.add_checkpoint(bad.as_bytes(), sys::now()), Err(Refused::Malformed(_))));
    let bad = good.replace("old 0\n", &format!("old 0\n{}\n", Hash([0; 32])));
    assert!(matches!(witness.add_checkpoint(bad.as_bytes(), sys::now()), Err(Refused::NotConsistent)), "a proof where none is needed");
    let mut stranger = Log::new(&place);
    stranger.grow(&["a", "b"]);
    assert!(matches!(witness.add_checkpoint(&stranger.request(0), sys::now()), Err(Refused::Unsigned)), "the name with another key");
    let unknown = good.replace(ORIGIN, "gw-9.mca.example");
    assert!(matches!(witness.add_checkpoint(unknown.as_bytes(), sys::now()), Err(Refused::UnknownLog)));
    assert!(witness.add_checkpoint(good.as_bytes(), sys::now()).is_ok(), "none of that was remembered");
}

#[test]
fn what_cannot_be_remembered_is_not_cosigned() {
    let place = Place::new();
    let mut log = Log::new(&place);
    let witness = place.open(&log);
    log.grow(&["a"]);
    std::fs::remove_dir_all(place.0.join("memory")).unwrap();
    assert!(matches!(witness.add_checkpoint(&log.request(0), sys::now()), Err(Refused::Storage(..))));
    let lost = Witness::open(&place.0.join("memory"), cosigner(&place.0), std::slice::from_ref(&log.key), false);
    assert!(lost.is_err(), "a lost memory is not begun anew by itself");
}

#[test]
fn a_damaged_memory_is_said() {
    let place = Place::new();
    let mut log = Log::new(&place);
    let witness = place.open(&log);
    log.grow(&["a"]);
    witness.add_checkpoint(&log.request(0), sys::now()).unwrap();
    drop(witness);
    let file = std::fs::read_dir(place.0.join("memory")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(Witness::open(&place.0.join("memory"), cosigner(&place.0), std::slice::from_ref(&log.key), false).is_err());
}
