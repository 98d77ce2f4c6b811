//! Around every request: its id and its log line, and the panic guard.

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use cdm::{Error, ErrorKind};
use futures::FutureExt;
use handlers::storage::Meter;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{
    access_log::{AccessLog, Fields},
    label::Label,
    metrics::{Ended, Metrics},
    redact,
    respond::Body,
};
use crate::access::User;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Answers that begin sooner do not say how soon, unless they are streams.
const WORTH_TELLING: Duration = Duration::from_millis(1);

/// Characters of a query that the log shows.
const QUERY_SHOWN: usize = 200;

/// What a request is named by in the log, in error documents and in `X-Request-Id`: as the client says, when
/// that is a short plain word; else a new name.
fn id_of(headers: &HeaderMap) -> Arc<str> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let plain = |id: &str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    if let Some(id) = headers.get(REQUEST_ID).and_then(|v| v.to_str().ok()).filter(|id| plain(id)) {
        return id.into();
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut id = String::with_capacity(32);
    // Writing to memory cannot fail.
    let _ = write!(id, "{:x}-{count:x}", now.as_micros());
    id.into()
}

/// Who has signed in, as the answer carries it to the log.
#[derive(Debug, Clone)]
pub(super) struct SignedIn(pub(super) Arc<User>);

/// Answers a request of `client`, who is at `peer`, by what `answer` makes of it and its id. One log line is written when the answer
/// has ended, which is counted too. A panic is a 500; the process and other requests go on (promise R1).
pub(super) async fn traced<B, F: Future<Output = Response<Body>>>(
    (client, peer): (IpAddr, IpAddr),
    (metrics, access): (Arc<Metrics>, Option<AccessLog>),
    request: Request<B>,
    answer: impl FnOnce(Request<B>, Arc<str>) -> F,
) -> Response<Logged> {
    let id = id_of(request.headers());
    let mut line = Line {
        id: Arc::clone(&id),
        metrics,
        access,
        client,
        peer: (peer != client).then_some(peer),
        user: None,
        method: request.method().clone(),
        uri: request.uri().clone(),
        begin: Instant::now(),
        head: None,
        status: None,
        bytes: 0,
        read: Meter::default(),
        length: None,
        outcome: "cancelled",
        reason: None,
    };
    // Boxed once, before it is wrapped: each wrapping moves what it wraps.
    let answered = line.read.around(Box::pin(answer(request, Arc::clone(&id))));
    let answered = AssertUnwindSafe(answered).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| {
        line.metrics.panicked();
        tracing::error!(id = %id, "a request panicked");
        defect(&id)
    });
    let head = line.begin.elapsed();
    line.head = Some(head);
    line.status = Some(response.status());
    line.user = response.extensions_mut().remove::<SignedIn>().map(|SignedIn(user)| user);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    // What is at hand is not worth a header, and how long it took to find nothing is nobody's business.
    if !response.status().is_client_error()
        && (matches!(response.body(), Body::Made(_)) || head >= WORTH_TELLING)
        && let Ok(value) = HeaderValue::from_str(&format!("app;dur={:.1}", head.as_secs_f64() * 1000.0))
    {
        response.headers_mut().insert(SERVER_TIMING, value);
    }
    let length = response.headers().get(header::CONTENT_LENGTH);
    line.length = length.and_then(|v| v.to_str().ok()?.parse().ok());
    response.map(|inner| {
        if inner.is_end_stream() {
            line.outcome = "done";
        }
        Logged { inner, line }
    })
}

/// What is said of a panic.
fn defect(id: &str) -> Response<Body> {
    let text = format!("500 Internal Server Error: a defect of the server. Request {id}\n");
    let mut response = Response::new(Body::Whole(text.into()));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

/// What the log says of a request; written when dropped, so also for one that was cut.
#[derive(Debug)]
struct Line {
    id: Arc<str>,
    metrics: Arc<Metrics>,
    access: Option<AccessLog>,
    client: IpAddr,
    /// The proxy that passed it on.
    peer: Option<IpAddr>,
    /// Who has signed in.
    user: Option<Arc<User>>,
    method: Method,
    uri: Uri,
    begin: Instant,
    /// How long it took until the answer began.
    head: Option<Duration>,
    status: Option<StatusCode>,
    bytes: u64,
    /// What is read from storage for it.
    read: Meter,
    /// What was announced: hyper does not ask for the end of a body whose length it knows.
    length: Option<u64>,
    outcome: &'static str,
    /// Why it failed.
    reason: Option<&'static str>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let whole = self.begin.elapsed();
        let (label, dataset) = Label::of(self.uri.path());
        let read = self.read.bytes();
        self.metrics.answered(Ended {
            label,
            status: self.status,
            outcome: self.outcome,
            bytes: self.bytes,
            read,
            head: self.head.unwrap_or(whole),
            whole,
        });
        self.audit();
        if !tracing::enabled!(target: "thalweg::access", tracing::Level::INFO) {
            return;
        }
        let fields = Fields {
            request: &Described { method: &self.method, uri: &self.uri },
            id: &self.id,
            client: self.client,
            peer: self.peer,
            user: self.user.as_ref().map(|user| user.name.as_str()),
            route: label.name(),
            dataset,
            status: self.status.map(|s| s.as_u16()),
            bytes: self.bytes,
            read,
            ms: u64::try_from(whole.as_millis()).unwrap_or(u64::MAX),
            outcome: self.outcome,
            reason: self.reason,
        };
        if !self.access.is_some_and(|access| access.write(&fields)) {
            trace(&fields);
        }
    }
}

impl Line {
    /// Says who was refused what (promise R35).
    fn audit(&self) {
        let denied = match self.status {
            Some(StatusCode::UNAUTHORIZED) => "not authenticated",
            Some(StatusCode::FORBIDDEN) => "forbidden",
            _ => return,
        };
        self.metrics.denied();
        tracing::info!(
            target: "thalweg::audit",
            id = %self.id,
            client = %self.client,
            peer = self.peer.map(tracing::field::display),
            user = self.user.as_ref().map(|user| user.name.as_str()),
            status = self.status.map(|s| s.as_u16()),
            denied,
            "{}",
            Described { method: &self.method, uri: &self.uri },
        );
    }
}

/// Says it as everything else is said.
pub(super) fn trace(fields: &Fields<'_>) {
    tracing::info!(
        target: "thalweg::access",
        id = %fields.id,
        client = %fields.client,
        peer = fields.peer.map(tracing::field::display),
        user = fields.user,
        route = fields.route,
        dataset = fields.dataset,
        status = fields.status,
        bytes = fields.bytes,
        read = fields.read,
        ms = fields.ms,
        outcome = fields.outcome,
        reason = fields.reason,
        "{}",
        fields.request,
    );
}

/// A request as the log shows it.
struct Described<'a> {
    method: &'a Method,
    uri: &'a Uri,
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, redact::path(self.uri.path()))?;
        let Some(query) = self.uri.query() else { return Ok(()) };
        let query = &*redact::query(query);
        let shown = query.char_indices().nth(QUERY_SHOWN).and_then(|(end, _)| query.get(..end));
        write!(f, "?{}", shown.unwrap_or(query))?;
        if query.len() > QUERY_SHOWN {
            let hash = xxhash_rust::xxh3::xxh3_64(query.as_bytes());
            write!(f, "...({} bytes, {hash:016x})", query.len())?;
        }
        Ok(())
    }
}

/// A body that counts for its log line.
pub(super) struct Logged {
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
        let polled = match &mut this.inner {
            Body::Made(_) => this.line.read.within(|| Pin::new(&mut this.inner).poll_frame(context)),
            Body::Whole(_) => Pin::new(&mut this.inner).poll_frame(context),
        };
        let frame = std::task::ready!(polled);
        match &frame {
            Some(Ok(frame)) => {
                this.line.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if this.line.length == Some(this.line.bytes) {
                    this.line.outcome = "done";
                }
            }
            Some(Err(e)) => {
                (this.line.outcome, this.line.reason) = ("failed", Some(reason(e.kind())));
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

/// Why an answer was cut, in a word.
fn reason(kind: ErrorKind) -> &'static str {
    use ErrorKind as K;
    match kind {
        K::BadRequest => "bad_request",
        K::NotFound => "not_found",
        K::Forbidden => "forbidden",
        K::TooLarge => "too_large",
        K::Unsupported => "unsupported",
        K::Changed => "changed",
        K::Corrupt => "corrupt",
        K::Storage => "storage",
        K::TimedOut => "timed_out",
        K::Overloaded => "overloaded",
        K::Internal => "defect",
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_500_with_the_request_id() {
        let panicking = |_: Request<()>, _| async {
            let answers: Vec<fn() -> Response<Body>> = Vec::new();
            answers[0]()
        };
        let metrics = Arc::new(Metrics::new());
        let client = IpAddr::from([127, 0, 0, 1]);
        let request = Request::builder().header("x-request-id", "abc-1").body(()).unwrap();
        let response = traced((client, client), (Arc::clone(&metrics), None), request, panicking).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["x-request-id"], "abc-1");
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert!(text.ends_with(b"Request abc-1\n"));
        let counts = metrics.text(&crate::server::metrics::Now::default());
        assert!(counts.contains("\nthalweg_panics_total 1\n"));
        assert!(counts.contains("class=\"5xx\",outcome=\"done\"} 1\n"), "{counts}");
    }

    #[test]
    fn ids() {
        let with = |id: &str| id_of(&[(REQUEST_ID, id.parse().unwrap())].into_iter().collect());
        assert_eq!(&*with("a.b-c_1"), "a.b-c_1");
        for bad in ["a b", "<x>", "", &"a".repeat(65)] {
            assert_ne!(&*with(bad), bad);
        }
        let none = HeaderMap::new();
        assert_ne!(id_of(&none), id_of(&none));
    }

    #[test]
    fn requests_in_the_log() {
        let check = |uri: &str, expect: &str| {
            let uri = uri.parse().unwrap();
            assert_eq!(Described { method: &Method::GET, uri: &uri }.to_string(), expect);
        };
        check("/a", "GET /a");
        check("/a?b=c", "GET /a?b=c");
        let long = "x".repeat(201);
        let hash = xxhash_rust::xxh3::xxh3_64(long.as_bytes());
        check(&format!("/a?{long}"), &format!("GET /a?{}...(201 bytes, {hash:016x})", "x".repeat(200)));
    }
}
