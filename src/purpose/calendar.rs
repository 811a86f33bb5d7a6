//! The work calendar: when offices work, for `context.work_time`.

use std::collections::BTreeSet;

use jiff::civil::{Date, Time};

/// Working hours, weekdays, holidays and make-up days (调休上班日).
#[derive(Debug)]
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
