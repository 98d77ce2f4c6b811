//! One request: checked, routed, answered.

mod catalog;
mod configured;
mod kept;
mod limits;
mod page;
mod who;

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use cdm::{Error, ErrorKind, Result, Source, Version};
use http::{HeaderMap, HeaderValue, Method, Request, Response as HttpResponse, StatusCode, header};
use hyper::body::Incoming;

pub use self::limits::is_data;
use self::limits::{holding, in_time, read_away};
use super::{
    Phase, Shared,
    answers::{About, Key, Way},
    error,
    error::Audience,
    files,
    layers::{SignedIn, chain},
    live::Live,
    mender::Framing,
    metrics::Now,
    origin::origin,
    respond::{Asked, Body, Seek, empty, respond},
    routes::{Candidate, CatalogFormat, Fixed, Response, Route, is_allowed, route},
    stall::Flushes,
};
use crate::{
    access::{Caller, User},
    catalog::{DatasetName, View},
    protocols::{self, Largest, Reply, dap2, dap4, ncml, pages, zarr},
};

/// When who was told that the server is busy may come again, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// What a request's connection knows.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    pub(super) port: Port,
    pub(super) framing: Framing,
    pub(super) flushes: Flushes,
    /// Nobody on the way can read it.
    pub(super) is_secure: bool,
}

/// What a port of the server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// Everything, but for the metrics when they have a port of their own.
    All,
    /// The metrics and the probes alone.
    Metrics,
}

/// A request as the functions below see it.
struct Call<'a> {
    shared: &'a Shared,
    /// The configuration that this request is answered by, whatever happens meanwhile.
    live: &'a Live,
    method: &'a Method,
    headers: &'a HeaderMap,
    flushes: &'a Flushes,
    peer: IpAddr,
    port: Port,
    path: &'a str,
    query: Option<&'a str>,
    id: &'a str,
    /// See [`origin`].
    origin: String,
    /// Relative URL of the server's top.
    top: String,
    /// The signed link that the address began with: `/~TOKEN`.
    link: Option<&'a str>,
    /// The data, as whoever asks sees them.
    data: View<'a>,
    /// Who asks has not said who they are, and might.
    may_sign_in: bool,
    /// Who they said they are.
    user: Option<Arc<User>>,
    /// What its answer depends on, once that is asked for.
    key: OnceLock<Key>,
}

/// Answers `request`. Errors are answers too.
pub(super) async fn handle(
    shared: &Shared,
    connection: &Connection,
    request: Request<Incoming>,
    id: &str,
) -> HttpResponse<Body> {
    let (parts, body) = request.into_parts();
    let live = shared.live.load_full();
    let (link, path) = who::split(parts.uri.path(), &live);
    let mut call = Call {
        shared,
        live: &live,
        method: &parts.method,
        headers: &parts.headers,
        flushes: &connection.flushes,
        peer: connection.peer.ip(),
        port: connection.port,
        path,
        query: parts.uri.query(),
        id,
        origin: String::new(),
        top: "../".repeat(path.bytes().filter(|b| *b == b'/').count().saturating_sub(1)),
        link,
        data: live.seen_by(Caller::Anyone),
        may_sign_in: false,
        user: None,
        key: OnceLock::new(),
    };
    let mut close = connection.framing.has_body();
    let mut response = match refuse(&mut call, connection, body, &parts.uri).await {
        Some((status, message)) => {
            // Where it is not certain what was asked, what follows is not certain either.
            close |= status == StatusCode::BAD_REQUEST;
            call.plain(error::with_status(status, message, call.audience())).await
        }
        None if live.access.is_open() => call.answer().await,
        None => match Box::pin(call.let_in(connection)).await {
            Some(refused) => refused,
            None => call.answer().await,
        },
    };
    call.guard(&mut response);
    if response.status() == StatusCode::METHOD_NOT_ALLOWED || call.method == Method::OPTIONS {
        response.headers_mut().insert(header::ALLOW, METHODS);
    }
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().entry(header::RETRY_AFTER).or_insert(RETRY_AFTER);
    }
    if let Some(user) = call.user.take() {
        response.extensions_mut().insert(SignedIn(user));
    }
    if close {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What HTTP itself forbids, before any route is looked at (promises R17, R19, R21).
async fn refuse(
    call: &mut Call<'_>,
    connection: &Connection,
    body: Incoming,
    uri: &http::Uri,
) -> Option<(StatusCode, &'static str)> {
    if connection.framing.is_ambiguous() {
        return Some((StatusCode::BAD_REQUEST, "the request says the length of its body twice"));
    }
    if connection.framing.has_body() {
        let patience = call.live.config.limits.header_timeout;
        if let Some(refused) = Box::pin(read_away(body, patience)).await {
            return Some(refused);
        }
    }
    if !is_allowed(call.method) {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and OPTIONS are answered"));
    }
    let len = call.path.len() + call.query.map_or(0, |q| q.len() + 1);
    if len as u64 > call.live.config.limits.uri {
        return Some((StatusCode::URI_TOO_LONG, "the URL is too long; ask for fewer variables at a time"));
    }
    if !uri.path().starts_with('/') && call.method != Method::OPTIONS {
        return Some((StatusCode::BAD_REQUEST, "the path does not begin with a slash"));
    }
    match origin(
        &call.live.config,
        call.headers,
        (connection.peer.ip(), connection.is_secure),
        call.shared.local,
    ) {
        Ok(origin) => call.origin = origin + call.link.unwrap_or_default(),
        Err(refused) => return Some(refused),
    }
    None
}

impl Call<'_> {
    fn audience(&self) -> Audience<'_> {
        Audience { headers: self.headers, title: &self.live.config.title, top: &self.top, id: self.id }
    }

    fn asked(&self) -> Asked<'_> {
        Asked { method: self.method, headers: self.headers, flushes: Some(self.flushes) }
    }

    async fn answer(&self) -> HttpResponse<Body> {
        if self.method == Method::OPTIONS {
            return self.options();
        }
        if self.port == Port::All
            && let Some(kept) = self.kept_by_way().await
            && let Ok(response) = kept.answer(self.asked()).await
        {
            return response;
        }
        let limits = &self.live.config.limits;
        // What is asked for most is small; the rest is boxed, so that it does not make every request large.
        let route = route(self.path);
        let is_about_data = !matches!(route, Ok(Route::Fixed(_)) | Err(_));
        let outcome = match route {
            Ok(Route::Fixed(Fixed::Metrics)) => Box::pin(self.metrics()).await,
            Ok(route) if self.port == Port::Metrics && !matches!(route, Route::Fixed(_)) => {
                Err(Error::not_found("data are at the server's other port"))
            }
            Ok(Route::Dataset { mount, candidates }) => self.dataset(mount, &candidates).await,
            Ok(Route::Catalog { folder, format }) => {
                in_time(limits.metadata_timeout, Box::pin(self.catalog(&folder, format))).await
            }
            Ok(Route::File { dataset }) => in_time(limits.data_timeout, Box::pin(self.file(&dataset))).await,
            Ok(Route::Fixed(Fixed::Sitemap)) => {
                in_time(limits.metadata_timeout, Box::pin(self.sitemap())).await
            }
            Ok(Route::Fixed(fixed)) => Ok(Box::pin(self.fixed(fixed)).await),
            Err(e) => Err(e),
        };
        match outcome {
            Ok(response) => response,
            Err(e) => {
                self.log(&e);
                let response = self.plain(error::reply(&e, self.audience())).await;
                let is_missing = is_about_data && e.kind() == ErrorKind::NotFound;
                if is_missing { self.not_found(response).await } else { response }
            }
        }
    }

    async fn metrics(&self) -> Result<HttpResponse<Body>> {
        if self.port == Port::All && !self.shared.shows_metrics {
            return Err(Error::not_found("metrics are at the server's other port"));
        }
        let limits = &self.live.config.limits;
        // Each connection has a receiver, and so has each loop that accepts them.
        let loops = if self.shared.shows_metrics { 1 } else { 2 };
        let connections = self.shared.phase.receiver_count().saturating_sub(loops);
        let text = self.shared.metrics.text(&Now {
            connections,
            most_connections: limits.connections,
            data_answers: self.live.data_answers(),
            most_data_answers: limits.data_responses,
            engine: self.live.engine(),
            memory: limits.memory,
            stores: self.live.store_calls(),
            is_draining: *self.shared.phase.borrow() != Phase::Running,
        });
        let media_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        let headers = [(header::CONTENT_TYPE, media_type)].into_iter().collect();
        Ok(self.plain(Reply::text(StatusCode::OK, headers, text)).await)
    }

    async fn fixed(&self, fixed: Fixed) -> HttpResponse<Body> {
        let (status, media_type, text) = match fixed {
            Fixed::Live => (StatusCode::OK, "text/plain; charset=utf-8", "live\n"),
            Fixed::Ready => {
                let running = *self.shared.phase.borrow() == Phase::Running;
                if running && self.live.is_ready().await {
                    (StatusCode::OK, "text/plain; charset=utf-8", "ready\n")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", "not ready\n")
                }
            }
            Fixed::Style => {
                (StatusCode::OK, "text/css; charset=utf-8", include_str!("../../templates/style.css"))
            }
            Fixed::Script => {
                (StatusCode::OK, "text/javascript; charset=utf-8", include_str!("../../templates/page.js"))
            }
            Fixed::Robots | Fixed::Sitemap => return self.plain(pages::robots(&self.origin)).await,
            Fixed::Favicon => (StatusCode::OK, "image/svg+xml", include_str!("../../templates/icon.svg")),
            Fixed::Metrics => (StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "there is none\n"),
        };
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))].into_iter().collect();
        let mut reply = Reply::text(status, headers, text);
        let is_asset = matches!(fixed, Fixed::Style | Fixed::Script | Fixed::Favicon);
        reply.identity = is_asset.then(|| format!("{fixed:?}"));
        let version = Version { identity: env!("CARGO_PKG_VERSION").into(), modified: None };
        self.send(reply, is_asset.then_some(&version)).await
    }

    /// A redirect to a relative address.
    fn found(location: &str) -> Result<HttpResponse<Body>> {
        let mut response = HttpResponse::new(empty());
        *response.status_mut() = StatusCode::FOUND;
        let location = HeaderValue::from_str(location)
            .map_err(|e| Error::bad_request("the path cannot be a link").with_source(e))?;
        response.headers_mut().insert(header::LOCATION, location);
        Ok(response)
    }

    async fn file(&self, name: &DatasetName) -> Result<HttpResponse<Body>> {
        let object = match self.data.object(name).await {
            Ok(object) => Arc::new(object),
            Err(e) if e.kind() == ErrorKind::NotFound => return self.folder(name, e).await,
            Err(e) => return Err(e),
        };
        let engine = self.live.reader();
        let seek = |range| files::bytes(&object, range, &engine);
        let lane = self.lane().await?;
        let reply = holding(files::reply(name, &object, &engine), lane);
        respond(reply, self.asked(), Some(&object.version), Some(&seek as Seek<'_>)).await
    }

    /// A path without its final slash that names a folder is sent there; else the error stands.
    async fn folder(&self, name: &DatasetName, error: Error) -> Result<HttpResponse<Body>> {
        if self.data.list(name).await.is_err() {
            return Err(error);
        }
        let last = self.path.rsplit('/').next().unwrap_or_default();
        // `./` keeps a colon in the name from looking like a scheme.
        Self::found(&format!("./{last}/"))
    }

    async fn dataset(&self, mount: &str, candidates: &[Candidate]) -> Result<HttpResponse<Body>> {
        let patience = self.live.config.limits.metadata_timeout;
        for (at, candidate) in candidates.iter().enumerate() {
            let found = match in_time(patience, self.data.stat(&candidate.dataset)).await {
                Ok(found) => found,
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            let way = self.way(candidates, at, &found);
            let answered = async {
                let opened = self.data.open_found(&candidate.dataset, found).await;
                if let Ok(source) = &opened
                    && let Some(kept) = self.kept(&About::source(source))
                {
                    return kept.answer(self.asked()).await;
                }
                Ok(Box::pin(self.respond_dataset(mount, candidate, opened, way)).await)
            };
            let patience = self.patience(candidate);
            let Ok(answered) = tokio::time::timeout(patience, answered).await else {
                return Ok(self.late(mount, candidate, patience).await);
            };
            return answered;
        }
        let (Some(bare), Some(last)) = (candidates.first(), candidates.last()) else {
            return Err(Error::internal("a dataset route without candidates"));
        };
        let missing = Error::not_found(format!("there is no dataset {}", last.dataset));
        if last.suffix.is_empty() {
            return Box::pin(self.folder(&bare.dataset, missing)).await;
        }
        let response = self.refused(mount, last, &missing).await;
        Ok(self.not_found(response).await)
    }

    async fn respond_dataset(
        &self,
        mount: &str,
        candidate: &Candidate,
        mut opened: Result<Arc<dyn Source>>,
        mut way: Option<Way>,
    ) -> HttpResponse<Body> {
        let base_url = self.base_url(mount, &candidate.dataset);
        let request = self.front_request(&candidate.dataset, &base_url);
        let mut retried = false;
        loop {
            let error = match opened {
                Ok(source) => match self.try_dataset(candidate, &request, source, way.take()).await {
                    Ok(response) if response.status() != StatusCode::CONFLICT || retried => return response,
                    Ok(_) => Error::new(ErrorKind::Changed, "the dataset changed"),
                    Err(e) => e,
                },
                Err(e) => e,
            };
            // It was replaced while it was read: once more with the new one (then 409).
            if error.kind() == ErrorKind::Changed && !retried {
                self.data.forget(&candidate.dataset).await;
                self.live.answers.forget();
                opened = self.data.open(&candidate.dataset).await;
                retried = true;
                continue;
            }
            self.log(&error);
            return self.plain(front_error(&candidate.response, &error, &request)).await;
        }
    }

    async fn try_dataset(
        &self,
        candidate: &Candidate,
        request: &protocols::Request<'_>,
        source: Arc<dyn Source>,
        way: Option<Way>,
    ) -> Result<HttpResponse<Body>> {
        let version = source.version().cloned();
        let about = About::source(&source);
        let limits = &self.live.config.limits;
        let mut is_page = false;
        // A chunk of the Zarr view is read before there is a reply.
        let lane = match &candidate.response {
            Response::Zarr(response) if response.is_data() => Some(self.lane().await?),
            _ => None,
        };
        let mut reply = match &candidate.response {
            Response::Dap4(response) => match dap4::wanted(*response, request) {
                Ok(dap4::Wanted::Answer(response)) => {
                    let options = dap4::Options {
                        checksums: self.live.config.dap4_checksum,
                        origin: &self.origin,
                        largest_text: limits.response_text,
                    };
                    dap4::respond(request, response, source, options).await
                }
                Ok(dap4::Wanted::Page) => {
                    is_page = true;
                    self.dataset_page(candidate, request, source, pages::Form::Html).await?
                }
                Err(refusal) => refusal,
            },
            Response::Page(form) => {
                is_page = true;
                self.dataset_page(candidate, request, source, *form).await?
            }
            Response::Dap2(response) => dap2::respond(request, *response, source).await,
            Response::Ncml => ncml::respond(request, source.dataset()),
            Response::Zarr(response) => {
                let options = zarr::Options {
                    origin: &self.origin,
                    largest_text: limits.response_text,
                    workspace: &self.live.workspace,
                };
                zarr::respond(request, response, source, options).await?
            }
        };
        let limit = if reply.compressible { limits.response_text } else { limits.response_binary };
        if reply.status.is_success() && reply.length.is_some_and(|len| len > limit) {
            return Err(Error::too_large(format!(
                "the answer would be {} bytes and the limit is {limit}; ask for fewer variables or a part of them",
                reply.length.unwrap_or_default()
            )));
        }
        let is_data = is_data(candidate);
        if reply.status.is_success() && is_data {
            let lane = match lane {
                Some(lane) => lane,
                None => self.lane().await?,
            };
            reply = holding(reply, lane);
        }
        // A page shows what else is known by now.
        if is_page {
            return respond(reply, self.asked(), version.as_ref(), None).await;
        }
        self.keep((about, way), reply, version.as_ref(), is_data).await
    }

    fn base_url(&self, mount: &str, dataset: &DatasetName) -> String {
        format!("{}{mount}/{}", self.origin, dataset.to_url())
    }

    fn front_request<'a>(&'a self, dataset: &'a DatasetName, base_url: &'a str) -> protocols::Request<'a> {
        protocols::Request {
            dataset: dataset.as_str(),
            base_url,
            query: self.query,
            headers: self.headers,
            id: self.id,
            largest: Largest {
                binary: self.live.config.limits.response_binary,
                text: self.live.config.limits.response_text,
            },
        }
    }

    /// Sends a reply whose body is at hand.
    async fn plain(&self, reply: Reply) -> HttpResponse<Body> {
        self.send(reply, None).await
    }

    async fn send(&self, reply: Reply, version: Option<&Version>) -> HttpResponse<Body> {
        match Box::pin(respond(reply, self.asked(), version, None)).await {
            Ok(response) => response,
            Err(e) => {
                self.log(&e);
                let mut response = HttpResponse::new(empty());
                *response.status_mut() = protocols::status_of(e.kind());
                response
            }
        }
    }

    /// Faults that are not the client's go to the log with their causes.
    fn log(&self, error: &Error) {
        if protocols::status_of(error.kind()).is_server_error() {
            let path: Cow<'_, str> = self.path.into();
            tracing::warn!(id = %self.id, path = %path, error = %chain(error), "a request failed");
        } else {
            tracing::debug!(id = %self.id, error = %chain(error), "a request was refused");
        }
    }
}

fn front_error(response: &Response, error: &Error, request: &protocols::Request<'_>) -> Reply {
    match response {
        Response::Dap4(_) | Response::Page(_) | Response::Ncml => dap4::error(error, request),
        Response::Dap2(_) => dap2::error(error, request),
        Response::Zarr(_) => zarr::error(error, request),
    }
}
