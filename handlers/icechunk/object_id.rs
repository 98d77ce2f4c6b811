//! The names of a repository's objects: twelve bytes, written in Crockford's base 32.

use std::fmt;

const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The id of a snapshot, a manifest or a chunk object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ObjectId(pub(super) [u8; 12]);

impl ObjectId {
    /// The id written as `text`; `None` unless it is exactly that.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // 20 letters are 100 bits: the last 4 are padding.
        let mut bits = 0_u128;
        for letter in text.bytes() {
            let value = LETTERS.iter().position(|l| *l == letter)?;
            bits = bits.checked_mul(32)? | u128::try_from(value).ok()?;
        }
        let [_, _, _, id @ .., _] = (bits << 4).to_be_bytes();
        let id = Self(id);
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte)) << 4;
        for shift in (0..100).step_by(5).rev() {
            let value = usize::try_from(bits >> shift & 31).unwrap_or_default();
            let letter = LETTERS.get(value).copied().unwrap_or(b'0');
            write!(f, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_the_specification_writes_them() {
        // The id of every repository's first snapshot.
        let first = ObjectId([0x0b, 0x1c, 0xc8, 0xd6, 0x78, 0x75, 0x80, 0xf0, 0xe3, 0x3a, 0x65, 0x34]);
        assert_eq!(first.to_string(), "1CECHNKREP0F1RSTCMT0");
        assert_eq!(ObjectId::parse("1CECHNKREP0F1RSTCMT0"), Some(first));
        assert_eq!(ObjectId::parse("ZZZZZZZZZZZZZZZZZZZG"), Some(ObjectId([255; 12])));
        for wrong in ["", "0", "1CECHNKREP0F1RSTCMT", "1CECHNKREP0F1RSTCMT1", "1cechnkrep0f1rstcmt0"] {
            assert_eq!(ObjectId::parse(wrong), None, "{wrong}");
        }
        for wrong in ["../../../etc/passwd0", "1CECHNKREP0F1RSTCMT00", "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ"] {
            assert_eq!(ObjectId::parse(wrong), None, "{wrong}");
        }
    }
}
