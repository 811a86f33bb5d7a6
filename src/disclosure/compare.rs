//! Verifying a claim (核验): claimed values held against the records of an origin's answer. The outcome is one truth
//! value, and the work does not depend on it: every record is compared in every item.

use std::sync::Arc;

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::{Error, JsonPath, Regions, json};

/// What a `verify` operation compares, as the catalogue declares it.
#[derive(Debug, Default)]
pub struct Comparison {
    /// What one record of the origin's answer is.
    pub records: JsonPath,
    /// The compared items.
    pub items: Vec<Compared>,
    /// Where a record carries its region, as seen from it; none: records are not filtered.
    pub region: Option<Vec<JsonPath>>,
}

/// A compared item.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Its name, also that of the member which claims its value.
    pub name: Arc<str>,
    /// Where it stands, as seen from a record.
    pub paths: Vec<JsonPath>,
}

/// The values that a caller claims, ready to be compared.
pub struct Claim {
    comparison: Arc<Comparison>,
    /// One for each compared item, normalised.
    values: Vec<String>,
}

impl Claim {
    /// A claim of one value for each item of `comparison`, in its order.
    pub fn new(comparison: &Arc<Comparison>, value: impl Fn(&str) -> String) -> Self {
        let values = comparison.items.iter().map(|item| normal(&value(&item.name))).collect();
        Self { comparison: comparison.clone(), values }
    }

    /// The names of the compared items.
    pub fn items(&self) -> impl Iterator<Item = &Arc<str>> {
        self.comparison.items.iter().map(|item| &item.name)
    }

    /// Whether one record of the answer equals every claimed value. Records of regions that are not included are passed
    /// over, all where `regions` is needed and not there; more than `most` others are refused.
    pub fn matches(&self, answer: &Value, most: u64, mut regions: Option<&mut (dyn Regions + '_)>) -> Result<bool, Error> {
        let (mut found, mut records) = (false, 0);
        for record in self.comparison.records.select(answer) {
            let equal = self.equals(record);
            if self.is_included(record, regions.as_deref_mut())? {
                records += 1;
                found |= equal;
            }
        }
        if records > most {
            return Err(json::Error { at: 0, reason: json::Reason::TooManyRecords }.into());
        }
        Ok(found)
    }

    fn is_included(&self, record: &Value, regions: Option<&mut (dyn Regions + '_)>) -> Result<bool, Error> {
        let Some(paths) = &self.comparison.region else { return Ok(true) };
        let Some(regions) = regions else { return Ok(false) };
        let codes: Vec<&Value> = paths.iter().flat_map(|path| path.select(record)).collect();
        for code in &codes {
            let included = code.as_str().map_or(Ok(false), |code| regions.include(code))?;
            if !included {
                return Ok(false);
            }
        }
        Ok(!codes.is_empty())
    }

    fn equals(&self, record: &Value) -> bool {
        let pairs = self.comparison.items.iter().zip(&self.values);
        pairs.fold(true, |all, (item, claimed)| {
            let values = item.paths.iter().flat_map(|path| path.select(record));
            all & values.fold(false, |any, value| any | text(value).is_some_and(|text| normal(&text) == *claimed))
        })
    }
}

/// Holds what a person claims: nothing of it is ever printed.
impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").finish_non_exhaustive()
    }
}

/// The text of a value that can be compared: strings, numbers as they are written, `true` and `false`.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A value as it is compared: without white space, letters in lower case, full-width, half-width and other compatible
/// characters as one (Unicode NFKC).
pub fn normal(text: &str) -> String {
    text.nfkc().filter(|character| !character.is_whitespace()).flat_map(char::to_lowercase).nfkc().collect()
}

/// Whom a value is about, for counting claims: its letters and digits alone, without accents. What a department's
/// database may take for the same value counts as the same, so that nobody goes on trying under another spelling.
pub fn about(text: &str) -> String {
    let plain = text.nfkd().filter(|character| character.is_alphabetic() || character.is_ascii_digit());
    plain.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(records: &str, items: &[(&str, &str, &str)]) -> Claim {
        let records = if records.is_empty() { JsonPath::root() } else { JsonPath::parse(records).unwrap() };
        let compared = |(name, path, _): &(&str, &str, &str)| Compared {
            name: (*name).into(),
            paths: vec![JsonPath::parse(path).unwrap().within(&records).unwrap()],
        };
        let compared = items.iter().map(compared).collect();
        let value = |name: &str| items.iter().find(|(known, ..)| *known == name).unwrap().2.to_owned();
        Claim::new(&Arc::new(Comparison { records, items: compared, region: None }), value)
    }

    #[test]
    fn one_record_must_equal_every_value() {
        let answer = json!({"data": [{"name": "甲", "status": "married"}, {"name": "乙", "status": "single"}]});
        let ask = |name, status| {
            let claim = claim("$.data[*]", &[("name", "$.data[*].name", name), ("status", "$.data[*].status", status)]);
            claim.matches(&answer, 10, None).unwrap()
        };
        assert!(ask("甲", "married") && ask("乙", "single"));
        assert!(!ask("甲", "single"), "two records do not make one");
        assert!(!ask("丙", "married"));
        assert!(
            !claim("$.data[*]", &[("status", "$.data[*].status", "x")]).matches(&json!({}), 10, None).unwrap(),
            "no record is no match"
        );
    }

    #[test]
    fn other_spellings_are_about_the_same_person() {
        for spelt in ["11010119900307123x", "11010119900307123X", " 110101 1990-0307-123ｘ", "1101011990\u{200b}0307123x\u{feff}"] {
            assert_eq!(about(spelt), "11010119900307123x");
        }
        // Digits of other scripts are left out, which counts more as one, never less.
        assert_eq!(about("\u{661}x"), "x");
        assert_eq!(about("José  Ｍüller"), "josemuller");
        assert_ne!(about("张三"), about("张四"));
    }

    #[test]
    fn case_width_and_spaces_do_not_matter_and_nothing_else_is_equal() {
        for (claimed, found) in [
            ("11010119900307123x", "11010119900307123X"),
            ("１２３", "123"),
            ("张 三", "张三"),
            (" 张\u{3000}三\t", "张三"),
            ("ＡＢＣ", "abc"),
            ("ｶﾞ", "ガ"),
            ("é", "e\u{301}"),
        ] {
            assert_eq!(normal(claimed), normal(found), "{claimed} {found}");
        }
        for (claimed, found) in [("1", "1.0"), ("张三", "张三丰"), ("", "0"), ("a-b", "ab"), ("𠮷田", "吉田")] {
            assert_ne!(normal(claimed), normal(found), "{claimed} {found}");
        }
    }

    #[test]
    fn numbers_and_truth_values_compare_by_their_text_and_null_never() {
        let ask = |value: Value, claimed: &str| claim("", &[("a", "$.a", claimed)]).matches(&json!({ "a": value }), 1, None).unwrap();
        assert!(ask(json!(5), "5") && ask(json!(true), "TRUE") && ask(serde_json::from_str("1.50").unwrap(), "1.50"));
        for value in [json!(null), json!([]), json!(["null"]), json!({})] {
            assert!(!ask(value, "null"));
        }
        let several = claim("", &[("a", "$.a[*]", "2")]);
        assert!(several.matches(&json!({"a": [1, 2]}), 1, None).unwrap(), "any value of the item will do");
    }

    #[test]
    fn more_records_than_allowed_are_refused() {
        let ask = claim("$[*]", &[("a", "$[*].a", "1")]);
        assert!(ask.matches(&json!([{"a": 1}, {"a": 2}]), 2, None).unwrap());
        let refused = ask.matches(&json!([{}, {}, {}]), 2, None).unwrap_err();
        assert!(matches!(refused, Error::Json(json::Error { reason: json::Reason::TooManyRecords, .. })), "{refused:?}");
    }

    /// Includes one region, and fails on another.
    struct One;

    impl Regions for One {
        fn include(&mut self, code: &str) -> Result<bool, Error> {
            if code == "err" { Err(Error::Undecided) } else { Ok(code == "990102") }
        }
    }

    #[test]
    fn records_of_other_regions_are_passed_over() {
        let compared = Compared { name: "a".into(), paths: vec![JsonPath::parse("$.a").unwrap()] };
        let region = ["$.r", "$.s"].map(|path| JsonPath::parse(path).unwrap()).to_vec();
        let records = JsonPath::parse("$[*]").unwrap();
        let ask = Claim::new(&Arc::new(Comparison { records, items: vec![compared], region: Some(region) }), |_| "1".to_owned());
        let found = |answer: Value| ask.matches(&answer, 1, Some(&mut One));
        assert!(found(json!([{"a": 1, "r": "990102"}])).unwrap());
        assert!(found(json!([{"a": 1, "r": "990102"}, {"a": 1, "r": "990101"}, {"a": 1}])).unwrap(), "only what is included counts");
        for region in [json!("990101"), json!(990102), json!(null), json!(["990102"])] {
            assert!(!found(json!([{"a": 1, "r": region}])).unwrap(), "{region}");
        }
        assert!(!found(json!([{"a": 1, "r": "990102", "s": "990101"}])).unwrap(), "every region of a record counts");
        assert_eq!(found(json!([{"a": 1, "r": "err"}])).unwrap_err(), Error::Undecided);
        assert!(!ask.matches(&json!([{"a": 1, "r": "990102"}]), 1, None).unwrap());
    }

    #[test]
    fn a_claim_is_not_printed() {
        assert_eq!(format!("{:?}", claim("", &[("a", "$.a", "secret")])), "Claim { .. }");
    }
}
