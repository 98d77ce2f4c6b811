//! Points in time: dates with a time of day, as fields, as text (ISO 8601) and as a number to calculate with.

use std::fmt;

use super::calendar::{Calendar, REFORM};
use crate::{Error, Result};

/// Nanoseconds of a day. No calendar here knows leap seconds (CF section 4.4).
pub(super) const DAY: i128 = 86_400_000_000_000;

/// Later or earlier points are no times: 10^13 years.
const FARTHEST: i128 = 1 << 118;

/// A point in time of one calendar: nanoseconds after the day 0 of [`Calendar::day_number`]. Those of `standard`,
/// `proleptic_gregorian` and `julian` can be compared with each other, others only within their calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i128);

impl Moment {
    /// From nanoseconds; `None` beyond what is a time.
    pub fn new(nanoseconds: i128) -> Option<Self> {
        (nanoseconds.abs() < FARTHEST).then_some(Self(nanoseconds))
    }

    /// Nanoseconds after day 0.
    pub fn nanoseconds(self) -> i128 {
        self.0
    }

    /// Its date in `calendar`.
    pub fn date(self, calendar: Calendar) -> Date {
        let of_day = self.0.rem_euclid(DAY);
        // Within FARTHEST the number of a day is far below 2^63.
        let (year, month, day) = calendar.day(i64::try_from(self.0.div_euclid(DAY)).unwrap_or_default());
        let seconds = u32::try_from(of_day / 1_000_000_000).unwrap_or_default();
        let part = |of: u32, size: u32| u8::try_from(seconds / of % size).unwrap_or_default();
        Date {
            year,
            month,
            day,
            hour: part(3600, 24),
            minute: part(60, 60),
            second: part(1, 60),
            nanosecond: u32::try_from(of_day % 1_000_000_000).unwrap_or_default(),
        }
    }

    /// Whether dates from `first` to `last` are written alike in two calendars: always in one and the same;
    /// in `standard` and `proleptic_gregorian` from 1582-10-15, in `standard` and `julian` before it.
    pub fn agree(a: Calendar, b: Calendar, first: Self, last: Self) -> bool {
        use Calendar::{Julian, ProlepticGregorian, Standard};
        let reform = i128::from(REFORM) * DAY;
        match (a, b) {
            (Standard, ProlepticGregorian) | (ProlepticGregorian, Standard) => first.0 >= reform,
            (Standard, Julian) | (Julian, Standard) => last.0 < reform,
            (a, b) => a == b,
        }
    }

    /// Reads an ISO 8601 date with or without a time of day and an offset; what is absent is the earliest.
    ///
    /// # Errors
    /// `BadRequest` when it is none, or the calendar has no such day.
    pub fn parse(text: &str, calendar: Calendar) -> Result<Self> {
        super::written::reference(text.trim(), calendar)
            .map_err(|what| Error::bad_request(format!("\"{text}\" is not a date: {what}")))
    }
}

/// Fields of a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// As the calendar counts ([`Calendar::has_year_zero`]).
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// Below 10^9.
    pub nanosecond: u32,
}

impl Date {
    /// The point in time, if `calendar` has that day, and the day that hour.
    pub fn moment(&self, calendar: Calendar) -> Option<Moment> {
        let Self { year, month, day, hour, minute, second, nanosecond } = *self;
        if hour > 23 || minute > 59 || second > 59 || nanosecond > 999_999_999 {
            return None;
        }
        let day = i128::from(calendar.day_number(year, month, day)?);
        let seconds = i128::from(hour) * 3600 + i128::from(minute) * 60 + i128::from(second);
        Moment::new(day * DAY + seconds * 1_000_000_000 + i128::from(nanosecond))
    }
}

/// ISO 8601: `2000-01-01T06:00:00Z`, with as many digits of a fraction as it has.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second, nanosecond } = self;
        let sign = if *year < 0 { "-" } else { "" };
        let year = year.unsigned_abs();
        write!(f, "{sign}{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if *nanosecond > 0 {
            let digits = format!("{nanosecond:09}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}
