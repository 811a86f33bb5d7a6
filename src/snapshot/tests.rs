//! The shipped control folder loads, under a digest that names its content.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

#[test]
fn the_shipped_folder_loads_and_warns_only_of_masks_over_what_the_caller_sent() {
    let (snapshot, warnings) = Snapshot::load(&shipped()).unwrap_or_else(|refused| panic!("{:#?}", refused.errors));
    assert!(warnings.iter().all(|warning| warning.code == "mask_of_what_was_sent"), "{warnings:#?}");
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

/// A copy of the shipped folder that a test may change.
struct Copy(PathBuf);

impl Copy {
    fn new(name: &str) -> Self {
        let to = std::env::temp_dir().join(format!("kanhe-{name}-{}", std::process::id()));
        for (path, bytes) in Snapshot::load(&shipped()).unwrap().0.files {
            let path = to.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        Self(to)
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.0.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no `{from}`");
        fs::write(path, text.replace(from, to)).unwrap();
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_grant_file_is_read_again_only_when_it_or_what_it_rests_on_changed() {
    let copy = Copy::new("again");
    let split = |text: String| {
        let at = text.rfind("[[grants]]").unwrap();
        (text[..at].to_owned(), text[at..].to_owned())
    };
    let file = fs::read_dir(copy.0.join("grants")).unwrap().next().unwrap().unwrap().path();
    let (first, last) = split(fs::read_to_string(&file).unwrap());
    fs::write(&file, first).unwrap();
    fs::write(copy.0.join("grants/last.toml"), last).unwrap();
    let load =
        |before: Option<&Snapshot>| Snapshot::load_after(&copy.0, before).unwrap_or_else(|refused| panic!("{:#?}", refused.errors)).0;
    let same = |a: &Snapshot, b: &Snapshot, id: &str| Arc::ptr_eq(&a.purposes.grants[id], &b.purposes.grants[id]);
    let (early, late) = ("g-2026-0001", "g-2026-0007");
    let one = load(None);
    // Its own file.
    copy.edit("grants/last.toml", "\"active\"", "\"suspended\"");
    let two = load(Some(&one));
    assert!(Arc::ptr_eq(&one.parties, &two.parties) && Arc::ptr_eq(&one.catalogue, &two.catalogue));
    assert!(same(&one, &two, early) && !same(&one, &two, late));
    assert_eq!(two.purposes.grants[late].status, crate::purpose::GrantStatus::Suspended);
    // A requester's and a scenario's status, and policies, are nothing that a grant is held against.
    copy.edit("requesters.toml", "status = \"active\"", "status = \"suspended\"");
    copy.edit("scenarios/patrol.toml", "\"approved\"", "\"suspended\"");
    let three = load(Some(&two));
    assert!(same(&two, &three, early) && same(&two, &three, late));
    assert!(three.parties.requesters["patrol-app"].value.suspended);
    assert!(Arc::ptr_eq(&two.catalogue, &three.catalogue));
    // The catalogue is: with the item goes the grant's right to name it.
    copy.edit("catalogue/psb.population.toml", "grade = 4", "grade = 3");
    let four = load(Some(&three));
    assert!(!same(&three, &four, early) && !same(&three, &four, late));
    // What is read on from another snapshot is what is read anew.
    let anew = load(None);
    assert_eq!(anew.digest, four.digest);
    assert_eq!(format!("{:?}", anew.purposes.grants[early]), format!("{:?}", four.purposes.grants[early]));
    // Two files that name one grant, though neither changed but one is new.
    let again = fs::read(copy.0.join("grants/last.toml")).unwrap();
    fs::write(copy.0.join("grants/again.toml"), again).unwrap();
    let refused = Snapshot::load_after(&copy.0, Some(&four)).unwrap_err();
    assert!(refused.errors.iter().any(|problem| problem.code == "duplicate_id"), "{:#?}", refused.errors);
}

#[test]
fn what_is_taken_over_from_the_snapshot_before_is_held_against_the_rest_anew() {
    let copy = Copy::new("over");
    let load = |before: Option<&Snapshot>| Snapshot::load_after(&copy.0, before);
    let (one, warned) = load(None).unwrap();
    fs::write(copy.0.join("named.cedar"), "@id(\"named\") forbid (principal, action, resource == Resource::\"psb.population\") when { context has grant && context.grant == Grant::\"g-2026-0007\" };\n").unwrap();
    let (two, again) = load(Some(&one)).unwrap();
    assert_eq!(format!("{warned:?}"), format!("{again:?}"), "warnings are told again");
    // A policy that did not change names a grant that is gone.
    let grants = fs::read_dir(copy.0.join("grants")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&grants).unwrap();
    fs::write(&grants, text.replace("g-2026-0007", "g-2026-0077")).unwrap();
    let refused = load(Some(&two)).unwrap_err();
    assert!(
        refused.errors.iter().any(|problem| problem.code == "unknown_entity" && &*problem.place.file == "named.cedar"),
        "{:#?}",
        refused.errors
    );
    fs::write(&grants, text).unwrap();
    // The schema did change: every policy is held against it anew.
    copy.edit("schema.cedarschema", "clearance: Long", "clearance: Long, extra?: Long");
    let three = load(Some(&two)).unwrap().0;
    let anew = load(None).unwrap().0;
    assert_eq!((&three.digest, three.files.len()), (&anew.digest, anew.files.len()));
}
