//! Small hostile HDF5 files, byte by byte: superblock version 0, object headers of version 1, so that
//! there is no checksum to get right.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

/// No address.
const NONE: u64 = u64::MAX;

/// A file under construction; its root group's header is to be at [`ROOT`].
#[derive(Debug)]
pub struct Hdf5(pub Vec<u8>);

/// The address of the root group's header.
pub const ROOT: u64 = 96;

impl Hdf5 {
    pub fn new() -> Self {
        let mut file = b"\x89HDF\r\n\x1a\n".to_vec();
        file.extend([0, 0, 0, 0, 0, 8, 8, 0]);
        file.extend([4, 0, 16, 0, 0, 0, 0, 0]);
        for number in [0, NONE, 0, NONE] {
            file.extend(number.to_le_bytes());
        }
        // The root group: its name, its header; nothing cached.
        file.extend(0_u64.to_le_bytes());
        file.extend(ROOT.to_le_bytes());
        file.extend([0; 24]);
        assert_eq!(file.len() as u64, ROOT);
        Self(file)
    }

    /// Where the next header will be.
    pub fn end(&self) -> u64 {
        self.0.len() as u64
    }

    /// Bytes of a header with these messages.
    pub fn header_len(messages: &[(u16, Vec<u8>)]) -> u64 {
        16 + messages.iter().map(|(_, body)| 8 + body.len().next_multiple_of(8) as u64).sum::<u64>()
    }

    pub fn header(&mut self, messages: &[(u16, Vec<u8>)]) {
        let len = Self::header_len(messages) - 16;
        self.0.extend([1, 0]);
        self.0.extend(u16::try_from(messages.len()).unwrap().to_le_bytes());
        self.0.extend(1_u32.to_le_bytes());
        self.0.extend(u32::try_from(len).unwrap().to_le_bytes());
        self.0.extend([0; 4]);
        for (kind, body) in messages {
            let padded = body.len().next_multiple_of(8);
            self.0.extend(kind.to_le_bytes());
            self.0.extend(u16::try_from(padded).unwrap().to_le_bytes());
            self.0.extend([0; 4]);
            self.0.extend(body);
            self.0.extend(std::iter::repeat_n(0, padded - body.len()));
        }
    }

    /// The finished bytes, with the length the superblock must name.
    pub fn finish(mut self) -> Vec<u8> {
        let end = self.end().to_le_bytes();
        self.0[40..48].copy_from_slice(&end);
        self.0
    }
}

/// The message that makes an object a group whose links are messages.
pub fn link_info() -> (u16, Vec<u8>) {
    let mut body = vec![0, 0];
    body.extend(NONE.to_le_bytes());
    body.extend(NONE.to_le_bytes());
    (0x02, body)
}

/// A hard link.
pub fn link(name: &str, address: u64) -> (u16, Vec<u8>) {
    let mut body = vec![1, 0, u8::try_from(name.len()).unwrap()];
    body.extend(name.bytes());
    body.extend(address.to_le_bytes());
    (0x06, body)
}

/// A dataset of 32-bit integers, in the header itself; `datatype` replaces the type.
pub fn dataset(dims: &[u64], datatype: Option<Vec<u8>>) -> Vec<(u16, Vec<u8>)> {
    let mut space = vec![1, u8::try_from(dims.len()).unwrap(), 0, 0, 0, 0, 0, 0];
    space.extend(dims.iter().flat_map(|d| d.to_le_bytes()));
    let layout = if dims.is_empty() {
        vec![3, 0, 4, 0, 42, 0, 0, 0]
    } else {
        // Contiguous, never allocated.
        [&[3, 1][..], &NONE.to_le_bytes(), &0_u64.to_le_bytes()].concat()
    };
    vec![(0x01, space), (0x03, datatype.unwrap_or_else(int32)), (0x08, layout)]
}

pub fn int32() -> Vec<u8> {
    vec![0x10, 0x08, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0]
}

/// `depth` groups `g`, one in the other, with a scalar `v` in the last.
pub fn nested_groups(depth: u64) -> Vec<u8> {
    let mut file = Hdf5::new();
    let len = Hdf5::header_len(&[link_info(), link("g", 0)]);
    for _ in 0..depth {
        let next = file.end() + len;
        file.header(&[link_info(), link("g", next)]);
    }
    let next = file.end() + len;
    file.header(&[link_info(), link("v", next)]);
    file.header(&dataset(&[], None));
    file.finish()
}

/// A file with one dataset `v`.
pub fn one_dataset(messages: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut file = Hdf5::new();
    let next = file.end() + Hdf5::header_len(&[link_info(), link("v", 0)]);
    file.header(&[link_info(), link("v", next)]);
    file.header(messages);
    file.finish()
}

/// Variable-length lists of lists of lists ...
pub fn nested_lists(depth: usize) -> Vec<u8> {
    let mut datatype = Vec::new();
    for _ in 0..depth {
        datatype.extend([0x19, 0, 0, 0, 16, 0, 0, 0]);
    }
    datatype.extend(int32());
    datatype
}

/// Structures in structures ..., version 3 of the message.
pub fn nested_structures(depth: usize) -> Vec<u8> {
    let mut datatype = Vec::new();
    for _ in 0..depth {
        datatype.extend([0x36, 1, 0, 0, 4, 0, 0, 0, b'm', 0, 0]);
    }
    datatype.extend(int32());
    datatype
}
