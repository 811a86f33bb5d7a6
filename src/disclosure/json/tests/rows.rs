//! Records shown by their region, and what is held while an answer is read.

use std::collections::HashMap;

use super::super::super::Regions;
use super::super::super::csv::tests::Only;
use super::*;

fn filtered(records: &str, region: &str) -> Plan {
    let mut plan = usual();
    plan.records = JsonPath::parse(records).unwrap();
    plan.region = Some(Arc::from([JsonPath::parse(region).unwrap()]));
    plan
}

fn with_regions(plan: &Plan, input: &str, length: usize, limit: usize) -> Result<(String, Outcome), disclosure::Error> {
    let only = || Box::new(Only(HashMap::from([("990101", true), ("990102", false), ("990103", true)]))) as Box<dyn Regions>;
    let regions = plan.region.is_some().then(only);
    let (mut stream, mut out) = (Arc::new(Compiled::new(plan)).stream(&pseudonyms(), regions, limit), Vec::new());
    for piece in input.as_bytes().chunks(length) {
        stream.push(piece, &mut out)?;
    }
    let outcome = stream.finish(&mut out)?;
    Ok((String::from_utf8(out).unwrap(), outcome))
}

fn rows(plan: &Plan, input: &str) -> (String, Outcome) {
    let whole = with_regions(plan, input, input.len(), 1 << 16).unwrap_or_else(|error| panic!("{error}: {input}"));
    for length in [1, 7] {
        assert_eq!(Ok(&whole), with_regions(plan, input, length, 1 << 16).as_ref(), "{input}");
    }
    whole
}

#[test]
fn records_of_other_regions_are_dropped_and_counted() {
    let plan = filtered("$.data[*]", "$.data[*].region");
    let (text, outcome) = rows(
        &plan,
        r#"{"data":[{"name":"a","region":"990102"},{"region":"990101","name":"b"},{"name":"c"},{"name":"d","region":null},{"name":"e","region":990101},{"name":"f","region":"99"},7,{"name":"g","reg\u0069on":"99010\u0033","id_number":"1"}]}"#,
    );
    assert_eq!(text, r#"{"data":[{"name":"b"},{"name":"g","id_number":null}]}"#);
    assert_eq!((outcome.records, outcome.rows_dropped, outcome.unfit, outcome.items["name"]["reveal"]), (2, 6, 1, 2));
    assert_eq!(rows(&plan, r#"{"data":[{"name":"a","region":"990102"}]}"#).0, r#"{"data":[]}"#);
    assert_eq!(rows(&plan, r#"{"data":[]}"#).1.rows_dropped, 0);
}

#[test]
fn a_record_with_several_regions_needs_all_of_them() {
    let plan = filtered("$.data[*]", "$.data[*]..region");
    let record = |regions: &str| rows(&plan, &format!(r#"{{"data":[{{"name":"a","at":[{regions}]}}]}}"#)).1.records;
    assert_eq!(record(r#"{"region":"990101"},{"region":"990103"}"#), 1);
    assert_eq!(record(r#"{"region":"990101"},{"region":"990102"}"#), 0);
    assert_eq!(record(r#"{"region":"990102"},{"region":"990101"}"#), 0);
    assert_eq!(record(r#"{"region":"990101"},{"region":{}}"#), 0);
    assert_eq!(record(""), 0);
}

#[test]
fn records_inside_records_are_judged_each() {
    let mut plan = filtered("$..row", "$..region");
    plan.items = vec![item("name", &["$..name"], Some(Form::Reveal), "")];
    let (text, outcome) = rows(
        &plan,
        r#"{"row":{"region":"990101","name":"a","row":{"region":"990102","name":"b"},"z":{"name":"c"}},"y":{"row":{"region":"990102","row":{"region":"990101","name":"d"}}}}"#,
    );
    assert_eq!(text, r#"{"row":{"name":"a","z":{"name":"c"}}}"#);
    assert_eq!((outcome.records, outcome.items["name"]["reveal"]), (1, 2));
}

#[test]
fn an_answer_that_is_one_record_may_be_dropped_whole() {
    let plan = filtered("$", "$.region");
    assert_eq!(rows(&plan, r#"{"region":"990101","data":[{"name":"a"}]}"#).0, r#"{"data":[{"name":"a"}]}"#);
    let (text, outcome) = rows(&plan, r#"{"data":[{"name":"a"}],"region":"990102"}"#);
    assert_eq!((text.as_str(), outcome.records, outcome.rows_dropped), ("{}", 0, 1));
    assert_eq!(rows(&plan, "null").0, "null");
}

#[test]
fn the_cap_on_records_counts_those_that_stay() {
    let mut plan = filtered("$.data[*]", "$.data[*].region");
    plan.max_records = 1;
    let of = |regions: &[&str]| {
        let records: Vec<_> = regions.iter().map(|region| format!(r#"{{"region":"{region}"}}"#)).collect();
        with_regions(&plan, &format!(r#"{{"data":[{}]}}"#, records.join(",")), 9, 1 << 16).map(|(_, outcome)| outcome.records)
    };
    assert_eq!(of(&["990102", "990101", "990102"]), Ok(1));
    assert!(matches!(of(&["990101", "990102", "990103"]), Err(disclosure::Error::Json(error)) if error.reason == Reason::TooManyRecords));
}

#[test]
fn undecided_regions_abort_and_nobody_to_ask_shows_nothing() {
    let plan = filtered("$.data[*]", "$.data[*].region");
    assert_eq!(with_regions(&plan, r#"{"data":[{"region":"error"}]}"#, 5, 1 << 16), Err(disclosure::Error::Undecided));
    let input = br#"{"data":[{"name":"a","region":"990101"}]}"#;
    assert_eq!(in_pieces(&plan, input, &[]).unwrap().bytes, br#"{"data":[]}"#);
}

#[test]
fn what_is_held_is_bounded() {
    let long = "x".repeat(3000);
    let held = |plan: &Plan, input: &str| with_regions(plan, input, 100, 2000).map(|_| ());
    let too_large = Err(disclosure::Error::TooLarge { limit: 2000 });
    // A value, wherever it stands.
    for input in [format!(r#"{{"data":[{{"telephone":"{long}"}}]}}"#), format!(r#"{{"{long}":1}}"#), format!("\"{long}\"")] {
        assert_eq!(held(&usual(), &input), too_large);
    }
    // A record whose region is not known.
    let plan = filtered("$.data[*]", "$.data[*].region");
    let names = format!(r#""name":[{}]"#, vec![r#""a""#; 1000].join(","));
    assert_eq!(held(&plan, &format!(r#"{{"data":[{{{names},"region":"990101"}}]}}"#)), too_large);
    // Whatever is passed over is not held, nor what has left.
    assert_eq!(held(&usual(), &format!(r#"{{"data":[{{{names}}}],"x":[{}]}}"#, vec!["[]"; 5000].join(" , "))), Ok(()));
    assert_eq!(held(&usual(), &format!("{}{{}}{}", " ".repeat(5000), "\n".repeat(5000))), Ok(()));
}

#[test]
fn names_are_compared_up_to_a_number() {
    let object = |count: usize| format!("{{{}}}", (0..count).map(|number| format!("\"{number}\":0")).collect::<Vec<_>>().join(","));
    let run = |input: &str| in_pieces(&usual(), input.as_bytes(), &[]).map(|rewritten| rewritten.bytes);
    // The place learns the first of them, and knows one of the plan's.
    let most = names::MOST + names::LEARNT - 1;
    assert_eq!(run(&object(most)), Ok(b"{}".to_vec()));
    assert!(matches!(run(&object(most + 1)), Err(disclosure::Error::Json(error)) if error.reason == Reason::TooManyNames));
}

#[test]
fn what_has_left_is_what_nothing_takes_back() {
    let anywhere = plan(vec![item("name", &["$..name"], Some(Form::Reveal), "")]);
    let mut stream = Arc::new(Compiled::new(&anywhere)).stream(&pseudonyms(), None, 1 << 10);
    let mut out = Vec::new();
    for (piece, left) in [
        (&br#"{"a":{"b":["#[..], &b"{"[..]),
        (br#"{},{"c":1},{"#, b"{"),
        (br#""name":"x"#, b"{"),
        (br#"y","d":{"#, br#"{"a":{"b":[{"name":"xy""#),
        (br#"}}]},"e":[1"#, br#"{"a":{"b":[{"name":"xy"}]}"#),
        (br#"]}"#, br#"{"a":{"b":[{"name":"xy"}]}}"#),
    ] {
        stream.push(piece, &mut out).unwrap();
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(left));
    }
    assert_eq!(stream.finish(&mut out).unwrap().items["name"]["reveal"], 1);
}
