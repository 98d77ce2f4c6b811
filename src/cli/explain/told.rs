//! What is told of a URL, and how it is found out: the server's routes, front ends and limits, over an engine that
//! rehearses.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use cdm::{Error, ErrorKind, Source};
use futures::StreamExt;
use handlers::{chunked::Rehearsed, storage::Meter};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;

use super::address::Address;
use crate::{
    catalog::{Catalog, DatasetName},
    config::Config,
    protocols::{self, Reply, Selected, dap2, dap4, ncml, status_of, zarr},
    server::{Candidate, CatalogFormat, Fixed, Response, Route, is_data, route},
};

/// How much of an answer is really made, to see how long it takes.
const SAMPLE: (Duration, u64) = (Duration::from_millis(500), 64 << 20);

/// How long it may take to find out what would be read.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is told.
#[derive(Debug, Default, Serialize)]
pub(super) struct Told {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    pub(super) asks_for: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dataset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) variables: Option<Vec<Selected>>,
    pub(super) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
    pub(super) media_type: String,
    /// Of the answer's body; `None` when only making it tells.
    pub(super) bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reads: Option<Reads>,
    pub(super) checks: Vec<Check>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<Time>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
}

/// What is read for it when nothing of it is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Reads {
    pub(super) bytes: u64,
    pub(super) chunks: u64,
    pub(super) encoded: u64,
    pub(super) unwritten: u64,
    pub(super) objects: u64,
    pub(super) unknown: u64,
    pub(super) is_part: bool,
}

impl From<Rehearsed> for Reads {
    fn from(counted: Rehearsed) -> Self {
        let Rehearsed { chunks, encoded, unwritten, objects, bytes, unknown, is_part } = counted;
        Self { bytes, chunks, encoded, unwritten, objects, unknown, is_part }
    }
}

/// A limit of the server.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) value: u64,
    pub(super) limit: u64,
    pub(super) holds: bool,
}

/// How long making the answer may take.
#[derive(Debug, Serialize)]
pub(super) struct Time {
    pub(super) seconds: f64,
    pub(super) basis: String,
}

impl Told {
    /// Whether the server would give what is asked for.
    pub(super) fn is_answered(&self) -> bool {
        self.status < 400
    }

    fn refused(&mut self, error: &Error) {
        self.status = status_of(error.kind()).as_u16();
        self.problem = Some(error.message().to_owned());
    }

    fn check(&mut self, name: &'static str, value: u64, limit: u64) {
        self.checks.push(Check { name, value, limit, holds: value <= limit });
    }
}

/// All that can be told of `address` at a server with these settings.
pub(super) async fn told(address: Address, config: &Config, catalog: &Catalog) -> Told {
    let Address { origin, path, query } = address;
    let origin = config.public_url.clone().or(origin).unwrap_or_else(|| format!("http://{}", config.listen));
    let mut told = Told { path, query, status: 200, ..Told::default() };
    let len = told.path.len() + told.query.as_ref().map_or(0, |query| query.len() + 1);
    told.check("limits.uri", len as u64, config.limits.uri);
    if len as u64 > config.limits.uri {
        told.asks_for = "more than a URL may say".into();
        told.status = StatusCode::URI_TOO_LONG.as_u16();
        told.problem = Some("the URL is too long; ask for fewer variables at a time".to_owned());
        return told;
    }
    let found = match route(&told.path) {
        Ok(route) => by_route(&mut told, route, &origin, (config, catalog)).await,
        Err(e) => Err(e),
    };
    if let Err(e) = found {
        if told.asks_for.is_empty() {
            told.asks_for = "nothing that is here".into();
        }
        told.refused(&e);
    }
    told
}

async fn by_route(
    told: &mut Told,
    route: Route,
    origin: &str,
    (config, catalog): (&Config, &Catalog),
) -> cdm::Result<()> {
    match route {
        Route::Fixed(fixed) => {
            told.asks_for = match fixed {
                Fixed::Live => "whether the process answers (a probe)",
                Fixed::Ready => "whether the server can serve (a probe)",
                Fixed::Metrics => "metrics, for Prometheus",
                Fixed::Style | Fixed::Script | Fixed::Favicon => "a part of the pages",
                Fixed::Robots | Fixed::Sitemap => "what leads search engines to the datasets",
            }
            .into();
            Ok(())
        }
        Route::Catalog { folder, format } => {
            let form = match format {
                CatalogFormat::Xml => "as a THREDDS catalog",
                CatalogFormat::Latest => "of which the newest dataset, as a THREDDS catalog",
                CatalogFormat::Html => "as a page",
                CatalogFormat::Json => "as JSON",
            };
            told.asks_for = format!("the folder '{folder}' {form}").into();
            let listing = catalog.list(&folder).await?;
            let (datasets, folders) = (listing.datasets.len(), listing.folders.len());
            told.notes
                .push(format!("it holds {datasets} datasets and {folders} folders; none is opened for it"));
            Ok(())
        }
        Route::File { dataset } => {
            told.asks_for = "the stored file itself, or ranges of it".into();
            told.dataset = Some(dataset.to_string());
            let size = catalog.object(&dataset).await?.size;
            told.bytes = Some(size);
            "application/octet-stream".clone_into(&mut told.media_type);
            told.check("limits.response_binary", size, config.limits.response_binary);
            Ok(())
        }
        Route::Dataset { mount, candidates } => {
            for candidate in &candidates {
                match catalog.stat(&candidate.dataset).await {
                    Ok(_) => {
                        return dataset(
                            told,
                            (origin, &format!("{origin}{mount}")),
                            candidate,
                            (config, catalog),
                        )
                        .await;
                    }
                    Err(e) if e.kind() == ErrorKind::NotFound => {}
                    Err(e) => return Err(e),
                }
            }
            let Some(last) = candidates.last() else { return Ok(()) };
            told.asks_for = named(&last.response).into();
            told.dataset = Some(last.dataset.to_string());
            if last.suffix.is_empty() && catalog.list(&last.dataset).await.is_ok() {
                told.asks_for = format!("the folder '{}', without the final slash", last.dataset).into();
                told.dataset = None;
                told.status = StatusCode::FOUND.as_u16();
                return Ok(());
            }
            Err(Error::not_found(format!("there is no dataset {}", last.dataset)))
        }
    }
}

/// What a response is called.
fn named(response: &Response) -> &'static str {
    use {dap2::Response as Dap2, dap4::Response as Dap4};
    match response {
        Response::Dap4(Dap4::Dap) => "values, as DAP4 data (.dap)",
        Response::Dap4(Dap4::Dmr | Dap4::DmrXml) => "the description, in DAP4 (.dmr)",
        Response::Dap4(Dap4::Dsr | Dap4::DsrXml) => {
            "the services of a dataset: its page, or DAP4's list (.dsr)"
        }
        Response::Dap4(Dap4::Dmrpp) => "the description with the places of the chunks (.dmrpp)",
        Response::Dap2(Dap2::Dds) => "the structure, in DAP2 (.dds)",
        Response::Dap2(Dap2::Das) => "the attributes, in DAP2 (.das)",
        Response::Dap2(Dap2::Dods) => "values, as DAP2 data (.dods)",
        Response::Dap2(Dap2::Ascii) => "values, as text (.ascii)",
        Response::Dap2(Dap2::Ver | Dap2::Help | Dap2::Info) => "what DAP2 says beside the data",
        Response::Ncml => "the description, in NcML",
        Response::Zarr(zarr::Response::Key(_)) => "what a Zarr store of the dataset holds under a key",
        Response::Zarr(zarr::Response::References) => "references to the chunks, as kerchunk writes them",
        Response::Page(_) => "the page of a dataset",
    }
}

async fn dataset(
    told: &mut Told,
    (origin, mount): (&str, &str),
    candidate: &Candidate,
    (config, catalog): (&Config, &Catalog),
) -> cdm::Result<()> {
    let name = &candidate.dataset;
    told.asks_for = named(&candidate.response).into();
    told.dataset = Some(name.to_string());
    told.format = catalog.format(name).await?;
    let source = catalog.open(name).await?;
    let query = told.query.clone();
    let asked = Asked { candidate, mount, origin, name, query: query.as_deref(), config };
    if matches!(candidate.response, Response::Page(_)) || asked.is_page() {
        told.notes.push("what is on a page is the server's to say".to_owned());
        return Ok(());
    }
    told.variables = asked.selected(&source)?;
    let reply = asked.reply(Arc::clone(&source)).await?;
    told.status = reply.status.as_u16();
    let media_type = reply.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    media_type.unwrap_or_default().clone_into(&mut told.media_type);
    told.bytes = reply.length;
    if !reply.status.is_success() {
        let (_, text) = drained(reply, SAMPLE).await?;
        told.problem = Some(String::from_utf8_lossy(&text).trim().to_owned());
        return Ok(());
    }
    let limits = &config.limits;
    let (limit, most) = if reply.compressible {
        ("limits.response_text", limits.response_text)
    } else {
        ("limits.response_binary", limits.response_binary)
    };
    if let Some(bytes) = reply.length {
        told.check(limit, bytes, most);
        if bytes > most {
            return Err(Error::too_large(format!(
                "the answer would be {bytes} bytes and the limit is {most}"
            )));
        }
    }
    if !is_data(candidate) {
        return Ok(());
    }
    let (length, meter) = (reply.length, Meter::default());
    let sample = meter.around(drained(reply, SAMPLE)).await?.0;
    told.time = Some(estimate(length, sample));
    if told.variables.is_none() {
        // One chunk, or a list of them: there is little to it, and it has been done.
        let bytes = meter.bytes();
        if sample.is_all {
            told.bytes = Some(sample.bytes);
            told.notes.push(format!("{} were read to make it", super::bytes_of(bytes)));
        }
        return Ok(());
    }
    let rehearsal = catalog.rehearse();
    let rehearsed = drained(asked.reply(source).await?, (PATIENCE, u64::MAX)).await;
    let mut reads = Reads::from(rehearsal.counted());
    match rehearsed {
        Ok((drained, _)) => reads.is_part |= !drained.is_all,
        Err(e) => {
            reads.is_part = true;
            told.notes.push(format!("not all that is read could be found out: {}", e.message()));
        }
    }
    told.reads = Some(reads);
    Ok(())
}

/// A request for a dataset.
struct Asked<'a> {
    candidate: &'a Candidate,
    /// The URL that the datasets are below.
    mount: &'a str,
    origin: &'a str,
    name: &'a DatasetName,
    query: Option<&'a str>,
    config: &'a Config,
}

impl Asked<'_> {
    /// Calls `work` with the request as a front end sees it, of a client that says nothing of itself.
    async fn with<T>(&self, work: impl AsyncFnOnce(&protocols::Request<'_>) -> T) -> T {
        let base_url = format!("{}/{}", self.mount, self.name.to_url());
        let headers = HeaderMap::new();
        let request = protocols::Request {
            dataset: self.name.as_str(),
            base_url: &base_url,
            query: self.query,
            headers: &headers,
            id: "explain",
            // What is larger than is allowed is told with its size.
            largest: protocols::Largest::default(),
        };
        work(&request).await
    }

    /// Whether people are shown a page.
    fn is_page(&self) -> bool {
        matches!(self.candidate.response, Response::Dap4(dap4::Response::Dsr))
            && self.candidate.suffix.is_empty()
    }

    /// The variables whose values are asked for; `None` when it is not values of variables.
    fn selected(&self, source: &Arc<dyn Source>) -> cdm::Result<Option<Vec<Selected>>> {
        let source = Arc::clone(source);
        let found = self.with(async |request| match self.candidate.response {
            Response::Dap4(dap4::Response::Dap) => dap4::selected(request, source).map(Some),
            Response::Dap2(dap2::Response::Dods | dap2::Response::Ascii) => {
                dap2::selected(request, source).map(Some)
            }
            _ => Ok(None),
        });
        futures::executor::block_on(found)
    }

    /// What the front end answers.
    async fn reply(&self, source: Arc<dyn Source>) -> cdm::Result<Reply> {
        let limits = &self.config.limits;
        let origin = self.origin;
        self.with(async |request| {
            Ok(match &self.candidate.response {
                Response::Dap4(response) => {
                    let options = dap4::Options {
                        checksums: self.config.dap4_checksum,
                        origin,
                        largest_text: limits.response_text,
                    };
                    dap4::respond(request, *response, source, options).await
                }
                Response::Dap2(response) => dap2::respond(request, *response, source).await,
                Response::Zarr(response) => {
                    let workspace = zarr::Workspace::new(limits.memory);
                    let options =
                        zarr::Options { origin, largest_text: limits.response_text, workspace: &workspace };
                    zarr::respond(request, response, source, options).await?
                }
                Response::Ncml | Response::Page(_) => ncml::respond(request, source.dataset()),
            })
        })
        .await
    }
}

/// What was made of an answer.
#[derive(Debug, Clone, Copy)]
struct Made {
    bytes: u64,
    time: Duration,
    is_all: bool,
}

/// Makes an answer, or so much of it; the beginning of it.
async fn drained(mut reply: Reply, (patience, most): (Duration, u64)) -> cdm::Result<(Made, Vec<u8>)> {
    const BEGINNING: usize = 4096;
    let begin = Instant::now();
    let (mut bytes, mut beginning) = (0, Vec::new());
    loop {
        let left = patience.saturating_sub(begin.elapsed());
        // Making one piece may take longer than there is time for.
        let next = tokio::time::timeout(left, reply.body.next()).await;
        let is_all = matches!(next, Ok(None));
        if let Ok(Some(item)) = next {
            let item = item?;
            bytes += item.len() as u64;
            beginning.extend(item.iter().take(BEGINNING.saturating_sub(beginning.len())));
            if bytes < most {
                continue;
            }
        }
        return Ok((Made { bytes, time: begin.elapsed(), is_all }, beginning));
    }
}

/// How long an answer of `length` bytes takes of which some were made.
fn estimate(length: Option<u64>, made: Made) -> Time {
    const NETWORK: f64 = 12.5e6;
    let taken = made.time.as_secs_f64();
    let length = if made.is_all { Some(made.bytes) } else { length };
    let network = |bytes: u64| {
        let time = super::seconds(bytes as f64 / NETWORK);
        format!("the network comes on top: {time} at 100 Mbit/s")
    };
    match length {
        _ if made.is_all => Time {
            seconds: taken,
            basis: format!(
                "it was made here just now, with nothing in memory at first; {}",
                network(made.bytes)
            ),
        },
        Some(length) if made.bytes > 0 => Time {
            seconds: taken * length as f64 / made.bytes as f64,
            basis: format!(
                "the first {} of it were made in {} here just now, with nothing in memory at first; {}",
                super::bytes_of(made.bytes),
                super::seconds(taken),
                network(length)
            ),
        },
        _ => Time {
            seconds: taken,
            basis: format!(
                "at least: {} were made in that time, and there is more",
                super::bytes_of(made.bytes)
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_say_what_they_rest_on() {
        let made = Made { bytes: 1 << 20, time: Duration::from_secs(1), is_all: false };
        let part = estimate(Some(10 << 20), made);
        assert!(
            (part.seconds - 10.0).abs() < 1e-9 && part.basis.contains("the first 1,048,576 bytes (1.0 MiB)")
        );
        let all = estimate(None, Made { is_all: true, ..made });
        assert!((all.seconds - 1.0).abs() < 1e-9, "{}", all.basis);
        assert!(estimate(None, made).basis.starts_with("at least"));
    }
}
