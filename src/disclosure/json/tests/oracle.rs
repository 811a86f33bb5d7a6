//! The rewriter beside a slow and obvious one over serde_json's values: both must give the same bytes and counts, or
//! both refuse.

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::super::super::path::Segment;
use super::super::super::{ContentKind, Form, JsonPath, PlannedItem, Preset};
use super::*;

/// A step of a concrete place: a member's name, or an element.
type Place = Vec<Option<String>>;

/// Whether a path's segments lead exactly to a place.
fn leads(segments: &[Segment], place: &[Option<String>]) -> bool {
    match (segments.split_first(), place.split_first()) {
        (None, None) => true,
        (Some((Segment::Name(name), rest)), Some((Some(step), below))) => name == step && leads(rest, below),
        (Some((Segment::Elements, rest)), Some((None, below))) => leads(rest, below),
        (Some((Segment::Descendant(name), rest)), Some((step, below))) => {
            (step.as_ref() == Some(name) && leads(rest, below)) || leads(segments, below)
        }
        _ => false,
    }
}

struct Oracle<'a> {
    plan: &'a Plan,
    outcome: Outcome,
}

impl Oracle<'_> {
    fn run(plan: &Plan, value: &Value) -> Option<(Value, Outcome)> {
        let mut oracle = Oracle { plan, outcome: Outcome::default() };
        oracle.records(value, &mut Vec::new());
        let shown = oracle.show(value, &mut Vec::new(), false);
        let goes = |object: bool| {
            let paths = plan.items.iter().flat_map(|item| &item.paths).chain([&plan.records]);
            paths.filter_map(|path| path.0.first()).any(|first| match first {
                Segment::Name(_) => object,
                Segment::Elements => !object,
                Segment::Descendant(_) => true,
            })
        };
        let shown = shown.or(match value {
            Value::Null => Some(Value::Null),
            Value::Object(_) if goes(true) => Some(Value::Object(Map::new())),
            Value::Array(_) if goes(false) => Some(Value::Array(Vec::new())),
            _ => None,
        });
        shown.filter(|_| oracle.outcome.records <= plan.max_records).map(|shown| (shown, oracle.outcome))
    }

    fn records(&mut self, value: &Value, place: &mut Place) {
        if leads(&self.plan.records.0, place) {
            self.outcome.records += 1;
        }
        for (step, child) in children(value) {
            place.push(step);
            self.records(child, place);
            place.pop();
        }
    }

    fn show(&mut self, value: &Value, place: &mut Place, copied: bool) -> Option<Value> {
        let plan = self.plan;
        let matching = plan.items.iter().filter(|item| item.paths.iter().any(|path| leads(&path.0, place)));
        let Some(item) = matching.reduce(|a, b| if rank(b) > rank(a) { b } else { a }) else {
            return self.around(value, place, copied);
        };
        let form = item.form.filter(|form| *form != Form::Compare)?;
        let text = match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let changed = match form {
            Form::Reveal => {
                self.count(item, form);
                return self.around(value, place, true);
            }
            Form::Mask | Form::Compare => text.and_then(|text| item.preset.as_ref()?.apply(&text)),
            Form::Pseudonymise => text.map(|text| pseudonyms().of(&text, item.joinable)),
        };
        if changed.is_some() || (item.preset == Some(Preset::Null) && form == Form::Mask && !value.is_null()) {
            self.count(item, form);
        } else if !value.is_null() {
            self.outcome.unfit += 1;
        }
        Some(changed.map_or(Value::Null, Value::String))
    }

    /// What stays of a value that is no item.
    fn around(&mut self, value: &Value, place: &mut Place, copied: bool) -> Option<Value> {
        let mut kept = Vec::new();
        for (step, child) in children(value) {
            place.push(step.clone());
            if let Some(child) = self.show(child, place, copied) {
                kept.push((step.unwrap_or_default(), child));
            }
            place.pop();
        }
        let object = value.is_object();
        let stays = copied || !kept.is_empty() || self.on_the_way(place, object);
        match value {
            Value::Object(_) => stays.then(|| Value::Object(kept.into_iter().collect())),
            Value::Array(_) => stays.then(|| Value::Array(kept.into_iter().map(|(_, child)| child).collect())),
            scalar => copied.then(|| scalar.clone()),
        }
    }

    /// Whether a shown item's path goes through this place by steps that it names.
    fn on_the_way(&self, place: &Place, object: bool) -> bool {
        let hidden = self.plan.items.iter().filter(|item| rank(item) == u8::MAX);
        let hidden: Vec<_> = hidden.flat_map(|item| &item.paths).collect();
        self.plan.items.iter().flat_map(|item| &item.paths).filter(|path| !hidden.contains(path)).any(|path| {
            (0..path.0.len()).any(|at| {
                let fits = match path.0[at] {
                    Segment::Name(_) => object,
                    Segment::Elements => !object,
                    Segment::Descendant(_) => true,
                };
                fits && leads(&path.0[..at], place)
            })
        })
    }

    fn count(&mut self, item: &PlannedItem, form: Form) {
        *self.outcome.items.entry(item.name.clone()).or_default().entry(form.name()).or_default() += 1;
    }
}

fn rank(item: &PlannedItem) -> u8 {
    item.form.filter(|form| *form != Form::Compare).map_or(u8::MAX, |form| form as u8)
}

fn children(value: &Value) -> Vec<(Option<String>, &Value)> {
    match value {
        Value::Object(members) => members.iter().map(|(name, member)| (Some(name.clone()), member)).collect(),
        Value::Array(elements) => elements.iter().map(|element| (None, element)).collect(),
        _ => Vec::new(),
    }
}

/// Whether both paths lead to one value of a document.
fn meet(a: &JsonPath, b: &JsonPath, value: &Value, place: &mut Place) -> bool {
    let here = leads(&a.0, place) && leads(&b.0, place);
    here || children(value).into_iter().any(|(step, child)| {
        place.push(step);
        let found = meet(a, b, child, place);
        place.pop();
        found
    })
}

/// Reads like serde_json and refuses a name that stands twice.
struct NoDuplicates;

impl<'de> Deserialize<'de> for NoDuplicates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NoDuplicates)
    }
}

impl<'de> Visitor<'de> for NoDuplicates {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("json")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self, A::Error> {
        while elements.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some((name, _)) = members.next_entry::<String, Self>()? {
            if !seen.insert(name) {
                return Err(serde::de::Error::custom("twice"));
            }
        }
        Ok(self)
    }
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "data", "姓名", "a\"b\n"]).prop_map(str::to_owned)
}

fn document() -> impl Strategy<Value = Value> {
    let number = prop::sample::select(vec!["0", "-1", "1.50", "13812345678", "1e-400", "123456789012345678901234567890"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number.prop_map(|number| serde_json::from_str(number).unwrap()),
        "[a-c张三𠮷\"\\\\\u{1}\u{7f}/]{0,4}".prop_map(Value::String),
        Just(Value::String("110101199001011234".to_owned())),
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

fn planned() -> impl Strategy<Value = Plan> {
    let presets = ["", "name", "null", "keep:1,1", "id_number", "fixed:x"];
    let item =
        (prop::collection::vec(path(), 1..3), prop::sample::select(FORMS.to_vec()), prop::sample::select(presets.to_vec()), any::<bool>());
    (prop::collection::vec(item, 1..5), path(), 0_u64..6).prop_map(|(items, records, max_records)| {
        let items = items.into_iter().enumerate().map(|(at, (paths, form, preset, joinable))| PlannedItem {
            name: format!("item{at}").into(),
            paths,
            form,
            preset: Preset::parse(preset).ok(),
            joinable,
            narrowed_by: None,
        });
        Plan { items: items.collect(), content: ContentKind::Json, records, max_records: max_records * max_records, region: None }
    })
}

fn leaves(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(_) | Value::Array(_) => children(value).into_iter().for_each(|(_, child)| leaves(child, into)),
        Value::Null => {}
        scalar => drop(into.insert(scalar.to_string())),
    }
}

/// Makes every scalar one of its kind, so that a value in an answer shows where it came from.
fn label(value: &mut Value, next: &mut u32) {
    match value {
        Value::Object(members) => members.values_mut().for_each(|member| label(member, next)),
        Value::Array(elements) => elements.iter_mut().for_each(|element| label(element, next)),
        scalar => {
            *next += 1;
            *scalar = Value::String(format!("canary{next}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn the_rewriter_does_what_the_obvious_one_does(plan in planned(), value in document(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let ours = rewrite(&plan, &pseudonyms(), text.as_bytes());
        match Oracle::run(&plan, &value) {
            Some((shown, outcome)) => {
                let ours = ours.unwrap_or_else(|error| panic!("{error}: {text}"));
                prop_assert_eq!(String::from_utf8(ours.bytes).unwrap(), serde_json::to_string(&shown).unwrap());
                prop_assert_eq!(ours.outcome, outcome);
            }
            None => prop_assert!(matches!(ours.unwrap_err().reason, Reason::Shape | Reason::TooManyRecords)),
        }
    }

    #[test]
    fn a_narrower_form_never_shows_more(mut plan in planned(), mut value in document(), at in 0usize..4, form in 0usize..5) {
        label(&mut value, &mut 0);
        plan.max_records = u64::MAX;
        let text = serde_json::to_string(&value).unwrap();
        let clear = |plan: &Plan| {
            let shown = rewrite(plan, &pseudonyms(), text.as_bytes()).ok()?;
            let mut found = BTreeSet::new();
            leaves(&serde_json::from_slice(&shown.bytes).unwrap(), &mut found);
            found.retain(|leaf| leaf.contains("canary"));
            Some(found)
        };
        let at = at % plan.items.len();
        let wider = clear(&plan);
        let before = FORMS.iter().position(|form| *form == plan.items[at].form).unwrap();
        plan.items[at].form = FORMS[before.max(form)];
        if let (Some(wider), Some(narrower)) = (wider, clear(&plan)) {
            prop_assert!(narrower.is_subset(&wider), "{:?} {:?}", narrower, wider);
        }
    }

    /// Changed texts are refused exactly where serde_json refuses them, or a name stands twice.
    #[test]
    fn the_reader_refuses_what_the_obvious_one_refuses(value in document(), cut in any::<prop::sample::Index>(), new in "[\\[\\]{}\":,0-9a\\\\eu. tn-]{0,3}", length in 0usize..3) {
        let text: Vec<char> = serde_json::to_string(&value).unwrap().chars().collect();
        let at = cut.index(text.len() + 1);
        let end = (at + length).min(text.len());
        let changed: String = text[..at].iter().copied().chain(new.chars()).chain(text[end..].iter().copied()).collect();
        let theirs = serde_json::from_str::<Value>(&changed).is_ok() && serde_json::from_str::<NoDuplicates>(&changed).is_ok();
        prop_assert_eq!(parse(changed.as_bytes()).is_ok(), theirs, "{}", changed);
        let everything = plan(vec![item("all", &["$"], Some(Form::Reveal), "")]);
        prop_assert_eq!(rewrite(&everything, &pseudonyms(), changed.as_bytes()).is_ok(), theirs, "{}", changed);
    }

    /// What the catalogue refuses is every pair of items that can meet on one value.
    #[test]
    fn paths_that_meet_on_a_value_overlap(a in path(), b in path(), value in document()) {
        if meet(&a, &b, &value, &mut Vec::new()) {
            prop_assert!(a.overlaps(&b) && a.contains(&b) && b.contains(&a), "{} {}", a, b);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), plan in planned()) {
        let _ = rewrite(&plan, &pseudonyms(), &bytes);
    }
}
