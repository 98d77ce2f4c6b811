//! A date in a file's name, where a mark says: `sst_#yyyyMMdd`, as THREDDS has it.

/// A date format and where in the name it applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DateMark {
    /// Characters before the date, `sst_#yyyyMMdd`; or the text before it, `#sst_#yyyyMMdd`.
    before: Before,
    format: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Before {
    Count(usize),
    Text(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// A letter of the format, so many times.
    Field(char, usize),
    Literal(char),
}

impl DateMark {
    pub(super) fn new(mark: &str) -> Self {
        let mut parts = mark.split('#');
        let (first, second, third) = (parts.next().unwrap_or(mark), parts.next(), parts.next());
        let (before, format) = match (second, third) {
            (None, _) => (Before::Count(0), first),
            (Some(format), None) => (Before::Count(first.chars().count()), format),
            (Some(text), Some(format)) => (Before::Text(text.to_owned()), format),
        };
        Self { before, format: parts_of(format) }
    }

    /// The date in the last component of `path` (with a text before it: anywhere), in ISO 8601.
    pub(super) fn date(&self, path: &str) -> Option<String> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let rest = match &self.before {
            Before::Count(count) => name.chars().skip(*count).collect::<String>(),
            Before::Text(text) => path.split_once(text.as_str())?.1.to_owned(),
        };
        self.parse(&rest)
    }

    fn parse(&self, text: &str) -> Option<String> {
        let mut rest = text;
        let (mut year, mut month, mut day) = (None, 1_u32, 1_u32);
        let (mut hour, mut minute, mut second, mut day_of_year) = (0_u32, 0_u32, 0_u32, None);
        for part in &self.format {
            let (letter, width) = match part {
                Part::Literal(wanted) => {
                    rest = rest.strip_prefix(*wanted)?;
                    continue;
                }
                Part::Field(letter, width) => (*letter, *width),
            };
            if letter == 'M' && width >= 3 {
                let name = rest.get(..3)?.to_ascii_lowercase();
                month = 1 + u32::try_from(MONTHS.iter().position(|m| *m == name)?).ok()?;
                rest = rest.get(3..)?;
                continue;
            }
            let digits = rest.get(..width).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
            rest = rest.get(width..)?;
            let number: u32 = digits.parse().ok()?;
            match letter {
                // Two digits are of this century and the last.
                'y' | 'u' if width == 2 => year = Some(number + if number < 70 { 2000 } else { 1900 }),
                'y' | 'u' => year = Some(number),
                'M' => month = number,
                'd' => day = number,
                'D' => day_of_year = Some(number),
                'H' | 'k' => hour = number,
                'm' => minute = number,
                's' => second = number,
                // Fractions are finer than any time that ends here.
                _ => {}
            }
        }
        let year = year?;
        if let Some(number) = day_of_year {
            (month, day) = month_and_day(year, number)?;
        }
        let fits =
            (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
        fits.then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
    }
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The month and the day of a day of the year, from 1.
fn month_and_day(year: u32, number: u32) -> Option<(u32, u32)> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lens = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut left = number.checked_sub(1)?;
    for (month, len) in (1..).zip(lens) {
        if left < len {
            return Some((month, left + 1));
        }
        left -= len;
    }
    None
}

/// A Java date format in parts: letters are fields, what is quoted and everything else stands for itself.
fn parts_of(format: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut is_quoted = false;
    for c in format.chars() {
        match (c, parts.last_mut()) {
            ('\'', _) => is_quoted = !is_quoted,
            (c, Some(Part::Field(letter, width))) if *letter == c && !is_quoted => *width += 1,
            (c, _) if c.is_ascii_alphabetic() && !is_quoted => parts.push(Part::Field(c, 1)),
            (c, _) => parts.push(Part::Literal(c)),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mark: &str, path: &str, expect: Option<&str>) {
        assert_eq!(DateMark::new(mark).date(path).as_deref(), expect, "{mark} {path}");
    }

    #[test]
    fn dates_in_names() {
        check("sst_#yyyyMMdd", "a/sst_20250331.nc", Some("2025-03-31T00:00:00Z"));
        check("XXXX#yyyyMMdd_HHmm", "sst_20250331_0630.nc", Some("2025-03-31T06:30:00Z"));
        check("#wrf/#yyyy/DDD", "data/wrf/2024/060.nc", Some("2024-02-29T00:00:00Z"));
        check("#run_#yyyy-MM-dd'T'HH", "x/run_2025-01-02T18.nc", Some("2025-01-02T18:00:00Z"));
        check("yyyyMMddHHmmss", "19991231235959.nc", Some("1999-12-31T23:59:59Z"));
        check("a#ddMMMyy", "a03Feb98.nc", Some("1998-02-03T00:00:00Z"));
    }

    #[test]
    fn names_without_the_date() {
        for (mark, path) in [
            ("sst_#yyyyMMdd", "sst_2025.nc"),
            ("sst_#yyyyMMdd", "sst_20251331.nc"),
            ("sst_#yyyyMMdd", "é.nc"),
            ("#wrf#yyyy", "sst2025.nc"),
            ("sst_#MMdd", "sst_0331.nc"),
            ("#y#yyyyDDD", "y2023366"),
            ("", "a.nc"),
        ] {
            check(mark, path, None);
        }
    }
}
