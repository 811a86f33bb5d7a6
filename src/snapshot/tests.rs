//! The shipped control folder loads, under a digest that names its content.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

#[test]
fn the_shipped_folder_loads_without_a_warning() {
    let (snapshot, warnings) = Snapshot::load(&shipped()).unwrap_or_else(|refused| panic!("{:#?}", refused.errors));
    assert!(warnings.is_empty(), "{warnings:#?}");
    assert!(snapshot.digest.starts_with("sha256:") && snapshot.digest.len() == 71);
    assert!(snapshot.files.iter().any(|(path, _)| path == "catalogue/psb.population.toml"));
    assert!(snapshot.files.is_sorted());
    let again = Snapshot::load(&shipped()).unwrap().0;
    assert_eq!(snapshot.digest, again.digest);
}

#[test]
fn a_folder_that_is_not_there_is_refused() {
    let refused = Snapshot::load(Path::new("/nowhere/at/all")).unwrap_err();
    assert_eq!(refused.errors[0].code, "unreadable");
    let empty = std::env::temp_dir().join(format!("kanhe-empty-{}", std::process::id()));
    fs::create_dir_all(&empty).unwrap();
    let refused = Snapshot::load(&empty).unwrap_err();
    fs::remove_dir_all(&empty).unwrap();
    let missing: Vec<&str> = refused.errors.iter().map(|problem| &*problem.place.file).collect();
    assert_eq!(missing, ["departments.toml", "requesters.toml", "schema.cedarschema"]);
}

#[test]
fn a_folder_that_changes_while_it_is_read_is_refused() {
    let folder = std::env::temp_dir().join(format!("kanhe-changing-{}", std::process::id()));
    fs::create_dir_all(folder.join("grants")).unwrap();
    for name in ["schema.cedarschema", "grants/a.toml", "grants/b.toml", "grants/c.toml"] {
        fs::write(folder.join(name), "x").unwrap();
    }
    let problems = Problems::default();
    let read = Folder::read(&folder, &problems).unwrap();
    read.report_changes(&problems);
    assert!(problems.is_ok());
    // Changed in place, replaced by the same content, gone, and new.
    fs::write(folder.join("schema.cedarschema"), "xy").unwrap();
    fs::write(folder.join("grants/.new"), "x").unwrap();
    fs::rename(folder.join("grants/.new"), folder.join("grants/a.toml")).unwrap();
    fs::remove_file(folder.join("grants/b.toml")).unwrap();
    fs::write(folder.join("grants/d.toml"), "x").unwrap();
    read.report_changes(&problems);
    fs::remove_dir_all(&folder).unwrap();
    let (errors, _) = problems.into_parts();
    let told: Vec<_> = errors.iter().map(|problem| (&*problem.place.file, problem.code)).collect();
    let changed = "changed_while_reading";
    assert_eq!(told, [("grants/a.toml", changed), ("grants/b.toml", changed), ("grants/d.toml", changed), ("schema.cedarschema", changed)]);
}
