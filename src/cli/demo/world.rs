//! The demo's control folder: a copy of the repository's `policies/`, carried inside the binary, pointed at the demo's
//! own departmental APIs; and the pages of it that the story rewrites.

use jiff::ToSpan;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::Trouble;
use super::folder::Folder;
use super::origins::Origins;
use crate::sys;

/// The files of `policies/` by name; a test holds this list against the folder. `tests/calendar.toml` stays there: its cases
/// are about a calendar that the story rewrites.
macro_rules! files {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../../../policies/", $name)))),*] };
}

static FILES: &[(&str, &str)] = files![
    "README.md",
    "base.cedar",
    "calendar.toml",
    "catalogue/mca.divisions.toml",
    "catalogue/mca.elderly.toml",
    "catalogue/mca.marriage.toml",
    "catalogue/psb.population.toml",
    "catalogue/stats.survey.toml",
    "catalogue/tax.enterprise.toml",
    "departments.toml",
    "flood.cedar",
    "grades.toml",
    "grants/2026.toml",
    "housing.cedar",
    "invariants/core.cedar",
    "invariants/grade4.cedar",
    "invariants/grant.cedar",
    "invariants/worktime.cedar",
    "regions.toml",
    "requesters.toml",
    "scenarios/flood.toml",
    "scenarios/housing.toml",
    "scenarios/macro-control.toml",
    "scenarios/patrol.toml",
    "schema.cedarschema",
    "tests/flood.toml",
    "tests/housing.toml",
    "tests/macro-control.toml",
    "tests/patrol.toml",
];

const CALENDAR: &str = "policies/calendar.toml";
const FLOOD: &str = "policies/scenarios/flood.toml";

/// Copies the control folder; the flood scenario comes without its emergency order.
pub(super) fn write(folder: &Folder, origins: &Origins) -> Result<(), Trouble> {
    let soon = today().saturating_add(30.days());
    for (name, text) in FILES {
        let text = if name.starts_with("catalogue/") { point_at(text, origins) } else { still_valid(text, soon) };
        folder.write(&format!("policies/{name}"), &text)?;
    }
    emergency(folder, None)
}

/// What the work calendar is made to say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hours {
    /// It is working time, whatever the real hour.
    Now,
    /// It is not.
    NotNow,
}

/// Rewrites `calendar.toml`, and returns the line that matters.
pub(super) fn calendar(folder: &Folder, hours: Hours) -> Result<String, Trouble> {
    let line = hours_line(hours, local().time());
    folder.write(
        CALENDAR,
        &format!("# Rewritten by `kanhe demo`.\n{line}\nweekdays = [1, 2, 3, 4, 5, 6, 7]\nholidays = []\nmake_up_days = []\n"),
    )?;
    Ok(line)
}

fn hours_line(hours: Hours, now: Time) -> String {
    let hours = match hours {
        Hours::Now => "00:00-24:00",
        Hours::NotNow if now.hour() < 12 => "14:00-18:00",
        Hours::NotNow => "08:00-10:00",
    };
    format!(r#"hours = ["{hours}"]"#)
}

/// How far the emergency of the flood is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Ordered an hour ago, for two days.
    InForce,
    /// Ordered two days ago, lifted an hour ago.
    Lifted,
}

/// Writes the emergency order into the flood scenario, or takes it out; returns what it wrote.
pub(super) fn emergency(folder: &Folder, order: Option<Order>) -> Result<(), Trouble> {
    let without = without_table(&folder.read(FLOOD)?, "[emergency]");
    let text = order.map_or_else(String::new, order_text);
    folder.write(FLOOD, &format!("{}{text}", without.trim_end().to_owned() + "\n"))
}

/// The table as it stands in the file.
pub(super) fn order_text(order: Order) -> String {
    let (from, until) = match order {
        Order::InForce => (-1, 48),
        Order::Lifted => (-48, -1),
    };
    let moment = |hours: i64| local().saturating_add(hours.hours()).strftime("%Y-%m-%dT%H:00:00%:z").to_string();
    format!("[emergency]\norder = \"示例防汛令〔2026〕1号\"\nfrom = \"{}\"\nuntil = \"{}\"\n", moment(from), moment(until))
}

fn local() -> jiff::ZonedDateTime {
    let zone = TimeZone::get("Asia/Shanghai").unwrap_or(TimeZone::UTC);
    sys::now().to_zoned_datetime(zone)
}

fn today() -> Date {
    local().date()
}

/// The catalogue file with its origin on the port where the demo plays its provider.
fn point_at(text: &str, origins: &Origins) -> String {
    let provider = text.lines().find_map(|line| value(line, "provider")).unwrap_or_default();
    let Some(port) = origins.port(provider) else { return text.to_owned() };
    map_lines(text, |line| value(line, "url").map(|_| format!(r#"url = "http://127.0.0.1:{port}""#)))
}

/// A term that has run out since these files were written is made to last, so that the story can still be told.
fn still_valid(text: &str, soon: Date) -> String {
    let later = soon.saturating_add(1.year());
    map_lines(text, |line| {
        let date: Date = value(line, "valid_until")?.parse().ok()?;
        (date < soon).then(|| format!(r#"valid_until = "{later}""#))
    })
}

fn map_lines(text: &str, change: impl Fn(&str) -> Option<String>) -> String {
    text.lines().map(|line| change(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

/// The text of `key = "text"`.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.trim_start().strip_prefix('=')?.trim().strip_prefix('"')?.split('"').next()
}

/// The file without one table, up to the next header.
fn without_table(text: &str, header: &str) -> String {
    let mut inside = false;
    let kept = text.lines().filter(|line| {
        if line.starts_with('[') {
            inside = line.trim_end() == header;
        }
        !inside
    });
    kept.map(|line| line.to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn names(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names(&path, root, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn no_file_of_the_control_folder_is_forgotten() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let mut there = BTreeSet::new();
        names(&root, &root, &mut there);
        assert!(there.remove("tests/calendar.toml"));
        let carried: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(carried, there);
    }

    #[test]
    fn an_order_is_taken_out_and_nothing_else() {
        let text = "id = \"flood\"\n[emergency]\norder = \"x\"\n[other]\na = 1\n";
        assert_eq!(without_table(text, "[emergency]"), "id = \"flood\"\n[other]\na = 1\n");
    }

    #[test]
    fn outside_working_time_is_outside_at_any_hour() {
        for hour in 0..24 {
            let line = hours_line(Hours::NotNow, Time::constant(hour, 59, 59, 0));
            let hours = value(&line.replace(['[', ']'], ""), "hours").unwrap().to_owned();
            let (from, until) = hours.split_once('-').unwrap();
            let within = |text: &str| text[..2].parse::<i8>().unwrap();
            assert!(hour + 1 < within(from) || hour >= within(until), "{hour}: {hours}");
        }
    }

    #[test]
    fn only_terms_that_ran_out_are_prolonged() {
        let text = "valid_from = \"2020-01-01\"\nvalid_until = \"2020-12-31\"\nstatus = \"active\"\n";
        let soon = Date::constant(2026, 1, 1);
        assert_eq!(still_valid(text, soon), text.replace("2020-12-31", "2027-01-01"));
        assert_eq!(still_valid(text, Date::constant(2020, 1, 1)), text);
    }
}
