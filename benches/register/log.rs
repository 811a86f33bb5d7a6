//! A long log, made at once: the files that years of running would leave, with a signed checkpoint over them. Its entries
//! are spread evenly over a year, a share every few seconds and its settlement right behind it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::{SignedDuration, Timestamp};

type Hash = [u8; 32];
const NAME: &str = "gw-1.bench.example";

/// The log's first moment; it ends a year later.
pub fn begins() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().try_into().unwrap()
}

/// Numbers that look random and are the same in every run.
pub fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The digest of the person that share `n` is about: each of a million is asked about a few times.
pub fn subject(n: u64) -> String {
    let person = mix(n ^ 0x5ab1) % 1_000_000;
    format!("hmac-sha256:00000000:{}", hex::encode(sha256(&[b"person", &person.to_be_bytes()])))
}

/// The Share-Id of share `n`.
pub fn id(n: u64) -> String {
    format!("{:016x}{:016x}", mix(n), mix(n ^ 0xffff))
}

/// The case of share `n`.
pub fn case(n: u64) -> String {
    format!("2026-{:07}", mix(n ^ 0xca5e) % 2_000_000)
}

/// Requester of share `n`, of 200.
pub fn requester(n: u64) -> String {
    format!("app-{:03}", mix(n ^ 0x4e9) % 200)
}

fn granted(n: u64, time: &str, out: &mut String) {
    use std::fmt::Write;
    let (app, resource) = (mix(n ^ 0x4e9) % 200, mix(n ^ 0x4e5) % 120);
    // The grant, of 24,000, says for which scenario.
    let scenario = mix((app << 16) | resource) % 40;
    let (id, case, subject, zeros) = (id(n), case(n), subject(n), "0".repeat(64));
    let form = ["mask", "reveal", "pseudonymise"][usize::try_from(mix(n ^ 0xf0) % 3).unwrap()];
    write!(
        out,
        r#"{{"bound":false,"case":"{case}","credential":{{"digest":"hmac-sha256:00000000:{zeros}","issuer":"https://iam.example","kid":"k1","kind":"jwt"}},"department":"dept-{:02}","effective_grade":4,"emergency":false,"flags":[],"grade":3,"grant":"g-{app:03}-{resource:03}","id":"{id}","items":{{"id_number":"mask","name":"{form}","status":"reveal"}},"kind":"share.granted","level":"general","narrowed":{{}},"network":"government","operation":"query","operator":"hmac-sha256:00000000:{:064x}","operator_clearance":2,"operator_roles":[],"policies":["granted-items","share-with-grant"],"policies_total":2,"provider":"prov-{:02}","requester":"app-{app:03}","resource":"prov-{:02}.r{resource:03}","roles":[],"scenario":"scenario-{scenario:02}","sharing":"conditional","snapshot":"sha256:{zeros}","source":"59.192.0.7","subject":"{subject}","target":"POST /r{resource:03}/query","time":"{time}","time_decided":"{time}","v":1,"work_time":true}}"#,
        app % 60,
        mix(n ^ 0x0b) % 5_000,
        resource % 20,
        resource % 20,
    )
    .unwrap();
}

fn settled(n: u64, receipt_of: u64, time: &str, out: &mut String) {
    use std::fmt::Write;
    let (id, outcome) = (id(n ^ (1 << 60)), if mix(n).is_multiple_of(50) { "failed" } else { "complete" });
    write!(
        out,
        r#"{{"bytes":312,"digest":"hmac-sha256:{0}","id":"{id}","items":{{"id_number":{{"mask":1}},"status":{{"reveal":1}}}},"kind":"share.settled","origin_digest":"hmac-sha256:{0}","outcome":"{outcome}","receipt_of":{receipt_of},"records":1,"rows_dropped":0,"status":200,"time":"{time}","v":1}}"#,
        "0".repeat(64),
    )
    .unwrap();
}

/// The files of a C2SP log as it grows.
struct Tiles {
    folder: PathBuf,
    levels: Vec<Vec<Hash>>,
    counts: Vec<u64>,
    bundle: Vec<u8>,
    /// Roots of perfect subtrees, largest first, with their heights.
    range: Vec<(u32, Hash)>,
    size: u64,
}

fn path(folder: &Path, level: &str, n: u64, width: usize) -> PathBuf {
    let mut number = format!("{:03}", n % 1000);
    let mut rest = n / 1000;
    while rest > 0 {
        number = format!("x{:03}/{number}", rest % 1000);
        rest /= 1000;
    }
    let partial = if width == 256 { String::new() } else { format!(".p/{width}") };
    folder.join("tile").join(level).join(format!("{number}{partial}"))
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes).or_else(|_| {
        fs::create_dir_all(path.parent().unwrap())?;
        fs::write(path, bytes)
    })
}

fn perfect(hashes: &[Hash]) -> Hash {
    match hashes {
        [one] => *one,
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            sha256(&[&[1], &perfect(left), &perfect(right)])
        }
    }
}

impl Tiles {
    fn push(&mut self, entry: &[u8]) -> io::Result<()> {
        self.bundle.extend(u16::try_from(entry.len()).unwrap().to_be_bytes());
        self.bundle.extend(entry);
        let leaf = sha256(&[&[0], entry]);
        let mut top = (0, leaf);
        while self.range.last().is_some_and(|(height, _)| *height == top.0) {
            let (height, left) = self.range.pop().unwrap();
            top = (height + 1, sha256(&[&[1], &left, &top.1]));
        }
        self.range.push(top);
        self.size += 1;
        self.add(0, leaf)?;
        if self.size.is_multiple_of(256) {
            put(&path(&self.folder, "entries", self.size / 256 - 1, 256), &self.bundle)?;
            self.bundle.clear();
        }
        Ok(())
    }

    fn add(&mut self, level: usize, hash: Hash) -> io::Result<()> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
            self.counts.push(0);
        }
        self.levels[level].push(hash);
        if self.levels[level].len() < 256 {
            return Ok(());
        }
        let tile = std::mem::take(&mut self.levels[level]);
        put(&path(&self.folder, &level.to_string(), self.counts[level], 256), tile.as_flattened())?;
        self.counts[level] += 1;
        self.add(level + 1, perfect(&tile))
    }

    fn finish(self) -> io::Result<Hash> {
        for (level, hashes) in self.levels.iter().enumerate().filter(|(_, hashes)| !hashes.is_empty()) {
            put(&path(&self.folder, &level.to_string(), self.counts[level], hashes.len()), hashes.as_flattened())?;
        }
        if !self.bundle.is_empty() {
            let width = usize::try_from(self.size % 256).unwrap();
            put(&path(&self.folder, "entries", self.size / 256, width), &self.bundle)?;
        }
        Ok(self.range.into_iter().rev().map(|(_, hash)| hash).reduce(|right, left| sha256(&[&[1], &left, &right])).unwrap())
    }
}

/// Makes a log of `size` entries in `folder`; its first share is the one of number `from`.
pub fn make(folder: &Path, size: u64, from: u64) -> io::Result<()> {
    for name in ["journal", "salts", "snapshots", "inbox"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let mut tiles =
        Tiles { folder: folder.to_owned(), levels: Vec::new(), counts: Vec::new(), bundle: Vec::new(), range: Vec::new(), size: 0 };
    let step = SignedDuration::from_micros(365 * 86_400 * 1_000_000 / i64::try_from(size).unwrap());
    let (mut time, mut text) = (begins(), String::new());
    for index in 0..size {
        let written = format!("{time:.6}");
        text.clear();
        if index.is_multiple_of(2) {
            granted(from + index, &written, &mut text)
        } else {
            settled(from + index, index - 1, &written, &mut text)
        }
        tiles.push(text.as_bytes())?;
        time += step;
    }
    let root = tiles.finish()?;
    let pair = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref()).unwrap();
    let key: Vec<u8> = std::iter::once(1).chain(pair.public_key().as_ref().iter().copied()).collect();
    let key_id = &sha256(&[NAME.as_bytes(), b"\n", &key])[..4];
    fs::write(folder.join("log.vkey"), format!("{NAME}+{}+{}\n", hex::encode(key_id), BASE64_STANDARD.encode(&key)))?;
    let note = format!("{NAME}\n{size}\n{}\n", BASE64_STANDARD.encode(root));
    let signature: Vec<u8> = key_id.iter().copied().chain(pair.sign(note.as_bytes()).as_ref().iter().copied()).collect();
    fs::write(folder.join("checkpoint"), format!("{note}\n— {NAME} {}\n", BASE64_STANDARD.encode(signature)))
}
