//! Answers that were given before, and answers that are kept for who asks the same.

use std::sync::Arc;

use cdm::{ErrorKind, Result, Version};
use http::Response as HttpResponse;

use super::{Body, Call, respond};
use crate::{
    catalog::{DatasetName, Listing, Status},
    protocols::Reply,
    server::{
        answers::{About, Kept, Key, LARGEST_DATA, LARGEST_TEXT, Way, is_whole},
        routes::Candidate,
    },
};

/// What is to be said of a folder.
pub(super) enum Listed {
    /// What was said before.
    Kept(HttpResponse<Body>),
    /// Something new, about what is in it.
    New(Listing, About),
}

impl Call<'_> {
    /// The answer that was given before to a request that says the same, about the same.
    pub(super) fn kept(&self, about: &About) -> Option<Arc<Kept>> {
        let kept = self.live.answers.get(self.key(), about)?;
        self.shared.metrics.kept();
        Some(kept)
    }

    /// The way to the file that is the candidate at `at`, where looks `found` it just now.
    pub(super) fn way(&self, candidates: &[Candidate], at: usize, found: &Status) -> Option<Way> {
        let (chosen, before) = candidates.get(..=at)?.split_last()?;
        self.data.is_file(&chosen.dataset, found).then(|| Way {
            missing: before.iter().map(|candidate| candidate.dataset.clone()).collect(),
            file: chosen.dataset.clone(),
            found: found.clone(),
            turn: self.live.answers.turn(),
        })
    }

    /// The answer that was given before to a request that says the same, if looks find what they found then.
    pub(super) async fn kept_by_way(&self) -> Option<Arc<Kept>> {
        let kept = self.live.answers.by_way(self.key())?;
        let Way { missing, file, found, .. } = kept.way()?;
        let catalog = &self.data;
        for name in missing {
            if catalog.stat(name).await.is_err_and(|e| e.kind() == ErrorKind::NotFound) {
                continue;
            }
            return None;
        }
        if catalog.stat(file).await.ok()? != *found {
            return None;
        }
        self.shared.metrics.kept();
        Some(kept)
    }

    /// Sends `reply`, and keeps it for who asks the same if it is small: data of one file only when they are asked for
    /// again, for most are not; what is put together of many files costs too much to be made twice.
    pub(super) async fn keep(
        &self,
        about: (About, Option<Way>),
        reply: Reply,
        version: Option<&Version>,
        is_data: bool,
    ) -> Result<HttpResponse<Body>> {
        let asked = self.asked();
        let answers = &self.live.answers;
        let is_of_one_file = about.1.is_some();
        // Who asks for its length alone, say, does not wait for all of it.
        if !is_whole(asked) || is_data && is_of_one_file && !answers.is_asked_again(self.key()) {
            return respond(reply, asked, version, None).await;
        }
        let largest = if is_data { LARGEST_DATA } else { LARGEST_TEXT };
        match answers.keep(self.key().clone(), about, reply, version, (self.headers, largest)).await? {
            Ok(kept) => kept.answer(asked).await,
            Err(reply) => respond(reply, asked, version, None).await,
        }
    }

    /// What a folder holds, unless that was answered before as it is now.
    pub(super) async fn listed(&self, folder: &DatasetName) -> Result<Listed> {
        let catalog = &self.data;
        let mut listing = catalog.list_bare(folder).await?;
        // Before the summaries are taken: what comes in between is shown next time.
        let about = About::Folder(listing.identity(), catalog.summaries().changes());
        if let Some(kept) = self.kept(&about) {
            return kept.answer(self.asked()).await.map(Listed::Kept);
        }
        catalog.attach(&mut listing);
        Ok(Listed::New(listing, about))
    }

    fn key(&self) -> &Key {
        self.key.get_or_init(|| Key::new(self.path, self.query, &self.origin, self.headers))
    }
}
