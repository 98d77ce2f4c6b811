//! Damaged and malicious files: no panic, no long loop, no memory beyond what the file justifies.

use std::time::{Duration, Instant};

use super::{
    checksum::lookup3,
    cursor::{Cursor, Place, Sizes},
    tests::{expected, fixture, open},
    *,
};

/// A small generator with a fixed sequence (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }
}

/// Reads all that can be reached from the root; gives the number of things that were sound.
fn walk(file: &File) -> usize {
    let mut seen = std::collections::HashSet::new();
    let mut waiting = vec![file.root()];
    let mut sound = 0;
    while let Some(address) = waiting.pop() {
        if !seen.insert(address) || seen.len() > 2000 {
            continue;
        }
        let node = file.object(address);
        sound += usize::from(node.is_ok());
        if let Ok(Node { kind: NodeKind::Dataset(info), .. }) = &node
            && let Layout::Chunked(layout) = &info.layout
            && let Ok(table) = file.chunk_table(info)
        {
            sound += table.len().min(1000);
            let _ = table.locate(&vec![0; layout.chunk_shape.len()]);
            let _ = table.locate(&vec![u64::MAX; layout.chunk_shape.len()]);
        }
        if let Ok(attributes) = file.attributes(address) {
            sound += attributes.len();
            for attribute in &attributes {
                if let Datatype::VarLen { .. } = attribute.datatype {
                    for element in attribute.data.chunks(file.size_of_offsets() + 8).take(10) {
                        let sizes = Sizes { offsets: file.size_of_offsets(), lengths: 8 };
                        let mut c = Cursor::new(element, sizes, Place::new("element", 0));
                        let _ = c.u32();
                        let (heap, index) = (c.uint(sizes.offsets).unwrap_or(0), c.u32().unwrap_or(0));
                        sound += usize::from(file.global_heap_object(heap, index).is_ok());
                    }
                }
            }
        }
        if let Ok(links) = file.links(address) {
            sound += links.len();
            for link in links {
                if let LinkTarget::Hard(target) = link.target {
                    waiting.push(target);
                }
            }
        }
    }
    sound
}

/// Mends the checksum of the version 2 object header around `at`, so that its damage looks sound: without
/// this, checksums would hide the parsers from most mutations.
fn mend(bytes: &mut [u8], at: usize) {
    // The first chunk of a version 2 object header that contains `at`.
    let Some(start) = (at.saturating_sub(600)..=at).rev().find(|&i| bytes[i..].starts_with(b"OHDR")) else {
        return;
    };
    let Some(&flags) = bytes.get(start + 5) else { return };
    let mut from = start + 6;
    from += if flags & 0x20 != 0 { 16 } else { 0 };
    from += if flags & 0x10 != 0 { 4 } else { 0 };
    let width = 1 << (flags & 3);
    let Some(field) = bytes.get(from..from + width) else { return };
    let size = field.iter().rev().fold(0_usize, |n, &b| n << 8 | usize::from(b));
    let Some(end) = from.checked_add(width).and_then(|n| n.checked_add(size)) else { return };
    mend_at(bytes, start, end.saturating_sub(start));
}

/// Where structures of a fixed length begin, with that length; in files with 8-byte addresses and lengths.
fn checksummed(bytes: &[u8]) -> Vec<(usize, usize)> {
    let kinds = [(b"BTHD", 34), (b"FRHP", 142), (b"FAHD", 24), (b"EAHD", 68)];
    let of = |i: usize| kinds.iter().find(|(s, _)| bytes[i..].starts_with(*s)).map(|(_, len)| (i, *len));
    (0..bytes.len()).filter_map(of).collect()
}

/// Makes the checksum at `start + len` that of the `len` bytes before it.
fn mend_at(bytes: &mut [u8], start: usize, len: usize) {
    if let Some(body) = bytes.get(start..start + len) {
        let sum = lookup3(body).to_le_bytes();
        if let Some(field) = bytes.get_mut(start + len..start + len + 4) {
            field.copy_from_slice(&sum);
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random, checksummed: &[(usize, usize)]) {
    for _ in 0..=random.below(4) {
        if bytes.len() < 64 {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(8) {
            0..=2 => bytes[at] ^= 1 << random.below(8),
            3 => bytes[at] = u8::try_from(random.next() & 0xff).unwrap(),
            4 => {
                // A large or odd number where a length or address may be.
                let width = [1, 2, 4, 8][random.below(4)];
                let value =
                    [u64::MAX, u64::MAX - 1, 1 << 62, 0xffff_fff0, 0, 1, 0x7fff_ffff][random.below(7)];
                let end = (at + width).min(bytes.len());
                bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
            }
            5 => {
                // An address of another place in the file.
                let value = u64::try_from(random.below(bytes.len())).unwrap().to_le_bytes();
                let at = at & !7;
                if let Some(field) = bytes.get_mut(at..at + 8) {
                    field.copy_from_slice(&value);
                }
            }
            6 => {
                // A piece of the file over another one.
                let (from, len) = (random.below(bytes.len()), 1 + random.below(200));
                let piece: Vec<u8> = bytes[from..].iter().take(len).copied().collect();
                let end = (at + piece.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&piece[..end - at]);
            }
            _ if random.below(10) == 0 => bytes.truncate(at),
            _ => bytes[at] = bytes[at].wrapping_add(1),
        }
        let last = bytes.len().saturating_sub(1);
        mend(bytes, at.min(last));
    }
    for &(start, len) in checksummed {
        mend_at(bytes, start, len);
    }
}

#[test]
fn thousands_of_damaged_files_neither_panic_nor_hang() {
    let begun = Instant::now();
    let mut random = Random(0x7468_616c_7765_6721);
    let (mut opened, mut sound, mut cases) = (0, 0, 0);
    let names: Vec<String> = expected().keys().cloned().collect();
    for name in &names {
        let original = fixture(name);
        let whole = walk(&open(original.clone()).unwrap());
        assert!(whole > 10, "{name}: the walk reaches {whole} things only");
        let checksummed = checksummed(&original);
        for _ in 0..300 {
            cases += 1;
            let mut bytes = original.clone();
            mutate(&mut bytes, &mut random, &checksummed);
            let one = Instant::now();
            if let Ok(file) = open(bytes) {
                opened += 1;
                sound += walk(&file);
            }
            assert!(one.elapsed() < Duration::from_secs(2), "{name} took {:?}", one.elapsed());
        }
    }
    // The damage was not so great that nothing was left to read.
    assert!(opened > cases / 2, "{opened} of {cases} opened");
    assert!(sound > cases * 10, "{sound} sound things in {cases} files");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn every_truncation_is_refused_or_harmless() {
    for name in ["shared.h5", "userblock_v3.h5", "superblock1.h5"] {
        let original = fixture(name);
        for len in (0..original.len()).step_by(37) {
            let mut bytes = original.clone();
            bytes.truncate(len);
            assert!(open(bytes).is_err(), "{name} cut to {len} bytes was opened");
        }
    }
}

/// A datatype message of `depth` nested variable-length types around an integer.
fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..depth {
        bytes.extend_from_slice(&[0x19, 0, 0, 0, 16, 0, 0, 0]);
    }
    bytes.extend_from_slice(&[0x10, 8, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0]);
    bytes
}

#[test]
fn datatypes_nested_too_deep_are_refused() {
    let read = |depth| {
        let bytes = nested(depth);
        let sizes = Sizes { offsets: 8, lengths: 8 };
        datatype_message::read(&mut Cursor::new(&bytes, sizes, Place::new("datatype", 0)))
    };
    assert!(read(31).is_ok());
    for depth in [32, 64, 100_000] {
        assert_eq!(read(depth).unwrap_err().kind(), cdm::ErrorKind::Corrupt);
    }
}

/// A superblock of version 0 whose root group's header is at 96, and then `body`.
fn old_file(body: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend_from_slice(&[0, 0, 0, 0, 0, 8, 8, 0, 4, 0, 16, 0, 0, 0, 0, 0]);
    let end = u64::try_from(96 + body.len()).unwrap();
    for address in [0, u64::MAX, end, u64::MAX, 0, 96] {
        bytes.extend_from_slice(&address.to_le_bytes());
    }
    bytes.resize(96, 0);
    bytes.extend_from_slice(body);
    bytes
}

/// A version 1 object header of one message.
fn header(kind: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap();
    let mut bytes = vec![1, 0, 1, 0, 1, 0, 0, 0];
    bytes.extend_from_slice(&(u32::from(len) + 8).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(data);
    bytes
}

#[test]
fn a_header_that_continues_in_itself_ends() {
    // The continuation's one message is the continuation itself, at 96 + 16.
    let mut data = 112_u64.to_le_bytes().to_vec();
    data.extend_from_slice(&24_u64.to_le_bytes());
    let mut body = header(kind::CONTINUATION, &data);
    // As many messages as the prefix can promise.
    body[2..4].copy_from_slice(&u16::MAX.to_le_bytes());
    let error = open(old_file(&body)).unwrap().object(96).unwrap_err();
    assert_eq!(error.kind(), cdm::ErrorKind::Corrupt);
    assert!(error.message().contains("loop"), "{error}");
}

#[test]
fn a_tree_that_is_its_own_child_ends() {
    // A group whose B-tree's only child is itself.
    let tree = 96 + 16 + 8 + 16;
    let heap = tree + 24 + 24;
    let mut body = header(kind::SYMBOL_TABLE, &[u64::to_le_bytes(tree), u64::to_le_bytes(heap)].concat());
    body.extend_from_slice(b"TREE\x00\x01\x01\x00");
    body.extend_from_slice(&[0xff; 16]);
    for word in [0, tree, 0] {
        body.extend_from_slice(&word.to_le_bytes());
    }
    body.extend_from_slice(b"HEAP\x00\x00\x00\x00");
    for word in [8, u64::MAX, 96] {
        body.extend_from_slice(&word.to_le_bytes());
    }
    let error = open(old_file(&body)).unwrap().links(96).unwrap_err();
    assert!(error.message().contains("level"), "{error}");
}

#[test]
fn a_group_may_contain_itself() {
    // The caller's business: the link is reported as it is.
    let mut message = vec![1, 0, 1, b'x'];
    message.extend_from_slice(&96_u64.to_le_bytes());
    let file = open(old_file(&header(kind::LINK, &message))).unwrap();
    let links = file.links(96).unwrap();
    assert_eq!(links.len(), 1);
    assert_eq!(links[0].target, LinkTarget::Hard(96));
}
