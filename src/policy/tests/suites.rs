//! The officers' cases: the shipped ones come out as told, and one that does not says how.

use super::world::{Folder, sources};

#[test]
fn the_shipped_cases_come_out_as_told() {
    let folder = Folder::shipped();
    let policies = folder.load(&sources()).unwrap();
    for case in policies.cases() {
        let verdict = policies.run(case, folder.world());
        assert!(verdict.differences.is_empty(), "{}: {:#?}", case.name, verdict);
    }
}

#[test]
fn a_case_that_differs_says_how() {
    let folder = Folder::shipped();
    let mut sources = sources();
    let text = "[[cases]]\nname = \"n\"\nrequester = \"housing-app\"\nresource = \"psb.population\"\nkind = \"query\"\nscenario = \"housing\"\n\
                case = \"业务\\\"%1\"\ntime = \"2026-11-22T10:00:00+08:00\"\nexpect = \"allow\"\npolicies = [\"core-never\"]\n\
                items = { id_number = \"reveal\", name = \"mask\", telephone = \"omit\" }\n";
    sources.suites = vec![("tests/a.toml".into(), text.into()), ("tests/b.toml".into(), text.replace("allow", "not_shared"))];
    let policies = folder.load(&sources).unwrap();
    let told = |number: usize| {
        let verdict = policies.run(&policies.cases()[number], folder.world());
        verdict.differences.into_iter().map(|text| text.en).collect::<Vec<_>>()
    };
    let determining = "determining policies: expected [core-never], found [mask-as-granted, reveal-as-granted, share-under-grant]";
    let narrowed = "`id_number`: expected reveal, found mask (by `population-number-in-full`)";
    assert_eq!(told(0), [determining, narrowed]);
    assert_eq!(told(1), ["expected not_shared, found allow", determining, narrowed]);
}
