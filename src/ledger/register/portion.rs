//! Portions of a day's quota, which gateways draw from one book: how large they are.

use jiff::civil::Date;

/// Calls and records under one grant on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Portion {
    /// Calls.
    pub calls: u64,
    /// Records.
    pub records: u64,
}

impl Portion {
    /// Both numbers with those of another.
    pub fn with(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self { calls: of(self.calls, other.calls), records: of(self.records, other.records) }
    }
}

/// What a gateway asks of the book.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The grant.
    pub grant: &'a str,
    /// The day.
    pub day: Date,
    /// The grant's calls and records a day; none: not counted.
    pub limits: [Option<u64>; 2],
    /// What it knows that it holds; a book that says less has lost something.
    pub held: Portion,
    /// What of that is unused.
    pub unused: Portion,
    /// What one call needs beyond it.
    pub least: Portion,
    /// What all calls that wait need beyond it.
    pub all: Portion,
}

/// What the book says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// What the gateway holds now.
    pub held: Portion,
    /// Whether that is enough for one call.
    pub enough: bool,
    /// Whether others hold as much unused as is missing.
    pub elsewhere: bool,
}

/// How much of what is `left` one gateway is given: nothing where it is too little for one call, else what all its calls need,
/// and at least an eighth of it, or a quarter of its part where more than two gateways are up.
pub(super) fn size(left: u64, gateways: u64, least: u64, all: u64) -> u64 {
    if left < least {
        return 0;
    }
    (left / gateways.max(2).saturating_mul(4)).max(all).min(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_shrink_with_what_is_left_and_with_more_gateways() {
        assert_eq!(size(8000, 1, 1, 1), 1000);
        assert_eq!(size(8000, 2, 1, 1), 1000);
        assert_eq!(size(8000, 10, 1, 1), 200);
        // Near the end one call at a time, and only where one waits for it.
        assert_eq!(size(7, 2, 1, 1), 1);
        assert_eq!(size(7, 2, 0, 0), 0);
        assert_eq!(size(0, 2, 1, 1), 0);
        // Not for one: nothing at all. Not for all: what there is.
        assert_eq!(size(5, 2, 10, 30), 0);
        assert_eq!(size(15, 2, 10, 30), 15);
    }

    #[test]
    fn whoever_draws_and_dies_leaves_no_more_than_said() {
        // Half of a portion is used when the next comes: at most 1/16 and the next eighth.
        let mut left = 16_000_u64;
        let first = size(left, 2, 1, 1);
        left -= first;
        let second = size(left, 2, 0, 0);
        assert!(first / 2 + second <= 16_000 * 3 / 16);
    }
}
