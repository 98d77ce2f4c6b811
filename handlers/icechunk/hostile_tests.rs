//! Damaged and malicious files: no panic, no long loop, no memory beyond what the file justifies.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cdm::{Error, ErrorKind, testing::Random};

use super::{
    envelope::{self, Kind},
    format_tests::{file, files},
    manifest::{ChunkRef, Manifest},
    object_id::ObjectId,
    repository,
    snapshot::Snapshot,
};

/// Numbers on which offsets and counts break.
const BAD: &[u32] =
    &[0, 1, 2, 4, 5, 0xff, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_fffe, u32::MAX];

fn below(random: &mut Random, n: usize) -> usize {
    usize::try_from(random.below(n as u64)).unwrap()
}

pub(super) fn damaged(random: &mut Random, original: &[u8]) -> Bytes {
    let mut bytes = original.to_vec();
    for _ in 0..=random.below(3) {
        let len = bytes.len();
        if len < 8 {
            break;
        }
        let at = below(random, len - 4);
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at..at + 4].copy_from_slice(&BAD[below(random, BAD.len())].to_le_bytes()),
            2 => {
                // An offset that leads elsewhere in the file, aligned as offsets are.
                let target = u32::try_from(below(random, len)).unwrap();
                bytes[at & !3..(at & !3) + 4].copy_from_slice(&target.to_le_bytes());
            }
            3 => {
                let from = below(random, len - 4) & !3;
                let word = bytes[from..from + 4].to_vec();
                bytes[at & !3..(at & !3) + 4].copy_from_slice(&word);
            }
            4 => {
                let small = u16::try_from(random.below(64)).unwrap();
                bytes[at & !1..(at & !1) + 2].copy_from_slice(&small.to_le_bytes());
            }
            _ if random.below(8) == 0 => bytes.truncate(at),
            _ => bytes[at] = u8::try_from(random.below(256)).unwrap(),
        }
    }
    bytes.into()
}

fn fault_of_the_file(e: &Error) {
    let kinds = [ErrorKind::Corrupt, ErrorKind::Unsupported, ErrorKind::NotFound];
    assert!(kinds.contains(&e.kind()), "{:?}: {e}", e.kind());
}

/// Parses and searches; whether the file was accepted.
fn drive(kind: Kind, id: ObjectId, bytes: Bytes) -> bool {
    let len = bytes.len();
    match kind {
        Kind::Repository => match repository::branch_in(&bytes, "main") {
            Ok(_) => true,
            Err(e) => {
                fault_of_the_file(&e);
                false
            }
        },
        Kind::Snapshot => match Snapshot::parse(&bytes, id) {
            Ok(snapshot) => {
                let sizes = snapshot.nodes.iter().map(|(path, node)| path.len() + node.document.len());
                assert!(sizes.sum::<usize>() <= len);
                let extents = snapshot.nodes.values().flat_map(|node| &node.manifests);
                assert!(extents.map(|m| 8 * m.extents.len() + 4).sum::<usize>() <= len);
                true
            }
            Err(e) => {
                fault_of_the_file(&e);
                false
            }
        },
        Kind::Manifest => match Manifest::parse(bytes, id) {
            Ok(manifest) => {
                for node in manifest.arrays().to_vec() {
                    for chunk in [&[][..], &[0], &[3, 0], &[3, 0, 0], &[u32::MAX; 3]] {
                        match manifest.find(node, &[chunk]) {
                            Ok(found) => {
                                if let [Some(ChunkRef::Inline(bytes))] = found.as_slice() {
                                    assert!(bytes.len() < len);
                                }
                            }
                            Err(e) => fault_of_the_file(&e),
                        }
                    }
                }
                true
            }
            Err(e) => {
                fault_of_the_file(&e);
                false
            }
        },
    }
}

#[test]
fn damaged_files_are_refused_or_read() {
    let (mut accepted, mut refused) = (0, 0);
    for (i, (path, kind, id)) in files().into_iter().enumerate() {
        let bytes = envelope::open(&file(&path), kind).unwrap();
        assert!(drive(kind, id, bytes.clone()), "{path}");
        for round in 0..500 {
            let mut random = Random(round << 16 | i as u64);
            if drive(kind, id, damaged(&mut random, &bytes)) {
                accepted += 1;
            } else {
                refused += 1;
            }
        }
    }
    // Else the damage is too little, or too much, to show anything.
    assert!(accepted > 1000 && refused > 1000, "{accepted} accepted, {refused} refused");
}

#[test]
fn damaged_envelopes_are_refused_or_read() {
    for (i, (path, kind, id)) in files().into_iter().enumerate() {
        let whole = file(&path);
        for len in 0..39 {
            assert!(envelope::open(&whole.slice(..len), kind).is_err(), "{path} cut to {len}");
        }
        for round in 0..100 {
            match envelope::open(&damaged(&mut Random(round << 16 | i as u64), &whole), kind) {
                Ok(bytes) => {
                    drive(kind, id, bytes);
                }
                Err(e) => fault_of_the_file(&e),
            }
        }
    }
    let (path, _, _) = files().into_iter().find(|(_, kind, _)| *kind == Kind::Manifest).unwrap();
    assert_eq!(envelope::open(&file(&path), Kind::Snapshot).unwrap_err().kind(), ErrorKind::Corrupt);
    for (at, value, kind) in
        [(0, 0, ErrorKind::Corrupt), (36, 3, ErrorKind::Unsupported), (38, 2, ErrorKind::Unsupported)]
    {
        let mut bytes = file(&path).to_vec();
        bytes[at] = value;
        assert_eq!(envelope::open(&bytes.into(), Kind::Manifest).unwrap_err().kind(), kind);
    }
}

/// Words of a `FlatBuffer`, written at positions that the test keeps in mind.
fn words(words: &[u32]) -> Bytes {
    words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>().into()
}

const ID: ObjectId = ObjectId([0; 12]);

/// A file whose root has the id 0 and, in field `slot`, a vector of `count` offsets that all lead to one
/// table; `table` are the words of that table, whose vtable is `slots`.
fn aliased(slot: usize, count: u32, slots: &[u16], table: &[u32]) -> Bytes {
    let mut root_slots = vec![0_u16; slot + 1];
    root_slots[0] = 4;
    root_slots[slot] = 16;
    let vtable = |slots: &[u16], size: usize| {
        let mut bytes = Vec::new();
        for number in [4 + 2 * slots.len(), size].into_iter().chain(slots.iter().map(|s| usize::from(*s))) {
            bytes.extend(u16::try_from(number).unwrap().to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let root_vtable = vtable(&root_slots, 20);
    let inner_vtable = vtable(slots, 4 * table.len());
    let root_at = 4 + root_vtable.len();
    let vector_at = root_at + 20;
    let inner_vtable_at = vector_at + 4 + 4 * usize::try_from(count).unwrap();
    let table_at = inner_vtable_at + inner_vtable.len();
    let number = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    let mut bytes = number(root_at).to_vec();
    bytes.extend(root_vtable);
    bytes.extend(number(root_at - 4));
    bytes.extend([0; 12]);
    bytes.extend(number(4));
    bytes.extend(count.to_le_bytes());
    for i in 0..usize::try_from(count).unwrap() {
        bytes.extend(number(table_at - (vector_at + 4 + 4 * i)));
    }
    bytes.extend(inner_vtable.clone());
    bytes.extend(number(inner_vtable.len()));
    bytes.extend(table.iter().skip(1).flat_map(|word| word.to_le_bytes()));
    bytes.resize(bytes.len() + 64, b'/');
    bytes.into()
}

#[test]
fn offsets_to_the_same_bytes_do_not_multiply() {
    let started = Instant::now();
    // A million nodes in one table.
    let node = [0, 0, 0, 8, 8, 0x0202_0202];
    let snapshot = aliased(2, 1 << 20, &[4, 12, 16, 20, 12], &node);
    assert_eq!(Snapshot::parse(&snapshot, ID).unwrap_err().kind(), ErrorKind::Corrupt);
    // A million arrays of one list of references.
    let manifest = aliased(1, 1 << 20, &[4, 12], &[0, 0, 0, 8]);
    assert_eq!(Manifest::parse(manifest, ID).unwrap_err().kind(), ErrorKind::Corrupt);
    // A million branches.
    let repository = aliased(2, 1 << 20, &[4, 8], &[0, 8, 0, 0]);
    assert_eq!(repository::branch_in(&repository, "main").unwrap_err().kind(), ErrorKind::NotFound);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn impossible_offsets_and_counts_are_refused() {
    for bytes in [
        words(&[]),
        words(&[0]),
        words(&[4]),
        words(&[u32::MAX]),
        words(&[4, 0]),
        words(&[4, u32::MAX, 0]),
        words(&[4, 0x8000_0000, 0, 0]),
        words(&[8, 0x0004_0004, 4]),
        words(&[8, 0xffff_ffff, 4, 0, 0]),
        words(&[8, 0x0004_0006, 4, 0, 0, 0]),
    ] {
        assert_eq!(Snapshot::parse(&bytes, ID).unwrap_err().kind(), ErrorKind::Corrupt, "{bytes:?}");
        assert_eq!(Manifest::parse(bytes.clone(), ID).unwrap_err().kind(), ErrorKind::Corrupt, "{bytes:?}");
        assert!(repository::branch_in(&bytes, "main").is_err());
    }
    // A list of more items than there are bytes.
    let mut many = aliased(2, 4, &[4], &[0, 0]).to_vec();
    let at = many.iter().position(|byte| *byte == 4 && many[0] > 0).unwrap();
    let vector = many.windows(4).enumerate().skip(at).find(|(i, w)| *i >= 36 && **w == [4, 0, 0, 0]);
    let (at, _) = vector.unwrap();
    many[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = Snapshot::parse(&many.into(), ID).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_bomb_is_refused() {
    // A gibibyte of zeros in a few kilobytes.
    let mut writer = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..1024 {
        std::io::Write::write_all(&mut writer, &zeros).unwrap();
    }
    let bomb = writer.finish().unwrap();
    let (path, kind, _) = files().into_iter().next().unwrap();
    let mut bytes = file(&path).slice(..39).to_vec();
    bytes[38] = 1;
    bytes.extend(bomb);
    let started = Instant::now();
    assert_eq!(envelope::open(&bytes.into(), kind).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(started.elapsed() < Duration::from_secs(20));
}
