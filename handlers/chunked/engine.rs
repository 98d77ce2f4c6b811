//! What all reads share, and how one read becomes a stream of bands.
//!
//! Memory: a band takes permits for its output and its working space before anything is fetched; those
//! for the output ride inside the block's bytes and return when the last holder drops them. A stream
//! reads ahead only when memory is free at once, and waits for memory only when it has nothing else to
//! give, so streams cannot block each other for good: who waits in vain is told `Overloaded`. When memory
//! is scarce bands get smaller, so that stalled readers hold less and less.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use cdm::{Block, BlockStream, Error, ErrorKind, Result, Selection};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};

use super::{
    ChunkedArray,
    cache::ChunkCache,
    plan::{Band, BandLimit, Plan},
    read::read_band,
};

/// What a permit stands for.
const UNIT: u64 = 1 << 10;

/// Bands do not shrink below this, in bytes.
const SMALLEST_BAND: u64 = 256 << 10;

/// Limits that all reads of an engine share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// Bytes of decoded chunks that are kept.
    pub cache_bytes: u64,
    /// Bytes of data on their way, from fetching until the last holder of a block drops it.
    pub budget_bytes: u64,
    /// Bytes of one band as stored. To keep chunks whole, twice that or a quarter of the free budget.
    pub band_bytes: u64,
    /// Bands of one stream that are read at once.
    pub bands_in_flight: usize,
    /// Chunks that are decoded at once.
    pub decoders: usize,
    /// How long a stream waits for memory before it fails with `Overloaded`.
    pub patience: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            budget_bytes: 64 << 20,
            band_bytes: 2 << 20,
            bands_in_flight: 2,
            decoders: std::thread::available_parallelism().map_or(2, usize::from),
            patience: Duration::from_secs(20),
        }
    }
}

/// The decoded-chunk cache, the byte budget, the decoding concurrency.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    cache: ChunkCache,
    budget: Arc<Semaphore>,
    permits: u32,
    decoders: Arc<Semaphore>,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new(EngineOptions::default())
    }
}

impl Engine {
    /// An engine with a budget and a cache of its own.
    pub fn new(options: EngineOptions) -> Self {
        let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let permits = u32::try_from(options.budget_bytes / UNIT).unwrap_or(most).clamp(1, most);
        Self {
            cache: ChunkCache::new(options.cache_bytes),
            budget: Arc::new(Semaphore::new(usize::try_from(permits).unwrap_or(Semaphore::MAX_PERMITS))),
            permits,
            decoders: Arc::new(Semaphore::new(options.decoders.max(1))),
            options,
        }
    }

    /// Reads `selection` of `array`: lazily, in bounded memory, cancelled by dropping the stream. Must be
    /// polled within a tokio runtime.
    pub fn read(self: &Arc<Self>, array: &Arc<ChunkedArray>, selection: &Selection) -> BlockStream {
        let reading = Reading::new(Arc::clone(self), Arc::clone(array), selection);
        Box::pin(futures::stream::unfold(Some(reading), |reading| async {
            let mut reading = match reading? {
                Ok(reading) => reading,
                Err(e) => return Some((Err(e), None)),
            };
            match reading.next().await {
                Ok(None) => None,
                Ok(Some(block)) => Some((Ok(block), Some(Ok(reading)))),
                Err(e) => Some((Err(e), None)),
            }
        }))
    }

    /// The limits.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Bytes of data on their way now, in whole KiB.
    pub fn budget_in_use(&self) -> u64 {
        u64::from(self.permits).saturating_sub(self.budget.available_permits() as u64) * UNIT
    }

    /// Bytes of decoded chunks kept now.
    pub fn cached_bytes(&self) -> u64 {
        self.cache.bytes()
    }

    pub(crate) fn cache(&self) -> &ChunkCache {
        &self.cache
    }

    /// A turn at decoding.
    pub(crate) async fn decoder(&self) -> Result<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.decoders).acquire_owned().await;
        turn.map_err(|e| Error::internal("the decoders are gone").with_source(e))
    }

    /// Waits until so many bytes may be used.
    pub(super) async fn hold_memory(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        self.wait_for_memory(self.permits_for(bytes)).await
    }

    /// What of `permit` stands for so many bytes; the rest is free again. When they are more than it stands
    /// for, as much as is free is added.
    pub(super) fn hold_only(&self, mut permit: OwnedSemaphorePermit, bytes: u64) -> OwnedSemaphorePermit {
        let wanted = usize::try_from(self.permits_for(bytes)).unwrap_or(usize::MAX);
        if let Some(kept) = permit.split(wanted) {
            return kept;
        }
        let missing = wanted.saturating_sub(permit.num_permits()).min(self.budget.available_permits());
        let more =
            u32::try_from(missing).ok().and_then(|n| Arc::clone(&self.budget).try_acquire_many_owned(n).ok());
        if let Some(more) = more {
            permit.merge(more);
        }
        permit
    }

    /// Permits for so many bytes; more than there are means all of them.
    fn permits_for(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.permits)
    }

    async fn wait_for_memory(&self, permits: u32) -> Result<OwnedSemaphorePermit> {
        let wait = Arc::clone(&self.budget).acquire_many_owned(permits);
        match tokio::time::timeout(self.options.patience, wait).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(e)) => Err(Error::internal("the budget is gone").with_source(e)),
            Err(e) => {
                let message = "the server has no memory left for data now; try again later";
                Err(Error::new(ErrorKind::Overloaded, message).with_source(e))
            }
        }
    }
}

/// One stream's state.
struct Reading {
    engine: Arc<Engine>,
    array: Arc<ChunkedArray>,
    plan: Plan,
    /// Planned, but there was no memory to begin.
    waiting: Option<Band>,
    in_flight: VecDeque<Task>,
    small: bool,
}

/// A band being read; dropping it cancels the work.
struct Task(JoinHandle<Result<Block>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reading {
    fn new(engine: Arc<Engine>, array: Arc<ChunkedArray>, selection: &Selection) -> Result<Self> {
        if selection.of_shape() != array.shape {
            return Err(Error::internal(format!("{}: a selection made for another shape", array.name)));
        }
        if array.chunk_shape.len() != array.shape.len()
            || array.chunk_shape.contains(&0)
            || array.stored_size == 0
        {
            return Err(Error::corrupt(format!("{}: an impossible chunk shape", array.name)));
        }
        let bytes = selection.element_count().saturating_mul(array.stored_size as u64);
        let small = bytes <= engine.options.band_bytes / 4;
        let plan = Plan::new(&array.chunk_shape, selection);
        Ok(Self { engine, array, plan, waiting: None, in_flight: VecDeque::new(), small })
    }

    async fn next(&mut self) -> Result<Option<Block>> {
        while self.in_flight.len() < self.engine.options.bands_in_flight.max(1) {
            let limit = self.limit();
            let Some(band) = self.waiting.take().or_else(|| self.plan.next_band(limit)) else { break };
            let (output, working) = self.cost(&band);
            let output = self.engine.permits_for(output);
            let all = self.engine.permits_for(u64::from(output) * UNIT + working);
            let permit = match Arc::clone(&self.engine.budget).try_acquire_many_owned(all) {
                Ok(permit) => permit,
                Err(_) if self.in_flight.is_empty() => self.engine.wait_for_memory(all).await?,
                Err(_) => {
                    self.waiting = Some(band);
                    break;
                }
            };
            let (engine, array) = (Arc::clone(&self.engine), Arc::clone(&self.array));
            let small = self.small;
            self.in_flight.push_back(Task(tokio::spawn(async move {
                let mut permit = permit;
                let block = read_band(engine, array, band, small).await?;
                // What the working space needed returns now, the rest with the bytes.
                drop(permit.split((all - output) as usize));
                Ok(hold(block, permit))
            })));
        }
        let Some(mut task) = self.in_flight.pop_front() else { return Ok(None) };
        match (&mut task.0).await {
            Ok(block) => block.map(Some),
            Err(e) => Err(Error::internal("reading failed").with_source(e)),
        }
    }

    /// The size of the next band: smaller when memory is scarce.
    fn limit(&self) -> BandLimit {
        let free = self.engine.budget.available_permits() as u64 * UNIT;
        let bytes = self.engine.options.band_bytes.min((free / 4).max(SMALLEST_BAND));
        let aim = (bytes / self.array.stored_size as u64).max(1);
        let aligned = if self.array.pipeline.is_empty() {
            aim
        } else {
            // Cutting through chunks costs decoding them again: worth some memory while there is any.
            (free / 4 / self.array.stored_size as u64).max(aim.saturating_mul(2))
        };
        BandLimit { aim, aligned }
    }

    /// Bytes of a band's output, and of the space it is made in.
    fn cost(&self, band: &Band) -> (u64, u64) {
        let output = band.element_count().saturating_mul(self.array.stored_size as u64);
        let parts = band.part_count();
        let working = if self.array.pipeline.is_empty() {
            // One piece is passed on as it is when it is contiguous; otherwise it was fetched with gaps.
            output.saturating_mul(4).min(8 << 20).min(if parts == 1 { output } else { u64::MAX })
        } else {
            let chunk = self.array.chunk_byte_len().unwrap_or(u64::MAX);
            let decoding = parts.min(self.engine.options.decoders as u64).saturating_mul(chunk);
            let all =
                decoding.saturating_add(parts.saturating_mul(chunk).min(self.engine.options.band_bytes));
            // Huge chunks must not wait until nobody else has anything in memory.
            all.min(self.engine.options.budget_bytes / 2)
        };
        (output, working)
    }
}

/// The block, with the permit inside its bytes.
pub(super) fn hold(block: Block, permit: OwnedSemaphorePermit) -> Block {
    match block {
        Block::Fixed(bytes) => Block::Fixed(Bytes::from_owner(Held { bytes, _permit: permit })),
        Block::Varying { ends, bytes } => {
            Block::Varying { ends, bytes: Bytes::from_owner(Held { bytes, _permit: permit }) }
        }
    }
}

struct Held {
    bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
