//! What the HTTP library alone reaches: one answer that is kept, given to whoever asks.

use std::{convert::Infallible, fs, io::Write, path::PathBuf, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Request, Response,
    body::Incoming,
    header::{HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::Result;

/// About what a line of an access log has.
const LINE: [u8; 200] = [b'.'; 200];

/// Most headers of an answer.
const HEADERS: usize = 64;

/// What is done for each request besides.
#[derive(Debug)]
pub(crate) struct Chores {
    /// Files that are looked at, whether they are there or not.
    pub(crate) looks: Vec<PathBuf>,
    /// Where a line is added.
    pub(crate) log: Option<PathBuf>,
}

/// Gives the `answer`, a whole HTTP/1.1 response, on two threads, until it is killed.
pub(crate) fn serve(answer: &[u8], chores: Chores) -> Result<()> {
    let (headers, body) = parsed(answer)?;
    let log =
        chores.log.as_ref().map(|log| fs::File::options().append(true).create(true).open(log)).transpose()?;
    let kept = Arc::new((headers, body, chores.looks, log));
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let kept = Arc::clone(&kept);
            let answer = service_fn(move |_: Request<Incoming>| {
                let (headers, body, looks, log) = &*kept;
                for look in looks {
                    let _ = fs::metadata(look);
                }
                let _ = log.as_ref().map(|mut log| log.write_all(&LINE));
                let mut response = Response::new(Full::new(body.clone()));
                *response.headers_mut() = headers.clone();
                async { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    })
}

fn parsed(answer: &[u8]) -> Result<(HeaderMap, Bytes)> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(len) = head.parse(answer)? else { return Err("half an answer".into()) };
    let mut headers = HeaderMap::new();
    for field in head.headers.iter() {
        headers.append(HeaderName::from_bytes(field.name.as_bytes())?, HeaderValue::from_bytes(field.value)?);
    }
    Ok((headers, Bytes::copy_from_slice(answer.get(len..).unwrap_or_default())))
}
