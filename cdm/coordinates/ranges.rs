//! From values to indices along an axis: ranges and the nearest, ascending or descending, and around the globe.
//! Pure functions of the coordinate's values.

use crate::{Error, Result, Slice};

/// Distance from an end of a range, in parts of the axis' mean step, within which a value still is inside: 0.1 as
/// a Float32 is more than 0.1.
pub const TOLERANCE: f64 = 1e-3;

/// The indices of the values from `low` to `high`, ends included. One slice, or none when no value is inside.
///
/// # Errors
/// `BadRequest` when an end is no number or comes behind the other, or the axis does not run in one direction.
pub fn between(values: &[f64], low: f64, high: f64) -> Result<Vec<Slice>> {
    check_ends(low, high)?;
    if high < low {
        return Err(Error::bad_request(format!("the range {low} to {high} ends before it begins")));
    }
    check_order(values)?;
    let slack = slack(values);
    runs(values, |v| v >= low - slack && v <= high + slack)
}

/// The indices of the longitudes from `west` eastwards to `east`. Degrees differ by whole turns as they like: -10 to
/// 10 are 350 to 10 too. Two slices, in order, when the range crosses the place where the axis begins and ends.
///
/// # Errors
/// As [`between`]; any order of the ends is a range.
pub fn between_longitudes(values: &[f64], west: f64, east: f64) -> Result<Vec<Slice>> {
    check_ends(west, east)?;
    check_order(values)?;
    let slack = slack(values);
    // A whole turn is everything; else the way from west to east.
    let span = if (east - west).abs() >= 360.0 { 360.0 } else { (east - west).rem_euclid(360.0) };
    // Degrees on the way from west to a value; what is west itself but for rounding is at its beginning.
    let way = |v: f64| {
        let way = (v - west).rem_euclid(360.0);
        if way >= 360.0 - slack { way - 360.0 } else { way }
    };
    let mut found = runs(values, |v| way(v) <= span + slack)?;
    if let ([only], true) = (found.as_slice(), span < 360.0) {
        // All there is may still have its west within: what is left out lies between two values.
        let is_falling = values.first() > values.last();
        let starts_anew = |pair: &[f64]| matches!(pair, [a, b] if (way(*b) < way(*a)) != is_falling);
        let skipped = usize::try_from(only.start).unwrap_or(usize::MAX);
        let count = usize::try_from(only.count).unwrap_or(usize::MAX);
        let first = values.windows(2).skip(skipped).take(count.saturating_sub(1));
        if let Some(at) = first.enumerate().find(|(_, pair)| starts_anew(pair)).map(|(at, _)| at as u64 + 1) {
            let before = Slice { count: at, ..*only };
            let after = Slice { start: only.start + at, count: only.count - at, ..*only };
            return Ok(vec![after, before]);
        }
    }
    if let [first, last] = found.as_slice() {
        let (first, mut last) = (*first, *last);
        // An axis that has its first meridian twice, 0 and 360, gives it once.
        let doubles =
            values.first().zip(values.last()).is_some_and(|(a, b)| ((b - a).abs() - 360.0).abs() <= slack);
        if doubles {
            last.count -= 1;
        }
        found = [last, first].into_iter().filter(|slice| slice.count > 0).collect();
    }
    Ok(found)
}

/// The index of the value nearest to `wanted`, the first of two.
///
/// # Errors
/// `BadRequest` when it is no number, or the axis has no value.
pub fn nearest(values: &[f64], wanted: f64) -> Result<u64> {
    closest(values, wanted, |v| (v - wanted).abs())
}

/// As [`nearest`], around the globe.
///
/// # Errors
/// As [`nearest`].
pub fn nearest_longitude(values: &[f64], wanted: f64) -> Result<u64> {
    closest(values, wanted, |v| {
        let way = (v - wanted).rem_euclid(360.0);
        way.min(360.0 - way)
    })
}

fn closest(values: &[f64], wanted: f64, distance: impl Fn(f64) -> f64) -> Result<u64> {
    check_ends(wanted, wanted)?;
    let candidates = values.iter().enumerate().filter(|(_, v)| v.is_finite());
    let best = candidates.min_by(|(_, a), (_, b)| distance(**a).total_cmp(&distance(**b)));
    best.map(|(i, _)| i as u64).ok_or_else(|| Error::bad_request("the axis has no values"))
}

fn check_ends(a: f64, b: f64) -> Result<()> {
    match [a, b].into_iter().find(|v| !v.is_finite()) {
        Some(value) => Err(Error::bad_request(format!("{value} is no end of a range"))),
        None => Ok(()),
    }
}

fn check_order(values: &[f64]) -> Result<()> {
    let is_falling = values.first().zip(values.get(1)).is_some_and(|(a, b)| b < a);
    let wrong = values.windows(2).position(|pair| match pair {
        [a, b] => !(if is_falling { b < a } else { a < b }),
        _ => false,
    });
    match wrong {
        Some(index) => Err(Error::bad_request(format!(
            "the axis does not run in one direction (index {}): choose indices",
            index + 1
        ))),
        None => Ok(()),
    }
}

fn slack(values: &[f64]) -> f64 {
    match values {
        [first, .., last] => (last - first).abs() / (values.len() - 1) as f64 * TOLERANCE,
        _ => 0.0,
    }
}

/// Slices of neighbours for which `inside` holds.
fn runs(values: &[f64], inside: impl Fn(f64) -> bool) -> Result<Vec<Slice>> {
    let mut found: Vec<Slice> = Vec::new();
    let mut is_open = false;
    for (index, value) in values.iter().enumerate() {
        let is_inside = inside(*value);
        match found.last_mut() {
            Some(slice) if is_inside && is_open => slice.count += 1,
            _ if is_inside => found.push(Slice::new(index as u64, 1, 1)?),
            _ => {}
        }
        is_open = is_inside;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(found: Result<Vec<Slice>>) -> Vec<(u64, u64)> {
        found.unwrap().iter().map(|s| (s.start, s.count)).collect()
    }

    #[test]
    fn ranges() {
        let rising = [-60.0, -30.0, 0.0, 30.0, 60.0];
        let falling = [60.0, 30.0, 0.0, -30.0, -60.0];
        assert_eq!(shown(between(&rising, -30.0, 30.0)), [(1, 3)]);
        assert_eq!(shown(between(&falling, -30.0, 30.0)), [(1, 3)]);
        assert_eq!(shown(between(&falling, 20.0, 1e9)), [(0, 2)]);
        assert_eq!(shown(between(&rising, 1.0, 29.0)), []);
        assert_eq!(shown(between(&[], 1.0, 29.0)), []);
        assert_eq!(shown(between(&[5.0], 5.0, 5.0)), [(0, 1)]);
        let tenths: Vec<f64> = (0..10_u8).map(|i| f64::from(f32::from(i) * 0.1_f32)).collect();
        assert_eq!(shown(between(&tenths, 0.1, 0.3)), [(1, 3)], "ends as people write them");
        for (values, low, high) in [
            (&rising[..], 1.0, 0.0),
            (&rising, f64::NAN, 1.0),
            (&[1.0, 2.0, 2.0], 0.0, 1.0),
            (&[1.0, 3.0, 2.0], 0.0, 1.0),
        ] {
            assert!(between(values, low, high).is_err());
        }
    }

    #[test]
    fn around_the_globe() {
        let east: Vec<f64> = (0..36).map(|i| f64::from(i) * 10.0).collect();
        let west: Vec<f64> = (0..36).map(|i| f64::from(i) * 10.0 - 180.0).collect();
        let falling: Vec<f64> = east.iter().rev().copied().collect();
        let doubled: Vec<f64> = (0..37).map(|i| f64::from(i) * 10.0).collect();
        assert_eq!(shown(between_longitudes(&east, -20.0, 20.0)), [(34, 2), (0, 3)]);
        assert_eq!(shown(between_longitudes(&east, 340.0, 20.0)), [(34, 2), (0, 3)]);
        assert_eq!(shown(between_longitudes(&west, -20.0, 20.0)), [(16, 5)]);
        assert_eq!(shown(between_longitudes(&west, 160.0, 200.0)), [(34, 2), (0, 3)]);
        assert_eq!(shown(between_longitudes(&west, 160.0, -160.0)), [(34, 2), (0, 3)]);
        assert_eq!(shown(between_longitudes(&falling, -20.0, 20.0)), [(33, 3), (0, 2)]);
        assert_eq!(shown(between_longitudes(&doubled, -20.0, 20.0)), [(34, 2), (0, 3)]);
        assert_eq!(shown(between_longitudes(&doubled, 0.0, 0.0)), [(0, 1)]);
        assert_eq!(shown(between_longitudes(&east, -180.0, 180.0)), [(0, 36)]);
        assert_eq!(shown(between_longitudes(&east, 0.0, 360.0)), [(0, 36)]);
        assert_eq!(shown(between_longitudes(&east[..10], 200.0, 300.0)), []);
        assert_eq!(nearest_longitude(&east, -1.0).unwrap(), 0);
        assert_eq!(nearest_longitude(&west, 176.0).unwrap(), 0);
        assert_eq!(nearest(&falling, 347.0).unwrap(), 0);
        assert!(nearest(&[f64::NAN], 1.0).is_err());
    }

    proptest! {
        #[test]
        fn every_value_inside_and_no_other(
            start in -400_i32..400, count in 1..72_usize, west in -400_i32..400, span in 0..360_i32, is_falling: bool
        ) {
            let mut values: Vec<f64> = (0..count).map(|i| f64::from(start) + i as f64 * 5.0).collect();
            if is_falling {
                values.reverse();
            }
            let (from, to) = (f64::from(west) + 0.5, f64::from(west + span) + 0.5);
            let chosen: Vec<u64> = between_longitudes(&values, from, to).unwrap().iter().flat_map(|s| s.indices()).collect();
            let mut sorted = chosen.clone();
            sorted.sort_unstable();
            // By steps of one degree, which the rule does not use.
            let expect: Vec<u64> = (0..count as u64)
                .filter(|i| {
                    let value = values[usize::try_from(*i).unwrap()];
                    (-6..7).map(|turn| value + 360.0 * f64::from(turn)).any(|v| v >= from && v <= to)
                })
                .collect();
            prop_assert_eq!(sorted, expect);
            // In order from west to east, or the other way: each step is on from the one before.
            for pair in chosen.windows(2) {
                let of = |i: u64| (values[usize::try_from(i).unwrap()] - from).rem_euclid(360.0);
                prop_assert_eq!(of(pair[0]) < of(pair[1]), !is_falling);
            }
        }
    }
}
