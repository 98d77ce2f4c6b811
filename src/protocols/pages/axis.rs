//! Axes of a dataset and the values along them: what stands at their ends, and which indices a span of values is.

use std::time::Duration;

use cdm::{
    Dataset, Dimension, Error, FullName, Result, Selection, Slice, Source, Value, Variable,
    coordinates::{date::Moment, time::TimeUnits},
    values,
};
use futures::StreamExt;

/// Values that are read to find some; longer axes are asked for by index.
const MOST_VALUES: u64 = 1 << 20;

/// A page does not wait longer for what it can do without.
pub(super) const PATIENCE: Duration = Duration::from_millis(1500);

/// An axis that the form offers.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// See [`super::form`].
    pub(super) key: String,
    /// For people: short.
    pub(super) name: String,
    /// More than one.
    pub(super) size: u64,
    /// The variable with a value for each index.
    pub(super) coordinate: Option<FullName>,
    /// The coordinate's `units`.
    pub(super) units: String,
}

impl Axis {
    pub(super) fn new(key: String, dimension: &Dimension, dataset: &Dataset) -> Self {
        let name = dimension.name.as_ref().map_or_else(|| key.clone(), |n| n.short().to_owned());
        let coordinate = dimension
            .name
            .clone()
            .filter(|name| dataset.variable(name).is_some_and(|v| v.dimensions.len() == 1 && has_numbers(v)));
        let units = coordinate.as_ref().and_then(|c| dataset.variable(c)?.attributes.text("units"));
        let units = units.map(|u| u.trim().to_owned()).unwrap_or_default();
        Self { key, name, size: dimension.size, coordinate, units }
    }
}

fn has_numbers(variable: &Variable) -> bool {
    variable.data_type.is_numeric()
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    Number,
    /// Degrees that go round.
    Longitude,
    /// Dates.
    Time(TimeUnits),
}

impl Scale {
    fn of(variable: &Variable) -> Self {
        let units = variable.attributes.text("units").unwrap_or_default();
        let east = ["degrees_east", "degree_east", "degree_E", "degrees_E", "degreeE", "degreesE"];
        if east.contains(&units.trim()) {
            return Self::Longitude;
        }
        let calendar = variable.attributes.text("calendar").unwrap_or_default();
        TimeUnits::parse(&units, &calendar).map_or(Self::Number, Self::Time)
    }

    fn text(self, value: f64) -> String {
        if let Self::Time(units) = self {
            let text = units.date(value).map_or_else(|| "no time".to_owned(), |date| date.to_string());
            return text.strip_suffix("T00:00:00Z").map(str::to_owned).unwrap_or(text);
        }
        // As many digits as a 32-bit number needs, when it is one.
        #[expect(clippy::cast_possible_truncation, reason = "compared with what it was")]
        let short = value as f32;
        if f64::from(short).to_bits() == value.to_bits() { short.to_string() } else { value.to_string() }
    }

    /// The value that `text` means as the beginning or the end of a span: a day ends with its last moment.
    fn parse(self, text: &str, end: End) -> Result<f64> {
        let Self::Time(units) = self else {
            return text.parse().ok().filter(|v: &f64| v.is_finite()).ok_or_else(|| {
                Error::bad_request(format!("\"{text}\" is not a number; a value such as 12.5 is"))
            });
        };
        let moment = Moment::parse(text, units.calendar())?;
        let is_day = text.len() > 4 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let last = Moment::new(moment.nanoseconds() + TimeUnits::DAY - 1);
        Ok(units.value(if is_day && end == End::Last { last.unwrap_or(moment) } else { moment }))
    }
}

/// An end of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Last,
}

/// The values along an axis.
#[derive(Debug)]
pub(super) struct Coordinate {
    scale: Scale,
    values: Vec<f64>,
}

impl Coordinate {
    /// # Errors
    /// `BadRequest` for an axis without values or with too many; what reading them meets.
    pub(super) async fn read(source: &dyn Source, axis: &Axis) -> Result<Self> {
        let (name, variable) = coordinate_of(source, axis)
            .ok_or_else(|| Error::bad_request("this axis has no values; ask for indices"))?;
        if axis.size > MOST_VALUES {
            return Err(Error::bad_request(format!(
                "the axis has more than {MOST_VALUES} values; ask for indices"
            )));
        }
        let values = read(source, name, variable, Selection::all(&variable.shape())).await?;
        Ok(Self { scale: Scale::of(variable), values })
    }

    /// The first and the last index within a span of values, either end of which may be open.
    ///
    /// # Errors
    /// `BadRequest` for text that is no value, and for a span that holds no value or is not one piece.
    pub(super) fn indices(
        &self,
        axis: &Axis,
        (from, to): (Option<&str>, Option<&str>),
    ) -> Result<(u64, u64)> {
        let scale = self.scale;
        let from = from.map(|text| scale.parse(text, End::First)).transpose()?;
        let to = to.map(|text| scale.parse(text, End::Last)).transpose()?;
        let (low, high) = match (from, to) {
            (Some(a), Some(b)) if a > b => (b, a),
            (a, b) => (a.unwrap_or(f64::NEG_INFINITY), b.unwrap_or(f64::INFINITY)),
        };
        self.span(low, high).map_err(|what| {
            let ends = [self.values.first(), self.values.last()].map(|v| v.map(|v| scale.text(*v)));
            let [first, last] = ends.map(Option::unwrap_or_default);
            let units = if matches!(scale, Scale::Time(_)) { "" } else { axis.units.as_str() };
            Error::bad_request(
                format!("{what}; the axis goes from {first} to {last} {units}").trim_end().to_owned(),
            )
        })
    }

    fn span(&self, low: f64, high: f64) -> Result<(u64, u64), &'static str> {
        let goes_round = self.scale == Scale::Longitude && (high - low).is_finite();
        if goes_round && high - low >= 360.0 {
            return Ok((0, self.values.len() as u64 - 1));
        }
        let turns: &[f64] = if goes_round { &[0.0, 360.0, -360.0] } else { &[0.0] };
        let mut found = Vec::new();
        for turn in turns {
            let mut inside = self
                .values
                .iter()
                .enumerate()
                .filter(|(_, v)| (low + turn..=high + turn).contains(v))
                .map(|(i, _)| i as u64);
            if let Some(first) = inside.next() {
                let mut last = first;
                for index in inside {
                    if index != last + 1 {
                        return Err("the values do not rise or fall throughout; ask for indices");
                    }
                    last = index;
                }
                found.push((first, last));
            }
        }
        found.dedup();
        match found.as_slice() {
            [] => Err("no value lies between"),
            [one] => Ok(*one),
            _ => Err("the span crosses the end of the axis; ask for its two parts one after the other"),
        }
    }
}

/// The values at both ends of an axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) first: String,
    pub(super) last: String,
    /// They are dates, which need no units.
    pub(super) is_time: bool,
}

/// The values at both ends of an axis as text, if it has any.
pub(super) async fn ends(source: &dyn Source, axis: &Axis) -> Option<Ends> {
    let (name, variable) = coordinate_of(source, axis)?;
    let two = vec![Slice::new(0, 1, 1).ok()?, Slice::new(axis.size - 1, 1, 1).ok()?];
    let selection = Selection::new(vec![two], &variable.shape()).ok()?;
    let values = read(source, name, variable, selection).await.ok()?;
    let scale = Scale::of(variable);
    Some(Ends {
        first: scale.text(*values.first()?),
        last: scale.text(*values.last()?),
        is_time: matches!(scale, Scale::Time(_)),
    })
}

fn coordinate_of<'a>(source: &'a dyn Source, axis: &'a Axis) -> Option<(&'a FullName, &'a Variable)> {
    let name = axis.coordinate.as_ref()?;
    Some((name, source.dataset().variable(name)?))
}

/// Values as numbers, unpacked.
async fn read(
    source: &dyn Source,
    name: &FullName,
    variable: &Variable,
    selection: Selection,
) -> Result<Vec<f64>> {
    let number = |key: &str| {
        let attribute = variable.attributes.get(key)?;
        values(&attribute.data_type, &attribute.values).next()?.as_f64()
    };
    let (factor, offset) = (number("scale_factor"), number("add_offset"));
    let mut all = Vec::new();
    let mut blocks = source.read(name, &selection);
    while let Some(block) = blocks.next().await {
        let block = block?;
        all.extend(values(&variable.data_type, &block).map(|v| {
            let value = decimal(&v);
            match (factor, offset) {
                (None, None) => value,
                (factor, offset) => value * factor.unwrap_or(1.0) + offset.unwrap_or(0.0),
            }
        }));
    }
    Ok(all)
}

fn decimal(value: &Value<'_>) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scale: Scale, values: &[f64], span: (f64, f64), expect: Result<(u64, u64), &str>) {
        let coordinate = Coordinate { scale, values: values.to_vec() };
        let found = coordinate.span(span.0, span.1);
        assert_eq!(found.map_err(|e| &e[..11]), expect.map_err(|e| &e[..11]), "{values:?} {span:?}");
    }

    #[test]
    fn spans_of_values_are_ranges_of_indices() {
        let (up, down) = ([0.0, 10.0, 20.0, 30.0], [30.0, 20.0, 10.0, 0.0]);
        check(Scale::Number, &up, (10.0, 20.0), Ok((1, 2)));
        check(Scale::Number, &up, (9.0, 29.0), Ok((1, 2)));
        check(Scale::Number, &down, (9.0, 29.0), Ok((1, 2)));
        check(Scale::Number, &up, (f64::NEG_INFINITY, 5.0), Ok((0, 0)));
        check(Scale::Number, &up, (11.0, 19.0), Err("no value lies between"));
        check(Scale::Number, &[0.0, 9.0, 1.0, 9.0], (8.0, 9.0), Err("the values do not rise"));
        check(Scale::Number, &[f64::NAN, 1.0], (0.0, 9.0), Ok((1, 1)));
    }

    #[test]
    fn dates_are_values_of_the_units() {
        let units = TimeUnits::parse("days since 2000-01-01", "noleap").unwrap();
        let scale = Scale::Time(units);
        assert_eq!(scale.text(59.25), "2000-03-01T06:00:00Z");
        assert_eq!(scale.parse("2000-03-01T12:00", End::Last).unwrap().to_string(), "59.5");
        assert_eq!(scale.parse("2000-03-01", End::First).unwrap().to_string(), "59");
        // A day as the end is that whole day.
        check(
            scale,
            &[58.0, 59.0, 59.5, 60.0],
            (59.0, scale.parse("2000-03-01", End::Last).unwrap()),
            Ok((1, 2)),
        );
        assert!(scale.parse("2000-02-29", End::First).is_err(), "the calendar has no such day");
        assert!(scale.parse("yesterday", End::First).is_err());
    }

    #[test]
    fn longitudes_go_round() {
        let (whole, signed) = ([0.0, 90.0, 180.0, 270.0], [-180.0, -90.0, 0.0, 90.0]);
        check(Scale::Longitude, &whole, (-100.0, -80.0), Ok((3, 3)));
        check(Scale::Longitude, &signed, (260.0, 280.0), Ok((1, 1)));
        check(Scale::Longitude, &whole, (-100.0, 100.0), Err("the span crosses"));
        check(Scale::Longitude, &whole, (-180.0, 180.0), Ok((0, 3)));
        check(Scale::Longitude, &signed, (-200.0, 100.0), Ok((0, 3)));
        check(Scale::Longitude, &whole, (-100.0, f64::INFINITY), Ok((0, 3)));
        check(Scale::Longitude, &signed, (-180.0, 180.0), Ok((0, 3)));
        check(Scale::Longitude, &whole, (-360.0, 360.0), Ok((0, 3)));
        check(Scale::Number, &whole, (-100.0, -80.0), Err("no value lies between"));
    }
}
