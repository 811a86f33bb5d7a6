//! The short way and the TOML library give the same tree, wherever the short way gives one.

use proptest::prelude::*;
use toml::de::DeTable;

use super::plain;
use super::tree::Members;

/// Whether the text was plain; where it was, the library gives the same tree and finds nothing wrong.
fn is_plain(text: &str) -> bool {
    let Some(found) = plain::read(text) else { return false };
    let (root, errors) = DeTable::parse_recoverable(text);
    assert!(errors.is_empty(), "{text:?}: {errors:?}");
    assert_eq!(found, Members::from(root.into_inner()), "{text:?}");
    true
}

#[test]
fn registers_as_they_are_written_are_plain() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let (mut folders, mut seen) = (vec![folder], 0);
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                assert!(is_plain(&std::fs::read_to_string(&path).unwrap()), "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 10);
}

#[test]
fn what_is_plain_is_read_as_the_library_reads_it() {
    for text in [
        "",
        "\n \t\r\n# 注释 \t\n#",
        "a = \"\"\nb-1_ = \"值 # ] }\" # c\r\n\"c#d e\" = true\n1 = 0\n\"\" = -12\nd = -0",
        "a = [ # c\n 1,\n\t\"b\" , # d\n]\nb = [[], [{}, { c = [1], \"d\" = {e = false} }]]",
        "z = 1\na = 2\n[t]\nz = 1\nb = 2\n[t.u]\n[ t . v ] # c\n[[l]]\nx = 1\n[[l.m]]\ny = 1\n[l.n]\n[[l]]\n[[l.m]]\n[[l.m]]\ny = 2\n",
        "[[a]]\n[a.b]\n[[a]]\n[a.b]",
    ] {
        assert!(is_plain(text), "{text:?}");
    }
}

#[test]
fn what_is_wrong_or_written_otherwise_is_left_to_the_library() {
    for text in [
        "a = 1\na = 2",
        "a = { b = 1, b = 2 }",
        "a = { b = 1, }",
        "a = {\n}",
        "[a]\n[a]",
        "a = 1\n[a]",
        "a = []\n[[a]]",
        "a = {}\n[a.b]",
        "[a.b]\n[a]",
        "[a]\nb = 1\n[a.b]",
        "[a]\n[[a]]",
        "[[a]]\n[a]",
        "[[a]]\nb = 1\n[[a.b]]",
        "a.b = 1",
        "a = \"\"\"x\"\"\"",
        "a = '''x'''",
        "a = 'x'",
        "a = \"\\n\"",
        "a = \"\u{1}\"",
        "a = \"x\ny\"",
        "a = 01",
        "a = +1",
        "a = 1_000",
        "a = 0x10",
        "a = 1.5",
        "a = 1e5",
        "a = 9223372036854775807",
        "a = 2026-01-01",
        "a = 07:30:00",
        "a = 2026-01-01 07:30:00",
        "a = inf",
        "a = truely",
        "a = true b = 1",
        "a = 1\rb = 2",
        "# \u{7f}",
        "a = [1 2]",
        "a = [1,,2]",
        "a = [,]",
        "a = [1",
        "a = {",
        "a",
        "a =",
        "= 1",
        "é = 1",
        "[a",
        "[[a]",
        "[]",
        "[a] b = 1",
        "[\"a\"]",
        "\u{feff}a = 1",
    ] {
        assert!(plain::read(text).is_none(), "{text:?}");
    }
    let deep = |depth: usize| format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(is_plain(&deep(16)) && !is_plain(&deep(17)));
    let wide: String = (0..100).map(|n| format!("k{n} = {n}\n")).collect();
    assert!(is_plain(&wide) && !is_plain(&format!("{wide}[t]\n")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_read_otherwise_than_by_the_library(pieces in proptest::collection::vec(piece(), 0..24)) {
        is_plain(&pieces.concat());
    }

    #[test]
    fn no_line_is_read_otherwise_than_by_the_library(lines in proptest::collection::vec(line(), 0..12)) {
        is_plain(&lines.join("\n"));
    }
}

fn piece() -> impl Strategy<Value = String> {
    let known = [
        "a",
        "b",
        "\"a\"",
        "\"b c\"",
        "=",
        " = ",
        "1",
        "-0",
        "12",
        "0",
        "true",
        "false",
        "\"\"",
        "\"值\"",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        ",",
        ".",
        "\n",
        "\r\n",
        "\r",
        " ",
        "\t",
        "#",
        "# x\n",
        "'",
        "\\",
        "\"",
        "+",
        "-",
        "_",
        ":",
        "2026-01-01",
        "1.0",
        "\u{0}",
        "é",
    ];
    prop_oneof![12 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
}

/// Lines that are mostly right, so that tables, their headers and what stands twice meet often.
fn line() -> impl Strategy<Value = String> {
    let key = || proptest::sample::select(vec!["a", "b", "c", "\"a\"", "\"d e\""]);
    let value = prop_oneof![Just("1".to_owned()), Just("\"x\"".to_owned()), Just("true".to_owned()), Just("-7".to_owned())];
    let value = value.prop_recursive(3, 12, 3, move |inner| {
        let pair = (key(), inner.clone()).prop_map(|(key, value)| format!("{key} = {value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..3).prop_map(|all| format!("[{}]", all.join(",\n  "))),
            proptest::collection::vec(pair, 0..3).prop_map(|all| format!("{{ {} }}", all.join(", "))),
        ]
    });
    let name = || proptest::collection::vec(proptest::sample::select(vec!["a", "b", "t"]), 1..4).prop_map(|names| names.join("."));
    prop_oneof![
        4 => (key(), value).prop_map(|(key, value)| format!("{key} = {value}")),
        2 => name().prop_map(|name| format!("[{name}]")),
        3 => name().prop_map(|name| format!("[[{name}]] # c")),
        1 => Just("  # c".to_owned()),
    ]
}
