//! The data response, byte for byte and by a decoder written from the specification.

use std::sync::Arc;

use bytes::Bytes;
use cdm::{
    Block, BlockStream, DataType, Dataset, Error, FullName, Group, OpaqueType, Result, Selection, Source,
    Variable, Version, fixed_block, testing::MemorySource,
};
use futures::StreamExt;
use proptest::prelude::*;

use super::{super::Response, ask, body, constrained, datasets, items};

/// One chunk: flags and payload (protocol notes 3.1).
type Chunk = (u8, Vec<u8>);

/// Cuts a body into chunks; the last must end the body.
fn chunks(mut body: &[u8]) -> Vec<Chunk> {
    let mut all = Vec::new();
    while let [flags, high, middle, low, rest @ ..] = body {
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        all.push((*flags, rest[..length].to_vec()));
        body = &rest[length..];
        assert_eq!(flags & 1 == 1, body.is_empty(), "exactly the last chunk says that it is the last");
    }
    assert!(body.is_empty(), "{} stray bytes", body.len());
    all
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).filter_map(|d| char::from_digit(d.into(), 16)).collect()
}

/// The DMR and the data part of a body.
fn split(body: &[u8]) -> (String, Vec<u8>) {
    let chunks = chunks(body);
    assert!(chunks.len() >= 2);
    assert!(chunks.iter().all(|(flags, _)| flags & 0x04 != 0), "byte order in every chunk");
    let dmr = String::from_utf8(chunks[0].1.clone()).unwrap();
    assert!(
        dmr.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>") && dmr.ends_with("</Dataset>\n\r\n")
    );
    (dmr, chunks[1..].iter().flat_map(|(_, payload)| payload.clone()).collect())
}

/// Reads values as text, one per atomic value, counts included as `#n` (protocol notes 3.3).
struct Decoder<'a>(&'a [u8]);

impl Decoder<'_> {
    fn take(&mut self, n: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(n);
        self.0 = rest;
        taken.to_vec()
    }

    fn count(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    fn variable(&mut self, variable: &Variable, out: &mut Vec<String>) {
        for _ in 0..variable.dimensions.iter().map(|d| d.size).product::<u64>() {
            match &variable.data_type {
                DataType::Structure(r) => r.fields.iter().for_each(|f| self.variable(f, out)),
                DataType::Sequence(r) => {
                    let rows = self.count();
                    out.push(format!("#{rows}"));
                    (0..rows).for_each(|_| r.fields.iter().for_each(|f| self.variable(f, out)));
                }
                DataType::String => {
                    let n = self.count();
                    out.push(String::from_utf8(self.take(usize::try_from(n).unwrap())).unwrap());
                }
                DataType::Opaque(_) => {
                    let n = self.count();
                    out.push(format!("{:02x?}", self.take(usize::try_from(n).unwrap())));
                }
                DataType::Int8 => out.push(self.take(1)[0].cast_signed().to_string()),
                DataType::UInt8 | DataType::Enum(_) => out.push(self.take(1)[0].to_string()),
                DataType::Int16 => out.push(i16::from_le_bytes(self.take(2).try_into().unwrap()).to_string()),
                DataType::Int32 => out.push(i32::from_le_bytes(self.take(4).try_into().unwrap()).to_string()),
                DataType::Float64 => {
                    out.push(f64::from_le_bytes(self.take(8).try_into().unwrap()).to_string());
                }
                other => unreachable!("{other:?}"),
            }
        }
    }
}

/// All values of a data part, which must be used up; checksums are verified if there are any.
fn decode(dataset: &Dataset, data: &[u8], checksums: bool) -> Vec<String> {
    let mut decoder = Decoder(data);
    let mut out = Vec::new();
    for (name, variable) in dataset.variables() {
        let before = decoder.0;
        decoder.variable(variable, &mut out);
        let used = &before[..before.len() - decoder.0.len()];
        if checksums {
            assert_eq!(decoder.take(4), crc32fast::hash(used).to_le_bytes(), "checksum of {name}");
        }
    }
    assert!(decoder.0.is_empty(), "{} bytes too many", decoder.0.len());
    out
}

/// The values that `ce` selects, over the whole path from query to chunks.
fn values_of(source: &Arc<dyn Source>, ce: &str) -> Vec<String> {
    let kept = constrained(source, ce).unwrap();
    for checksums in [false, true] {
        let query = format!("dap4.ce={ce}&dap4.checksum={checksums}");
        let (_, data) = split(&body(ask(source, Response::Dap, &query, "")));
        let values = decode(kept.dataset(), &data, checksums);
        if checksums {
            return values;
        }
    }
    unreachable!()
}

#[track_caller]
fn check(dataset: &str, ce: &str, expected: &str) {
    assert_eq!(values_of(&datasets::named(dataset), ce).join(" "), expected, "{ce}");
}

#[test]
fn section_3_4_example_a_atomic_types() {
    let opaque = DataType::Opaque(Arc::new(OpaqueType { name: None, size: Some(8) }));
    let one = |name: &str, data_type: DataType| Variable::new(name, data_type, vec![]);
    let clouds = DataType::Enum(datasets::clouds());
    let source: Arc<dyn Source> = Arc::new(MemorySource::flat(
        "t.nc",
        Group::new(FullName::root()),
        vec![
            (one("v8", DataType::Int8), fixed_block!([-128_i8])),
            (one("vu8", DataType::UInt8), fixed_block!([255_u8])),
            (one("v16", DataType::Int16), fixed_block!([-32768_i16])),
            (one("vu16", DataType::UInt16), fixed_block!([65535_u16])),
            (one("v32", DataType::Int32), fixed_block!([i32::MAX])),
            (one("vu32", DataType::UInt32), fixed_block!([u32::MAX])),
            (one("v64", DataType::Int64), fixed_block!([i64::MAX])),
            (one("vu64", DataType::UInt64), fixed_block!([u64::MAX])),
            (one("vf", DataType::Float32), fixed_block!([std::f32::consts::PI])),
            (one("vd", DataType::Float64), fixed_block!([std::f64::consts::PI])),
            (one("vc", DataType::Char), Block::Fixed(b"@"[..].into())),
            (one("vs", DataType::String), Block::varying(["hello\tworld"])),
            (one("vo", opaque), Block::varying([[0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]])),
            (one("primary", clouds.clone()), fixed_block!([2_i8])),
            (one("secondary", clouds), fixed_block!([127_i8])),
        ],
    ));
    let body = body(ask(&source, Response::Dap, "", ""));
    let hex = hexadecimal(&chunks(&body)[1].1);
    assert_eq!(
        hex,
        "80ff0080ffffffffff7fffffffffffffffffffffff7fffffffffffffffffdb0f4940182d4454fb210940\
         400b0000000000000068656c6c6f09776f726c6408000000000000000123456789abcdef027f"
    );
    assert_eq!(chunks(&body).len(), 2);
    assert_eq!(chunks(&body)[1].0, 0x05);
}

#[test]
fn section_3_5_example_b_checksums() {
    let int = datasets::int("t", vec![cdm::Dimension::anonymous(2)]);
    let text = Variable::new("t", DataType::String, vec![cdm::Dimension::anonymous(2)]);
    for (variable, block, expected) in [
        (int, fixed_block!([1_i32, 2]), "050000 0c 01000000 02000000 7c178103"),
        (
            text,
            Block::varying(["ab", "cde"]),
            "05000019 0200000000000000 6162 0300000000000000 636465 b61df65d",
        ),
    ] {
        let source: Arc<dyn Source> =
            Arc::new(MemorySource::flat("t.nc", Group::new(FullName::root()), vec![(variable, block)]));
        let body = body(ask(&source, Response::Dap, "dap4.checksum=true", ""));
        let first = chunks(&body)[0].1.len();
        let hex = hexadecimal(&body[4 + first..]);
        assert_eq!(hex, expected.replace(' ', ""));
    }
}

#[test]
fn vectors_with_values() {
    check("TAA", "/v16[0:1,3]", "1 2 4");
    check("TAA", "/v16[3,0:1]", "4 1 2");
    check("TAA", "/vu8[1][0:2:2];/vd[1];/vs[1][0];/vo[0][1]", "3 5 17.9 b [ab, cd]");
    check("TAA", "/t[1]", "37");
    check("TAA", "/t[0:1]", "17 37");
    check("TAA", "/primary_cloud[1:2:4]", "2 1");
    check("TAA", "/s[0:2:2][0:1]", "1 -1 2 -2 -4 12 7 -7");
    check("A4", "/row=[0:1];/col=[3];a", "3 7");
    check("A4", "c[2:][2:]", "10 11");
    check("V1_6", "/s1{x}|y<3", "#3 0 1 2");
    check("V1_9", "/Points3{x}|20<x<40,y<25", "#4 21 22 23 24");
    check("V1_9", "/Points2{x;sounding{t}|depth>37}|x>38", "#1 39 #2 38 39");
    check("V1_4", "/Points[3:4]{y[0:2]}", "3 3 3 4 4 4");
}

#[test]
fn responses_of_the_same_constraint_agree() {
    for (dataset, ce) in [("TAA", ""), ("V1_7", "/temp;/lat;/lon"), ("V1_2", "/inst2"), ("V1_1", "/Point.x")]
    {
        let source = datasets::named(dataset);
        let query = format!("dap4.ce={ce}");
        let (embedded, _) = split(&body(ask(&source, Response::Dap, &query, "")));
        let alone = super::text(ask(&source, Response::Dmr, &query, ""));
        assert_eq!(embedded, format!("{alone}\r\n"));
    }
}

#[test]
fn checksums_follow_the_client_and_the_query() {
    let source = datasets::named("V1_1");
    let plain = body(ask(&source, Response::Dap, "", "")).len();
    for (agent, query, sums) in [
        ("netCDF4.9.0", "", 3),
        ("netCDF4.10.1", "", 0),
        ("netCDF4.10.1", "dap4.checksum=true", 0),
        ("python-requests/2", "dap4.checksum=true", 3),
        ("libdap/3.20.11", "", 3),
        ("libdap/3.20.11", "dap4.checksum=false", 0),
    ] {
        assert_eq!(
            body(ask(&source, Response::Dap, query, agent)).len(),
            plain + 4 * sums,
            "{agent} {query}"
        );
    }
    let refused = body(ask(&source, Response::Dap, "dap4.checksum=false", "netCDF4.9.0"));
    assert_eq!(refused[0], 0x0c, "the one client that obeys the flag is told");
}

/// Chunks do not depend on blocks, and a body of exactly whole chunks ends with an empty one.
#[test]
fn long_responses_are_cut_at_fixed_places() {
    const CHUNK: usize = 128 << 10;
    for elements in [CHUNK / 4 - 1, CHUNK / 4, CHUNK / 2 + 5] {
        let values: Vec<i32> = (0..).take(elements).collect();
        let variable = datasets::int("v", datasets::anonymous(&[elements as u64]));
        let mut bodies = Vec::new();
        for per_block in [1000, 70_000, usize::MAX] {
            let source = MemorySource::flat(
                "t.nc",
                Group::new(FullName::root()),
                vec![(variable.clone(), fixed_block!(values))],
            );
            let source: Arc<dyn Source> = Arc::new(source.with_block_elements(per_block));
            bodies.push(body(ask(&source, Response::Dap, "", "")));
        }
        assert!(bodies[0] == bodies[1] && bodies[1] == bodies[2]);
        let lengths: Vec<usize> = chunks(&bodies[0])[1..].iter().map(|(_, p)| p.len()).collect();
        let whole = elements * 4 / CHUNK;
        assert_eq!(lengths, [vec![CHUNK; whole], vec![elements * 4 % CHUNK]].concat());
        let sent: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert!(split(&bodies[0]).1 == sent);
    }
}

/// Gives `good` blocks of a mebibyte, then fails.
#[derive(Debug)]
struct Failing(Dataset, usize);

impl Failing {
    fn source(good: usize) -> Arc<dyn Source> {
        let mut root = Group::new(FullName::root());
        root.variables.push(Variable::new("v", DataType::UInt8, datasets::anonymous(&[8 << 20])));
        Arc::new(Self(Dataset::new("t.nc", root).unwrap(), good))
    }
}

impl Source for Failing {
    fn dataset(&self) -> &Dataset {
        &self.0
    }
    fn version(&self) -> Option<&Version> {
        None
    }
    fn read(&self, _: &FullName, _: &Selection) -> BlockStream {
        let good = (0..self.1).map(|_| Ok(Block::Fixed(vec![7; 1 << 20].into())));
        let failed: Result<Block> = Err(Error::corrupt("chunk 3 of /v <is> broken"));
        futures::stream::iter(good.chain([failed])).boxed()
    }
}

#[test]
fn an_early_failure_is_the_first_item() {
    let items = items(ask(&Failing::source(0), Response::Dap, "", ""));
    assert_eq!(items.len(), 1);
    assert!(items[0].as_ref().is_err_and(|e| e.kind() == cdm::ErrorKind::Corrupt));
}

#[test]
fn a_late_failure_is_an_error_chunk_and_a_cut() {
    let mut items = items(ask(&Failing::source(3), Response::Dap, "", ""));
    assert!(items.pop().unwrap().is_err());
    let body = items.into_iter().collect::<Result<Vec<_>>>().unwrap().concat();
    let chunks = chunks(&body);
    let (flags, payload) = chunks.last().unwrap();
    // The description, three mebibytes in chunks of 128 KiB, the error.
    assert_eq!((*flags, chunks.len()), (0x07, 1 + 24 + 1));
    let document = String::from_utf8(payload.clone()).unwrap();
    assert!(document.contains("<Error xmlns=\"http://xml.opendap.org/ns/DAP/4.0#\" httpcode=\"500\">"));
    assert!(document.contains("chunk 3 of /v &lt;is&gt; broken"));
}

#[test]
fn too_few_elements_are_an_error_not_a_short_answer() {
    #[derive(Debug)]
    struct Short(Arc<dyn Source>);
    impl Source for Short {
        fn dataset(&self) -> &Dataset {
            self.0.dataset()
        }
        fn version(&self) -> Option<&Version> {
            None
        }
        fn read(&self, v: &FullName, s: &Selection) -> BlockStream {
            self.0.read(v, s).take(1).boxed()
        }
    }
    let source: Arc<dyn Source> = Arc::new(Short(datasets::named("A4")));
    assert!(items(ask(&source, Response::Dap, "", "")).iter().any(Result::is_err));
}

/// Indices of one axis: its brackets, and what they mean by definition.
fn brackets(size: u64) -> impl Strategy<Value = (String, Vec<u64>)> {
    let part = (0..size, 1..4_u64, 0..size).prop_map(move |(a, step, b)| {
        let (first, last) = (a.min(b), a.max(b));
        let mut indices = Vec::new();
        let mut i = first;
        while i <= last {
            indices.push(i);
            i += step;
        }
        (format!("{first}:{step}:{last}"), indices)
    });
    let parts = prop::collection::vec(part, 1..4).prop_map(|parts| {
        let text = parts.iter().map(|(t, _)| t.clone()).collect::<Vec<_>>().join(",");
        (format!("[{text}]"), parts.into_iter().flat_map(|(_, i)| i).collect::<Vec<_>>())
    });
    prop_oneof![Just(("[]".to_owned(), (0..size).collect::<Vec<_>>())), parts]
}

proptest! {
    #[test]
    fn random_constraints_select_what_naive_indexing_selects(
        (x, xs) in brackets(4), (y, ys) in brackets(5), (z, zs) in brackets(6), first in any::<bool>()
    ) {
        let mut root = Group::new(FullName::root());
        root.variables = vec![
            datasets::int("cube", datasets::anonymous(&[4, 5, 6])),
            Variable::new("names", DataType::String, datasets::anonymous(&[5])),
        ];
        let source = datasets::filled(root);
        let mut expected: Vec<String> = Vec::new();
        for i in &xs {
            for j in &ys {
                expected.extend(zs.iter().map(|k| ((i * 5 + j) * 6 + k).to_string()));
            }
        }
        expected.extend(ys.iter().map(|j| format!("s{j}")));
        let (cube, names) = (format!("/cube{x}{y}{z}"), format!("/names{y}"));
        // The order of clauses is of no meaning.
        let ce = if first { format!("{cube};{names}") } else { format!("{names};{cube}") };
        prop_assert_eq!(values_of(&source, &ce), expected, "{}", ce);
    }
}

/// libdap reads child groups before the variables beside them, whatever the DMR's order; the others do not.
#[test]
fn libdap_gets_child_groups_first() {
    let mut inner = Group::new(FullName::new("/g"));
    inner.variables = vec![datasets::int("in_g", vec![])];
    let mut deeper = Group::new(FullName::new("/g/h"));
    deeper.variables = vec![datasets::int("in_h", vec![])];
    inner.groups = vec![deeper];
    let mut root = Group::new(FullName::root());
    root.variables = vec![datasets::int("top", vec![])];
    root.groups = vec![inner];
    let value = |n: i32| Block::Fixed(Bytes::copy_from_slice(&n.to_le_bytes()));
    let data = [("/top", 1), ("/g/in_g", 2), ("/g/h/in_h", 3)];
    let data = data.map(|(name, n)| (FullName::new(name), value(n))).to_vec();
    let source: Arc<dyn Source> = Arc::new(MemorySource::new("t.nc", root, data));
    for (agent, expected) in [("libdap/3.22.0", [3, 2, 1]), ("netCDF4.10.1", [1, 2, 3])] {
        let (_, data) = split(&body(ask(&source, Response::Dap, "dap4.checksum=false", agent)));
        assert_eq!(data, expected.map(i32::to_le_bytes).concat(), "{agent}");
    }
}
