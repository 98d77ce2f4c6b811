//! Promises R18 and R20, notes 4.4, 9 and 10: what clients and people really type reaches the parsers as
//! it was meant, raw or encoded, and a bad index is told precisely.

use crate::world::{get, good};

/// Pairs of targets that mean the same.
const SAME: [(&str, &str); 12] = [
    ("/opendap/V1_3.nc.dap?dap4.ce=/u[7][0:9]", "/opendap/V1_3.nc.dap?dap4.ce=%2Fu%5B7%5D%5B0%3A9%5D"),
    ("/opendap/V1_3.nc.dap?dap4.ce=/u[7][0:9]", "/opendap/V1_3.nc.dap?dap4.ce=/u%255b7%255d%255b0%3a9%255d"),
    (
        "/opendap/V1_3.nc.dap?dap4.ce=/u[7][0:9]",
        "/opendap/V1_3.nc.dap?dap4.ce=/u%25255b7%25255d%25255b0:9%25255d",
    ),
    ("/opendap/V1_1.nc.dap?dap4.ce=/Point{x;y}", "/opendap/V1_1.nc.dap?dap4.ce=/Point%7Bx;y%7D"),
    ("/opendap/V1_6.nc.dap?dap4.ce=/s1|y<3", "/opendap/V1_6.nc.dap?dap4.ce=/s1%7Cy%3C3"),
    ("/opendap/V1_6.nc.dap?dap4.ce=/s1|y>3", "/opendap/V1_6.nc.dap?dap4.ce=/s1%20%7c%20y%20%3e%203"),
    ("/opendap/names.nc.dap?dap4.ce=/\"a.b\"", "/opendap/names.nc.dap?dap4.ce=/%22a.b%22"),
    ("/opendap/names.nc.dap?dap4.ce=/a\\.b", "/opendap/names.nc.dap?dap4.ce=/a%5C.b"),
    ("/opendap/grids.nc.dods?sst[0:1][0][*]", "/opendap/grids.nc.dods?sst%5B0:1%5D%5B0%5D%5B*%5D"),
    ("/opendap/small.nc.dods?q&q.a>1&q.b<3", "/opendap/small.nc.dods?q&q.a%3E1&q.b%3c3"),
    ("/opendap/small.nc.dods?q&q.a={1,2}", "/opendap/small.nc.dods?q&q.a=%7B1,2%7D"),
    ("/opendap/small.nc.dods?gr_u00F6__u00DF_e", "/opendap/small.nc.dods?gr%C3%B6%C3%9Fe"),
];

#[test]
fn r20_raw_and_encoded_give_the_same_bytes() {
    for (one, other) in SAME {
        let (one_answer, other_answer) = (good(one), good(other));
        assert!(one_answer.body == other_answer.body, "{one} and {other}");
        assert_eq!(one_answer.header("etag"), other_answer.header("etag"), "{one} and {other}");
    }
    // The path, too.
    let encoded = good("/opendap/%56%31_1%2Enc%2Edmr");
    assert!(encoded.body == good("/opendap/V1_1.nc.dmr").body);
    assert!(good("/opendap/names.nc.dmr?dap4.ce=/inst2/\"Point%20Break\".x").text().contains("Point Break"));
}

/// R18: 400 with where, what was wrong, what would be right.
#[test]
fn r18_bad_indices_and_names_are_told() {
    for (target, expected) in [
        ("V1_7.nc.dap?dap4.ce=/lat[0:100]", &["0 to 99", "character"][..]),
        ("V1_7.nc.dap?dap4.ce=/lat[5:2]", &["character", "5", "2"]),
        ("V1_7.nc.dap?dap4.ce=/lat[0:0:5]", &["character"]),
        ("V1_7.nc.dap?dap4.ce=/tmep", &["tmep", "temp"]),
        ("grids.nc.dods?lon[0:4]", &["0 to 3", "character"]),
        ("grids.nc.dods?lon[3:1]", &["character"]),
        ("grids.nc.dods?lon[0:0:1]", &["character"]),
        ("grids.nc.dods?lno", &["lno", "lon"]),
    ] {
        let answer = get(&format!("/opendap/{target}"));
        assert_eq!(answer.status, 400, "{target}");
        for word in expected {
            assert!(answer.text().contains(word), "{target}: {word} in {}", answer.text());
        }
    }
}

/// Notes 9: pydap asks an empty axis for all that it could hold.
#[test]
fn s9_an_empty_axis_takes_any_slice() {
    let most = "[0:1:9223372036854775806]";
    let (one, other) = (
        good(&format!("/opendap/rich.nc.dap?dap4.ce=/empty{most}")),
        good("/opendap/rich.nc.dap?dap4.ce=/empty"),
    );
    let data = |body: &[u8]| body[body.len() - 4..].to_vec();
    assert_eq!(data(&one.body), data(&other.body));
    // DAP2 leaves variables without elements out (netCDF-C cannot open them), and says so.
    let refused = get(&format!("/opendap/odd.nc.dods?nothing{most}"));
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("no elements; use DAP4"), "{}", refused.text());
}

/// Notes 4.5: 64 KiB of request target, beyond that 414.
#[test]
fn s4_5_long_requests() {
    let target = |blanks: usize| format!("/opendap/V1_1.nc.dap?dap4.ce=/u{}", "%20".repeat(blanks));
    assert!(good(&target(21_000)).body == good("/opendap/V1_1.nc.dap?dap4.ce=/u").body);
    assert_eq!(get(&target(23_000)).status, 414);
}

/// R14: names that leave the folder, or that no dataset can have.
#[test]
fn r14_paths_stay_inside() {
    for path in
        ["../x.nc.dmr", "%2e%2e/x.nc.dmr", "..%2fx.nc.dmr", "a%5Cb.nc.dmr", "a%00.nc.dmr", "%FF.nc.dmr"]
    {
        for mount in ["/opendap", "/dap4", "/dodsC", "/thredds/dap4", "/thredds/dodsC"] {
            assert_eq!(get(&format!("{mount}/{path}")).status, 400, "{mount}/{path}");
        }
    }
}
