//! One catalog: its services, and its datasets with what is said of all that is in them.

use std::{collections::HashMap, sync::Arc};

use handlers::{
    ncml::{self, document::ForecastView},
    xml::Element,
};

use super::{
    At, DataRoot, Defined, Document, Scan, collection,
    elements::{METADATA, Node},
    read::{self, Reader, beside, dataset_name, reference},
    scan,
};
use crate::catalog::DatasetName;

/// A service of a catalog.
#[derive(Debug, Clone)]
pub(super) struct Service {
    /// As it is shown; `None` when nothing of it is supported.
    node: Option<Node>,
    /// It is one of another server: its addresses are passed on.
    is_elsewhere: bool,
}

/// Services that every dataset here has, and those of a file.
const OURS: [(&str, &[&str], &str); 5] = [
    ("OpenDAP", &["opendap", "dods"], "/thredds/dodsC/"),
    ("DAP4", &["dap4"], "/thredds/dap4/"),
    ("NCML", &["ncml"], "/thredds/ncml/"),
    ("HTTPServer", &["httpserver", "fileserver", "http", "file"], "/thredds/fileServer/"),
    ("Resolver", &["resolver"], ""),
];

/// The compound service of catalogs that name none, and the one of datasets that are no files.
pub(crate) const ALL: &str = "all";
pub(crate) const VIRTUAL: &str = "virtual";

/// What is said of the datasets inside of an element.
#[derive(Debug, Clone, Default)]
struct Context {
    inherited: Vec<Node>,
    service: Option<String>,
}

/// Reading one catalog.
pub(super) struct Walk<'r> {
    reader: &'r mut Reader,
    file: Arc<str>,
    folder: String,
    services: HashMap<String, Service>,
    /// Services that are shown: those of the catalog in order, then others that were needed.
    shown: Vec<Node>,
}

impl<'r> Walk<'r> {
    pub(super) fn new(reader: &'r mut Reader, path: &str, folder: String) -> Self {
        Self { reader, file: read::file(path), folder, services: HashMap::new(), shown: Vec::new() }
    }

    fn at(&self, element: &Element<'_>) -> At {
        At { file: Arc::clone(&self.file), line: element.line }
    }

    fn warn(&mut self, element: &Element<'_>, what: String, consequence: &str, fix: &str) {
        let at = self.at(element);
        self.reader.tell(&at, false, what, consequence, fix);
    }

    fn problem(&mut self, element: &Element<'_>, what: String, consequence: &str, fix: &str) {
        let at = self.at(element);
        self.reader.problem(&at, what, consequence, fix);
    }

    /// The content of a `catalog`, as it is shown.
    pub(super) fn catalog(&mut self, root: &Element<'_>) -> Vec<Node> {
        for element in root.all("service") {
            let service = self.service(element);
            self.shown.extend(service.node.clone());
        }
        if &*self.file == "catalog.xml" {
            self.reader.services.clone_from(&self.services);
        }
        for element in root.all("datasetRoot") {
            self.data_root(element);
        }
        let properties: Vec<Node> = root.all("property").map(Node::copy).collect();
        let datasets = self.datasets(root, &Context::default());
        let mut content = std::mem::take(&mut self.shown);
        content.extend(properties);
        content.extend(datasets);
        content
    }

    fn service(&mut self, element: &Element<'_>) -> Service {
        let name = element.attribute("name").unwrap_or_default().to_owned();
        let kind = element.attribute("serviceType").unwrap_or_default();
        let base = element.attribute("base").unwrap_or_default();
        let mut node = Node::new("service").with("name", name.as_str());
        let lower = kind.to_ascii_lowercase();
        let known = OURS.iter().find(|(_, spellings, _)| spellings.contains(&lower.as_str()));
        let is_elsewhere = base.starts_with("http://") || base.starts_with("https://");
        let service = if lower == "compound" {
            let parts: Vec<Service> = element.all("service").map(|inner| self.service(inner)).collect();
            let is_elsewhere = parts.iter().all(|part| part.is_elsewhere);
            node = node.with("serviceType", "Compound").with("base", "");
            node.children = parts.into_iter().filter_map(|part| part.node).collect();
            Service { node: Some(node).filter(|node| !node.children.is_empty()), is_elsewhere }
        } else if is_elsewhere {
            node = node.with("serviceType", kind).with("base", base);
            for attribute in ["suffix", "desc"] {
                if let Some(value) = element.attribute(attribute) {
                    node = node.with(attribute, value);
                }
            }
            Service { node: Some(node), is_elsewhere }
        } else if let Some((kind, _, mount)) = known {
            // What follows our own mount begins the paths of the datasets.
            let base = if base.starts_with(mount) { base } else { mount };
            Service { node: Some(node.with("serviceType", *kind).with("base", base)), is_elsewhere }
        } else {
            let what = format!("the service {name} is of type {kind}, which is not supported");
            self.warn(
                element,
                what,
                "catalogs are shown without it",
                "use OPENDAP, DAP4, NCML or HTTPServer",
            );
            Service { node: None, is_elsewhere }
        };
        self.services.insert(name, service.clone());
        service
    }

    fn data_root(&mut self, element: &Element<'_>) {
        let path = element.attribute("path").unwrap_or_default();
        self.place(element, path, element.attribute("location").unwrap_or_default(), None);
    }

    /// Serves the place at `location` under `path`.
    fn place(&mut self, element: &Element<'_>, path: &str, location: &str, scan: Option<Arc<Scan>>) -> bool {
        const CONSEQUENCE: &str = "what is in it is not served";
        let path = match dataset_name(path) {
            Ok(path) => path,
            Err(e) => {
                let what =
                    format!("<{}>: the path '{path}' cannot be in a URL: {}", element.name, e.message());
                self.problem(element, what, CONSEQUENCE, "give it a path such as model/gfs");
                return false;
            }
        };
        let location = match self.reader.places.resolve(location) {
            Ok(location) => location,
            Err((what, fix)) => {
                self.problem(element, format!("<{}> {path}: {what}", element.name), CONSEQUENCE, fix);
                return false;
            }
        };
        if let Some(other) = self.reader.found.roots.iter().find(|other| other.path == path) {
            if other.location != location || scan.is_some() {
                let what = format!("the path {path} is that of {}:{} already", other.at.file, other.at.line);
                self.problem(element, what, "only the first is served", "give it a path of its own");
            }
            return false;
        }
        let at = self.at(element);
        self.reader.found.roots.push(DataRoot { path, location, at, scan });
        true
    }

    fn datasets(&mut self, parent: &Element<'_>, context: &Context) -> Vec<Node> {
        let mut nodes = Vec::new();
        for element in &parent.children {
            let is_dataset = matches!(
                element.name,
                "dataset" | "datasetScan" | "featureCollection" | "catalogRef" | "datasetFmrc"
            );
            if is_dataset && element.attribute("restrictAccess").is_some() {
                self.restrict(element);
                continue;
            }
            nodes.extend(match element.name {
                "dataset" => Some(self.dataset(element, context)),
                "datasetScan" => self.dataset_scan(element, context),
                "featureCollection" => self.collection(element, context),
                "catalogRef" => self.catalog_ref(element),
                "datasetFmrc" => {
                    let what = "<datasetFmrc> is not supported".to_owned();
                    let fix = "use <featureCollection featureType=\"FMRC\">, which replaces it";
                    self.problem(element, what, "its datasets are not served", fix);
                    None
                }
                _ => None,
            });
        }
        nodes
    }

    /// Nothing of it is served: who may see it is not decided here.
    fn restrict(&mut self, element: &Element<'_>) {
        let name = element.attribute("name").unwrap_or_default();
        let what = format!("<{}> {name} has restrictAccess, and no access rules are supported", element.name);
        let fix = "remove restrictAccess if everybody may see it";
        self.problem(element, what, "neither it nor what is in it is served", fix);
        let mut waiting = vec![element];
        while let Some(inner) = waiting.pop() {
            let paths = ["urlPath", "path"].iter().filter_map(|attribute| inner.attribute(attribute));
            self.reader.found.restricted.extend(paths.filter_map(|path| dataset_name(path).ok()));
            waiting.extend(&inner.children);
        }
    }

    /// What `element` says of all that is in it, and what of itself.
    fn said(&mut self, element: &Element<'_>, context: &Context) -> (Context, Vec<Node>) {
        let mut inside = context.clone();
        let mut own = Vec::new();
        let mut service = None;
        for attribute in ["serviceName", "dataType", "dataFormat", "authority"] {
            if let Some(value) = element.attribute(attribute) {
                own.push(Node::text(attribute, value));
            }
        }
        own.extend(element.children.iter().filter(|c| METADATA.contains(&c.name)).map(Node::copy));
        for node in &own {
            match node.name.as_str() {
                "serviceName" => service = Some(node.text.clone()),
                "metadata" if node.attribute("inherited").is_some_and(scan::is_true) => {
                    let named = node.children.iter().find(|c| c.name == "serviceName");
                    if let Some(named) = named {
                        inside.service = Some(named.text.clone());
                    }
                    inside.inherited.extend(node.children.iter().cloned());
                }
                "metadata" => {
                    let named = node.children.iter().find(|c| c.name == "serviceName");
                    service = named.map(|n| n.text.clone()).or(service);
                }
                _ => {}
            }
        }
        // A name of a service that is not shown would lead clients nowhere.
        self.keep_services(&mut own);
        self.keep_services(&mut inside.inherited);
        // A container's own service was inherited in early catalogs only; it is the dataset's here.
        if element.attribute("urlPath").is_some() || element.name != "dataset" {
            inside.service = service.or(inside.service);
        }
        (inside, own)
    }

    fn keep_services(&mut self, nodes: &mut Vec<Node>) {
        nodes.retain(|node| node.name != "serviceName" || self.is_shown(&node.text));
        for node in nodes.iter_mut().filter(|node| node.name == "metadata") {
            node.children.retain(|inner| inner.name != "serviceName" || self.is_shown(&inner.text));
        }
    }

    /// Whether there is a service of this name; one of the first catalog is shown in this one, too.
    fn is_shown(&mut self, name: &str) -> bool {
        self.find_service(name).is_some_and(|service| service.node.is_some())
    }

    fn find_service(&mut self, name: &str) -> Option<Service> {
        if let Some(service) = self.services.get(name) {
            return Some(service.clone());
        }
        let service = self.reader.services.get(name).cloned()?;
        self.services.insert(name.to_owned(), service.clone());
        self.shown.extend(service.node.clone());
        Some(service)
    }

    fn dataset(&mut self, element: &Element<'_>, context: &Context) -> Node {
        let (inside, mut own) = self.said(element, context);
        let mut node = Node::new("dataset").with("name", element.attribute("name").unwrap_or_default());
        for attribute in ["ID", "alias", "collectionType", "harvest"] {
            if let Some(value) = element.attribute(attribute) {
                node = node.with(attribute, value);
            }
        }
        let definition = element.first("netcdf");
        if let Some(path) = element.attribute("urlPath") {
            match self.served(element, path, inside.service.as_deref(), definition) {
                Some(Access::Named) => node = node.with("urlPath", path),
                Some(Access::As(service)) => {
                    node = node.with("urlPath", path);
                    own.retain(|said| said.name != "serviceName");
                    own.push(Node::text("serviceName", service));
                }
                None => {}
            }
        }
        node.children = own;
        for access in element.all("access") {
            let service = access.attribute("serviceName").and_then(|name| self.find_service(name));
            let path = access.attribute("urlPath").unwrap_or_default();
            match service {
                Some(Service { node: Some(_), is_elsewhere }) => {
                    if is_elsewhere || self.name_dataset(access, path) {
                        node.children.push(Node::copy(access));
                    }
                }
                _ => self.warn(
                    access,
                    format!("<access> {path} by a service that is not supported"),
                    "the catalog is shown without it",
                    "use OPENDAP, DAP4, NCML or HTTPServer",
                ),
            }
        }
        node.children.extend(self.datasets(element, &inside));
        node
    }

    /// Whether a dataset with `path` is served, and by which service.
    fn served(
        &mut self,
        element: &Element<'_>,
        path: &str,
        service: Option<&str>,
        definition: Option<&Element<'_>>,
    ) -> Option<Access> {
        let found = service.and_then(|name| self.find_service(name));
        match &found {
            Some(Service { node: None, .. }) => {
                let what = format!(
                    "the dataset {path} has no service but {}, which is not supported",
                    service.unwrap_or_default()
                );
                self.problem(element, what, "it is shown without access", "add OPENDAP, DAP4 or HTTPServer");
                return None;
            }
            Some(Service { is_elsewhere: true, .. }) => return Some(Access::Named),
            _ => {}
        }
        if let Some(definition) = definition {
            self.define(element, path, definition).then_some(Access::As(VIRTUAL))
        } else {
            let access = if found.is_some() { Access::Named } else { Access::As(ALL) };
            self.name_dataset(element, path).then_some(access)
        }
    }

    fn name_dataset(&mut self, element: &Element<'_>, path: &str) -> bool {
        match dataset_name(path) {
            Ok(name) => {
                let at = self.at(element);
                self.reader.found.named.push((name, at));
                true
            }
            Err(e) => {
                let what = format!("the urlPath '{path}' cannot be in a URL: {}", e.message());
                self.problem(element, what, "it is shown without access", "give it another path");
                false
            }
        }
    }

    /// A dataset that the NcML inside of `element` defines.
    fn define(&mut self, element: &Element<'_>, path: &str, definition: &Element<'_>) -> bool {
        let parsed = dataset_name(path).and_then(|name| {
            let parsed = ncml::parse::from_element(definition, &self.file)?;
            Ok(Defined { name, definition: parsed.netcdf, at: self.at(definition) })
        });
        match parsed {
            Ok(defined) => {
                self.reader.found.defined.push(defined);
                true
            }
            Err(e) => {
                let what = format!("the NcML of {path}: {}", e.message());
                self.problem(element, what, "it is shown without access", "mend the NcML");
                false
            }
        }
    }

    fn catalog_ref(&mut self, element: &Element<'_>) -> Option<Node> {
        let href = element.attribute("href").unwrap_or_default().trim();
        let title = element.attribute("title").or_else(|| element.attribute("name")).unwrap_or(href);
        let mut node = if href.contains("://") || href.starts_with('/') {
            Node::new("catalogRef").with("xlink:href", href).with("xlink:title", title).with("name", "")
        } else {
            let Some(path) = beside(&self.folder, href).filter(|path| !path.is_empty()) else {
                let what = format!("the catalog {href} is not in the content folder");
                self.problem(element, what, "it is not shown", "move it into the content folder");
                return None;
            };
            let node = reference(&path, title);
            let at = self.at(element);
            self.reader.ask_for(path, Some(at));
            node
        };
        if let Some(id) = element.attribute("ID") {
            node = node.with("ID", id);
        }
        node.children =
            element.children.iter().filter(|c| METADATA.contains(&c.name)).map(Node::copy).collect();
        self.keep_services(&mut node.children);
        Some(node)
    }

    fn dataset_scan(&mut self, element: &Element<'_>, context: &Context) -> Option<Node> {
        let (inside, own) = self.said(element, context);
        let path = element.attribute("path").unwrap_or_default().trim_matches('/');
        let name = element.attribute("name").unwrap_or(path);
        let id = element.attribute("ID").unwrap_or(path);
        let mut made = Scan {
            name: name.to_owned(),
            id: id.to_owned(),
            inherited: inside.inherited.clone(),
            own: own
                .iter()
                .filter(|n| !(n.name == "metadata" && n.attribute("inherited").is_some_and(scan::is_true)))
                .cloned()
                .collect(),
            ..Scan::default()
        };
        let mut wrong = Vec::new();
        scan::read(&mut made, element, |line, what| wrong.push((line, what)));
        for (line, what) in wrong {
            let at = At { file: Arc::clone(&self.file), line };
            self.reader.problem(
                &at,
                format!("<datasetScan> {path}: {what}"),
                "what it would let through is not served",
                "write it another way",
            );
        }
        made.inherited.retain(|said| said.name != "serviceName");
        made.own.retain(|said| said.name != "serviceName");
        match inside.service.as_deref().and_then(|name| Some((name, self.find_service(name)?))) {
            Some((service, Service { node: Some(node), .. })) => {
                made.inherited.insert(0, Node::text("serviceName", service));
                made.services.push(node);
            }
            _ => made.inherited.insert(0, Node::text("serviceName", ALL)),
        }
        if let Some(definition) = element.first("netcdf") {
            match ncml::parse::from_element(definition, &self.file) {
                Ok(parsed) if parsed.netcdf.aggregation.is_none() => made.edits = Some(parsed.netcdf),
                Ok(_) => {
                    let what = format!("<datasetScan> {path}: an <aggregation> inside");
                    self.problem(element, what, "its datasets are not served", "put it in a <dataset>");
                    return None;
                }
                Err(e) => {
                    let what = format!("<datasetScan> {path}: the NcML inside: {}", e.message());
                    self.problem(element, what, "its datasets are not served", "mend the NcML");
                    return None;
                }
            }
        }
        let location = element.attribute("location").or_else(|| element.attribute("dirLocation"));
        if !self.place(element, path, location.unwrap_or_default(), Some(Arc::new(made))) {
            return None;
        }
        let mut node = reference(&format!("{path}/catalog.xml"), name).with("ID", id);
        node.children = own;
        Some(node)
    }

    fn collection(&mut self, element: &Element<'_>, context: &Context) -> Option<Node> {
        let kind = element.attribute("featureType").unwrap_or_default();
        let path = element.attribute("path").unwrap_or_default().trim_matches('/');
        let name = element.attribute("name").unwrap_or(path);
        if !kind.eq_ignore_ascii_case("FMRC") {
            let what = format!("<featureCollection> {path} is of type {kind}; only FMRC is supported");
            self.problem(
                element,
                what,
                "its datasets are not served",
                "serve files that are not GRIB, as FMRC or by NcML",
            );
            return None;
        }
        let scan = match collection::scan(element) {
            Ok(scan) => scan,
            Err(what) => {
                self.problem(
                    element,
                    what,
                    "its datasets are not served",
                    "name folder and files: /data/run_#yyyyMMdd#.nc",
                );
                return None;
            }
        };
        if dataset_name(path).is_err() {
            let what = format!("the path '{path}' cannot be in a URL");
            self.problem(element, what, "its datasets are not served", "give it a path such as model/gfs");
            return None;
        }
        let (inside, own) = self.said(element, context);
        let types = element.first("fmrcConfig").and_then(|config| config.attribute("datasetTypes"));
        let types = types.unwrap_or("TwoD Best Files Runs ConstantForecasts ConstantOffsets");
        let others = ["Runs", "ConstantForecasts", "ConstantOffsets"];
        let others =
            others.iter().filter(|kind| types.split_whitespace().any(|t| t.eq_ignore_ascii_case(kind)));
        let others = others.copied().collect::<Vec<_>>().join(", ");
        if !others.is_empty() {
            let what = format!("the <featureCollection> {name} is not shown as {others}");
            let fix = "define a [[dataset]] of type \"forecast\" with view = \"run ...\", \"offset ...\" or \"valid ...\"";
            self.reader.tell(&self.at(element), false, what, "the datasets of these kinds are missing", fix);
        }
        let base = name.replace(' ', "_");
        let mut top =
            Node::new("dataset").with("name", name).with("ID", element.attribute("ID").unwrap_or(path));
        let mut said = Node::new("metadata").with("inherited", "true");
        said.children.push(Node::text("serviceName", VIRTUAL));
        said.children.extend(inside.inherited.iter().filter(|n| n.name != "serviceName").cloned());
        top.children.push(said);
        top.children.extend(own.iter().filter(|n| n.name != "metadata" && n.name != "serviceName").cloned());
        for (kind, file, title, view) in [
            (
                "TwoD",
                format!("{base}_fmrc.ncd"),
                "Forecast Model Run Collection (2D time coordinates)",
                ForecastView::TwoTime,
            ),
            ("Best", format!("{base}_best.ncd"), "Best Time Series", ForecastView::Best),
        ] {
            if !types.split_whitespace().any(|t| t.eq_ignore_ascii_case(kind)) {
                continue;
            }
            let url = format!("{path}/{file}");
            let Ok(dataset) = DatasetName::new(&url) else { continue };
            let definition = collection::definition(element.line, &scan, view);
            let at = self.at(element);
            self.reader.found.defined.push(Defined { name: dataset, definition, at });
            let id = format!("{path}/{file}");
            top.children.push(Node::new("dataset").with("name", title).with("ID", id).with("urlPath", url));
        }
        // The files themselves, which also makes them a place that members may come from.
        let files = Scan {
            name: "Files".to_owned(),
            id: format!("{path}/files"),
            inherited: vec![Node::text("serviceName", ALL)],
            is_decreasing: true,
            has_sizes: true,
            ..Scan::default()
        };
        let below = format!("{path}/files");
        if self.place(element, &below, &scan.location, Some(Arc::new(files)))
            && types.split_whitespace().any(|t| t.eq_ignore_ascii_case("Files"))
        {
            top.children.push(reference(&format!("{below}/catalog.xml"), "Files").with("ID", below));
        }
        let catalog = format!("{path}/catalog.xml");
        self.reader
            .found
            .documents
            .insert(catalog.clone(), Document { title: name.to_owned(), content: vec![top] });
        Some(reference(&catalog, name).with("ID", element.attribute("ID").unwrap_or(path)))
    }
}

/// How a dataset is reached.
enum Access {
    /// By the service that the catalog names.
    Named,
    /// By another one.
    As(&'static str),
}
