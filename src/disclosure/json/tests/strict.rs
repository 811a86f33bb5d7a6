//! What is JSON and what is not: by RFC 8259, production by production.

use super::super::super::Form;
use super::super::Reason::{ByteOrderMark, Control, Cut, Empty, Escape, LoneSurrogate, Number, Syntax, Trailing};
use super::*;

fn everything() -> Plan {
    plan(vec![item("all", &["$"], Some(Form::Reveal), "")])
}

#[test]
fn json_is_accepted_and_its_values_keep_their_spelling() {
    let table: &[(&str, &str)] = &[
        ("null", "null"),
        (" \t\r\ntrue \t\r\n", "true"),
        ("false", "false"),
        ("\"\"", "\"\""),
        ("\"\u{7f}\u{80}\u{2028}\u{ffff}\u{10ffff}\"", "\"\u{7f}\u{80}\u{2028}\u{ffff}\u{10ffff}\""),
        (r#""\"\\\/\b\f\n\r\t""#, r#""\"\\\/\b\f\n\r\t""#),
        (r#""\u0000\u001F\u007f\u00E9""#, r#""\u0000\u001F\u007f\u00E9""#),
        (r#""\uD83D\uDE00 \uFFFE""#, r#""\uD83D\uDE00 \uFFFE""#),
        (r#""a\ud800\udc00b""#, r#""a\ud800\udc00b""#),
        ("0", "0"),
        ("-0.0e-0", "-0.0e-0"),
        ("1E+10", "1E+10"),
        ("123456789012345678901234567890.5", "123456789012345678901234567890.5"),
        ("[]", "[]"),
        ("[ ]", "[]"),
        ("[1 , [ ] ,{ } ]", "[1,[],{}]"),
        ("{ }", "{}"),
        (r#"{"":0 , "a" : {"":1}}"#, r#"{"":0,"a":{"":1}}"#),
        (r#"{"a":1,"A":2,"a ":3}"#, r#"{"a":1,"A":2,"a ":3}"#),
        ("\"\u{feff}\"", "\"\u{feff}\""),
    ];
    for (input, expected) in table {
        assert_eq!(shown(&everything(), input), *expected, "{input}");
    }
}

const REFUSED: &[(Reason, &[&str])] = &[
    (Empty, &["", " ", "\n\t"]),
    (ByteOrderMark, &["\u{feff}", "\u{feff}{}"]),
    (
        Cut,
        &[
            "[",
            "[1",
            "[1,",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "\"",
            "\"a",
            "\"\\",
            "\"\\u00",
            "-",
            "1.",
            "1e",
            "1e+",
            "t",
            "nul",
            "[fals",
        ],
    ),
    (
        Syntax,
        &[
            "[,]",
            "[1 2]",
            "[1;2]",
            "{a:1}",
            "{'a':1}",
            "{\"a\" 1}",
            "{\"a\":1 \"b\":2}",
            "{,}",
            "{\"a\":1,}",
            "{1:1}",
            "{null:1}",
            "[1,]",
            "[,1]",
            "[1,,2]",
            "}",
            "]",
            "{]",
            "[}",
            "True",
            "NULL",
            "nan",
            "NaN",
            "Infinity",
            "undefined",
            "+1",
            ".5",
            "'a'",
            "//x\n1",
            "/**/1",
            "[1}",
            "{\"a\":1]",
            "\u{0}",
            "\u{c}1",
            "\u{a0}1",
            "\u{2028}1",
            "[true1]",
            "[-1-2]",
            "[01]",
            "[1.2.3]",
            "[0x10]",
            "[1_000]",
            "[1e5e5]",
        ],
    ),
    (Number, &["-a", "--1", "-Infinity", "1.a", "1.e5", "[1.]", "[1e]", "[1e+]", "[-]", "-.5"]),
    (Escape, &[r#""\x41""#, r#""\'""#, r#""\u12G4""#, r#""\U0041""#, r#""\0""#, "\"\\\n\"", r#""\u+123""#]),
    (Control, &["\"\n\"", "\"\t\"", "\"\u{0}\"", "\"\u{1f}\"", "{\"a\nb\":1}"]),
    (
        LoneSurrogate,
        &[r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800""#, r#""\ud800x""#, r#""\udc00\ud800""#, r#""\ud800\u0041""#, r#"{"\udfff":1}"#],
    ),
    (
        Trailing,
        &[
            "{}{}",
            "{} {}",
            "1 2",
            "[] ]",
            "null,",
            "{}\u{0}",
            "\"a\"b",
            "truefalse",
            "01",
            "00",
            "-01",
            "1.2.3",
            "1e5.5",
            "0x10",
            "{}//",
            "[]\u{feff}",
        ],
    ),
];

#[test]
fn what_is_not_json_is_refused() {
    for (reason, inputs) in REFUSED {
        for input in *inputs {
            assert_eq!(refused(&everything(), input), *reason, "{input:?}");
            assert_eq!(parse(input.as_bytes()).unwrap_err().reason, *reason, "{input:?}");
        }
    }
}

#[test]
fn unlisted_parts_are_judged_as_strictly() {
    for bad in ["\"\\ud800\"", "01", "[1,]", "{\"x\":1,\"x\":1}", "nul", "\"\u{1}\""] {
        let input = format!(r#"{{"data":[{{"name":"x"}}],"unlisted":{bad}}}"#);
        assert!(rewrite(&usual(), input.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn invalid_utf8_is_refused() {
    for bytes in
        [&b"\"\xff\""[..], b"\"\xc0\xaf\"", b"\"\xed\xa0\x80\"", b"\"\xf4\x90\x80\x80\"", b"\"\xe5\xbc\"", b"{}\x80", b"\xff\xfe{\0}\0"]
    {
        assert_eq!(rewrite(&everything(), bytes).map(|_| ()).unwrap_err().reason, Reason::NotUtf8, "{bytes:?}");
    }
}

#[test]
fn deep_nesting_is_refused_without_a_crash() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(shown(&everything(), &nested(DEPTH)), nested(DEPTH));
    assert_eq!(refused(&everything(), &nested(DEPTH + 1)), Reason::TooDeep);
    assert_eq!(refused(&everything(), &"[".repeat(1_000_000)), Reason::TooDeep);
    assert_eq!(refused(&usual(), &r#"{"a":"#.repeat(1_000_000)), Reason::TooDeep);
    // Nesting, not the number of containers.
    assert_eq!(shown(&everything(), &format!("[{}0]", "[],".repeat(1000))).len(), 3003);
}

#[test]
fn every_cut_is_refused() {
    let input = r#"{"data":[{"id_number":"110101199001011234","name":"\u5f20\ud842\udfb7","n":[-1.5e7,true,null]}],"z":{}}"#;
    for end in 0..input.len() {
        let reason = refused(&everything(), &input[..end]);
        assert!(matches!(reason, Reason::Cut | Reason::Empty | Reason::LoneSurrogate), "{end}: {reason:?}");
    }
}

#[test]
fn parse_keeps_what_it_reads() {
    let value = parse(r#" {"id_number":"110101199001011234","n":12345678901234567890123} "#.as_bytes()).unwrap();
    assert_eq!(value.to_string(), r#"{"id_number":"110101199001011234","n":12345678901234567890123}"#);
    assert_eq!(parse(br#"{"a":1,"\u0061":2}"#).unwrap_err().reason, Reason::DuplicateName);
}
