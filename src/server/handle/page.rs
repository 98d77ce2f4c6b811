//! Requests for pages: folders, datasets, and what leads search engines to them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use cdm::{
    Error, FullName, Result, Source, Version,
    coordinates::{summarise::summarise, summary::Summary},
};
use futures::future::BoxFuture;
use http::{HeaderMap, Response as HttpResponse};

use super::{Call, Candidate, kept::Listed};
use crate::{
    catalog::DatasetName,
    protocols::{
        self, Reply, dap2, dap4,
        pages::{self, Protocol, Spelled},
    },
    server::respond::Body,
};

/// Folders that a sitemap covers, and how long they may be looked for.
const MOST_FOLDERS: usize = 10_000;
const LONGEST_WALK: Duration = Duration::from_secs(8);
/// Links in file systems may lead around.
const DEEPEST_FOLDER: usize = 32;

/// A page does not wait longer for what it can do without.
const PATIENCE: Duration = Duration::from_secs(1);

impl Call<'_> {
    pub(super) fn site(&self) -> pages::Site<'_> {
        pages::Site { top: &self.top, origin: &self.origin, title: &self.live.config.title }
    }

    /// The page of a folder, in the form its URL names or the client likes better.
    pub(super) async fn folder_page(
        &self,
        folder: &DatasetName,
        form: pages::Form,
    ) -> Result<HttpResponse<Body>> {
        let (listing, about) = match self.listed(folder).await? {
            Listed::Kept(response) => return Ok(response),
            Listed::New(listing, about) => (listing, about),
        };
        let form = if form == pages::Form::Json { form } else { pages::Form::accepted(self.headers) };
        let reply = pages::folder(&listing, self.query, form, self.site())?;
        let version = Version { identity: listing.identity().into(), modified: None };
        self.keep((about, None), reply, Some(&version), false).await
    }

    /// The dataset's page, which is about what DAP4 shows of it.
    pub(super) async fn dataset_page(
        &self,
        candidate: &Candidate,
        request: &protocols::Request<'_>,
        source: Arc<dyn Source>,
        form: pages::Form,
    ) -> Result<Reply> {
        let form = if form == pages::Form::Json { form } else { pages::Form::accepted(self.headers) };
        let is_file = self.data.stat(&candidate.dataset).await?.size.is_some();
        let notes = self.data.notes(&candidate.dataset).await?;
        // The form's answers do not show it.
        let is_part = self.query.is_some_and(|query| query.contains("part=request"));
        let summary = if is_part { None } else { summary_of(&source).await };
        let protocols = Protocols { call: self, request, source: &source, dap2: OnceLock::new() };
        let shown = dap4::view(Arc::clone(&source))?;
        let shown = pages::Shown {
            request,
            source: &shown,
            summary: summary.as_ref(),
            notes: &notes,
            is_file,
            access: &protocols,
            site: self.site(),
        };
        let mut reply = pages::dataset(&shown, form).await?;
        if form == pages::Form::Html {
            reply.headers.extend(dap4::of_page());
        }
        Ok(reply)
    }

    /// `sitemap.xml`, from listings alone.
    pub(super) async fn sitemap(&self) -> Result<HttpResponse<Body>> {
        let page = pages::page_number(self.query)?;
        let mut map = pages::Sitemap::new(&self.origin, page);
        let mut waiting = VecDeque::from([DatasetName::top()]);
        let begin = Instant::now();
        let mut left = MOST_FOLDERS;
        while let Some(folder) = waiting.pop_front() {
            left -= 1;
            if left == 0 || begin.elapsed() > LONGEST_WALK {
                tracing::warn!(folder = %folder, "the sitemap leaves out folders from here on: there are too many");
                break;
            }
            // A folder that cannot be listed now has no page to lead to.
            let Ok(listing) = self.data.list(&folder).await else { continue };
            map.add(&listing);
            if folder.components().count() < DEEPEST_FOLDER {
                waiting.extend(listing.folders.iter().map(|name| folder.join(name)));
            }
        }
        let reply = map.reply().ok_or_else(|| Error::not_found("there is no such sitemap"))?;
        Ok(self.plain(reply).await)
    }
}

/// What is known of a dataset's coverage, if that is found out quickly.
async fn summary_of(source: &Arc<dyn Source>) -> Option<Summary> {
    match tokio::time::timeout(PATIENCE, summarise(source)).await {
        Ok(Ok(summary)) => Some(summary),
        Ok(Err(e)) => {
            tracing::debug!(error = %e, "a page goes without its dataset's coverage");
            None
        }
        Err(_) => None,
    }
}

/// How DAP2 spells the variables of a dataset.
type Spellings = std::result::Result<HashMap<FullName, std::result::Result<dap2::Spelling, String>>, String>;

/// The protocols of one dataset, for its page.
struct Protocols<'a> {
    call: &'a Call<'a>,
    request: &'a protocols::Request<'a>,
    source: &'a Arc<dyn Source>,
    dap2: OnceLock<Spellings>,
}

impl pages::Access for Protocols<'_> {
    fn spelled(&self, protocol: Protocol, name: &FullName) -> std::result::Result<Spelled, String> {
        if protocol == Protocol::Dap4 {
            return Ok(Spelled { name: dap4::path_in_url(name.as_str()), rank: usize::MAX });
        }
        let all = self
            .dap2
            .get_or_init(|| dap2::spellings(Arc::clone(self.source)).map_err(|e| e.message().to_owned()));
        match all.as_ref().map_err(Clone::clone)?.get(name) {
            Some(Ok(spelling)) => Ok(Spelled { name: spelling.name.clone(), rank: spelling.rank }),
            Some(Err(why)) => Err(why.clone()),
            None => Err("it has another name there".to_owned()),
        }
    }

    fn measure<'a>(
        &'a self,
        protocol: Protocol,
        query: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<u64>>> {
        Box::pin(async move {
            let config = &self.call.live.config;
            let len = self.call.path.len() + query.map_or(0, str::len);
            if len as u64 > config.limits.uri {
                return Err(Error::too_large("the address would be too long; choose fewer variables"));
            }
            // As a client that says nothing of itself is answered.
            let headers = HeaderMap::new();
            let request = protocols::Request { query, headers: &headers, ..*self.request };
            let length = match protocol {
                Protocol::Dap4 => {
                    let options = dap4::Options {
                        checksums: config.dap4_checksum,
                        origin: &self.call.origin,
                        largest_text: config.limits.response_text,
                    };
                    dap4::data_length(&request, Arc::clone(self.source), options)?
                }
                Protocol::Dap2 => dap2::data_length(&request, Arc::clone(self.source)).await?,
            };
            let limit = config.limits.response_binary;
            match length {
                Some(length) if length > limit => Err(Error::too_large(format!(
                    "the answer would be {length} bytes and the limit is {limit}; choose less"
                ))),
                length => Ok(length),
            }
        })
    }
}
