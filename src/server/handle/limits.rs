//! What one request may take: a place among the answers with data, time, and a body that nobody reads.

use std::time::Duration;

use cdm::{Error, ErrorKind, Result};
use futures::StreamExt;
use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::{Body, Call, Candidate, HttpResponse, Response, front_error};
use crate::{
    protocols::Reply,
    server::{addresses::network_of, lanes::Lane, origin::client},
};

/// Bytes of a request body that are read and thrown away.
const BODY_LEN: usize = 64 * 1024;

impl Call<'_> {
    /// How long an answer about `candidate`, which is there, may take to begin (promise R6).
    pub(super) fn patience(&self, candidate: &Candidate) -> Duration {
        let limits = &self.live.config.limits;
        let patience = if is_data(candidate) { limits.data_timeout } else { limits.metadata_timeout };
        // All members of a collection may have to be looked at first.
        let is_made = self.live.may_be_made(&candidate.dataset);
        patience + if is_made { self.live.config.collections.first_look } else { Duration::ZERO }
    }

    /// A place among the data answers, which may have to be waited for.
    pub(super) async fn lane(&self) -> Result<Lane> {
        let client = client(&self.live.config, self.headers, self.peer);
        let client = network_of(client);
        if let Some(lane) = self.live.data.try_enter(client) {
            return Ok(lane);
        }
        let _counted = self.shared.metrics.waits();
        self.live.data.enter(client, self.live.config.limits.queue_timeout).await
    }

    /// Nothing about `candidate` came within `patience`.
    pub(super) async fn late(
        &self,
        mount: &str,
        candidate: &Candidate,
        patience: Duration,
    ) -> HttpResponse<Body> {
        let late = too_slow(patience);
        self.log(&late);
        self.refused(mount, candidate, &late).await
    }

    /// `error` as the candidate's protocol says it.
    pub(super) async fn refused(
        &self,
        mount: &str,
        candidate: &Candidate,
        error: &Error,
    ) -> HttpResponse<Body> {
        let base_url = self.base_url(mount, &candidate.dataset);
        let request = self.front_request(&candidate.dataset, &base_url);
        self.plain(front_error(&candidate.response, error, &request)).await
    }
}

/// Reads a body that nobody needs.
pub(super) async fn read_away(body: Incoming, patience: Duration) -> Option<(StatusCode, &'static str)> {
    match tokio::time::timeout(patience, Limited::new(body, BODY_LEN).collect()).await {
        Ok(Ok(_)) => None,
        Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => {
            Some((StatusCode::PAYLOAD_TOO_LARGE, "requests need no body here"))
        }
        Ok(Err(_)) => Some((StatusCode::BAD_REQUEST, "the body is not what its headers say")),
        Err(_) => Some((StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    }
}

pub(super) async fn in_time<T>(patience: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| Err(too_slow(patience)))
}

fn too_slow(patience: Duration) -> Error {
    let message = format!("there was no answer within {patience:?}; storage is slow, try again later");
    Error::new(ErrorKind::TimedOut, message)
}

/// `reply`, which keeps its place until its body is dropped.
pub(super) fn holding(mut reply: Reply, lane: Lane) -> Reply {
    reply.body = Box::pin(reply.body.inspect(move |_| {
        let _held = &lane;
    }));
    reply
}

/// Responses that carry values; the others never wait behind them (promise R8).
pub fn is_data(candidate: &Candidate) -> bool {
    match &candidate.response {
        Response::Zarr(response) => response.is_data(),
        _ => [".dap", ".dods", ".ascii", ".asc", ".dmrpp"].contains(&candidate.suffix),
    }
}
