//! Answers rewritten, case by case: each pitfall of rewriting has its name here.

use std::sync::Arc;

use super::super::path::Segment;
use super::super::{
    self as disclosure, Compiled, ContentKind, Form, Forms, JsonPath, Outcome, Plan, PlannedItem, Preset, PseudonymKey, Pseudonyms,
};
use super::*;

mod differential;
mod oracle;
mod rows;
mod strict;
mod suite;

const CANARY: &str = "110101199001011234";

pub(super) fn pseudonyms() -> Pseudonyms {
    PseudonymKey::new(&[7; 32]).scope("housing", "housing")
}

fn item(name: &str, paths: &[&str], form: Option<Form>, preset: &str) -> PlannedItem {
    PlannedItem {
        name: name.into(),
        paths: paths.iter().map(|path| JsonPath::parse(path).unwrap()).collect(),
        form,
        preset: (!preset.is_empty()).then(|| Preset::parse(preset).unwrap()),
        joinable: false,
        likeness: None,
        narrowed_by: None,
    }
}

pub(super) fn plan(items: Vec<PlannedItem>) -> Plan {
    Plan { items, content: ContentKind::Json, records: JsonPath::parse("$.data[*]").unwrap(), max_records: 100, region: None }
}

/// The usual answer: identity number masked, name in the clear, code pseudonymised, telephone omitted.
fn usual() -> Plan {
    plan(vec![
        item("id_number", &["$.data[*].id_number"], Some(Form::Mask), "id_number"),
        item("name", &["$.data[*].name"], Some(Form::Reveal), ""),
        item("code", &["$.data[*].code"], Some(Form::Pseudonymise), ""),
        item("telephone", &["$.data[*].telephone"], None, "mobile"),
    ])
}

/// An answer as disclosed.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub(super) bytes: Vec<u8>,
    pub(super) outcome: Outcome,
}

/// The answer in pieces of these lengths, the last again and again.
pub(super) fn in_pieces(plan: &Plan, input: &[u8], pieces: &[usize]) -> Result<Rewritten, disclosure::Error> {
    let mut stream = Arc::new(Compiled::new(plan)).stream(&pseudonyms(), None, 4 << 20);
    let (mut bytes, mut rest, mut lengths) = (Vec::new(), input, pieces.iter());
    let mut length = input.len().max(1);
    while !rest.is_empty() {
        length = lengths.next().copied().unwrap_or(length);
        let (piece, after) = rest.split_at(length.min(rest.len()));
        stream.push(piece, &mut bytes)?;
        rest = after;
    }
    let outcome = stream.finish(&mut bytes)?;
    Ok(Rewritten { bytes, outcome })
}

/// The answer whole; byte by byte and in pairs it must come out alike.
pub(super) fn rewrite(plan: &Plan, input: &[u8]) -> Result<Rewritten, Error> {
    let json = |error| match error {
        disclosure::Error::Json(error) => error,
        error => panic!("{error}"),
    };
    let whole = in_pieces(plan, input, &[]).map_err(json);
    if input.len() < 4096 {
        for length in [1, 2] {
            match (&whole, in_pieces(plan, input, &[length]).map_err(json)) {
                (Ok(whole), Ok(pieces)) => assert!(whole.bytes == pieces.bytes && whole.outcome == pieces.outcome),
                (Err(whole), Err(pieces)) => assert!(whole.reason == pieces.reason || whole.reason == Reason::NotUtf8, "{whole} {pieces}"),
                (whole, pieces) => panic!("whole: {:?}, in pieces of {length}: {:?}", whole.as_ref().err(), pieces.err()),
            }
        }
    }
    whole
}

fn run(plan: &Plan, input: &str) -> (String, Outcome) {
    let rewritten = rewrite(plan, input.as_bytes()).unwrap_or_else(|error| panic!("{error}: {input}"));
    (String::from_utf8(rewritten.bytes).unwrap(), rewritten.outcome)
}

fn shown(plan: &Plan, input: &str) -> String {
    run(plan, input).0
}

fn refused(plan: &Plan, input: &str) -> Reason {
    rewrite(plan, input.as_bytes()).map(|rewritten| String::from_utf8(rewritten.bytes)).unwrap_err().reason
}

#[test]
fn listed_items_in_their_forms_and_nothing_else() {
    let input = r#"{ "total": 1, "data": [ {"id_number": "110101199001011234", "name": "张三", "telephone": "13812345678", "code": "9900", "x": {"y": 1}} ], "trace": "110101199001011234" }"#;
    let (text, outcome) = run(&usual(), input);
    let code = pseudonyms().of("9900", false);
    assert_eq!(text, format!(r#"{{"data":[{{"id_number":"110101********1234","name":"张三","code":"{code}"}}]}}"#));
    assert_eq!((outcome.records, outcome.unfit), (1, 0));
    let items: Vec<_> = outcome.items.iter().map(|(name, forms)| (name, forms.iter().collect::<Vec<_>>())).collect();
    assert_eq!(items, [("code", vec![("pseudonymise", 1)]), ("id_number", vec![("mask", 1)]), ("name", vec![("reveal", 1)])]);
}

#[test]
fn containers_on_the_way_stay_even_empty() {
    assert_eq!(shown(&usual(), r#"{"data":[]}"#), r#"{"data":[]}"#);
    assert_eq!(shown(&usual(), r#"{"data":[{},{"telephone":"1"}]}"#), r#"{"data":[{},{}]}"#);
    assert_eq!(shown(&usual(), r#"{}"#), r#"{}"#);
}

#[test]
fn what_leads_only_to_omitted_items_is_omitted() {
    let plan = plan(vec![item("a", &["$.a[*].x"], None, ""), item("b", &["$.b.x"], Some(Form::Reveal), "")]);
    assert_eq!(shown(&plan, r#"{"a":[{"x":1},{}],"b":{"x":1}}"#), r#"{"b":{"x":1}}"#);
    assert_eq!(shown(&plan, r#"{"a":[{"x":1},{}]}"#), "{}");
}

#[test]
fn something_else_where_a_container_was_declared_is_omitted() {
    for odd in ["null", "1", "true", r#""110101199001011234""#, r#"{"name":"x"}"#, r#"["x",["y"],null,3]"#] {
        let expected = if odd.starts_with('[') { r#"{"data":[]}"# } else { "{}" };
        assert_eq!(shown(&usual(), &format!(r#"{{"data":{odd}}}"#)), expected, "{odd}");
    }
    assert_eq!(shown(&usual(), r#"{"data":["x",{"name":"y"}]}"#), r#"{"data":[{"name":"y"}]}"#);
}

#[test]
fn a_root_that_leads_to_no_item_is_refused() {
    for root in [r#""110101199001011234""#, "1", "true", "[]", r#"[{"name":"x"}]"#] {
        assert_eq!(refused(&usual(), root), Reason::Shape, "{root}");
    }
    assert_eq!(shown(&usual(), "null"), "null");
    // Several shapes, one per operation.
    let both = plan(vec![item("name", &["$.data[*].name", "$[*].name"], Some(Form::Reveal), "")]);
    assert_eq!(shown(&both, r#"[{"name":"x","y":1}]"#), r#"[{"name":"x"}]"#);
    assert_eq!(shown(&both, r#"{"data":[{"name":"x"}]}"#), r#"{"data":[{"name":"x"}]}"#);
    assert_eq!(refused(&both, "7"), Reason::Shape);
}

#[test]
fn the_whole_answer_may_be_one_item() {
    let whole = |form, preset| plan(vec![item("all", &["$"], form, preset)]);
    let input = r#"{"a":[1,{"b":null}],"c":"x"}"#;
    assert_eq!(shown(&whole(Some(Form::Reveal), ""), input), input);
    assert_eq!(shown(&whole(Some(Form::Mask), "name"), r#" "张三" "#), r#""张*""#);
    assert_eq!(shown(&whole(Some(Form::Mask), "name"), input), "null");
    assert_eq!(shown(&whole(None, ""), input), "{}");
    assert_eq!(refused(&whole(None, ""), "1"), Reason::Shape);
}

#[test]
fn escaped_spellings_of_a_name_are_the_same_name() {
    assert_eq!(shown(&usual(), r#"{"d\u0061ta":[{"n\u0061me":"x","tele\u0070hone":"1"}]}"#), r#"{"data":[{"name":"x"}]}"#);
    assert_eq!(refused(&usual(), r#"{"data":[{"name":"x","n\u0061me":"y"}]}"#), Reason::DuplicateName);
}

#[test]
fn duplicate_names_are_refused_everywhere() {
    for input in [
        r#"{"data":[],"data":[]}"#,
        r#"{"data":[{"id_number":"1","id_number":"2"}]}"#,
        r#"{"data":[{"telephone":{"x":1,"x":2}}]}"#,
        r#"{"unlisted":{"x":1,"x":2}}"#,
        r#"{"data":[{"name":{"x":1,"\u0078":2}}]}"#,
        r#"{"":1,"":2}"#,
    ] {
        assert_eq!(refused(&usual(), input), Reason::DuplicateName, "{input}");
    }
    // In an object of many names too, and not between objects.
    let many: Vec<_> = (0..100).map(|number| format!(r#""k{number}":{{"k1":0}}"#)).collect();
    assert_eq!(shown(&usual(), &format!("{{{}}}", many.join(","))), "{}");
    for twice in [0, 15, 16, 17, 99] {
        assert_eq!(refused(&usual(), &format!(r#"{{{},"k{twice}":1}}"#, many.join(","))), Reason::DuplicateName);
    }
}

#[test]
fn non_string_values_under_a_sensitive_name() {
    let (text, outcome) = run(
        &usual(),
        r#"{"data":[{"id_number":110101199001011234},{"id_number":["110101199001011234"]},{"id_number":{"v":"110101199001011234"}},{"id_number":true},{"id_number":null},{"id_number":""},{"id_number":"1234"}]}"#,
    );
    assert_eq!(
        text,
        r#"{"data":[{"id_number":"110101********1234"},{"id_number":null},{"id_number":null},{"id_number":null},{"id_number":null},{"id_number":null},{"id_number":null}]}"#
    );
    assert_eq!(outcome.unfit, 5);
    assert_eq!(outcome.items["id_number"]["mask"], 1);
    assert_eq!(outcome.records, 7);
}

#[test]
fn pseudonyms_of_numbers_and_odd_values() {
    let (text, outcome) = run(&usual(), r#"{"data":[{"code":9900},{"code":"9900"},{"code":[9900]},{"code":null},{"code":false}]}"#);
    let code = pseudonyms().of("9900", false);
    assert_eq!(text, format!(r#"{{"data":[{{"code":"{code}"}},{{"code":"{code}"}},{{"code":null}},{{"code":null}},{{"code":null}}]}}"#));
    assert_eq!((outcome.items["code"]["pseudonymise"], outcome.unfit), (2, 2));
}

#[test]
fn the_preset_null_counts_as_masked() {
    let plan = plan(vec![item("a", &["$.data[*].a"], Some(Form::Mask), "null")]);
    let (text, outcome) = run(&plan, r#"{"data":[{"a":"x"},{"a":{"b":1}},{"a":null}]}"#);
    assert_eq!(text, r#"{"data":[{"a":null},{"a":null},{"a":null}]}"#);
    assert_eq!((outcome.items["a"]["mask"], outcome.unfit), (2, 0));
}

#[test]
fn a_mask_without_a_preset_shows_nothing() {
    let (text, outcome) = run(&plan(vec![item("a", &["$.a"], Some(Form::Mask), "")]), r#"{"a":"x"}"#);
    assert_eq!((text.as_str(), outcome.unfit), (r#"{"a":null}"#, 1));
}

#[test]
fn a_compared_item_is_never_shown() {
    assert_eq!(shown(&plan(vec![item("a", &["$.a"], Some(Form::Compare), "")]), r#"{"a":"x"}"#), "{}");
}

#[test]
fn a_revealed_container_is_copied_value_by_value() {
    let input = r#"{"data":[{"name": { "a" : [ 1.0 , -0 , 1e400, true ], "\u00e9\u0001": "\/\ud842\udfb7" } }]}"#;
    assert_eq!(shown(&usual(), input), r#"{"data":[{"name":{"a":[1.0,-0,1e400,true],"é\u0001":"\/\ud842\udfb7"}}]}"#);
}

#[test]
fn numbers_keep_their_text() {
    for number in ["0", "-0", "1.0", "1.10", "1e400", "1E+2", "-1.5e-7", "12345678901234567890", "0.1000000000000000055511151231257827"] {
        let input = format!(r#"{{"data":[{{"name":{number}}}]}}"#);
        assert_eq!(shown(&usual(), &input), input);
    }
}

#[test]
fn json_in_a_string_is_a_string() {
    let inner = r#"{\"id_number\":\"110101199001011234\"}"#;
    assert_eq!(shown(&usual(), &format!(r#"{{"data":[{{"telephone":"{inner}"}}]}}"#)), r#"{"data":[{}]}"#);
    assert_eq!(shown(&usual(), &format!(r#"{{"data":[{{"id_number":"{inner}"}}]}}"#)), r#"{"data":[{"id_number":null}]}"#);
}

#[test]
fn names_that_are_data_stay_out() {
    let anywhere = plan(vec![item("name", &["$..name"], Some(Form::Mask), "name")]);
    assert_eq!(shown(&anywhere, r#"{"110101199001011234":{"age":3},"x":[{"y":[]}]}"#), "{}");
    assert_eq!(
        shown(&anywhere, r#"{"a":[{"b":1},{"name":"张三","c":{}},{"name":{"name":"李四"}}]}"#),
        r#"{"a":[{"name":"张*"},{"name":null}]}"#
    );
}

#[test]
fn an_item_inside_another_takes_the_narrower_form() {
    let outer = |outer, inner| {
        let plan = plan(vec![item("person", &["$.person"], outer, "fixed:x"), item("id", &["$..id"], inner, "id_number")]);
        shown(&plan, r#"{"person":{"id":"110101199001011234","n":1},"id":"110101199001011234"}"#)
    };
    let (reveal, mask) = (Some(Form::Reveal), Some(Form::Mask));
    assert_eq!(outer(reveal, mask), r#"{"person":{"id":"110101********1234","n":1},"id":"110101********1234"}"#);
    assert_eq!(outer(reveal, None), r#"{"person":{"n":1}}"#);
    assert_eq!(outer(mask, reveal), r#"{"person":null,"id":"110101199001011234"}"#);
    assert_eq!(outer(None, reveal), r#"{"id":"110101199001011234"}"#);
}

#[test]
fn one_value_of_two_items_takes_the_narrower_form() {
    let both = |a, b| {
        shown(
            &plan(vec![item("a", &["$.data[*].id"], a, "id_number"), item("b", &["$..id"], b, "fixed:x")]),
            r#"{"data":[{"id":"110101199001011234"}]}"#,
        )
    };
    let (reveal, mask) = (Some(Form::Reveal), Some(Form::Mask));
    assert_eq!(both(reveal, mask), r#"{"data":[{"id":"x"}]}"#);
    assert_eq!(both(mask, reveal), r#"{"data":[{"id":"110101********1234"}]}"#);
    assert_eq!(both(reveal, None), r#"{"data":[{}]}"#);
    assert_eq!(both(None, reveal), r#"{}"#);
}

#[test]
fn records_are_counted_and_bounded() {
    let mut plan = usual();
    plan.max_records = 2;
    assert_eq!(run(&plan, r#"{"data":[{},{}]}"#).1.records, 2);
    assert_eq!(refused(&plan, r#"{"data":[{},{},{}]}"#), Reason::TooManyRecords);
    // Records that show nothing are records.
    assert_eq!(refused(&plan, r#"{"data":[1,null,"x"]}"#), Reason::TooManyRecords);
    plan.records = JsonPath::root();
    assert_eq!(run(&plan, r#"{"data":[{},{},{}]}"#).1.records, 1);
    plan.records = JsonPath::parse("$.meta.rows[*]").unwrap();
    assert_eq!(
        run(&plan, r#"{"data":[{}],"meta":{"rows":[1,2],"secret":3}}"#),
        (r#"{"data":[{}]}"#.to_owned(), Outcome { records: 2, ..Outcome::default() })
    );
}

#[test]
fn rare_characters_are_masked_by_character() {
    let plan = plan(vec![item("name", &["$.n"], Some(Form::Mask), "name")]);
    assert_eq!(shown(&plan, r#"{"n":"\ud842\udfb7田"}"#), r#"{"n":"𠮷*"}"#);
    assert_eq!(shown(&plan, r#"{"n":"𠮷"}"#), r#"{"n":"*"}"#);
}

#[test]
fn an_error_holds_nothing_of_the_answer() {
    for input in [
        format!(r#"{{"{CANARY}":1,"{CANARY}":2}}"#),
        format!(r#"{{"data":[{{"name":"{CANARY}""#),
        format!(r#"{{"data":{CANARY}x}}"#),
        format!(r#"{{"data":"\ud800{CANARY}"}}"#),
        format!(r#""{CANARY}""#),
        CANARY.to_owned(),
        format!("{{}} {CANARY}"),
    ] {
        let error = rewrite(&usual(), input.as_bytes()).map(|rewritten| rewritten.bytes.len()).unwrap_err();
        let whole = super::super::Error::from(error);
        for text in [error.to_string(), format!("{error:?}"), error.public().zh, error.public().en, whole.to_string(), format!("{whole:?}")]
        {
            assert!(!text.contains("110101"), "{text}");
        }
    }
}

#[test]
fn only_a_number_could_go_on_where_it_ends() {
    let whole = Arc::new(Compiled::new(&plan(vec![item("all", &["$"], Some(Form::Reveal), "")])));
    for (input, at_end) in [
        ("12", false),
        ("-0.5e7", false),
        ("12 ", true),
        ("{\"a\":12}", true),
        ("\"x\"", true),
        ("null", true),
        ("\"x", false),
        ("\"\u{5f20}\"", true),
    ] {
        let mut stream = whole.stream(&pseudonyms(), None, 1 << 10);
        stream.push(input.as_bytes(), &mut Vec::new()).unwrap();
        assert_eq!(stream.is_at_end(), at_end, "{input}");
    }
    let mut stream = whole.stream(&pseudonyms(), None, 1 << 10);
    stream.push(&"\u{5f20}".as_bytes()[..1], &mut Vec::new()).unwrap();
    assert!(!stream.is_at_end());
}

#[test]
fn the_compiled_plan_serves_many_calls() {
    let compiled = Arc::new(Compiled::new(&usual()));
    for _ in 0..2 {
        let (mut stream, mut bytes) = (compiled.stream(&pseudonyms(), None, 1 << 10), Vec::new());
        stream.push(br#"{"data":[{"name":"x"}]}"#, &mut bytes).unwrap();
        assert_eq!((stream.finish(&mut bytes).unwrap().records, bytes), (1, br#"{"data":[{"name":"x"}]}"#.to_vec()));
    }
    assert_eq!(compiled.field(), "reveal=(name), mask=(id_number), pseudonymise=(code), omit=(telephone)");
}
