//! What an entry's ids are called in the control snapshot that it names.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::lang::Lang;
use crate::written::{Document, Problems, Table};

/// Names by id: departments, requesters, scenarios, resources, and the items of resources.
pub(super) fn resolve(folder: &Path, entry: &[u8], lang: Lang) -> HashMap<String, String> {
    let mut names = HashMap::new();
    let snapshot = serde_json::from_slice::<serde_json::Value>(entry).ok();
    let snapshot = snapshot.as_ref().and_then(|entry| entry.get("snapshot")?.as_str()?.strip_prefix("sha256:"));
    if let Some(hex) = snapshot.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        collect(&folder.join("snapshots").join(hex), lang, &mut names);
    }
    names
}

/// What cannot be read resolves nothing: the entry itself is shown all the same.
fn collect(folder: &Path, lang: Lang, names: &mut HashMap<String, String>) {
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = file.path();
        if path.is_dir() {
            collect(&path, lang, names);
        } else if path.extension().is_some_and(|extension| extension == "toml")
            && let Ok(text) = fs::read_to_string(&path)
        {
            let problems = Problems::default();
            let document = Document::parse("", &text, &problems);
            let root = document.root(&problems);
            name(&root, "id", "name", lang, names);
            for (tables, id, title) in [("departments", "id", "name"), ("requesters", "id", "name"), ("items", "name", "title")] {
                root.tables(tables).iter().for_each(|table| name(table, id, title, lang, names));
            }
        }
    }
}

fn name(table: &Table<'_, '_>, id: &str, title: &str, lang: Lang, names: &mut HashMap<String, String>) {
    if table.has(id)
        && table.has(title)
        && let (Some(id), Some(text)) = (table.opt_string(id), table.text(title))
    {
        names.entry(id.value).or_insert_with(|| text.get(lang).to_owned());
    }
}
