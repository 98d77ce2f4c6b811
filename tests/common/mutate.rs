//! Damage to files, reproducible by seed.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use cdm::testing::Random;

/// A committed file.
#[derive(Debug)]
pub struct Fixture {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Every file that the readers' own tests have.
pub fn fixtures() -> Vec<Fixture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("handlers");
    let mut found = Vec::new();
    let folders = [
        "netcdf3/tests/data",
        "hdf5/testdata",
        "hdf5/format/testdata",
        "references/fixtures",
        "geotiff/fixtures",
        "zarr/fixtures",
    ];
    let endings = [".nc", ".h5", ".dmrpp", ".kerchunk.json", ".refs.json", ".tif", ".zip"];
    for folder in folders {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let shown = path.to_string_lossy();
            if endings.iter().any(|end| shown.ends_with(end)) {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                found.push(Fixture { name, bytes: fs::read(&path).unwrap() });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(found.len() > 40, "the fixtures have moved: {}", found.len());
    found
}

/// Numbers on which size arithmetic breaks.
const BAD: &[u64] = &[
    0,
    1,
    2,
    3,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x00ff_ffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff0,
    0xffff_ffff,
    0x1_0000_0000,
    1 << 40,
    i64::MAX as u64 - 7,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// `original` damaged once or a few times; `other` lends bytes.
pub fn mutate(random: &mut Random, original: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    // Structures that say something are few among zeros: damage goes where bytes are.
    let places: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i] != 0).collect();
    for _ in 0..=random.below(3) {
        damage(random, &mut bytes, other, &places);
    }
    // Checksums would stop most damage at the door: half of the time they are made right again.
    if random.below(2) == 0 {
        mend_headers(&mut bytes);
    }
    bytes
}

/// `original` damaged as what it is: text now and then as text, everything else as bytes.
pub fn mutate_any(random: &mut Random, original: &[u8], other: &[u8]) -> Vec<u8> {
    if original.is_empty() || other.is_empty() {
        return other.to_vec();
    }
    match std::str::from_utf8(original) {
        Ok(text) if random.below(3) != 0 => mutate_text(random, text, other).into_bytes(),
        _ => mutate(random, original, other),
    }
}

/// Words that parsers stumble over.
const WORDS: &[&str] = &[
    "0",
    "-1",
    "1e400",
    "-9223372036854775808",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "4294967296",
    "NaN",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "[[[[[[[[",
    "]]]]",
    "}}",
    "<a>",
    "</a>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "&x;",
    "&#0;",
    "&#x110000;",
    "<!DOCTYPE a>",
    "<?x?>",
    "{{a}}",
    "..",
    "../../x",
    "/",
    "\\",
    "\u{0}",
    "\u{feff}",
    "é",
    "%2e%2e",
    "file:///etc/passwd",
    "http://127.0.0.1/",
    "s3://b/k",
    "|S0",
    "<f16",
    "<M8[as]",
    ">U999999999",
];

/// Text with its numbers, words and quoted parts exchanged, left out, repeated or made long.
fn mutate_text(random: &mut Random, original: &str, other: &[u8]) -> String {
    let mut tokens: Vec<String> = Vec::new();
    for c in original.chars() {
        let joins = |token: &String| {
            let last = token.chars().last().unwrap();
            (c.is_alphanumeric() && last.is_alphanumeric()) || (c.is_whitespace() && last.is_whitespace())
        };
        match tokens.last_mut().filter(|token| joins(token)) {
            Some(token) => token.push(c),
            None => tokens.push(c.to_string()),
        }
    }
    let below = |random: &mut Random, n: usize| usize::try_from(random.below(n.max(1) as u64)).unwrap();
    for _ in 0..=random.below(3) {
        let numbers: Vec<usize> =
            (0..tokens.len()).filter(|&i| tokens[i].starts_with(|c: char| c.is_ascii_digit())).collect();
        let at = below(random, tokens.len());
        let Some(token) = tokens.get(at).cloned() else { break };
        match random.below(9) {
            0..=2 if !numbers.is_empty() => {
                let at = numbers[below(random, numbers.len())];
                tokens[at] = if random.below(2) == 0 {
                    BAD[below(random, BAD.len())].to_string()
                } else {
                    WORDS[below(random, WORDS.len())].to_owned()
                };
            }
            0..=3 => WORDS[below(random, WORDS.len())].clone_into(&mut tokens[at]),
            4 => {
                let len = 1 + below(random, 20);
                let end = (at + len).min(tokens.len());
                let part = tokens[at..end].concat().repeat(1 + below(random, 40));
                tokens.insert(at, part);
            }
            5 => {
                let end = (at + 1 + below(random, 30)).min(tokens.len());
                tokens.drain(at..end);
            }
            6 => tokens[at] = token.repeat(1 << below(random, 14)),
            7 => {
                let from = below(random, tokens.len());
                tokens.swap(at, from);
            }
            _ => {
                let start = below(random, other.len());
                let end = (start + 1 + below(random, 200)).min(other.len());
                tokens.insert(at, String::from_utf8_lossy(&other[start..end]).into_owned());
            }
        }
    }
    let mut text = tokens.concat();
    if random.below(10) == 0 {
        let mut cut = below(random, text.len());
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        text.truncate(cut);
    }
    text
}

fn damage(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8], places: &[usize]) {
    let len = bytes.len();
    if len == 0 {
        return;
    }
    let below = |random: &mut Random, n: usize| usize::try_from(random.below(n as u64)).unwrap();
    let near = |random: &mut Random| {
        // Mostly at or just beside something that is not zero, sometimes in the first bytes.
        match random.below(4) {
            0 => below(random, len.min(512)),
            _ if places.is_empty() => below(random, len),
            _ => (places[below(random, places.len())] + below(random, 4)).min(len - 1),
        }
    };
    match random.below(8) {
        0 => {
            for _ in 0..=random.below(7) {
                let at = near(random);
                bytes[at] ^= 1 << random.below(8);
            }
        }
        1 => {
            let at = near(random);
            bytes[at] = u8::try_from(random.below(256)).unwrap();
        }
        2 | 3 => {
            let at = near(random);
            let value = BAD[below(random, BAD.len())];
            let width = [1, 2, 4, 8][below(random, 4)];
            let (little, big) = (value.to_le_bytes(), value.to_be_bytes());
            let number = if random.below(2) == 0 { &little[..width] } else { &big[8 - width..] };
            let end = (at + width).min(len);
            bytes[at..end].copy_from_slice(&number[..end - at]);
        }
        4 => {
            let keep = if random.below(2) == 0 { near(random) } else { below(random, len) };
            bytes.truncate(keep);
        }
        5 => {
            let size = (1 << random.below(10)).min(len / 2);
            let (a, b) = (below(random, len - size + 1), below(random, len - size + 1));
            let (one, two) = (bytes[a..a + size].to_vec(), bytes[b..b + size].to_vec());
            bytes[a..a + size].copy_from_slice(&two);
            bytes[b..b + size].copy_from_slice(&one);
        }
        6 => {
            // An address, a length or a count of elsewhere.
            let width = [2, 4, 8][below(random, 3)].min(len);
            let from = near(random).min(len - width);
            let value = bytes[from..from + width].to_vec();
            let at = near(random).min(len - width);
            bytes[at..at + width].copy_from_slice(&value);
        }
        _ => {
            let size = (1 + below(random, 200)).min(other.len()).min(len);
            let from = below(random, other.len() - size + 1);
            let at = near(random).min(len - size);
            if random.below(3) == 0 {
                bytes.splice(at..at, other[from..from + size].iter().copied());
            } else {
                bytes[at..at + size].copy_from_slice(&other[from..from + size]);
            }
        }
    }
}

/// Makes the checksums of version 2 object headers and of superblocks right.
fn mend_headers(bytes: &mut [u8]) {
    let superblock = bytes.starts_with(b"\x89HDF\r\n\x1a\n") && matches!(bytes.get(8), Some(2 | 3));
    if superblock && bytes.len() >= 48 {
        seal(bytes, 0, 44);
    }
    let starts: Vec<usize> =
        (0..bytes.len().saturating_sub(8)).filter(|&at| bytes[at..].starts_with(b"OHDR\x02")).collect();
    for start in starts {
        let flags = bytes[start + 5];
        let width = 1 << (flags & 3);
        let size_at =
            start + 6 + if flags & 0x20 == 0 { 0 } else { 16 } + if flags & 0x10 == 0 { 0 } else { 4 };
        let Some(size) = bytes.get(size_at..size_at + width) else { continue };
        let size = size.iter().rev().fold(0_u64, |n, &b| n << 8 | u64::from(b));
        let end = usize::try_from(size).ok().and_then(|size| (size_at + width).checked_add(size));
        if let Some(end) = end.filter(|end| end.checked_add(4).is_some_and(|e| e <= bytes.len())) {
            seal(bytes, start, end);
        }
    }
}

fn seal(bytes: &mut [u8], start: usize, end: usize) {
    let sum = lookup3(&bytes[start..end]).to_le_bytes();
    bytes[end..end + 4].copy_from_slice(&sum);
}

/// Bob Jenkins' `hashlittle` with 0 as its initial value.
fn lookup3(key: &[u8]) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(u32::try_from(key.len()).unwrap());
    let (mut a, mut b, mut c) = (start, start, start);
    let mut rest = key;
    while rest.len() > 12 {
        let (block, after) = rest.split_at(12);
        [a, b, c] = add(block, a, b, c);
        for (x, y, z, turn) in
            [(0, 2, 1, 4), (1, 0, 2, 6), (2, 1, 0, 8), (0, 2, 1, 16), (1, 0, 2, 19), (2, 1, 0, 4)]
        {
            let mut v = [a, b, c];
            v[x] = v[x].wrapping_sub(v[y]) ^ v[y].rotate_left(turn);
            v[y] = v[y].wrapping_add(v[z]);
            [a, b, c] = v;
        }
        rest = after;
    }
    if rest.is_empty() {
        return c;
    }
    let mut last = [0; 12];
    last[..rest.len()].copy_from_slice(rest);
    [a, b, c] = add(&last, a, b, c);
    let mut v = [a, b, c];
    for (x, y, turn) in [(2, 1, 14), (0, 2, 11), (1, 0, 25), (2, 1, 16), (0, 2, 4), (1, 0, 14), (2, 1, 24)] {
        v[x] = (v[x] ^ v[y]).wrapping_sub(v[y].rotate_left(turn));
    }
    v[2]
}

fn add(block: &[u8], a: u32, b: u32, c: u32) -> [u32; 3] {
    let word = |i: usize| u32::from_le_bytes(block[i..i + 4].try_into().unwrap());
    [a.wrapping_add(word(0)), b.wrapping_add(word(4)), c.wrapping_add(word(8))]
}

/// The checksum of a fixture's superblock is what the file says: else mending mends nothing.
pub fn checksum_is_known() -> bool {
    let all = fixtures();
    let latest = all.iter().find(|f| f.name == "latest.h5").unwrap();
    let mut again = latest.bytes.clone();
    mend_headers(&mut again);
    again == latest.bytes
}
