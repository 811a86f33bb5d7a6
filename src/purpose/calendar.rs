//! The work calendar: when offices work, for `context.work_time`.

use std::collections::BTreeSet;

use jiff::ZonedDateTime;
use jiff::civil::{Date, Time, Weekday};

use crate::lang::Text;
use crate::written::{Document, Problems, Table, units};

/// Working hours, weekdays, holidays and make-up days (调休上班日).
#[derive(Clone, Debug)]
pub struct Calendar {
    /// Working periods of a day: from, until (exclusive).
    pub hours: Vec<(Time, Time)>,
    /// ISO weekdays that are worked, 1 is Monday.
    pub weekdays: BTreeSet<i8>,
    /// Days off.
    pub holidays: BTreeSet<Date>,
    /// Days worked all the same; these win.
    pub make_up_days: BTreeSet<Date>,
}

impl Calendar {
    /// Reads `calendar.toml`.
    pub(super) fn load((file, text): (&str, &str), problems: &Problems) -> Self {
        let document = Document::parse(file, text, problems);
        let root = document.root(problems);
        if !root.has("hours") {
            root.missing("hours");
        }
        let mut hours = Vec::new();
        for written in root.strings("hours") {
            match period(&written.value) {
                Some(period) => hours.push(period),
                None => {
                    let message =
                        Text::new(format!("`{}` 不是工作时段", written.value), format!("`{}` is not a working period", written.value));
                    let help = Text::new("应写起止时间，例如 `09:00-12:00`", "write from and until, such as `09:00-12:00`");
                    problems.error(&written.place, "wrong_value", message, Some(help));
                }
            }
        }
        hours.sort_unstable();
        if !root.has("weekdays") {
            root.missing("weekdays");
        }
        let weekdays = root.integers("weekdays", 1..=7).into_iter().filter_map(|day| i8::try_from(day).ok()).collect();
        let (holidays, make_up_days) = (dates(&root, "holidays"), dates(&root, "make_up_days"));
        root.finish();
        Self { hours, weekdays, holidays, make_up_days }
    }

    /// Whether offices work at this moment, in the time zone that it carries.
    pub fn work_time(&self, at: &ZonedDateTime) -> bool {
        self.period(at).is_some()
    }

    /// When the working period ends that this moment lies in.
    pub fn period_ends(&self, at: &ZonedDateTime) -> Option<ZonedDateTime> {
        let until = self.period(at)?;
        at.date().to_datetime(until).to_zoned_datetime(at.time_zone().clone()).ok()
    }

    /// The end of the period that holds this moment; of several that touch or overlap the last.
    fn period(&self, at: &ZonedDateTime) -> Option<Time> {
        if !self.works_on(at.date()) {
            return None;
        }
        let time = at.time();
        let mut end = None;
        for (from, until) in &self.hours {
            let inside = (*from..*until).contains(&end.unwrap_or(time));
            if inside || end.is_some_and(|end| (*from..=*until).contains(&end)) {
                end = end.max(Some(*until));
            }
        }
        end
    }

    fn works_on(&self, day: Date) -> bool {
        let weekday: Weekday = day.weekday();
        self.make_up_days.contains(&day) || (self.weekdays.contains(&weekday.to_monday_one_offset()) && !self.holidays.contains(&day))
    }
}

/// `09:00-12:00`; the day's end is `24:00`.
fn period(text: &str) -> Option<(Time, Time)> {
    let (from, until) = text.split_once('-')?;
    let (from, until) = (clock(from.trim())?, clock(until.trim())?);
    (from < until).then_some((from, until))
}

fn clock(text: &str) -> Option<Time> {
    if text == "24:00" {
        return Some(Time::MAX);
    }
    let (hour, minute) = text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2)?;
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

fn dates(root: &Table<'_, '_>, key: &str) -> BTreeSet<Date> {
    let mut days = BTreeSet::new();
    for written in root.strings(key) {
        match units::date(&written.value) {
            Ok(day) => {
                days.insert(day);
            }
            Err(right) => {
                let message = Text::new(format!("`{}` 不是日期", written.value), format!("`{}` is not a date", written.value));
                root.problems().error(&written.place, "wrong_value", message, Some(right));
            }
        }
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar() -> Calendar {
        let text = "hours = [\"13:30-17:30\", \"09:00-12:00\"]\nweekdays = [1, 2, 3, 4, 5]\nholidays = [\"2026-10-01\", \"2026-10-10\"]\nmake_up_days = [\"2026-10-10\"]\n";
        let problems = Problems::default();
        let calendar = Calendar::load(("calendar.toml", text), &problems);
        assert!(problems.is_ok(), "{problems:?}");
        calendar
    }

    fn at(text: &str) -> ZonedDateTime {
        format!("{text}[Asia/Shanghai]").parse().unwrap()
    }

    #[test]
    fn offices_work_within_the_hours_of_working_days() {
        let calendar = calendar();
        for (time, works) in [
            ("2026-11-23T09:00:00", true),
            ("2026-11-23T08:59:59", false),
            ("2026-11-23T11:59:59.999", true),
            ("2026-11-23T12:00:00", false),
            ("2026-11-23T13:30:00", true),
            ("2026-11-22T10:00:00", false),
            ("2026-10-01T10:00:00", false),
        ] {
            assert_eq!(calendar.work_time(&at(time)), works, "{time}");
        }
        assert_eq!(calendar.period_ends(&at("2026-11-23T10:00:00")), Some(at("2026-11-23T12:00:00")));
        assert_eq!(calendar.period_ends(&at("2026-11-23T12:30:00")), None);
    }

    #[test]
    fn a_make_up_day_wins_over_weekend_and_holiday() {
        assert!(calendar().work_time(&at("2026-10-10T10:00:00")));
    }

    #[test]
    fn a_period_ends_after_it_begins() {
        for wrong in ["", "9-12", "12:00-09:00", "09:00-09:00", "09:00", "25:00-26:00", "09:61-10:00"] {
            assert_eq!(period(wrong), None, "{wrong}");
        }
        assert!(period("00:00-24:00").is_some());
    }
}
