//! A reader of `.dods` bodies from section 5.4 alone: the DDS it begins with says what follows.

use crate::dds::{self, Declaration};

/// A good body.
pub(crate) struct Dods {
    pub(crate) dds: String,
    /// The bytes after `Data:`.
    pub(crate) xdr: Vec<u8>,
    /// Every value as text in the order sent; `row` and `end` in sequences.
    pub(crate) values: Vec<String>,
}

/// Reads a whole body; everything must be used up, padding be zero and counts be those of the DDS.
#[track_caller]
pub(crate) fn decode(body: &[u8]) -> Dods {
    let mark = b";\nData:\n";
    let at = body.windows(mark.len()).position(|w| w == mark).expect("a Data: line");
    let dds = std::str::from_utf8(&body[..at + 2]).unwrap().to_owned();
    let xdr = body[at + mark.len()..].to_vec();
    let mut reader = Reader { left: &xdr, values: Vec::new() };
    dds::parse(&dds).1.iter().for_each(|d| reader.declaration(d));
    assert!(reader.left.is_empty(), "{} bytes more than the DDS describes", reader.left.len());
    Dods { values: reader.values, dds, xdr }
}

struct Reader<'a> {
    left: &'a [u8],
    values: Vec<String>,
}

impl Reader<'_> {
    fn take(&mut self, n: usize) -> &[u8] {
        assert!(n <= self.left.len(), "the data end too early");
        let (taken, rest) = self.left.split_at(n);
        self.left = rest;
        taken
    }

    fn word(&mut self) -> [u8; 4] {
        self.take(4).try_into().unwrap()
    }

    /// `n` bytes and zeros up to a multiple of four.
    fn padded(&mut self, n: usize) -> Vec<u8> {
        let bytes = self.take(n).to_vec();
        let padding = n.next_multiple_of(4) - n;
        assert!(self.take(padding).iter().all(|b| *b == 0), "padding");
        bytes
    }

    #[track_caller]
    fn count(&mut self, expected: usize) {
        assert_eq!(i32::from_be_bytes(self.word()), i32::try_from(expected).unwrap(), "a count");
    }

    fn declaration(&mut self, d: &Declaration) {
        if d.dims.is_empty() {
            return self.one(d);
        }
        let n = d.len();
        self.count(n);
        match d.kind.as_str() {
            // Strings and structures: once.
            "String" | "Url" | "Structure" => (0..n).for_each(|_| self.one(d)),
            "Byte" => {
                self.count(n);
                let bytes = self.padded(n);
                self.values.extend(bytes.iter().map(u8::to_string));
            }
            _ => {
                self.count(n);
                (0..n).for_each(|_| self.one(d));
            }
        }
    }

    fn one(&mut self, d: &Declaration) {
        let value = match d.kind.as_str() {
            "Structure" | "Grid" => return d.members.iter().for_each(|m| self.declaration(m)),
            "Sequence" => loop {
                match self.word() {
                    [0x5a, 0, 0, 0] => {
                        self.values.push("row".to_owned());
                        d.members.iter().for_each(|m| self.declaration(m));
                    }
                    [0xa5, 0, 0, 0] => break "end".to_owned(),
                    other => panic!("neither a row nor the end: {other:02x?}"),
                }
            },
            "Byte" => {
                let [0, 0, 0, value] = self.word() else { panic!("a byte stands last of four") };
                value.to_string()
            }
            "Int16" => i16::try_from(i32::from_be_bytes(self.word())).unwrap().to_string(),
            "UInt16" => u16::try_from(u32::from_be_bytes(self.word())).unwrap().to_string(),
            "Int32" => i32::from_be_bytes(self.word()).to_string(),
            "UInt32" => u32::from_be_bytes(self.word()).to_string(),
            "Float32" => f32::from_be_bytes(self.word()).to_string(),
            "Float64" => f64::from_be_bytes(self.take(8).try_into().unwrap()).to_string(),
            "String" | "Url" => {
                let n = usize::try_from(i32::from_be_bytes(self.word())).unwrap();
                String::from_utf8_lossy(&self.padded(n)).into_owned()
            }
            other => panic!("{other}"),
        };
        self.values.push(value);
    }
}
