//! Random damage: whatever byte of log, journal or snapshots changes, the auditor notices, or nobody reads anything else
//! than before. `KANHE_CORRUPTION_ROUNDS` says how many bytes are tried.

use super::super::bundle::Signed;
use super::super::verify::{Keys, Options, verify};
use super::*;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn random(below: usize) -> usize {
    usize::try_from(u64::from_be_bytes(crate::sys::random::<8>()) % u64::try_from(below).unwrap()).unwrap()
}

/// What readers get from the ledger: its entries, a bundle of one, and what the next start signs.
fn read(config: &Config) -> (Vec<query::Record>, Vec<u8>, Option<String>) {
    let opened = Ledger::open(config, false).unwrap_or_else(|error| panic!("unnoticed, but it does not open: {error}"));
    let note = opened.checkpoint();
    let bundle = Signed::of(&config.folder, &note).unwrap().bundle(7).unwrap().map(|bundle| serde_json::to_string(&bundle).unwrap());
    (all(&config.folder), note, bundle)
}

#[test]
fn a_changed_byte_is_noticed_or_means_nothing() {
    let rounds: usize = std::env::var("KANHE_CORRUPTION_ROUNDS").map_or(100, |rounds| rounds.parse().unwrap());
    let place = Place::new();
    let config = place.config();
    let ledger = Arc::new(Ledger::open(&config, true).unwrap());
    let content = b"permit(principal, action, resource);".to_vec();
    let parts = [b"a.cedar".len() as u64, content.len() as u64].map(u64::to_be_bytes);
    let digest = super::super::keys::sha256(&[&parts[0], b"a.cedar", &parts[1], &content]);
    ledger.store_snapshot(&hex::encode(digest), &[("a.cedar".to_owned(), content)], None).unwrap();
    let snapshot = format!("sha256:{}", hex::encode(digest));
    for n in 0..300_u64 {
        let (id, settling) = (format!("{n:032x}"), ledger.reserve().unwrap());
        let share = Share { id: &id, requester: Some("housing-app"), snapshot: Some(&snapshot), ..Share::default() };
        let index = wait(ledger.append(share.draft().unwrap()).unwrap()).unwrap().index;
        settling.settle(settled(index), Some([7; 32]));
    }
    ledger.close();
    drop(ledger);
    let keys = Keys::read(&config.folder.join("log.vkey")).unwrap();
    let options = || Options { keys: Some(keys.clone()), ..Options::default() };
    assert_eq!(verify(&config.folder, &options()).unwrap().first_bad, None);
    let whole = read(&Config { folder: place.killed().folder, ..config.clone() });
    let mut all_files = Vec::new();
    ["tile", "journal", "snapshots"].iter().for_each(|name| files(&config.folder.join(name), &mut all_files));
    all_files.extend(["checkpoint", "log.vkey"].map(|name| config.folder.join(name)));
    let mut unnoticed = 0;
    for _ in 0..rounds {
        let path = &all_files[random(all_files.len())];
        let before = fs::read(path).unwrap();
        // Of a journal file mostly what was written, seldom the room behind it.
        let used = before.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
        let at = random(if random(10) == 0 { before.len() } else { used });
        let mut changed = before.clone();
        changed[at] ^= 1 << random(8);
        fs::write(path, changed).unwrap();
        let report = verify(&config.folder, &options());
        if report.is_ok_and(|report| report.first_bad.is_none()) {
            unnoticed += 1;
            // A start writes `log.vkey` as it should be; whoever judges with a key of his own never read it.
            let again = read(&Config { folder: place.killed().folder, ..config.clone() });
            assert!(again == whole, "byte {at} of {}", path.display());
            fs::read_dir(&place.0).unwrap().flatten().filter(|file| file.file_name().to_string_lossy().starts_with("killed")).for_each(
                |file| {
                    fs::remove_dir_all(file.path()).unwrap();
                },
            );
        }
        fs::write(path, before).unwrap();
    }
    eprintln!("{rounds} bytes changed: {} noticed, {unnoticed} that nobody reads", rounds - unnoticed);
    assert!(rounds < 50 || unnoticed * 2 < rounds, "{unnoticed} of {rounds}");
}
