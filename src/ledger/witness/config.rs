//! `[witness]` of `kanhe.toml`: this process as a witness of other logs.

use std::path::{Path, PathBuf};

use signed_note::is_key_name_valid;

use super::state::LogKey;
use crate::lang::Text;
use crate::written::{Placed, Table};

/// Where a witness keeps its memory, under which key it cosigns, and which logs it knows.
#[derive(Clone, Debug)]
pub struct Config {
    /// The witness's name, part of its verifier key.
    pub name: String,
    /// Its memory: the newest checkpoint that it cosigned of each log.
    pub folder: PathBuf,
    /// The Ed25519 key that cosigns.
    pub key: PathBuf,
    /// The logs' verifier keys.
    pub logs: Vec<LogKey>,
}

impl Config {
    /// Reads the table but does not finish it.
    pub fn read(table: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let name = table.parsed("name", name).map(|name| name.value);
        let path = |key| table.filled(key).map(|path| base.join(path.value));
        let (folder, key) = (path("folder"), path("key"));
        let written = table.one_or_more("logs");
        let logs: Vec<LogKey> = written.iter().filter_map(|text| log(table, text, base)).collect();
        let complete = !written.is_empty() && logs.len() == written.len();
        Some(Self { name: name?, folder: folder?, key: key?, logs: complete.then_some(logs)? })
    }
}

fn name(text: &str) -> Result<String, Text> {
    let right = "应为不含空格与加号的名称，例如 `authority.example/witness`";
    let right = Text::new(right, "a name without spaces and plus signs, such as `authority.example/witness`");
    if is_key_name_valid(text) { Ok(text.to_owned()) } else { Err(right) }
}

/// A verifier key as it is, or `file:PATH` of one.
fn log(table: &Table<'_, '_>, text: &Placed<String>, base: &Path) -> Option<LogKey> {
    let key = match text.value.strip_prefix("file:") {
        None => LogKey::parse(&text.value),
        Some(path) => {
            let path = base.join(path);
            let unreadable = |error| {
                let path = path.display();
                Text::new(format!("无法读取 `{path}`：{error}"), format!("cannot read `{path}`: {error}"))
            };
            std::fs::read_to_string(&path).map_err(unreadable).and_then(|text| LogKey::parse(&text))
        }
    };
    key.map_err(|message| table.problems().error(&text.place, "wrong_value", message, None)).ok()
}
