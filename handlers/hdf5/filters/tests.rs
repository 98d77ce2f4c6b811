//! Every codec against chunks that libhdf5 and its plugins stored (`fixtures/make.py` beside the codecs), and
//! all of them against damaged ones.

use std::{collections::BTreeSet, sync::LazyLock};

use bytes::Bytes;
use cdm::ErrorKind;
use proptest::prelude::*;

use super::{FilterSpec, pipeline};
use crate::chunked::codecs::fuzz;

#[derive(Debug)]
struct Case {
    name: String,
    filters: Vec<FilterSpec>,
    mask: u32,
    stored: Bytes,
    decoded: Bytes,
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let file = include_bytes!("../../chunked/codecs/fixtures/chunks.bin");
    let (len, packed) = file.split_first_chunk::<4>().unwrap();
    let mut raw = vec![0; u32::from_le_bytes(*len) as usize];
    let found = libdeflater::Decompressor::new().zlib_decompress(packed, &mut raw).unwrap();
    assert_eq!(found, raw.len());
    let mut rest = Bytes::from(raw);
    let number = |rest: &mut Bytes| u32::from_le_bytes(rest.split_to(4)[..].try_into().unwrap());
    let sized = |rest: &mut Bytes| {
        let len = number(rest) as usize;
        rest.split_to(len)
    };
    let decoded: Vec<Bytes> = (0..number(&mut rest)).map(|_| sized(&mut rest)).collect();
    let mut cases = Vec::new();
    while !rest.is_empty() {
        cases.push(Case {
            name: String::from_utf8(sized(&mut rest).to_vec()).unwrap(),
            filters: (0..number(&mut rest))
                .map(|_| FilterSpec {
                    id: u16::try_from(number(&mut rest)).unwrap(),
                    optional: true,
                    name: String::new(),
                    client_data: (0..number(&mut rest)).map(|_| number(&mut rest)).collect(),
                })
                .collect(),
            mask: number(&mut rest),
            stored: sized(&mut rest),
            decoded: decoded[number(&mut rest) as usize].clone(),
        });
    }
    cases
});

#[test]
fn decodes_what_libhdf5_stored() {
    let mut failures = Vec::new();
    for case in CASES.iter() {
        let result = pipeline(&case.filters)
            .and_then(|p| p.decode(case.stored.clone(), case.decoded.len(), case.mask));
        match result {
            Ok(found) if found == case.decoded => {}
            Ok(found) => {
                let at = found.iter().zip(&case.decoded).position(|(a, b)| a != b);
                failures.push(format!("{}: differs at {at:?} of {}", case.name, found.len()));
            }
            Err(e) => failures.push(format!("{}: {e} ({:?})", case.name, case.filters)),
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), CASES.len(), failures.join("\n"));
}

#[test]
fn fixtures_cover_every_filter() {
    let covered: BTreeSet<u16> = CASES.iter().flat_map(|case| case.filters.iter().map(|f| f.id)).collect();
    let supported = [1, 2, 3, 4, 5, 6, 307, 32000, 32001, 32004, 32008, 32015, 32026];
    assert_eq!(covered.into_iter().collect::<Vec<_>>(), supported);
    assert!(CASES.iter().any(|case| case.mask != 0));
}

#[test]
fn a_wrong_length_is_an_error_never_another_result() {
    for case in CASES.iter() {
        let pipeline = pipeline(&case.filters).unwrap();
        for len in [0, case.decoded.len() - 1, case.decoded.len() + 1, case.decoded.len() * 2 + 8] {
            let result = pipeline.decode(case.stored.clone(), len, case.mask);
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Corrupt, "{} as {len}", case.name);
        }
    }
}

/// Every stage alone accepts not knowing its length, as a stage before a compressor must.
#[test]
fn single_stages_decode_without_a_stated_length() {
    for case in CASES.iter().filter(|case| case.filters.len() == 1 && case.mask == 0) {
        let codec = super::codec(&case.filters[0]).unwrap();
        assert_eq!(codec.decode(case.stored.clone(), None).unwrap(), case.decoded, "{}", case.name);
    }
}

#[test]
fn every_truncation_is_noticed() {
    for case in CASES.iter().filter(|case| case.mask == 0) {
        let pipeline = pipeline(&case.filters).unwrap();
        let len = case.stored.len();
        // The last few bytes may be padding or a trailer that no decoder needs.
        for cut in [0, 1, 3, len / 3, len / 2].into_iter().filter(|cut| *cut * 2 <= len) {
            let result = pipeline.decode(case.stored.slice(..cut), case.decoded.len(), 0);
            assert!(result.is_err(), "{} cut to {cut} of {len}", case.name);
        }
    }
}

/// What a few bytes claim is refused before room is made for it, also when no length is demanded.
#[test]
fn claims_beyond_the_input_are_refused() {
    let check = |id, client_data: &[u32], input: &[u8]| {
        let spec = FilterSpec { id, optional: false, name: String::new(), client_data: client_data.to_vec() };
        let codec = super::codec(&spec).unwrap();
        let input = Bytes::copy_from_slice(input);
        for len in [None, Some(64)] {
            let error = codec.decode(input.clone(), len).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{id} {len:?}: {error}");
        }
    };
    let huge = [0xff; 40];
    check(4, &[32, 8, 8, 100], &huge);
    check(5, &[8, 0, u32::MAX, 1, 8, 0, 64, 0], &huge);
    check(6, &[2, 0, u32::MAX, 0, 8, 0, 0, 0, 0, 0], &[0; 30]);
    check(32004, &[], &huge);
    let frame = |len: u64| [len.to_be_bytes().as_slice(), &[0, 0, 0x20, 0], &[0; 20]].concat();
    for len in [1 << 25, 1 << 28, u64::MAX] {
        check(32004, &[], &frame(len));
        for compression in [2, 3] {
            check(32008, &[0, 0, 4, 0, compression], &frame(len));
        }
    }
    check(32001, &[], &[2, 1, 0x20, 4, 255, 255, 255, 127, 255, 255, 255, 127, 20, 0, 0, 0, 0, 0, 0, 0]);
}

/// A checksum as libhdf5 1.6.2 wrote it, the bytes of each half exchanged.
#[test]
fn fletcher32_in_both_orders() {
    let case = CASES.iter().find(|case| case.name == "fletcher32 odd").unwrap();
    let pipeline = pipeline(&case.filters).unwrap();
    let mut stored = case.stored.to_vec();
    let end = stored.len();
    stored.swap(end - 4, end - 3);
    stored.swap(end - 2, end - 1);
    assert_eq!(pipeline.decode(stored.clone().into(), case.decoded.len(), 0).unwrap(), case.decoded);
    stored[5] ^= 1;
    let error = pipeline.decode(stored.into(), case.decoded.len(), 0).unwrap_err();
    assert!(error.message().contains("checksum"), "{error}");
}

#[test]
fn unknown_filters_are_named() {
    let unknown = |id, name: &str| {
        let spec = FilterSpec { id, optional: false, name: name.into(), client_data: Vec::new() };
        let error = pipeline(&[spec]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        error.message().split("; supported").next().unwrap().to_owned()
    };
    assert_eq!(unknown(32013, ""), "filter 32013 (H5Z-ZFP) is not supported");
    assert_eq!(unknown(32013, "H5Z-ZFP-1.1.0"), "filter 32013 (H5Z-ZFP-1.1.0) is not supported");
    assert_eq!(unknown(4711, "my\u{7}own"), "filter 4711 (myown) is not supported");
    assert_eq!(unknown(4712, ""), "filter 4712 is not supported");
}

#[test]
fn nonsense_parameters_are_refused() {
    let check = |id, client_data: &[u32]| {
        let spec = FilterSpec { id, optional: false, name: String::new(), client_data: client_data.to_vec() };
        assert_eq!(pipeline(&[spec]).unwrap_err().kind(), ErrorKind::Corrupt, "{id} {client_data:?}");
    };
    check(2, &[]);
    check(4, &[32, 8, 25, 100]);
    check(4, &[32, 7, 8, 100]);
    check(4, &[32, 8, 8, 0]);
    check(5, &[]);
    check(5, &[8, 0, 1, 1, 4, 0, 33, 0]);
    check(5, &[8, 0, 1, 1, 4, 0, u32::MAX, u32::MAX]);
    check(5, &[8, 0, 1, 3, 4, u32::MAX, 0, 4]);
    check(6, &[2, 0, 1, 0, 3, 0, 0, 0, 0, 0]);
    check(6, &[2, 0, 1]);
    check(32008, &[0, 0, 0, 0, 0]);
    check(32008, &[0, 0, 4, 12, 0]);
    // Types that nest without end: arrays of arrays.
    let mut deep = vec![0, 0, 1, 2];
    deep.extend([8, 2].repeat(10_000));
    deep[0] = u32::try_from(deep.len()).unwrap();
    check(5, &deep);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_chunks_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        stated in prop::option::weighted(0.1, 0_usize..5000),
    ) {
        let case = which.get(&CASES);
        let mut stored = case.stored.to_vec();
        for (place, value, early) in changes {
            // Half of the changes go to the first bytes, where headers are.
            let range = if early { stored.len().min(40) } else { stored.len() };
            stored[place.index(range)] = value;
        }
        if let Some(cut) = cut {
            stored.truncate(cut.index(stored.len()));
        }
        let len = stated.unwrap_or(case.decoded.len());
        if let Ok(decoded) = pipeline(&case.filters).unwrap().decode(stored.into(), len, case.mask) {
            prop_assert_eq!(decoded.len(), len);
        }
    }

    #[test]
    fn damaged_parameters_never_panic(
        which in any::<prop::sample::Index>(),
        filter in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        value in prop_oneof![0_u32..70, any::<u32>()],
    ) {
        let case = which.get(&CASES);
        let mut filters = case.filters.clone();
        let data = &mut filters[filter.index(case.filters.len())].client_data;
        if !data.is_empty() {
            let place = place.index(data.len());
            data[place] = value;
        }
        if let Ok(decoded) = pipeline(&filters).and_then(|p| p.decode(case.stored.clone(), case.decoded.len(), 0)) {
            prop_assert_eq!(decoded.len(), case.decoded.len());
        }
    }

    #[test]
    fn garbage_never_panics(
        codec in 0..fuzz::CODECS,
        len in any::<u16>(),
        parameters in prop::collection::vec(prop_oneof![0_u32..40, any::<u32>()], 0..24),
        input in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = vec![codec];
        bytes.extend(len.to_be_bytes());
        bytes.push(u8::try_from(parameters.len()).unwrap());
        bytes.extend(parameters.iter().flat_map(|p| p.to_le_bytes()));
        bytes.extend(input);
        fuzz::drive(&bytes);
    }
}

/// The fuzzer's entry reaches the codecs: a valid chunk in its layout decodes.
#[test]
fn the_fuzz_entry_decodes_valid_chunks() {
    let case = CASES.iter().find(|case| case.name == "lzf smooth").unwrap();
    let mut bytes = vec![6];
    bytes.extend(u16::try_from(case.decoded.len()).unwrap().to_be_bytes());
    bytes.push(0);
    bytes.extend(&case.stored);
    assert_eq!(fuzz::drive(&bytes), Some(("lzf", true)));
}
