//! Units of time (`days since 2000-01-01`) as UDUNITS and the CF conventions (section 4.4) write them, and exact
//! conversions between values and points in time.

use std::fmt;

use super::{
    calendar::Calendar,
    date::{DAY, Date, Moment},
    linear::{LinearMap, ratio, split},
    written,
};
use crate::{Error, Result};

/// Nanoseconds of UDUNITS' year, 365.242198781 days; its month is a twelfth.
const YEAR: i128 = 31_556_925_974_678_400;

/// The longest unit: no product of a value's 53 bits with it overflows.
const LONGEST: i128 = 1 << 70;

/// How values of a time coordinate count: a unit, a point in time and a calendar.
///
/// ```
/// use cdm::coordinates::time::TimeUnits;
/// let units = TimeUnits::parse("hours since 2000-02-28 12:00", "noleap").unwrap();
/// assert_eq!(units.date(18.0).unwrap().to_string(), "2000-03-01T06:00:00Z");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeUnits {
    /// Nanoseconds.
    unit: i128,
    reference: Moment,
    calendar: Calendar,
}

impl TimeUnits {
    /// A second.
    pub const SECOND: i128 = 1_000_000_000;
    /// An hour.
    pub const HOUR: i128 = 3600 * Self::SECOND;
    /// A day.
    pub const DAY: i128 = DAY;

    /// `unit` (nanoseconds) after `reference`; `None` when the unit is not positive or is longer than 30,000 years.
    pub fn new(unit: i128, reference: Moment, calendar: Calendar) -> Option<Self> {
        (1..LONGEST).contains(&unit).then_some(Self { unit, reference, calendar })
    }

    /// Of a coordinate's attributes `units` and `calendar` (empty when there is none).
    ///
    /// # Errors
    /// `Unsupported` for another calendar; `BadRequest` when the units are not of this form.
    pub fn parse(units: &str, calendar: &str) -> Result<Self> {
        let calendar = Calendar::parse(calendar)?;
        let text = units.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        let fault = |what: &str| {
            Error::bad_request(format!(
                "\"{text}\" are not units of time: {what}; units such as \"days since 2000-01-01\" are"
            ))
        };
        let (unit, reference) = since(text).ok_or_else(|| fault("there is no \"since\" and a date"))?;
        let unit = length(unit, calendar).map_err(|e| fault(&e))?;
        let reference = written::reference(reference, calendar).map_err(|e| fault(&e))?;
        Self::new(unit, reference, calendar).ok_or_else(|| fault("the unit is too long"))
    }

    /// The calendar.
    pub fn calendar(&self) -> Calendar {
        self.calendar
    }

    /// The point in time of value 0.
    pub fn reference(&self) -> Moment {
        self.reference
    }

    /// Nanoseconds of one unit.
    pub fn unit(&self) -> i128 {
        self.unit
    }

    /// The point in time of `value`. Fractions are rounded to microseconds (nanoseconds if the unit is shorter): a
    /// float's 0.1 days are 02:24:00. `None` when it is no number or too far away.
    pub fn moment(&self, value: f64) -> Option<Moment> {
        let (digits, exponent) = split(value)?;
        let scaled = digits * self.unit;
        let distance = match u32::try_from(exponent) {
            Ok(left) if left < 127 && scaled.abs() <= i128::MAX >> left => scaled << left,
            Ok(_) => return None,
            Err(_) => {
                let step = if self.unit < 1000 { 1 } else { 1000 };
                round(scaled, exponent.unsigned_abs(), step)
            }
        };
        Moment::new(self.reference.nanoseconds().checked_add(distance)?)
    }

    /// As [`TimeUnits::moment`], of an integer: exact.
    pub fn moment_of_integer(&self, value: i128) -> Option<Moment> {
        Moment::new(self.reference.nanoseconds().checked_add(value.checked_mul(self.unit)?)?)
    }

    /// The date of `value` ([`TimeUnits::moment`]).
    pub fn date(&self, value: f64) -> Option<Date> {
        Some(self.moment(value)?.date(self.calendar))
    }

    /// The value of a point in time.
    pub fn value(&self, moment: Moment) -> f64 {
        ratio(moment.nanoseconds() - self.reference.nanoseconds(), self.unit)
    }

    /// As [`TimeUnits::value`], when it is a whole number.
    pub fn integer(&self, moment: Moment) -> Option<i128> {
        let distance = moment.nanoseconds() - self.reference.nanoseconds();
        (distance % self.unit == 0).then_some(distance / self.unit)
    }

    /// What makes values of these units values of `to`, for values from `first` to `last`.
    ///
    /// # Errors
    /// `BadRequest` when their calendars write these dates differently ([`Moment::agree`]), or one is no time.
    pub fn map_to(&self, to: &Self, first: f64, last: f64) -> Result<LinearMap> {
        let end = |value| {
            self.moment(value).ok_or_else(|| Error::bad_request(format!("{value} {self} is no time")))
        };
        if !Moment::agree(self.calendar, to.calendar, end(first)?, end(last)?) {
            return Err(Error::bad_request(format!(
                "dates of the calendars {} and {} cannot be converted",
                self.calendar, to.calendar
            )));
        }
        let offset = self.reference.nanoseconds() - to.reference.nanoseconds();
        Ok(LinearMap::new(self.unit, offset, to.unit))
    }
}

/// As `units` attribute: `hours since 2000-01-01T00:00:00Z`.
impl fmt::Display for TimeUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (7 * DAY, "weeks"),
            (DAY, "days"),
            (Self::HOUR, "hours"),
            (60 * Self::SECOND, "minutes"),
            (Self::SECOND, "seconds"),
            (1_000_000, "milliseconds"),
            (1000, "microseconds"),
        ];
        let of = |(length, _): &(i128, &str)| self.unit % length == 0;
        let (length, name) = names.into_iter().find(of).unwrap_or((1, "nanoseconds"));
        match self.unit / length {
            1 => write!(f, "{name}")?,
            count => write!(f, "{count} {name}")?,
        }
        write!(f, " since {}", self.reference.date(self.calendar))
    }
}

/// What stands before and after `since`, or what UDUNITS takes in its place.
fn since(text: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    for word in text.split_whitespace() {
        let at = from + text.get(from..)?.find(word)?;
        let end = at + word.len();
        if at > 0 && ["since", "after", "from", "ref", "@"].iter().any(|s| word.eq_ignore_ascii_case(s)) {
            return Some((text.get(..at)?.trim(), text.get(end..)?.trim()));
        }
        from = end;
    }
    None
}

/// Nanoseconds of a unit with or without a number before it: `days`, `6 hours`, `0.1 s`.
fn length(text: &str, calendar: Calendar) -> std::result::Result<i128, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (count, name) = text.split_at(end);
    let name = name.trim();
    let one = named(name, calendar).ok_or_else(|| format!("\"{name}\" is no unit of time"))?;
    if count.is_empty() {
        return Ok(one);
    }
    let fault = || format!("{count} {name} are no unit of time");
    let (whole, fraction) = count.split_once('.').unwrap_or((count, ""));
    let places = u32::try_from(fraction.len()).ok().filter(|n| *n <= 12).ok_or_else(fault)?;
    let digits: i128 = format!("0{whole}{fraction}").parse().ok().ok_or_else(fault)?;
    let scale = 10_i128.pow(places);
    let product = digits.checked_mul(one).filter(|p| *p > 0 && p % scale == 0).ok_or_else(fault)?;
    Ok(product / scale)
}

/// Names and symbols of UDUNITS, and what cftime takes beside them. Months and years are UDUNITS' mean ones but
/// in the calendar where they have one length.
fn named(name: &str, calendar: Calendar) -> Option<i128> {
    // A megasecond, which no one means, or a millisecond, which UDUNITS does not.
    if name == "Ms" {
        return None;
    }
    let is_uniform = calendar == Calendar::ThreeSixtyDay;
    Some(match name.to_lowercase().as_str() {
        "ns" | "nsec" | "nsecs" | "nanosec" | "nanosecs" | "nanosecond" | "nanoseconds" => 1,
        "us" | "µs" | "μs" | "usec" | "usecs" | "microsec" | "microsecs" | "microsecond" | "microseconds" => {
            1000
        }
        "ms" | "msec" | "msecs" | "millisec" | "millisecs" | "millisecond" | "milliseconds" => 1_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => TimeUnits::SECOND,
        "min" | "mins" | "minute" | "minutes" => 60 * TimeUnits::SECOND,
        "h" | "hr" | "hrs" | "hour" | "hours" => TimeUnits::HOUR,
        "d" | "day" | "days" => DAY,
        "week" | "weeks" => 7 * DAY,
        "fortnight" | "fortnights" => 14 * DAY,
        "month" | "months" if is_uniform => 30 * DAY,
        "year" | "years" | "yr" | "yrs" if is_uniform => 360 * DAY,
        "month" | "months" => YEAR / 12,
        "year" | "years" | "yr" | "yrs" | "tropical_year" | "tropical_years" => YEAR,
        "common_year" | "common_years" => 365 * DAY,
        "leap_year" | "leap_years" => 366 * DAY,
        "julian_year" | "julian_years" => 365 * DAY + DAY / 4,
        "gregorian_year" | "gregorian_years" => 365 * DAY + DAY / 10_000 * 2425,
        _ => return None,
    })
}

/// `value / 2^bits` to the nearest multiple of `step`, ties to even.
fn round(value: i128, bits: u32, step: i128) -> i128 {
    if bits > 116 {
        // Below 2^123 / 2^117: nothing, in microseconds and in nanoseconds of units below one.
        return 0;
    }
    let divisor = step << bits;
    let (whole, rest) = (value.div_euclid(divisor), value.rem_euclid(divisor));
    let up = rest > divisor - rest || (rest == divisor - rest && whole % 2 != 0);
    (whole + i128::from(up)) * step
}

#[cfg(test)]
mod tests;
