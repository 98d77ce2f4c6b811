//! Sections 5.1 to 5.3, 5.5 and 5.6: headers, structure and attributes of everything there is, by
//! parsers written from the grammars.

use std::collections::HashSet;

use crate::{
    answers,
    das::{self, Node, attribute, container},
    dds,
    world::{ask, files, get, good, in_memory},
};

#[test]
fn s5_1_suffixes_and_headers() {
    for (suffix, media_type, description) in [
        (".dds", "text/plain; charset=utf-8", "dods_dds"),
        (".das", "text/plain; charset=utf-8", "dods_das"),
        (".dods", "application/octet-stream", "dods_data"),
        (".ascii", "text/plain; charset=utf-8", "dods_ascii"),
        (".asc", "text/plain; charset=utf-8", "dods_ascii"),
        (".ver", "text/plain; charset=utf-8", "dods_version"),
        (".help", "text/html; charset=utf-8", "dods_help"),
        (".info", "text/html; charset=utf-8", "dods_description"),
    ] {
        // getdap sends an empty query, pydap a trailing &.
        for query in ["", "?", "?&"] {
            let answer = good(&format!("/opendap/grids.nc{suffix}{query}"));
            assert_eq!(answer.header("content-type"), media_type, "{suffix}");
            assert_eq!(answer.header("content-description"), description, "{suffix}");
            assert_eq!(answer.header("xdods-server"), "dods/3.2", "{suffix}");
            assert_eq!(answer.header("xdap"), "2.0", "{suffix}");
            assert!(!answer.header("last-modified").is_empty() && !answer.body.is_empty(), "{suffix}");
        }
    }
    assert_eq!(good("/opendap/grids.nc.asc").body, good("/opendap/grids.nc.ascii").body);
}

#[test]
fn s5_1_pages() {
    assert!(good("/opendap/grids.nc.ver").text().contains("DAP/2.0"));
    assert!(good("/opendap/grids.nc.help").text().contains("http://h/opendap/grids.nc.ascii"));
    let info = good("/opendap/grids.nc.info?sst");
    assert!(info.text().contains("Int16 sst[time = 3]") && info.text().contains("scale_factor"));
    assert!(!info.text().contains("station"), "the page is about what was asked for");
    for suffix in [".info", ".html", ".dmr.html"] {
        let page = good(&format!("/opendap/rich.nc{suffix}"));
        // Names and attributes of the file are text, not markup (R22).
        assert!(!page.text().contains("<b>") && !page.text().contains("<x>"), "{suffix}");
        assert!(page.header("content-security-policy").contains("default-src 'self'"), "{suffix}");
    }
}

/// 5.2 and 5.3 for everything: both parse; no container is for what the DDS does not declare, and every
/// declared variable has one.
#[test]
fn s5_2_and_5_3_every_dataset_follows_the_grammars() {
    for name in in_memory().chain(files().iter().cloned()) {
        let url = format!("/opendap/{name}");
        let dds = good(&format!("{url}.dds"));
        let (_, declared) = dds::parse(dds.text());
        let nodes = das::parse(good(&format!("{url}.das")).text());
        let mut containers = HashSet::new();
        for node in &nodes {
            let Node::Container(container, _) = node else {
                panic!("{name}: outside of containers: {node:?}")
            };
            assert!(containers.insert(container.as_str()), "{name}: {container} twice");
        }
        let names: HashSet<&str> = declared.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names.len(), declared.len(), "{name}: names are unique");
        let extra: Vec<_> =
            containers.difference(&names).filter(|c| !["NC_GLOBAL", "DODS_EXTRA"].contains(c)).collect();
        assert!(extra.is_empty(), "{name}: 5.3: containers without a variable: {extra:?}");
        assert!(names.is_subset(&containers), "{name}: {names:?}");
        // DODS_EXTRA beside a Sequence makes netCDF-C panic.
        let has_sequence = declared.iter().any(|d| d.kind == "Sequence");
        assert!(!has_sequence || !containers.contains("DODS_EXTRA"), "{name}");
    }
}

#[test]
fn s5_5_types_and_names() {
    let dds = good("/opendap/small.nc.dds");
    let expected = [
        "Float64 time[time=3]",
        "Float64 lat[lat=2]",
        "Float32 lon[lon=4]",
        "Grid sst{Int16 sst[time=3][lat=2][lon=4] Float64 time[time=3] Float64 lat[lat=2] Float32 lon[lon=4]}",
        "Grid quality{Byte quality[time=3] Float64 time[time=3]}",
        "Byte count",
        "String station[lat=2]",
        "String label[lat=2]",
        "Byte a%20b%2Ec",
    ];
    let outline = dds::outline(dds.text());
    let found: Vec<&str> = outline.split("; ").collect();
    assert_eq!(found[..9], expected);
    assert_eq!(found[10], "Structure points{Int16 x String tag Byte w[3]}[lat=2]");
    assert_eq!(found[11], "Sequence q{Int32 a Float32 b}");
    assert!(found[12].starts_with("Int32 g/depth[") && found[13].starts_with("Float64 g/v[time=3]["));
    // A name that is not ASCII has a substitute, and says what it was (9).
    let odd = found[9].split(' ').nth(1).unwrap().split('[').next().unwrap();
    let das = das::parse(good("/opendap/small.nc.das").text());
    assert_eq!(attribute(container(&das, odd), "origname"), "String größe");
    // Signedness (5.5), string lengths (5.3), enumerations as CF flags.
    assert_eq!(attribute(container(&das, "quality"), "_Unsigned"), "String false");
    assert_eq!(attribute(container(&das, "quality"), "_FillValue"), "Int16 -1");
    assert_eq!(attribute(container(&das, "count"), "_Unsigned"), "String true");
    assert_eq!(attribute(container(&das, "station"), "DODS.strlen"), "Int32 5");
    assert_eq!(attribute(container(&das, "station"), "DODS.dimName"), "String strlen");
    assert_eq!(attribute(container(&das, "sst"), "_FillValue"), "Int16 -999");
    assert_eq!(attribute(container(&das, "a%20b%2Ec"), "flag_values"), "Byte 0|1");
    // What DAP2 cannot say is left out, and listed.
    assert!(!outline.contains(" id") && !outline.contains("blob"));
    assert!(attribute(container(&das, "NC_GLOBAL"), "dap2_omitted").contains("id"));
    let unlimited = das::parse(good("/opendap/grids.nc.das").text());
    assert_eq!(attribute(container(&unlimited, "DODS_EXTRA"), "Unlimited_Dimension"), "String time");
}

#[test]
fn s5_3_attribute_values_arrive_exact() {
    let das = das::parse(good("/opendap/rich.nc.das").text());
    let global = container(&das, "NC_GLOBAL");
    assert_eq!(attribute(global, "text"), format!("String {}", answers::ODD_TEXT));
    assert_eq!(attribute(global, "several"), "String |<b>|c");
    assert_eq!(attribute(global, "bytes"), "Byte 200|0");
    let limits = attribute(global, "limits");
    assert!(limits.to_lowercase().starts_with("float64 nan|inf") && limits.ends_with("|-0.1"), "{limits}");
    let third = attribute(global, "third");
    assert_eq!(third.strip_prefix("Float32 ").unwrap().parse::<f32>().unwrap(), 1.0 / 3.0);
    let odd = das::parse(good("/opendap/odd.nc.das").text());
    assert_eq!(attribute(container(&odd, "u8"), "_FillValue"), "Byte 255");
    assert_eq!(attribute(container(&odd, "u32"), "_FillValue"), "UInt32 4294967295");
}

/// 5.8: the shape, the headers, the codes.
#[test]
fn s5_8_errors() {
    for (target, status, codes) in [
        ("/opendap/grids.nc.dods?nosuch", 400, [1004, 1005]),
        ("/opendap/grids.nc.dds?nosuch", 400, [1004, 1005]),
        ("/opendap/grids.nc.das?sst[", 400, [1005, 1005]),
        ("/opendap/grids.nc.dods?sst[0:9][0][0]", 400, [1005, 1005]),
        ("/opendap/grids.nc.dods?sst[2:1][0][0]", 400, [1005, 1005]),
        ("/opendap/grids.nc.dods?sst[0:0:1][0][0]", 400, [1005, 1005]),
        ("/opendap/grids.nc.dods?sst[0]", 400, [1005, 1005]),
        ("/opendap/grids.nc.dods?count[0]", 400, [1005, 1005]),
        ("/opendap/grids.nc.ascii?\"<script>", 400, [1005, 1005]),
        ("/opendap/small.nc.dods?q.aq.a>1", 400, [1005, 1005]),
        ("/opendap/grids.nc.dods?geogrid(sst,1,2,3,4)", 501, [1008, 1008]),
        ("/opendap/grids.nc.dods?lat[(1):(2)]", 501, [1008, 1008]),
        ("/opendap/nowhere.nc.dds", 404, [1003, 1003]),
        ("/opendap/early.nc.dods", 500, [1007, 1007]),
    ] {
        let answer = get(target);
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8", "{target}");
        assert_eq!(answer.header("content-description"), "dods_error", "{target}");
        assert_eq!((answer.header("xdap"), answer.header("xdods-server")), ("2.0", "dods/3.2"), "{target}");
        assert_eq!(answer.header("cache-control"), "no-cache", "{target}");
        let text = answer.text();
        let inner = text.strip_prefix("Error {\n    code = ").unwrap().strip_suffix("\";\n};\n").unwrap();
        let (code, message) = inner.split_once(";\n    message = \"").unwrap();
        assert!(codes.contains(&code.parse().unwrap()), "{target}: {code}");
        let bare = message.replace("\\\\", "").replace("\\\"", "");
        assert!(!bare.is_empty() && !bare.contains('"'), "{target}: quotes are escaped: {message}");
        let gzip = ask("GET", target, "Accept-Encoding: gzip\r\n");
        assert_eq!(gzip.header("content-encoding"), "", "{target}");
    }
}
