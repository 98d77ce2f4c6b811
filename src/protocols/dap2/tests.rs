//! Tests of the whole front end on a dataset in memory: texts by snapshot, data by a decoder written
//! from the specification.

use std::collections::BTreeMap;

use bytes::Bytes;
use cdm::{DataType, FullName, Group, Variable};
use futures::{StreamExt, executor::block_on};
use proptest::prelude::*;

use super::*;

#[path = "test_decoder.rs"]
mod decoder;
#[path = "fixtures.rs"]
mod fixtures;
#[path = "refusal_tests.rs"]
mod refusals;

pub(crate) use self::fixtures::{dimension, fixture, odd};

pub(super) fn ask(response: Response, query: &str, source: &Arc<dyn Source>) -> (Reply, Result<Vec<u8>>) {
    let headers = HeaderMap::new();
    let request = Request {
        dataset: "dir/small.nc",
        base_url: "http://localhost/opendap/dir/small.nc",
        query: Some(query),
        headers: &headers,
        id: "R1",
        largest: crate::protocols::Largest::default(),
    };
    let mut reply = block_on(respond(&request, response, Arc::clone(source)));
    let body = std::mem::replace(&mut reply.body, futures::stream::empty().boxed());
    let parts = block_on(body.collect::<Vec<_>>());
    let body: Result<Vec<Bytes>> = parts.into_iter().collect();
    (reply, body.map(|parts| parts.concat()))
}

/// The reply alone; the body is not polled.
fn ask_head(response: Response, query: &str, source: &Arc<dyn Source>) -> Reply {
    let headers = HeaderMap::new();
    let request = Request {
        dataset: "t",
        base_url: "http://localhost/t",
        query: Some(query),
        headers: &headers,
        id: "R1",
        largest: crate::protocols::Largest::default(),
    };
    block_on(respond(&request, response, Arc::clone(source)))
}

fn text(response: Response, query: &str) -> String {
    let (_, body) = ask(response, query, &fixture(true));
    String::from_utf8(body.unwrap()).unwrap()
}

fn data(query: &str) -> Vec<u8> {
    let (reply, body) = ask(Response::Dods, query, &fixture(true));
    let body = body.unwrap();
    assert_eq!(reply.status, 200, "{query}: {}", String::from_utf8_lossy(&body));
    if let Some(length) = reply.length {
        assert_eq!(length, body.len() as u64, "{query}");
    }
    body
}

#[test]
fn dds_of_everything() {
    insta::assert_snapshot!(text(Response::Dds, ""), @r#"
    Dataset {
        Float64 time[time = 3];
        Float64 lat[lat = 2];
        Float32 lon[lon = 4];
        Grid {
          Array:
            Int16 sst[time = 3][lat = 2][lon = 4];
          Maps:
            Float64 time[time = 3];
            Float64 lat[lat = 2];
            Float32 lon[lon = 4];
        } sst;
        Grid {
          Array:
            Byte quality[time = 3];
          Maps:
            Float64 time[time = 3];
        } quality;
        Byte count;
        String station[lat = 2];
        String label[lat = 2];
        Byte a%20b%2Ec;
        UInt16 gr_u00F6__u00DF_e[gr_u00F6__u00DF_e_0 = 2];
        Structure {
            Int16 x;
            String tag;
            Byte w[3];
        } points[lat = 2];
        Sequence {
            Int32 a;
            Float32 b;
        } q;
        Int32 g/depth[g%2fdepth = 2];
        Float64 g/v[time = 3][g%2fdepth = 2];
    } small.nc;
    "#);
}

#[test]
fn das_of_everything() {
    insta::assert_snapshot!(text(Response::Das, ""), @r#"
    Attributes {
        time {
            String units "days since 2000-01-01";
            Float64 _FillValue -1.0;
            String dap2_note "Int64 in the file; DAP2 has no 64-bit integers";
        }
        lat {
        }
        lon {
        }
        sst {
            Float32 scale_factor 0.1;
            Int16 _FillValue -999;
        }
        quality {
            Int16 _FillValue -1;
            String _Unsigned "false";
        }
        count {
            String _Unsigned "true";
        }
        station {
            Int32 DODS.strlen 5;
            String DODS.dimName "strlen";
        }
        label {
            Int32 DODS.strlen 70;
        }
        a%20b%2Ec {
            String _Unsigned "true";
            Byte flag_values 0, 1;
            String flag_meanings "clear over_cast";
        }
        gr_u00F6__u00DF_e {
            String _Unsigned "true";
            String origname "größe";
        }
        points {
            x {
            }
            tag {
            }
            w {
                String _Unsigned "true";
            }
        }
        q {
            a {
            }
            b {
            }
        }
        g/depth {
        }
        g/v {
        }
        NC_GLOBAL {
            String title "A \"small\" test\\set";
            String sources "one", "zwö";
            Int32 version 7;
            String g.comment "inside";
            String dap2_omitted "id (Int64), blob (Opaque)";
        }
    }
    "#);
}

#[test]
fn the_unlimited_dimension_is_named_when_there_is_no_sequence() {
    let (_, body) = ask(Response::Das, "", &fixture(false));
    let das = String::from_utf8(body.unwrap()).unwrap();
    assert!(
        das.ends_with("    DODS_EXTRA {\n        String Unlimited_Dimension \"time\";\n    }\n}\n"),
        "{das}"
    );
}

#[test]
fn a_constrained_das_has_no_container_without_a_declaration() {
    let das = text(Response::Das, "sst");
    let containers: Vec<&str> = das
        .lines()
        .filter(|l| l.starts_with("    ") && l.ends_with('{') && !l.starts_with("     "))
        .collect();
    assert_eq!(containers, ["    time {", "    lat {", "    lon {", "    sst {", "    NC_GLOBAL {"]);
}

#[test]
fn ascii_of_everything() {
    insta::assert_snapshot!(text(Response::Ascii, ""), @r#"
    Dataset: dir/small.nc
    time, 0.0, 1.0, 2.0
    lat, -10.5, 10.5
    lon, 0.0, 90.0, 180.0, 270.0
    sst.sst[0][0], -50, -49, -48, -47
    sst.sst[0][1], -40, -39, -38, -37
    sst.sst[1][0], 50, 51, 52, 53
    sst.sst[1][1], 60, 61, 62, 63
    sst.sst[2][0], 150, 151, 152, 153
    sst.sst[2][1], 160, 161, 162, 163
    sst.time, 0.0, 1.0, 2.0
    sst.lat, -10.5, 10.5
    sst.lon, 0.0, 90.0, 180.0, 270.0
    quality.quality, 1, 255, 3
    quality.time, 0.0, 1.0, 2.0
    count, 200
    station, "ab", "c d"
    label, "", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    a%20b%2Ec, 1
    gr_u00F6__u00DF_e, 1, 65535
    points[0].x, 1
    points[0].tag, "ab"
    points[0].w, 1, 2, 3
    points[1].x, 2
    points[1].tag, "c"
    points[1].w, 4, 5, 6
    q.a, q.b
    1, 1.5
    2, 2.5
    3, 3.5
    g/depth, 5, 10
    g/v[0], 0.0, 0.5
    g/v[1], 1.0, 1.5
    g/v[2], 2.0, 2.5
    "#);
    insta::assert_snapshot!(text(Response::Ascii, "points[1].tag,q.b&q.a>1&q.b<3"), @r#"
    Dataset: dir/small.nc
    points[0].tag, "c"
    q.b
    2.5
    "#);
}

#[test]
fn headers_of_section_5_1() {
    let source = fixture(true);
    for (response, media_type, description) in [
        (Response::Dds, "text/plain; charset=utf-8", "dods_dds"),
        (Response::Das, "text/plain; charset=utf-8", "dods_das"),
        (Response::Dods, "application/octet-stream", "dods_data"),
        (Response::Ascii, "text/plain; charset=utf-8", "dods_ascii"),
        (Response::Ver, "text/plain; charset=utf-8", "dods_version"),
        (Response::Help, "text/html; charset=utf-8", "dods_help"),
        (Response::Info, "text/html; charset=utf-8", "dods_description"),
    ] {
        let (reply, body) = ask(response, "", &source);
        assert_eq!(reply.status, 200);
        assert_eq!(reply.headers["content-type"], media_type);
        assert_eq!(reply.headers["content-description"], description);
        assert_eq!(reply.headers["xdap"], "2.0");
        assert_eq!(reply.headers["xdods-server"], "dods/3.2");
        assert!(reply.identity.is_some());
        assert!(!body.unwrap().is_empty());
    }
    let (reply, _) = ask(Response::Dods, "nosuch", &source);
    assert_eq!(reply.status, 400);
    assert_eq!(reply.headers["xdods-server"], "dods/3.2");
}

#[test]
fn pages_escape_what_they_show() {
    let headers = HeaderMap::new();
    let request = Request {
        dataset: "<b>",
        base_url: "http://h/\"><script>",
        query: None,
        headers: &headers,
        id: "R1",
        largest: crate::protocols::Largest::default(),
    };
    for page in [pages::help(&request), pages::info(&request, "a < b", "\"<i>\"")] {
        assert!(!page.contains("<script>") && !page.contains("<b>") && !page.contains("<i>"), "{page}");
    }
}

#[test]
fn an_answer_that_dap2_cannot_count_is_refused_with_a_smaller_one() {
    let large = Variable::new("v", DataType::UInt8, vec![dimension("/y", 70_000), dimension("/x", 70_000)]);
    let mut root = Group::new(FullName::root());
    root.variables.push(large);
    let source: Arc<dyn Source> = Arc::new(Unread(cdm::Dataset::new("t", root).unwrap()));
    let (reply, body) = ask(Response::Dods, "v[10:2:*][*]", &source);
    assert_eq!(reply.status, 413);
    insta::assert_snapshot!(String::from_utf8(body.unwrap()).unwrap(), @r#"
    Error {
        code = 1001;
        message = "v has 2449650000 elements; DAP2 counts at most 2147483647. Ask for less, for example http://localhost/opendap/dir/small.nc.dods?v%5B10:2:61364%5D%5B0:1:69999%5D (request R1)";
    };
    "#);
    // What the message proposes works; so does a text of the size proposed.
    let reply = ask_head(Response::Dods, "v[10:2:61364][0:1:69999]", &source);
    assert_eq!(reply.status, 200);
    let reply = ask_head(Response::Ascii, "v[0:99][*]", &source);
    assert_eq!(reply.status, 200);
    let (reply, body) = ask(Response::Ascii, "v", &source);
    assert_eq!(reply.status, 413);
    insta::assert_snapshot!(String::from_utf8(body.unwrap()).unwrap(), @r#"
    Error {
        code = 1001;
        message = "as text the answer would have about 24500000000 bytes; the limit is 104857600 bytes. Use .dods, or ask for less, for example http://localhost/opendap/dir/small.nc.ascii?v%5B0:1:148%5D%5B0:1:69999%5D (request R1)";
    };
    "#);
}

/// Described, never read.
#[derive(Debug)]
struct Unread(cdm::Dataset);

impl Source for Unread {
    fn dataset(&self) -> &cdm::Dataset {
        &self.0
    }
    fn version(&self) -> Option<&cdm::Version> {
        None
    }
    fn read(&self, _: &FullName, _: &cdm::Selection) -> cdm::BlockStream {
        futures::stream::empty().boxed()
    }
}

type Sliced = (&'static str, &'static [u64], fn(&[u64]) -> f64);

/// The variables and sizes of the fixture that the random tests slice, with the value at an index.
const SLICED: [Sliced; 6] = [
    ("time", &[3], |i| i[0] as f64),
    ("lat", &[2], |i| [-10.5, 10.5][usize::from(i[0] == 1)]),
    ("lon", &[4], |i| 90.0 * i[0] as f64),
    ("sst", &[3, 2, 4], |i| (100 * i[0] + 10 * i[1] + i[2]) as f64 - 50.0),
    ("quality", &[3], |i| if i[0] == 1 { 255.0 } else { (i[0] + 1) as f64 }),
    ("g/v", &[3, 2], |i| (2 * i[0] + i[1]) as f64 / 2.0),
];

/// start, stride, stop for one axis.
type Axis = (u64, u64, u64);

/// One variable with slices; for a Grid also which components.
fn any_projection() -> impl Strategy<Value = (usize, Vec<Axis>, bool)> {
    (0..SLICED.len(), any::<[u64; 6]>(), any::<[u64; 3]>(), any::<bool>()).prop_map(
        |(which, r, strides, array_only)| {
            let axes = SLICED[which].1.iter().enumerate();
            let axes = axes.map(|(axis, size)| {
                let (a, b) = (r[2 * axis] % size, r[2 * axis + 1] % size);
                (a.min(b), strides[axis] % 3 + 1, a.max(b))
            });
            (which, axes.collect(), array_only)
        },
    )
}

fn is_grid(which: usize) -> bool {
    ["sst", "quality"].contains(&SLICED[which].0)
}

fn printed((which, axes, array_only): &(usize, Vec<Axis>, bool)) -> String {
    let name = SLICED[*which].0;
    let slices = axes.iter().fold(String::new(), |all, (a, s, b)| all + &format!("[{a}:{s}:{b}]"));
    if *array_only && is_grid(*which) { format!("{name}.{name}{slices}") } else { format!("{name}{slices}") }
}

/// What brute-force indexing gives.
fn expected(which: usize, axes: &[Axis]) -> Vec<f64> {
    let mut indices: Vec<Vec<u64>> = vec![vec![]];
    for &(start, stride, stop) in axes {
        let along: Vec<u64> = (start..=stop).filter(|i| (i - start) % stride == 0).collect();
        indices =
            indices.iter().flat_map(|i| along.iter().map(move |n| [i.as_slice(), &[*n]].concat())).collect();
    }
    indices.iter().map(|i| SLICED[which].2(i)).collect()
}

fn numbers(decoded: &decoder::Decoded) -> Vec<f64> {
    match decoded {
        decoder::Decoded::Number(n) => vec![*n],
        decoder::Decoded::Many(all) => all.iter().flat_map(numbers).collect(),
        decoder::Decoded::Record(members) => numbers(&members[0].1),
        decoder::Decoded::Text(_) => vec![],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_constraints_give_what_indexing_gives_in_dataset_order(
        asked in proptest::collection::vec(any_projection(), 1..6), shuffled in any::<u64>()
    ) {
        let once: BTreeMap<usize, _> = asked.into_iter().map(|p| (p.0, p)).collect();
        let mut order: Vec<_> = once.values().cloned().collect();
        let in_order = data(&order.iter().map(printed).collect::<Vec<_>>().join(","));
        let found = decoder::decode(&in_order);
        prop_assert_eq!(found.len(), order.len());
        for ((declaration, value), (which, axes, _)) in found.iter().zip(&order) {
            prop_assert_eq!(&declaration.name, SLICED[*which].0);
            prop_assert_eq!(numbers(value), expected(*which, axes));
            if let decoder::Decoded::Record(members) = value && declaration.kind == "Grid" {
                for ((_, map), axis) in members[1..].iter().zip(axes) {
                    prop_assert_eq!(numbers(map).len() as u64, (axis.2 - axis.0) / axis.1 + 1);
                }
            }
        }
        // Any order of asking gives the same bytes, and the same identity.
        let middle = usize::try_from(shuffled).unwrap_or(0) % order.len();
        order.rotate_left(middle);
        order.reverse();
        let query = order.iter().map(printed).collect::<Vec<_>>().join(",");
        prop_assert_eq!(data(&query), in_order);
    }
}

#[test]
fn the_whole_dataset_decodes() {
    let all = decoder::decode(&data(""));
    let names: Vec<&str> = all.iter().map(|(d, _)| d.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "time",
            "lat",
            "lon",
            "sst",
            "quality",
            "count",
            "station",
            "label",
            "a%20b%2Ec",
            "gr_u00F6__u00DF_e",
            "points",
            "q",
            "g/depth",
            "g/v"
        ]
    );
    insta::assert_snapshot!(
        format!("{:?}", all[10].1),
        @r#"Many([Record([("x", Number(1.0)), ("tag", Text("ab")), ("w", Many([Number(1.0), Number(2.0), Number(3.0)]))]), Record([("x", Number(2.0)), ("tag", Text("c")), ("w", Many([Number(4.0), Number(5.0), Number(6.0)]))])])"#
    );
    let filtered = decoder::decode(&data("q&q.a={1,3}&q.b>=1.5"));
    let decoder::Decoded::Many(rows) = &filtered[0].1 else { panic!("rows") };
    assert_eq!(rows.iter().map(|r| numbers(r)[0]).collect::<Vec<_>>(), [1.0, 3.0]);
}

#[test]
fn identity_does_not_depend_on_spelling() {
    let source = fixture(true);
    let identity = |q: &str| ask(Response::Dods, q, &source).0.identity.unwrap();
    assert_eq!(identity("lat,time[0]"), identity("time%5B0:1:0%5D,lat"));
    assert_ne!(identity("lat,time[0]"), identity("lat,time[1]"));
    assert_ne!(identity("q&q.a>1"), identity("q"));
    assert_ne!(identity("points.x"), identity("points"));
}

proptest! {
    #[test]
    fn any_query_is_answered_or_refused(query in "[a-z0-9.,&\\[\\]:*(){}=<>!~\"\\\\/%_ -]{0,40}") {
        let (reply, body) = ask(Response::Dods, &query, &fixture(true));
        if reply.status == 200 {
            decoder::decode(&body.unwrap());
        } else {
            prop_assert!(reply.status.is_client_error() || reply.status == 501, "{}", reply.status);
        }
    }

    #[test]
    fn likely_queries_are_answered_or_refused(
        parts in proptest::collection::vec("(sst|lat|time|points|q|g/v|q\\.a|sst\\.lat|points\\.w)(\\[[0-3](:[1-3])?\\]){0,3}", 1..4)
    ) {
        let (reply, body) = ask(Response::Dods, &parts.join(","), &fixture(true));
        if reply.status == 200 {
            let body = body.unwrap();
            prop_assert!(reply.length.is_none_or(|l| l == body.len() as u64));
            decoder::decode(&body);
        } else {
            prop_assert_eq!(reply.status.as_u16(), 400);
        }
    }
}

#[test]
fn odd_attributes_and_names_stay_readable() {
    let (_, das) = ask(Response::Das, "", &odd());
    insta::assert_snapshot!(String::from_utf8(das.unwrap()).unwrap(), @r#"
    Attributes {
        u8 {
            Byte _FillValue 255;
            String _Unsigned "true";
        }
        i8 {
            Byte _FillValue 127;
            String _Unsigned "false";
        }
        u16 {
            UInt16 _FillValue 65535;
            String _Unsigned "true";
        }
        u32 {
            UInt32 _FillValue 4294967295;
            String _Unsigned "true";
        }
        f32 {
            Float32 _FillValue NaN;
        }
        label {
        }
        Maps%3A {
        }
        byte {
        }
        letter {
            Int32 DODS.strlen 1;
        }
        NC_GLOBAL {
            String a%20b%3Bc "x";
            String _u00E9_ "ü";
            String last "back\x5c";
            String only "\x5c";
            String lines "one
    two	; \"three\", {four}";
            String bell "\x07!";
            String empty "";
            String padded "pad";
            String several "", "b;", "c\x5c";
            String none "";
            Float64 nan NaN, inf, -inf;
            Float32 f32 1e20, -9999.0, 0.1, 1.1754944e-38;
            Float64 f64 0.30000000000000004, 1e300, 5e-324;
            UInt32 u32 4294967295;
            Float64 i64 1099511627776.0, -1.0;
            String i64max "9223372036854775807";
            String dap2_omitted "nothing (no elements)";
        }
    }
    "#);
    let (_, dds) = ask(Response::Dds, "", &odd());
    insta::assert_snapshot!(String::from_utf8(dds.unwrap()).unwrap(), @r#"
    Dataset {
        Byte u8[x = 2];
        Byte i8[x = 2];
        UInt16 u16[x = 2];
        UInt32 u32[x = 2];
        Float32 f32[x = 2];
        String label[x = 2];
        Int16 Maps%3A;
        Int16 byte;
        String letter;
    } odd.nc;
    "#);
    let (_, data) = ask(Response::Dods, "", &odd());
    assert!(decoder::decode(&data.unwrap()).iter().all(|(d, _)| d.name != "nothing"));
}
