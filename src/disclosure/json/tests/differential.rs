//! The rewriter beside the slow and obvious one, in any pieces: both must show the same and count the same, or both refuse.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::Value;

use super::super::super::Likeness;
use super::super::super::Regions;
use super::super::super::csv::tests::Only;
use super::oracle::{self, Counts, NoDuplicates, Step, children, leads};
use super::*;

/// Of the regions of these documents one is shown, and one cannot be decided.
fn include(code: &str) -> Option<bool> {
    (code != "error").then_some(code == "990101")
}

/// The answer in pieces of these lengths, the last again and again.
fn in_these_pieces(plan: &Plan, text: &str, pieces: &[usize]) -> Result<(String, Outcome), disclosure::Error> {
    let regions = plan.region.is_some().then(|| Box::new(Only(HashMap::from([("990101", true)]))) as Box<dyn Regions>);
    let (mut stream, mut out) = (Arc::new(Compiled::new(plan)).stream(&pseudonyms(), regions, 1 << 16), Vec::new());
    let (mut rest, mut at) = (text.as_bytes(), 0);
    while !rest.is_empty() {
        let length = pieces.get(at).or(pieces.last().filter(|last| **last > 0)).copied().unwrap_or(rest.len());
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        stream.push(piece, &mut out)?;
        (rest, at) = (behind, at + 1);
    }
    let outcome = stream.finish(&mut out)?;
    Ok((String::from_utf8(out).unwrap(), outcome))
}

fn values(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Both on one answer.
fn both(plan: &Plan, text: &str, pieces: &[usize]) {
    if oracle::is_respelt(text) {
        return;
    }
    let ours = in_these_pieces(plan, text, pieces);
    let shown = |shown: &str| match plan.content {
        ContentKind::Csv => serde_json::to_value(oracle::cells(shown).unwrap()).unwrap(),
        ContentKind::Ndjson => Value::from(values(shown)),
        _ => serde_json::from_str(shown).unwrap(),
    };
    let theirs = match plan.content {
        ContentKind::Csv => oracle::table(plan, &include, text).map(|(rows, counts)| (serde_json::to_value(rows).unwrap(), counts)),
        ContentKind::Ndjson => oracle::lines(plan, &include, text).map(|(lines, counts)| (Value::from(lines), counts)),
        _ => oracle::json(plan, &include, text),
    };
    match (ours, theirs) {
        (Ok((ours, outcome)), Some((theirs, counts))) => {
            assert_eq!(shown(&ours), theirs, "{text:?} in {pieces:?}");
            assert_eq!(Counts::of(&outcome), counts, "{text:?} in {pieces:?}");
        }
        (Err(_), None) => {}
        (Ok((ours, _)), None) => panic!("shown, and it should not be: {ours:?} of {text:?} in {pieces:?}"),
        (Err(error), Some((theirs, _))) => panic!("refused, {error}, instead of {theirs}: {text:?} in {pieces:?}"),
    }
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "data", "姓名", "a\"b\n", "r"]).prop_map(str::to_owned)
}

fn document() -> impl Strategy<Value = Value> {
    let number = prop::sample::select(vec!["0", "-1", "1.50", "13812345678", "1e-400", "123456789012345678901234567890"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number.prop_map(|number| serde_json::from_str(number).unwrap()),
        "[a-c张三𠮷\"\\\\\u{1}\u{7f}/]{0,4}".prop_map(Value::String),
        prop::sample::select(vec!["110101199001011234", "990101", "990101", "990102", "error"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name(), inner), 0..5).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn path() -> impl Strategy<Value = JsonPath> {
    let segment = prop_oneof![
        4 => name().prop_map(Segment::Name),
        2 => Just(Segment::Elements),
        1 => name().prop_map(Segment::Descendant),
    ];
    prop::collection::vec(segment, 0..4).prop_map(JsonPath)
}

const FORMS: [Option<Form>; 5] = [Some(Form::Reveal), Some(Form::Mask), Some(Form::Pseudonymise), Some(Form::Compare), None];

fn planned(content: ContentKind) -> impl Strategy<Value = Plan> {
    let presets = ["", "name", "null", "keep:1,1", "id_number", "fixed:x", "fixed:a,\"b"];
    let item = (
        prop::collection::vec(path(), 1..3),
        prop::sample::select(FORMS.to_vec()),
        prop::sample::select(presets.to_vec()),
        (any::<bool>(), prop::sample::select(vec![None, None, Some(Likeness::IdNumber), Some(Likeness::Mobile)])),
    );
    let region =
        prop::option::weighted(0.4, prop_oneof![2 => name().prop_map(|name| JsonPath(vec![Segment::Descendant(name)])), 1 => path()]);
    (prop::collection::vec(item, 1..5), path(), 0_u64..6, region).prop_map(move |(items, records, max_records, region)| {
        let items = items.into_iter().enumerate().map(|(at, (paths, form, preset, (joinable, likeness)))| PlannedItem {
            name: format!("item{at}").into(),
            paths,
            form,
            preset: Preset::parse(preset).ok(),
            joinable,
            likeness,
            narrowed_by: None,
        });
        let region = region.map(|path| Arc::from([path]));
        Plan { items: items.collect(), content, records, max_records: max_records * max_records, region }
    })
}

/// Lengths of pieces, mostly short, some empty.
fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![3 => 0usize..6, 1 => 6usize..400], 0..12)
}

/// A text with something of it changed.
fn changed(text: &str, change: Option<&(prop::sample::Index, String, usize)>) -> String {
    let Some((at, new, length)) = change else { return text.to_owned() };
    let text: Vec<char> = text.chars().collect();
    let at = at.index(text.len() + 1);
    let end = (at + length).min(text.len());
    text[..at].iter().copied().chain(new.chars()).chain(text[end..].iter().copied()).collect()
}

fn change(of: &'static str) -> impl Strategy<Value = Option<(prop::sample::Index, String, usize)>> {
    prop::option::weighted(0.4, (any::<prop::sample::Index>(), of, 0usize..3))
}

fn row() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(
        prop_oneof![
            "[a张,\"\n 1]{0,4}",
            prop::sample::select(vec!["990101", "990101", "990102", "error", "110101199001011234"]).prop_map(str::to_owned)
        ],
        4,
    )
}

/// A table of four columns, its cells quoted where they must be, or all of them.
fn table(header: &[String], rows: &[Vec<String>], quoted: bool, end: &str) -> String {
    let cell = |cell: &String| match quoted || cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    [header].into_iter().chain(rows.iter().map(Vec::as_slice)).map(|row| row.iter().map(cell).collect::<Vec<_>>().join(",") + end).collect()
}

fn leaves(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(_) | Value::Array(_) => children(value).into_iter().for_each(|(_, child)| leaves(child, into)),
        Value::Null => {}
        scalar => drop(into.insert(scalar.to_string())),
    }
}

/// Makes every scalar one of its kind, so that a value in an answer shows where it came from. Regions stay.
fn label(value: &mut Value, next: &mut u32) {
    match value {
        Value::Object(members) => members.values_mut().for_each(|member| label(member, next)),
        Value::Array(elements) => elements.iter_mut().for_each(|element| label(element, next)),
        Value::String(code) if code.starts_with("9901") => {}
        scalar => {
            *next += 1;
            *scalar = Value::String(format!("禁\"canary{next:04}/\\密"));
        }
    }
}

/// How a value's text could stand in an answer.
fn spellings(text: &str) -> Vec<String> {
    let quoted = serde_json::to_string(text).unwrap();
    let units =
        |upper: bool| text.encode_utf16().map(|unit| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") }).collect();
    let percent = |upper: bool| text.bytes().map(|byte| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") }).collect();
    let mut all = vec![text.to_owned(), quoted[1..quoted.len() - 1].to_owned(), units(false), units(true), percent(false), percent(true)];
    all.extend([hex::encode(text), hex::encode_upper(text)]);
    for before in 0..3 {
        // Wherever it stands in what is encoded: without the characters that hold its neighbours' bits.
        let bytes = [&b"??"[..before], text.as_bytes()].concat();
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            all.push(encoded[[0, 2, 3][before]..encoded.len() - 2].to_owned());
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn json_in_any_pieces(plan in planned(ContentKind::Json), value in document(), pretty in any::<bool>(), change in change("[\\[\\]{}\":,0-9a\\\\eu. tn-]{0,3}"), pieces in pieces()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        both(&plan, &changed(&text, change.as_ref()), &pieces);
    }

    #[test]
    fn what_is_shown_keeps_its_spelling(plan in planned(ContentKind::Json), value in document()) {
        // serde_json spells strings as these documents do.
        let text = serde_json::to_string(&value).unwrap();
        if let Some((shown, _)) = oracle::json(&plan, &include, &text) {
            prop_assert_eq!(in_these_pieces(&plan, &text, &[]).unwrap().0, serde_json::to_string(&shown).unwrap());
        }
    }

    #[test]
    fn lines_in_any_pieces(plan in planned(ContentKind::Ndjson), lines in prop::collection::vec(document(), 0..5), ends in prop::sample::select(vec!["\n", "\r\n", "\n \n"]), last in any::<bool>(), change in change("[\\[\\]{}\":,0-9a\n\r\\\\]{0,3}"), pieces in pieces()) {
        let mut text = lines.iter().map(Value::to_string).collect::<Vec<_>>().join(ends);
        text.push_str(if last { ends } else { "" });
        both(&plan, &changed(&text, change.as_ref()), &pieces);
    }

    #[test]
    fn tables_in_any_pieces(plan in planned(ContentKind::Csv), header in prop::collection::vec(prop_oneof![3 => name(), 1 => Just("item0".to_owned())], 4), rows in prop::collection::vec(row(), 0..5), quoted in any::<bool>(), end in prop::sample::select(vec!["\n", "\r\n"]), change in change("[,\"\n\ra]{0,3}"), pieces in pieces()) {
        both(&plan, &changed(&table(&header, &rows, quoted, end), change.as_ref()), &pieces);
    }

    /// Whatever is not shown by the obvious one stands nowhere in the answer, however spelt.
    #[test]
    fn what_is_not_listed_is_nowhere(plan in planned(ContentKind::Json), mut value in document(), pieces in pieces()) {
        label(&mut value, &mut 0);
        let text = serde_json::to_string(&value).unwrap();
        let Some((theirs, _)) = oracle::json(&plan, &include, &text) else { return Ok(()) };
        let (mut all, mut shown) = (BTreeSet::new(), BTreeSet::new());
        leaves(&value, &mut all);
        leaves(&theirs, &mut shown);
        let ours = in_these_pieces(&plan, &text, &pieces).unwrap().0;
        for hidden in all.difference(&shown).filter(|leaf| leaf.contains("canary")) {
            let hidden: String = serde_json::from_str(hidden).unwrap();
            for spelling in spellings(&hidden) {
                prop_assert!(!ours.contains(&spelling), "{} in {}", spelling, ours);
            }
        }
    }

    /// A plan of which every item, the regions and the number of records are no wider never shows more in the clear.
    #[test]
    fn a_narrower_plan_never_shows_more(wide in planned(ContentKind::Json), forms in prop::collection::vec(0usize..5, 5), filters in any::<bool>(), mut value in document(), pieces in pieces()) {
        label(&mut value, &mut 0);
        let text = serde_json::to_string(&value).unwrap();
        let clear = |plan: &Plan| {
            let shown = in_these_pieces(plan, &text, &pieces).ok()?.0;
            let mut found = BTreeSet::new();
            leaves(&serde_json::from_str(&shown).unwrap(), &mut found);
            found.retain(|leaf| leaf.contains("canary"));
            Some(found)
        };
        let mut narrow = wide.clone();
        for (item, form) in narrow.items.iter_mut().zip(&forms) {
            let before = FORMS.iter().position(|form| *form == item.form).unwrap();
            item.form = FORMS[before.max(*form)];
        }
        let mut wide = wide;
        wide.max_records = u64::MAX;
        if !filters {
            wide.region = None;
        }
        if let (Some(wide), Some(narrow)) = (clear(&wide), clear(&narrow)) {
            prop_assert!(narrow.is_subset(&wide), "{:?} {:?}", narrow, wide);
        }
    }

    /// Changed texts are refused exactly where serde_json refuses them, or a name stands twice.
    #[test]
    fn the_reader_refuses_what_the_obvious_one_refuses(value in document(), change in change("[\\[\\]{}\":,0-9a\\\\eu. tn-]{0,3}")) {
        let text = changed(&serde_json::to_string(&value).unwrap(), change.as_ref());
        let theirs = serde_json::from_str::<Value>(&text).is_ok() && serde_json::from_str::<NoDuplicates>(&text).is_ok();
        prop_assert_eq!(parse(text.as_bytes()).is_ok(), theirs, "{}", text);
        let everything = plan(vec![item("all", &["$"], Some(Form::Reveal), "")]);
        prop_assert_eq!(rewrite(&everything, text.as_bytes()).is_ok(), theirs, "{}", text);
    }

    /// What the catalogue refuses is every pair of items that can meet on one value.
    #[test]
    fn paths_that_meet_on_a_value_overlap(a in path(), b in path(), value in document()) {
        if meet(&a, &b, &value, &mut Vec::new()) {
            prop_assert!(a.overlaps(&b) && a.contains(&b) && b.contains(&a), "{} {}", a, b);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), plan in planned(ContentKind::Json)) {
        let _ = rewrite(&plan, &bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_split_of_an_answer(plan in planned(ContentKind::Json), value in document()) {
        let text = serde_json::to_string(&value).unwrap();
        for at in 0..=text.len().min(400) {
            both(&plan, &text, &[at, text.len()]);
        }
    }
}

/// Whether both paths lead to one value of a document.
fn meet(a: &JsonPath, b: &JsonPath, value: &Value, place: &mut Vec<Step>) -> bool {
    let here = leads(&a.0, place) && leads(&b.0, place);
    here || children(value).into_iter().any(|(step, child)| {
        place.push(step);
        let found = meet(a, b, child, place);
        place.pop();
        found
    })
}
