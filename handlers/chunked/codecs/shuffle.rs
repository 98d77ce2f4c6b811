//! Byte shuffle (HDF5 filter 2, Blosc, Zarr): the first bytes of all elements, then all second bytes...
//! Bytes after the last whole element stay as they are.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::Encoding;
use cdm::Result;

use super::{Codec, bytes_in::wrong_len, filled};

/// Byte shuffle of elements of a fixed size.
#[derive(Debug)]
pub struct Shuffle {
    element_size: usize,
}

impl Shuffle {
    /// For elements of `element_size` bytes; 0 and 1 change nothing.
    pub fn new(element_size: usize) -> Self {
        Self { element_size }
    }
}

impl Codec for Shuffle {
    fn name(&self) -> &'static str {
        "shuffle"
    }

    fn encoding(&self) -> Encoding {
        Encoding::Shuffle { element_size: self.element_size }
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        if let Some(len) = decoded_len
            && input.len() != len
        {
            return Err(wrong_len(input.len(), len));
        }
        if self.element_size <= 1 || input.len() < self.element_size {
            return Ok(input);
        }
        filled(input.len(), |out| self.decode_into(input, out))
    }

    fn decode_into(&self, input: Bytes, out: &mut [u8]) -> Result<()> {
        if input.len() != out.len() {
            return Err(wrong_len(input.len(), out.len()));
        }
        unshuffle(self.element_size, &input, out);
        Ok(())
    }

    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        Some(decoded_len)
    }
}

/// Undoes the shuffle of `input` into `out`, which is as long.
pub(super) fn unshuffle(element_size: usize, input: &[u8], out: &mut [u8]) {
    debug_assert_eq!(input.len(), out.len());
    let count = input.len().checked_div(element_size).unwrap_or(0);
    if element_size <= 1 || count == 0 {
        out.copy_from_slice(input);
        return;
    }
    let whole = count * element_size;
    let (Some((planes, input_rest)), Some((elements, out_rest))) =
        (input.split_at_checked(whole), out.split_at_mut_checked(whole))
    else {
        return;
    };
    // Compiled for the widest vectors that the processor has: several times as fast as for the narrowest.
    let wide = pulp::Arch::new();
    match element_size {
        2 => wide.dispatch(|| interleave_2(planes, elements, count)),
        4 => wide.dispatch(|| interleave_4(planes, elements, count)),
        8 => wide.dispatch(|| interleave_8(planes, elements, count)),
        _ => interleave_any(planes, elements, count, element_size),
    }
    out_rest.copy_from_slice(input_rest);
}

/// `N` planes of `count` bytes each.
#[inline(always)]
fn split_planes<const N: usize>(planes: &[u8], count: usize) -> [&[u8]; N] {
    let mut rest = planes.chunks_exact(count);
    std::array::from_fn(|_| rest.next().unwrap_or_default())
}

#[inline(always)]
fn interleave_2(planes: &[u8], out: &mut [u8], count: usize) {
    let [p0, p1] = split_planes(planes, count);
    for ((element, a), b) in out.as_chunks_mut::<2>().0.iter_mut().zip(p0).zip(p1) {
        *element = [*a, *b];
    }
}

#[inline(always)]
fn interleave_4(planes: &[u8], out: &mut [u8], count: usize) {
    let [p0, p1, p2, p3] = split_planes(planes, count);
    let out = out.as_chunks_mut::<4>().0;
    for ((((element, a), b), c), d) in out.iter_mut().zip(p0).zip(p1).zip(p2).zip(p3) {
        *element = [*a, *b, *c, *d];
    }
}

/// Eight elements at a time as an 8 x 8 byte matrix, transposed in registers.
#[inline(always)]
fn interleave_8(planes: &[u8], out: &mut [u8], count: usize) {
    let planes: [&[u8]; 8] = split_planes(planes, count);
    let words = planes.map(|plane| plane.as_chunks::<8>().0);
    let (blocks, rest) = out.as_chunks_mut::<64>();
    for (i, block) in blocks.iter_mut().enumerate() {
        let rows = words.map(|plane| u64::from_le_bytes(plane.get(i).copied().unwrap_or_default()));
        for (element, row) in block.as_chunks_mut::<8>().0.iter_mut().zip(transpose_bytes(rows)) {
            *element = row.to_le_bytes();
        }
    }
    let done = blocks.len() * 8;
    for (i, element) in rest.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *element = planes.map(|plane| plane.get(done + i).copied().unwrap_or_default());
    }
}

/// Byte `i` of word `j` becomes byte `j` of word `i`: exchanges of 4 x 4, 2 x 2, then single bytes.
#[inline(always)]
fn transpose_bytes(mut rows: [u64; 8]) -> [u64; 8] {
    #[inline(always)]
    fn exchange(a: u64, b: u64, shift: u32, mask: u64) -> (u64, u64) {
        let t = ((a >> shift) ^ b) & mask;
        (a ^ (t << shift), b ^ t)
    }
    let [r0, r1, r2, r3, r4, r5, r6, r7] = &mut rows;
    (*r0, *r4) = exchange(*r0, *r4, 32, 0x0000_0000_ffff_ffff);
    (*r1, *r5) = exchange(*r1, *r5, 32, 0x0000_0000_ffff_ffff);
    (*r2, *r6) = exchange(*r2, *r6, 32, 0x0000_0000_ffff_ffff);
    (*r3, *r7) = exchange(*r3, *r7, 32, 0x0000_0000_ffff_ffff);
    (*r0, *r2) = exchange(*r0, *r2, 16, 0x0000_ffff_0000_ffff);
    (*r1, *r3) = exchange(*r1, *r3, 16, 0x0000_ffff_0000_ffff);
    (*r4, *r6) = exchange(*r4, *r6, 16, 0x0000_ffff_0000_ffff);
    (*r5, *r7) = exchange(*r5, *r7, 16, 0x0000_ffff_0000_ffff);
    (*r0, *r1) = exchange(*r0, *r1, 8, 0x00ff_00ff_00ff_00ff);
    (*r2, *r3) = exchange(*r2, *r3, 8, 0x00ff_00ff_00ff_00ff);
    (*r4, *r5) = exchange(*r4, *r5, 8, 0x00ff_00ff_00ff_00ff);
    (*r6, *r7) = exchange(*r6, *r7, 8, 0x00ff_00ff_00ff_00ff);
    rows
}

/// Any size, a few kilobytes of output at a time so that each stays in the cache for all its planes.
fn interleave_any(planes: &[u8], out: &mut [u8], count: usize, element_size: usize) {
    let run = (8192 / element_size).max(1);
    for (i, elements) in out.chunks_mut(run * element_size).enumerate() {
        for (j, plane) in planes.chunks_exact(count).enumerate() {
            let bytes = plane.iter().skip(i * run);
            for (element, byte) in elements.chunks_exact_mut(element_size).zip(bytes) {
                if let Some(target) = element.get_mut(j) {
                    *target = *byte;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoes_the_definition_for_every_size_and_remainder() {
        for size in 1..=20_usize {
            for len in (0..200).chain([8191, 8192, 8200, 20_001]) {
                let original: Vec<u8> =
                    (0..len).map(|i: usize| u8::try_from(i * 7919 % 251).unwrap()).collect();
                let count = len / size;
                let mut shuffled = original.clone();
                for i in 0..count {
                    for j in 0..size {
                        shuffled[j * count + i] = original[i * size + j];
                    }
                }
                let codec = Shuffle::new(size);
                assert_eq!(codec.decode(shuffled.into(), Some(len)).unwrap(), original, "{size} {len}");
            }
        }
    }
}
