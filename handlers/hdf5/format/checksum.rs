//! The checksum of HDF5 metadata: Bob Jenkins' `lookup3`, one 32-bit result.

/// `lookup3` of `data`, as HDF5 stores it.
pub(super) fn lookup3(data: &[u8]) -> u32 {
    // The hash counts lengths modulo 2^32.
    let len = u32::try_from(data.len() & 0xffff_ffff).unwrap_or(0);
    let seed = 0xdead_beef_u32.wrapping_add(len);
    let (mut a, mut b, mut c) = (seed, seed, seed);
    let mut rest = data;
    while let Some((block, tail)) = rest.split_first_chunk::<12>().filter(|(_, tail)| !tail.is_empty()) {
        let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3] = *block;
        a = a.wrapping_add(u32::from_le_bytes([a0, a1, a2, a3]));
        b = b.wrapping_add(u32::from_le_bytes([b0, b1, b2, b3]));
        c = c.wrapping_add(u32::from_le_bytes([c0, c1, c2, c3]));
        (a, b, c) = mix(a, b, c);
        rest = tail;
    }
    if rest.is_empty() {
        return c;
    }
    a = a.wrapping_add(word(rest, 0));
    b = b.wrapping_add(word(rest, 4));
    c = c.wrapping_add(word(rest, 8));
    finish(a, b, c)
}

/// Four bytes at `at`, little-endian; missing ones are 0.
fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    for (to, from) in word.iter_mut().zip(bytes.iter().skip(at)) {
        *to = *from;
    }
    u32::from_le_bytes(word)
}

fn mix(mut a: u32, mut b: u32, mut c: u32) -> (u32, u32, u32) {
    a = a.wrapping_sub(c) ^ c.rotate_left(4);
    c = c.wrapping_add(b);
    b = b.wrapping_sub(a) ^ a.rotate_left(6);
    a = a.wrapping_add(c);
    c = c.wrapping_sub(b) ^ b.rotate_left(8);
    b = b.wrapping_add(a);
    a = a.wrapping_sub(c) ^ c.rotate_left(16);
    c = c.wrapping_add(b);
    b = b.wrapping_sub(a) ^ a.rotate_left(19);
    a = a.wrapping_add(c);
    c = c.wrapping_sub(b) ^ b.rotate_left(4);
    b = b.wrapping_add(a);
    (a, b, c)
}

fn finish(mut a: u32, mut b: u32, mut c: u32) -> u32 {
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that Jenkins publishes with the function.
    #[test]
    fn published_vectors() {
        assert_eq!(lookup3(b""), 0xdead_beef);
        assert_eq!(lookup3(b"Four score and seven years ago"), 0x1777_0551);
    }
}
