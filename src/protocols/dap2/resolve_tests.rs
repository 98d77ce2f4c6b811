//! Tests of constraint resolution: forms of Grids and structures, names, and error texts.

use std::sync::Arc;

use bytes::Bytes;
use cdm::{Block, DataType, FullName, Group, Source, Variable, testing::MemorySource};

use crate::protocols::dap2::{
    Response,
    tests::{ask, dimension, fixture},
};

fn dds(constraint: &str) -> String {
    let (reply, body) = ask(Response::Dds, constraint, &fixture(true));
    let text = String::from_utf8(body.unwrap()).unwrap();
    assert_eq!(reply.status, 200, "{constraint}: {text}");
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn fault(constraint: &str) -> String {
    let (reply, body) = ask(Response::Dods, constraint, &fixture(true));
    assert!(reply.status.is_client_error() || reply.status == 501, "{constraint}: {}", reply.status);
    assert_eq!(reply.headers["content-description"], "dods_error");
    let text = String::from_utf8(body.unwrap()).unwrap();
    format!("{} {}", reply.status.as_u16(), text.lines().map(str::trim).collect::<Vec<_>>().join(" "))
}

#[test]
fn forms_of_a_grid() {
    let lat_lon = "Float64 lat[lat = 1]; Float32 lon[lon = 2];";
    let whole = dds("sst[0:2:2][1][0:1]");
    assert_eq!(
        whole,
        format!(
            "Dataset {{ Grid {{ Array: Int16 sst[time = 2][lat = 1][lon = 2]; Maps: Float64 time[time = 2]; {lat_lon} \
             }} sst; }} small.nc;"
        )
    );
    // The same from its components, in any order.
    assert_eq!(dds("sst.lon[0:1],sst.lat[1],sst.time[0:2:2],sst.sst[0:2:2][1][0:1]"), whole);
    // The array alone, one map alone, and maps that do not fit: a Structure.
    assert_eq!(
        dds("sst.sst[0][0][0]"),
        "Dataset { Structure { Int16 sst[time = 1][lat = 1][lon = 1]; } sst; } small.nc;"
    );
    assert_eq!(dds("sst.lat"), "Dataset { Structure { Float64 lat[lat = 2]; } sst; } small.nc;");
    assert!(
        dds("sst.sst[0:1][1][0:1],sst.time,sst.lat[1],sst.lon[0:1]").starts_with("Dataset { Structure {")
    );
    // A top-level map is not a component.
    assert_eq!(dds("lat[1]"), "Dataset { Float64 lat[lat = 1]; } small.nc;");
}

#[test]
fn members_of_structures_and_sequences() {
    assert_eq!(dds("points[1].x"), "Dataset { Structure { Int16 x; } points[lat = 1]; } small.nc;");
    assert_eq!(
        dds("points.w[0:1],points.x"),
        "Dataset { Structure { Int16 x; Byte w[2]; } points[lat = 2]; } small.nc;"
    );
    assert_eq!(dds("q.b&q.a>1"), "Dataset { Sequence { Float32 b; } q; } small.nc;");
}

#[test]
fn a_name_is_found_in_every_spelling() {
    let expect = dds("g/v");
    for spelling in ["/g/v", "g_v", "g.v", "g%252Fv", "g%2Fv", "g%25252Fv"] {
        assert_eq!(dds(spelling), expect, "{spelling}");
    }
    // netcdf-c sends the printed name encoded once more, pydap and getdap as printed, people as stored.
    let expect = dds("a%2520b%252Ec");
    for spelling in ["a%20b%2Ec", "a%20b.c", "a%20b%252Ec"] {
        assert_eq!(dds(spelling), expect, "{spelling}");
    }
    assert_eq!(dds("gr%C3%B6%C3%9Fe"), dds("gr_u00F6__u00DF_e"));
}

/// Names that hold what the grammar gives a meaning, among them one that also reads as two others.
fn special() -> Arc<dyn Source> {
    let mut root = Group::new(FullName::root());
    root.dimensions.push(dimension("/x", 2));
    let names = ["temp(x)", "k,l", "i[j]", "i", "i[0]", "a.b", "less<more>=", "x"];
    let variables = names.map(|name| {
        (
            Variable::new(name, DataType::UInt8, vec![dimension("/x", 2)]),
            Block::Fixed(Bytes::from_static(b"ab")),
        )
    });
    Arc::new(MemorySource::flat("special.nc", root, variables.into()))
}

#[test]
fn names_with_special_characters_may_come_decoded() {
    let dds = |query: &str| {
        let (reply, body) = ask(Response::Dds, query, &special());
        (reply.status.as_u16(), String::from_utf8(body.unwrap()).unwrap())
    };
    for (decoded, printed) in [
        ("temp(x)", "temp%2528x%2529"),
        ("temp(x)[0:1:1]", "temp%2528x%2529[0:1:1]"),
        ("temp(x).temp(x)[1]", "temp%2528x%2529.temp%2528x%2529[1]"),
        ("i,k,l,x", "i,k%252Cl,x"),
        ("i[j],i[1]", "i%255Bj%255D,i[1]"),
        ("a.b,k,l[0]&", "a%252Eb,k%252Cl[0]"),
        ("less<more>=", "less%253Cmore%253E%253D"),
    ] {
        let expect = dds(printed);
        assert_eq!(expect.0, 200, "{printed}: {}", expect.1);
        assert_eq!(dds(decoded), expect, "{decoded}");
    }
    // What the grammar can read is read by it.
    assert!(dds("i[0]").1.contains("Byte i[x = 1];"));
    // An error speaks of the constraint as it was sent.
    assert!(dds("k,l,nothing").1.contains("character 1 "));
}

#[test]
fn slices_of_nothing_and_brackets_encoded() {
    assert_eq!(dds("sst%5B0:1:2%5D%5B0%5D%5B*%5D"), dds("sst[0:2][0][0:3]"));
    assert_eq!(dds("sst[1:*][0][0]"), dds("sst[1:2][0][0]"));
}

#[test]
fn errors_help() {
    insta::assert_snapshot!(fault("sst[0:1:99][0][0]"), @r#"400 Error { code = 1005; message = "index out of range: dimension time has 3 elements (0 to 2); you asked [0:1:99] at character 4 of the constraint. Try sst[0:1:2][0:1:0][0:1:0] (request R1)"; };"#);
    insta::assert_snapshot!(fault("lat,sts[0]"), @r#"400 Error { code = 1005; message = "there is no variable sts (character 5 of the constraint). Did you mean sst? (request R1)"; };"#);
    insta::assert_snapshot!(fault("sst[0][0]"), @r#"400 Error { code = 1005; message = "sst has 3 dimensions, but 2 slices are given at character 4 of the constraint (request R1)"; };"#);
    insta::assert_snapshot!(fault("sst.depth"), @r#"400 Error { code = 1005; message = "there is no variable depth (character 5 of the constraint) (request R1)"; };"#);
    insta::assert_snapshot!(fault("points.y"), @r#"400 Error { code = 1005; message = "there is no variable y (character 8 of the constraint) (request R1)"; };"#);
    insta::assert_snapshot!(fault("count[0]"), @r#"400 Error { code = 1005; message = "count has 0 dimensions, but 1 slices are given at character 6 of the constraint (request R1)"; };"#);
    insta::assert_snapshot!(fault("lat[0],lat[1]"), @r#"400 Error { code = 1005; message = "lat is asked for twice with different slices, the second time at character 8 (request R1)"; };"#);
    insta::assert_snapshot!(fault("geogrid(sst,1)"), @r#"501 Error { code = 1008; message = "there is no server function geogrid() here (character 1 of the constraint) (request R1)"; };"#);
    insta::assert_snapshot!(fault("sst&sst>1"), @r#"400 Error { code = 1005; message = "selections choose rows of sequences; sst at character 5 is not a member of one (request R1)"; };"#);
    insta::assert_snapshot!(fault("q&q.a>\"x\""), @r#"400 Error { code = 1005; message = "a number cannot be compared with a text (request R1)"; };"#);
    insta::assert_snapshot!(fault("q[0:1]"), @r#"400 Error { code = 1005; message = "rows of the sequence q are chosen with &, not [] (character 2) (request R1)"; };"#);
    insta::assert_snapshot!(fault("%ff"), @r#"400 Error { code = 1005; message = "the constraint is not UTF-8 (request R1)"; };"#);
}
