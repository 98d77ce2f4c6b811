//! Tests of the whole front end: request and Source in, reply out.

mod clauses;
mod datasets;
mod description;
mod errors;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use cdm::{Result, Source};
use futures::{StreamExt, executor::block_on};
use http::HeaderMap;

use super::{Options, Response, respond, view};
use crate::protocols::{Largest, Reply, Request};

/// The reply to `query` from a client that calls itself `agent`.
fn ask(source: &Arc<dyn Source>, response: Response, query: &str, agent: &str) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::USER_AGENT, agent.parse().unwrap());
    let request = Request {
        dataset: source.dataset().name(),
        base_url: "http://localhost/opendap/t.nc",
        query: Some(query),
        headers: &headers,
        id: "req-1",
        largest: Largest::default(),
    };
    block_on(respond(&request, response, Arc::clone(source), Options::default()))
}

/// The items of a body.
fn items(reply: Reply) -> Vec<Result<Bytes>> {
    block_on(reply.body.collect())
}

/// A body without errors, whose length must be the one announced.
fn body(reply: Reply) -> Vec<u8> {
    let announced = reply.length;
    let all = items(reply).into_iter().collect::<Result<Vec<_>>>().unwrap().concat();
    assert!(announced.is_none_or(|n| n == all.len() as u64), "announced {announced:?}, sent {}", all.len());
    all
}

fn text(reply: Reply) -> String {
    String::from_utf8(body(reply)).unwrap()
}

/// The constrained Source, or the error's message.
fn constrained(source: &Arc<dyn Source>, ce: &str) -> std::result::Result<Arc<dyn Source>, String> {
    let query = super::request::Query::parse(Some(&format!("dap4.ce={ce}"))).map_err(|e| e.to_string())?;
    let source = view(Arc::clone(source)).unwrap();
    super::constrain(source, &query.constraint).map(|(source, _)| source).map_err(|e| e.to_string())
}
