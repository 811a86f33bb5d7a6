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
