//! `sitemap.xml` and `robots.txt`: where search engines find the pages, and what they leave alone.

use std::{fmt::Write as _, time::SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{
    catalog::{DatasetName, Listing},
    protocols::{Reply, text},
};

/// Addresses in one sitemap, at most (sitemaps.org).
pub const MOST_ADDRESSES: usize = 50_000;

/// The addresses of one sitemap, gathered folder by folder.
#[derive(Debug)]
pub struct Sitemap<'a> {
    origin: &'a str,
    /// The sitemap asked for, from 1; `None`: the one, or the list of all when there are several.
    page: Option<usize>,
    count: usize,
    entries: String,
}

impl<'a> Sitemap<'a> {
    /// An empty one for the server at `origin`.
    pub fn new(origin: &'a str, page: Option<usize>) -> Self {
        Self { origin, page, count: 0, entries: String::new() }
    }

    /// Adds a folder's page and those of its datasets.
    pub fn add(&mut self, listing: &Listing) {
        let folder = &listing.folder;
        let url = if folder.is_top() {
            format!("{}/", self.origin)
        } else {
            format!("{}/catalog/{}/", self.origin, folder.to_url())
        };
        self.address(&url, None);
        for entry in &listing.datasets {
            let name: DatasetName = folder.join(&entry.name);
            let url = format!("{}/opendap/{}.html", self.origin, name.to_url());
            self.address(&url, entry.modified);
        }
    }

    fn address(&mut self, url: &str, modified: Option<SystemTime>) {
        let first = (self.page.unwrap_or(1) - 1).saturating_mul(MOST_ADDRESSES);
        if (first..first.saturating_add(MOST_ADDRESSES)).contains(&self.count) {
            let modified = text::iso(modified);
            let modified =
                if modified.is_empty() { String::new() } else { format!("<lastmod>{modified}</lastmod>") };
            // Writing to a String cannot fail.
            let _ =
                writeln!(self.entries, "<url><loc>{}</loc>{modified}</url>", quick_xml::escape::escape(url));
        }
        self.count += 1;
    }

    /// The document; `None` when there is no such sitemap.
    pub fn reply(self) -> Option<Reply> {
        let pages = self.count.div_ceil(MOST_ADDRESSES).max(1);
        let (element, entries) = match self.page {
            Some(page) if page > pages => return None,
            None if pages > 1 => {
                let one = |page| {
                    let url = format!("{}/sitemap.xml?page={page}", self.origin);
                    format!("<sitemap><loc>{}</loc></sitemap>\n", quick_xml::escape::escape(&url))
                };
                ("sitemapindex", (1..=pages).map(one).collect())
            }
            _ => ("urlset", self.entries),
        };
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <{element} xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n{entries}</{element}>\n"
        );
        Some(of_type("application/xml; charset=utf-8", document))
    }
}

/// Crawlers find the pages, not the data, and not every form that could be filled in.
pub fn robots(origin: &str) -> Reply {
    const RULES: &str = "User-agent: *\nDisallow: /files/\nDisallow: /dodsC/\nDisallow: /dap4/\nDisallow: /thredds/\n\
                         Disallow: /zarr/\nDisallow: /*.dap\nDisallow: /*.dods\nDisallow: /*.ascii\nDisallow: /*.asc\n\
                         Disallow: /*.kerchunk.json\nDisallow: /*.dmrpp\nDisallow: /*?\nAllow: /sitemap.xml\n";
    of_type("text/plain; charset=utf-8", format!("{RULES}\nSitemap: {origin}/sitemap.xml\n"))
}

fn of_type(media_type: &'static str, text: String) -> Reply {
    let headers: HeaderMap =
        [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))].into_iter().collect();
    Reply::text(StatusCode::OK, headers, text)
}
