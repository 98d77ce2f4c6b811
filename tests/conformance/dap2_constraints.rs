//! Sections 5.6 and 5.7: projections, Grids whole and in part, selections, the order of answers.

use crate::{
    dds,
    world::{get, good},
    xdr,
};

/// Checks structure (of `.dds` and `.dods`) and values.
#[track_caller]
fn check(dataset: &str, ce: &str, outline: &str, values: &str) {
    let structure = good(&format!("/opendap/{dataset}.nc.dds?{ce}"));
    assert_eq!(dds::outline(structure.text()), outline, "{ce}");
    let data = good(&format!("/opendap/{dataset}.nc.dods?{ce}"));
    let decoded = xdr::decode(&data.body);
    assert_eq!(decoded.dds, structure.text(), "{ce}");
    assert_eq!(decoded.values.join(" "), values, "{ce}");
    let strict: String = ce
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b == b'%' {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect();
    assert!(good(&format!("/opendap/{dataset}.nc.dods?{strict}")).body == data.body, "{ce}: encoded");
}

#[test]
fn s5_7_slices() {
    check("grids", "lon", "Float32 lon[lon=4]", "0 90 180 270");
    check("grids", "lon[2]", "Float32 lon[lon=1]", "180");
    check("grids", "lon[1:2]", "Float32 lon[lon=2]", "90 180");
    check("grids", "lon[0:2:3]", "Float32 lon[lon=2]", "0 180");
    check("grids", "lon[*]", "Float32 lon[lon=4]", "0 90 180 270");
    check("grids", "lon[1:*]", "Float32 lon[lon=3]", "90 180 270");
    check("grids", "lon[1:2:*]", "Float32 lon[lon=2]", "90 270");
    check("grids", "count", "Byte count", "200");
    check("grids", "station[1]", "String station[lat=1]", "c d");
    check("grids", "points[1].w[1:2]", "Structure points{Byte w[2]}[lat=1]", "5 6");
    check("grids", "points.x", "Structure points{Int16 x}[lat=2]", "1 2");
    let group = good("/opendap/grids.nc.dods?g/v[2][0:1]");
    assert_eq!(xdr::decode(&group.body).values, ["2", "2.5"]);
}

#[test]
fn s5_6_grids_whole_and_in_part() {
    let axes = "Float64 time[time=1] Float64 lat[lat=2] Float32 lon[lon=2]";
    check(
        "grids",
        "sst[1][0:1][2:3]",
        &format!("Grid sst{{Int16 sst[time=1][lat=2][lon=2] {axes}}}"),
        "52 53 62 63 1 -10.5 10.5 180 270",
    );
    check("grids", "sst.sst[1][0][2:3]", "Structure sst{Int16 sst[time=1][lat=1][lon=2]}", "52 53");
    check("grids", "sst.lon[2:3]", "Structure sst{Float32 lon[lon=2]}", "180 270");
    check(
        "grids",
        "sst.lat,sst.lon[0]",
        "Structure sst{Float64 lat[lat=2] Float32 lon[lon=1]}",
        "-10.5 10.5 0",
    );
    check(
        "grids",
        "sst.sst[0][0][0:1],sst.lon[0]",
        "Structure sst{Int16 sst[time=1][lat=1][lon=2] Float32 lon[lon=1]}",
        "-50 -49 0",
    );
    // The maps are top-level variables, too.
    check(
        "grids",
        "lat,quality",
        "Float64 lat[lat=2]; Grid quality{Byte quality[time=3] Float64 time[time=3]}",
        "-10.5 10.5 1 255 3 0 1 2",
    );
}

#[test]
fn s5_7_answers_are_in_the_order_of_the_dataset() {
    for dataset in ["grids", "small"] {
        let names = ["time", "lat", "lon", "sst[0][0][0]", "count", "label", "points.x", "g/v"];
        let in_order = good(&format!("/opendap/{dataset}.nc.dods?{}", names.join(",")));
        for turn in 1..names.len() {
            let mut other = names;
            other.rotate_left(turn);
            other[..turn].reverse();
            assert!(
                good(&format!("/opendap/{dataset}.nc.dods?{}", other.join(","))).body == in_order.body,
                "{other:?}"
            );
        }
    }
}

#[test]
fn s5_7_selections() {
    let whole = "Sequence q{Int32 a Float32 b}";
    let only_b = "Sequence q{Float32 b}";
    check("small", "q", whole, "row 1 1.5 row 2 2.5 row 3 3.5 end");
    check("small", "q&q.a>1", whole, "row 2 2.5 row 3 3.5 end");
    check("small", "q&q.a>1&q.b<3", whole, "row 2 2.5 end");
    check("small", "q.b&q.a=2", only_b, "row 2.5 end");
    check("small", "q.b&q.a!=2", only_b, "row 1.5 row 3.5 end");
    check("small", "q.b&q.a<=2&", only_b, "row 1.5 row 2.5 end");
    check("small", "q&q.a={1,3}", whole, "row 1 1.5 row 3 3.5 end");
    check("small", "q&q.a>99", whole, "end");
    check("small", "q&2<q.a", whole, "row 3 3.5 end");
    // Without a projection: everything.
    let all = xdr::decode(&good("/opendap/small.nc.dods?&q.a>2").body);
    assert_eq!(dds::parse(&all.dds).1.len(), dds::parse(good("/opendap/small.nc.dds").text()).1.len());
    assert!(all.values.join(" ").contains("row 3 3.5 end"));
    assert!(!all.values.join(" ").contains("row 1 1.5"));
    // Not a sequence; not a member.
    for ce in ["sst&sst>1", "q&q.z>1", "q&nosuch>1", "q&q.a>"] {
        assert_eq!(get(&format!("/opendap/small.nc.dods?{ce}")).status, 400, "{ce}");
    }
}

#[test]
fn s5_2_names_are_found_as_clients_write_them() {
    // netCDF-C encodes what it was given once more; pydap and libdap do not (5.2).
    for name in ["a%20b%2Ec", "a%2520b%252Ec", "a%20b.c"] {
        check_name("small", name, "Byte a%20b%2Ec");
    }
    for name in ["g/depth", "g%2fdepth", "g%252fdepth", "g_depth", "g.depth", "/g/depth"] {
        check_name("small", name, "Int32 g/depth[");
    }
}

#[track_caller]
fn check_name(dataset: &str, name: &str, outline: &str) {
    let answer = good(&format!("/opendap/{dataset}.nc.dds?{name}"));
    assert!(dds::outline(answer.text()).starts_with(outline), "{name}: {}", answer.text());
}
