//! As much of the two wire formats as a test needs, read without the code under test.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

/// A DAP4 data response taken apart, as far as it arrived.
#[derive(Debug, Default)]
pub struct Dap4 {
    pub dmr: Vec<u8>,
    /// Payload of the data chunks, checksums included.
    pub data: Vec<u8>,
    pub little_endian: bool,
    /// The text of an error chunk.
    pub error: Option<String>,
    /// The last chunk is there, whole.
    pub ended: bool,
}

pub fn dap4(body: &[u8]) -> Dap4 {
    let mut found = Dap4::default();
    let mut rest = body;
    let mut first = true;
    while let Some((head, after)) = rest.split_first_chunk::<4>() {
        let flags = head[0];
        let len = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        let whole = after.len() >= len;
        let payload = &after[..len.min(after.len())];
        if flags & 2 != 0 {
            found.error = Some(String::from_utf8_lossy(payload).into_owned());
            return found;
        }
        if first {
            found.little_endian = flags & 4 != 0;
            found.dmr = payload.to_vec();
        } else {
            found.data.extend_from_slice(payload);
        }
        first = false;
        if flags & 1 != 0 {
            found.ended = whole;
            return found;
        }
        rest = &after[payload.len()..];
    }
    found
}

/// The 32-bit integers at the beginning of a DAP4 response's data.
pub fn dap4_ints(answer: &Dap4) -> impl Iterator<Item = i32> {
    let little = answer.little_endian;
    answer
        .data
        .as_chunks::<4>()
        .0
        .iter()
        .map(move |&b| if little { i32::from_le_bytes(b) } else { i32::from_be_bytes(b) })
}

/// The XDR part of a `.dods` answer: what follows `Data:`.
pub fn xdr(body: &[u8]) -> Option<&[u8]> {
    let mark = b"\nData:\n";
    let at = body.windows(mark.len()).position(|w| w == mark)?;
    Some(&body[at + mark.len()..])
}

/// The integers of the one array that begins here, as far as they arrived: behind its length, twice.
pub fn xdr_ints(xdr: &[u8]) -> impl Iterator<Item = i32> {
    xdr.get(8..).unwrap_or_default().as_chunks::<4>().0.iter().map(|&b| i32::from_be_bytes(b))
}
