//! Judged by cftime (`tests/data/times.py`), and by going there and back.

use proptest::prelude::*;

use super::*;

/// What cftime says of values in units and calendars.
const CFTIME: &str = include_str!("../fixtures/cftime.txt");

#[test]
fn dates_are_those_of_cftime() {
    let mut compared = 0;
    for line in CFTIME.lines() {
        let [calendar, units, value, expect] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("a line of other form: {line}");
        };
        let date = TimeUnits::parse(units, calendar).ok().and_then(|units| {
            let moment = match value.parse::<i128>() {
                Ok(integer) => units.moment_of_integer(integer),
                Err(_) => units.moment(value.parse().unwrap()),
            };
            Some(moment?.date(units.calendar()))
        });
        let written = date.map_or("-".to_owned(), |date| {
            let text = date.to_string();
            let text = text.strip_suffix('Z').unwrap();
            // Python writes a fraction with six digits.
            match text.split_once('.') {
                Some((whole, fraction)) => format!("{whole}.{fraction:0<6}"),
                None => text.to_owned(),
            }
        });
        assert_eq!(written, expect, "{line}");
        compared += 1;
    }
    assert!(compared > 1000, "{compared} lines");
}

fn first(units: &str, calendar: &str) -> String {
    match TimeUnits::parse(units, calendar) {
        Ok(units) => units.date(1.0).unwrap().to_string(),
        Err(e) => e.to_string(),
    }
}

/// What UDUNITS 2.2 accepts and cftime does not; judged by
/// `udunits2 -H "1 (UNITS)" -W "seconds since 2000-01-01"`.
#[test]
fn units_of_udunits() {
    for (units, expect) in [
        ("weeks since 2000-1-1", "2000-01-08T00:00:00Z"),
        ("fortnight since 2000-1-1", "2000-01-15T00:00:00Z"),
        ("6 hours since 2000-1-1", "2000-01-01T06:00:00Z"),
        ("0.25 s since 2000-1-1", "2000-01-01T00:00:00.25Z"),
        ("µs since 2000-1-1", "2000-01-01T00:00:00.000001Z"),
        ("ns since 2000-1-1", "2000-01-01T00:00:00.000000001Z"),
        ("months since 2000-1-1", "2000-01-31T10:29:03.8312232Z"),
        ("years since 2000-1-1", "2000-12-31T05:48:45.9746784Z"),
        ("julian_year since 2000-1-1", "2000-12-31T06:00:00Z"),
        ("days after 20000101", "2000-01-02T00:00:00Z"),
        ("days from 20000101T0630", "2000-01-02T06:30:00Z"),
        ("days @ 2000", "2000-01-02T00:00:00Z"),
        ("days ref 2000-3", "2000-03-02T00:00:00Z"),
        ("days since 2000-1-1 00:00:00 6:00", "2000-01-01T18:00:00Z"),
        ("days since 2000-1-1 00:00:00.0 -6", "2000-01-02T06:00:00Z"),
        ("days since 2000-1-1 06", "2000-01-02T06:00:00Z"),
        ("days since 1998-12-31 23:59:60", "1999-01-02T00:00:00Z"),
    ] {
        assert_eq!(first(units, ""), expect, "{units}");
    }
    assert_eq!(first("years since 2000-1-1", "360_day"), "2001-01-01T00:00:00Z");
    // ISO 8601's other name of midnight.
    assert_eq!(first("days since 2000-01-01T24:00:00", ""), "2000-01-03T00:00:00Z");
}

#[test]
fn what_is_not_read_says_why() {
    for (units, what) in [
        ("days", "no \"since\""),
        ("", "no \"since\""),
        ("since 2000-1-1", "no \"since\""),
        ("lightyears since 2000-1-1", "\"lightyears\" is no unit of time"),
        ("Ms since 2000-1-1", "no unit"),
        ("0 days since 2000-1-1", "no unit"),
        ("99999999999999999 years since 2000-1-1", "too long"),
        ("99999999999999999999999999999999999999999 years since 2000-1-1", "no unit"),
        ("days since", "year, month and day"),
        ("days since yesterday", "year, month and day"),
        ("days since 0-1-1", "no day 0-1-1"),
        ("days since 2000-02-30", "no day 2000-2-30"),
        ("days since 2000-1-1 12:00:00PM", "\"PM\" at its end"),
        ("days since 2000-1-1 1:2:3:4", "\":4\" at its end"),
        ("days since 2000-1-1 00:61", "no time of day"),
        ("days since 2000-1-1 00:00 +24:00", "no distance"),
        ("days since 20001-01", ""),
        ("day as %Y%m%d.%f", "no \"since\""),
    ] {
        let said = first(units, "");
        assert!(said.contains(what), "{units}: {said}");
    }
    let known = TimeUnits::parse("days since 1-1-1", "").unwrap();
    assert_eq!(known.moment(f64::NAN), None);
    assert_eq!(known.moment(1e300), None);
    assert_eq!(known.moment(-1e22), None);
    assert_eq!(known.moment_of_integer(i128::MAX), None);
    assert_eq!(known.moment(1e-320), Some(known.reference()));
}

#[test]
fn values_are_converted_exactly() {
    let units = |text: &str, calendar: &str| TimeUnits::parse(text, calendar).unwrap();
    let days = units("days since 2000-01-01", "standard");
    let hours = units("hours since 2001-01-01", "standard");
    let map = days.map_to(&hours, 0.0, 1e4).unwrap();
    assert!(map.keeps_integers());
    assert_eq!(map.integer(366), Some(0));
    assert_eq!(map.float(366.5).to_bits(), 12_f64.to_bits());
    let back = hours.map_to(&days, 0.0, 1e4).unwrap();
    assert!(!back.keeps_integers());
    assert_eq!((back.integer(24), back.integer(25)), (Some(367), None));
    assert_eq!(back.float(12.0).to_bits(), 366.5_f64.to_bits());
    assert!(days.map_to(&days, 0.0, 1.0).unwrap().is_identity());

    // One day in two calendars of the real world, however far back their references are.
    let mixed = units("days since 1-1-1", "standard");
    let proleptic = units("days since 1-1-1", "proleptic_gregorian");
    assert_eq!(mixed.map_to(&proleptic, 6e5, 7e5).unwrap().integer(0), Some(-2));
    let earlier = mixed.map_to(&proleptic, 5e5, 7e5).unwrap_err();
    assert!(earlier.message().contains("standard and proleptic_gregorian"), "{earlier}");
    let julian = units("days since 1-1-1", "julian");
    assert!(mixed.map_to(&julian, 0.0, 577_736.0).unwrap().is_identity());
    assert!(mixed.map_to(&julian, 0.0, 577_737.0).is_err());
    for other in ["noleap", "360_day", "all_leap"] {
        assert!(days.map_to(&units("days since 2000-1-1", other), 0.0, 1.0).is_err());
    }
}

#[test]
fn units_are_written_as_they_are_read() {
    for (text, expect) in [
        ("days since 2000-1-1 6:00", "days since 2000-01-01T06:00:00Z"),
        ("60 minutes since 1-1-1", "hours since 0001-01-01T00:00:00Z"),
        ("6 hours since -4-1-1", "6 hours since -0004-01-01T00:00:00Z"),
        ("ns since 12345-1-1 0:0:0.5", "nanoseconds since 12345-01-01T00:00:00.5Z"),
    ] {
        let units = TimeUnits::parse(text, "julian").unwrap();
        assert_eq!(units.to_string(), expect);
        assert_eq!(TimeUnits::parse(expect, "julian").unwrap(), units);
    }
}

const NAMES: [&str; 6] = ["standard", "proleptic_gregorian", "julian", "noleap", "all_leap", "360_day"];

proptest! {
    #[test]
    fn moments_go_to_dates_text_and_back(calendar in 0..6_usize, nanoseconds in -(1_i128 << 90)..1_i128 << 90) {
        let calendar = Calendar::parse(NAMES[calendar]).unwrap();
        let moment = Moment::new(nanoseconds).unwrap();
        let date = moment.date(calendar);
        prop_assert_eq!(date.moment(calendar), Some(moment));
        if date.year.abs() < 1_000_000_000 {
            prop_assert_eq!(Moment::parse(&date.to_string(), calendar).unwrap(), moment);
        }
    }

    #[test]
    fn values_go_to_dates_and_back(calendar in 0..6_usize, unit in 0..5_usize, value in -1_000_000_000_i64..1_000_000_000) {
        let unit = ["days", "hours", "seconds", "3 hours", "milliseconds"][unit];
        let units = TimeUnits::parse(&format!("{unit} since 1850-01-01 12:00"), NAMES[calendar]).unwrap();
        let moment = units.moment_of_integer(value.into()).unwrap();
        prop_assert_eq!(units.integer(moment), Some(value.into()));
        prop_assert_eq!(units.moment(value as f64), Some(moment));
        prop_assert!((units.value(moment) - value as f64).abs() < f64::EPSILON);
        let text = units.to_string();
        prop_assert_eq!(TimeUnits::parse(&text, NAMES[calendar]).unwrap(), units);
    }

    #[test]
    fn maps_lead_to_the_same_moment(value in -1_000_000_i64..1_000_000, from in 0..4_usize, to in 0..4_usize) {
        let units = ["days since 2000-01-01", "6 hours since 1900-03-01 06:00", "seconds since 2100-1-1", "minutes since 1-1-1"];
        let of = |at: usize| TimeUnits::parse(units[at], "noleap").unwrap();
        let map = of(from).map_to(&of(to), 0.0, 1.0).unwrap();
        let moment = of(from).moment_of_integer(value.into()).unwrap();
        prop_assert_eq!(map.integer(value.into()), of(to).integer(moment));
        prop_assert_eq!(map.float(value as f64).to_bits(), of(to).value(moment).to_bits());
    }

    #[test]
    fn no_text_is_too_much(units in "[a-z0-9 :.+-]{0,40}", date in "\\PC{0,30}") {
        drop(TimeUnits::parse(&units, ""));
        drop(TimeUnits::parse(&format!("days since {units}"), "julian"));
        drop(TimeUnits::parse(&format!("hours since {date}"), "360_day"));
        drop(Moment::parse(&date, Calendar::Standard));
    }
}
