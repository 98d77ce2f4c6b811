//! Dates as people write them into `units` attributes and requests: what UDUNITS and cftime accept, and ISO 8601.

use super::{
    calendar::Calendar,
    date::{DAY, Moment},
};

type Read<T> = std::result::Result<T, String>;

/// A date with, if it is there, a time of day and the distance of the place's clock from UTC.
/// `2000-1-1`, `2000-01-01T00:00:00Z`, `2000-1-1 6:00`, `20000101T0600`, `1-1-1`, `-4713-11-24`,
/// `2000-1-1 00:00 +6:00`; UDUNITS reads a distance without a sign as one to the east.
pub(super) fn reference(text: &str, calendar: Calendar) -> Read<Moment> {
    let mut left = text;
    let (year, month, day) = date(&mut left)?;
    let number = calendar
        .day_number(year, month, day)
        .ok_or_else(|| format!("the calendar {calendar} has no day {year}-{month}-{day}"))?;
    let is_marked = left.starts_with(['T', 't', '_']);
    left = left.strip_prefix(['T', 't', '_']).unwrap_or(left).trim_start();
    let of_day =
        if is_marked || left.starts_with(|c: char| c.is_ascii_digit()) { clock(&mut left)? } else { 0 };
    let east = zone(left.trim())?;
    Moment::new(i128::from(number) * DAY + of_day - east * 60_000_000_000)
        .ok_or_else(|| "it is too far away".to_owned())
}

fn date(left: &mut &str) -> Read<(i64, u8, u8)> {
    let is_negative = left.starts_with('-');
    *left = left.strip_prefix(['-', '+']).unwrap_or(left);
    let digits = take_digits(left);
    let dashed = left.strip_prefix('-').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let (year, month, day) = match (digits.len(), dashed) {
        (1..=9, Some(rest)) => {
            *left = rest;
            let month = small(take_digits(left), "month")?;
            let day = match left.strip_prefix('-') {
                Some(rest) => {
                    *left = rest;
                    small(take_digits(left), "day")?
                }
                None => 1,
            };
            (digits, month, day)
        }
        (1..=4, None) => (digits, 1, 1),
        (6 | 8, None) => {
            let (year, rest) = digits.split_at(4);
            let (month, day) = rest.split_at(2);
            (year, small(month, "month")?, if day.is_empty() { 1 } else { small(day, "day")? })
        }
        _ => return Err("it does not begin with a year, month and day such as 2000-01-31".to_owned()),
    };
    let year: i64 = year.parse().map_err(|e| format!("the year {year}: {e}"))?;
    Ok((if is_negative { -year } else { year }, month, day))
}

/// Nanoseconds of the day: `6`, `6:00`, `06:00:00.25`, `0600`, `060000`.
fn clock(left: &mut &str) -> Read<i128> {
    let digits = take_digits(left);
    let (hour, minute, second) = match digits.len() {
        1 | 2 => {
            let mut next = |what: &str| -> Read<u8> {
                match left.strip_prefix(':') {
                    Some(rest) => {
                        *left = rest;
                        small(take_digits(left), what)
                    }
                    None => Ok(0),
                }
            };
            (small(digits, "hour")?, next("minute")?, next("second")?)
        }
        4 | 6 => {
            let (hour, rest) = digits.split_at(2);
            let (minute, second) = rest.split_at(2);
            let second = if second.is_empty() { 0 } else { small(second, "second")? };
            (small(hour, "hour")?, small(minute, "minute")?, second)
        }
        _ => return Err("the time of day is not like 06:00:00".to_owned()),
    };
    let fraction = match left.strip_prefix('.') {
        Some(rest) => {
            *left = rest;
            let digits = take_digits(left);
            // Beyond nanoseconds nothing is kept.
            let kept = format!("{:0<9}", digits.get(..9).unwrap_or(digits));
            kept.parse::<i128>().map_err(|e| format!("the fraction of a second {digits}: {e}"))?
        }
        None => 0,
    };
    // A leap second is the first of the next minute, and 24:00 the next day's 0:00.
    let is_midnight = hour == 24 && minute == 0 && second == 0 && fraction == 0;
    if !(hour < 24 || is_midnight) || minute > 59 || second > 60 {
        return Err(format!("there is no time of day {hour}:{minute:02}:{second:02}"));
    }
    let seconds = i128::from(hour) * 3600 + i128::from(minute) * 60 + i128::from(second);
    Ok(seconds * 1_000_000_000 + fraction)
}

/// Minutes east of UTC.
fn zone(text: &str) -> Read<i128> {
    if ["", "z", "utc", "gmt", "ut"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return Ok(0);
    }
    let fault = || format!("\"{text}\" at its end is no distance from UTC such as +06:00");
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let mut left = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = take_digits(&mut left);
    let (hours, minutes) = match (digits.len(), left.strip_prefix(':')) {
        (1 | 2, Some(minutes)) if (1..=2).contains(&minutes.len()) => (digits, minutes),
        (1 | 2, None) if left.is_empty() => (digits, "0"),
        (3 | 4, None) if left.is_empty() => digits.split_at(digits.len() - 2),
        _ => return Err(fault()),
    };
    match (hours.parse::<u8>(), minutes.parse::<u8>()) {
        (Ok(hours @ ..=23), Ok(minutes @ ..=59)) => Ok(sign * (i128::from(hours) * 60 + i128::from(minutes))),
        _ => Err(fault()),
    }
}

fn take_digits<'a>(left: &mut &'a str) -> &'a str {
    let end = left.find(|c: char| !c.is_ascii_digit()).unwrap_or(left.len());
    let (digits, rest) = left.split_at(end);
    *left = rest;
    digits
}

/// A field of one or two digits.
fn small(digits: &str, what: &str) -> Read<u8> {
    match digits.len() {
        1 | 2 => digits.parse().map_err(|e| format!("the {what} {digits}: {e}")),
        0 => Err(format!("there is no {what}")),
        _ => Err(format!("the {what} {digits} has more than two digits")),
    }
}
