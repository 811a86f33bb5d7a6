//! Any plan and any document in any pieces, beside the slow and obvious rewriter of the tests: both show the same and
//! count the same, or both refuse.
//!
//! The first bytes choose the plan and the pieces, so that the fuzzer changes them as it changes the document.

#![no_main]

use std::sync::Arc;

use kanhe::disclosure::path::Segment;
use kanhe::disclosure::{
    Compiled, ContentKind, Error, Form, Forms, JsonPath, Likeness, Outcome, Plan, PlannedItem, Preset, PseudonymKey, Pseudonyms, Regions,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

#[allow(dead_code)]
#[path = "../../src/disclosure/json/tests/oracle.rs"]
mod oracle;

/// As the oracle asks for them.
fn pseudonyms() -> Pseudonyms {
    PseudonymKey::new(&[7; 32]).scope("housing", "housing")
}

fn include(code: &str) -> Option<bool> {
    (code != "error").then_some(code == "990101")
}

struct Included;

impl Regions for Included {
    fn include(&mut self, code: &str) -> Result<bool, Error> {
        include(code).ok_or(Error::Undecided)
    }
}

const PATHS: [&str; 12] =
    ["$.a", "$.data[*].a", "$.data[*].b", "$..a", "$", "$[*]", "$.data", "$..b.a", "$.data[*].a[*]", "$[*].a", "$..r", "$.data[*].data.b"];
const FORMS: [Option<Form>; 5] = [Some(Form::Reveal), Some(Form::Mask), Some(Form::Pseudonymise), Some(Form::Compare), None];
const PRESETS: [&str; 7] = ["name", "null", "keep:1,1", "id_number", "fixed:x", "year", "fixed:a,\"b"];
const RECORDS: [&str; 4] = ["$.data[*]", "$[*]", "$", "$.data[*].a[*]"];

fn pick<T: Clone>(of: &[T], byte: u8) -> T {
    of[usize::from(byte) % of.len()].clone()
}

fn path(text: &str) -> JsonPath {
    JsonPath::parse(text).unwrap_or_default()
}

/// An item of two bytes: where it stands, and in which form.
fn item(name: &str, place: u8, form: u8) -> PlannedItem {
    let likeness = pick(&[None, None, Some(Likeness::IdNumber), Some(Likeness::Mobile)], form / 64);
    PlannedItem {
        name: name.into(),
        paths: if place >= 128 { vec![path(pick(&PATHS, place)), path(pick(&PATHS, place / 3))] } else { vec![path(pick(&PATHS, place))] },
        form: pick(&FORMS, form),
        preset: Preset::parse(pick(&PRESETS, form / 5)).ok(),
        joinable: form % 2 == 1,
        likeness,
        narrowed_by: None,
    }
}

fn ours(plan: &Plan, text: &str, piece: usize) -> Option<(String, Outcome)> {
    let regions = plan.region.is_some().then(|| Box::new(Included) as Box<dyn Regions>);
    let (mut stream, mut out) = (Arc::new(Compiled::new(plan)).stream(&pseudonyms(), regions, 1 << 16), Vec::new());
    for piece in text.as_bytes().chunks(piece) {
        stream.push(piece, &mut out).ok()?;
    }
    let outcome = stream.finish(&mut out).ok()?;
    Some((String::from_utf8(out).expect("what leaves is text"), outcome))
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("what leaves is json")
}

fuzz_target!(|data: &[u8]| {
    let Some((choices, text)) = data.split_first_chunk::<10>() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let [kind, a, a_form, b, b_form, c, c_form, records, region, piece] = *choices;
    if oracle::is_respelt(text) {
        return;
    }
    let content = pick(&[ContentKind::Json, ContentKind::Json, ContentKind::Ndjson, ContentKind::Csv], kind);
    let plan = Plan {
        items: vec![item("a", a, a_form), item("item1", b, b_form), item("item2", c, c_form)],
        content,
        records: path(pick(&RECORDS, records)),
        max_records: u64::from(records / 8),
        region: (region < 96).then(|| Arc::from([path(pick(&PATHS, region))])),
    };
    let ours = ours(&plan, text, usize::from(piece).max(1));
    let theirs = match content {
        ContentKind::Csv => {
            oracle::table(&plan, &include, text).map(|(rows, counts)| (serde_json::to_value(rows).expect("cells are text"), counts))
        }
        ContentKind::Ndjson => oracle::lines(&plan, &include, text).map(|(lines, counts)| (Value::from(lines), counts)),
        _ => oracle::json(&plan, &include, text),
    };
    match (ours, theirs) {
        (Some((shown, outcome)), Some((value, counts))) => {
            let shown = match content {
                ContentKind::Csv => serde_json::to_value(oracle::cells(&shown).expect("what leaves is a table")).expect("cells are text"),
                ContentKind::Ndjson => Value::from(shown.lines().map(read).collect::<Vec<_>>()),
                _ => read(&shown),
            };
            assert_eq!(shown, value, "{text:?} in {piece}: {plan:?}");
            assert_eq!(oracle::Counts::of(&outcome), counts, "{text:?} in {piece}: {plan:?}");
        }
        (None, None) => {}
        (ours, theirs) => panic!("{ours:?} beside {theirs:?}: {text:?} in {piece}: {plan:?}"),
    }
});
