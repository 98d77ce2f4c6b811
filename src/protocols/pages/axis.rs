//! Axes of a dataset and the values along them: what stands at their ends, and which indices a span of values is.

use std::time::Duration;

use cdm::{
    Dataset, Dimension, Error, FullName, Result, Selection, Slice, Source, Value, Variable,
    coordinates::{axes, date::Moment, ranges, time::TimeUnits},
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
    /// Its dimension, if that has a name.
    pub(super) dimension: Option<FullName>,
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
        Self { key, name, dimension: dimension.name.clone(), size: dimension.size, coordinate, units }
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
        if axes::axis(variable) == Some(axes::Axis::Longitude) {
            return Self::Longitude;
        }
        let units = variable.attributes.text("units").unwrap_or_default();
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

    /// The value that `text` means.
    fn parse(self, text: &str) -> Result<f64> {
        match self {
            Self::Time(units) => Ok(units.value(Moment::parse(text, units.calendar())?)),
            Self::Number | Self::Longitude => {
                text.parse().ok().filter(|v: &f64| v.is_finite()).ok_or_else(|| {
                    Error::bad_request(format!("\"{text}\" is not a number; a value such as 12.5 is"))
                })
            }
        }
    }

    /// The value that `text` means as the end of a span of `values`: a day ends with its last moment.
    fn parse_end(self, text: &str, values: &[f64]) -> Result<f64> {
        let start = self.parse(text)?;
        let is_day = text.trim_start_matches('-').matches('-').count() == 2
            && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let (Self::Time(units), true, [first, .., last]) = (self, is_day, values) else { return Ok(start) };
        // A range takes in what lies this close behind its end, which the next day's beginning must not.
        let slack = 2.0 * ranges::TOLERANCE * (last - first).abs() / (values.len() - 1) as f64;
        let day = TimeUnits::DAY as f64 / units.unit() as f64;
        Ok(start.max(start + day - slack))
    }
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
        let from = from.map(|text| scale.parse(text)).transpose()?;
        let to = to.map(|text| scale.parse_end(text, &self.values)).transpose()?;
        let found = match (from, to) {
            (Some(west), Some(east)) if scale == Scale::Longitude => {
                ranges::between_longitudes(&self.values, west, east)
            }
            (Some(a), Some(b)) => ranges::between(&self.values, a.min(b), a.max(b)),
            (a, b) => ranges::between(&self.values, a.unwrap_or(f64::MIN), b.unwrap_or(f64::MAX)),
        };
        match found?.as_slice() {
            [one] => Ok((one.start, one.last().unwrap_or(one.start))),
            [] => Err(self.nothing(axis)),
            _ => Err(Error::bad_request(
                "this way the values go on over the end of the axis; ask for its two parts one after the other",
            )),
        }
    }

    fn nothing(&self, axis: &Axis) -> Error {
        let ends = [self.values.first(), self.values.last()].map(|v| v.map(|v| self.scale.text(*v)));
        let [first, last] = ends.map(Option::unwrap_or_default);
        let units = if matches!(self.scale, Scale::Time(_)) { "" } else { axis.units.as_str() };
        let message = format!("no value lies between; the axis goes from {first} to {last} {units}");
        Error::bad_request(message.trim_end().to_owned())
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

    fn check(
        scale: Scale,
        values: &[f64],
        span: (&'static str, &'static str),
        expect: Result<(u64, u64), &str>,
    ) {
        let coordinate = Coordinate { scale, values: values.to_vec() };
        let axis = Axis {
            key: "/x".to_owned(),
            name: "x".to_owned(),
            dimension: None,
            size: values.len() as u64,
            coordinate: None,
            units: "K".to_owned(),
        };
        let end = |text| Some(text).filter(|t: &&str| !t.is_empty());
        match (coordinate.indices(&axis, (end(span.0), end(span.1))), expect) {
            (Ok(found), Ok(expect)) => assert_eq!(found, expect, "{span:?}"),
            (Err(e), Err(expect)) => assert!(e.message().contains(expect), "{e} for {span:?}"),
            (found, expect) => assert!(found.is_err() && expect.is_err(), "{found:?} for {span:?}"),
        }
    }

    #[test]
    fn spans_of_values_are_ranges_of_indices() {
        let (up, down) = ([0.0, 10.0, 20.0, 30.0], [30.0, 20.0, 10.0, 0.0]);
        check(Scale::Number, &up, ("10", "20"), Ok((1, 2)));
        check(Scale::Number, &up, ("29", "9"), Ok((1, 2)));
        check(Scale::Number, &down, ("9", "29"), Ok((1, 2)));
        check(Scale::Number, &up, ("", "5"), Ok((0, 0)));
        check(Scale::Number, &up, ("11", "19"), Err("no value lies between; the axis goes from 0 to 30 K"));
        check(Scale::Number, &[0.0, 9.0, 1.0], ("8", ""), Err("one direction"));
        check(Scale::Number, &up, ("nan", ""), Err("not a number"));
        check(Scale::Longitude, &[0.0, 90.0, 180.0, 270.0], ("-100", "-80"), Ok((3, 3)));
        check(Scale::Longitude, &[0.0, 90.0, 180.0, 270.0], ("-100", "100"), Err("over the end"));
    }

    #[test]
    fn dates_are_values_of_the_units() {
        let units = TimeUnits::parse("days since 2000-01-01", "noleap").unwrap();
        let scale = Scale::Time(units);
        assert_eq!(scale.text(59.25), "2000-03-01T06:00:00Z");
        assert_eq!(scale.text(59.0), "2000-03-01");
        // A day as the end is that whole day.
        check(scale, &[58.0, 59.0, 59.5, 60.0], ("2000-03-01", "2000-03-01"), Ok((1, 2)));
        check(scale, &[58.0, 59.0, 59.5, 60.0], ("2000-03-01T12:00", ""), Ok((2, 3)));
        check(scale, &[58.0], ("2000-02-29", ""), Err("has no day"));
        check(scale, &[58.0], ("yesterday", ""), Err("not a date"));
        check(scale, &[58.0, 59.0], ("2001", ""), Err("the axis goes from 2000-02-28 to 2000-03-01"));
    }
}
