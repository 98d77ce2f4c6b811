//! Sizes and times as text.

use std::time::SystemTime;

use cdm::coordinates::{calendar::Calendar, date::Moment};

/// `2026-01-31T08:00:00Z`, whole seconds; empty for times before 1970.
pub(crate) fn iso(time: Option<SystemTime>) -> String {
    let since = time.and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
    let moment = since.and_then(|d| Moment::new(i128::from(d.as_secs()) * 1_000_000_000));
    moment.map(|m| m.date(Calendar::ProlepticGregorian).to_string()).unwrap_or_default()
}

/// `12.3 MB`, for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times() {
        // Judged by `date -u -d @N +%FT%TZ`.
        for (seconds, expect) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_000_000_000, "2001-09-09T01:46:40Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
        ] {
            assert_eq!(iso(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))), expect);
        }
        assert_eq!(iso(None), "");
    }

    #[test]
    fn sizes() {
        for (bytes, expect) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (374_000_000, "374.0 MB"), (999_999, "1.0 MB")]
        {
            assert_eq!(size(bytes), expect);
        }
    }
}
