//! Section 5.4: values as XDR, byte for byte and by the decoder of [`crate::xdr`]; the text form.

use crate::{
    dap, dds,
    world::{files, get, good, in_memory},
    xdr,
};

#[test]
fn s5_4_worked_examples() {
    for (target, expected) in [
        ("xdr.nc.dods?bytes", "00000003 00000003 01ff0300"),
        ("xdr.nc.dods?strings", "00000002 00000002 61620000 00000003 63646500"),
        ("xdr.nc.dods?byte", "000000c8"),
        ("xdr.nc.dods?short", "fffffffe"),
        ("xdr.nc.dods?shorts", "00000002 00000002 fffffffe 00000003"),
        ("xdr.nc.dods?ushorts", "00000002 00000002 0000ffff 00000003"),
        ("xdr.nc.dods?double", "3ff80000 00000000"),
        ("xdr.nc.dods?string", "00000004 61626364"),
        ("xdr.nc.dods?pairs", "00000002 00000001 00000002 00000003 00000004"),
        ("rows.nc.dods", "5a000000 00000001 3fc00000 5a000000 00000002 40200000 a5000000"),
    ] {
        let body = good(&format!("/opendap/{target}")).body;
        let hex: String = xdr::decode(&body).xdr.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, expected.replace(' ', ""), "{target}");
    }
}

/// netCDF-C takes no axis without elements: such arrays are left out, listed, and refused by name.
#[test]
fn s5_5_arrays_without_elements_are_left_out() {
    let text =
        |suffix: &str| String::from_utf8(good(&format!("/opendap/rich.nc.{suffix}")).body).expect("UTF-8");
    assert!(!text("dds").contains(" empty["));
    assert!(text("das").contains("empty (no elements)"));
    assert_eq!(get("/opendap/rich.nc.dods?empty").status, 400);
}

/// Everything decodes, begins with its `.dds`, and has a length that is announced when it can be known.
#[test]
fn s5_4_every_dataset_decodes() {
    for name in in_memory().chain(files().iter().cloned()) {
        let url = format!("/opendap/{name}");
        let answer = get(&format!("{url}.dods"));
        if answer.status != 200 || !answer.is_whole {
            // What cannot be read is refused, or the connection cut: as over DAP4.
            let four = get(&format!("{url}.dap"));
            assert!(four.status != 200 || !four.is_whole, "{name}: {}", answer.status);
            continue;
        }
        let decoded = xdr::decode(&answer.body);
        assert_eq!(decoded.dds, good(&format!("{url}.dds")).text(), "{name}");
        let known = !dds::outline(&decoded.dds).contains("String") && !decoded.dds.contains("Sequence");
        assert_eq!(!answer.header("content-length").is_empty(), known, "{name}");
    }
}

/// Both protocols say the same of numbers, strings and structures.
#[test]
fn s7_both_protocols_give_the_same_values() {
    for (name, variable) in [
        ("V1_3", "u"),
        ("V1_5", "Points"),
        ("V1_7", "CO2"),
        ("TAA", "vs"),
        ("TAA", "vd"),
        ("TAA", "v16"),
        ("TAA", "s"),
        ("atomic", "vf"),
        ("xdr", "strings"),
    ] {
        let four = dap::decode(&good(&format!("/opendap/{name}.nc.dap?dap4.ce=/{variable}")).body, false);
        let two = xdr::decode(&good(&format!("/opendap/{name}.nc.dods?{variable}")).body);
        assert!(four.values == two.values, "{name} {variable}");
    }
}

#[test]
fn s5_1_text_holds_the_same_values() {
    let text = good("/opendap/grids.nc.ascii?sst[1][0:1][1:3],label,count");
    let text = text.text();
    assert!(text.starts_with("Dataset: "), "{text}");
    for line in ["sst.sst[0][0], 51, 52, 53", "sst.sst[0][1], 61, 62, 63", "count, 200"] {
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
    }
}
