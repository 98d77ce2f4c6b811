//! Section 1.5: conditional requests, HEAD, byte ranges, compression.

use std::io::Read;

use crate::{
    http::Answer,
    world::{ask, good},
};

/// Answers of each kind; those with a length known before, first.
const TARGETS: [&str; 9] = [
    "/opendap/V1_7.nc.dap?dap4.ce=/temp",
    "/opendap/V1_7.nc.dods?temp",
    "/opendap/V1_7.nc.dmr",
    "/opendap/V1_7.nc.dds",
    "/opendap/V1_7.nc.das",
    "/opendap/V1_6.nc.dap",
    "/opendap/texts.nc.dods",
    "/opendap/V1_7.nc.ascii?lat",
    "/opendap/0/cdf1_types.nc.dap",
];

fn with(target: &str, headers: &[(&str, &str)]) -> Answer {
    let lines: String = headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
    ask("GET", target, &lines)
}

#[test]
fn s1_5_entity_tags_and_dates() {
    for target in TARGETS {
        let first = good(target);
        let (tag, date) = (first.header("etag"), first.header("last-modified"));
        assert!(
            tag.starts_with('"') && tag.ends_with('"') && date.ends_with(" GMT"),
            "{target}: {tag} {date}"
        );
        let listed = format!("\"other\", W/{tag}");
        for condition in [
            ("If-None-Match", tag),
            ("If-None-Match", "*"),
            ("If-None-Match", listed.as_str()),
            ("If-Modified-Since", date),
        ] {
            let again = with(target, &[condition]);
            assert_eq!((again.status, again.body.len()), (304, 0), "{target} {condition:?}");
            assert_eq!((again.header("etag"), again.header("vary")), (tag, first.header("vary")), "{target}");
        }
        let early = "Mon, 01 Jan 1990 00:00:00 GMT";
        assert_eq!(with(target, &[("If-None-Match", "\"other\"")]).status, 200);
        assert_eq!(with(target, &[("If-Modified-Since", early)]).status, 200);
        // The tag wins over the date.
        assert_eq!(with(target, &[("If-None-Match", "\"other\""), ("If-Modified-Since", date)]).status, 200);
        assert_eq!(good(target).header("etag"), tag, "{target}: the same twice");
    }
}

/// What changes the bytes changes the tag; how a constraint is written does not.
#[test]
fn s1_5_tags_tell_answers_apart() {
    let tag = |target: &str, agent: &str| {
        let answer = ask("GET", target, &format!("User-Agent: {agent}\r\n"));
        (answer.header("etag").to_owned(), answer.body)
    };
    let base = "/opendap/rich.nc";
    let mut seen = std::collections::HashMap::new();
    for (target, agent) in [
        (".dap", "x"),
        (".dap?dap4.checksum=true", "x"),
        (".dap?dap4.ce=/x", "x"),
        (".dap?dap4.ce=/x[0]", "x"),
        (".dap?dap4.ce=/x[1]", "x"),
        (".dap", "netCDF4.9.0"),
        (".dap", "netCDF4.10.1"),
        (".dmr", "x"),
        (".dmr", "netCDF4.10.1"),
        (".dmr?dap4.ce=/x", "x"),
        (".dds", "x"),
        (".das", "x"),
        (".dods", "x"),
        (".dods?x", "x"),
        (".dods?x[0]", "x"),
        (".ascii", "x"),
        (".ver", "x"),
        (".help", "x"),
        (".info", "x"),
        (".html", "x"),
        (".dsr", "x"),
    ] {
        let (tag, body) = tag(&format!("{base}{target}"), agent);
        assert!(!tag.is_empty(), "{target}");
        let other = seen.insert(tag, (target, agent, body.clone()));
        assert!(other.as_ref().is_none_or(|(.., b)| *b == body), "{target} {agent} and {other:?}");
    }
    let same =
        |a: &str, b: &str| assert_eq!(tag(&format!("{base}{a}"), "x"), tag(&format!("{base}{b}"), "x"));
    same(".dap?dap4.ce=/x;/time", ".dap?dap4.ce=/time;/x");
    same(".dap?dap4.ce=/x[0:1]", ".dap?dap4.ce=%2Fx%5b%5d");
    same(".dods?x,time", ".dods?time,x");
}

#[test]
fn s1_3_head_has_the_headers_of_get() {
    for target in
        TARGETS.into_iter().chain(["/opendap/V1_1.nc", "/opendap/V1_1.nc.html", "/opendap/V1_1.nc.dmr.xml"])
    {
        for headers in ["", "Accept-Encoding: gzip\r\n"] {
            let (get, head) = (ask("GET", target, headers), ask("HEAD", target, headers));
            assert_eq!(head.status, 200, "{target}");
            let of = |answer: &Answer| {
                let skip = ["date", "x-request-id", "server-timing", "transfer-encoding"];
                let mut all: Vec<_> =
                    answer.headers.iter().filter(|(n, _)| !skip.contains(&n.as_str())).cloned().collect();
                all.sort();
                all
            };
            assert_eq!(of(&head), of(&get), "{target} {headers}");
        }
    }
}

#[test]
fn s1_5_byte_ranges_where_the_length_is_known() {
    for target in [
        "/opendap/V1_7.nc.dap?dap4.ce=/temp",
        "/opendap/V1_7.nc.dods?temp",
        "/opendap/V1_7.nc.dap?dap4.ce=/CO2",
    ] {
        let whole = good(target);
        let len = whole.body.len();
        assert_eq!(
            (whole.header("accept-ranges"), whole.header("content-length")),
            ("bytes", len.to_string().as_str())
        );
        let (tag, date) = (whole.header("etag"), whole.header("last-modified"));
        let check = |headers: &[(&str, &str)], from: usize, to: usize| {
            let part = with(target, headers);
            assert_eq!(part.status, 206, "{target} {headers:?}");
            assert!(part.is_whole && part.body == whole.body[from..to], "{target} {headers:?}");
            assert_eq!(part.header("content-range"), format!("bytes {from}-{}/{len}", to - 1));
            assert_eq!(
                (part.header("etag"), part.header("content-type")),
                (tag, whole.header("content-type"))
            );
        };
        check(&[("Range", "bytes=0-3")], 0, 4);
        check(&[("Range", "bytes=100-1099")], 100, 1100);
        check(&[("Range", "bytes=7000-")], 7000, len);
        check(&[("Range", "bytes=-9")], len - 9, len);
        check(&[("Range", "bytes=5-99999999999999999999")], 5, len);
        check(&[("Range", "bytes=0-3"), ("If-Range", tag)], 0, 4);
        check(&[("Range", "bytes=0-3"), ("If-Range", date)], 0, 4);
        // Ignored: another version, several ranges, another unit, nonsense.
        for headers in [
            [("Range", "bytes=0-3"), ("If-Range", "\"other\"")],
            [("Range", "bytes=0-3"), ("If-Range", "Mon, 01 Jan 1990 00:00:00 GMT")],
            [("Range", "bytes=0-3,9-10"), ("Accept", "*/*")],
            [("Range", "rows=0-3"), ("Accept", "*/*")],
            [("Range", "bytes=9-3"), ("Accept", "*/*")],
        ] {
            let answer = with(target, &headers);
            assert!(answer.status == 200 && answer.body == whole.body, "{target} {headers:?}");
        }
        let outside = with(target, &[("Range", &format!("bytes={len}-"))]);
        assert_eq!(
            (outside.status, outside.header("content-range")),
            (416, format!("bytes */{len}").as_str())
        );
        assert_eq!(with(target, &[("Range", "bytes=0-3"), ("If-None-Match", tag)]).status, 304);
    }
}

#[test]
fn s1_5_no_ranges_where_it_is_not() {
    for target in ["/opendap/V1_6.nc.dap", "/opendap/texts.nc.dods", "/opendap/V1_7.nc.ascii?lat"] {
        let answer = with(target, &[("Range", "bytes=0-3")]);
        assert_eq!(answer.status, 200, "{target}");
        assert_ne!(answer.header("accept-ranges"), "bytes", "{target}");
        assert!(answer.body == good(target).body, "{target}");
    }
}

#[test]
fn s1_5_and_9_only_text_is_compressed_and_only_when_asked() {
    let text = [".dmr", ".dmr.xml", ".xml", ".html", ".dds", ".das", ".ascii", ".info"];
    for (suffix, is_text) in text.map(|s| (s, true)).into_iter().chain([(".dap", false), (".dods", false)]) {
        let target = format!("/opendap/V1_7.nc{suffix}");
        let plain = good(&target);
        assert_eq!(plain.header("content-encoding"), "", "{target}");
        for coding in ["gzip", "deflate, gzip;q=0.5", "*"] {
            let answer = with(&target, &[("Accept-Encoding", coding)]);
            assert!(answer.is_whole && answer.status == 200, "{target}");
            assert_eq!(
                answer.header("content-encoding"),
                if is_text { "gzip" } else { "" },
                "{target} {coding}"
            );
            let mut body = Vec::new();
            if is_text {
                assert!(
                    answer.all("vary").contains("Accept-Encoding") && answer.header("etag").starts_with("W/")
                );
                flate2::read::GzDecoder::new(answer.body.as_slice()).read_to_end(&mut body).unwrap();
                let again =
                    with(&target, &[("Accept-Encoding", coding), ("If-None-Match", answer.header("etag"))]);
                assert_eq!(again.status, 304, "{target}");
            } else {
                body = answer.body;
            }
            assert!(body == plain.body, "{target} {coding}");
        }
        for coding in ["identity", "gzip;q=0", "deflate", "gzip;q=0, *"] {
            let answer = with(&target, &[("Accept-Encoding", coding)]);
            assert_eq!(answer.header("content-encoding"), "", "{target} {coding}");
        }
    }
}
