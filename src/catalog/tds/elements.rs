//! Elements of a catalog as they are shown again.

use handlers::xml::Element;

/// An element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) children: Vec<Node>,
}

/// What may be said of a dataset: InvCatalog's `threddsMetadataGroup`.
pub(super) const METADATA: [&str; 18] = [
    "authority",
    "contributor",
    "creator",
    "dataFormat",
    "dataSize",
    "dataType",
    "date",
    "documentation",
    "geospatialCoverage",
    "keyword",
    "metadata",
    "project",
    "property",
    "publisher",
    "serviceName",
    "timeCoverage",
    "variableMap",
    "variables",
];

impl Node {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn text(name: &str, text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::new(name) }
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The element as it is; of text between its elements (XHTML in documentation) the text is kept.
    pub(super) fn copy(element: &Element<'_>) -> Self {
        let mut node = Self::new(element.name);
        for (name, value) in element.attributes() {
            let (prefix, local) = name.split_once(':').unwrap_or(("", name));
            match (prefix, local) {
                ("xmlns" | "xsi" | "xml", _) | ("", "xmlns") => {}
                ("", _) => node = node.with(local, value),
                // InvCatalog's other attributes are those of XLink, whatever prefix it has here.
                (_, "href" | "title" | "type" | "show") => node = node.with(&format!("xlink:{local}"), value),
                _ => {}
            }
        }
        if element.name == "documentation" {
            node.text = all_text(element);
            return node;
        }
        if element.children.is_empty() {
            element.text.trim().clone_into(&mut node.text);
        }
        node.children = element.children.iter().map(Self::copy).collect();
        node
    }
}

/// The text of an element and all that is in it.
fn all_text(element: &Element<'_>) -> String {
    let mut parts = vec![element.text.split_whitespace().collect::<Vec<_>>().join(" ")];
    parts.extend(element.children.iter().map(all_text));
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}
