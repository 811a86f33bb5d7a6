//! Rows rewritten, case by case.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::{ContentKind, Error as Refused, Form, JsonPath, Outcome, Plan, PlannedItem, Preset, PseudonymKey, Regions};
use super::*;

pub(in super::super) fn item(name: &str, path: &str, form: Option<Form>, preset: &str) -> PlannedItem {
    PlannedItem {
        name: name.into(),
        paths: vec![JsonPath::parse(path).unwrap()],
        form,
        preset: Preset::parse(preset).ok(),
        joinable: false,
        likeness: None,
        narrowed_by: None,
    }
}

fn plan(items: Vec<PlannedItem>) -> Plan {
    Plan { items, content: ContentKind::Csv, records: JsonPath::root(), max_records: 100, region: None }
}

fn usual() -> Plan {
    plan(vec![
        item("id_number", "$.id_number", Some(Form::Mask), "id_number"),
        item("name", "$['姓名']", Some(Form::Reveal), ""),
        item("telephone", "$.telephone", None, "mobile"),
    ])
}

/// Includes the regions that it holds.
pub(in super::super) struct Only(pub(in super::super) HashMap<&'static str, bool>);

impl Regions for Only {
    fn include(&mut self, code: &str) -> Result<bool, Refused> {
        if code == "error" {
            return Err(Refused::Undecided);
        }
        Ok(self.0.get(code).copied().unwrap_or(false))
    }
}

fn in_pieces(plan: &Plan, input: &[u8], length: usize, regions: bool) -> Result<(String, Outcome), Refused> {
    let pseudonyms = PseudonymKey::new(&[7; 32]).scope("s", "d");
    let regions = regions.then(|| Box::new(Only(HashMap::from([("990101", true), ("990102", false)]))) as Box<dyn Regions>);
    let (mut stream, mut out) = (Arc::new(Compiled::new(plan)).stream(&pseudonyms, regions, 1 << 16), Vec::new());
    for piece in input.chunks(length) {
        stream.push(piece, &mut out)?;
    }
    let outcome = stream.finish(&mut out)?;
    Ok((String::from_utf8(out).unwrap(), outcome))
}

/// The same whole, byte by byte, and by threes.
fn run_with(plan: &Plan, input: &str, regions: bool) -> Result<(String, Outcome), Refused> {
    let whole = in_pieces(plan, input.as_bytes(), input.len().max(1), regions);
    for length in [1, 3] {
        assert_eq!(whole, in_pieces(plan, input.as_bytes(), length, regions), "{input:?} by {length}");
    }
    whole
}

fn shown(plan: &Plan, input: &str) -> String {
    run_with(plan, input, false).unwrap_or_else(|error| panic!("{error}: {input}")).0
}

fn refused(input: &str) -> Reason {
    match run_with(&usual(), input, false) {
        Err(Refused::Csv(error)) => error.reason,
        other => panic!("{other:?}: {input}"),
    }
}

#[test]
fn the_header_names_the_items() {
    let (text, outcome) = run_with(
        &usual(),
        "id_number,telephone,姓名,other\r\n110101199001011234,13812345678,张三,x\r\n1234,1,\"李,\"\"四\"\"\",y\r\n,,,\r\n",
        false,
    )
    .unwrap();
    assert_eq!(text, "id_number,姓名\r\n110101********1234,张三\r\n,\"李,\"\"四\"\"\"\r\n,\r\n");
    assert_eq!((outcome.records, outcome.unfit), (3, 1));
    assert_eq!((outcome.items["id_number"]["mask"], outcome.items["name"]["reveal"]), (1, 3));
}

#[test]
fn a_column_is_known_by_path_or_by_the_items_name_and_takes_the_narrower_form() {
    let by_list = plan(vec![item("name", "$[*].full", Some(Form::Reveal), "")]);
    assert_eq!(shown(&by_list, "full,x\n张三,1\n"), "full\r\n张三\r\n");
    assert_eq!(shown(&by_list, "name,x\n张三,1\n"), "name\r\n张三\r\n");
    let both = plan(vec![item("a", "$.b", Some(Form::Reveal), ""), item("b", "$.x", Some(Form::Mask), "name")]);
    assert_eq!(shown(&both, "b\n张三\n"), "b\r\n张*\r\n");
    let anywhere = plan(vec![item("n", "$..b", Some(Form::Mask), "name")]);
    assert_eq!(shown(&anywhere, "a,b\n1,张三\n"), "b\r\n张*\r\n");
}

#[test]
fn lines_may_end_either_way_and_the_last_needs_no_end() {
    for input in ["姓名\n张三\n", "姓名\r\n张三", "\u{feff}姓名\n张三", "\"姓名\"\n\"张三\"\n"] {
        let text = shown(&usual(), input);
        assert_eq!(text.replace('"', ""), "姓名\r\n张三\r\n", "{input:?}");
    }
    assert_eq!(shown(&usual(), "姓名"), "姓名\r\n");
    assert_eq!(shown(&usual(), "a,姓名\n1,"), "姓名\r\n\r\n");
    assert_eq!(shown(&usual(), "姓名\n\"two\r\nlines\ttab\"\n"), "姓名\r\n\"two\r\nlines\ttab\"\r\n");
}

#[test]
fn what_would_move_a_value_into_another_column_is_refused() {
    for (reason, inputs) in [
        (Reason::Empty, &["", "\u{feff}"][..]),
        (Reason::Cut, &["姓名\n\"张", "姓名\n\"张\"\""]),
        (Reason::Ragged, &["姓名,a\n张三\n", "姓名\n张三,1\n", "姓名,a\n\n", "姓名,a\n1,2\n3"]),
        (Reason::Quote, &["姓名\n张\"三\n", "姓名\n\"张\"三\n", "姓名\n\"张\" \n"]),
        (Reason::Control, &["姓名\n张\u{0}\n", "姓名\n张\r三\n", "姓名\n\"\u{1}\"\n", "姓名\n张\r"]),
        (Reason::DuplicateName, &["姓名,姓名\n", "\"姓名\",姓名\n", "姓名,x,x\n"]),
        (Reason::Shape, &["a,b\n1,2\n", "\n", "{}"]),
    ] {
        for input in inputs {
            assert_eq!(refused(input), reason, "{input:?}");
        }
    }
    let wide: Vec<_> = (0..=MOST_COLUMNS).map(|number| format!("c{number}")).collect();
    assert!(
        matches!(in_pieces(&usual(), wide.join(",").as_bytes(), 512, false), Err(Refused::Csv(error)) if error.reason == Reason::TooManyColumns)
    );
    assert!(matches!(in_pieces(&usual(), b"\xff", 1, false), Err(Refused::Json(_))));
}

#[test]
fn rows_are_counted_and_bounded() {
    let mut plan = usual();
    plan.max_records = 2;
    assert_eq!(run_with(&plan, "姓名\n1\n2\n", false).unwrap().1.records, 2);
    assert!(matches!(run_with(&plan, "姓名\n1\n2\n3\n", false), Err(Refused::Csv(error)) if error.reason == Reason::TooManyRecords));
}

#[test]
fn rows_of_other_regions_are_dropped_and_counted() {
    let mut plan = plan(vec![item("name", "$.name", Some(Form::Mask), "name"), item("region", "$.region", None, "")]);
    plan.region = Some(Arc::from([JsonPath::parse("$.region").unwrap()]));
    plan.max_records = 1;
    let input = "region,name\n990102,张三\n990101,李四\n,王五\n990199,x\n";
    let (text, outcome) = run_with(&plan, input, true).unwrap();
    assert_eq!(text, "name\r\n李*\r\n");
    assert_eq!((outcome.records, outcome.rows_dropped, outcome.items["name"]["mask"]), (1, 3, 1));
    // Without anybody to decide none is shown, and so it is without the column.
    assert_eq!(run_with(&plan, input, false).unwrap().0, "name\r\n");
    assert_eq!(run_with(&plan, "name\n张三\n", true).unwrap().1.rows_dropped, 1);
    assert_eq!(run_with(&plan, "region,name\nerror,张三\n", true), Err(Refused::Undecided));
}

#[test]
fn nothing_shown_leaves_nothing() {
    assert_eq!(shown(&usual(), "telephone\n13812345678\n"), "");
}

proptest! {
    /// Whatever cells there are: what is shown reads back as the cells of the shown columns.
    #[test]
    fn cells_come_back_as_they_were(rows in prop::collection::vec(prop::array::uniform3("[a,\"\n\r é𠮷]{0,4}"), 0..5), length in 1usize..9) {
        let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let mut input = "姓名,telephone,x\n".to_owned();
        let mut expected = "姓名\r\n".to_owned();
        for row in &rows {
            input.push_str(&row.iter().map(quoted).collect::<Vec<_>>().join(","));
            input.push('\n');
            expected.push_str(&quoted(&row[0]));
            expected.push_str("\r\n");
        }
        let (text, _) = in_pieces(&usual(), input.as_bytes(), length, false).unwrap();
        prop_assert_eq!(text, expected);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..48), length in 1usize..9) {
        let _ = in_pieces(&usual(), &bytes, length, true);
        let mut named = b"id_number,x\n".to_vec();
        named.extend(&bytes);
        let _ = in_pieces(&usual(), &named, length, true);
    }
}
