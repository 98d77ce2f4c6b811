//! Reading the values of variables that say when, and writing those of views.

use cdm::{
    Block, Variable,
    coordinates::{calendar::Calendar, date::Moment, time::TimeUnits},
    values,
};

/// The numbers of a variable, `None` where it has none; nothing at all when they are no numbers.
pub(super) fn numbers(variable: &Variable, block: &Block) -> Option<Vec<Option<Number>>> {
    if !variable.data_type.is_numeric() {
        return None;
    }
    let number = |name: &str| {
        let attribute = variable.attributes.get(name)?;
        values(&attribute.data_type, &attribute.values).next()?.as_f64()
    };
    let missing = [number("_FillValue"), number("missing_value")];
    let (scale, offset) = (number("scale_factor"), number("add_offset"));
    let all: Vec<_> = values(&variable.data_type, block)
        .map(|value| {
            let real = value.as_f64().filter(|v| v.is_finite() && !missing.contains(&Some(*v)))?;
            if scale.is_some() || offset.is_some() {
                return Some(Number::Real(real * scale.unwrap_or(1.0) + offset.unwrap_or(0.0)));
            }
            Some(value.as_integer().map_or(Number::Real(real), Number::Whole))
        })
        .collect();
    (all.len() as u64 == variable.element_count()).then_some(all)
}

/// A number as it is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// Of an integer type.
    Whole(i128),
    /// Of a floating-point type.
    Real(f64),
}

/// How exactly times of a type can be told apart, in nanoseconds: two runs write the same time as different
/// numbers, and what differs by rounding alone must not become two times.
fn grain(variable: &Variable) -> i128 {
    if variable.data_type.fixed_size() == Some(4) { TimeUnits::SECOND } else { TimeUnits::SECOND / 1000 }
}

/// The point in time that a number is.
pub(super) fn moment(units: &TimeUnits, variable: &Variable, number: Number) -> Option<Moment> {
    match number {
        Number::Whole(value) => units.moment_of_integer(value),
        Number::Real(value) => {
            let grain = if units.unit() < TimeUnits::SECOND { 1 } else { grain(variable) };
            let exact = units.moment(value)?.nanoseconds();
            Moment::new((exact + grain / 2).div_euclid(grain) * grain)
        }
    }
}

/// The units in which a variable counts from a point in time; `None` when it does not.
pub(super) fn time_units(variable: &Variable) -> Option<TimeUnits> {
    if !variable.data_type.is_numeric() {
        return None;
    }
    let units = variable.attributes.text("units")?;
    let calendar = variable.attributes.text("calendar").unwrap_or_default();
    TimeUnits::parse(&units, &calendar).ok()
}

/// Nanoseconds of the unit in which a variable gives lengths of time; `None` when it gives something else.
pub(super) fn duration_unit(variable: &Variable) -> Option<i128> {
    if !variable.data_type.is_numeric() {
        return None;
    }
    let units = variable.attributes.text("units")?;
    TimeUnits::parse(&format!("{units} since 2000-01-01"), "").ok().map(|units| units.unit())
}

/// How views count: from the first run, in hours, or in the largest unit in which no time of the collection needs
/// a fraction that a double does not have exactly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    units: TimeUnits,
    name: &'static str,
}

impl Clock {
    /// For `times`, counted from `first`.
    pub(super) fn new(
        first: Moment,
        calendar: Calendar,
        times: impl Iterator<Item = Moment>,
    ) -> Option<Self> {
        let units = [
            (TimeUnits::HOUR, TimeUnits::HOUR / 4, "hours"),
            (TimeUnits::HOUR / 60, TimeUnits::HOUR / 60, "minutes"),
            (TimeUnits::SECOND, TimeUnits::SECOND, "seconds"),
            (TimeUnits::SECOND / 1000, TimeUnits::SECOND / 1000, "milliseconds"),
        ];
        let mut at = 0;
        for time in times {
            let distance = time.nanoseconds() - first.nanoseconds();
            while units.get(at + 1).is_some()
                && units.get(at).is_some_and(|(_, exact, _)| distance % exact != 0)
            {
                at += 1;
            }
        }
        let (unit, _, name) = *units.get(at)?;
        Some(Self { units: TimeUnits::new(unit, first, calendar)?, name })
    }

    /// `units` of times.
    pub(super) fn since(&self) -> String {
        self.units.to_string()
    }

    /// `units` of lengths of time.
    pub(super) fn unit_name(&self) -> &'static str {
        self.name
    }

    /// The calendar of times.
    pub(super) fn calendar(&self) -> Calendar {
        self.units.calendar()
    }

    /// The number of a time.
    pub(super) fn value(&self, time: Moment) -> f64 {
        self.units.value(time)
    }

    /// The number of a length of time in nanoseconds.
    pub(super) fn length(&self, nanoseconds: i128) -> f64 {
        nanoseconds as f64 / self.units.unit() as f64
    }
}
