//! A reader of `.dap` bodies written from the notes (3.1 to 3.6): chunks, then values as the DMR says.

use crate::{
    dmr::{Dmr, is_variable, reference},
    xml::Element,
};

/// One chunk: flags and payload.
pub(crate) type Chunk = (u8, Vec<u8>);

/// The chunks, and what is left of a body that was cut.
pub(crate) fn chunks(mut body: &[u8]) -> (Vec<Chunk>, &[u8]) {
    let mut all = Vec::new();
    while let [flags, high, middle, low, rest @ ..] = body {
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        let Some(payload) = rest.get(..length) else { break };
        all.push((*flags, payload.to_vec()));
        body = &rest[length..];
        if flags & 0x01 != 0 {
            break;
        }
    }
    (all, body)
}

/// What a good body says.
pub(crate) struct Dap {
    /// As it stands in the first chunk, without the CR LF.
    pub(crate) dmr: String,
    /// Every atomic value as text in the order sent, counts of sequences as `#n`.
    pub(crate) values: Vec<String>,
}

/// Reads a whole body; everything must be used up, and checksums, if promised, be right.
#[track_caller]
pub(crate) fn decode(body: &[u8], has_checksums: bool) -> Dap {
    let (chunks, rest) = chunks(body);
    assert!(rest.is_empty(), "{} bytes after the last chunk", rest.len());
    let ((first_flags, first), data) = chunks.split_first().expect("a first chunk");
    assert_eq!(first_flags & !0x08, 0x04, "first chunk: little-endian, not the last, no error");
    assert!(!data.is_empty(), "there is always a second chunk");
    for (i, (flags, _)) in data.iter().enumerate() {
        assert_eq!(*flags, if i + 1 == data.len() { 0x05 } else { 0x04 }, "flags of data chunk {i}");
    }
    let text = std::str::from_utf8(first).unwrap();
    let dmr = text.strip_suffix("\r\n").expect("CR LF ends the first chunk").to_owned();
    assert!(!dmr.ends_with('\r'));
    let described = Dmr::parse(&dmr);
    let data: Vec<u8> = data.iter().flat_map(|(_, payload)| payload.clone()).collect();
    let mut reader = Reader { left: &data, dmr: &described, values: Vec::new() };
    reader.group(&described.root, has_checksums);
    assert!(reader.left.is_empty(), "{} bytes more than the DMR describes", reader.left.len());
    Dap { values: reader.values, dmr }
}

struct Reader<'a> {
    left: &'a [u8],
    dmr: &'a Dmr,
    values: Vec<String>,
}

impl Reader<'_> {
    #[track_caller]
    fn take(&mut self, n: usize) -> &[u8] {
        assert!(n <= self.left.len(), "the data end {} bytes too early", n - self.left.len());
        let (taken, rest) = self.left.split_at(n);
        self.left = rest;
        taken
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().unwrap()
    }

    fn count(&mut self) -> usize {
        usize::try_from(i64::from_le_bytes(self.bytes())).expect("a count is not negative")
    }

    /// A group's variables, then its groups.
    fn group(&mut self, group: &Element, has_checksums: bool) {
        for variable in group.children.iter().filter(|c| is_variable(c)) {
            let before = self.left;
            self.variable(variable);
            if has_checksums {
                let crc = crc32(&before[..before.len() - self.left.len()]);
                assert_eq!(u32::from_le_bytes(self.bytes()), crc, "checksum of {}", variable.name());
            }
        }
        for child in group.all("Group") {
            self.group(child, has_checksums);
        }
    }

    fn variable(&mut self, variable: &Element) {
        let count: u64 = variable.all("Dim").map(|d| self.dmr.dim(d).1).product();
        for _ in 0..count {
            match variable.tag.as_str() {
                "Structure" => self.members(variable),
                "Sequence" => {
                    let rows = self.count();
                    self.values.push(format!("#{rows}"));
                    (0..rows).for_each(|_| self.members(variable));
                }
                "Enum" => {
                    let name = reference(variable.attribute("enum").unwrap());
                    let base = self.dmr.enumerations.get(&name).expect("a declared enumeration").clone();
                    self.atomic(&base);
                }
                tag => self.atomic(tag),
            }
        }
    }

    fn members(&mut self, variable: &Element) {
        variable.children.iter().filter(|c| is_variable(c)).for_each(|c| self.variable(c));
    }

    fn atomic(&mut self, tag: &str) {
        let text = match tag {
            "Int8" => i8::from_le_bytes(self.bytes()).to_string(),
            "UInt8" => u8::from_le_bytes(self.bytes()).to_string(),
            "Int16" => i16::from_le_bytes(self.bytes()).to_string(),
            "UInt16" => u16::from_le_bytes(self.bytes()).to_string(),
            "Int32" => i32::from_le_bytes(self.bytes()).to_string(),
            "UInt32" => u32::from_le_bytes(self.bytes()).to_string(),
            "Int64" => i64::from_le_bytes(self.bytes()).to_string(),
            "UInt64" => u64::from_le_bytes(self.bytes()).to_string(),
            "Float32" => f32::from_le_bytes(self.bytes()).to_string(),
            "Float64" => f64::from_le_bytes(self.bytes()).to_string(),
            "Char" => char::from(self.bytes::<1>()[0]).to_string(),
            "String" | "URL" => {
                let n = self.count();
                String::from_utf8_lossy(self.take(n)).into_owned()
            }
            "Opaque" => {
                let n = self.count();
                self.take(n).iter().map(|b| format!("{b:02x}")).collect()
            }
            other => panic!("no type {other}"),
        };
        self.values.push(text);
    }
}

/// IEEE 802.3, bit by bit: the check value of the notes (3.5) is tested with it.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
