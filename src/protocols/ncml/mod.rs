//! Every dataset described in NcML: `<dataset>.ncml`, and `/thredds/ncml/<dataset>` as THREDDS has it.
//!
//! The description alone, without values: the document names the dataset's own address as its `location`, where
//! the values are.

use std::collections::BTreeMap;

use cdm::Dataset;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{Reply, Request};

/// The suffix of a dataset's URL that asks for its description.
pub const SUFFIX: &str = ".ncml";

/// `dataset` in NcML.
pub fn respond(request: &Request<'_>, dataset: &Dataset) -> Reply {
    let text = handlers::ncml::write(dataset, request.base_url, &BTreeMap::new());
    let media_type = HeaderValue::from_static("application/xml; charset=utf-8");
    let headers: HeaderMap = [(header::CONTENT_TYPE, media_type)].into_iter().collect();
    let mut reply = Reply::text(StatusCode::OK, headers, text);
    reply.identity = Some(format!("ncml {}", request.base_url));
    reply
}
