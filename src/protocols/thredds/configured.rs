//! Catalogs that a THREDDS content folder has: shown again as they are, with the services that there are here.

use std::io;

use askama::Template;
use quick_xml::escape::escape;

use super::xml::{Xml, document, prefix_of};
use crate::catalog::{
    DatasetName, encode_path,
    tds::{ALL, Document, Node, VIRTUAL},
};

/// The place of a catalog in the site.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// Relative URL of the server's top from where the catalog is asked for.
    pub top: &'a str,
    /// The server's top as clients see it.
    pub origin: &'a str,
    /// The server's title.
    pub title: &'a str,
}

/// The catalog with `more` behind its own datasets; of a dataset's ID, that one alone.
pub(super) fn write(
    catalog: &Document,
    site: Site<'_>,
    more: &[Node],
    id: Option<&str>,
) -> io::Result<Option<String>> {
    let prefix = prefix_of(site.origin);
    let is_dataset = |node: &&Node| matches!(node.name.as_str(), "dataset" | "catalogRef");
    let found;
    let shown: Vec<&Node> = match id {
        None => catalog.content.iter().chain(more).collect(),
        Some(id) => {
            let Some(node) = alone(&catalog.content, id) else { return Ok(None) };
            found = node;
            catalog.content.iter().filter(|n| !is_dataset(n)).chain([&found]).collect()
        }
    };
    let text = document(&catalog.title, |xml| {
        for (name, parts) in [(ALL, &OWN[..]), (VIRTUAL, &OWN[..3])] {
            let is_needed = shown.iter().any(|node| uses(node, name));
            if is_needed && !shown.iter().any(|n| n.name == "service" && n.attribute("name") == Some(name)) {
                node(xml, &own_service(name, parts), &prefix)?;
            }
        }
        shown.iter().try_for_each(|shown| node(xml, shown, &prefix))?;
        if !shown.iter().any(is_dataset) {
            // The schema asks for a dataset.
            node(xml, &Node::new("dataset").with("name", catalog.title.as_str()), &prefix)?;
        }
        Ok(())
    })?;
    Ok(Some(text))
}

/// Services of our own, where a catalog names none that there is.
const OWN: [(&str, &str, &str); 4] = [
    ("dap2", "OpenDAP", "/thredds/dodsC/"),
    ("dap4", "DAP4", "/thredds/dap4/"),
    ("ncml", "NCML", "/thredds/ncml/"),
    ("http", "HTTPServer", "/thredds/fileServer/"),
];

pub(super) fn own_service(name: &str, parts: &[(&str, &str, &str)]) -> Node {
    let mut service =
        Node::new("service").with("name", name).with("serviceType", "Compound").with("base", "");
    for (part, kind, base) in parts {
        let part = format!("{name}-{part}");
        service
            .children
            .push(Node::new("service").with("name", part).with("serviceType", *kind).with("base", *base));
    }
    service
}

/// The services of datasets that are no files.
pub(super) fn virtual_service() -> Node {
    own_service(VIRTUAL, &OWN[..3])
}

/// Whether a service is named in here.
fn uses(node: &Node, service: &str) -> bool {
    node.name == "serviceName" && node.text == service
        || node.children.iter().any(|inner| uses(inner, service))
}

/// The dataset with this ID, and what is said of all in the datasets around it.
fn alone(nodes: &[Node], id: &str) -> Option<Node> {
    for node in nodes.iter().filter(|node| node.name == "dataset") {
        if node.attribute("ID") == Some(id) {
            return Some(node.clone());
        }
        if let Some(mut found) = alone(&node.children, id) {
            let inherited = |n: &&Node| n.name == "metadata" && n.attribute("inherited") == Some("true");
            let said: Vec<Node> = node.children.iter().filter(inherited).cloned().collect();
            found.children.splice(0..0, said);
            return Some(found);
        }
    }
    None
}

/// The path of the dataset with this ID.
pub(crate) fn path_of<'a>(nodes: &'a [Node], id: &str) -> Option<&'a str> {
    nodes.iter().filter(|node| node.name == "dataset").find_map(|node| {
        if node.attribute("ID") == Some(id) { node.attribute("urlPath") } else { path_of(&node.children, id) }
    })
}

/// One element; addresses that begin at the server's top get the prefix that a proxy adds.
pub(super) fn node(xml: &mut Xml, node: &Node, prefix: &str) -> io::Result<()> {
    let mut element = xml.create_element(node.name.as_str());
    for (name, value) in &node.attributes {
        let is_address = matches!(name.as_str(), "xlink:href" | "base") && value.starts_with("/thredds/");
        let value = if is_address { format!("{prefix}{value}") } else { value.clone() };
        element = element.with_attribute((name.as_str(), value.as_str()));
    }
    if node.children.is_empty() {
        if node.text.is_empty() {
            element.write_empty()?;
        } else {
            element.write_text_content(quick_xml::events::BytesText::new(&node.text))?;
        }
        return Ok(());
    }
    element.write_inner_content(|xml| {
        node.children.iter().try_for_each(|inner| self::node(xml, inner, prefix))
    })?;
    Ok(())
}

#[derive(Template)]
#[template(path = "configured.html")]
struct Page<'a> {
    title: &'a str,
    heading: &'a str,
    top: &'a str,
    xml_url: String,
    tree: String,
    version: &'static str,
}

/// The catalog at `path` as a page.
pub(super) fn page(catalog: &Document, path: &str, site: Site<'_>, more: &[Node]) -> askama::Result<String> {
    let mut tree = String::new();
    list(&mut tree, catalog.content.iter().chain(more), site.top);
    Page {
        title: site.title,
        heading: &catalog.title,
        top: site.top,
        xml_url: format!("{}catalog/{}", site.top, encode_path(path)),
        tree,
        version: env!("CARGO_PKG_VERSION"),
    }
    .render()
}

/// Datasets and references as a nested list.
fn list<'a>(html: &mut String, nodes: impl Iterator<Item = &'a Node>, top: &str) {
    let mut items = String::new();
    for node in nodes {
        let (name, link) = match node.name.as_str() {
            "dataset" => {
                let path =
                    node.attribute("urlPath").and_then(|path| DatasetName::new(path.trim_matches('/')).ok());
                let link = path.map(|path| format!("{top}opendap/{}.html", path.to_url()));
                (node.attribute("name").unwrap_or_default(), link)
            }
            "catalogRef" => {
                let href = node.attribute("xlink:href").unwrap_or_default();
                let link = match href.strip_prefix("/thredds/") {
                    Some(below) => format!(
                        "{top}{}",
                        below.strip_suffix(".xml").map_or_else(|| below.to_owned(), |b| format!("{b}.html"))
                    ),
                    None => href.to_owned(),
                };
                // Only addresses of the web are links: no scripts.
                let is_web =
                    link.starts_with("http://") || link.starts_with("https://") || href.starts_with('/');
                (node.attribute("xlink:title").unwrap_or_default(), Some(link).filter(|_| is_web))
            }
            _ => continue,
        };
        items.push_str("<li>");
        match link {
            Some(link) => items.extend(["<a href=\"", &escape(&link), "\">", &escape(name), "</a>"]),
            None => items.push_str(&escape(name)),
        }
        let said = node.children.iter().find(|n| n.name == "documentation" && !n.text.is_empty());
        if let Some(said) = said {
            items.extend([" <span class=\"note\">", &escape(&said.text), "</span>"]);
        }
        if node.name == "dataset" {
            list(&mut items, node.children.iter(), top);
        }
        items.push_str("</li>\n");
    }
    if !items.is_empty() {
        html.extend(["<ul>\n", &items, "</ul>\n"]);
    }
}
