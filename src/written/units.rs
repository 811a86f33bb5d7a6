//! Quantities as people write them: every duration, size and rate is a string with a unit.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::lang::Text;

/// How often something may happen: `count` times within `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many times.
    pub count: u32,
    /// Within which time.
    pub per: Duration,
}

/// A retention period, counted in calendar years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Years(pub u16);

/// Splits `15ms` into number and unit.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, text[digits..].trim_start()))
}

/// `250ms`, `5s`, `2m`, `1h`, `3d`.
pub fn duration(text: &str) -> Result<Duration, Text> {
    let right = || Text::new("应写数字和单位：ms、s、m、h、d，例如 `5s`", "write a number and a unit (ms, s, m, h, d), such as `5s`");
    let (number, unit) = number_and_unit(text).ok_or_else(right)?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(right()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(right)
}

/// `512B`, `64KiB`, `4MiB`, `1GiB`; bytes.
pub fn size(text: &str) -> Result<u64, Text> {
    let right =
        || Text::new("应写数字和单位：B、KiB、MiB、GiB，例如 `64KiB`", "write a number and a unit (B, KiB, MiB, GiB), such as `64KiB`");
    let (number, unit) = number_and_unit(text).ok_or_else(right)?;
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(right()),
    };
    number.checked_mul(1 << shift).ok_or_else(right)
}

/// `10/s`, `600/m`, `1000/h`.
pub fn rate(text: &str) -> Result<Rate, Text> {
    let right = || {
        Text::new(
            "应写次数和时间单位，例如 `10/s`、`600/m`、`1000/h`",
            "write a count and a unit of time, such as `10/s`, `600/m` or `1000/h`",
        )
    };
    let (count, unit) = text.split_once('/').ok_or_else(right)?;
    let count: u32 = count.trim().parse().map_err(|_| right())?;
    let seconds = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(right()),
    };
    if count == 0 {
        return Err(right());
    }
    Ok(Rate { count, per: Duration::from_secs(seconds) })
}

/// `3y`.
pub fn years(text: &str) -> Result<Years, Text> {
    let right = || Text::new("应写年数，例如 `3y`", "write a number of years, such as `3y`");
    match number_and_unit(text) {
        Some((number, "y")) => u16::try_from(number).map(Years).map_err(|_| right()),
        _ => Err(right()),
    }
}

/// `2026-01-31`.
pub fn date(text: &str) -> Result<Date, Text> {
    let right = || Text::new("应写日期，例如 `2026-01-31`", "write a date such as `2026-01-31`");
    if text.len() != 10 {
        return Err(right());
    }
    text.parse().map_err(|_| right())
}

/// RFC 3339 with an offset: `2026-11-23T08:00:00+08:00`.
pub fn moment(text: &str) -> Result<Timestamp, Text> {
    text.parse().map_err(|_| {
        Text::new(
            "应写带时区偏移的时间，例如 `2026-11-23T08:00:00+08:00`",
            "write a time with its offset, such as `2026-11-23T08:00:00+08:00`",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_needs_its_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(size("4MiB"), Ok(4 << 20));
        assert_eq!(rate("10/s"), Ok(Rate { count: 10, per: Duration::from_secs(1) }));
        assert_eq!(years("3y"), Ok(Years(3)));
        for wrong in ["", "5", "s", "-5s", "5 parsecs", "99999999999999999999s", "18446744073709551615d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "5", "5KB", "18446744073709551615GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "10", "0/s", "10/fortnight", "/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_date_is_a_real_day() {
        assert!(date("2026-02-28").is_ok());
        assert!(date("2026-02-29").is_err());
        assert!(date("26-02-01").is_err());
        assert!(moment("2026-11-23T08:00:00").is_err());
        assert!(moment("2026-11-23T08:00:00+08:00").is_ok());
    }
}
