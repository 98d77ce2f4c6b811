//! Values on the move: a run of consecutive elements in row-major order.

use bytes::Bytes;

/// Consecutive elements of a selection, row-major.
///
/// Which variant a variable's blocks have follows from its type alone: `Fixed` exactly when
/// [`crate::DataType::fixed_size`] is `Some`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Block {
    /// Packed elements of equal size in native byte order, without padding.
    Fixed(Bytes),
    /// Elements of differing size: element `i` is `bytes[ends[i-1]..ends[i]]`.
    ///
    /// A String, Url or Opaque element is its bytes alone. A Structure or Sequence element is laid
    /// out as [`crate::records`] says.
    Varying {
        /// Where each element ends in `bytes`; ascending, the last equals `bytes.len()`.
        ends: Vec<u64>,
        /// The elements, one after the other.
        bytes: Bytes,
    },
}

impl Block {
    /// A `Varying` block of the given elements.
    pub fn varying<I, B>(elements: I) -> Self
    where
        I: IntoIterator<Item = B>,
        B: AsRef<[u8]>,
    {
        let mut all = Vec::new();
        let ends = elements
            .into_iter()
            .map(|e| {
                all.extend_from_slice(e.as_ref());
                all.len() as u64
            })
            .collect();
        Self::Varying { ends, bytes: all.into() }
    }

    /// Bytes held, without the ends.
    pub fn byte_len(&self) -> usize {
        match self {
            Self::Fixed(bytes) | Self::Varying { bytes, .. } => bytes.len(),
        }
    }

    /// The same block, which keeps `guard` until the last holder of its bytes drops them: what was counted for their
    /// memory, say. A part of the bytes keeps it as all of them do.
    #[must_use]
    pub fn holding(self, guard: impl Send + 'static) -> Self {
        let held = |bytes| Bytes::from_owner(Held { bytes, _guard: guard });
        match self {
            Self::Fixed(bytes) => Self::Fixed(held(bytes)),
            Self::Varying { ends, bytes } => Self::Varying { ends, bytes: held(bytes) },
        }
    }

    /// Number of elements, given the size of one ([`crate::DataType::fixed_size`]; ignored when varying).
    pub fn element_count(&self, fixed_size: Option<u64>) -> u64 {
        match self {
            Self::Fixed(bytes) => bytes.len() as u64 / fixed_size.unwrap_or(1).max(1),
            Self::Varying { ends, .. } => ends.len() as u64,
        }
    }

    /// The elements of a varying block; a fixed one gives none.
    pub fn elements(&self) -> impl Iterator<Item = &[u8]> {
        let (ends, bytes): (&[u64], &[u8]) = match self {
            Self::Fixed(_) => (&[], &[]),
            Self::Varying { ends, bytes } => (ends, bytes),
        };
        let mut start = 0_usize;
        ends.iter().map(move |&end| {
            let end = usize::try_from(end).unwrap_or(usize::MAX);
            let element = bytes.get(start..end).unwrap_or_default();
            start = end;
            element
        })
    }
}

/// Bytes and what goes with them.
struct Held<G> {
    bytes: Bytes,
    _guard: G,
}

impl<G> AsRef<[u8]> for Held<G> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
