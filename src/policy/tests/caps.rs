//! A bound grant caps whatever policies permit: forms, records in one answer, and regions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proptest::prelude::*;

use super::world::{Folder, plain, sources};
use crate::disclosure::{Form, FormSet};
use crate::policy::rows::Question;
use crate::purpose::bind::{Registered, bind};
use crate::purpose::stated::Stated;
use crate::purpose::{Grant, Purposes};

/// Regions in one another and beside.
const REGIONS: [&str; 5] = ["990000", "990100", "990102", "990200", "990202"];

/// What one of the region codes stands in, itself first, by its digits.
fn around(code: &str) -> Vec<String> {
    let mut around = vec![code.to_owned()];
    around.extend((!code.ends_with("00")).then(|| format!("{}00", &code[..4])));
    around.push(format!("{}0000", &code[..2]));
    around
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_policy_widens_what_a_grant_approves(
        listed in prop::collection::vec(prop::option::of(1_u8..8), 4),
        quota in prop::option::of(1_u64..200),
        operation in 0_usize..2,
        regions in prop::sample::subsequence(REGIONS.to_vec(), 0..3),
    ) {
        let mut folder = Folder::shipped();
        let mut everything = sources();
        everything.policies = vec![("all.cedar".into(), "@id(\"all\") permit (principal, action, resource);".into())];
        everything.suites.clear();
        let mut target = folder.target("psb.population");
        let policies = folder.load(&everything).unwrap();

        let names: Vec<Arc<str>> = target.resource.items.iter().map(|item| item.name.clone()).collect();
        let set = |bits: u8| Form::SHOWN.into_iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0).map(|(_, form)| form).collect::<FormSet>();
        let forms: BTreeMap<Arc<str>, FormSet> =
            names.iter().zip(&listed).filter_map(|(name, bits)| Some((name.clone(), set((*bits)?)))).collect();
        let mut grant = Grant::clone(&folder.purposes.grants["g-2026-0002"]);
        grant.items = Arc::new(forms.iter().map(|(name, forms)| (format!("psb.population#{name}").into(), *forms)).collect());
        grant.quota.records_per_call = quota;
        grant.regions = regions.iter().map(|code| Arc::from(*code)).collect();
        let grants = HashMap::from([(grant.id.clone(), Arc::new(grant))]);
        folder.purposes = Purposes::new(folder.purposes.scenarios.clone(), grants, folder.purposes.calendar.clone());
        target.operation = target.resource.operations[operation].clone();
        let most = target.operation.max_records;

        let (subject, circumstances) = (folder.subject("housing-app", 4), plain());
        let stated = Stated { scenario: "housing".into(), case: Some("1".into()) };
        let world = Registered { parties: &folder.parties, catalogue: &folder.catalogue, purposes: &folder.purposes };
        let bound = bind(world, &subject, &target, Some(&stated), circumstances.time).unwrap();
        let decided = policies.decide(&subject, &target, &bound, &circumstances);
        let Ok(permit) = decided else {
            // Nothing is shown only where nothing that can be is approved.
            let shown = |(name, forms): (&Arc<str>, &FormSet)| {
                let item = target.resource.items.iter().find(|item| item.name == *name).unwrap();
                item.grade <= bound.scenario.max_grade && forms.iter().any(|form| form != Form::Mask || item.mask.is_some())
            };
            prop_assert!(!forms.iter().any(shown));
            return Ok(());
        };
        for item in &permit.plan.items {
            let approved = forms.get(&item.name).copied().unwrap_or_default();
            prop_assert!(item.form.is_none_or(|form| approved.contains(form)), "{:?}: {approved:?}", item.form);
        }
        prop_assert_eq!(permit.plan.max_records, quota.map_or(most, |quota| quota.min(most)));
        let question = Question::new(Arc::new(subject), Arc::new(target), &bound, circumstances);
        for code in REGIONS {
            let within = regions.is_empty() || around(code).iter().any(|around| regions.contains(&&**around));
            prop_assert_eq!(policies.include(&question, &folder.parties, code).unwrap(), within, "{} in {:?}", code, regions);
        }
    }
}
