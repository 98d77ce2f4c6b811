//! Axes in another order (Zarr `transpose`, and version 2's order `F`).

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result};

use super::{
    Codec,
    bytes_in::{wrong_len, zeroed},
};

/// Puts axes back where they belong.
#[derive(Debug)]
pub struct Transpose {
    /// Elements per axis when decoded, and their distance in elements when encoded.
    axes: Vec<(usize, usize)>,
    element_size: usize,
    count: usize,
}

impl Transpose {
    /// For chunks of `shape` whose encoded axis `i` is axis `order[i]` of `shape`.
    ///
    /// # Errors
    /// `Corrupt` when `order` is no permutation or the chunk is too large.
    pub fn new(shape: &[u64], order: &[usize], element_size: usize) -> Result<Self> {
        let impossible = || Error::corrupt("an order of axes that is no permutation");
        if order.len() != shape.len() || element_size == 0 {
            return Err(impossible());
        }
        let mut axes = vec![(0, 0); shape.len()];
        let mut count = 1_usize;
        for &axis in order.iter().rev() {
            let size = shape.get(axis).ok_or_else(impossible)?;
            let size = usize::try_from(*size).map_err(|e| impossible().with_source(e))?;
            let slot = axes.get_mut(axis).filter(|slot| slot.1 == 0).ok_or_else(impossible)?;
            *slot = (size, count.max(1));
            count = count.checked_mul(size).ok_or_else(|| Error::corrupt("a chunk beyond any memory"))?;
        }
        Ok(Self { axes, element_size, count })
    }

    /// Calls `copy` with the encoded position of each decoded element's row, in order: position of its
    /// first element, distance and number of elements.
    fn rows(&self, mut copy: impl FnMut(usize, usize, usize)) {
        let Some(((size, stride), outer)) = self.axes.split_last() else { return copy(0, 1, 1) };
        if self.count == 0 {
            return;
        }
        let mut at = vec![0_usize; outer.len()];
        let mut start = 0_usize;
        loop {
            copy(start, *stride, *size);
            let mut carried = true;
            for (i, (size, stride)) in at.iter_mut().zip(outer).rev() {
                *i += 1;
                start += stride;
                if *i < *size {
                    carried = false;
                    break;
                }
                start -= stride * *i;
                *i = 0;
            }
            if carried {
                return;
            }
        }
    }
}

impl Codec for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let size = self.element_size;
        let len = self.count.saturating_mul(size);
        if input.len() != len || decoded_len.is_some_and(|due| due != len) {
            return Err(wrong_len(input.len(), len));
        }
        let mut out = zeroed(len)?;
        let mut target = out.chunks_exact_mut(size);
        self.rows(|start, stride, count| {
            for i in 0..count {
                let from = (start + i * stride) * size;
                if let (Some(to), Some(from)) = (target.next(), input.get(from..from + size)) {
                    to.copy_from_slice(from);
                }
            }
        });
        Ok(out.into())
    }

    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        Some(decoded_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_come_back() {
        // numpy: a = arange(24).reshape(2, 3, 4); a.transpose(2, 0, 1).tobytes()
        let shape = [2, 3, 4];
        let order = [2, 0, 1];
        let mut encoded = Vec::new();
        for k in 0..4_u16 {
            for i in 0..2_u16 {
                for j in 0..3_u16 {
                    encoded.extend((i * 12 + j * 4 + k).to_le_bytes());
                }
            }
        }
        let expected: Vec<u8> = (0..24_u16).flat_map(u16::to_le_bytes).collect();
        let codec = Transpose::new(&shape, &order, 2).unwrap();
        assert_eq!(codec.decode(encoded.into(), Some(48)).unwrap(), expected);
        assert!(codec.decode(Bytes::from(vec![0; 47]), None).is_err());
        assert_eq!(Transpose::new(&[], &[], 1).unwrap().decode(Bytes::from(vec![7]), Some(1)).unwrap()[0], 7);
        for wrong in [&[0, 1][..], &[0, 0, 1], &[0, 1, 3]] {
            assert!(Transpose::new(&shape, wrong, 2).is_err());
        }
    }
}
