//! Rewriting JSON: processor time and speed at several sizes, with none, a tenth and all of the items changed, beside
//! serde_json parsing, changing and printing the same answer, and jq. One line a case:
//! `cargo bench --bench disclosure [-- BYTES …]`. A size above 1 GiB is rewritten piece by piece without being held, to
//! see that memory stays flat: `cargo bench --bench disclosure -- 10737418240`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement stops at the first surprise, and is no part of what keeps the clock in one place"
)]

use std::hint::black_box;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kanhe::disclosure::{Compiled, ContentKind, Form, JsonPath, Plan, PlannedItem, Preset, PseudonymKey, Pseudonyms};
use serde_json::Value;

const SIZES: [usize; 4] = [250, 10 << 10, 1 << 20, 100 << 20];
/// About as much is rewritten for each case.
const EACH: usize = 128 << 20;
/// From here on an answer is not made whole.
const LARGE: usize = 1 << 30;
/// What the network hands over at once.
const PIECE: usize = 64 << 10;

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

fn record(number: usize) -> String {
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

/// An answer of about this size.
fn answer(bytes: usize) -> String {
    let mut answer = String::from(r#"{"data":["#);
    for number in 0.. {
        answer.push_str(&record(number));
        if answer.len() + 2 >= bytes {
            break;
        }
        answer.push(',');
    }
    answer + "]}"
}

fn plan(changed: usize) -> Plan {
    let items = ITEMS.iter().enumerate().map(|(at, (name, preset))| PlannedItem {
        name: (*name).into(),
        paths: vec![JsonPath::parse(&format!("$.data[*].{name}")).unwrap()],
        form: Some(if at < changed { Form::Mask } else { Form::Reveal }),
        preset: Preset::parse(preset).ok(),
        joinable: false,
        narrowed_by: None,
    });
    let records = JsonPath::parse("$.data[*]").unwrap();
    Plan { items: items.collect(), content: ContentKind::Json, records, max_records: u64::MAX, region: None }
}

/// Processor time of this process, its children aside.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // Ticks of a hundredth of a second, user and system.
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn rewrite(plan: &Arc<Compiled>, pseudonyms: &Pseudonyms, answer: &[u8]) {
    let (mut stream, mut out) = (plan.stream(pseudonyms, None, 4 << 20), Vec::new());
    for piece in answer.chunks(PIECE) {
        out.clear();
        stream.push(piece, &mut out).unwrap();
        black_box(&out);
    }
    stream.finish(&mut out).unwrap();
}

/// What a gateway does that holds the whole answer as values.
fn parse_change_print(presets: &[(&str, Preset)], answer: &[u8]) {
    let mut value: Value = serde_json::from_slice(answer).unwrap();
    for record in value["data"].as_array_mut().unwrap() {
        for (name, preset) in presets {
            let member = &mut record[*name];
            let text = member.as_str().map_or_else(|| member.to_string(), str::to_owned);
            *member = preset.apply(&text).map_or(Value::Null, Value::String);
        }
    }
    black_box(serde_json::to_vec(&value).unwrap());
}

/// How long one of these takes.
fn time(rounds: usize, mut each: impl FnMut()) -> Duration {
    each();
    let before = processor_time();
    for _ in 0..rounds {
        each();
    }
    (processor_time() - before) / u32::try_from(rounds).unwrap()
}

fn jq(answer: &[u8]) -> Option<Duration> {
    let before = children();
    let mut jq = Command::new("jq").args(["-c", "."]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().ok()?;
    jq.stdin.take()?.write_all(answer).ok()?;
    jq.wait().ok()?;
    Some(children() - before)
}

/// Processor time of children that have ended.
fn children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[13].parse::<u64>().unwrap() + fields[14].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn speed(bytes: usize, took: Duration) -> String {
    format!("{took:>12.2?} {:>7.0} MB/s", bytes as f64 / took.as_secs_f64().max(1e-9) / 1e6)
}

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if asked.is_empty() { SIZES.to_vec() } else { asked };
    let pseudonyms = PseudonymKey::new(&[7; 32]).scope("housing", "housing");
    for size in sizes {
        if size >= LARGE {
            large(size, &pseudonyms);
            continue;
        }
        let answer = answer(size);
        let rounds = (EACH / answer.len()).max(2);
        for changed in [0, 1, 10] {
            let plan = plan(changed);
            let compiled = Arc::new(Compiled::new(&plan));
            let presets: Vec<_> = ITEMS[..changed].iter().map(|(name, preset)| (*name, Preset::parse(preset).unwrap())).collect();
            let ours = time(rounds, || rewrite(&compiled, &pseudonyms, answer.as_bytes()));
            let theirs = time((rounds / 4).max(1), || parse_change_print(&presets, answer.as_bytes()));
            let ratio = theirs.as_secs_f64() / ours.as_secs_f64().max(1e-9);
            let (ours, theirs) = (speed(answer.len(), ours), speed(answer.len(), theirs));
            println!("{:>10} bytes, {:>3} % changed: {ours}; serde_json {theirs}; {ratio:.1} times", answer.len(), changed * 10);
        }
        if let Some(took) = jq(answer.as_bytes()).filter(|_| size >= 1 << 20) {
            println!("{:>10} bytes, jq -c .: {}", answer.len(), speed(answer.len(), took));
        }
    }
}

/// An answer that is never whole.
fn large(size: usize, pseudonyms: &Pseudonyms) {
    let plan = Arc::new(Compiled::new(&plan(1)));
    let (mut stream, mut out, mut sent) = (plan.stream(pseudonyms, None, 4 << 20), Vec::new(), 0);
    stream.push(br#"{"data":["#, &mut out).unwrap();
    let piece = (0..200).map(record).collect::<Vec<_>>().join(",");
    let before = processor_time();
    while sent < size {
        out.clear();
        if sent > 0 {
            stream.push(b",", &mut out).unwrap();
        }
        stream.push(piece.as_bytes(), &mut out).unwrap();
        sent += piece.len() + 1;
    }
    stream.push(b"]}", &mut out).unwrap();
    let records = stream.finish(&mut out).unwrap().records;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim();
    println!("{sent:>10} bytes, {records} records: {}; peak resident size {peak}", speed(sent, processor_time() - before));
}
