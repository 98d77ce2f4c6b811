//! Byte shuffle (HDF5 filter 2, Blosc, Zarr): the first bytes of all elements, then all second bytes...
//! Bytes after the last whole element stay as they are.

#![warn(clippy::indexing_slicing)]
#![expect(clippy::inline_always, reason = "only what is inlined is compiled for the vectors of its caller")]

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
        2 => wide.dispatch(|| interleave_2(split_planes(planes, count, 0), elements)),
        4 => wide.dispatch(|| interleave_4(split_planes(planes, count, 0), elements)),
        8 => wide.dispatch(|| interleave_8(split_planes(planes, count, 0), elements)),
        _ => interleave_any(planes, elements, count, element_size),
    }
    out_rest.copy_from_slice(input_rest);
}

/// Undoes the shuffle of the elements from number `first` on that fill `out`; `planes` holds whole elements
/// only. `None`: there are not as many.
pub(in crate::chunked) fn unshuffle_run(
    element_size: usize,
    planes: &[u8],
    first: usize,
    out: &mut [u8],
) -> Option<()> {
    let count = planes.len().checked_div(element_size)?;
    if first.checked_add(out.len() / element_size)? > count {
        return None;
    }
    let wide = pulp::Arch::new();
    match element_size {
        0 => return None,
        1 => out.copy_from_slice(planes.get(first..first + out.len())?),
        2 => wide.dispatch(|| interleave_2(split_planes(planes, count, first), out)),
        4 => wide.dispatch(|| interleave_4(split_planes(planes, count, first), out)),
        8 => wide.dispatch(|| interleave_8(split_planes(planes, count, first), out)),
        _ => unshuffle_every(element_size, planes, (first, 1), out, element_size)?,
    }
    Some(())
}

/// Undoes the shuffle of element number `first` and every `step`th after it; each goes to the begin of one of
/// the pieces of `to` bytes that `out` is cut into. `None`: there are not as many.
pub(in crate::chunked) fn unshuffle_every(
    element_size: usize,
    planes: &[u8],
    (first, step): (usize, usize),
    out: &mut [u8],
    to: usize,
) -> Option<()> {
    match element_size {
        2 => every::<2>(planes, first, step, out, to),
        4 => every::<4>(planes, first, step, out, to),
        8 => every::<8>(planes, first, step, out, to),
        _ => {
            let count = planes.len().checked_div(element_size)?;
            for (element, i) in out.chunks_mut(to).zip((first..).step_by(step)) {
                for (byte, plane) in element.get_mut(..element_size)?.iter_mut().zip(planes.chunks(count)) {
                    *byte = *plane.get(i)?;
                }
            }
            Some(())
        }
    }
}

fn every<const N: usize>(planes: &[u8], first: usize, step: usize, out: &mut [u8], to: usize) -> Option<()> {
    let planes: [&[u8]; N] = split_planes(planes, planes.len() / N, 0);
    for (element, i) in out.chunks_mut(to).zip((first..).step_by(step)) {
        let element = element.first_chunk_mut::<N>()?;
        for (byte, plane) in element.iter_mut().zip(planes) {
            *byte = *plane.get(i)?;
        }
    }
    Some(())
}

/// `N` planes of `count` bytes each, from byte `first` on.
#[inline(always)]
fn split_planes<const N: usize>(planes: &[u8], count: usize, first: usize) -> [&[u8]; N] {
    let mut rest = planes.chunks_exact(count.max(1));
    std::array::from_fn(|_| rest.next().and_then(|plane| plane.get(first..)).unwrap_or_default())
}

#[inline(always)]
fn interleave_2([p0, p1]: [&[u8]; 2], out: &mut [u8]) {
    for ((element, a), b) in out.as_chunks_mut::<2>().0.iter_mut().zip(p0).zip(p1) {
        *element = [*a, *b];
    }
}

#[inline(always)]
fn interleave_4([p0, p1, p2, p3]: [&[u8]; 4], out: &mut [u8]) {
    let out = out.as_chunks_mut::<4>().0;
    for ((((element, a), b), c), d) in out.iter_mut().zip(p0).zip(p1).zip(p2).zip(p3) {
        *element = [*a, *b, *c, *d];
    }
}

/// Eight elements at a time as an 8 x 8 byte matrix, transposed in registers.
#[inline(always)]
fn interleave_8(planes: [&[u8]; 8], out: &mut [u8]) {
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
    use proptest::prelude::*;

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
                let shuffled = Bytes::from(shuffled);
                assert_eq!(codec.decode(shuffled.clone(), Some(len)).unwrap(), original, "{size} {len}");
            }
        }
    }

    proptest! {
        #[test]
        fn some_elements_are_those_of_all(
            size in prop::sample::select(vec![1_usize, 2, 3, 4, 8, 12, 16]),
            count in 1_usize..300, first in 0_usize..300, step in 1_usize..40, wanted in 1_usize..300, gap in 0_usize..9,
        ) {
            let planes: Vec<u8> = (0..count * size).map(|i| u8::try_from(i * 7919 % 251).unwrap()).collect();
            let mut all = vec![0; planes.len()];
            unshuffle(size, &planes, &mut all);
            let mut run = vec![0xEE; wanted * size];
            let found = unshuffle_run(size, &planes, first, &mut run);
            let expected = all.get(first * size..(first + wanted) * size);
            prop_assert_eq!(found.map(|()| run.as_slice()), expected);
            let to = size + gap;
            let mut spread = vec![0xEE; (wanted - 1) * to + size];
            let found = unshuffle_every(size, &planes, (first, step), &mut spread, to);
            prop_assert_eq!(found.is_some(), first + (wanted - 1) * step < count);
            for (i, element) in spread.chunks(to).enumerate().filter(|_| found.is_some()) {
                let at = (first + i * step) * size;
                prop_assert_eq!(element.get(..size), all.get(at..at + size));
                prop_assert!(element.iter().skip(size).all(|b| *b == 0xEE));
            }
        }
    }
}
