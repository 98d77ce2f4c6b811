//! Section 4.8: the 48 constraint vectors over HTTP, descriptions and values. Every accepted one is
//! asked raw and encoded (R20), with and without checksums, as `.dmr`, `.dmr.xml` and `.dap`.

use crate::{
    dap,
    dmr::Dmr,
    world::{get, good},
    xml,
};

/// As a strict client writes it: everything but letters and digits encoded, escapes left alone.
fn encoded(ce: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'%';
    ce.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") }).collect()
}

/// Numbers as the decoder writes values.
fn n(numbers: impl IntoIterator<Item = i64>) -> Vec<String> {
    numbers.into_iter().map(|i| i.to_string()).collect()
}

/// Values separated by blanks, as the decoder writes them.
fn w(values: &str) -> Vec<String> {
    values.split_whitespace().map(str::to_owned).collect()
}

/// `count` rows whose members, `width` of them, hold the row's number.
fn rows(numbers: impl IntoIterator<Item = i64>, width: usize) -> Vec<String> {
    let rows: Vec<i64> = numbers.into_iter().collect();
    let count = format!("#{}", rows.len());
    let values = rows.iter().flat_map(|r| std::iter::repeat_n(r.to_string(), width));
    std::iter::once(count).chain(values).collect()
}

#[track_caller]
fn check(dataset: &str, ce: &str, outline: &str, values: &[String]) {
    let raw = ce.replace(' ', "%20");
    let url = |suffix: &str, ce: &str| format!("/opendap/{dataset}.nc{suffix}?dap4.ce={ce}");
    let description = good(&url(".dmr", &raw));
    assert_eq!(Dmr::parse(description.text()).outline(), outline, "{ce}");
    for other in [url(".dmr.xml", &raw), url(".dmr", &encoded(ce))] {
        assert!(good(&other).body == description.body, "{other}");
    }
    let data = good(&url(".dap", &raw));
    let decoded = dap::decode(&data.body, false);
    assert_eq!(decoded.values, values, "{ce}");
    assert_eq!(decoded.dmr, description.text(), "{ce}: the embedded DMR");
    assert!(good(&url(".dap", &encoded(ce))).body == data.body, "{ce}: raw and encoded");
    let sums = good(&format!("{}&dap4.checksum=true", url(".dap", &raw)));
    assert_eq!(dap::decode(&sums.body, true).values, values, "{ce}: with checksums");
}

#[track_caller]
fn refuse(dataset: &str, ce: &str) {
    for suffix in [".dmr", ".dmr.xml", ".dap"] {
        for ce in [ce.replace(' ', "%20"), encoded(ce)] {
            let target = format!("/opendap/{dataset}.nc{suffix}?dap4.ce={ce}");
            let answer = get(&target);
            assert_eq!(answer.status, 400, "{target}");
            let error = xml::parse(answer.text());
            assert_eq!((error.tag.as_str(), error.attribute("httpcode")), ("Error", Some("400")), "{target}");
            let message = error.all("Message").next().expect("a message");
            assert!(!message.text.is_empty() && !answer.text().contains("<script"), "{target}");
        }
    }
}

#[test]
fn s4_8_vectors_1_to_9_names_members_and_groups() {
    check("V1_1", "", "u; v; Point{x y}", &w("0 0 0 0"));
    check("V1_1", "/u", "u", &w("0"));
    check("V1_1", "u", "u", &w("0"));
    check("V1_1", "/v;/u", "u; v", &w("0 0"));
    check("V1_1", "/Point{x}", "Point{x}", &w("0"));
    check("V1_1", "/Point.x", "Point{x}", &w("0"));
    check("V1_1", "/Point.x;/Point.y", "Point{x y}", &w("0 0"));
    check("V1_1", "/Point.y;/Point.x", "Point{x y}", &w("0 0"));
    check("V1_1", "/u[0]", "u", &w("0"));
    check("V1_1", "/u[]", "u", &w("0"));
    check("V1_2", "/inst2/Point", "inst2: {Point{x y}}", &w("0 0"));
    check("V1_2", "/inst2", "inst2: {Point{x y}; a.b}", &w("0 0 0"));
    check("V1_2", "inst2", "inst2: {Point{x y}; a.b}", &w("0 0 0"));
}

#[test]
fn s4_8_vectors_10_to_17_index_subsets() {
    check("V1_3", "/u[7][10:19]", "u(1,10)", &n((10..20).map(|j| 7 * 256 + j)));
    let fours = || (0..256).step_by(4);
    check("V1_3", "/u[0:4:][0:4:]", "u(64,64)", &n(fours().flat_map(|i| fours().map(move |j| i * 256 + j))));
    check("V1_3", "/u[][10:19]", "u(256,10)", &n((0..256).flat_map(|i| (10..20).map(move |j| i * 256 + j))));
    check("V1_3", "/Point[10:19]", "Point{x y}(10)", &n((10..20).flat_map(|k| [k, k])));
    check("V1_3", "/Point[0:4:]{x}", "Point{x}(64)", &n(fours()));
    let points = n((0..10).flat_map(|k| [k; 11]));
    check("V1_4", "/Points[0:9]{x;y[0:9]}", "Points{x y(10)}(10)", &points);
    check("V1_4", "/Points[0:9]{x,y[0:9]}", "Points{x y(10)}(10)", &points);
    check("V1_4", "/Points[3:4].y[0:2]", "Points{y(3)}(2)", &w("3 3 3 4 4 4"));
    let sounding = "Points{x y sounding{height(128)}}(1)";
    check("V1_5", "/Points[2]{x;y;sounding{height[0:8:]}}", sounding, &n([2; 130]));
}

#[test]
fn s4_8_vectors_18_to_23_arrays_of_every_type() {
    check("TAA", "/v16[0:1,3]", "v16(3)", &w("1 2 4"));
    check("TAA", "/v16[3,0:1]", "v16(3)", &w("4 1 2"));
    // As published: no axis of a mixture keeps its shared dimension.
    let outline = "vu8(1,2); vd(1); vs(1,1); vo(1,1)";
    check("TAA", "/vu8[1][0:2:2];/vd[1];/vs[1][0];/vo[0][1]", outline, &w("3 5 17.9 b abcd"));
    check("TAA", "/t[1]", "t(1)", &w("37"));
    check("TAA", "/t[0:1]", "d2=2; t(d2=2)", &w("17 37"));
    check("TAA", "/primary_cloud[1:2:4]", "enum cloud_class_t; primary_cloud(2)", &w("2 1"));
    check("TAA", "/s[0:2:2][0:1]", "s{x y}(2,2)", &w("1 -1 2 -2 -4 12 7 -7"));
    // The vector as published asks beyond an axis of 3: no clamping (4.2/10).
    refuse("TAA", "/s[0:2:3][0:1]");
}

#[test]
fn s4_8_vectors_24_to_28_shared_dimensions() {
    let a = w("3 7");
    check("A4", "/row=[0:1];/col=[3];a", "row=2; col=1; a(row=2,col=1)", &a);
    check("A4", "/row=[0:1];/col=[3];a[][]", "row=2; col=1; a(row=2,col=1)", &a);
    check("A4", "a;/row=[0:1];/col=[3]", "row=2; col=1; a(row=2,col=1)", &a);
    let outline = "row=2; col=1; a(row=2,col=1); b(1,col=1); c(3,4)";
    let values = [a, w("3"), n(0..12)].concat();
    check("A4", "/row=[0:1];/col=[3];a[][];b[0][];c[0:][0:]", outline, &values);
    check("A4", "c[2:][2:]", "c(1,2)", &w("10 11"));
    check("A4", "/row=[0:1];x[][]", "row=2; five=5; x(row=2,five=5)", &n(0..10));
    // A dimension alone: all variables (4.2/7). An unused one is ignored (4.2/6).
    let all = "row=1; col=4; five=5; a(row=1,col=4); b(row=1,col=4); c(row=1,col=4); x(row=1,five=5); y(five=5,col=4)";
    let abc = || n(4..8);
    check("A4", "/row=[1]", all, &[abc(), abc(), abc(), n(5..10), n(0..20)].concat());
    check("A4", "/five=[0];a[0][0]", "a(1,1)", &w("0"));
}

#[test]
fn s4_8_vectors_29_to_34_what_does_not_fit_is_refused() {
    for ce in
        ["b[2:1][2:3]", "a[0]", "a[0:3][0]", "a[3][0]", "nosuch", "a{b}", "/depth=[0:1];a", "a.b", "/g/a"]
    {
        refuse("A4", ce);
    }
    // 4.2/2 and 4.2/6: contradictions.
    refuse("A4", "a[0][0];a[1][0]");
    refuse("A4", "/row=[0:1];/row=[1];a");
}

#[test]
fn s4_8_vectors_35_to_39_maps() {
    let cube = |lons: std::ops::Range<i64>, lats: std::ops::Range<i64>| {
        n(lons.flat_map(|i| lats.clone().map(move |j| i * 100 + j)))
    };
    let axes = [n(10..20), n(0..10)].concat();
    check(
        "V1_7",
        "/nlat=[0:9];/nlon=[10:19];/lat;/lon;/temp",
        "nlat=10; nlon=10; lon(nlon=10); lat(nlat=10); temp(nlon=10,nlat=10)<lon><lat>",
        &[axes.clone(), cube(10..20, 0..10)].concat(),
    );
    check(
        "V1_7",
        "/nlat=[0:9];/nlon=[10:19];/temp;/sal",
        "nlat=10; nlon=10; temp(nlon=10,nlat=10); sal(nlon=10,nlat=10)",
        &[cube(10..20, 0..10), cube(10..20, 0..10)].concat(),
    );
    check(
        "V1_7",
        "/nlat=[0:9];/nlon=[10:19];/lat;/lon;/temp;/sal[][8:9]",
        "nlat=10; nlon=10; lon(nlon=10); lat(nlat=10); temp(nlon=10,nlat=10)<lon><lat>; sal(nlon=10,2)<lon>",
        &[axes, cube(10..20, 0..10), cube(10..20, 8..10)].concat(),
    );
    let co2 = (0..50).step_by(4).flat_map(|i| [0, 4, 8].map(move |k| (i * 100 + 1) * 10 + k));
    check("V1_7", "/nlat=[0:4:];/nlon=[0:4:];/CO2[][1][0:4:]", "nlon=13; CO2(nlon=13,1,3)", &n(co2));
    check("V1_7", "/temp", "nlat=100; nlon=50; temp(nlon=50,nlat=100)", &n(0..5000));
}

#[test]
fn s4_8_vectors_40_to_44_filters() {
    check("V1_6", "/s1{x} | y < 10", "s1{x}", &rows(0..10, 1));
    let all: Vec<String> = (0..10).flat_map(|_| rows(0..40, 2)).collect();
    check("V1_6", "/s2[0:9]{x;y}", "s2{x y}(10)", &all);
    let nested = |lead: &dyn Fn(i64) -> Vec<String>, outer: std::ops::Range<i64>, inner: Vec<String>| {
        let count = format!("#{}", outer.end - outer.start);
        let rows = outer.flat_map(|r| [lead(r), inner.clone()].concat());
        std::iter::once(count).chain(rows).collect::<Vec<_>>()
    };
    check(
        "V1_9",
        "/Points2{x;y;sounding | depth > 20} | x > 17",
        "Points2{x y sounding{depth t}}",
        &nested(&|r| n([r, r]), 18..40, rows(21..40, 2)),
    );
    // Nothing inside: the parents stay (4.2/9).
    check(
        "V1_9",
        "/Points2{x;sounding | depth > 99}",
        "Points2{x sounding{depth t}}",
        &nested(&|r| n([r]), 0..40, w("#0")),
    );
    check("V1_9", "/Points3 | 20 < x < 40, y < 35", "Points3{x y}", &rows(21..35, 2));
    check("V1_9", "/Points3{x} | y == 7", "Points3{x}", &rows([7], 1));
    check("V1_9", "/Points3{x} | y != 7, 5 <= x, x <= 8", "Points3{x}", &rows([5, 6, 8], 1));
    refuse("A4", "a | b > 1");
    refuse("V1_6", "/s1 | z < 3");
    refuse("V1_6", "/s1 | ND=5");
}

#[test]
fn s4_8_vector_45_syntax_errors() {
    for ce in
        ["/x[0:2", "/x]", "/x[a]", "/x[-1]", "/x[0:0:5]", ";;", "/x[0:2]]", "x{", "x{a", "x|", "/x=1", "/"]
    {
        refuse("names", ce);
    }
}

#[test]
fn s4_8_vectors_46_and_47_spellings_of_names() {
    for ce in [
        "/inst2/Point%20Break.x",
        "/inst2/\"Point Break\".x",
        "/inst2/Point Break.x",
        "/inst2/Point%2520Break.x",
    ] {
        check("names", ce, "inst2: {Point Break{x}}", &w("0"));
    }
    for ce in ["/a.b", r"/a\.b", r"/a\\b", "/a%2Eb", "/a%5c%5cb"] {
        check("names", ce, "a.b", &w("0"));
    }
}

#[test]
fn s4_8_vector_48_a_refusal_does_not_echo_markup() {
    refuse("V1_1", "d1rox%3Cscript%3Ealert(1)%3C/script%3E=1");
    refuse("V1_1", "d1rox<script>alert(1)</script>=1");
    refuse("V1_1", "/<script>");
}

#[test]
fn s9_brackets_may_be_encoded_three_times() {
    let once = good("/opendap/V1_3.nc.dap?dap4.ce=/u%5b7%5d%5b0:9%5d");
    let thrice = good("/opendap/V1_3.nc.dap?dap4.ce=/u%25255b7%25255d%25255b0%25253a9%25255d");
    assert!(once.body == thrice.body);
    assert_eq!(dap::decode(&thrice.body, false).values, n((0..10).map(|j| 7 * 256 + j)));
}
