//! Finished answers, kept as bytes: descriptions, small data, listings of folders.
//!
//! Two things determine such an answer: what the request says ([`key`]) and what it is about ([`About`]): one
//! open Source, which never changes, or one state of a folder. The second is found out anew for every request,
//! so an answer about what is no longer there is never given: a changed file is another Source. What depends on
//! anything else (errors, pages of datasets, what is newest) is not kept. A configuration begins with none.
//!
//! A Source that is a file is found by looks ([`Way`]): a next request looks again, and where it finds the same,
//! the same Source is at the end of the way, which need not be gone.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, Hash, Hasher, RandomState},
    mem,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::Bytes;
use cdm::{Result, Source, Version};
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt;

use super::{
    compress,
    respond::{Asked, Body, empty, gather, respond},
};
use crate::{
    catalog::{DatasetName, Status},
    protocols::Reply,
};

/// Bytes of all kept answers together.
const MOST: usize = 32 << 20;

/// Bytes of a body with data that is kept, when it is asked for again.
pub(super) const LARGEST_DATA: u64 = 64 << 10;

/// So many requests are remembered, twice, to know which are made again.
const REMEMBERED: usize = 8 << 10;

/// Bytes of another body that is kept: the description of some thousand variables.
pub(super) const LARGEST_TEXT: u64 = 2 << 20;

/// What an answer takes besides its body: two sets of headers, mostly. Measured, with 6,000 of them.
const OVERHEAD: usize = 7 << 10;

/// The request headers that an answer may depend on, besides those that [`respond`] looks at.
const LOOKED_AT: [HeaderName; 2] = [header::ACCEPT, header::USER_AGENT];

/// What of a request determines its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Of the bytes, made once, with keys that nobody outside this process knows.
    hash: u64,
    bytes: Box<[u8]>,
}

static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Key {
    /// Of the request's address, the server's as the client knows it, and headers.
    pub(super) fn new(path: &str, query: Option<&str>, origin: &str, headers: &HeaderMap) -> Self {
        let mut key = Vec::with_capacity(path.len() + query.map_or(0, str::len) + origin.len() + 192);
        let mut add = |part: Option<&[u8]>| {
            // Lengths tell apart what would look alike joined.
            key.extend_from_slice(&part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
            key.extend_from_slice(part.unwrap_or_default());
        };
        add(Some(path.as_bytes()));
        add(query.map(str::as_bytes));
        add(Some(origin.as_bytes()));
        for name in &LOOKED_AT {
            headers.get_all(name).iter().for_each(|value| add(Some(value.as_bytes())));
            add(None);
        }
        key.push(u8::from(compress::accepts_gzip(headers)));
        Self::of(key)
    }

    fn of(bytes: Vec<u8>) -> Self {
        Self { hash: HASHES.hash_one(&bytes), bytes: bytes.into() }
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Whether all of an answer is asked for, whatever the client has already.
pub(super) fn is_whole(asked: Asked<'_>) -> bool {
    asked.method == Method::GET && !is_special(asked.headers)
}

fn is_special(headers: &HeaderMap) -> bool {
    const SPECIAL: [HeaderName; 3] = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::RANGE];
    SPECIAL.iter().any(|name| headers.contains_key(name))
}

/// What an answer is about.
#[derive(Debug, Clone)]
pub(super) enum About {
    /// One open Source: none other has its place in memory while this is held.
    Source(Weak<dyn Source>),
    /// A folder, by [`crate::catalog::Listing::identity`] and [`crate::catalog::Summaries::changes`].
    Folder(String, u64),
}

impl About {
    pub(super) fn source(source: &Arc<dyn Source>) -> Self {
        Self::Source(Arc::downgrade(source))
    }
}

impl PartialEq for About {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Source(one), Self::Source(other)) => std::ptr::addr_eq(one.as_ptr(), other.as_ptr()),
            (Self::Folder(one, changes), Self::Folder(other, others)) => one == other && changes == others,
            _ => false,
        }
    }
}

/// How a request led to the file that its answer is about.
#[derive(Debug)]
pub(super) struct Way {
    /// What was not there: an answer about it would have been meant.
    pub(super) missing: Vec<DatasetName>,
    pub(super) file: DatasetName,
    pub(super) found: Status,
    /// As [`Answers::turn`] was before the file was opened.
    pub(super) turn: u64,
}

/// One finished answer.
#[derive(Debug)]
pub(super) struct Kept {
    about: About,
    /// When looks alone may lead to it again.
    way: Option<Way>,
    /// As the front end made it.
    headers: HeaderMap,
    identity: Option<String>,
    compressible: bool,
    version: Option<Version>,
    body: Bytes,
    /// As it is sent to who asks for all of it.
    finished: HeaderMap,
    sent: Bytes,
}

impl Kept {
    /// Of `reply`, with all of its `body`, for who sends `headers`.
    async fn new(
        about: About,
        reply: Reply,
        body: Bytes,
        version: Option<&Version>,
        headers: &HeaderMap,
    ) -> Result<Self> {
        let Reply { headers: made, identity, compressible, .. } = reply;
        let mut kept = Self {
            about,
            way: None,
            headers: made,
            identity,
            compressible,
            version: version.cloned(),
            body,
            finished: HeaderMap::new(),
            sent: Bytes::new(),
        };
        let encodings = headers.get_all(header::ACCEPT_ENCODING).iter();
        let plain = encodings.map(|value| (header::ACCEPT_ENCODING, value.clone())).collect();
        let asked = Asked { method: &Method::GET, headers: &plain, flushes: None };
        let (parts, sent) = respond(kept.reply(), asked, version, None).await?.into_parts();
        let is_encoded = parts.headers.contains_key(header::CONTENT_ENCODING);
        // In memory once when it is sent as it was made.
        kept.sent = if is_encoded { sent.collect().await?.to_bytes() } else { kept.body.clone() };
        kept.finished = parts.headers;
        kept.finished.insert(header::CONTENT_LENGTH, HeaderValue::from(kept.sent.len()));
        Ok(kept)
    }

    fn reply(&self) -> Reply {
        let body = self.body.clone();
        Reply {
            status: StatusCode::OK,
            headers: self.headers.clone(),
            length: Some(body.len() as u64),
            identity: self.identity.clone(),
            compressible: self.compressible,
            body: Box::pin(stream::iter([Ok(body)])),
        }
    }

    /// The answer to who asks for it, or for a part of it, or whether it has changed.
    pub(super) async fn answer(&self, asked: Asked<'_>) -> Result<Response<Body>> {
        if is_special(asked.headers) {
            return Box::pin(respond(self.reply(), asked, self.version.as_ref(), None)).await;
        }
        let body = if asked.method == Method::HEAD { empty() } else { Body::Whole(self.sent.clone()) };
        let mut response = Response::new(body);
        *response.headers_mut() = self.finished.clone();
        Ok(response)
    }

    pub(super) fn way(&self) -> Option<&Way> {
        self.way.as_ref()
    }

    fn len(&self, key: &Key) -> usize {
        let encoded = if self.sent.as_ptr() == self.body.as_ptr() { 0 } else { self.sent.len() };
        OVERHEAD + key.len() + self.body.len() + encoded
    }
}

/// The answers that are kept: what was not asked for in a while goes, so that all together stay within a limit.
#[derive(Debug)]
pub(super) struct Answers {
    kept: Mutex<Ages>,
    most: usize,
}

type All = HashMap<Key, Arc<Kept>>;

/// What is asked for is among the young. When they fill half of what is allowed they become the old, and those
/// that were the old till then, which nobody has asked for since, are gone.
#[derive(Debug, Default)]
struct Ages {
    young: All,
    old: All,
    /// Bytes of the young.
    len: usize,
    turn: u64,
    /// Hashes of what was asked for lately, and of what was before that.
    asked: [HashSet<u64>; 2],
}

impl Default for Answers {
    fn default() -> Self {
        Self { kept: Mutex::default(), most: MOST }
    }
}

impl Answers {
    /// The answer to requests with this key about `about`.
    pub(super) fn get(&self, key: &Key, about: &About) -> Option<Arc<Kept>> {
        self.find(key, |kept| kept.about == *about)
    }

    /// The answer to requests with this key that a [`Way`] led to.
    pub(super) fn by_way(&self, key: &Key) -> Option<Arc<Kept>> {
        self.find(key, |kept| kept.way.is_some())
    }

    fn find(&self, key: &Key, is_wanted: impl Fn(&Kept) -> bool) -> Option<Arc<Kept>> {
        let mut ages = self.ages();
        if let Some(found) = ages.young.get(key) {
            return is_wanted(found).then(|| Arc::clone(found));
        }
        if !ages.old.get(key).is_some_and(|found| is_wanted(found)) {
            return None;
        }
        let (key, found) = ages.old.remove_entry(key)?;
        self.add(&mut ages, key, Arc::clone(&found));
        Some(found)
    }

    /// Changes when all is [forgotten](Answers::forget).
    pub(super) fn turn(&self) -> u64 {
        self.ages().turn
    }

    /// A file was found to be another though it looked the same: what looks led to is not to be relied on.
    pub(super) fn forget(&self) {
        let mut ages = self.ages();
        *ages = Ages { turn: ages.turn + 1, ..Ages::default() };
    }

    /// Whether a request with this key was made lately; now it was. Most data are asked for only once: to keep them would
    /// cost time, and the place of what is asked for often. Rarely, and harmlessly, says so of one that was not made.
    pub(super) fn is_asked_again(&self, key: &Key) -> bool {
        let mut ages = self.ages();
        let [lately, before] = &mut ages.asked;
        if !lately.insert(key.hash) {
            return true;
        }
        let is_known = before.contains(&key.hash);
        if lately.len() >= REMEMBERED {
            *before = mem::take(lately);
        }
        is_known
    }

    fn ages(&self) -> MutexGuard<'_, Ages> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps `reply`, which is about `about`, found by `way`, and answers requests with this key, if it is one that
    /// may be, of at most `largest` bytes. What cannot be kept is given back, ready to be sent.
    pub(super) async fn keep(
        &self,
        key: Key,
        (about, way): (About, Option<Way>),
        mut reply: Reply,
        version: Option<&Version>,
        (headers, largest): (&HeaderMap, u64),
    ) -> Result<std::result::Result<Arc<Kept>, Reply>> {
        let fits = reply.length.is_some_and(|len| len <= largest);
        let is_whole = reply.status == StatusCode::OK && reply.identity.is_some() && version.is_some();
        if !fits || !is_whole || !is_determined(&reply.headers) {
            return Ok(Err(reply));
        }
        let body = match gather(reply.body, reply.length.unwrap_or_default()).await {
            Ok(body) => body,
            Err(body) => {
                reply.body = body;
                return Ok(Err(reply));
            }
        };
        reply.body = Box::pin(stream::empty());
        let mut kept = Kept::new(about, reply, body, version, headers).await?;
        let mut ages = self.ages();
        // What looks found must be the version that the answer is of, and still be trusted.
        let is_same = |way: &Way| version == Some(&way.found.version) && way.turn == ages.turn;
        kept.way = way.filter(is_same);
        let kept = Arc::new(kept);
        self.add(&mut ages, key, Arc::clone(&kept));
        Ok(Ok(kept))
    }

    fn add(&self, ages: &mut Ages, key: Key, kept: Arc<Kept>) {
        let len = kept.len(&key);
        ages.old.remove(&key);
        if let Some(before) = ages.young.remove(&key) {
            ages.len -= before.len(&key);
        }
        if ages.len + len > self.most / 2 {
            ages.old = std::mem::take(&mut ages.young);
            ages.len = 0;
        }
        if len <= self.most / 2 {
            ages.len += len;
            ages.young.insert(key, kept);
        }
    }
}

/// Whether an answer says that it depends on no request headers but those in a key.
fn is_determined(headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::VARY).iter().flat_map(|v| v.to_str().unwrap_or("*").split(','));
    named.map(str::trim).all(|name| LOOKED_AT.iter().any(|known| name.eq_ignore_ascii_case(known.as_str())))
}

#[cfg(test)]
mod tests;
