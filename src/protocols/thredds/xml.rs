//! InvCatalog 1.0: services, the folder as a dataset, `catalogRef`s for what lies below.

use std::io;

use http::Uri;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use quick_xml::{
    Writer,
    events::{BytesDecl, Event},
    writer::ElementWriter,
};

use super::{
    View,
    metadata::{self, Detail, simple},
};
use crate::{
    catalog::{DatasetName, Entry},
    protocols::text,
};

/// Clients join service base and `urlPath` as they are; only what would end or break a URL is encoded.
const URL_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// One service: its name here, its type, and where it is mounted. Each dataset has the same `urlPath`
/// under each of them.
type Service = (&'static str, &'static str, &'static str);

/// What every dataset has.
const SERVICES: [Service; 3] = [
    ("dap2", "OpenDAP", "/thredds/dodsC/"),
    ("dap4", "DAP4", "/thredds/dap4/"),
    ("ncml", "NCML", "/thredds/ncml/"),
];

/// What a dataset has that is one file.
const DOWNLOAD: Service = ("http", "HTTPServer", "/files/");

pub(super) type Xml = Writer<Vec<u8>>;

/// Datasets in one catalog that everything is said of.
pub(super) const FEW: usize = 100;

/// The catalog of a folder.
pub(super) fn write(view: &View<'_>) -> io::Result<String> {
    document(view.name(), |xml| {
        services(xml, view, has_folders(view.datasets()))?;
        folder(xml, view)
    })
}

/// A catalog of one dataset of the folder, which is shown as `name`.
pub(super) fn write_one(view: &View<'_>, entry: &Entry, name: &str) -> io::Result<String> {
    document(name, |xml| {
        services(xml, view, entry.size.is_none())?;
        let is_folder = entry.size.is_none();
        dataset(
            xml,
            view,
            entry,
            &Shown { name, service: Some("all"), is_mixed: is_folder, detail: Detail::Full },
        )
    })
}

pub(super) fn document(name: &str, content: impl FnOnce(&mut Xml) -> io::Result<()>) -> io::Result<String> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("catalog")
        .with_attribute(("xmlns", "http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0"))
        .with_attribute(("xmlns:xlink", "http://www.w3.org/1999/xlink"))
        .with_attribute(("name", name))
        .with_attribute(("version", "1.0.2"))
        .write_inner_content(content)?;
    String::from_utf8(xml.into_inner()).map_err(io::Error::other)
}

/// The prefix that a proxy adds, which is part of a service's base: clients take that as a path of the host.
pub(super) fn prefix_of(origin: &str) -> String {
    origin.parse::<Uri>().map(|uri| uri.path().trim_end_matches('/').to_owned()).unwrap_or_default()
}

/// An element with these attributes.
pub(super) fn open<'w>(
    xml: &'w mut Xml,
    name: &'w str,
    attributes: &[(&str, &str)],
) -> ElementWriter<'w, Vec<u8>> {
    xml.create_element(name).with_attributes(attributes.iter().copied())
}

/// An element with text alone.
pub(super) fn element_of(xml: &mut Xml, name: &str, text: &str) -> io::Result<()> {
    simple(xml, name, &[], text)
}

/// A dataset's name as `urlPath`.
pub(super) fn url_path(name: &DatasetName) -> String {
    utf8_percent_encode(name.as_str(), URL_PATH).to_string()
}

/// `mixed`: a download is not among the services of every dataset.
pub(super) fn services(xml: &mut Xml, view: &View<'_>, mixed: bool) -> io::Result<()> {
    let prefix = prefix_of(view.origin);
    let one = |xml: &mut Xml, (name, kind, base): Service| {
        let base = format!("{prefix}{base}");
        xml.create_element("service")
            .with_attributes([("name", name), ("serviceType", kind), ("base", &base)])
            .write_empty()?;
        Ok::<_, io::Error>(())
    };
    xml.create_element("service")
        .with_attributes([("name", "all"), ("serviceType", "Compound"), ("base", "")])
        .write_inner_content(|xml| {
            SERVICES.into_iter().try_for_each(|service| one(xml, service))?;
            if mixed { Ok(()) } else { one(xml, DOWNLOAD) }
        })?;
    if mixed { one(xml, DOWNLOAD) } else { Ok(()) }
}

/// Whether a dataset here is a folder. Clients (siphon) apply one service to all of a catalog's datasets, so
/// that it can then be no download; files say for themselves that they have one.
fn has_folders(datasets: &[Entry]) -> bool {
    datasets.iter().any(|entry| entry.size.is_none())
}

fn folder(xml: &mut Xml, view: &View<'_>) -> io::Result<()> {
    let id = view.listing.folder.as_str();
    let mut element = xml.create_element("dataset").with_attribute(("name", view.name()));
    if !id.is_empty() {
        element = element.with_attribute(("ID", id));
    }
    element.write_inner_content(|xml| {
        xml.create_element("metadata")
            .with_attribute(("inherited", "true"))
            .write_inner_content(|xml| simple(xml, "serviceName", &[], "all"))?;
        for name in view.folders() {
            let below = view.listing.folder.join(name);
            reference(xml, &format!("{}catalog.xml", view.folder_url(&below)), name, below.as_str())?;
        }
        let detail = if view.datasets().len() > FEW { Detail::Short } else { Detail::Full };
        let is_mixed = has_folders(view.datasets());
        for entry in view.datasets() {
            dataset(xml, view, entry, &Shown { name: &entry.name, service: None, is_mixed, detail })?;
        }
        if view.page < view.page_count() {
            let next = view.page + 1;
            let href = format!("{}catalog.xml?page={next}", view.folder_url(&view.listing.folder));
            reference(xml, &href, "next", &format!("{id}?page={next}"))?;
        }
        Ok(())
    })?;
    Ok(())
}

pub(super) fn reference(xml: &mut Xml, href: &str, title: &str, id: &str) -> io::Result<()> {
    xml.create_element("catalogRef")
        .with_attributes([("xlink:href", href), ("xlink:title", title), ("ID", id), ("name", "")])
        .write_empty()?;
    Ok(())
}

/// How a dataset is shown.
struct Shown<'a> {
    name: &'a str,
    /// Its services, where they are not inherited.
    service: Option<&'a str>,
    /// Some datasets are folders, and files say for themselves that they can be downloaded.
    is_mixed: bool,
    detail: Detail,
}

/// InvCatalog's order: what is said of a dataset in any order, then `access`.
fn dataset(xml: &mut Xml, view: &View<'_>, entry: &Entry, shown: &Shown<'_>) -> io::Result<()> {
    let name = view.listing.folder.join(&entry.name);
    let url_path = url_path(&name);
    let element = xml.create_element("dataset").with_attributes([
        ("name", shown.name),
        ("ID", name.as_str()),
        ("urlPath", url_path.as_str()),
    ]);
    element.write_inner_content(|xml| {
        if let Some(service) = shown.service {
            // Clients (siphon) look for it in here only.
            xml.create_element("metadata")
                .with_attribute(("inherited", "true"))
                .write_inner_content(|xml| simple(xml, "serviceName", &[], service))?;
        }
        if let Some(format) = data_format(&entry.name) {
            simple(xml, "dataFormat", &[], format)?;
        }
        if let Some(size) = entry.size {
            simple(xml, "dataSize", &[("units", "bytes")], &size.to_string())?;
        }
        let modified = text::iso(entry.modified);
        if !modified.is_empty() {
            simple(xml, "date", &[("type", "modified")], &modified)?;
        }
        if let Some(summary) = &entry.summary {
            metadata::write(xml, summary, shown.detail)?;
        }
        if shown.is_mixed && entry.size.is_some() {
            xml.create_element("access")
                .with_attributes([("serviceName", DOWNLOAD.0), ("urlPath", &url_path)])
                .write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

/// The format that a name's ending promises, by InvCatalog's names where it has one.
fn data_format(name: &str) -> Option<&'static str> {
    const FORMATS: [(&[&str], &str); 6] = [
        (&[".nc", ".nc3", ".cdf", ".cdf5", ".nc5", ".netcdf", ".ncf"], "NetCDF"),
        (&[".nc4"], "NetCDF-4"),
        (&[".h5", ".hdf5", ".he5"], "HDF5"),
        (&[".tif", ".tiff", ".gtiff", ".geotiff"], "GeoTIFF"),
        (&[".ncml"], "NcML"),
        (&[".zarr", ".zarr.zip"], "Zarr"),
    ];
    let name = name.to_ascii_lowercase();
    let found = FORMATS.iter().find(|(suffixes, _)| suffixes.iter().any(|suffix| name.ends_with(suffix)));
    found.map(|(_, format)| *format)
}
