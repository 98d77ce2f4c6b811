//! Catalogs of a THREDDS content folder, and the addresses that it gives to what is newest.

use cdm::{Result, Version};
use http::Response as HttpResponse;

use super::{Body, Call, CatalogFormat};
use crate::{
    catalog::{DatasetName, Latest, encode_path, tds::Node},
    protocols::thredds,
};

impl Call<'_> {
    /// The answer to a request for a catalog of the content folder; `None` when it has none there.
    pub(super) async fn configured(
        &self,
        folder: &DatasetName,
        format: CatalogFormat,
    ) -> Result<Option<HttpResponse<Body>>> {
        if !self.data.has_documents() {
            return Ok(None);
        }
        if let Some(response) = self.newest(folder, format).await? {
            return Ok(Some(response));
        }
        // A catalog of another name than catalog.xml looks like a folder of its name.
        let whole = folder.as_str();
        let is_named = |end: &str| whole.ends_with(end) && self.data.document(whole).is_some();
        let (path, is_page) = match format {
            CatalogFormat::Html if is_named(".xml") => (whole.to_owned(), false),
            CatalogFormat::Html if is_named(".html") => (whole.to_owned(), true),
            CatalogFormat::Xml | CatalogFormat::Html => {
                (folder.join("catalog.xml").to_string(), format == CatalogFormat::Html)
            }
            CatalogFormat::Latest | CatalogFormat::Json => return Ok(None),
        };
        let Some((path, document)) = self.data.document(&path) else { return Ok(None) };
        let more = if path == "catalog.xml" { self.beside_content() } else { Vec::new() };
        let site = thredds::Site { top: &self.top, origin: &self.origin, title: &self.live.config.title };
        let asked = self.query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("dataset="));
        let id = asked.map(DatasetName::from_url).transpose()?;
        let reply = match &id {
            Some(id) if is_page => {
                let Some(found) = thredds::path_of(&document.content, id.as_str()) else { return Ok(None) };
                let name = DatasetName::new(found.trim_matches('/'))?;
                return Self::found(&format!("{}opendap/{}.html", self.top, name.to_url())).map(Some);
            }
            _ if is_page => thredds::configured_page(&document, path, site, &more)?,
            _ => match thredds::configured(&document, site, &more, id.as_ref().map(DatasetName::as_str))? {
                Some(reply) => reply,
                None => return Ok(None),
            },
        };
        // The reply's identity is that of its text.
        let version = Version { identity: env!("CARGO_PKG_VERSION").into(), modified: None };
        Ok(Some(self.send(reply, Some(&version)).await))
    }

    /// The newest dataset of a scanned folder, at the address that its catalog gives it.
    async fn newest(
        &self,
        folder: &DatasetName,
        format: CatalogFormat,
    ) -> Result<Option<HttpResponse<Body>>> {
        let catalog = &self.data;
        let (folder, file) = match format {
            CatalogFormat::Latest => (folder.clone(), "latest.xml"),
            CatalogFormat::Html => {
                let Some(above) = folder.parent() else { return Ok(None) };
                (above, folder.file_name())
            }
            CatalogFormat::Xml | CatalogFormat::Json => return Ok(None),
        };
        let Some((scan, _)) = catalog.scan_of(&folder) else { return Ok(None) };
        let Some(newest) = scan.newest.iter().find(|newest| newest.name == file) else { return Ok(None) };
        let listing = catalog.list(&folder).await?;
        let by: Latest = newest.by;
        let missing = || cdm::Error::not_found(format!("{folder} holds no dataset that is complete"));
        let entry = listing.latest(by, newest.quiet).ok_or_else(missing)?;
        let view = self.thredds_view(&listing, 1);
        let reply = thredds::one(&view, entry, &scan.shown_name(&entry.name))?;
        // It changes as time passes, not only when the folder does: nothing says that it is the same.
        Ok(Some(self.plain(reply).await))
    }

    /// What is served beside the content folder, to be reached from its first catalog.
    fn beside_content(&self) -> Vec<Node> {
        let made = |(mount, is_single): (&DatasetName, bool)| {
            if mount.is_top() {
                return None;
            }
            let path = mount.as_str();
            if is_single {
                let mut node = Node::new("dataset").with("name", mount.file_name());
                node = node.with("ID", path).with("urlPath", path);
                node.children.push(Node::text("serviceName", crate::catalog::tds::ALL));
                return Some(node);
            }
            let href = format!("/thredds/catalog/{}/catalog.xml", encode_path(path));
            let node = Node::new("catalogRef").with("xlink:href", href);
            Some(node.with("xlink:title", path).with("ID", path).with("name", ""))
        };
        self.data.beside_content().filter_map(made).collect()
    }
}
