//! The calendars of the CF conventions (section 4.4.1): which days exist, and the number of each.
//!
//! Owns days alone. Times of day are [`super::date`]'s, units of time [`super::time`]'s.

use std::fmt;

use crate::{Error, Result};

/// Which days a year has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Calendar {
    /// `standard`, `gregorian`, `none` or nothing: Julian until 1582-10-04, Gregorian from 1582-10-15. There is
    /// no year 0.
    #[default]
    Standard,
    /// `proleptic_gregorian`: Gregorian always, with a year 0.
    ProlepticGregorian,
    /// `julian`: Julian always, without a year 0.
    Julian,
    /// `noleap`, `365_day`: no year has a 29 February.
    NoLeap,
    /// `all_leap`, `366_day`: every year has one.
    AllLeap,
    /// `360_day`: twelve months of 30 days.
    ThreeSixtyDay,
}

/// Number of the first day of the Gregorian part of [`Calendar::Standard`], 1582-10-15.
pub(super) const REFORM: i64 = -141_427;

/// Days of the calendars in which no year differs from another, before each month.
const BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

impl Calendar {
    /// Of a `calendar` attribute; an empty one is `standard`.
    ///
    /// # Errors
    /// `Unsupported`, naming those there are.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_ascii_lowercase();
        Ok(match text.as_str() {
            "" | "none" | "standard" | "gregorian" => Self::Standard,
            "proleptic_gregorian" => Self::ProlepticGregorian,
            "julian" => Self::Julian,
            "noleap" | "no_leap" | "365_day" => Self::NoLeap,
            "all_leap" | "366_day" => Self::AllLeap,
            "360_day" => Self::ThreeSixtyDay,
            _ => {
                return Err(Error::unsupported(format!(
                    "the calendar \"{text}\" is not known; those of the CF conventions are standard, \
                     proleptic_gregorian, julian, noleap, all_leap and 360_day"
                )));
            }
        })
    }

    /// The name in the CF conventions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::ProlepticGregorian => "proleptic_gregorian",
            Self::Julian => "julian",
            Self::NoLeap => "noleap",
            Self::AllLeap => "all_leap",
            Self::ThreeSixtyDay => "360_day",
        }
    }

    /// Whether year 0 comes before year 1. It does not in the calendars of history, where year -1 does.
    pub fn has_year_zero(self) -> bool {
        !matches!(self, Self::Standard | Self::Julian)
    }

    /// The number of a day, if the calendar has that day. In the calendars of the real world (`standard`,
    /// `proleptic_gregorian`, `julian`) equal numbers are the same day, and 0 is the Gregorian 1970-01-01;
    /// in the others 0 is 0000-01-01.
    pub fn day_number(self, year: i64, month: u8, day: u8) -> Option<i64> {
        // Far beyond any date, and small enough for every product here.
        if year.unsigned_abs() > 1 << 48 || (year == 0 && !self.has_year_zero()) {
            return None;
        }
        let counted = if year < 0 && !self.has_year_zero() { year + 1 } else { year };
        if !(1..=12).contains(&month) || day == 0 {
            return None;
        }
        let number = match self {
            Self::ProlepticGregorian => gregorian(counted, month, day),
            Self::Julian => julian(counted, month, day),
            Self::Standard => {
                let number = gregorian(counted, month, day);
                if number >= REFORM { number } else { julian(counted, month, day) }
            }
            Self::NoLeap => counted * 365 + day_of_year(month, day, false),
            Self::AllLeap => counted * 366 + day_of_year(month, day, true),
            Self::ThreeSixtyDay => counted * 360 + i64::from(month - 1) * 30 + i64::from(day - 1),
        };
        // A day that does not exist (31 April, 1582-10-10) has the number of another.
        (self.day(number) == (year, month, day)).then_some(number)
    }

    /// Year, month and day of a number ([`Calendar::day_number`]).
    pub fn day(self, number: i64) -> (i64, u8, u8) {
        let (year, month, day) = match self {
            Self::ProlepticGregorian => to_gregorian(number),
            Self::Standard if number >= REFORM => to_gregorian(number),
            Self::Standard | Self::Julian => to_julian(number),
            Self::NoLeap => {
                let (month, day) = to_month(number.rem_euclid(365), false);
                (number.div_euclid(365), month, day)
            }
            Self::AllLeap => {
                let (month, day) = to_month(number.rem_euclid(366), true);
                (number.div_euclid(366), month, day)
            }
            Self::ThreeSixtyDay => {
                let of_year = number.rem_euclid(360);
                (number.div_euclid(360), small(of_year / 30 + 1), small(of_year % 30 + 1))
            }
        };
        let shown = if year <= 0 && !self.has_year_zero() { year - 1 } else { year };
        (shown, month, day)
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Counted from March, the leap day is the last of its year and months have 31, 30, 31, 30, 31 days again and
/// again: 153 in five. Years here include a year 0.
fn from_march(year: i64, month: u8, day: u8) -> (i64, i64) {
    let month = i64::from(month);
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    (year, (153 * month + 2) / 5 + i64::from(day) - 1)
}

/// The reverse of [`from_march`].
fn to_january(year: i64, of_year: i64) -> (i64, u8, u8) {
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    if month < 10 { (year, small(month + 3), small(day)) } else { (year + 1, small(month - 9), small(day)) }
}

/// 400 Gregorian years have 146,097 days; 719,468 lie between 0000-03-01 and 1970-01-01.
fn gregorian(year: i64, month: u8, day: u8) -> i64 {
    let (year, of_year) = from_march(year, month, day);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + year * 365 + year / 4 - year / 100 + of_year - 719_468
}

fn to_gregorian(number: i64) -> (i64, u8, u8) {
    let number = number + 719_468;
    let (era, of_era) = (number.div_euclid(146_097), number.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    to_january(era * 400 + year, of_era - (365 * year + year / 4 - year / 100))
}

/// Four Julian years have 1,461 days; the Gregorian 1970-01-01 is the Julian 1969-12-19.
fn julian(year: i64, month: u8, day: u8) -> i64 {
    let (year, of_year) = from_march(year, month, day);
    year.div_euclid(4) * 1461 + year.rem_euclid(4) * 365 + of_year - 719_470
}

fn to_julian(number: i64) -> (i64, u8, u8) {
    let number = number + 719_470;
    let (era, of_era) = (number.div_euclid(1461), number.rem_euclid(1461));
    let year = (of_era - of_era / 1460) / 365;
    to_january(era * 4 + year, of_era - 365 * year)
}

fn day_of_year(month: u8, day: u8, is_leap: bool) -> i64 {
    let before = BEFORE_MONTH.get(usize::from(month - 1)).copied().unwrap_or_default();
    before + i64::from(is_leap && month > 2) + i64::from(day) - 1
}

fn to_month(of_year: i64, is_leap: bool) -> (u8, u8) {
    (1..=12)
        .rev()
        .map(|month| (month, of_year - day_of_year(month, 1, is_leap)))
        .find(|(_, left)| *left >= 0)
        .map_or((1, 1), |(month, left)| (month, small(left + 1)))
}

/// Of a month or a day, which are never larger.
fn small(number: i64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Calendar; 6] = [
        Calendar::Standard,
        Calendar::ProlepticGregorian,
        Calendar::Julian,
        Calendar::NoLeap,
        Calendar::AllLeap,
        Calendar::ThreeSixtyDay,
    ];

    #[test]
    fn every_day_follows_the_one_before_it() {
        for calendar in ALL {
            let mut last = calendar.day(-1_000_001);
            for number in -1_000_000..400_000 {
                let day = calendar.day(number);
                assert!(day > last, "{calendar} {day:?} after {last:?}");
                let new_month = day.2 == 1 && (day.1 == last.1 + 1 || (day.1, last.1) == (1, 12));
                let reform = last == (1582, 10, 4) && day == (1582, 10, 15);
                assert!(day.2 == last.2 + 1 || new_month || reform, "{calendar} {day:?} after {last:?}");
                assert_eq!(calendar.day_number(day.0, day.1, day.2), Some(number), "{calendar} {day:?}");
                last = day;
            }
        }
    }

    #[test]
    fn days_that_are_not() {
        for (calendar, year, month, day) in [
            (Calendar::Standard, 1582, 10, 5),
            (Calendar::Standard, 1582, 10, 14),
            (Calendar::Standard, 0, 1, 1),
            (Calendar::Standard, 1900, 2, 29),
            (Calendar::Julian, 1900, 2, 30),
            (Calendar::Julian, 0, 1, 1),
            (Calendar::NoLeap, 2000, 2, 29),
            (Calendar::AllLeap, 2000, 2, 30),
            (Calendar::ThreeSixtyDay, 2000, 1, 31),
            (Calendar::ProlepticGregorian, 2000, 4, 31),
            (Calendar::ProlepticGregorian, 2000, 0, 1),
            (Calendar::ProlepticGregorian, 2000, 13, 1),
            (Calendar::ProlepticGregorian, 2000, 1, 0),
            (Calendar::ProlepticGregorian, i64::MAX, 1, 1),
        ] {
            assert_eq!(calendar.day_number(year, month, day), None, "{calendar} {year}-{month}-{day}");
        }
        assert!(Calendar::Standard.day_number(1500, 2, 29).is_some(), "a Julian leap day");
        assert!(Calendar::ProlepticGregorian.day_number(1500, 2, 29).is_none());
    }

    #[test]
    fn names() {
        for calendar in ALL {
            assert_eq!(Calendar::parse(calendar.name()).unwrap(), calendar);
        }
        assert_eq!(Calendar::parse(" Gregorian\0").unwrap(), Calendar::Standard);
        assert_eq!(Calendar::parse("").unwrap(), Calendar::Standard);
        assert!(Calendar::parse("mayan").unwrap_err().message().contains("360_day"));
    }
}
