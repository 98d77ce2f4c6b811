//! Layers around the handler: the request's id and its log line, and the panic guard.

use std::{
    convert::Infallible,
    fmt::Write as _,
    net::IpAddr,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use cdm::Error;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tower::{Layer, Service};

use super::{metrics::Metrics, respond::Body};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Characters of a query that the log shows.
const QUERY_SHOWN: usize = 200;

/// Names a request in the log, in error documents and in `X-Request-Id`.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) Arc<str>);

impl RequestId {
    /// The client's, when it is a short plain word; else a new one.
    fn of(headers: &http::HeaderMap) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let plain = |id: &str| {
            (1..=64).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        if let Some(id) = headers.get(REQUEST_ID).and_then(|v| v.to_str().ok()).filter(|id| plain(id)) {
            return Self(id.into());
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{:x}-{count:x}", now.as_micros()).into())
    }
}

/// Gives each request its [`RequestId`] and writes one log line when its answer has ended, which is counted too.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    pub(super) peer: IpAddr,
    pub(super) metrics: Arc<Metrics>,
}

impl<S> Layer<S> for Trace {
    type Service = Tracing<S>;

    fn layer(&self, inner: S) -> Tracing<S> {
        Tracing { inner, peer: self.peer, metrics: Arc::clone(&self.metrics) }
    }
}

/// See [`Trace`].
#[derive(Debug, Clone)]
pub(super) struct Tracing<S> {
    inner: S,
    peer: IpAddr,
    metrics: Arc<Metrics>,
}

impl<S, B> Service<Request<B>> for Tracing<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let id = RequestId::of(request.headers());
        let mut line = Line {
            id: Arc::clone(&id.0),
            metrics: Arc::clone(&self.metrics),
            client: self.peer,
            request: describe(&request),
            begin: Instant::now(),
            status: None,
            bytes: 0,
            length: None,
            outcome: "cancelled",
        };
        request.extensions_mut().insert(id);
        let answer = self.inner.call(request);
        async move {
            let mut response = answer.await?;
            line.status = Some(response.status());
            if let Ok(value) = HeaderValue::from_str(&line.id) {
                response.headers_mut().insert(REQUEST_ID, value);
            }
            let length = response.headers().get(http::header::CONTENT_LENGTH);
            let length = length.and_then(|v| v.to_str().ok()?.parse().ok());
            Ok(response.map(|inner| {
                if inner.is_end_stream() {
                    line.outcome = "done";
                }
                line.length = length;
                BodyExt::boxed_unsync(Logged { inner, line })
            }))
        }
        .boxed()
    }
}

fn describe<B>(request: &Request<B>) -> String {
    let mut text = format!("{} {}", request.method(), request.uri().path());
    if let Some(query) = request.uri().query() {
        text.push('?');
        text.extend(query.chars().take(QUERY_SHOWN));
        if query.len() > QUERY_SHOWN {
            let hash = xxhash_rust::xxh3::xxh3_64(query.as_bytes());
            let _ = write!(text, "...({} bytes, {hash:016x})", query.len());
        }
    }
    text
}

/// What the log says of a request; written when dropped, so also for one that was cut.
#[derive(Debug)]
struct Line {
    id: Arc<str>,
    metrics: Arc<Metrics>,
    client: IpAddr,
    request: String,
    begin: Instant,
    status: Option<StatusCode>,
    bytes: u64,
    /// What was announced: hyper does not ask for the end of a body whose length it knows.
    length: Option<u64>,
    outcome: &'static str,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.metrics.answered(self.status, self.outcome, self.bytes);
        tracing::info!(
            target: "thalweg::access",
            id = %self.id,
            client = %self.client,
            status = self.status.map(|s| s.as_u16()),
            bytes = self.bytes,
            ms = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX),
            outcome = self.outcome,
            "{}",
            self.request,
        );
    }
}

/// A body that counts for its log line.
struct Logged {
    inner: Body,
    line: Line,
}

impl HttpBody for Logged {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let frame = std::task::ready!(Pin::new(&mut this.inner).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                this.line.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if this.line.length == Some(this.line.bytes) {
                    this.line.outcome = "done";
                }
            }
            Some(Err(e)) => {
                this.line.outcome = "failed";
                tracing::warn!(id = %this.line.id, error = %chain(e), "an answer was cut");
            }
            None => this.line.outcome = "done",
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An error with its causes, for the log.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Turns a panic of the handler into 500; the process and other requests go on (promise R1).
#[derive(Debug, Clone)]
pub(super) struct CatchPanics {
    pub(super) metrics: Arc<Metrics>,
}

impl<S> Layer<S> for CatchPanics {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, metrics: Arc::clone(&self.metrics) }
    }
}

/// See [`CatchPanics`].
#[derive(Debug, Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S, B> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let id =
            request.extensions().get::<RequestId>().map_or_else(|| "unknown".into(), |id| Arc::clone(&id.0));
        let metrics = Arc::clone(&self.metrics);
        let answer = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        async move {
            let Ok(answer) = answer.await else {
                metrics.panicked();
                tracing::error!(id = %id, "a request panicked");
                let text = format!("500 Internal Server Error: a defect of the server. Request {id}\n");
                let mut response = Response::new(
                    http_body_util::Full::new(Bytes::from(text))
                        .map_err(|never| match never {})
                        .boxed_unsync(),
                );
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                let plain = HeaderValue::from_static("text/plain; charset=utf-8");
                response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
                return Ok(response);
            };
            answer
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_500_with_the_request_id() {
        let panicking = tower::service_fn(|_: Request<()>| async {
            let answers: Vec<fn() -> Response<Body>> = Vec::new();
            Ok::<_, Infallible>(answers[0]())
        });
        let metrics = Arc::new(Metrics::new());
        let mut service = Trace { peer: IpAddr::from([127, 0, 0, 1]), metrics: Arc::clone(&metrics) }
            .layer(CatchPanics { metrics: Arc::clone(&metrics) }.layer(panicking));
        let request = Request::builder().header("x-request-id", "abc-1").body(()).unwrap();
        let response = service.call(request).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["x-request-id"], "abc-1");
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert!(text.ends_with(b"Request abc-1\n"));
        assert!(
            metrics.text(0, 0, handlers::chunked::Counts::default()).contains("\nthalweg_panics_total 1\n")
        );
    }

    #[test]
    fn ids() {
        let with = |id: &str| RequestId::of(&[(REQUEST_ID, id.parse().unwrap())].into_iter().collect()).0;
        assert_eq!(&*with("a.b-c_1"), "a.b-c_1");
        for bad in ["a b", "<x>", "", &"a".repeat(65)] {
            assert_ne!(&*with(bad), bad);
        }
        let none = http::HeaderMap::new();
        assert_ne!(RequestId::of(&none).0, RequestId::of(&none).0);
    }
}
