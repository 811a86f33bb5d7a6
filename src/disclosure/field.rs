//! The value of `Share-Disclosure` (RFC 9651 Dictionary): which items are shown in which form, and which forbid
//! refused a wider one. It states the plan; the settled entry states the outcome.

use std::fmt::Write as _;

use super::{Form, Plan, PlannedItem};

/// Above this many bytes the forms are counted instead of named.
const NAMED: usize = 4096;

/// The field's value for a plan.
pub(super) fn value(plan: &Plan) -> String {
    let named = dictionary(plan, |items| {
        let tokens: Vec<_> = items.iter().map(|item| token(item)).collect();
        format!("({})", tokens.join(" "))
    });
    if named.len() <= NAMED { named } else { dictionary(plan, |items| items.len().to_string()) }
}

fn dictionary(plan: &Plan, list: impl Fn(&[&PlannedItem]) -> String) -> String {
    let shown = Form::SHOWN.map(|form| (form.name(), Some(form)));
    let members = shown.into_iter().chain([("omit", None)]).filter_map(|(key, form)| {
        let mut items: Vec<_> = plan.items.iter().filter(|item| item.form.filter(|form| *form != Form::Compare) == form).collect();
        items.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        (!items.is_empty()).then(|| format!("{key}={}", list(&items)))
    });
    members.collect::<Vec<_>>().join(", ")
}

/// An item's name, which is a Token by the catalogue's rule for names.
fn token(item: &PlannedItem) -> String {
    match &item.narrowed_by {
        Some(policy) => format!("{};by={}", item.name, string(policy)),
        None => item.name.to_string(),
    }
}

/// A String, or where a policy's id is not ASCII a Display String.
fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    let plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    out.push_str(if plain { "\"" } else { "%\"" });
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' if plain => out.extend(['\\', char::from(byte)]),
            b'"' | b'%' | ..0x20 | 0x7f.. if !plain => {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02x}");
            }
            _ => out.push(char::from(byte)),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use sfv::Parser;
    use sfv::visitor::Ignored;

    use super::super::{ContentKind, JsonPath};
    use super::*;

    fn plan(items: &[(&str, Option<Form>, Option<&str>)]) -> Plan {
        let items = items.iter().map(|(name, form, by)| PlannedItem {
            name: (*name).into(),
            paths: Vec::new(),
            form: *form,
            preset: None,
            joinable: false,
            likeness: None,
            narrowed_by: by.map(Into::into),
        });
        Plan { items: items.collect(), content: ContentKind::Json, records: JsonPath::root(), max_records: 1, region: None }
    }

    #[test]
    fn forms_stand_in_their_order_and_items_sorted() {
        let plan = plan(&[
            ("telephone", None, None),
            ("status", Some(Form::Reveal), None),
            ("id_number", Some(Form::Mask), Some("population-number-in-full")),
            ("Age", Some(Form::Reveal), None),
            ("code", Some(Form::Pseudonymise), None),
        ]);
        assert_eq!(
            plan.field(),
            r#"reveal=(Age status), mask=(id_number;by="population-number-in-full"), pseudonymise=(code), omit=(telephone)"#
        );
    }

    #[test]
    fn empty_forms_are_left_out() {
        assert_eq!(plan(&[("*", Some(Form::Reveal), None)]).field(), "reveal=(*)");
        assert_eq!(plan(&[("a", None, Some("no \"a\""))]).field(), r#"omit=(a;by="no \"a\"")"#);
        assert_eq!(plan(&[]).field(), "");
    }

    #[test]
    fn a_compared_item_is_not_shown() {
        assert_eq!(plan(&[("a", Some(Form::Compare), None)]).field(), "omit=(a)");
    }

    #[test]
    fn a_policy_id_in_chinese_is_a_display_string() {
        let field = plan(&[("a", Some(Form::Mask), Some("禁止 100%"))]).field();
        assert_eq!(field, r#"mask=(a;by=%"%e7%a6%81%e6%ad%a2 100%25")"#);
        reads_back(&field);
    }

    #[test]
    fn over_4_kib_forms_are_counted() {
        let names: Vec<_> = (0..500).map(|number| format!("item_{number:03}")).collect();
        let items: Vec<_> =
            names.iter().enumerate().map(|(at, name)| (name.as_str(), if at < 499 { Some(Form::Reveal) } else { None }, None)).collect();
        assert_eq!(plan(&items).field(), "reveal=499, omit=1");
        assert!(plan(&items[..400]).field().starts_with("reveal=(item_000 item_001 "));
    }

    /// A parser of other people's making finds it well formed.
    fn reads_back(field: &str) {
        Parser::new(field).parse_dictionary_with_visitor(Ignored).unwrap();
    }

    #[test]
    fn it_reads_back_as_a_dictionary() {
        let field = plan(&[("a", Some(Form::Mask), Some("p\\q\"")), ("b.c-d_e", Some(Form::Mask), Some("p")), ("*", None, None)]).field();
        assert_eq!(field, r#"mask=(a;by="p\\q\"" b.c-d_e;by="p"), omit=(*)"#);
        reads_back(&field);
    }
}
