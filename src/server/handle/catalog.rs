//! Folders and single datasets as THREDDS has them: catalogs, pages of folders, what is newest.

use std::time::Duration;

use cdm::{Error, Result, Version};
use http::Response as HttpResponse;

use super::{Body, Call, kept::Listed};
use crate::{
    catalog::{DatasetName, Latest, Listing},
    protocols::{pages, thredds},
    server::routes::CatalogFormat,
};

impl Call<'_> {
    /// A page of `listing`, from 1, as whoever asks is to see it.
    pub(super) fn thredds_view<'a>(&'a self, listing: &'a Listing, page: usize) -> thredds::View<'a> {
        thredds::View { listing, page, top: &self.top, origin: &self.origin, title: &self.live.config.title }
    }

    pub(super) async fn catalog(
        &self,
        folder: &DatasetName,
        format: CatalogFormat,
    ) -> Result<HttpResponse<Body>> {
        if let Some(response) = self.configured(folder, format).await? {
            return Ok(response);
        }
        let asked = |key: &str| {
            let mut pairs = self.query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        if let (Some(id), CatalogFormat::Xml | CatalogFormat::Html) = (asked("dataset"), format) {
            return self.catalog_of_one(&DatasetName::from_url(id)?, format).await;
        }
        match format {
            CatalogFormat::Xml | CatalogFormat::Latest => {}
            CatalogFormat::Html => return self.folder_page(folder, pages::Form::Html).await,
            CatalogFormat::Json => return self.folder_page(folder, pages::Form::Json).await,
        }
        let (mut listing, about) = match self.listed(folder).await? {
            Listed::Kept(response) => return Ok(response),
            Listed::New(listing, about) => (listing, about),
        };
        if self.data.scan_of(folder).is_some_and(|(scan, _)| scan.is_decreasing) {
            listing.folders.reverse();
            listing.datasets.reverse();
        }
        let page = asked("page");
        let page = match page.map(str::parse) {
            None => 1,
            Some(Ok(page)) => page,
            Some(Err(_)) => return Err(Error::bad_request("page is not a number")),
        };
        let view = self.thredds_view(&listing, page);
        if page == 0 || page > view.page_count() {
            return Err(Error::not_found(format!("there are {} pages", view.page_count())));
        }
        let reply = match format {
            CatalogFormat::Xml | CatalogFormat::Html | CatalogFormat::Json => {
                match self.data.scan_of(folder) {
                    Some((scan, path)) => thredds::scanned(&view, scan, path)?,
                    None => thredds::xml(&view)?,
                }
            }
            CatalogFormat::Latest => {
                let by = match asked("by") {
                    None | Some("name") => Latest::Name,
                    Some("modified") => Latest::Modified,
                    Some(_) => return Err(Error::bad_request("by is 'name' or 'modified'")),
                };
                let latest = listing.latest(by, Duration::ZERO);
                let latest = latest.ok_or_else(|| Error::not_found(format!("{folder} holds no dataset")))?;
                thredds::one(&view, latest, &latest.name)?
            }
        };
        let version = Version { identity: listing.identity().into(), modified: None };
        self.keep((about, None), reply, Some(&version), false).await
    }

    /// THREDDS' address of one dataset: a catalog with nothing else, or its page. A folder is its listing.
    async fn catalog_of_one(&self, name: &DatasetName, format: CatalogFormat) -> Result<HttpResponse<Body>> {
        let folder = name.parent().unwrap_or_else(DatasetName::top);
        let listing = self.data.list(&folder).await?;
        let Some(entry) = listing.datasets.iter().find(|entry| *entry.name == *name.file_name()) else {
            if self.data.list(name).await.is_err() {
                return Err(Error::not_found(format!("there is no dataset {name}")));
            }
            let file = if format == CatalogFormat::Xml { "catalog.xml" } else { "" };
            let path = if name.is_top() { String::new() } else { format!("{}/", name.to_url()) };
            return Self::found(&format!("{}catalog/{path}{file}", self.top));
        };
        if format == CatalogFormat::Html {
            return Self::found(&format!("{}opendap/{}.html", self.top, name.to_url()));
        }
        let view = self.thredds_view(&listing, 1);
        let reply = thredds::one(&view, entry, &entry.name)?;
        let version = Version { identity: listing.identity().into(), modified: None };
        Ok(self.send(reply, Some(&version)).await)
    }
}
