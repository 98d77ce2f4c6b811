//! Sections 1.1 to 1.4 and 1.6 to 1.8: suffixes and media types, parameters, negotiation, headers,
//! errors, the DSR.

use crate::{
    dap,
    dmr::Dmr,
    world::{ask, files, get, good},
    xml,
};

const SERVICES: &str = "application/vnd.opendap.dap4.dataset-services+xml";
const METADATA: &str = "application/vnd.opendap.dap4.dataset-metadata+xml";
const DATA: &str = "application/vnd.opendap.dap4.data";

/// 1.1 and 1.4: suffix, media type, what getdap4 reads when it does not know the type.
const RESPONSES: [(&str, &str, &str); 11] = [
    ("", SERVICES, SERVICES),
    (".dsr", SERVICES, SERVICES),
    (".xml", "text/xml", SERVICES),
    (".dsr.xml", "text/xml", SERVICES),
    (".html", "text/html", "text/html"),
    (".dsr.html", "text/html", "text/html"),
    (".dmr", METADATA, METADATA),
    (".dmr.xml", "text/xml", METADATA),
    (".dmr.html", "text/html", "text/html"),
    (".dap", DATA, DATA),
    (".dap?", DATA, DATA),
];

#[test]
fn s1_1_and_1_4_suffixes_and_headers() {
    for (suffix, media_type, description) in RESPONSES {
        let answer = good(&format!("/opendap/V1_1.nc{suffix}"));
        let charset = if media_type == DATA { "" } else { "; charset=utf-8" };
        assert_eq!(answer.header("content-type"), format!("{media_type}{charset}"), "{suffix}");
        assert_eq!(answer.header("content-description"), description, "{suffix}");
        assert_eq!((answer.header("xdap"), answer.header("x-dap")), ("4.0", "4.0"), "{suffix}");
        for name in ["xdods-server", "xopendap-server", "x-dap-server", "date", "last-modified", "etag"] {
            assert!(!answer.header(name).is_empty(), "{name} of {suffix}");
        }
        assert!(!answer.headers.iter().any(|(n, _)| n == "content-encoding"), "{suffix}");
        let disposition = answer.header("content-disposition");
        assert_eq!(disposition.contains("filename=\"V1_1.nc.dap\""), media_type == DATA, "{suffix}");
    }
}

#[test]
fn s1_1_suffixes_that_are_not_offered_are_not_found() {
    for suffix in [".dmr.nosuch", ".nosuch", ".dap.nosuch", ".dmr.dap", ".dap.dmr"] {
        let answer = get(&format!("/opendap/V1_1.nc{suffix}"));
        assert!([400, 404].contains(&answer.status), "{suffix}: {}", answer.status);
    }
}

/// 3.8: netCDF-C sniffs the first bytes.
#[test]
fn s3_8_a_description_begins_with_its_declaration() {
    for name in ["V1_1.nc", "rich.nc"] {
        for suffix in [".dmr", ".dmr.xml"] {
            let body = good(&format!("/opendap/{name}{suffix}")).body;
            assert!(
                body.starts_with(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Dataset xmlns=\""),
                "{name}"
            );
        }
    }
}

#[test]
fn s1_2_parameters() {
    let whole = good("/opendap/V1_1.nc.dap").body;
    let only_u = good("/opendap/V1_1.nc.dap?dap4.ce=/u").body;
    for query in [
        "",
        "&",
        "&&",
        "dap4.ce=",
        "dap4.ce",
        "unknown=1",
        "unknown=1&unknown=2",
        "dap4.async=0",
        "DAP4.CE=/u",
    ] {
        assert!(good(&format!("/opendap/V1_1.nc.dap?{query}")).body == whole, "{query}");
    }
    for query in [
        "dap4.ce=/u&x=1",
        "x=1&dap4.ce=/u",
        "x=1;y&dap4.ce=%2Fu&",
        "dap4%2Ece=/u",
        "dap4.checksum=&dap4.ce=/u",
    ] {
        assert!(good(&format!("/opendap/V1_1.nc.dap?{query}")).body == only_u, "{query}");
    }
    // A `;` separates clauses, never pairs; an encoded `&` is part of a value.
    let both = Dmr::parse(good("/opendap/V1_1.nc.dmr?dap4.ce=/u;/v").text()).outline();
    assert_eq!(both, "u; v");
    for (query, status) in [
        ("dap4.ce=/u&dap4.ce=/u", 400),
        ("dap4.ce=&dap4.ce=/u", 400),
        ("dap4.checksum=true&dap4.checksum=true", 400),
        ("dap4.checksum=maybe", 400),
        ("dap4.async=-1", 400),
        ("dap4.ce=%ff", 400),
        ("dap4.ce=/u%26x=1", 400),
        // A raw `+` is a plus.
        ("dap4.ce=/u+", 400),
        ("dap4.function=mean(/u)", 501),
        ("dap4.func=mean(/u)", 501),
    ] {
        let answer = get(&format!("/opendap/V1_1.nc.dap?{query}"));
        assert_eq!(answer.status, status, "{query}");
        assert_eq!(
            xml::parse(answer.text()).attribute("httpcode"),
            Some(status.to_string().as_str()),
            "{query}"
        );
    }
}

#[test]
fn s1_3_accept_is_negotiated() {
    let html = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for (suffix, accept, media_type) in [
        (".dmr", "*/*", METADATA),
        (".dmr", "application/*", METADATA),
        (".dmr", METADATA, METADATA),
        (".dmr", "text/xml", "text/xml"),
        (".dmr", "text/html", "text/html"),
        (".dmr", "text/xml;q=0.3, application/vnd.opendap.dap4.dataset-metadata+xml;q=0.8", METADATA),
        (".dmr", "text/xml;q=0.5, application/vnd.opendap.dap4.dataset-metadata+xml;q=0.5", METADATA),
        (".dmr", "image/png, text/xml", "text/xml"),
        (".dmr.xml", html, "text/xml"),
        (".dap", "*/*", DATA),
        (".dap", "application/*", DATA),
        (".dap", DATA, DATA),
        ("", "*/*", SERVICES),
        ("", html, "text/html"),
        (".dap", "text/html", "406"),
        (".dap", "image/png", "406"),
        (".dmr", "image/png", "406"),
        (".dmr", "application/vnd.opendap.dap4.dataset-metadata+xml;q=0", "406"),
    ] {
        let answer = ask("GET", &format!("/opendap/V1_1.nc{suffix}"), &format!("Accept: {accept}\r\n"));
        if media_type == "406" {
            assert_eq!(answer.status, 406, "{suffix} {accept}");
            assert_eq!(xml::parse(answer.text()).attribute("httpcode"), Some("406"));
        } else {
            assert_eq!(answer.status, 200, "{suffix} {accept}");
            assert_eq!(
                answer.header("content-type").split(';').next(),
                Some(media_type),
                "{suffix} {accept}"
            );
            assert!(answer.all("vary").contains("Accept"), "{suffix}");
        }
    }
}

#[test]
fn s1_3_methods() {
    for method in ["POST", "PUT", "DELETE", "TRACE", "PATCH"] {
        let answer = ask(method, "/opendap/V1_1.nc.dmr", "Content-Length: 0\r\n");
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.header("allow").contains("GET"), "{method}");
    }
    assert_eq!(ask("OPTIONS", "/opendap/V1_1.nc.dmr", "").header("allow"), "GET, HEAD, OPTIONS");
}

/// The status of each failure (1.6) in the document that 1.7 shows.
#[test]
fn s1_6_and_1_7_errors() {
    for (target, status) in [
        ("/opendap/nowhere.nc.dmr", 404),
        ("/opendap/nowhere.nc.dap?dap4.ce=/u", 404),
        ("/opendap/V1_1.nc.dmr?dap4.ce=/nosuch", 400),
        ("/opendap/V1_1.nc.dap?dap4.ce=/nosuch", 400),
        ("/opendap/V1_1.nc.dmr?dap4.ce=%3Cb%3E%22%26", 400),
        ("/opendap/V1_1.nc.dap?dap4.function=f()", 501),
        ("/opendap/early.nc.dap", 500),
    ] {
        let answer = get(target);
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(
            answer.header("content-type"),
            "application/vnd.opendap.dap4.error+xml; charset=utf-8",
            "{target}"
        );
        assert_eq!(answer.header("cache-control"), "no-cache", "{target}");
        assert!(answer.header("etag").is_empty() && answer.header("last-modified").is_empty(), "{target}");
        assert_eq!((answer.header("xdap"), answer.header("x-dap")), ("4.0", "4.0"), "{target}");
        let error = xml::parse(answer.text());
        assert_eq!(
            error.attributes,
            [
                ("xmlns".to_owned(), "http://xml.opendap.org/ns/DAP/4.0#".to_owned()),
                ("httpcode".to_owned(), status.to_string()),
            ]
        );
        assert_eq!(error.tag, "Error");
        for child in &error.children {
            assert!(["Message", "Context", "OtherInformation"].contains(&child.tag.as_str()), "{target}");
            assert!(child.children.is_empty() && child.attributes.is_empty() && !child.text.is_empty());
        }
        assert!(error.all("Message").count() == 1, "{target}");
        assert!(!answer.text().contains("/tmp"), "{target}: no path of the server");
        if status == 500 {
            continue; // HEAD reads no data
        }
        let head = ask("HEAD", target, "");
        assert_eq!(
            (head.status, head.header("content-type")),
            (status, answer.header("content-type")),
            "{target}"
        );
    }
    // A file under a data name that holds no data.
    let refused: Vec<_> = files().iter().filter(|f| f.contains("refused")).collect();
    for name in refused {
        let answer = get(&format!("/opendap/{name}.dmr"));
        assert!(answer.status == 200 || xml::parse(answer.text()).tag == "Error", "{name}");
    }
}

#[test]
fn s1_8_the_services_of_a_dataset() {
    const NAMESPACE: &str = "http://xml.opendap.org/ns/DAP/4.0/dataset-services#";
    for suffix in ["", ".dsr", ".dsr.xml", ".xml"] {
        let root = xml::parse(good(&format!("/opendap/pair.nc{suffix}")).text());
        assert_eq!((root.tag.as_str(), root.attribute("xmlns")), ("DatasetServices", Some(NAMESPACE)));
        assert_eq!(root.attribute("xml:base"), Some("http://h/opendap/pair.nc"));
        let order: Vec<&str> = root.children.iter().map(|c| c.tag.as_str()).collect();
        let rank = |tag: &str| {
            ["DapVersion", "ServerSoftwareVersion", "Dataset", "Service"].iter().position(|t| *t == tag)
        };
        assert!(order.iter().map(|t| rank(t).unwrap()).is_sorted(), "{order:?}");
        assert!(root.all("DapVersion").any(|v| v.text == "4.0"));
        let mut roles = Vec::new();
        for service in root.all("Service") {
            roles.push(service.attribute("role").unwrap().to_owned());
            assert!(service.attribute("title").is_some());
            // Every link leads to what it says.
            for link in service.all("link") {
                let path = link.attribute("href").unwrap().strip_prefix("http://h").unwrap();
                let answer = good(path);
                assert_eq!(answer.header("content-type").split(';').next(), link.attribute("type"), "{path}");
            }
        }
        let expected = ["dataset-services", "dataset-metadata", "data"];
        assert_eq!(roles, expected.map(|r| format!("http://services.opendap.org/dap4/{r}")));
    }
}

/// One tree: the same bytes under every mount, but for the URL that the description states.
#[test]
fn s1_1_aliases_give_the_same_bytes() {
    for name in ["V1_7.nc", "rich.nc", "0/cdf1_types.nc"] {
        for suffix in [".dap", ".dap?dap4.checksum=true", ".dmr", ".dds", ".das", ".dods", ".ascii", ".xml"] {
            let first = good(&format!("/opendap/{name}{suffix}"));
            for mount in ["/dodsC", "/dap4", "/thredds/dodsC", "/thredds/dap4"] {
                let other = good(&format!("{mount}/{name}{suffix}"));
                assert_eq!(other.header("content-type"), first.header("content-type"));
                let own = format!("http://h{mount}/{name}");
                if suffix == ".dods" {
                    assert!(other.body == first.body, "{mount} {name}");
                } else if suffix.starts_with(".dap") {
                    let (first, rest) = (dap::chunks(&first.body).0, dap::chunks(&other.body).0);
                    assert!(first[1..] == rest[1..], "{mount} {name}{suffix}");
                } else {
                    let same = other.text().replace(&own, &format!("http://h/opendap/{name}"));
                    assert!(same == first.text(), "{mount} {name}{suffix}");
                }
            }
        }
    }
}
