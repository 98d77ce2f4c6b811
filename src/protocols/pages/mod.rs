//! Pages for people: folders ([`folder()`]) and datasets ([`dataset()`]). Plain HTML that works without
//! scripts; askama escapes everything that is put in.
//!
//! What the protocols say of a dataset is their own business; a page links to it and shows how to read it.

mod access;
mod axis;
mod coverage;
mod dataset;
mod folder;
mod form;
mod jsonld;
mod query;
mod sitemap;
mod snippets;
mod structure;

#[cfg(test)]
mod tests;

use cdm::Result;
use http::{HeaderMap, HeaderValue, StatusCode, header};

pub use self::{
    access::{Access, Protocol, Spelled},
    dataset::Shown,
    folder::PAGE_LEN,
    query::Form,
    sitemap::{MOST_ADDRESSES, Sitemap, robots},
};
use super::Reply;
use crate::catalog::Listing;

/// Which suffix of a dataset's URL asks for its page.
pub const SUFFIXES: [(&str, Form); 4] =
    [(".dmr.html", Form::Html), (".dsr.html", Form::Html), (".html", Form::Html), (".json", Form::Json)];

/// What the server knows besides what a page is about.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// Relative URL of the server's top from where the page is asked for: `../../`, or empty.
    pub top: &'a str,
    /// The server's top as clients see it: scheme, host and the prefix a proxy adds, without final slash.
    pub origin: &'a str,
    /// The server's title.
    pub title: &'a str,
}

/// The page of a folder, as `query` asks for it.
///
/// # Errors
/// `BadRequest` for an order that there is not, `NotFound` for a page behind the last.
pub fn folder(listing: &Listing, query: Option<&str>, form: Form, site: Site<'_>) -> Result<Reply> {
    let asked = folder::Asked::parse(query)?;
    let identity = format!("folder {} {site:?}", asked.identity());
    Ok(match form {
        Form::Html => html(folder::html(listing, &asked, site)?, &identity),
        Form::Json => json(&folder::json(listing, &asked, site)?, &identity),
    })
}

/// The page that a query asks for, if it asks for one.
///
/// # Errors
/// `BadRequest` for what is no number from 1 on.
pub fn page_number(query: Option<&str>) -> Result<Option<usize>> {
    let fields = query::Fields::parse(query)?;
    fields.get("page").is_some().then(|| fields.number("page")).transpose()
}

/// The page of a dataset, with what the query's fields come to.
///
/// # Errors
/// `BadRequest` for a query that is no form's, `Internal` when the template fails, which it has no reason to.
pub async fn dataset(shown: &Shown<'_>, form: Form) -> Result<Reply> {
    let identity = dataset::identity(shown, form);
    Ok(match form {
        Form::Html => html(dataset::html(shown).await?, &identity),
        Form::Json => json(&dataset::json(shown).await?, &identity),
    })
}

fn html(text: String, identity: &str) -> Reply {
    reply("text/html; charset=utf-8", text, format!("html {identity}"))
}

fn json(document: &serde_json::Value, identity: &str) -> Reply {
    reply("application/json", document.to_string(), format!("json {identity}"))
}

fn reply(media_type: &'static str, text: String, identity: String) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    Reply { identity: Some(identity), ..Reply::text(StatusCode::OK, headers, text) }
}
