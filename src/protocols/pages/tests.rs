//! Pages: links, paging, search, order, escapes.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use cdm::coordinates::summary::{Summary, TimeCoverage, VariableSummary};
use futures::{StreamExt, executor::block_on};

use super::*;
use crate::catalog::{DatasetName, Entry};

const SITE: Site<'_> = Site { top: "../../", origin: "https://h/data", title: "T & <T>" };

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

fn text(reply: Reply) -> String {
    let bytes: Vec<_> = block_on(reply.body.collect());
    String::from_utf8(bytes.into_iter().flat_map(|b| b.unwrap()).collect()).unwrap()
}

fn page_of(listing: &Listing, query: &str) -> String {
    text(folder(listing, Some(query), Form::Html, SITE).unwrap())
}

fn json_of(listing: &Listing, query: &str) -> serde_json::Value {
    serde_json::from_str(&text(folder(listing, Some(query), Form::Json, SITE).unwrap())).unwrap()
}

fn names(listing: &Listing, query: &str) -> Vec<String> {
    let page = json_of(listing, query);
    let all = |key: &str| page[key].as_array().unwrap().clone();
    all("folders")
        .into_iter()
        .chain(all("datasets"))
        .map(|e| e["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn names_are_escaped() {
    let mut listing = listing("a", 0, 1);
    listing.datasets[0].name = "<script>alert(\"1\")&'.nc".into();
    for query in ["", "q=%3Cscript%3E"] {
        let page = page_of(&listing, query);
        assert!(!page.contains("<script") && !page.contains("<T>"), "{page}");
        assert!(page.contains("&#60;script&#62;"));
    }
}

#[test]
fn a_folder_links_folders_datasets_files_and_pages() {
    let listing = listing("a", 1, 1001);
    let page = page_of(&listing, "");
    for expect in [
        "href=\"../../catalog/a/f00000/\"",
        "href=\"../../opendap/a/d00000.nc.html\"",
        "href=\"../../files/a/d00000.nc\"",
        "rel=\"next\" href=\"../../catalog/a/?page=2\"",
        "page 1 of 2",
    ] {
        assert!(page.contains(expect), "{expect}");
    }
    assert!(!page_of(&listing, "page=2").contains("rel=\"next\""));
    assert!(folder(&listing, Some("page=3"), Form::Html, SITE).is_err());
    for wrong in ["page=0", "sort=colour", "order=up"] {
        assert!(folder(&listing, Some(wrong), Form::Html, SITE).is_err(), "{wrong}");
    }
}

#[test]
fn all_pages_together_are_the_folder() {
    let listing = listing("a", 999, 1502);
    let mut all: Vec<String> = (1..=3).flat_map(|p| names(&listing, &format!("page={p}"))).collect();
    assert_eq!(all.len(), 999 + 1502);
    all.dedup();
    assert_eq!(all.len(), 999 + 1502);
    let page = json_of(&listing, "page=2&q=0");
    assert_eq!((&page["pages"], &page["count"]), (&3.into(), &2501.into()));
    assert_eq!(page["next"], "https://h/data/catalog/a/catalog.json?q=0&page=3");
    // Whatever the order, each is on one page.
    let mut others: Vec<String> =
        (1..=3).flat_map(|p| names(&listing, &format!("page={p}&order=desc"))).collect();
    others.sort();
    all.sort();
    assert_eq!(others, all);
}

#[test]
fn folders_are_searched_and_sorted() {
    let mut listing = listing("", 2, 3);
    let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    for (entry, (size, modified)) in
        listing.datasets.iter_mut().zip([(Some(5), at(2)), (None, at(3)), (Some(1), None)])
    {
        (entry.size, entry.modified) = (size, modified);
    }
    let check = |query: &str, expect: &str| assert_eq!(names(&listing, query).join(" "), expect, "{query}");
    check("", "f00000 f00001 d00000.nc d00001.nc d00002.nc");
    check("order=desc", "f00001 f00000 d00002.nc d00001.nc d00000.nc");
    check("sort=size", "f00000 f00001 d00001.nc d00002.nc d00000.nc");
    check("sort=size&order=desc", "f00000 f00001 d00000.nc d00002.nc d00001.nc");
    check("sort=time&order=desc", "f00000 f00001 d00001.nc d00000.nc d00002.nc");
    check("q=D0000+2", "d00002.nc");
    check("q=1", "f00001 d00001.nc");
    check("q=nowhere", "");
    let page = page_of(&listing, "q=d0&sort=size&order=desc");
    assert!(page.contains("aria-sort=\"descending\"") && page.contains("value=\"d0\""));
    assert!(page.contains("3 entries found for \u{201c}d0\u{201d}"), "{page}");
}

#[test]
fn what_is_known_of_a_dataset_is_searched_and_shown() {
    let mut listing = listing("a", 0, 2);
    let time = TimeCoverage {
        start: "2000-01-01T00:00:00Z".to_owned(),
        end: "2000-12-31T00:00:00Z".to_owned(),
        calendar: "standard".to_owned(),
        resolution: None,
        count: 366,
    };
    let variable = VariableSummary {
        name: "tos".to_owned(),
        long_name: Some("Sea Surface".to_owned()),
        ..Default::default()
    };
    listing.datasets[1].summary = Some(Arc::new(Summary {
        texts: vec![("title".to_owned(), "Daily <means>".to_owned())],
        variables: vec![variable],
        time: Some(time),
        ..Summary::default()
    }));
    for query in ["q=daily", "q=TOS", "q=sea+daily", "q=surface"] {
        assert_eq!(names(&listing, query), ["d00001.nc"], "{query}");
    }
    let page = page_of(&listing, "");
    for expect in ["Time covered", "2000-01-01 to 2000-12-31", "Daily &#60;means&#62;"] {
        assert!(page.contains(expect), "{expect} in {page}");
    }
    let summary = &json_of(&listing, "q=tos")["datasets"][0]["summary"];
    assert_eq!((&summary["time"]["count"], &summary["variables"][0]["name"]), (&366.into(), &"tos".into()));
}

#[test]
fn the_top_describes_the_site() {
    let page = page_of(&listing("", 0, 1), "");
    let (_, rest) = page.split_once("<script type=\"application/ld+json\">").unwrap();
    let block: serde_json::Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    assert_eq!((&block["@type"], &block["name"]), (&"DataCatalog".into(), &"T & <T>".into()));
}

#[test]
fn replies_differ_by_form() {
    let listing = listing("", 0, 1);
    let of = |form| folder(&listing, None, form, SITE).unwrap();
    assert_ne!(of(Form::Html).identity, of(Form::Json).identity);
    assert_eq!(of(Form::Json).headers["content-type"], "application/json");
    assert_eq!(of(Form::Html).headers["vary"], "Accept");
}

#[test]
fn sitemaps_have_at_most_as_many_addresses_as_crawlers_take() {
    let origin = "https://h/d&d";
    let map = |page, folders: usize| {
        let mut map = Sitemap::new(origin, page);
        for i in 0..folders {
            map.add(&listing(&format!("f{i}"), 0, 999));
        }
        map.reply().map(text)
    };
    let small = map(None, 2).unwrap();
    assert_eq!(small.matches("<url>").count(), 2000);
    assert!(
        small.contains("<loc>https://h/d&amp;d/opendap/f1/d00998.nc.html</loc><lastmod>2001-09-09T01:46:40Z")
    );
    let index = map(None, 51).unwrap();
    assert!(index.contains("<sitemapindex") && index.contains("/sitemap.xml?page=2<"));
    assert_eq!(index.matches("<sitemap>").count(), 2);
    let counts = [1, 2].map(|page| map(Some(page), 51).unwrap().matches("<url>").count());
    assert_eq!(counts, [MOST_ADDRESSES, 1000]);
    assert!(map(Some(3), 51).is_none());
    assert!(text(robots(origin)).ends_with("\nSitemap: https://h/d&d/sitemap.xml\n"));
}
