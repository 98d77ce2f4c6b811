//! What the values of a coordinate cover: its ends and its step. Longitudes know that the earth is round.

use std::sync::Arc;

use futures::StreamExt;

use super::{
    date::{DAY, Date, Moment},
    summary::{Range, TimeCoverage},
    time::TimeUnits,
};
use crate::{Attribute, DataType, ErrorKind, FullName, Result, Selection, Slice, Source, Variable, values};

/// Values of one coordinate that are read; of a larger one the ends (of a surface: its edges).
pub(super) const MOST_VALUES: u64 = 1_000_000;

/// Deviation of a step from their mean, in parts of it, that still is the same step.
const UNEVEN: f64 = 1e-3;

/// Values of a coordinate: unpacked, without those that are missing.
#[derive(Debug, Clone)]
pub(super) struct Values {
    pub(super) numbers: Vec<f64>,
    /// All of them were read, and they lie along one dimension.
    is_line: bool,
    /// How many there are in all.
    count: u64,
}

impl Values {
    /// Without numbers that are further from 0 than a coordinate can be.
    pub(super) fn within(self, most: f64) -> Self {
        let before = self.numbers.len();
        let numbers: Vec<f64> = self.numbers.into_iter().filter(|v| v.abs() <= most).collect();
        Self { is_line: self.is_line && numbers.len() == before, numbers, count: self.count }
    }
}

/// Reads a coordinate. `None` when its stored bytes are broken or of a kind that is not read here.
pub(super) async fn read(
    source: &Arc<dyn Source>,
    name: &FullName,
    variable: &Variable,
) -> Result<Option<Values>> {
    let count = variable.element_count();
    let parts =
        if count <= MOST_VALUES { Some(vec![Selection::all(&variable.shape())]) } else { edges(variable) };
    let Some(parts) = parts else { return Ok(None) };
    let packing = Packing::of(variable);
    let mut numbers = Vec::new();
    for part in parts {
        let mut blocks = source.read(name, &part);
        while let Some(block) = blocks.next().await {
            match block {
                Ok(block) => {
                    let stored = values(&variable.data_type, &block).filter_map(|v| v.as_f64());
                    numbers.extend(stored.filter_map(|v| packing.unpack(v)));
                }
                Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported) => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }
    let is_line = count <= MOST_VALUES && variable.dimensions.len() <= 1 && numbers.len() as u64 == count;
    Ok(Some(Values { numbers, is_line, count }))
}

/// First and last along every dimension; of a surface its four edges.
fn edges(variable: &Variable) -> Option<Vec<Selection>> {
    let shape = variable.shape();
    let ends = |size: u64| Slice::new(0, size.saturating_sub(1).max(1), size.min(2)).ok();
    let whole = |size: u64| Some(Slice::all(size)).filter(|_| size <= MOST_VALUES / 2);
    let axes: Vec<Vec<Option<Slice>>> = match shape.as_slice() {
        [rows, columns] => vec![vec![ends(*rows), whole(*columns)], vec![whole(*rows), ends(*columns)]],
        // 2^rank values: none where that is many.
        other if other.len() <= 8 => vec![other.iter().map(|size| ends(*size)).collect()],
        _ => return None,
    };
    axes.into_iter()
        .map(|axes| {
            let axes = axes.into_iter().map(|slice| Some(vec![slice?])).collect::<Option<_>>()?;
            Selection::new(axes, &shape).ok()
        })
        .collect()
}

/// How stored numbers become values (CF section 8.1), and which are none (2.5.1).
struct Packing {
    scale: f64,
    offset: f64,
    missing: Vec<f64>,
}

impl Packing {
    fn of(variable: &Variable) -> Self {
        let all = |name| variable.attributes.get(name).map(numbers).unwrap_or_default();
        let first = |name| all(name).first().copied();
        let mut missing = all("_FillValue");
        missing.extend(all("missing_value"));
        Self {
            scale: first("scale_factor").unwrap_or(1.0),
            offset: first("add_offset").unwrap_or(0.0),
            missing,
        }
    }

    fn unpack(&self, stored: f64) -> Option<f64> {
        // As written, so that equality is what is meant.
        let is_missing = !stored.is_finite() || self.missing.iter().any(|m| m.to_bits() == stored.to_bits());
        (!is_missing).then_some(stored * self.scale + self.offset)
    }
}

fn numbers(attribute: &Attribute) -> Vec<f64> {
    values(&attribute.data_type, &attribute.values).filter_map(|v| v.as_f64()).collect()
}

fn ends(numbers: &[f64]) -> Option<(f64, f64)> {
    let first = *numbers.first()?;
    Some(numbers.iter().fold((first, first), |(min, max), v| (min.min(*v), max.max(*v))))
}

/// The step of values that have one.
fn step(values: &Values) -> Option<f64> {
    let [first, .., last] = values.numbers.as_slice() else { return None };
    let mean = (last - first) / (values.numbers.len() - 1) as f64;
    let is_even = |pair: &[f64]| match pair {
        [a, b] => (b - a - mean).abs() <= mean.abs() * UNEVEN,
        _ => false,
    };
    let is_regular = values.is_line && mean.abs() > 0.0 && values.numbers.windows(2).all(is_even);
    // Digits that a Float32 does not have are no part of it.
    is_regular.then(|| short(mean.abs()))
}

/// The number of at most seven digits, when that is what a Float32 says.
fn short(number: f64) -> f64 {
    let rounded: Option<f64> = format!("{number:.6e}").parse().ok();
    rounded.filter(|r| (r - number).abs() <= number.abs() * 1e-5).unwrap_or(number)
}

/// Smallest and largest.
pub(super) fn range(values: &Values) -> Option<Range> {
    let (min, max) = ends(&values.numbers)?;
    Some(Range { min, max, resolution: step(values) })
}

/// Westernmost and easternmost: as the values say, unless they leave out a part of the globe that lies between the
/// smallest and the largest, as those on both sides of the date line do.
pub(super) fn longitudes(values: &Values) -> Option<Range> {
    let (min, max) = ends(&values.numbers)?;
    let mut round: Vec<f64> = values.numbers.iter().map(|v| v.rem_euclid(360.0)).collect();
    round.sort_unstable_by(f64::total_cmp);
    let seam = round.first().zip(round.last()).map_or(360.0, |(first, last)| first + 360.0 - last);
    let gaps = round.windows(2).filter_map(|pair| match pair {
        [a, b] => Some((b - a, *b)),
        _ => None,
    });
    let first = round.first().copied()?;
    let (gap, west) = gaps.fold((seam, first), |widest, gap| if gap.0 > widest.0 { gap } else { widest });
    let span = 360.0 - gap;
    let (west, east) = if span + 1.0 < max - min { (west, west + span) } else { (min, max) };
    // One name for one place: the west end is in -180 to 180 where the values do not say otherwise.
    let turn = if west >= 180.0 {
        -360.0
    } else if west < -180.0 {
        360.0
    } else {
        0.0
    };
    Some(Range { min: west + turn, max: east + turn, resolution: step(values) })
}

/// The span of a time coordinate; `None` when its units are none or it has no value.
pub(super) fn time(variable: &Variable, values: &Values) -> Option<TimeCoverage> {
    let text = |name| variable.attributes.text(name).unwrap_or_default();
    let units = TimeUnits::parse(&text("units"), &text("calendar")).ok()?;
    let precision =
        if variable.data_type == DataType::Float32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let moments: Vec<Moment> =
        values.numbers.iter().filter_map(|v| Some(plain(units.moment(*v)?, *v, &units, precision))).collect();
    let (start, end) = (moments.iter().min()?, moments.iter().max()?);
    let dates: Vec<Date> =
        if values.is_line { moments.iter().map(|m| m.date(units.calendar())).collect() } else { Vec::new() };
    let resolution = if values.is_line { even_step(&moments).or_else(|| month_step(&dates)) } else { None };
    Some(TimeCoverage {
        start: start.date(units.calendar()).to_string(),
        end: end.date(units.calendar()).to_string(),
        calendar: units.calendar().name().to_owned(),
        resolution,
        count: values.count,
    })
}

/// The whole hour, minute or second that a float means: as near as its own precision tells times apart.
fn plain(moment: Moment, value: f64, units: &TimeUnits, precision: f64) -> Moment {
    let doubt = value.abs() * precision * units.unit() as f64;
    let exact = moment.nanoseconds();
    let rounded = [TimeUnits::HOUR, TimeUnits::HOUR / 60, TimeUnits::SECOND].into_iter().find_map(|of| {
        let below = exact.div_euclid(of) * of;
        let nearest = if exact - below > of / 2 { below + of } else { below };
        let is_near = (nearest - exact).abs() as f64 <= doubt.min(of as f64 / 4.0);
        if is_near { Moment::new(nearest) } else { None }
    });
    rounded.unwrap_or(moment)
}

/// The step of equidistant times, as an ISO 8601 duration.
fn even_step(moments: &[Moment]) -> Option<String> {
    let [first, second, ..] = moments else { return None };
    let step = second.nanoseconds() - first.nanoseconds();
    // Times of a Float32 are rounded each.
    let is_even = |pair: &[Moment]| match pair {
        [a, b] => (b.nanoseconds() - a.nanoseconds() - step).abs() as f64 <= step.abs() as f64 * UNEVEN,
        _ => false,
    };
    (step != 0 && moments.windows(2).all(is_even)).then(|| duration(step.abs()))
}

fn duration(nanoseconds: i128) -> String {
    let seconds = nanoseconds / TimeUnits::SECOND;
    let part = |count: i128, letter: &str| if count > 0 { format!("{count}{letter}") } else { String::new() };
    let (day, hour) = (part(nanoseconds / DAY, "D"), part(seconds / 3600 % 24, "H"));
    let minute = part(seconds / 60 % 60, "M");
    let second = match nanoseconds % TimeUnits::SECOND {
        0 => part(seconds % 60, "S"),
        fraction => format!("{}.{}S", seconds % 60, format!("{fraction:09}").trim_end_matches('0')),
    };
    let mark = if nanoseconds % DAY == 0 { "" } else { "T" };
    format!("P{day}{mark}{hour}{minute}{second}")
}

/// Times a number of calendar months apart, on about the same day of each: monthly means lie in the middle of
/// months of different length.
fn month_step(dates: &[Date]) -> Option<String> {
    let month = |d: &Date| d.year * 12 + i64::from(d.month);
    let [first, second, ..] = dates else { return None };
    let step = month(second) - month(first);
    let is_even = |pair: &[Date]| match pair {
        [a, b] => month(b) - month(a) == step && a.day.abs_diff(b.day) <= 3,
        _ => false,
    };
    if step == 0 || !dates.windows(2).all(is_even) {
        return None;
    }
    let months = step.abs();
    Some(if months % 12 == 0 { format!("P{}Y", months / 12) } else { format!("P{months}M") })
}
