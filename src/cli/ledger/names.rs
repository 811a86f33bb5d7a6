//! What an entry's ids are called in the control snapshot that it names. A department and a scenario may share an id, and
//! every resource has items of its own, so a name is looked up by what the id stands for.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::lang::Lang;
use crate::written::{Document, Problems, Table};

/// Names by member of the entry (`department`, `requester`, `scenario`, `resource`, `items`) and id.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<(&'static str, String), String>);

impl Names {
    /// `NAME (ID)` for the id that stands in this member, or the id alone.
    pub(super) fn called(&self, member: &str, id: &str) -> String {
        let kind = match member {
            "department" | "provider" => "department",
            "requester" => "requester",
            "resource" => "resource",
            "scenario" => "scenario",
            "items" => "items",
            _ => return id.to_owned(),
        };
        self.0.get(&(kind, id.to_owned())).map_or_else(|| id.to_owned(), |name| format!("{name} ({id})"))
    }

    fn add(&mut self, kind: &'static str, table: &Table<'_, '_>, (id, title): (&str, &str), lang: Lang) {
        if table.has(id)
            && table.has(title)
            && let (Some(id), Some(text)) = (table.opt_string(id), table.text(title))
        {
            self.0.insert((kind, id.value), text.get(lang).to_owned());
        }
    }
}

/// The names that an entry needs. What cannot be read resolves nothing: the entry itself is shown all the same.
pub(super) fn resolve(folder: &Path, entry: &[u8], lang: Lang) -> Names {
    let mut names = Names::default();
    let entry: Value = serde_json::from_slice(entry).unwrap_or_default();
    let snapshot = entry["snapshot"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
    let Some(hex) = snapshot.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit())) else { return names };
    let snapshot = folder.join("snapshots").join(hex);
    for (file, tables, kind) in [("departments.toml", "departments", "department"), ("requesters.toml", "requesters", "requester")] {
        read(&snapshot.join(file), |root| root.tables(tables).iter().for_each(|table| names.add(kind, table, ("id", "name"), lang)));
    }
    for file in files(&snapshot.join("scenarios")) {
        read(&file, |root| names.add("scenario", root, ("id", "name"), lang));
    }
    for file in files(&snapshot.join("catalogue")) {
        read(&file, |root| {
            if root.opt_string("id").is_some_and(|id| entry["resource"] == *id.value) {
                names.add("resource", root, ("id", "name"), lang);
                root.tables("items").iter().for_each(|item| names.add("items", item, ("name", "title"), lang));
            }
        });
    }
    names
}

fn read(file: &Path, take: impl FnOnce(&Table<'_, '_>)) {
    if let Ok(text) = fs::read_to_string(file) {
        let problems = Problems::default();
        take(&Document::parse("", &text, &problems).root(&problems));
    }
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_called_by_what_it_stands_for() {
        let folder = std::env::temp_dir().join(format!("kanhe-names-{}", hex::encode(crate::sys::random::<8>())));
        let snapshot = folder.join("snapshots/ab");
        for below in ["catalogue", "scenarios"] {
            fs::create_dir_all(snapshot.join(below)).unwrap();
        }
        let named = |id: &str, zh: &str| format!("id = \"{id}\"\nname = {{ zh = \"{zh}\", en = \"-\" }}\n");
        fs::write(snapshot.join("departments.toml"), format!("[[departments]]\n{}", named("housing", "住建厅"))).unwrap();
        fs::write(snapshot.join("scenarios/housing.toml"), named("housing", "住房保障")).unwrap();
        for (id, title) in [("a.one", "名称"), ("b.two", "姓名")] {
            let items = format!("{}[[items]]\nname = \"name\"\ntitle = {{ zh = \"{title}\", en = \"-\" }}\n", named(id, id));
            fs::write(snapshot.join(format!("catalogue/{id}.toml")), items).unwrap();
        }
        let names = resolve(&folder, br#"{"resource":"b.two","snapshot":"sha256:ab"}"#, Lang::Zh);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(names.called("department", "housing"), "住建厅 (housing)");
        assert_eq!(names.called("scenario", "housing"), "住房保障 (housing)");
        assert_eq!(names.called("items", "name"), "姓名 (name)");
        assert_eq!(names.called("operation", "housing"), "housing");
    }
}
