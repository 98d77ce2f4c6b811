//! Stored elements to the model's, for types that are more than numbers.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Block, Error, Result};

use super::types::{Kind, Time};
use crate::chunked::{Elements, Numbers};

/// Elements of one type.
#[derive(Debug)]
pub(super) struct StoredElements(pub(super) Kind);

impl Elements for StoredElements {
    fn numbers(&self) -> Option<Numbers> {
        let numbers = |size, big| if big { Numbers::big_endian(size) } else { Numbers::little_endian(size) };
        match &self.0 {
            Kind::Number { size, big, .. } => Some(numbers(*size, *big)),
            Kind::Complex { part, big } => Some(numbers(*part, *big)),
            Kind::Char => Some(Numbers::Native),
            Kind::Time(time) if time.is_plain() => Some(numbers(8, time.big)),
            _ => None,
        }
    }

    fn decode(&self, raw: Bytes) -> Result<Block> {
        if let Some(numbers) = self.numbers() {
            return numbers.decode(raw);
        }
        let size = self.0.size().ok_or_else(|| Error::internal("elements of any length among fixed ones"))?;
        let count = raw.len().checked_div(size).unwrap_or(0);
        let mut out = Vec::new();
        if let Some(fixed) = self.0.data_type().fixed_size() {
            out.reserve(count.saturating_mul(usize::try_from(fixed).unwrap_or(0)));
            raw.chunks_exact(size).try_for_each(|element| write(&self.0, element, Place::Alone, &mut out))?;
            return Ok(Block::Fixed(out.into()));
        }
        let mut ends = Vec::with_capacity(count);
        for element in raw.chunks_exact(size) {
            write(&self.0, element, Place::Alone, &mut out)?;
            ends.push(out.len() as u64);
        }
        Ok(Block::Varying { ends, bytes: out.into() })
    }

    fn stored_big_endian(&self) -> Option<bool> {
        match &self.0 {
            Kind::Number { big, .. } => Some(*big),
            Kind::Time(time) if time.is_plain() => Some(time.big),
            Kind::Char => Some(false),
            _ => None,
        }
    }
}

/// Where an element is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On its own: text is its bytes.
    Alone,
    /// In a record: text has its length before it.
    Member,
}

fn write(kind: &Kind, element: &[u8], place: Place, out: &mut Vec<u8>) -> Result<()> {
    match kind {
        Kind::Number { big, .. } => write_number(element, *big, out),
        Kind::Bool => out.extend(element.iter().map(|b| u8::from(*b != 0))),
        Kind::Char => out.extend_from_slice(element),
        Kind::Half { big } => {
            let half = half::f16::from_bits(unsigned16(element, *big));
            out.extend(half.to_f32().to_ne_bytes());
        }
        Kind::Brain { big } => {
            out.extend(f32::from_bits(u32::from(unsigned16(element, *big)) << 16).to_ne_bytes());
        }
        Kind::Complex { part, big } => {
            element.chunks_exact(*part).for_each(|number| write_number(number, *big, out));
        }
        Kind::Text { .. } => {
            let end = element.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
            let text = String::from_utf8_lossy(element.get(..end).unwrap_or_default());
            write_text(text.as_bytes(), place, out);
        }
        Kind::Wide { big, .. } => {
            let unit = |bytes: &[u8; 4]| {
                let code = if *big { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) };
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            };
            let text: String = element.as_chunks::<4>().0.iter().map(unit).collect();
            write_text(text.trim_end_matches('\0').as_bytes(), place, out);
        }
        Kind::Raw { .. } => write_text(element, place, out),
        Kind::Time(time) => out.extend(time.value(element)?.to_ne_bytes()),
        Kind::Record { members, .. } => {
            for member in members {
                let size = member.kind.size().unwrap_or(0);
                let all = member.offset..member.offset + size * member.count();
                let bytes = element.get(all).ok_or_else(|| Error::corrupt("a record is too short"))?;
                for one in bytes.chunks_exact(size.max(1)) {
                    write(&member.kind, one, Place::Member, out)?;
                }
            }
        }
        Kind::AnyText | Kind::AnyBytes => {
            return Err(Error::internal("elements of any length among fixed ones"));
        }
    }
    Ok(())
}

fn write_number(number: &[u8], big: bool, out: &mut Vec<u8>) {
    if big == cfg!(target_endian = "big") {
        out.extend_from_slice(number);
    } else {
        out.extend(number.iter().rev());
    }
}

fn write_text(text: &[u8], place: Place, out: &mut Vec<u8>) {
    if place == Place::Member {
        out.extend((text.len() as u64).to_ne_bytes());
    }
    out.extend_from_slice(text);
}

fn unsigned16(element: &[u8], big: bool) -> u16 {
    let bytes = element.first_chunk().copied().unwrap_or_default();
    if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
}

/// numpy's `NaT`.
pub(super) const NOT_A_TIME: i64 = i64::MIN;

impl Time {
    /// The stored number is the value.
    fn is_plain(&self) -> bool {
        self.multiple == 1 && !matches!(self.unit.as_str(), "W" | "Y" | "M")
    }

    /// What the values are in, for the `units` attribute; `None` when generic.
    pub(super) fn units(&self) -> Option<String> {
        let unit = match self.unit.as_str() {
            "Y" if !self.since_epoch => "years",
            "M" if !self.since_epoch => "months",
            "Y" | "M" | "W" | "D" => "days",
            "h" => "hours",
            "m" => "minutes",
            "s" => "seconds",
            "ms" => "milliseconds",
            "us" | "μs" => "microseconds",
            "ns" => "nanoseconds",
            "ps" => "picoseconds",
            "fs" => "femtoseconds",
            "as" => "attoseconds",
            _ => return None,
        };
        Some(if self.since_epoch { format!("{unit} since 1970-01-01") } else { unit.to_owned() })
    }

    /// One value in [`Time::units`].
    fn value(&self, element: &[u8]) -> Result<i64> {
        let bytes = element.first_chunk().copied().unwrap_or_default();
        let stored = if self.big { i64::from_be_bytes(bytes) } else { i64::from_le_bytes(bytes) };
        if stored == NOT_A_TIME || self.is_plain() {
            return Ok(stored);
        }
        let value = stored.checked_mul(self.multiple).and_then(|count| match self.unit.as_str() {
            "W" => count.checked_mul(7),
            "Y" if self.since_epoch => days_before(1970_i64.checked_add(count)?, 0),
            "M" if self.since_epoch => days_before(1970 + count.div_euclid(12), count.rem_euclid(12)),
            _ => Some(count),
        });
        value.ok_or_else(|| Error::corrupt("a time beyond what can be counted"))
    }
}

/// Days from 1970-01-01 to the first of a month (0 to 11) of the Gregorian calendar.
fn days_before(year: i64, month: i64) -> Option<i64> {
    // Years that begin in March have their leap day at the end.
    let shifted = if month < 2 { year.checked_sub(1)? } else { year };
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let day_of_year = (153 * ((month + 10) % 12) + 2) / 5;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + day_of_year;
    era.checked_mul(146_097)?.checked_add(day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_days() {
        // numpy: np.datetime64('...').astype('M8[D]').astype(int)
        for (year, month, days) in [
            (1970, 0, 0),
            (1970, 1, 31),
            (2000, 2, 11017),
            (1969, 11, -31),
            (1600, 0, -135_140),
            (2024, 1, 19754),
        ] {
            assert_eq!(days_before(year, month), Some(days), "{year} {month}");
        }
    }
}
