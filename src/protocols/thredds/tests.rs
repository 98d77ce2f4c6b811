//! Catalogs read back by a parser: services, links, pages, escapes.

use std::time::{Duration, SystemTime};

use quick_xml::{Reader, events::Event};

use super::*;
use crate::catalog::{DatasetName, Entry};

fn listing(folder: &str, folders: usize, datasets: usize) -> Listing {
    let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    Listing {
        folder: DatasetName::new(folder).unwrap(),
        folders: (0..folders).map(|i| format!("f{i:05}").into()).collect(),
        datasets: (0..datasets)
            .map(|i| Entry { name: format!("d{i:05}.nc").into(), size: Some(1234), modified })
            .collect(),
    }
}

fn view(listing: &Listing, page: usize) -> View<'_> {
    View { listing, page, top: "../../", origin: "https://h/data", title: "T & <T>" }
}

/// Every element's name with its attributes, by a parser.
fn elements(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut reader = Reader::from_str(text);
    let mut found = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return found,
            Event::Start(e) | Event::Empty(e) => {
                let attributes = e.attributes().map(|a| {
                    let a = a.unwrap();
                    (a.key.as_ref().to_owned(), quick_xml::escape::unescape(&a.value).unwrap().into_owned())
                });
                found.push((e.name().as_ref().to_owned(), attributes.collect()));
            }
            _ => {}
        }
    }
}

fn attribute(element: &(String, Vec<(String, String)>), name: &str) -> String {
    element.1.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default()
}

#[test]
fn a_catalog_names_services_folders_and_datasets() {
    let listing = listing("a b/c", 1, 1);
    let text = xml::write(&view(&listing, 1)).unwrap();
    let all = elements(&text);
    let services: Vec<_> = all
        .iter()
        .filter(|e| e.0 == "service")
        .map(|e| (attribute(e, "serviceType"), attribute(e, "base")))
        .collect();
    let expect = [
        ("Compound", ""),
        ("OpenDAP", "/data/thredds/dodsC/"),
        ("DAP4", "/data/thredds/dap4/"),
        ("HTTPServer", "/data/files/"),
    ];
    assert_eq!(services, expect.map(|(a, b)| (a.to_owned(), b.to_owned())));
    let reference = all.iter().find(|e| e.0 == "catalogRef").unwrap();
    assert_eq!(attribute(reference, "xlink:href"), "../../catalog/a%20b/c/f00000/catalog.xml");
    let dataset = all.iter().find(|e| !attribute(e, "urlPath").is_empty()).unwrap();
    assert_eq!(attribute(dataset, "urlPath"), "a%20b/c/d00000.nc");
    assert_eq!(attribute(dataset, "ID"), "a b/c/d00000.nc");
    assert!(text.contains("<date type=\"modified\">2001-09-09T01:46:40Z</date>"));
    assert!(text.contains("<dataSize units=\"bytes\">1234</dataSize>"));
}

#[test]
fn folders_that_are_datasets_have_no_download() {
    let mut listing = listing("", 0, 2);
    listing.datasets[0].size = None;
    let text = xml::write(&view(&listing, 1)).unwrap();
    let all = elements(&text);
    // Each has a path: siphon fails over one without, as the services of the catalog are everyone's.
    let paths = all.iter().filter(|e| e.0 == "dataset").map(|e| attribute(e, "urlPath"));
    assert_eq!(paths.skip(1).collect::<Vec<_>>(), ["d00000.nc", "d00001.nc"]);
    let inside = text.split("</service>").next().unwrap();
    assert!(inside.contains("OpenDAP") && inside.contains("DAP4") && !inside.contains("HTTPServer"));
    let services = all.iter().filter(|e| e.0 == "service").map(|e| attribute(e, "serviceType"));
    assert_eq!(services.collect::<Vec<_>>(), ["Compound", "OpenDAP", "DAP4", "HTTPServer"]);
    let access: Vec<_> = all.iter().filter(|e| e.0 == "access").collect();
    assert_eq!(access.len(), 1);
    assert_eq!(attribute(access[0], "urlPath"), "d00001.nc");
    assert_eq!(attribute(access[0], "serviceName"), "http");
}

#[test]
fn long_folders_are_paged_and_nothing_is_lost() {
    let listing = listing("", 999, 1502);
    let mut seen = Vec::new();
    for page in 1..=3 {
        let text = xml::write(&view(&listing, page)).unwrap();
        let all = elements(&text);
        seen.extend(
            all.iter()
                .filter(|e| e.0 == "dataset")
                .map(|e| attribute(e, "urlPath"))
                .filter(|u| !u.is_empty()),
        );
        let refs: Vec<_> = all.iter().filter(|e| e.0 == "catalogRef").collect();
        seen.extend(refs.iter().map(|e| attribute(e, "xlink:title")).filter(|t| t != "next"));
        let next =
            refs.iter().find(|e| attribute(e, "xlink:title") == "next").map(|e| attribute(e, "xlink:href"));
        assert_eq!(next, (page < 3).then(|| format!("../../catalog/catalog.xml?page={}", page + 1)));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 999 + 1502);
}

#[test]
fn names_are_escaped() {
    let mut listing = listing("", 0, 1);
    listing.datasets[0].name = "<script>alert(\"1\")&'.nc".into();
    let text = xml::write(&view(&listing, 1)).unwrap();
    let all = elements(&text);
    assert_eq!(attribute(&all[0], "name"), "T & <T>");
    assert!(all.iter().any(|e| attribute(e, "name") == "<script>alert(\"1\")&'.nc"));
}
