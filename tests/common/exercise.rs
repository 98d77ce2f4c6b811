//! What is done with a damaged dataset: opened, described in every way, the beginning of every variable read. It is
//! read or refused; it never panics, hangs, or is called a defect of ours.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, Mutex, Once, PoisonError},
    time::Duration,
};

use cdm::{ErrorKind, Result, Selection, Source};
use futures::StreamExt;
use handlers::{
    Registry,
    chunked::{Engine, EngineOptions},
};
use http::HeaderMap;
use thalweg::protocols::{Largest, Reply, Request, dap2, dap4, ncml};

/// Nothing that is done with one damaged dataset may take longer, in an unoptimised build.
pub const PATIENCE: Duration = Duration::from_secs(10);

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// From now on every panic of the code under test is written down; those of tests fail by themselves.
fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.location().is_none_or(|place| !place.file().starts_with("tests/")) {
                PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(info.to_string());
            }
            before(info);
        }));
    });
}

pub fn panics() -> Vec<String> {
    PANICS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// How often each original is damaged: `THALWEG_TEST_ROUNDS`, else `usual`.
pub fn rounds(usual: u64) -> u64 {
    std::env::var("THALWEG_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// The number of the first round, `THALWEG_TEST_SEED`: other numbers are other damage.
pub fn first_round() -> u64 {
    std::env::var("THALWEG_TEST_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// What came of a dataset.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    pub opened: bool,
    pub variables_read: usize,
    pub variables_failed: usize,
}

/// Describes what was opened and reads the beginning of every variable.
///
/// # Errors
/// A defect.
pub async fn exercise(opened: Result<Arc<dyn Source>>) -> Result<Outcome> {
    const MOST_BYTES: usize = 256 << 10;
    // Texts may be empty, and chunks hold one element each: what is claimed of either has no end.
    const MOST_ELEMENTS: u64 = 32 << 10;
    const MOST_VARIABLES: usize = 200;
    let mut outcome = Outcome::default();
    let source = match opened {
        Ok(source) => source,
        Err(e) if e.kind() == ErrorKind::Internal => return Err(e),
        Err(_) => return Ok(outcome),
    };
    outcome.opened = true;
    describe(&source).await?;
    for (name, variable) in source.dataset().variables().take(MOST_VARIABLES) {
        let mut blocks = source.read(&name, &Selection::all(&variable.shape()));
        let (mut len, mut elements) = (0, 0);
        let mut failed = false;
        while let Some(block) = blocks.next().await {
            match block {
                Ok(block) => {
                    len += block.byte_len();
                    elements += block.element_count(variable.data_type.fixed_size());
                }
                Err(e) if e.kind() == ErrorKind::Internal => return Err(e.within(name)),
                Err(_) => failed = true,
            }
            if len > MOST_BYTES || elements > MOST_ELEMENTS {
                break;
            }
        }
        outcome.variables_failed += usize::from(failed);
        outcome.variables_read += usize::from(!failed);
    }
    Ok(outcome)
}

/// All names and attributes, as each of the protocols says them.
async fn describe(source: &Arc<dyn Source>) -> Result<()> {
    let headers = HeaderMap::new();
    let largest = Largest::default();
    let request = Request {
        dataset: "damaged",
        base_url: "http://h/damaged",
        query: None,
        headers: &headers,
        id: "r",
        largest,
    };
    let dmr =
        dap4::respond(&request, dap4::Response::Dmr, Arc::clone(source), dap4::Options::default()).await;
    drain(dmr, "dmr").await?;
    for response in [dap2::Response::Dds, dap2::Response::Das] {
        drain(dap2::respond(&request, response, Arc::clone(source)).await, "dap2").await?;
    }
    drain(ncml::respond(&request, source.dataset()), "ncml").await
}

async fn drain(mut reply: Reply, what: &str) -> Result<()> {
    if reply.status == 500 {
        let text: Vec<_> = reply.body.collect().await;
        return Err(cdm::Error::internal(format!("{what}: {text:?}")));
    }
    let mut len = 0;
    while let Some(bytes) = reply.body.next().await {
        len += bytes?.len();
        if len > 64 << 20 {
            return Err(cdm::Error::internal(format!("{what}: more than 64 MiB of text")));
        }
    }
    Ok(())
}

pub fn registry() -> Registry {
    let options = EngineOptions {
        cache_bytes: 16 << 20,
        budget_bytes: 32 << 20,
        // A damaged array may have chunks of one byte: a band of many is slow, and no defect.
        band_bytes: 128 << 10,
        ..EngineOptions::default()
    };
    Registry::new(Arc::new(Engine::new(options)))
}

/// Opens and exercises `cases` by name, two at a time; the outcomes, in any order.
pub fn run<F>(cases: impl Iterator<Item = (String, F)>) -> Vec<Outcome>
where
    F: Future<Output = Result<Arc<dyn Source>>> + Send + 'static,
{
    note_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let one = |(name, open): (String, F)| {
            tokio::spawn(async move {
                let before = panics().len();
                let outcome = tokio::time::timeout(PATIENCE, async { exercise(open.await).await }).await;
                let outcome = outcome.unwrap_or_else(|_| panic!("{name} takes longer than {PATIENCE:?}"));
                let outcome = outcome.unwrap_or_else(|e| panic!("{name}: a defect: {e}"));
                assert_eq!(panics().get(before), None, "{name} (or its neighbour)");
                outcome
            })
        };
        let outcomes: Vec<_> = futures::stream::iter(cases).map(one).buffer_unordered(4).collect().await;
        outcomes.into_iter().map(|outcome| outcome.unwrap()).collect()
    })
}
