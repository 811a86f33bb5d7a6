//! What requesters and auditors hold against a ledger: receipts, bundles, earlier checkpoints, copies of content.

use super::super::bundle::Signed;
use super::super::entry::Gist;
use super::super::verify::content::{self, Matches};
use super::super::verify::receipt::{Finding, Question, judge};
use super::super::verify::{Keys, Options, Witness, verify};
use super::super::witness::Cosigner;
use super::*;

fn keys(folder: &Path) -> Keys {
    Keys::read(&folder.join("log.vkey")).unwrap()
}

fn ask(text: &str, keys: &Keys, against: Option<&Path>) -> Finding {
    judge(text, &Question { keys, witnesses: &[], earlier: None, against })
}

fn bundle(folder: &Path, index: u64) -> Option<String> {
    let note = fs::read(folder.join("checkpoint")).unwrap();
    Signed::of(folder, &note).unwrap().bundle(index).unwrap().map(|bundle| serde_json::to_string(&bundle).unwrap())
}

/// A closed ledger of `count` shares, each settled; the receipts of the granted entries.
fn shared(place: &Place, count: usize) -> Vec<(u64, String)> {
    let ledger = Arc::new(Ledger::open(&place.config(), true).unwrap());
    let mut receipts = Vec::new();
    let places: Vec<_> = (0..count).map(|_| ledger.reserve().unwrap()).collect();
    let pending: Vec<_> = (0..count).map(|n| ledger.append(granted(&format!("{n:032x}"))).unwrap()).collect();
    for (pending, settling) in pending.into_iter().zip(places) {
        let committed = wait(pending).unwrap();
        receipts.push((committed.index, committed.receipt()));
        settling.settle(settled(committed.index), Some([7; 32]));
    }
    ledger.close();
    receipts
}

/// What an operator can do who holds the key: the same entries but one, and a log of them that is signed anew.
fn without(place: &Place, gone: u64) -> PathBuf {
    let folder = place.0.join("forged");
    let forged = Arc::new(Ledger::open(&Config { folder: folder.clone(), ..place.config() }, true).unwrap());
    for record in all(&place.config().folder).into_iter().filter(|record| record.index != gone) {
        // Whoever does this takes care that what is left fits together.
        let entry = String::from_utf8(record.entry.clone()).unwrap();
        let entry =
            (gone + 1..100).fold(entry, |entry, n| entry.replace(&format!("\"receipt_of\":{n},"), &format!("\"receipt_of\":{},", n - 1)));
        let draft = Draft::read(entry.as_bytes());
        if Gist::read(&record.entry).unwrap().effect() != super::super::entry::Effect::Closes(gone) {
            wait(forged.append(draft).unwrap()).unwrap();
        }
    }
    forged.close();
    folder
}

#[test]
fn each_share_of_a_batch_holds_a_promise_that_its_log_keeps() {
    let place = Place::new();
    let receipts = shared(&place, 40);
    let (folder, keys) = (place.config().folder, keys(&place.config().folder));
    for (index, field) in &receipts {
        let finding = ask(&format!("Share-Receipt: {field}\n"), &keys, None);
        assert_eq!((finding.index, finding.signed, finding.included, &finding.reason), (*index, true, None, &None), "{field}");
        assert_eq!(ask(field, &keys, Some(&folder)).included, Some(80));
        let bundle = bundle(&folder, *index).unwrap();
        let finding = ask(&bundle, &keys, Some(&folder));
        assert_eq!((finding.included, finding.reason), (Some(80), None));
        assert!(finding.settled.is_some_and(|settled| settled > *index));
        // A bare checkpoint says that the entry must be there, not what it is.
        let finding = ask(field, &keys, Some(&folder.join("checkpoint")));
        assert_eq!((finding.signed, finding.included, finding.reason), (true, None, None));
    }
    assert!(bundle(&folder, 80).is_none());
}

#[test]
fn a_receipt_with_any_character_changed_does_not_hold() {
    let place = Place::new();
    let (_, field) = shared(&place, 3).remove(1);
    let keys = keys(&place.config().folder);
    let good = ask(&field, &keys, None);
    for at in 0..field.len() {
        for other in ['0', 'A', ' '] {
            let mut changed = field.clone();
            changed.replace_range(at..=at, &other.to_string());
            let finding = ask(&changed, &keys, None);
            // Spaces between parameters mean nothing; whatever still verifies says exactly the same.
            assert!(finding.reason.is_some() || finding == good, "{changed}");
        }
    }
    let unsigned = field.split(";first").next().unwrap();
    assert!(ask(unsigned, &keys, None).reason.unwrap().en.contains("not signed"));
}

#[test]
fn a_bundle_with_any_character_changed_does_not_hold() {
    let place = Place::new();
    let receipts = shared(&place, 3);
    let (folder, keys) = (place.config().folder, keys(&place.config().folder));
    let text = bundle(&folder, receipts[0].0).unwrap();
    let good = ask(&text, &keys, None);
    assert_eq!(good.reason, None);
    // Each run begins elsewhere: in time every place is tried, without a minute of signatures in each.
    let begin = usize::from(crate::sys::random::<1>()[0] % 9);
    for at in (begin..text.len()).step_by(9).filter(|at| text.is_char_boundary(*at) && text.is_char_boundary(*at + 1)) {
        let other = if &text[at..=at] == "0" { "1" } else { "0" };
        let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        let finding = ask(&changed, &keys, None);
        // The key that it brings along is never looked at; a member's name that is changed is a member left out.
        assert!(finding.reason.is_some() || finding.leaf == good.leaf && finding.index == good.index, "{at}: {changed}");
    }
    let other = Place::new();
    shared(&other, 1);
    let finding = ask(&text, &self::keys(&other.config().folder), None);
    assert!(finding.reason.is_some() && !finding.signed, "another key of the same name");
}

#[test]
fn an_entry_deleted_and_a_log_signed_anew_are_exposed_by_what_requesters_kept() {
    let place = Place::new();
    let receipts = shared(&place, 5);
    let (folder, keys) = (place.config().folder, keys(&place.config().folder));
    let earlier = fs::read(folder.join("checkpoint")).unwrap();
    let (gone, field) = receipts[2].clone();
    let kept = bundle(&folder, gone).unwrap();
    let forged = without(&place, gone);
    // In itself the forged log is without fault.
    let report = verify(&forged, &Options { keys: Some(keys.clone()), ..Options::default() }).unwrap();
    assert_eq!((report.first_bad, report.size), (None, 8));
    let finding = ask(&field, &keys, Some(&forged));
    assert!(finding.exposed && finding.signed && finding.included.is_none(), "{finding:?}");
    assert!(ask(&kept, &keys, Some(&forged)).exposed);
    let since = verify(&forged, &Options { since: Some(earlier), ..Options::default() }).unwrap();
    assert!(since.first_bad.unwrap().reason.en.contains("fewer than"));
    // A bundle that the forger hands out for that index contradicts the receipt by itself.
    let theirs = place.0.join("theirs.json");
    fs::write(&theirs, bundle(&forged, gone).unwrap()).unwrap();
    assert!(ask(&field, &keys, Some(&theirs)).exposed);
    // The last share lies beyond the shorter log: not there, and said so.
    let (last, field) = receipts[4].clone();
    assert!(last < 8 || ask(&field, &keys, Some(&forged)).reason.unwrap().en.contains("promise broken"));
}

#[test]
fn a_log_continues_its_earlier_checkpoints_and_no_others() {
    let place = Place::new();
    let config = place.config();
    let ledger = Arc::new(Ledger::open(&config, true).unwrap());
    let mut earlier = vec![fs::read(config.folder.join("checkpoint")).unwrap()];
    for n in 0..600 {
        wait(ledger.append(stopped()).unwrap()).unwrap();
        if n % 150 == 149 {
            earlier.push(block(ledger.covered(n + 1)).unwrap().to_vec());
        }
    }
    ledger.close();
    for note in &earlier {
        let options = Options { since: Some(note.clone()), ..Options::default() };
        assert_eq!(verify(&config.folder, &options).unwrap().first_bad, None);
    }
    let size = |note: &Vec<u8>| String::from_utf8_lossy(note).lines().nth(1).unwrap().parse::<u64>().unwrap();
    assert!(earlier.iter().map(size).skip(1).eq([150, 300, 450, 600]), "asked for, not waited for");
    let forged = Config { folder: place.0.join("forged"), ..config };
    let other = Arc::new(Ledger::open(&forged, true).unwrap());
    for _ in 0..700 {
        wait(other.append(stopped()).unwrap()).unwrap();
    }
    other.close();
    let options = Options { since: earlier.pop(), ..Options::default() };
    let bad = verify(&forged.folder, &options).unwrap().first_bad.unwrap();
    assert_eq!((bad.index, bad.reason.en.contains("inconsistent")), (599, true));
}

fn block<F: Future>(future: F) -> F::Output {
    wait(Box::pin(future))
}

#[test]
fn witnesses_count_where_they_are_trusted() {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    let place = Place::new();
    let receipts = shared(&place, 1);
    let (folder, keys) = (place.config().folder, keys(&place.config().folder));
    let pair = Ed25519KeyPair::generate().unwrap();
    let witness = |kind: u8| {
        let key = [&[kind], pair.public_key().as_ref()].concat();
        let id = signed_note::key_id("witness.example", &key);
        (id, format!("witness.example+{id:08x}+{}", BASE64_STANDARD.encode(key)))
    };
    let mut bundle: serde_json::Value = serde_json::from_str(&bundle(&folder, receipts[0].0).unwrap()).unwrap();
    let note = bundle["checkpoint"].as_str().unwrap().to_owned();
    let text = format!("{}\n", note.split_once("\n\n").unwrap().0);
    let (plain, cosigned) = (witness(1), witness(4));
    let time = 1_800_000_000_u64;
    let timed = pair.sign(format!("cosignature/v1\ntime {time}\n{text}").as_bytes());
    let lines = [(plain.0, pair.sign(text.as_bytes()).as_ref().to_vec()), (cosigned.0, [&time.to_be_bytes(), timed.as_ref()].concat())];
    let lines = lines
        .map(|(id, signature)| format!("— witness.example {}\n", BASE64_STANDARD.encode([&id.to_be_bytes()[..], &signature].concat())));
    bundle["checkpoint"] = format!("{note}{}", lines.concat()).into();
    for key in [plain.1, cosigned.1] {
        let witnesses = [Witness::parse(&key).unwrap()];
        let finding = judge(&bundle.to_string(), &Question { keys: &keys, witnesses: &witnesses, earlier: None, against: None });
        assert_eq!((finding.witnessed, finding.reason), (vec!["witness.example".to_owned()], None));
        // Over another text it is no signature.
        let bare = bundle["checkpoint"].as_str().unwrap().replace(&lines[0], "").replace(&lines[1], "");
        let mut bundle = bundle.clone();
        bundle["checkpoint"] = bare.into();
        assert!(
            judge(&bundle.to_string(), &Question { keys: &keys, witnesses: &witnesses, earlier: None, against: None }).witnessed.is_empty()
        );
    }
    assert!(Witness::parse("witness.example+00000000+AAAA").is_err());
}

#[test]
fn a_witness_bounds_the_time_from_both_sides() {
    let place = Place::new();
    let receipts = shared(&place, 1);
    let (folder, keys) = (place.config().folder, keys(&place.config().folder));
    fs::write(place.0.join("witness.key"), fs::read(&place.config().key).unwrap()).unwrap();
    let cosigner = Cosigner::read("witness.example", &place.0.join("witness.key")).unwrap();
    let witnesses = [Witness::parse(&cosigner.verifier_key()).unwrap()];
    let at = |second: i64| jiff::Timestamp::from_second(second).unwrap();
    let cosigned = |note: &str, second: i64| {
        let text = format!("{}\n", note.split_once("\n\n").unwrap().0);
        format!("{note}{}", String::from_utf8(cosigner.cosign(text.as_bytes(), at(second)).unwrap()).unwrap())
    };
    let signer = Signer::read(keys.name(), &place.config().key).unwrap();
    let of_size = |size: u64| {
        let text = format!("{}\n{size}\n{}\n", keys.name(), BASE64_STANDARD.encode([7; 32]));
        String::from_utf8(signer.sign(&text)).unwrap()
    };
    let index = receipts[0].0;
    let mut bundle: serde_json::Value = serde_json::from_str(&bundle(&folder, index).unwrap()).unwrap();
    bundle["checkpoint"] = cosigned(bundle["checkpoint"].as_str().unwrap(), 1_800_000_060).into();
    // What is kept as witnessed is what a bundle is made under.
    assert!(Signed::witnessed(&folder).is_none());
    fs::write(folder.join("checkpoint.witnessed"), bundle["checkpoint"].as_str().unwrap()).unwrap();
    let kept = serde_json::to_value(Signed::witnessed(&folder).unwrap().bundle(index).unwrap().unwrap()).unwrap();
    assert_eq!(kept, bundle);
    let ask = |earlier: Option<&str>| {
        let question = Question { keys: &keys, witnesses: &witnesses, earlier: earlier.map(str::as_bytes), against: None };
        judge(&bundle.to_string(), &question)
    };
    assert_eq!(ask(None).between, (None, Some(at(1_800_000_060))));
    let before = cosigned(&of_size(index), 1_800_000_000);
    let found = ask(Some(&before));
    assert_eq!((found.between, found.reason), ((Some(at(1_800_000_000)), Some(at(1_800_000_060))), None));
    // One that holds the entry already, one that nobody cosigned, and one that is none of this log's bound nothing.
    for (wrong, why) in [
        (cosigned(&of_size(index + 1), 1_800_000_000), "already"),
        (of_size(index), "no trusted witness"),
        (before.replace(keys.name(), "gw-2.example"), "checkpoint"),
    ] {
        let found = ask(Some(&wrong));
        assert!(found.between.0.is_none() && found.reason.as_ref().unwrap().en.contains(why), "{found:?}");
    }
}

#[test]
fn a_copy_is_proven_while_the_salt_is_there() {
    let place = Place::new();
    let salt = [9; 32];
    let digest = |content: &[u8]| {
        let tag = aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &salt), content);
        format!("hmac-sha256:{}", hex::encode(tag.as_ref()))
    };
    let (released, sent) = (digest(b"released"), digest(b"sent"));
    let ledger = Arc::new(Ledger::open(&place.config(), true).unwrap());
    let settling = ledger.reserve().unwrap();
    let index = wait(ledger.append(granted("aa")).unwrap()).unwrap().index;
    let entry = Settled {
        id: "ab",
        receipt_of: index,
        outcome: "complete",
        digest: Some(&released),
        origin_digest: Some(&sent),
        ..Settled::default()
    };
    settling.settle(entry.draft().unwrap(), Some(salt));
    ledger.close();
    let (folder, keys) = (place.config().folder, keys(&place.config().folder));
    let judge = |content: &[u8]| content::judge(&folder, &keys, index, content).map(|found| found.matches);
    assert_eq!(judge(b"released"), Ok(Matches::Released));
    assert_eq!(judge(b"sent"), Ok(Matches::Origin));
    assert_eq!(judge(b"else"), Ok(Matches::Neither));
    fs::write(folder.join("salts/0"), [0; 32]).unwrap();
    assert!(judge(b"released").unwrap_err().en.contains("erased"));
    assert_eq!(verify(&folder, &Options::default()).unwrap().first_bad, None, "no proof rests on a salt");
}
