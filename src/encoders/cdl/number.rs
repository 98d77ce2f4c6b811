//! Numbers as C's `printf("%.Ng")` prints them, and the type suffixes of CDL.

use cdm::Value;

/// `%.<precision>g`.
fn general(value: f64, precision: usize) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    let scientific = format!("{:.*e}", precision - 1, value);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let significant = i32::try_from(precision).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= significant {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(significant - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

/// Without trailing zeros of the fraction.
fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// A number in a data section: no suffix.
pub(super) fn plain(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::Int(i) => i.to_string(),
        Value::UInt(u) => u.to_string(),
        Value::Float32(f) => general((*f).into(), 7),
        Value::Float64(f) => general(*f, 15),
        _ => return None,
    })
}

/// A number in an attribute: floats have a decimal point, types are marked by a suffix.
pub(super) fn suffixed(value: &Value<'_>, data_type: &cdm::DataType) -> Option<String> {
    use cdm::DataType as T;
    let digits = plain(value)?;
    let suffix = match data_type {
        T::Int8 => "b",
        T::UInt8 => "UB",
        T::Int16 => "s",
        T::UInt16 => "US",
        T::UInt32 => "U",
        T::Int64 => "LL",
        T::UInt64 => "ULL",
        T::Float32 => "f",
        _ => "",
    };
    let digits = match value {
        Value::Float32(_) | Value::Float64(_) => pointed(&digits),
        _ => digits,
    };
    Some(digits + suffix)
}

/// With a decimal point: `1` becomes `1.`, `1e+20` becomes `1.e+20`.
fn pointed(digits: &str) -> String {
    if digits.contains('.') || digits.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return digits.to_owned();
    }
    match digits.split_once('e') {
        Some((mantissa, exponent)) => format!("{mantissa}.e{exponent}"),
        None => format!("{digits}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expectations are what C's printf prints.
    #[test]
    fn general_is_what_printf_prints() {
        for (value, precision, expected) in [
            (0.0, 7, "0"),
            (-0.0, 7, "-0"),
            (1.5, 7, "1.5"),
            (100_000.0, 7, "100000"),
            (1e7, 7, "1e+07"),
            (1_234_567.0, 7, "1234567"),
            (12_345_678.0, 7, "1.234568e+07"),
            (0.0001, 15, "0.0001"),
            (0.000_01, 15, "1e-05"),
            (123_456_789.123_456_79, 15, "123456789.123457"),
            (1e-300, 15, "1e-300"),
            (9.999_999_9, 7, "10"),
        ] {
            assert_eq!(general(value, precision), expected, "{value}");
        }
    }
}
