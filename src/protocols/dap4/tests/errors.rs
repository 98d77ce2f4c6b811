//! Status, headers and text of what is refused.

use std::sync::Arc;

use cdm::{BlockStream, DataType, Dataset, FullName, Group, Selection, Source, Variable, Version};
use http::{HeaderMap, StatusCode, header};

use super::{
    super::{Response, SUFFIXES, error, wanted},
    ask, datasets, text,
};
use crate::protocols::{Largest, Request};

#[track_caller]
fn refused(query: &str, status: u16, message: &str) {
    let reply = ask(&datasets::named("A4"), Response::Dap, query, "");
    assert_eq!(reply.status.as_u16(), status, "{query}");
    assert_eq!(reply.headers[header::CONTENT_TYPE], "application/vnd.opendap.dap4.error+xml; charset=utf-8");
    assert_eq!(reply.headers["xdap"], "4.0");
    assert!(reply.identity.is_none());
    let document = text(reply);
    assert!(document.contains(&format!("httpcode=\"{status}\"")), "{document}");
    assert!(document.contains("<OtherInformation>request req-1</OtherInformation>"), "{document}");
    assert!(document.contains(message), "{document}");
}

#[test]
fn client_faults_are_400_with_place_and_advice() {
    refused(
        "dap4.ce=/a[0:9][]",
        400,
        "dimension row has 3 elements (0 to 2); you asked [0:1:9] at character 3 of the constraint. Try a[0:1:2].",
    );
    refused(
        "dap4.ce=/rwo=[0];a",
        400,
        "there is no shared dimension rwo at character 2 of the constraint. Did you mean /row?",
    );
    refused("dap4.ce=/A", 400, "Did you mean /a?");
    refused("dap4.ce=/x&dap4.ce=/y", 400, "twice");
    refused("dap4.ce=/x[0:1", 400, "expected ']', ':' or ',' but found end at character 7");
    refused("dap4.function=mean(a)", 501, "mean");
}

/// Vector 48: what the client sent never comes back as markup.
#[test]
fn vector_48_input_is_escaped() {
    for query in [
        "dap4.ce=d1rox%3Cscript%3Ealert(1)%3C/script%3E=1",
        "dap4.function=%3Cscript%3E",
        "dap4.ce=/%3Cb%3E",
        "dap4.ce=/\"<script>\"",
    ] {
        let reply = ask(&datasets::named("A4"), Response::Dap, query, "");
        assert!(reply.status.is_client_error() || reply.status == StatusCode::NOT_IMPLEMENTED, "{query}");
        let document = text(reply);
        assert!(!document.contains("<script") && !document.contains("<b>"), "{document}");
    }
}

#[test]
fn defects_of_ours_are_not_told() {
    let headers = HeaderMap::new();
    let request = Request {
        dataset: "t.nc",
        base_url: "http://h/t.nc",
        query: None,
        headers: &headers,
        id: "req-9",
        largest: Largest::default(),
    };
    let document = text(error(&cdm::Error::internal("secret /path"), &request));
    assert!(!document.contains("secret") && document.contains("req-9"), "{document}");
    let reply = error(&cdm::Error::not_found("there is no dataset x<y"), &request);
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert!(text(reply).contains("x&lt;y"));
}

#[test]
fn what_is_not_acceptable_is_406() {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, "text/html".parse().unwrap());
    let request = Request {
        dataset: "t.nc",
        base_url: "http://h/t.nc",
        query: None,
        headers: &headers,
        id: "r",
        largest: Largest::default(),
    };
    let reply = wanted(Response::Dap, &request).unwrap_err();
    assert_eq!(reply.status, StatusCode::NOT_ACCEPTABLE);
}

/// Claims a tebibyte, and must never be read.
#[derive(Debug)]
struct Huge(Dataset);

impl Source for Huge {
    fn dataset(&self) -> &Dataset {
        &self.0
    }
    fn version(&self) -> Option<&Version> {
        None
    }
    fn read(&self, _: &FullName, _: &Selection) -> BlockStream {
        unreachable!("refused before anything is read")
    }
}

#[test]
fn too_much_is_413_with_a_request_that_works() {
    let mut root = Group::new(FullName::root());
    root.variables.push(Variable::new("big", DataType::Float32, datasets::anonymous(&[1 << 20, 512, 512])));
    let source: Arc<dyn Source> = Arc::new(Huge(Dataset::new("t.nc", root).unwrap()));
    let reply = ask(&source, Response::Dap, "", "");
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    let document = text(reply);
    assert!(document.contains("1099511627776 bytes; the limit is 274877906944 bytes"), "{document}");
    let example = "http://localhost/opendap/t.nc.dap?dap4.ce=/big%5B0:131071%5D%5B%5D%5B%5D";
    assert!(document.contains(example), "{document}");
    let (_, query) = example.split_once('?').unwrap();
    assert_eq!(ask(&source, Response::Dap, query, "").status, StatusCode::OK);
    assert_eq!(ask(&source, Response::Dmr, "", "").status, StatusCode::OK);
}

#[test]
fn headers_say_what_a_reply_is() {
    for (response, media_type) in [
        (Response::Dsr, "application/vnd.opendap.dap4.dataset-services+xml; charset=utf-8"),
        (Response::DsrXml, "text/xml; charset=utf-8"),
        (Response::Dmr, "application/vnd.opendap.dap4.dataset-metadata+xml; charset=utf-8"),
        (Response::DmrXml, "text/xml; charset=utf-8"),
        (Response::Dap, "application/vnd.opendap.dap4.data"),
    ] {
        let reply = ask(&datasets::named("A4"), response, "", "");
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.headers[header::CONTENT_TYPE], media_type);
        assert!(reply.identity.is_some());
        for name in [
            "xdap",
            "x-dap",
            "xdods-server",
            "xopendap-server",
            "x-dap-server",
            "content-description",
            "vary",
        ] {
            assert!(reply.headers.contains_key(name), "{name}");
        }
        assert_eq!(reply.headers.contains_key(header::CONTENT_DISPOSITION), response == Response::Dap);
    }
}

#[test]
fn identities_differ_exactly_when_bodies_may() {
    let source = datasets::named("A4");
    let identity = |query: &str, agent: &str| ask(&source, Response::Dap, query, agent).identity.unwrap();
    assert_eq!(identity("dap4.ce=/a;/b", ""), identity("dap4.ce=b;a[0:2][]", ""));
    assert_ne!(identity("dap4.ce=/a", ""), identity("dap4.ce=/b", ""));
    assert_ne!(identity("dap4.ce=/a", ""), identity("dap4.ce=/row=[0:1];/a", ""));
    assert_ne!(identity("dap4.ce=/row=[0:1];/a", ""), identity("dap4.ce=/a[0:1][]", ""));
    assert_ne!(identity("dap4.checksum=true", ""), identity("", ""));
    assert_ne!(identity("", "netCDF4.10.1"), identity("", ""));
}

#[test]
fn no_suffix_hides_a_longer_one() {
    for (i, (suffix, _)) in SUFFIXES.iter().enumerate() {
        for (later, _) in &SUFFIXES[i + 1..] {
            assert!(!later.ends_with(suffix), "{later} is never reached");
        }
    }
}
