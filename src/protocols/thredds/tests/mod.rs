//! Catalogs read back by a parser: services, links, pages, escapes.

mod schema;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use cdm::coordinates::summary::{Range, Summary, TimeCoverage, VariableSummary, Vertical};
use quick_xml::{Reader, events::Event};

use super::*;
use crate::catalog::DatasetName;

fn listing(folder: &str, folders: usize, datasets: usize) -> Listing {
    let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    Listing {
        folder: DatasetName::new(folder).unwrap(),
        folders: (0..folders).map(|i| format!("f{i:05}").into()).collect(),
        datasets: (0..datasets)
            .map(|i| Entry { name: format!("d{i:05}.nc").into(), size: Some(1234), modified, summary: None })
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
    schema::check(&text);
    let expect = [
        ("Compound", ""),
        ("OpenDAP", "/data/thredds/dodsC/"),
        ("DAP4", "/data/thredds/dap4/"),
        ("NCML", "/data/thredds/ncml/"),
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
    schema::check(&text);
    // Each has a path: siphon fails over one without, as the services of the catalog are everyone's.
    let paths = all.iter().filter(|e| e.0 == "dataset").map(|e| attribute(e, "urlPath"));
    assert_eq!(paths.skip(1).collect::<Vec<_>>(), ["d00000.nc", "d00001.nc"]);
    let inside = text.split("</service>").next().unwrap();
    assert!(inside.contains("OpenDAP") && inside.contains("DAP4") && !inside.contains("HTTPServer"));
    let services = all.iter().filter(|e| e.0 == "service").map(|e| attribute(e, "serviceType"));
    assert_eq!(services.collect::<Vec<_>>(), ["Compound", "OpenDAP", "DAP4", "NCML", "HTTPServer"]);
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

fn summary() -> Summary {
    let text = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    Summary {
        texts: vec![
            text("title", "Sea <surface> temperature"),
            text("summary", "Monthly means & more"),
            text("license", "https://creativecommons.org/licenses/by/4.0/"),
            text("history", "made\u{1}"),
            text("keywords", "ocean, temperature ;"),
            text("keywords_vocabulary", "GCMD"),
            text("creator_name", "A. Author"),
            text("creator_url", "https://example.org/a"),
            text("naming_authority", "org.example"),
            text("contributor_name", "B"),
            text("date_created", "2020-01-01"),
        ],
        variables: vec![VariableSummary {
            name: "sst".into(),
            long_name: Some("sea surface temperature".into()),
            standard_name: Some("sea_surface_temperature".into()),
            units: Some("K".into()),
            ..VariableSummary::default()
        }],
        time: Some(TimeCoverage {
            start: "2000-01-01T00:00:00Z".into(),
            end: "2000-12-01T00:00:00Z".into(),
            calendar: "standard".into(),
            resolution: Some("P1D".into()),
            count: 336,
        }),
        latitude: Some(Range { min: -89.9, max: 90.0, resolution: Some(0.1) }),
        longitude: Some(Range { min: 0.1, max: 359.9, resolution: None }),
        vertical: Some(Vertical {
            range: Range { min: 0.0, max: 5000.0, resolution: None },
            units: "m".into(),
            positive: Some("down".into()),
        }),
        bytes: 1,
    }
}

#[test]
fn what_is_known_of_a_dataset_is_in_the_catalog() {
    let mut listing = listing("", 0, 2);
    listing.datasets[0].summary = Some(Arc::new(summary()));
    let text = xml::write(&view(&listing, 1)).unwrap();
    schema::check(&text);
    for expect in [
        "<dataType>Grid</dataType>",
        "<dataFormat>NetCDF</dataFormat>",
        "<authority>org.example</authority>",
        "<property name=\"title\" value=\"Sea &lt;surface&gt; temperature\"/>",
        "<documentation type=\"summary\">Monthly means &amp; more</documentation>",
        "<documentation type=\"rights\" xlink:href=\"https://creativecommons.org/licenses/by/4.0/\"",
        "<documentation type=\"history\">made</documentation>",
        "<keyword vocabulary=\"GCMD\">temperature</keyword>",
        "<contact email=\"\" url=\"https://example.org/a\"/>",
        "<date type=\"created\">2020-01-01</date>",
        "<geospatialCoverage zpositive=\"down\">",
        "<start>-89.9</start>",
        "<size>179.9</size>",
        "<size>359.8</size>",
        "<resolution>0.1</resolution>",
        "<units>degrees_north</units>",
        "<end>2000-12-01T00:00:00Z</end>",
        "<resolution>P1D</resolution>",
        "<variable name=\"sst\" vocabulary_name=\"sea_surface_temperature\" units=\"K\">sea surface temperature</variable>",
    ] {
        assert!(text.contains(expect), "{expect} in {text}");
    }
    let alone = xml::write_one(&view(&listing, 1), &listing.datasets[0], "Latest").unwrap();
    schema::check(&alone);
    assert!(alone.contains("<dataset name=\"Latest\" ID=\"d00000.nc\" urlPath=\"d00000.nc\">"), "{alone}");
    assert!(alone.contains("<timeCoverage>") && !alone.contains("d00001"));
}

#[test]
fn times_of_calendars_with_days_of_their_own_are_not_dates() {
    let mut summary = summary();
    let mut time = summary.time.take().unwrap();
    time.calendar = "360_day".into();
    time.end = "2000-02-30T00:00:00Z".into();
    summary.time = Some(time);
    let mut listing = listing("", 0, 1);
    listing.datasets[0].summary = Some(Arc::new(summary));
    let text = xml::write(&view(&listing, 1)).unwrap();
    schema::check(&text);
    assert!(text.contains("value=\"360_day\"") && !text.contains("timeCoverage") && !text.contains("02-30"));
}

#[test]
fn long_catalogs_say_where_and_when_only() {
    let mut listing = listing("", 0, 101);
    for entry in &mut listing.datasets {
        entry.summary = Some(Arc::new(summary()));
    }
    let text = xml::write(&view(&listing, 1)).unwrap();
    schema::check(&text);
    assert!(text.contains("<timeCoverage>") && text.contains("Monthly means"));
    assert!(!text.contains("<variable ") && !text.contains("history"));
}
