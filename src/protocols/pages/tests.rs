//! Pages: links, paging, escapes.

use std::time::{Duration, SystemTime};

use cdm::{Attribute, DataType, Dimension, FullName, Group, Variable};

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

fn page_of(listing: &Listing, page: usize) -> String {
    super::folder::write(&View { listing, page, site: SITE }).unwrap()
}

#[test]
fn names_are_escaped() {
    let mut listing = listing("", 0, 1);
    listing.datasets[0].name = "<script>alert(\"1\")&'.nc".into();
    let page = page_of(&listing, 1);
    assert!(!page.contains("<script") && !page.contains("<T>"), "{page}");
    assert!(page.contains("&#60;script&#62;"));
}

#[test]
fn a_folder_links_folders_datasets_files_and_pages() {
    let listing = listing("a", 1, 1001);
    let page = page_of(&listing, 1);
    for expect in [
        "href=\"../../catalog/a/f00000/\"",
        "href=\"../../opendap/a/d00000.nc.html\"",
        "href=\"https://h/data/opendap/a/d00000.nc\"",
        "href=\"../../files/a/d00000.nc\"",
        "rel=\"next\" href=\"../../catalog/a/catalog.html?page=2\"",
        "Page 1 of 2",
    ] {
        assert!(page.contains(expect), "{expect}");
    }
    assert!(!page_of(&listing, 2).contains("rel=\"next\""));
}

#[test]
fn the_page_of_a_dataset_escapes_and_links() {
    let mut root = Group::new(FullName::root());
    let mut variable = Variable::new("a.b", DataType::Int16, vec![Dimension::anonymous(3)]);
    variable.attributes.set(Attribute::text("note", "<script>a<b</script>"));
    root.variables.push(variable);
    let dataset = Dataset::new("t.nc", root).unwrap();
    let spelling = Spelling { dap4_path: |name| name.replace('.', "%5C%2E"), example: Some("http://h/e") };
    let page = super::dataset::page(&dataset, "http://h/opendap/t.nc", SITE, spelling).unwrap();
    assert!(!page.contains("<script") && !page.contains("a<b"), "{page}");
    for part in [
        "xarray.open_dataset(\"http://h/opendap/t.nc#dap4\", engine=\"netcdf4\")",
        "href=\"../../-/style.css\"",
        "ncdump -h \"http://h/opendap/t.nc#dap4\"",
        "curl -o part.dap \"http://h/e\"",
        "t.nc.dap?dap4.ce=/a%5C%2Eb",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
}
