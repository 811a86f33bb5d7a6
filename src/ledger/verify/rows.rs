//! Whether what a register in a database returns is what the logs signed: each row against its log, and each log's entries
//! against the rows. Whoever administers the database can change it, but not the logs' signed trees.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tlog_tiles::{Hash, record_hash};

use super::log::Log;
use super::{Keys, Signed};
use crate::lang::Text;
use crate::ledger::query::Filter;
use crate::ledger::register::Registered;
use crate::sys;

/// How long a row may be ahead of its log's next checkpoint.
const PATIENCE: Duration = Duration::from_secs(5);
/// How far the register may be behind the log.
const LAG: SignedDuration = SignedDuration::from_secs(10);
/// How often the files are looked at meanwhile.
const TICK: Duration = Duration::from_millis(50);

/// A row or an entry that is not proven, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unproven {
    /// The log.
    pub log: String,
    /// The entry's index; none: the whole log.
    pub index: Option<u64>,
    /// Why.
    pub why: Text,
}

/// The logs that rows are held against.
pub struct Prover {
    logs: BTreeMap<String, Held>,
    /// Entries from here on need not be registered yet.
    until: Timestamp,
    /// Logs without a folder: named once, not for every row.
    unknown: Vec<String>,
}

/// A log in a folder of its own, or in a copy of one.
struct Held {
    folder: PathBuf,
    keys: Keys,
    signed: Signed,
    minimum: u64,
    /// Leaves of the 256 entries that were looked at last, and which.
    leaves: Option<(u64, Vec<Hash>)>,
    /// Which entries were returned, a bit each.
    seen: Vec<u64>,
    /// When nothing is waited for any more.
    until: Instant,
}

impl Prover {
    /// With no log yet.
    pub fn begin() -> Self {
        let now = sys::now();
        Self { logs: BTreeMap::new(), until: now.checked_sub(LAG).unwrap_or(now), unknown: Vec::new() }
    }

    /// Takes the log in this folder. Trusted is the one of `keys` that has its name; with no keys at all the folder's own
    /// `log.vkey`, which then proves only that database and folder agree.
    pub fn add(&mut self, folder: &Path, keys: &[Keys]) -> Result<(), Text> {
        let in_folder = |why: Text| {
            let folder = folder.display();
            Text::new(format!("台账目录 `{folder}`：{}", why.zh), format!("the log's folder `{folder}`: {}", why.en))
        };
        let io = |error: std::io::Error| in_folder(Text::new(error.to_string(), error.to_string()));
        let keys = if keys.is_empty() {
            Keys::read(&folder.join("log.vkey")).map_err(io)?
        } else {
            let note = std::fs::read_to_string(folder.join("checkpoint")).map_err(io)?;
            let name = note.lines().next().unwrap_or_default();
            let trusted = keys.iter().find(|keys| keys.name() == name).cloned();
            trusted.ok_or_else(|| {
                in_folder(Text::new(format!("未给出 `{name}` 的核验公钥"), format!("no verifier key of `{name}` is given")))
            })?
        };
        let signed = Log::open(folder, &keys).map_err(in_folder)?.signed;
        let minimum = match std::fs::read_to_string(folder.join("minimum")) {
            Ok(text) => text.trim().parse().unwrap_or(0),
            Err(_) => 0,
        };
        let name = keys.name().to_owned();
        let held =
            Held { folder: folder.to_owned(), keys, signed, minimum, leaves: None, seen: Vec::new(), until: sys::instant() + PATIENCE };
        if self.logs.insert(name.clone(), held).is_some() {
            return Err(in_folder(Text::new(format!("`{name}` 已由另一目录给出"), format!("`{name}` is given by another folder already"))));
        }
        Ok(())
    }

    /// Judges one row. None: it is what its log signed.
    pub fn row(&mut self, row: &Registered) -> Result<(), Option<Unproven>> {
        let Some(held) = self.logs.get_mut(&row.log) else {
            if self.unknown.contains(&row.log) {
                return Err(None);
            }
            self.unknown.push(row.log.clone());
            let why = Text::new(
                "未给出该台账的目录（--copy），其各行均未证明",
                "no folder of this log is given (--copy): none of its rows is proven",
            );
            return Err(Some(Unproven { log: row.log.clone(), index: None, why }));
        };
        held.judge(row).map_err(|why| Some(Unproven { log: row.log.clone(), index: Some(row.index), why }))
    }

    /// Names entries of the logs that fit and were not returned. `log` limits it to one log, as the question was.
    /// Entries of the last seconds may be on their way still.
    pub fn missing(&mut self, log: Option<&str>, filter: &Filter, mut each: impl FnMut(Unproven)) {
        let until = self.until;
        let filter = Filter { until: Some(filter.until.map_or(until, |asked| asked.min(until))), ..filter.clone() };
        for (name, held) in self.logs.iter_mut().filter(|(name, _)| log.is_none_or(|log| log == *name)) {
            for n in held.minimum / 256..held.signed.size.div_ceil(256) {
                match held.missing(n, &filter) {
                    Ok(indexes) => {
                        for index in indexes {
                            let why = Text::new("台账中有，登记库没有返回", "the log has it, the register did not return it");
                            each(Unproven { log: name.clone(), index: Some(index), why });
                        }
                    }
                    Err(why) => each(Unproven { log: name.clone(), index: Some(n * 256), why }),
                }
            }
        }
    }
}

impl Held {
    fn judge(&mut self, row: &Registered) -> Result<(), Text> {
        let index = row.index;
        if index < self.minimum {
            return Err(Text::new("台账已清理该条", "the log has pruned it"));
        }
        while index >= self.signed.size {
            let size = self.signed.size;
            if sys::instant() >= self.until {
                return Err(Text::new(format!("台账目录只有 {size} 条"), format!("the log's folder has {size} entries only")));
            }
            std::thread::sleep(TICK);
            self.reopen()?;
        }
        // Whatever comes of it, it is named by its index: once is enough.
        let again = self.see(index);
        if record_hash(&row.entry) != self.leaf(index)? {
            return Err(Text::new("不是台账所签署的记录", "it is not the entry that the log signed"));
        }
        if let Some(column) = row.altered {
            return Err(Text::new(format!("`{column}` 列与其记录不符"), format!("its column `{column}` is not what its entry says")));
        }
        if again {
            return Err(Text::new("登记库中有两行", "the register has it twice"));
        }
        Ok(())
    }

    /// Notes that the entry was returned; whether it was before.
    fn see(&mut self, index: u64) -> bool {
        let (word, bit) = (usize::try_from(index / 64).unwrap_or(usize::MAX), 1 << (index % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let again = self.seen[word] & bit != 0;
        self.seen[word] |= bit;
        again
    }

    fn reopen(&mut self) -> Result<(), Text> {
        let signed = Log::open(&self.folder, &self.keys)?.signed;
        if signed.size != self.signed.size {
            (self.signed, self.leaves) = (signed, None);
        }
        Ok(())
    }

    fn log(&self) -> Log<'_> {
        Log::under(&self.folder, self.signed.clone())
    }

    /// Reads under the checkpoint, or anew where a running gateway moved files between that and them.
    fn steady<T>(&mut self, read: impl Fn(&Log<'_>) -> Result<T, Text>) -> Result<T, Text> {
        loop {
            let size = self.signed.size;
            match read(&self.log()) {
                Ok(found) => return Ok(found),
                Err(why) => {
                    self.reopen()?;
                    if self.signed.size == size {
                        return Err(why);
                    }
                }
            }
        }
    }

    /// The leaf at `index`.
    fn leaf(&mut self, index: u64) -> Result<Hash, Text> {
        let n = index / 256;
        if self.leaves.as_ref().is_none_or(|(known, _)| *known != n) {
            let leaves = self.steady(|log| log.leaves(n))?;
            self.leaves = Some((n, leaves));
        }
        let leaves = self.leaves.as_ref().map_or(&[][..], |(_, leaves)| leaves);
        let leaf = usize::try_from(index % 256).ok().and_then(|at| leaves.get(at)).copied();
        leaf.ok_or_else(|| Text::new("哈希块不完整", "a tile is too short"))
    }

    /// Entries of this bundle that fit and were not returned. The bundle is held against its hashes: it must hide nothing.
    fn missing(&mut self, n: u64, filter: &Filter) -> Result<Vec<u64>, Text> {
        let (leaves, entries) = self.steady(|log| Ok((log.leaves(n)?, log.bundle(n)?)))?;
        if leaves.len() != entries.len() || leaves.iter().zip(&entries).any(|(leaf, entry)| record_hash(entry) != *leaf) {
            return Err(Text::new(
                "台账目录中的记录块与签名的根不符",
                "the entry bundle in the log's folder is not the one under the signed root",
            ));
        }
        let seen = |index: u64| {
            let word = usize::try_from(index / 64).ok().and_then(|word| self.seen.get(word));
            word.is_some_and(|word| word & (1 << (index % 64)) != 0)
        };
        let unseen = (n * 256..).zip(&entries).filter(|(index, entry)| *index >= self.minimum && !seen(*index) && filter.fits(entry));
        Ok(unseen.map(|(index, _)| index).collect())
    }
}
