//! An S3 server on the loopback interface over a folder: `s3s` with signatures checked, and before it what
//! counts requests, answers conditions as S3 does, and misbehaves when told to.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;

pub(crate) const KEY: &str = "AKLOOPBACK";
pub(crate) const SECRET: &str = "loopback-hunter2";

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, Failure>;

/// One request that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `LIST`, or the method.
    pub(crate) kind: String,
    pub(crate) path: String,
    pub(crate) range: String,
    pub(crate) status: u16,
    /// It says which version is wanted.
    pub(crate) if_match: bool,
}

/// What goes wrong with the requests that have this in their path, as often as that.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) path: &'static str,
    pub(crate) times: usize,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    Status(u16),
    /// Answers after this time.
    Late(Duration),
    /// The connection ends in the middle of the body.
    Short,
    /// The connection ends without an answer.
    Reset,
    /// Does not mind which version is asked for, and answers with another.
    OtherTag,
}

#[derive(Debug, Default)]
struct State {
    seen: Vec<Seen>,
    faults: Vec<Fault>,
}

/// The server; its folder's folders are the buckets.
pub(crate) struct S3 {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
}

impl S3 {
    /// A server with the bucket `data`, that wants signatures or does not.
    pub(crate) fn start(is_signed: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (root, shared) = (dir.path().to_owned(), Arc::clone(&state));
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || serve(&root, is_signed, &shared, &tell));
        let address = told.recv().unwrap();
        Self { dir, endpoint: format!("http://{address}"), state }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join("data").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// What the server of data needs to know in its environment.
    pub(crate) fn environment(&self) -> [(&str, &str); 3] {
        [("AWS_ENDPOINT_URL", &*self.endpoint), ("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)]
    }

    /// The requests since this was asked last.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }

    /// How many requests of each kind, in the order of kinds, since this was asked last.
    pub(crate) fn counts(&self) -> Vec<(String, usize)> {
        let mut counts = std::collections::BTreeMap::new();
        for seen in self.seen() {
            *counts.entry(seen.kind).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    pub(crate) fn fail(&self, path: &'static str, times: usize, what: What) {
        self.state.lock().unwrap().faults.push(Fault { path, times, what });
    }

    pub(crate) fn mend(&self) {
        self.state.lock().unwrap().faults.clear();
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn serve(root: &Path, is_signed: bool, state: &Arc<Mutex<State>>, tell: &mpsc::Sender<SocketAddr>) {
    let mut builder = S3ServiceBuilder::new(FileSystem::new(root).unwrap());
    if is_signed {
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
    }
    let s3 = builder.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    tell.send(listener.local_addr().unwrap()).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (s3, state) = (s3.clone(), Arc::clone(state));
        let service = service_fn(move |request| answer(s3.clone(), Arc::clone(&state), request));
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // A client may go away, and a fault may be wanted.
            let _ = connection.await;
        });
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn empty(status: u16) -> Response<Body> {
    let body = Full::new(Bytes::new()).map_err(|e: Infallible| match e {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

async fn answer(
    s3: S3Service,
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
    let is_list = request.uri().query().is_some_and(|q| q.contains("list-type=2"));
    let kind = if is_list { "LIST".to_owned() } else { request.method().to_string() };
    let fault = {
        let mut state = state.lock().unwrap();
        let found = state.faults.iter_mut().find(|f| f.times > 0 && path.contains(f.path));
        found.map(|fault| {
            fault.times -= 1;
            fault.what
        })
    };
    let (if_match, if_none_match) = (header(&headers, "if-match"), header(&headers, "if-none-match"));
    let see = |status: u16| {
        let range = header(&headers, "range").to_owned();
        let (kind, path) = (kind.clone(), path.clone());
        state.lock().unwrap().seen.push(Seen { kind, path, range, status, if_match: !if_match.is_empty() });
    };
    match fault {
        Some(What::Status(status)) => {
            see(status);
            return Ok(empty(status));
        }
        Some(What::Reset) => {
            see(0);
            return Err("a reset was wanted".into());
        }
        Some(What::Late(time)) => tokio::time::sleep(time).await,
        _ => {}
    }
    let mut response = s3.call(request.map(s3s::Body::from)).await?;
    let tag = header(response.headers(), "etag").to_owned();
    if response.status().is_success() && !is_list {
        if !if_match.is_empty() && if_match != tag {
            see(412);
            return Ok(empty(412));
        }
        if !if_none_match.is_empty() && if_none_match == tag {
            see(304);
            return Ok(empty(304));
        }
    }
    if matches!(fault, Some(What::OtherTag)) {
        response.headers_mut().insert("etag", "\"another\"".parse().unwrap());
    }
    see(response.status().as_u16());
    let (parts, body) = response.into_parts();
    let body = if matches!(fault, Some(What::Short)) {
        let bytes = BodyExt::collect(body).await.map_err(|e| e.to_string())?.to_bytes();
        let half = Frame::data(bytes.slice(..bytes.len() / 2));
        let items = [Ok(half), Err(Failure::from("a cut was wanted"))];
        // The first half is on its way before the connection ends.
        let slow = futures::stream::iter(items).then(|item| async {
            if item.is_err() {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            item
        });
        StreamBody::new(slow).boxed_unsync()
    } else {
        body.map_err(|e| Failure::from(e.to_string())).boxed_unsync()
    };
    Ok(Response::from_parts(parts, body))
}
