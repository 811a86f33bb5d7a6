//! Approvals of a control snapshot: C2SP signed notes over its digest, one file a note, any number of signatures. Who
//! wrote the snapshot may sign too, but does not count among those who approve it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use signed_note::{Note, NoteError, StandardVerifier, Verifier, VerifierList};

use super::publishing::{Publishing, name_of};
use crate::lang::Text;
use crate::written::{Place, Problem, is_id};

/// The first line of every approval.
const HEADING: &str = "kanhe control snapshot";
/// Larger files are no approvals.
const LARGEST: u64 = 64 << 10;

/// Who stands for a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approved {
    /// Who wrote it, as the approvals say.
    pub author: Option<String>,
    /// Names of the keys that approved it, sorted.
    pub approvers: Vec<String>,
}

/// What is signed: the text of an approval of the snapshot with this `sha256:HEX`.
pub fn text(digest: &str, author: Option<&str>) -> String {
    let author = author.map(|author| format!("author {author}\n")).unwrap_or_default();
    format!("{HEADING}\n{digest}\n{author}")
}

/// Digest and author of an approval's text; none: it is another kind of note.
fn parse(text: &str) -> Option<(&str, Option<&str>)> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    if lines.next() != Some(HEADING) {
        return None;
    }
    let digest = lines.next()?;
    let author = match lines.next() {
        None => None,
        Some(line) => Some(line.strip_prefix("author ").filter(|author| is_id(author))?),
    };
    lines.next().is_none().then_some((digest, author))
}

/// Everyone who approved this digest. Where somebody's signature is wrong, two notes name different authors, or fewer
/// have approved than must, that is what is wrong.
pub fn gather(publishing: &Publishing, digest: &str) -> Result<Approved, Vec<Problem>> {
    if publishing.approvers.is_empty() {
        return Ok(Approved::default());
    }
    let folder = &publishing.approval_folder;
    let mut problems = Vec::new();
    let notes = match notes(folder) {
        Ok(notes) => notes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let message = Text::new(format!("审批目录无法读取：{error}"), format!("the folder of approvals cannot be read: {error}"));
            return Err(vec![problem(folder, "unreadable", message)]);
        }
    };
    let (mut authors, mut approvers) = (BTreeSet::new(), BTreeSet::new());
    for (path, bytes) in notes {
        let Ok(note) = Note::from_bytes(&bytes) else { continue };
        let Some((of, author)) = std::str::from_utf8(note.text()).ok().and_then(parse) else { continue };
        if of != digest {
            continue;
        }
        match note.verify(&VerifierList::new(keys(publishing))) {
            Ok((signed, _)) => {
                authors.extend(author.map(str::to_owned));
                approvers.extend(signed.into_iter().map(|signature| signature.name().to_owned()));
            }
            // Nobody who is listed has signed it.
            Err(NoteError::UnverifiedNote) => {}
            Err(error) => {
                let message = Text::new(format!("审批签名不成立：{error}"), format!("the approval's signature does not hold: {error}"));
                problems.push(problem(&path, "approval_invalid", message));
            }
        }
    }
    if authors.len() > 1 {
        let names = authors.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let message = Text::new(format!("各份审批写明的起草人不一致：{names}"), format!("the approvals name different authors: {names}"));
        problems.push(problem(folder, "approval_author", message));
    }
    let author = authors.pop_first();
    let approvers: Vec<String> = approvers.into_iter().filter(|name| author.as_ref() != Some(name)).collect();
    if approvers.len() < publishing.approvals {
        problems.push(missing(publishing, digest, &approvers));
    }
    if problems.is_empty() { Ok(Approved { author, approvers }) } else { Err(problems) }
}

fn missing(publishing: &Publishing, digest: &str, approvers: &[String]) -> Problem {
    let (found, wanted) = (approvers.len(), publishing.approvals);
    let open = publishing.approvers.iter().map(|key| name_of(key)).filter(|name| !approvers.iter().any(|known| known == name));
    let open = open.collect::<Vec<_>>().join(", ");
    let message = Text::new(
        format!("快照 {digest} 须 {wanted} 人批准，现有 {found} 人"),
        format!("snapshot {digest} needs {wanted} approvals and has {found}"),
    );
    let mut problem = problem(&publishing.approval_folder, "approvals_missing", message);
    problem.help = Some(Text::new(
        format!("尚未批准：{open}；用 `kanhe policy approve` 签署"),
        format!("not yet: {open}; `kanhe policy approve` signs"),
    ));
    problem
}

fn problem(path: &Path, code: &'static str, message: Text) -> Problem {
    let place = Place { file: path.display().to_string().into(), line: 1, column: 1 };
    Problem { place, code, message, help: None }
}

/// As signed_note asks for them; they were judged when the configuration was read.
fn keys(publishing: &Publishing) -> Vec<Box<dyn Verifier>> {
    let keys = publishing.approvers.iter().filter_map(|key| StandardVerifier::new(key).ok());
    keys.map(|key| Box::new(key) as Box<dyn Verifier>).collect()
}

/// Every `*.note` of the folder, by name.
fn notes(folder: &Path) -> io::Result<Vec<(std::path::PathBuf, Vec<u8>)>> {
    let mut notes = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "note") {
            continue;
        }
        let mut bytes = Vec::new();
        fs::File::open(&path)?.take(LARGEST).read_to_end(&mut bytes)?;
        notes.push((path, bytes));
    }
    notes.sort();
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `NAME`'s signature under an approval's text, with a key made of `seed`.
    struct Signer(ed25519::Pair, String);

    mod ed25519 {
        pub(super) use aws_lc_rs::signature::Ed25519KeyPair as Pair;
    }

    impl Signer {
        fn new(name: &str, seed: u8) -> Self {
            Self(ed25519::Pair::from_seed_unchecked(&[seed; 32]).unwrap(), name.to_owned())
        }

        fn typed(&self) -> Vec<u8> {
            use aws_lc_rs::signature::KeyPair as _;
            [&[1][..], self.0.public_key().as_ref()].concat()
        }

        fn key(&self) -> std::sync::Arc<str> {
            use base64::prelude::{BASE64_STANDARD, Engine};
            let typed = self.typed();
            format!("{}+{:08x}+{}", self.1, signed_note::key_id(&self.1, &typed), BASE64_STANDARD.encode(&typed)).into()
        }

        fn note(&self, text: &str) -> Vec<u8> {
            let id = signed_note::key_id(&self.1, &self.typed());
            let signature = signed_note::Signature::new(self.1.clone(), id, self.0.sign(text.as_bytes()).as_ref().to_vec()).unwrap();
            Note::new(text.as_bytes(), &[signature]).unwrap().to_bytes()
        }
    }

    struct Bench(Publishing);

    impl Bench {
        fn new(name: &str, approvals: usize, signers: &[&Signer]) -> Self {
            let folder = std::env::temp_dir().join(format!("kanhe-approvals-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            let approvers = signers.iter().map(|signer| signer.key()).collect();
            Self(Publishing { approvals, approvers, approval_folder: folder, ..Publishing::default() })
        }

        fn put(&self, name: &str, note: &[u8]) {
            fs::write(self.0.approval_folder.join(name), note).unwrap();
        }

        fn codes(&self) -> Result<Approved, Vec<&'static str>> {
            gather(&self.0, DIGEST).map_err(|problems| problems.iter().map(|problem| problem.code).collect())
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0.approval_folder);
        }
    }

    const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    #[test]
    fn as_many_as_must_have_signed_and_the_author_is_not_among_them() {
        let (li, wang, zhao) = (Signer::new("li", 1), Signer::new("wang", 2), Signer::new("zhao", 3));
        let bench = Bench::new("count", 2, &[&li, &wang]);
        assert_eq!(bench.codes(), Err(vec!["approvals_missing"]));
        bench.put("li.note", &li.note(&text(DIGEST, Some("wang"))));
        bench.put("zhao.note", &zhao.note(&text(DIGEST, None)));
        bench.put("wang.note", &wang.note(&text(DIGEST, Some("wang"))));
        assert_eq!(bench.codes(), Err(vec!["approvals_missing"]), "an author and a stranger do not count");
        bench.put("li.note", &li.note(&text(DIGEST, Some("sun"))));
        bench.put("wang.note", &wang.note(&text(DIGEST, Some("sun"))));
        let approved = Approved { author: Some("sun".into()), approvers: vec!["li".into(), "wang".into()] };
        assert_eq!(bench.codes(), Ok(approved));
        bench.put("wang.note", &wang.note(&text(DIGEST, Some("qian"))));
        assert_eq!(bench.codes(), Err(vec!["approval_author"]));
    }

    #[test]
    fn a_signature_over_another_digest_or_a_changed_text_is_none() {
        let li = Signer::new("li", 1);
        let bench = Bench::new("other", 1, &[&li]);
        let other = DIGEST.replace('0', "1");
        bench.put("li.note", &li.note(&text(&other, None)));
        assert_eq!(bench.codes(), Err(vec!["approvals_missing"]));
        let forged = String::from_utf8(li.note(&text(&other, None))).unwrap().replace(&other, DIGEST);
        bench.put("li.note", forged.as_bytes());
        assert_eq!(bench.codes(), Err(vec!["approval_invalid", "approvals_missing"]));
        // The same name with another key is a stranger.
        bench.put("li.note", &Signer::new("li", 9).note(&text(DIGEST, None)));
        assert_eq!(bench.codes(), Err(vec!["approvals_missing"]));
        bench.put("li.note", &li.note(&format!("{}more\n", text(DIGEST, None))));
        assert_eq!(bench.codes(), Err(vec!["approvals_missing"]));
        bench.put("li.note", &li.note(&text(DIGEST, None)));
        assert_eq!(bench.codes().unwrap().approvers, ["li"]);
    }
}
