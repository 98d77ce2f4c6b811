//! netCDF-3 files (CDF-2) of known values, written without the code under test; and the values a naive
//! reader expects of a hyperslab.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{fs::File, io::BufWriter, io::Write, path::Path};

/// One axis of a hyperslab: DAP's start, step, and last index, all inclusive.
pub type Axis = (u64, u64, u64);

/// The value of the element at this row-major position in a file of this `version`; never 0.
pub fn value(version: u32, position: u64) -> i32 {
    let mixed = u32::try_from(position & 0xffff_ffff).unwrap().wrapping_mul(0x9e37_79b1)
        ^ version.wrapping_mul(0x85eb_ca6b);
    (mixed | 1).cast_signed()
}

fn name(out: &mut Vec<u8>, name: &str) {
    out.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
    out.extend(name.bytes());
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Writes `int v(t, y, x)`; `t` is the record dimension when `records`, and `short pad(t)` shares the
/// records then, so that they are interleaved.
pub fn write(path: &Path, shape: [u64; 3], version: u32, records: bool) {
    let small = |n: u64| u32::try_from(n).unwrap().to_be_bytes();
    let mut head = b"CDF\x02".to_vec();
    head.extend(small(if records { shape[0] } else { 0 }));
    head.extend([10_u32, 3].into_iter().flat_map(u32::to_be_bytes));
    for (i, (dimension, size)) in ["t", "y", "x"].into_iter().zip(shape).enumerate() {
        name(&mut head, dimension);
        head.extend(small(if records && i == 0 { 0 } else { size }));
    }
    head.extend([0; 8]);
    let plane = shape[1] * shape[2];
    let len = if records { plane * 4 } else { shape[0] * plane * 4 };
    head.extend([11, if records { 2 } else { 1_u32 }].into_iter().flat_map(u32::to_be_bytes));
    name(&mut head, "v");
    head.extend([3_u32, 0, 1, 2, 0, 0, 4].into_iter().flat_map(u32::to_be_bytes));
    head.extend(small(len));
    let begin = head.len() as u64 + 8 + if records { 12 + 4 * 4 + 4 + 8 } else { 0 };
    head.extend(begin.to_be_bytes());
    if records {
        name(&mut head, "pad");
        head.extend([1_u32, 0, 0, 0, 3, 4].into_iter().flat_map(u32::to_be_bytes));
        head.extend((begin + len).to_be_bytes());
    }
    assert_eq!(head.len() as u64, begin);
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(&head).unwrap();
    for t in 0..shape[0] {
        for position in t * plane..(t + 1) * plane {
            file.write_all(&value(version, position).to_be_bytes()).unwrap();
        }
        if records {
            file.write_all(&[0x11, 0x22, 0, 0]).unwrap();
        }
    }
    file.flush().unwrap();
}

/// Row-major positions of a hyperslab of an array of `shape`.
pub fn positions(shape: [u64; 3], [a, b, c]: [Axis; 3]) -> impl Iterator<Item = u64> {
    let steps = |(start, step, last): Axis| (start..=last).step_by(usize::try_from(step).unwrap());
    steps(a).flat_map(move |i| {
        steps(b).flat_map(move |j| steps(c).map(move |k| (i * shape[1] + j) * shape[2] + k))
    })
}
