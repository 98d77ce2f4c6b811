//! What all reads share, and how one read becomes a stream of bands.
//!
//! Memory: a band takes permits for its output and its working space before anything is fetched; those
//! for the output ride inside the block's bytes and return when the last holder drops them. A stream
//! reads ahead only while half of all memory is free, and waits for memory only when it has nothing else to
//! give, so streams cannot block each other for good: who waits in vain is told `Overloaded`. When memory
//! is scarce bands get smaller, so that stalled readers hold less and less.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use cdm::{Block, BlockStream, Error, ErrorKind, Result, Selection};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinHandle},
};

use super::{
    ChunkedArray,
    cache::ChunkCache,
    plan::{Band, BandLimit, Plan},
    read::BandRead,
    rehearsal::Rehearsal,
    tally::Tally,
};
use crate::storage::{carried, may_block_here};

/// What a permit stands for.
const UNIT: u64 = 1 << 10;

/// Bands do not shrink below this, in bytes.
const SMALLEST_BAND: u64 = 128 << 10;

/// Bands of so many bytes are not cut through chunks before memory is twice as scarce as streams would share it:
/// waiting a little costs less than decoding twice.
const UNCUT: u64 = 2 << 20;

/// Decoding so many bytes takes longer than a client should wait for the first.
const SLOW: u64 = 4 << 20;

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
            cache_bytes: 96 << 20,
            budget_bytes: 96 << 20,
            band_bytes: 1 << 20,
            bands_in_flight: cores() * 3,
            // More than there are processors: while one hands over what it decoded, another decodes.
            decoders: cores() * 2,
            patience: Duration::from_secs(20),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// The decoded-chunk cache, the byte budget, the decoding concurrency.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    cache: ChunkCache,
    budget: Arc<Semaphore>,
    permits: u32,
    decoders: Arc<Semaphore>,
    /// Reads that have begun and not ended: they share the budget.
    readings: Arc<AtomicU64>,
    tally: Tally,
    /// Nothing more is read: the server stops.
    is_stopped: AtomicBool,
    /// Set when nothing is to be read any more, but counted.
    pub(super) rehearsal: OnceLock<Arc<Rehearsal>>,
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
            readings: Arc::default(),
            tally: Tally::default(),
            is_stopped: AtomicBool::new(false),
            rehearsal: OnceLock::new(),
            options,
        }
    }

    /// Reads `selection` of `array`: lazily, in bounded memory, cancelled by dropping the stream. Must be
    /// polled within a tokio runtime.
    pub fn read(self: &Arc<Self>, array: &Arc<ChunkedArray>, selection: &Selection) -> BlockStream {
        if let Some(rehearsal) = self.rehearsal.get() {
            return rehearsal.read(array, selection);
        }
        let reading = Reading::new(Arc::clone(self), Arc::clone(array), selection);
        Box::pin(futures::stream::unfold(Some(reading), |reading| async {
            let mut reading = match reading? {
                Ok(reading) if reading.engine.is_stopped.load(Ordering::Relaxed) => {
                    let message = "the server stops; ask again";
                    return Some((Err(Error::new(ErrorKind::Overloaded, message)), None));
                }
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

    /// From now on streams fail when they are asked for more: what they feed can still say so.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
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

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A turn at decoding. Who is on a thread that may block goes on without when there is none: such threads are
    /// few, and giving up the thread costs more than sharing a processor for a while.
    pub(crate) async fn decoder(&self) -> Result<Option<OwnedSemaphorePermit>> {
        if may_block_here() {
            return Ok(Arc::clone(&self.decoders).try_acquire_owned().ok());
        }
        let turn = Arc::clone(&self.decoders).acquire_owned().await;
        turn.map(Some).map_err(|e| Error::internal("the decoders are gone").with_source(e))
    }

    /// Waits until so many bytes may be used.
    pub(super) async fn hold_memory(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        self.memory(self.permits_for(bytes)).await
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

    /// Memory for reading ahead: half of it all is left to those who have nothing yet. A client that takes its
    /// time could otherwise keep others out with what it will want much later.
    fn memory_to_spare(&self, permits: u32) -> Option<OwnedSemaphorePermit> {
        let free = self.budget.available_permits() as u64;
        let is_there = free >= u64::from(permits) + u64::from(self.permits / 2);
        is_there.then(|| Arc::clone(&self.budget).try_acquire_many_owned(permits).ok()).flatten()
    }

    async fn memory(&self, permits: u32) -> Result<OwnedSemaphorePermit> {
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
    /// Read, to be given out.
    ready: VecDeque<Block>,
    small: bool,
    /// It is the only band of a selection that is not large.
    little: bool,
    /// It may be one, and has not been asked for anything.
    fresh: bool,
    /// Bands that are read at once: few at first, so that the first block comes sooner.
    at_once: usize,
    /// For the first band, until it is begun.
    begun: Option<Arc<Notify>>,
    /// Bytes of the budget that its bands and blocks hold.
    own: Arc<AtomicU64>,
    #[expect(dead_code, reason = "held for what its end does")]
    counted: Counted,
}

/// Counts one until it is dropped.
struct Counted(Arc<AtomicU64>);

impl Counted {
    fn new(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A band being read; dropping it cancels the work.
struct Task {
    handle: JoinHandle<Result<Vec<Block>>>,
    /// Told when the first of its chunks has been decoded; only in a stream's first band, when it has many.
    begun: Option<Arc<Notify>>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
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
        let small = bytes <= engine.options.band_bytes / 2;
        let fresh = bytes <= engine.options.band_bytes.saturating_mul(2);
        let plan = Plan::new(&array.chunk_shape, selection);
        let counted = Counted::new(&engine.readings);
        let at_once = engine.options.bands_in_flight / 3;
        Ok(Self {
            fresh,
            engine,
            array,
            plan,
            waiting: None,
            in_flight: VecDeque::new(),
            ready: VecDeque::new(),
            small,
            little: false,
            at_once,
            begun: Some(Arc::default()),
            own: Arc::default(),
            counted,
        })
    }

    async fn next(&mut self) -> Result<Option<Block>> {
        if mem::take(&mut self.fresh)
            && let Some(block) = self.at_hand()?
        {
            return Ok(Some(block));
        }
        loop {
            if let Some(block) = self.ready.pop_front() {
                return Ok(Some(block));
            }
            self.begin().await?;
            self.at_once = self.engine.options.bands_in_flight;
            let Some(task) = self.in_flight.front_mut() else { return Ok(self.ready.pop_front()) };
            if let Some(begun) = task.begun.take() {
                tokio::select! {
                    biased;
                    () = begun.notified() => return Ok(Some(Block::Fixed(Bytes::new()))),
                    read = &mut task.handle => self.ready.extend(joined(read)?),
                }
            } else {
                self.ready.extend(joined((&mut task.handle).await)?);
            }
            self.in_flight.pop_front();
        }
    }

    /// The whole selection, when it is one band and everything it needs is at hand: no other task is woken for
    /// it. Nothing is waited for here, because nobody may ask this stream to go on.
    fn at_hand(&mut self) -> Result<Option<Block>> {
        let Some(band) = self.plan.next_band(self.limit()) else { return Ok(None) };
        let mut found = None;
        self.little = self.plan.is_done();
        if self.little {
            let units = self.engine.permits_for(self.cost(&band).0);
            let permit = Arc::clone(&self.engine.budget).try_acquire_many_owned(units).ok();
            if let Some(mut permit) = permit
                && let Some(block) = self.read(&band, None)?.at_hand(&band)?
            {
                found = Some(hold_part(block, &mut permit, &self.own));
            }
        }
        if found.is_none() {
            self.waiting = Some(band);
        }
        Ok(found)
    }

    fn read(&self, band: &Band, begun: Option<Arc<Notify>>) -> Result<BandRead> {
        let (engine, array) = (Arc::clone(&self.engine), Arc::clone(&self.array));
        BandRead::new(engine, array, band, (self.small, self.little), begun)
    }

    /// Begins as many bands as may be under way at once and memory is there for; waits for memory when there
    /// is no band to wait for.
    async fn begin(&mut self) -> Result<()> {
        while self.in_flight.len() < self.at_once.max(1) {
            let limit = self.limit();
            let Some(band) = self.waiting.take().or_else(|| self.plan.next_band(limit)) else { break };
            let (output, working) = self.cost(&band);
            let output = self.engine.permits_for(output);
            let all = self.engine.permits_for(u64::from(output) * UNIT + working);
            let permit = if self.in_flight.is_empty() {
                self.engine.memory(all).await?
            } else if let Some(permit) = self.engine.memory_to_spare(all) {
                permit
            } else {
                self.waiting = Some(band);
                break;
            };
            self.own.fetch_add(u64::from(all) * UNIT, Ordering::Relaxed);
            let decoded = band.part_count().saturating_mul(self.array.chunk_byte_len().unwrap_or(0));
            let is_slow = decoded > SLOW && !self.array.pipeline.is_empty();
            let numbers = self.array.elements.numbers().is_some();
            let begun = self.begun.take().filter(|_| is_slow && numbers);
            let read = self.read(&band, begun.clone())?;
            let own = Arc::clone(&self.own);
            let reading = async move {
                let mut permit = permit;
                let blocks = read.blocks_of(&band).await?;
                // What the working space needed returns now, the rest with the bytes.
                drop(permit.split((all - output) as usize));
                let held: Vec<Block> =
                    blocks.into_iter().map(|block| hold_part(block, &mut permit, &own)).collect();
                own.fetch_sub(u64::from(all) * UNIT, Ordering::Relaxed);
                Ok::<_, Error>(held)
            };
            if self.in_flight.is_empty() && may_block_here() {
                // A task of its own would only cost hops between threads.
                self.ready.extend(reading.await?);
                if self.ready.is_empty() {
                    continue;
                }
                break;
            }
            self.in_flight.push_back(Task { handle: tokio::spawn(carried(reading)), begun });
        }
        Ok(())
    }

    /// The size of the next band: what is this stream's share of the budget, and not more than it could have
    /// if all its own blocks were gone. Others may hold more than their share, for as long as their clients
    /// take to read it.
    fn limit(&self) -> BandLimit {
        let options = &self.engine.options;
        let streams = self.engine.readings.load(Ordering::Relaxed).max(1);
        let free = self.engine.budget.available_permits() as u64 * UNIT;
        let room = (options.budget_bytes / streams).min(free + self.own.load(Ordering::Relaxed));
        let size = self.array.stored_size as u64;
        let aim = (options.band_bytes.min((room / 4).max(SMALLEST_BAND)) / size).max(1);
        let aligned = if self.array.pipeline.is_empty() {
            aim
        } else {
            // Cutting through chunks costs decoding them again: worth some memory while there is any.
            ((room / 4 * 3).max(room.saturating_mul(2).min(UNCUT)) / size).max(aim)
        };
        BandLimit { aim, aligned }
    }

    /// Bytes of a band's output, and of the space it is made in.
    fn cost(&self, band: &Band) -> (u64, u64) {
        let output = band.element_count().saturating_mul(self.array.stored_size as u64);
        let parts = band.part_count();
        let working = if self.array.pipeline.is_empty() {
            // One piece is passed on as it is when it is contiguous; otherwise it was fetched with gaps.
            if parts == 1 { 0 } else { output.saturating_mul(4).min(8 << 20) }
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

fn joined(read: std::result::Result<Result<Vec<Block>>, JoinError>) -> Result<Vec<Block>> {
    read.map_err(|e| Error::internal("reading failed").with_source(e))?
}

/// The block, with its part of `permit` inside its bytes, counted in `own` for as long.
fn hold_part(block: Block, permit: &mut OwnedSemaphorePermit, own: &Arc<AtomicU64>) -> Block {
    let bytes = block.byte_len() as u64;
    let units = usize::try_from(bytes.div_ceil(UNIT)).unwrap_or(usize::MAX);
    // Blocks of what needed fewer permits than it has bytes share what there is.
    let part = permit.split(units.min(permit.num_permits()));
    own.fetch_add(bytes, Ordering::Relaxed);
    block.holding((part, Own(Arc::clone(own), bytes)))
}

/// Bytes that are counted as a stream's own until this is dropped.
struct Own(Arc<AtomicU64>, u64);

impl Drop for Own {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}
