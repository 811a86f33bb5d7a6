//! What is rewritten: answers of ten items a record, and plans that change some of them.

use kanhe::disclosure::{ContentKind, Form, JsonPath, Plan, PlannedItem, Preset};

/// Items and the presets that change them.
const ITEMS: [(&str, &str); 10] = [
    ("id_number", "id_number"),
    ("name", "name"),
    ("status", "keep:1,1"),
    ("registered_on", "year"),
    ("region_code", "district"),
    ("address", "address"),
    ("telephone", "mobile"),
    ("age", "keep:0,1"),
    ("amount", "keep:0,1"),
    ("active", "fixed:x"),
];

pub fn record(number: usize) -> String {
    format!(
        concat!(
            r#"{{"id_number":"99010219900307{:04}","name":"张三丰","status":"married","registered_on":"2015-06-18","#,
            r#""region_code":"990102","address":"甲市东区一号","telephone":"138{:08}","age":{},"amount":{}.50,"active":true}}"#
        ),
        number % 10_000,
        number % 100_000_000,
        number % 90,
        number
    )
}

/// An answer of about this size: of one record at least.
pub fn answer(bytes: usize) -> String {
    let mut answer = format!(r#"{{"data":[{}"#, record(0));
    for number in 1.. {
        let record = record(number);
        if answer.len() + record.len() + 3 > bytes {
            break;
        }
        answer.push(',');
        answer.push_str(&record);
    }
    answer + "]}"
}

pub fn plan(changed: usize) -> Plan {
    let items = ITEMS.iter().enumerate().map(|(at, (name, preset))| PlannedItem {
        name: (*name).into(),
        paths: vec![JsonPath::parse(&format!("$.data[*].{name}")).unwrap()],
        form: Some(if at < changed { Form::Mask } else { Form::Reveal }),
        preset: Preset::parse(preset).ok(),
        joinable: false,
        likeness: None,
        narrowed_by: None,
    });
    let records = JsonPath::parse("$.data[*]").unwrap();
    Plan { items: items.collect(), content: ContentKind::Json, records, max_records: u64::MAX, region: None }
}

/// The presets of the items that are changed.
pub fn presets(changed: usize) -> Vec<(&'static str, Preset)> {
    ITEMS[..changed].iter().map(|(name, preset)| (*name, Preset::parse(preset).unwrap())).collect()
}
