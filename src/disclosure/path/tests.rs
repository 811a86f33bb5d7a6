//! Paths read, written, compared and followed.

use serde_json::json;

use super::*;

fn path(text: &str) -> JsonPath {
    JsonPath::parse(text).unwrap()
}

#[test]
fn paths_read_as_written() {
    use Segment::{Descendant, Elements, Name};
    let name = |text: &str| Name(text.to_owned());
    let table = [
        ("$", vec![]),
        ("$.a", vec![name("a")]),
        ("$.data[*].id_number", vec![name("data"), Elements, name("id_number")]),
        ("$['id-number']", vec![name("id-number")]),
        (r#"$["a.b"].c"#, vec![name("a.b"), name("c")]),
        (r"$['it\'s']['\u59d3\ud842\udfb7']", vec![name("it's"), name("姓𠮷")]),
        ("$.姓名", vec![name("姓名")]),
        ("$..name", vec![Descendant("name".to_owned())]),
        ("$.a..['b c'][*]", vec![name("a"), Descendant("b c".to_owned()), Elements]),
        ("$[*]", vec![Elements]),
    ];
    for (text, segments) in table {
        assert_eq!(path(text), JsonPath(segments), "{text}");
        assert_eq!(path(&path(text).to_string()), path(text), "{text}");
    }
}

#[test]
fn what_is_not_supported_is_refused_and_told() {
    for text in [
        "",
        "a",
        ".a",
        "$a",
        "$.",
        "$..",
        "$...a",
        "$.*",
        "$..*",
        "$..[*]",
        "$[0]",
        "$[-1]",
        "$[1:2]",
        "$['a','b']",
        "$[?@.a]",
        "$.a b",
        "$.id-number",
        "$.1a",
        "$['a'",
        "$['a]",
        "$[a]",
        "$[]",
        "$.a[",
        "$ .a",
        "$.a ",
        "$['\\x']",
        "$['\\ud800']",
        "$['a\nb']",
        "@.a",
    ] {
        let error = JsonPath::parse(text).unwrap_err();
        assert!(error.en.contains("[*]") && error.zh.contains("[*]"), "{text}");
    }
}

#[test]
fn an_item_inside_another_is_found() {
    let table = [
        ("$.a", "$.a", true),
        ("$.a", "$.b", false),
        ("$.a", "$.a.b", true),
        ("$.a", "$.ab", false),
        ("$.data[*]", "$.data[*].id", true),
        ("$.data[*].id", "$.data[*].name", false),
        ("$", "$.a", true),
        ("$", "$..a", true),
        ("$.a[*]", "$.a.b", false),
        // The same value by two ways.
        ("$..id", "$.data[*].id", true),
        ("$..id", "$..id", true),
        ("$..a", "$.x.a.b", true),
        ("$.a", "$.a..b", true),
        ("$..a", "$..a..b", true),
        // They may meet in some answer; the rewriter takes the narrower form there.
        ("$.a", "$..b", false),
        ("$..a", "$..b", false),
        ("$.x.a", "$.x..b", false),
        ("$.data[*].name", "$..id_number", false),
    ];
    for (a, b, expected) in table {
        assert_eq!(path(a).overlaps(&path(b)), expected, "{a} {b}");
        assert_eq!(path(b).overlaps(&path(a)), expected, "{b} {a}");
    }
    assert!(path("$.a").contains(&path("$.a.b")));
    assert!(!path("$.a.b").contains(&path("$.a")));
}

#[test]
fn one_string_or_number_is_fetched_and_nothing_else() {
    let value = json!({"id": "11", "n": 42, "b": true, "o": {}, "nothing": null, "list": [{"id": "22"}, {"x": 1}], "in": {"deep": "d"}});
    assert_eq!(path("$.id").single(&value), Ok("11".to_owned()));
    assert_eq!(path("$.n").single(&value), Ok("42".to_owned()));
    assert_eq!(path("$..deep").single(&value), Ok("d".to_owned()));
    assert_eq!(path("$.list[*].id").single(&value), Ok("22".to_owned()));
    assert_eq!(path("$..id").single(&value), Err(NotSingle::Several));
    assert_eq!(path("$.missing").single(&value), Err(NotSingle::Missing));
    assert_eq!(path("$[*]").single(&value), Err(NotSingle::Missing));
    for scalar in ["$.b", "$.o", "$.nothing", "$"] {
        assert_eq!(path(scalar).single(&value), Err(NotSingle::NotScalar), "{scalar}");
    }
    // Numbers keep their text.
    let big: Value = serde_json::from_str(r#"{"n":12345678901234567890123}"#).unwrap();
    assert_eq!(path("$.n").single(&big), Ok("12345678901234567890123".to_owned()));
    let nested = json!({"a": {"b": {"b": {"c": 1}}}});
    assert_eq!(path("$.a..b..c").single(&nested), Ok("1".to_owned()));
}
