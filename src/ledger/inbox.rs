//! Administrative entries that other processes hand to the ledger: a command leaves a file in `ledger/inbox/`, durably,
//! and the open ledger, or the next that opens, appends it and takes the file away.
//!
//! | name | what it means |
//! |---|---|
//! | `ID.json` | left, not yet seen |
//! | `ID.from-N` | being appended: if it was, its index is `N` or later |
//! | `ID.refused` | no administrative entry; kept, and said in the gateway's log |
//!
//! The entry's id is the file's. A crash between the append and the removal leaves `ID.from-N`: the log from `N` on tells
//! whether it was recorded, so that each is recorded once. Who left it is told by the file's owner, not by its content.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::Value;

use super::entry::{Draft, NO_TIME, TooLong, time_text};
use super::query;
use super::queue::Shared;
use super::{Pending, Unavailable};
use crate::lang::Text;
use crate::sys;

/// The kinds that may be handed in: what people do to the ledger, never what the gateway itself says.
pub const KINDS: [&str; 4] = ["ledger.read", "ledger.exported", "ledger.erased", "ledger.pruned"];

/// Set by the ledger; nobody hands them in.
const OWN: [&str; 4] = ["id", "time", "uid", "v"];
const MOST_BYTES: u64 = 32 << 10;
const MOST_TEXT: usize = 1024;
const MOST_MEMBERS: usize = 64;
const MOST_VALUES: usize = 512;
/// Largest whole number that every reader of JSON keeps (RFC 7493).
const MOST_NUMBER: u64 = (1 << 53) - 1;
/// Taken in one round, so that a flood does not fill the writer's queue.
const MOST_FILES: usize = 256;
const EVERY: Duration = Duration::from_millis(500);

/// An entry about what somebody did to the ledger or the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it is recorded once it is left with the ledger"]
pub struct Administrative(BTreeMap<String, Member>);

/// What a member may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Member {
    /// A text without control characters, at most 1,024 bytes.
    Text(String),
    /// A whole number below 2⁵³.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// At most 512 texts or numbers.
    List(Vec<Member>),
    /// At most 64 members, none of them a table.
    Table(BTreeMap<String, Member>),
}

impl From<&str> for Member {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Member {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// Why a file or an entry is not taken.
#[derive(Debug)]
pub enum Error {
    /// It is no administrative entry.
    Refused(Text),
    /// The file could not be read or written.
    Io(PathBuf, io::Error),
}

impl Error {
    fn refused(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self::Refused(Text::new(zh, en))
    }

    /// For people.
    pub fn text(&self) -> Text {
        match self {
            Self::Refused(text) => text.clone(),
            Self::Io(path, error) => {
                let path = path.display();
                Text::new(format!("无法写入待记事项 `{path}`：{error}"), format!("cannot write `{path}`: {error}"))
            }
        }
    }
}

impl Administrative {
    /// One of [`KINDS`], with the reason that the person gave.
    pub fn new(kind: &str, reason: &str) -> Self {
        let members = [("kind", kind.into()), ("reason", reason.into()), ("time_decided", (&*time_text(sys::now())).into())];
        Self(members.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// Adds a member.
    pub fn with(mut self, name: &str, value: impl Into<Member>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |error: serde_json::Error| Error::refused(format!("不是 JSON 对象：{error}"), format!("not a JSON object: {error}"));
        let members: BTreeMap<String, Value> = serde_json::from_slice(bytes).map_err(wrong)?;
        let members = members.into_iter().map(|(name, value)| Some((name, Member::read(value, true)?)));
        let members = members.collect::<Option<_>>();
        members.map(Self).ok_or_else(|| Error::refused("含有不允许的值", "a member holds a value that is not allowed"))
    }

    fn check(self) -> Result<Self, Error> {
        let text = |name: &str| match self.0.get(name) {
            Some(Member::Text(text)) if !text.trim().is_empty() => Some(text.as_str()),
            _ => None,
        };
        let kind = text("kind").unwrap_or_default();
        let all = || KINDS.join(", ");
        if !KINDS.contains(&kind) {
            return Err(Error::refused(format!("种类 `{kind}` 不在 {} 之列", all()), format!("kind `{kind}` is none of {}", all())));
        }
        if text("reason").is_none() {
            return Err(Error::refused("缺少原因", "the reason is missing"));
        }
        if text("time_decided").and_then(|time| time.parse::<Timestamp>().ok()).is_none() {
            return Err(Error::refused("缺少时间 `time_decided`", "`time_decided` is not a time"));
        }
        if let Some(name) = self.0.keys().find(|name| OWN.contains(&name.as_str())) {
            return Err(Error::refused(format!("`{name}` 由台账自行写入"), format!("`{name}` is set by the ledger itself")));
        }
        if !Member::Table(self.0.clone()).is_plain(true) {
            return Err(Error::refused(
                format!("成员名、长度或数值超出允许范围（文本至多 {MOST_TEXT} 字节）"),
                format!("a member's name, length or number is outside what is allowed (texts: at most {MOST_TEXT} bytes)"),
            ));
        }
        Ok(self)
    }

    /// Leaves the entry with the ledger in `folder`, durably; gives its id. The ledger may be open in another process or
    /// closed: it is recorded within a second, or at the next start.
    pub fn leave(self, folder: &Path) -> Result<String, Error> {
        let entry = self.check()?;
        let id = hex::encode(sys::random::<16>());
        let inbox = folder.join("inbox");
        let path = inbox.join(format!("{id}.json"));
        let failed = |error| Error::Io(path.clone(), error);
        // A typing error in a path must not make folders that look like a ledger.
        if !folder.join("checkpoint").exists() {
            return Err(failed(io::Error::new(io::ErrorKind::NotFound, "there is no ledger")));
        }
        make(folder).map_err(failed)?;
        let bytes = serde_json::to_vec(&entry.0).map_err(|error| failed(error.into()))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(Error::refused(format!("超过 {MOST_BYTES} 字节"), format!("over {MOST_BYTES} bytes")));
        }
        sys::write_whole(&path, &bytes).map_err(failed)?;
        Ok(id)
    }

    fn draft(&self, id: &str, uid: u32) -> Result<Draft, TooLong> {
        Draft::administrative(&Entry(self, id, uid))
    }
}

/// The inbox of a ledger made before there was one.
fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder.join("inbox")) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sys::sync_folder(folder),
    }
}

impl Member {
    fn read(value: Value, outer: bool) -> Option<Self> {
        let inner = |value| Self::read(value, false);
        Some(match value {
            Value::String(text) => Self::Text(text),
            Value::Bool(flag) => Self::Flag(flag),
            Value::Number(number) => Self::Number(number.as_u64()?),
            Value::Array(values) if values.len() <= MOST_VALUES => Self::List(values.into_iter().map(inner).collect::<Option<_>>()?),
            Value::Object(members) if outer => {
                Self::Table(members.into_iter().map(|(name, value)| Some((name, inner(value)?))).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    fn is_plain(&self, outer: bool) -> bool {
        let is_name = |name: &String| {
            (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        match self {
            Self::Text(text) => text.len() <= MOST_TEXT && !text.chars().any(char::is_control),
            Self::Number(number) => *number <= MOST_NUMBER,
            Self::Flag(_) => true,
            Self::List(values) => {
                values.len() <= MOST_VALUES && values.iter().all(|v| matches!(v, Self::Text(_) | Self::Number(_)) && v.is_plain(false))
            }
            Self::Table(members) => {
                let inner = |value: &Self| (outer || !matches!(value, Self::Table(_))) && value.is_plain(false);
                members.len() <= MOST_MEMBERS && members.keys().all(is_name) && members.values().all(inner)
            }
        }
    }
}

/// An administrative entry with what the ledger adds.
struct Entry<'a>(&'a Administrative, &'a str, u32);

impl Serialize for Entry<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = self.0.0.clone();
        let own = [("id", self.1.into()), ("time", NO_TIME.into()), ("uid", u64::from(self.2).into()), ("v", 1.into())];
        members.extend(own.map(|(name, value)| (name.to_owned(), value)));
        let mut map = serializer.serialize_map(Some(members.len()))?;
        members.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

/// The thread that takes what is left; it ends when this is dropped.
pub(super) struct Watch {
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Takes what is there, then looks again twice a second.
    pub(super) fn start(folder: &Path, shared: &Arc<Shared>) -> io::Result<Self> {
        make(folder)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let mut inbox = Inbox { ledger: folder.to_owned(), shared: shared.clone(), runtime, done: HashSet::new() };
        let (end, ended) = mpsc::channel::<()>();
        let run = move || {
            let mut said = String::new();
            loop {
                match inbox.round() {
                    Ok(()) => said.clear(),
                    Err(Stopped::Ledger) => return,
                    Err(Stopped::Disk(path, error)) => {
                        let what = error.to_string();
                        if what != said {
                            tracing::error!(path = %path.display(), %error, "administrative entries wait: the inbox cannot be worked on");
                            said = what;
                        }
                    }
                }
                if ended.recv_timeout(EVERY) != Err(mpsc::RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("ledger-inbox".to_owned()).spawn(run)?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end.take();
        // A thread that panicked has said so on standard error already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Why a round ended early.
enum Stopped {
    /// The ledger takes nothing more in this life.
    Ledger,
    Disk(PathBuf, io::Error),
}

struct Inbox {
    ledger: PathBuf,
    shared: Arc<Shared>,
    runtime: tokio::runtime::Runtime,
    /// Recorded, but the file would not go.
    done: HashSet<String>,
}

/// A file of the inbox: where it is now, and from which index on it may be in the log already.
struct Left {
    id: String,
    path: PathBuf,
    from: Option<u64>,
    entry: Administrative,
    uid: u32,
}

impl Inbox {
    fn round(&mut self) -> Result<(), Stopped> {
        let folder = self.ledger.join("inbox");
        let failed = |error| Stopped::Disk(folder.clone(), error);
        let mut left = self.list(&folder).map_err(failed)?;
        if left.is_empty() {
            return Ok(());
        }
        // Several from one command keep their order.
        left.sort_by(|a, b| (a.entry.0.get("time_decided").map(time_of), &a.id).cmp(&(b.entry.0.get("time_decided").map(time_of), &b.id)));
        self.drop_recorded(&mut left).map_err(failed)?;
        let size = self.shared.size.load(Ordering::Relaxed);
        for file in left.iter_mut().filter(|file| file.from.is_none()) {
            let taken = folder.join(format!("{}.from-{size}", file.id));
            fs::rename(&file.path, &taken).map_err(failed)?;
            (file.path, file.from) = (taken, Some(size));
        }
        // Before the append: else a loss of power could bring the old name back beside the recorded entry.
        sys::sync_folder(&folder).map_err(failed)?;
        let mut waiting = Vec::new();
        for file in left {
            match self.append(&file) {
                Ok(pending) => waiting.push((file, pending)),
                Err(Unavailable::Overloaded) => break,
                Err(_) => return Err(Stopped::Ledger),
            }
        }
        for (file, pending) in waiting {
            self.runtime.block_on(pending).map_err(|_| Stopped::Ledger)?;
            self.remove(file);
        }
        sys::sync_folder(&folder).map_err(failed)
    }

    fn append(&self, file: &Left) -> Result<Pending, Unavailable> {
        // What was checked is far below the longest entry.
        let draft = file.entry.draft(&file.id, file.uid).map_err(|_| Unavailable::Overloaded)?;
        self.shared.append(draft)
    }

    fn remove(&mut self, file: Left) {
        if let Err(error) = fs::remove_file(&file.path) {
            tracing::error!(path = %file.path.display(), %error, "recorded, but the file cannot be removed");
            self.done.insert(file.id);
        }
    }

    /// Removes those that an earlier life, or round, has recorded.
    fn drop_recorded(&mut self, left: &mut Vec<Left>) -> io::Result<()> {
        let Some(from) = left.iter().filter_map(|file| file.from).min() else { return Ok(()) };
        let ids: HashSet<&str> = left.iter().filter(|file| file.from.is_some()).map(|file| file.id.as_str()).collect();
        let mut recorded = HashSet::new();
        query::read(&self.ledger, from, |record| {
            recorded.extend(id_of(&record.entry).filter(|id| ids.contains(id.as_str())));
            if recorded.len() == ids.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let (gone, kept) = std::mem::take(left).into_iter().partition(|file| recorded.contains(&file.id));
        *left = kept;
        let gone: Vec<Left> = gone;
        gone.into_iter().for_each(|file| self.remove(file));
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Left>> {
        let mut left = Vec::new();
        for file in fs::read_dir(folder)? {
            let path = file?.path();
            let Some((id, from)) = path.file_name().and_then(|name| name.to_str()).and_then(read_name) else { continue };
            if self.done.contains(id) {
                continue;
            }
            match read_file(&path) {
                Ok((entry, uid)) => left.push(Left { id: id.to_owned(), from, entry, uid, path }),
                Err(Error::Refused(text)) => refuse(&path, &text.en)?,
                Err(Error::Io(_, error)) => refuse(&path, &error.to_string())?,
            }
            if left.len() == MOST_FILES {
                break;
            }
        }
        Ok(left)
    }
}

fn time_of(member: &Member) -> &str {
    if let Member::Text(text) = member { text } else { "" }
}

fn id_of(entry: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Id {
        id: String,
    }
    serde_json::from_slice::<Id>(entry).ok().map(|entry| entry.id)
}

/// Id and lower bound of a file that is to be taken.
fn read_name(name: &str) -> Option<(&str, Option<u64>)> {
    let (id, rest) = name.split_once('.')?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match rest.strip_prefix("from-") {
        _ if !is_id => None,
        Some(index) => index.parse().ok().map(|index| (id, Some(index))),
        None => (rest == "json").then_some((id, None)),
    }
}

/// Never follows a link, never waits for a pipe.
fn read_file(path: &Path) -> Result<(Administrative, u32), Error> {
    let failed = |error| Error::Io(path.to_owned(), error);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?);
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() || about.len() > MOST_BYTES {
        return Err(Error::refused("不是普通文件或过长", format!("not a plain file of at most {MOST_BYTES} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok((Administrative::read(&bytes)?.check()?, about.uid()))
}

/// Kept, so that what somebody handed in is not lost without a trace.
fn refuse(path: &Path, why: &str) -> io::Result<()> {
    tracing::error!(path = %path.display(), why, "not an administrative entry: kept aside as `.refused`");
    fs::rename(path, path.with_extension("refused"))
}
