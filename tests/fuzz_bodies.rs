//! The fuzz targets' bodies on stable Rust: the committed seeds, and random inputs under proptest.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../fuzz/bodies.rs"]
mod bodies;
#[path = "common/mutate.rs"]
mod mutate;

use std::{fs, path::Path};

use cdm::testing::Random;
use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};

/// How often, unless `THALWEG_TEST_CASES` says otherwise.
const CASES: u32 = 1_000;

fn cases() -> u32 {
    std::env::var("THALWEG_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(CASES)
}

/// Runs `body` on random bytes, on random sequences of `words`, and on the seeds called `target`.
fn check(target: &str, body: fn(&[u8]), words: &'static [&'static str]) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut texts: Vec<Vec<u8>> =
        fs::read_dir(seeds).unwrap().map(|e| fs::read(e.unwrap().path()).unwrap()).collect();
    assert!(texts.len() > 2);
    // One word very often: depth and length.
    texts.extend(words.iter().map(|word| word.repeat(20_000).into_bytes()));
    texts.extend(words.iter().map(|word| format!("v{}", word.repeat(3_000)).into_bytes()));
    for (i, text) in texts.iter().enumerate() {
        body(text);
        for round in 0..20 {
            let mut random = Random(round << 32 | i as u64);
            let other = &texts[usize::try_from(random.below(texts.len() as u64)).unwrap()];
            if text.len() < 10_000 && !text.is_empty() && !other.is_empty() {
                body(&mutate::mutate(&mut random, text, &other[..other.len().min(1000)]));
            }
        }
    }
    let config = ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
    let run = |strategy: BoxedStrategy<Vec<u8>>| {
        let outcome = TestRunner::new(config.clone()).run(&strategy, |bytes| {
            body(&bytes);
            Ok(())
        });
        outcome.unwrap_or_else(|e| panic!("{target}: {e}"));
    };
    run(vec(any::<u8>(), 0..200).boxed());
    run(vec(select(words), 0..40).prop_map(|parts| parts.concat().into_bytes()).boxed());
}

#[test]
fn icechunk_files() {
    check(
        "icechunk",
        bodies::icechunk,
        &["\u{4}\0\0\0", "\u{8}\0\u{8}\0", "\0\0\0\0", "\u{c}\0\0\0", "/a", "Ichk", "\u{4}\0"],
    );
}

#[test]
fn dap4_constraints() {
    check(
        "dap4_constraint",
        bodies::dap4_constraint,
        &[
            "/v",
            "v",
            "/t",
            "s",
            "p",
            "q",
            "/g/w x",
            "w\\ x",
            "a",
            "b",
            "[",
            "]",
            "[]",
            "[0]",
            "[0:2]",
            "[1:2:3]",
            "[0,2]",
            ":",
            ";",
            "{",
            "}",
            "|",
            "<",
            "<=",
            ">=",
            "==",
            "!=",
            "~=",
            "=",
            ",",
            ".",
            "/",
            "\\",
            "\"",
            "%",
            "%5B",
            "&",
            "#",
            "*",
            "dap4.ce=",
            "&dap4.checksum=",
            "0",
            "3",
            "-1",
            "1e400",
            "18446744073709551616",
            " ",
            "é",
            "\u{0}",
        ],
    );
}

#[test]
fn dap2_constraints() {
    check(
        "dap2_constraint",
        bodies::dap2_constraint,
        &[
            "v",
            "t",
            "s",
            "p",
            "q",
            "p.a",
            "q.b",
            "g.w%20x",
            ".",
            "[",
            "]",
            "[0]",
            "[0:2]",
            "[1:2:3]",
            ":",
            ",",
            "&",
            "<",
            "<=",
            ">=",
            "=",
            "!=",
            "=~",
            "{",
            "}",
            "(",
            ")",
            "\"",
            "\\",
            "%",
            "%25",
            "%5B",
            "0",
            "3",
            "-1",
            "1e400",
            "18446744073709551616",
            " ",
            "é",
            "\u{0}",
            "f(",
            "*",
        ],
    );
}

#[test]
fn urls() {
    check(
        "url",
        bodies::url,
        &[
            "/",
            "//",
            ".",
            "..",
            "a",
            "b.nc",
            ".dap",
            ".dmr.xml",
            ".nc",
            "%2e",
            "%2F",
            "%5c",
            "%00",
            "%",
            "%ff",
            "%c3%a9",
            "é",
            "\\",
            "\u{0}",
            "\u{7f}",
            " ",
            "catalog.xml",
            "/opendap/",
            "/files/",
            "/catalog/",
            "?",
            "#",
            ":",
            "+",
        ],
    );
}

#[test]
fn configurations() {
    check(
        "config",
        bodies::config,
        &[
            "listen",
            "roots",
            "title",
            "public_url",
            "allowed_hosts",
            "trusted_proxies",
            "[limits]",
            "memory",
            "uri",
            "log",
            "[log]",
            "level",
            "=",
            "\"",
            "\"127.0.0.1:0\"",
            "\"10.0.0.0/8\"",
            "\"64 MiB\"",
            "\"5 s\"",
            "\"-1 s\"",
            "[",
            "]",
            "{",
            "}",
            ",",
            ".",
            "\n",
            "1",
            "-1",
            "1e400",
            "99999999999999999999",
            "true",
            "#",
            "'",
            "é",
            "[[",
            "]]",
        ],
    );
}

#[test]
fn requests() {
    check(
        "http",
        bodies::http,
        &[
            "GET ",
            "POST ",
            "/",
            "{",
            "\"",
            " HTTP/1.1",
            "\r\n",
            "\n",
            "\r",
            ":",
            ",",
            ";",
            "=",
            "-",
            "\"",
            " ",
            "\t",
            "*",
            "W/",
            "Host",
            "Range",
            "bytes",
            "If-Range",
            "If-None-Match",
            "If-Modified-Since",
            "Accept-Encoding",
            "gzip",
            "q",
            "Accept",
            "text/html",
            "Content-Length",
            "Transfer-Encoding",
            "chunked",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "Forwarded",
            "for",
            "host",
            "1.2.3.4",
            "[::1]",
            "0",
            "18446744073709551616",
            "é",
            "\u{0}",
            "\u{7f}",
        ],
    );
}

#[test]
fn thredds_catalogs() {
    check(
        "tds",
        bodies::tds,
        &[
            "<catalog>",
            "</catalog>",
            "<dataset name='d'",
            "<datasetScan path='p'",
            "<datasetRoot path='p'",
            "<catalogRef",
            "<featureCollection path='f'",
            "<collection spec='",
            "</featureCollection>",
            "</datasetScan>",
            "</dataset>",
            "<filter>",
            "</filter>",
            "<include wildcard='*'/>",
            "<exclude regExp='",
            "(a*)*",
            "<service name='s'",
            " serviceType='OPENDAP'",
            " base='/'",
            "</service>",
            " location='/nowhere'",
            " location='content/x'",
            " urlPath='a/b.nc'",
            " xlink:href='x.xml'",
            "#yyyyMMdd#",
            ".nc$",
            "'",
            ">",
            "/>",
            "<netcdf>",
            "</netcdf>",
            "<metadata inherited='true'>",
            "</metadata>",
            "<!DOCTYPE a>",
            "&amp;",
            "&x;",
            "..",
            "é",
            "\u{0}",
        ],
    );
}

/// Runs `body` on random bytes and on damaged beginnings of the fixtures called `NAME.suffix`.
fn check_binary(body: fn(&[u8]), suffixes: [&str; 2]) {
    let all = mutate::fixtures();
    let mut config = ProptestConfig { cases: cases(), ..ProptestConfig::default() };
    config.failure_persistence = None;
    let outcome = TestRunner::new(config).run(&vec(any::<u8>(), 0..500), |bytes| {
        body(&bytes);
        Ok(())
    });
    outcome.unwrap();
    let mine: Vec<_> = all.iter().filter(|f| suffixes.iter().any(|s| f.name.contains(s))).collect();
    for round in 0..500_usize {
        let mut random = Random(0xf0 << 32 | round as u64);
        body(&mutate::mutate(&mut random, &mine[round % mine.len()].bytes, &all[round % all.len()].bytes));
    }
}

#[test]
fn netcdf3_files() {
    check_binary(bodies::netcdf3, ["cdf", "long_header"]);
}

#[test]
fn hdf5_files() {
    check_binary(bodies::hdf5, ["phony", "user_block"]);
}

#[test]
fn references() {
    check(
        "references",
        bodies::references,
        &[
            "{",
            "}",
            "[",
            "]",
            "\"",
            ":",
            ",",
            "\"refs\"",
            "\"version\"",
            "\"gen\"",
            "\"templates\"",
            "\"a/.zarray\"",
            "\"a/0\"",
            "{{",
            "}}",
            "i",
            "(",
            ")",
            "*",
            "1",
            "-1",
            "base64:",
            "<",
            ">",
            "/>",
            "</Dataset>",
            "<Dataset>",
            "<Int8 name='a'>",
            "</Int8>",
            "<Dim size='3'/>",
            "<dmrpp:chunks>",
            "</dmrpp:chunks>",
            "<dmrpp:chunk offset='1' nBytes='2'/>",
            "&amp;",
            "&x;",
            "<Attribute name='a' type='Int8'>",
            "<Value>",
            "PAR1",
            "\u{15}",
            "\u{1c}",
            "\u{0}",
        ],
    );
}

#[test]
fn ncml_documents() {
    check(
        "ncml",
        bodies::ncml,
        &[
            "<netcdf>",
            "</netcdf>",
            "<variable name='v'",
            "<variable name='t'>",
            "<variable name='n' shape='t x'",
            "<variable name='s'/>",
            " type='double'",
            " type='byte'",
            " orgName='t'",
            ">",
            "/>",
            "</variable>",
            "<attribute name='a'",
            " value='1 2'",
            " separator=' '",
            "<values>",
            "<values start='1' increment='-2'/>",
            "</values>",
            "1 2 3 ",
            "1e400",
            "18446744073709551616",
            "<dimension name='t' length='9'/>",
            "<remove type='variable' name='v'/>",
            "<group name='g'>",
            "</group>",
            "<logicalSlice dimName='t' index='1'/>",
            "<logicalSection section='0:1,:'/>",
            "<aggregation type='union'>",
            "</aggregation>",
            "<!DOCTYPE a>",
            "<!--",
            "-->",
            "<![CDATA[",
            "]]>",
            "&amp;",
            "&#x",
            ";",
            "é",
            "\u{0}",
        ],
    );
}

#[test]
fn geotiff_files() {
    check_binary(bodies::geotiff, ["predictor", "bigtiff"]);
}

#[test]
fn zipped_zarr_hierarchies() {
    check_binary(bodies::zip, ["types_v3.zarr", "sharded.zarr"]);
}

#[test]
fn zarr_arrays() {
    check(
        "zarr",
        bodies::zarr,
        &[
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"zarr_format\":3",
            "\"node_type\":\"array\"",
            "\"shape\":",
            "\"chunks\":",
            "\"dtype\":",
            "\"<f4\"",
            "\"|S3\"",
            "\"fill_value\":",
            "\"codecs\":",
            "\"configuration\":",
            "\"sharding_indexed\"",
            "null",
            "NaN",
            "0",
            "-1",
            "1e400",
            "18446744073709551615",
            "\"",
            "\\",
            "\u{0}",
            "é",
        ],
    );
}

#[test]
fn chunks() {
    check_binary(bodies::codecs, ["cdf1", "odd"]);
}

#[test]
fn the_dataset_behind_the_constraints_is_one_that_constraints_fit() {
    for (query, expected) in [
        ("dap4.ce=/v[0:2][1:2:3];/g/w\\ x", 200),
        ("dap4.ce=/t=[0:1];/v;/p{a}", 200),
        ("dap4.ce=/q{a;b}|a<3", 200),
        ("dap4.ce=/v[3]", 400),
        ("dap4.ce=/nothing", 400),
    ] {
        assert_eq!(bodies::dap4_status(query), expected, "{query}");
    }
    for (query, expected) in [("v[0:2][1:2:3],t", 200), ("p.a", 200), ("v[3][0]", 400), ("nothing", 400)] {
        assert_eq!(bodies::dap2_status(query), expected, "{query}");
    }
}
