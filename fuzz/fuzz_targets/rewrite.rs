//! Any document in any pieces: whole and in pieces it comes out alike or is refused alike, what is revealed whole reads
//! back as what serde_json reads, and what no item lists never leaves. The plan-by-plan comparison with a slow and
//! obvious rewriter is a property test beside the code; this target looks for bytes that none of its documents has.

#![no_main]

use std::sync::Arc;

use kanhe::disclosure::{Compiled, ContentKind, Form, JsonPath, Plan, PlannedItem, Preset, PseudonymKey};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fn item(name: &str, path: &str, form: Option<Form>, preset: &str) -> PlannedItem {
    PlannedItem {
        name: name.into(),
        paths: JsonPath::parse(path).into_iter().collect(),
        form,
        preset: Preset::parse(preset).ok(),
        joinable: false,
        likeness: None,
        narrowed_by: None,
    }
}

fn plan(items: Vec<PlannedItem>, content: ContentKind) -> Arc<Compiled> {
    let records = JsonPath::parse("$.data[*]").unwrap_or_default();
    Arc::new(Compiled::new(&Plan { items, content, records, max_records: 1000, region: None }))
}

fn run(plan: &Arc<Compiled>, input: &[u8], length: usize) -> Option<Vec<u8>> {
    let pseudonyms = PseudonymKey::new(&[7; 32]).scope("s", "d");
    let (mut stream, mut out) = (plan.stream(&pseudonyms, None, 1 << 20), Vec::new());
    for piece in input.chunks(length) {
        stream.push(piece, &mut out).ok()?;
    }
    stream.finish(&mut out).ok()?;
    Some(out)
}

fuzz_target!(|data: &[u8]| {
    let Some((length, input)) = data.split_first() else { return };
    let length = usize::from(*length).max(1);
    let masked = || {
        vec![
            item("a", "$.data[*].a", Some(Form::Reveal), ""),
            item("b", "$.data[*].b", Some(Form::Mask), "name"),
            item("c", "$..c", Some(Form::Pseudonymise), ""),
            item("d", "$.data[*].d", None, ""),
        ]
    };
    for content in [ContentKind::Json, ContentKind::Ndjson, ContentKind::Csv] {
        let plan = plan(masked(), content);
        assert_eq!(run(&plan, input, input.len().max(1)), run(&plan, input, length));
    }
    let everything = plan(vec![item("all", "$", Some(Form::Reveal), "")], ContentKind::Json);
    if let Some(shown) = run(&everything, input, length) {
        let theirs: Value = serde_json::from_slice(input).expect("what is accepted is json");
        assert_eq!(serde_json::from_slice::<Value>(&shown).expect("what leaves is json"), theirs);
    }
    // Only `a` may show a string as it is.
    if let Some(shown) = run(&plan(masked(), ContentKind::Json), input, length) {
        let shown: Value = serde_json::from_slice(&shown).expect("what leaves is json");
        let listed = |name: &str| matches!(name, "data" | "a" | "b" | "c");
        if let Some(members) = shown.as_object() {
            for record in members.get("data").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object) {
                assert!(!record.contains_key("d"));
                assert!(record.iter().all(|(name, value)| listed(name) || value.is_object() || value.is_array()));
            }
        }
    }
});
