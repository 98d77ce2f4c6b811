//! What storage's encodings are called in Zarr metadata, and encoding the few chunks that storage does not
//! have in that form (never written, or with stages left out).

use std::io::Write as _;

use bytes::Bytes;
use cdm::{Encoding, Error, Result};
use flate2::{Compression, write};
use serde_json::{Value as Json, json};

/// Whether a stage has a name in both versions of Zarr, and can be encoded here.
pub(super) fn is_known(encoding: &Encoding) -> bool {
    !matches!(encoding, Encoding::Other(_)) && in_v2(encoding).is_some()
}

/// A stage as a numcodecs configuration. Parameters that only an encoder needs are any valid ones.
pub(super) fn in_v2(encoding: &Encoding) -> Option<Json> {
    Some(match encoding {
        Encoding::Zlib => json!({"id": "zlib", "level": 1}),
        Encoding::Gzip => json!({"id": "gzip", "level": 1}),
        Encoding::Shuffle { element_size } => json!({"id": "shuffle", "elementsize": element_size}),
        Encoding::Fletcher32 => json!({"id": "fletcher32"}),
        Encoding::Zstd => json!({"id": "zstd", "level": 1}),
        Encoding::Blosc => {
            json!({"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0})
        }
        Encoding::Bzip2 => json!({"id": "bz2", "level": 1}),
        Encoding::Lz4 => json!({"id": "lz4", "acceleration": 1}),
        // Numcodecs' CRC-32C puts the checksum elsewhere in its older versions.
        _ => return None,
    })
}

/// A stage as a Zarr v3 codec: the specification's where there is one, else numcodecs'.
pub(super) fn in_v3(encoding: &Encoding, element_size: usize) -> Option<Json> {
    let (name, configuration) = match encoding {
        Encoding::Gzip => ("gzip", json!({"level": 1})),
        Encoding::Zstd => ("zstd", json!({"level": 1, "checksum": false})),
        Encoding::Blosc => (
            "blosc",
            json!({"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": element_size.max(1),
                   "blocksize": 0}),
        ),
        Encoding::Zlib => ("numcodecs.zlib", json!({"level": 1})),
        Encoding::Shuffle { element_size } => ("numcodecs.shuffle", json!({"elementsize": element_size})),
        Encoding::Fletcher32 => ("numcodecs.fletcher32", json!({})),
        Encoding::Bzip2 => ("numcodecs.bz2", json!({"level": 1})),
        Encoding::Lz4 => ("numcodecs.lz4", json!({"acceleration": 1})),
        _ => return None,
    };
    Some(json!({"name": name, "configuration": configuration}))
}

/// `decoded` run through `stages`. Elements have `element_size` bytes.
///
/// # Errors
/// `Unsupported` for a stage without an encoder.
pub(super) fn encode(decoded: Vec<u8>, stages: &[Encoding], element_size: usize) -> Result<Bytes> {
    let mut data = decoded;
    for stage in stages {
        data = one(&data, stage, element_size)?;
    }
    Ok(data.into())
}

fn one(data: &[u8], stage: &Encoding, element_size: usize) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Error::internal("encoding a chunk failed").with_source(e);
    Ok(match stage {
        Encoding::Zlib => {
            let mut out = write::ZlibEncoder::new(Vec::new(), Compression::fast());
            out.write_all(data).and_then(|()| out.finish()).map_err(failed)?
        }
        Encoding::Gzip => {
            let mut out = write::GzEncoder::new(Vec::new(), Compression::fast());
            out.write_all(data).and_then(|()| out.finish()).map_err(failed)?
        }
        Encoding::Zstd => zstd::bulk::compress(data, 1).map_err(failed)?,
        Encoding::Bzip2 => {
            let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            out.write_all(data).and_then(|()| out.finish()).map_err(failed)?
        }
        Encoding::Shuffle { element_size } => shuffled(data, *element_size),
        Encoding::Fletcher32 => [data, &fletcher32(data).to_le_bytes()].concat(),
        Encoding::Lz4 => lz4_literals(data)?,
        Encoding::Blosc => blosc_copy(data, element_size)?,
        _ => return Err(Error::unsupported("a chunk in an encoding that cannot be written")),
    })
}

/// Bytes of equal significance together; what is left over of the last element follows as it is.
fn shuffled(data: &[u8], element_size: usize) -> Vec<u8> {
    let size = element_size.max(1);
    let whole = data.len() / size * size;
    let (elements, rest) = data.split_at(whole);
    let mut out = Vec::with_capacity(data.len());
    for i in 0..size {
        out.extend(elements.iter().skip(i).step_by(size));
    }
    out.extend_from_slice(rest);
    out
}

/// HDF5's Fletcher checksum: big-endian 16-bit words, an odd last byte as a high byte.
fn fletcher32(data: &[u8]) -> u32 {
    let fold = |n: u32| (n & 0xffff) + (n >> 16);
    let (mut low, mut high) = (0_u32, 0_u32);
    for pair in data.chunks(2) {
        let word = match pair {
            [a, b] => u16::from_be_bytes([*a, *b]),
            [a] => u16::from_be_bytes([*a, 0]),
            _ => 0,
        };
        low = fold(low + u32::from(word));
        high = fold(high + low);
    }
    fold(high) << 16 | fold(low)
}

/// Numcodecs' LZ4 of literals alone: one sequence without a match.
fn lz4_literals(data: &[u8]) -> Result<Vec<u8>> {
    let len =
        u32::try_from(data.len()).map_err(|e| Error::too_large("a chunk is too large").with_source(e))?;
    let mut out = len.to_le_bytes().to_vec();
    let Some(mut more) = data.len().checked_sub(15) else {
        let token = u8::try_from(data.len()).unwrap_or_default() << 4;
        out.push(token);
        out.extend_from_slice(data);
        return Ok(out);
    };
    out.push(0xf0);
    while more >= 255 {
        out.push(255);
        more -= 255;
    }
    out.push(u8::try_from(more).unwrap_or_default());
    out.extend_from_slice(data);
    Ok(out)
}

/// A Blosc 1 chunk that says "copied": header, then the bytes.
fn blosc_copy(data: &[u8], element_size: usize) -> Result<Vec<u8>> {
    const HEADER: usize = 16;
    const COPIED: u8 = 0x02;
    let size = |n: usize| {
        u32::try_from(n).map_err(|e| Error::too_large("a chunk is too large for Blosc").with_source(e))
    };
    let mut out = vec![2, 1, COPIED, u8::try_from(element_size).unwrap_or(1)];
    for n in [data.len(), data.len(), data.len() + HEADER] {
        out.extend_from_slice(&size(n)?.to_le_bytes());
    }
    out.extend_from_slice(data);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What numcodecs 0.16 makes of, and reads, for the 20 bytes 0 to 19 as elements of 4.
    #[test]
    fn chunks_are_encoded_as_numcodecs_does() {
        let data: Vec<u8> = (0..20).collect();
        let shuffled = encode(data.clone(), &[Encoding::Shuffle { element_size: 4 }], 4).unwrap();
        assert_eq!(&shuffled[..10], [0, 4, 8, 12, 16, 1, 5, 9, 13, 17]);
        let summed = encode(data.clone(), &[Encoding::Fletcher32], 4).unwrap();
        assert_eq!(&summed[20..], FLETCHER_OF_20);
        let lz4 = encode(data.clone(), &[Encoding::Lz4], 4).unwrap();
        assert_eq!(&lz4[..6], [20, 0, 0, 0, 0xf0, 5]);
        let blosc = encode(data, &[Encoding::Blosc], 4).unwrap();
        assert_eq!((blosc.len(), &blosc[..4]), (36, [2, 1, 2, 4].as_slice()));
    }

    const FLETCHER_OF_20: [u8; 4] = [100, 90, 130, 75];

    #[test]
    fn what_has_no_name_is_not_known() {
        assert!(!is_known(&Encoding::Other("szip")) && is_known(&Encoding::Zlib));
        assert!(encode(vec![0], &[Encoding::Other("szip")], 1).is_err());
    }
}
