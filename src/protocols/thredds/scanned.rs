//! The catalog of a folder that a `datasetScan` lists: its names, order, services and metadata as configured.

use std::io;

use super::{
    View, configured,
    metadata::{self, Detail},
    xml::{FEW, Xml, document, element_of, open, prefix_of, reference, services, url_path},
};
use crate::{
    catalog::{
        Entry,
        tds::{Newest, Node, Scan, VIRTUAL},
    },
    protocols::text,
};

/// The catalog of the folder at `path` in what is scanned.
pub(super) fn write(view: &View<'_>, scan: &Scan, path: &str) -> io::Result<String> {
    let is_top = path.is_empty();
    let name = if is_top { scan.name.as_str() } else { view.listing.folder.file_name() };
    let prefix = prefix_of(view.origin);
    let newest: Vec<&Newest> = if view.page == 1 && !view.listing.datasets.is_empty() {
        scan.newest.iter().collect()
    } else {
        Vec::new()
    };
    let has_folders = view.datasets().iter().any(|entry| entry.size.is_none());
    let is_own = scan.services.is_empty();
    document(name, |xml| {
        if is_own {
            services(xml, view, false)?;
        }
        scan.services.iter().try_for_each(|service| configured::node(xml, service, &prefix))?;
        if has_folders {
            configured::node(xml, &configured::virtual_service(), &prefix)?;
        }
        let mut resolvers: Vec<&str> = Vec::new();
        for newest in &newest {
            let is_there = |n: &Node| n.attribute("name") == Some(newest.service.as_str());
            if !resolvers.contains(&newest.service.as_str()) && !scan.services.iter().any(is_there) {
                resolvers.push(&newest.service);
            }
        }
        for name in resolvers {
            let service =
                Node::new("service").with("name", name).with("serviceType", "Resolver").with("base", "");
            configured::node(xml, &service, &prefix)?;
        }
        let id = identity(scan, path);
        open(xml, "dataset", &[("name", name), ("ID", &id)]).write_inner_content(|xml| {
            let mut inherited = Node::new("metadata").with("inherited", "true");
            inherited.children.clone_from(&scan.inherited);
            configured::node(xml, &inherited, &prefix)?;
            if is_top {
                let own = scan.own.iter().filter(|n| n.name != "metadata" || !n.children.is_empty());
                own.into_iter().try_for_each(|said| configured::node(xml, said, &prefix))?;
            }
            for newest in newest.iter().filter(|n| n.is_first) {
                latest(xml, newest, &id)?;
            }
            for folder in view.folders() {
                let below = view.listing.folder.join(folder);
                let href = format!("{}catalog.xml", view.folder_url(&below));
                reference(xml, &href, folder, &format!("{id}/{folder}"))?;
            }
            let detail = if view.datasets().len() > FEW { Detail::Short } else { Detail::Full };
            for entry in view.datasets() {
                dataset(xml, view, scan, entry, (&id, detail))?;
            }
            for newest in newest.iter().filter(|n| !n.is_first) {
                latest(xml, newest, &id)?;
            }
            if view.page < view.page_count() {
                let next = view.page + 1;
                let href = format!("{}catalog.xml?page={next}", view.folder_url(&view.listing.folder));
                reference(xml, &href, "next", &format!("{id}?page={next}"))?;
            }
            Ok(())
        })?;
        Ok(())
    })
}

/// The ID of what is at `path` in what is scanned.
fn identity(scan: &Scan, path: &str) -> String {
    if path.is_empty() { scan.id.clone() } else { format!("{}/{path}", scan.id) }
}

fn latest(xml: &mut Xml, newest: &Newest, id: &str) -> io::Result<()> {
    let name = newest.name.as_str();
    let id = format!("{id}/{name}");
    open(xml, "dataset", &[("name", name), ("ID", &id), ("urlPath", name)])
        .write_inner_content(|xml| element_of(xml, "serviceName", &newest.service))?;
    Ok(())
}

fn dataset(
    xml: &mut Xml,
    view: &View<'_>,
    scan: &Scan,
    entry: &Entry,
    (folder_id, detail): (&str, Detail),
) -> io::Result<()> {
    let name = view.listing.folder.join(&entry.name);
    let id = format!("{folder_id}/{}", entry.name);
    let shown = scan.shown_name(&entry.name);
    let url_path = url_path(&name);
    open(xml, "dataset", &[("name", &shown), ("ID", &id), ("urlPath", &url_path)]).write_inner_content(
        |xml| {
            if entry.size.is_none() {
                element_of(xml, "serviceName", VIRTUAL)?;
            }
            if let Some(size) = entry.size.filter(|_| scan.has_sizes) {
                metadata::simple(xml, "dataSize", &[("units", "bytes")], &size.to_string())?;
            }
            let modified = text::iso(entry.modified);
            if !modified.is_empty() {
                metadata::simple(xml, "date", &[("type", "modified")], &modified)?;
            }
            let time = scan.time_of(&entry.name);
            if let Some(time) = &time {
                configured::node(xml, time, "")?;
            }
            if let Some(summary) = &entry.summary {
                let mut summary = (**summary).clone();
                // The catalog's own word counts.
                if time.is_some() {
                    summary.time = None;
                }
                metadata::write(xml, &summary, detail)?;
            }
            Ok(())
        },
    )?;
    Ok(())
}
