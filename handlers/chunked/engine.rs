//! What all reads share, and how one read becomes a stream of bands.
//!
//! Memory: a band takes permits for its output and its working space before anything is fetched; those
//! for the output ride inside the block's bytes and return when the last holder drops them. A stream
//! reads ahead only while half of all memory is free, and waits for memory only when it has nothing else to
//! give, so streams cannot block each other for good: who waits in vain is told `Overloaded`. Waiting for those who will
//! soon be done is better than cutting a chunk, which is then decoded for each part; when it is those with clients that take
//! nothing who have the memory, the others go on in [small steps](super::memory).

use std::{
    collections::VecDeque,
    mem,
    ops::Range,
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
    time::timeout,
};

use super::{
    ChunkedArray,
    cache::ChunkCache,
    memory::{Counted, Memory, Size, UNIT},
    plan::{Band, BandLimit, Plan},
    read::BandRead,
    rehearsal::Rehearsal,
    tally::Tally,
};
use crate::storage::{Object, Turn, carried, decoding, in_bulk, is_bulk, may_block_here};

/// Bands do not shrink below this, in bytes.
const SMALLEST_BAND: u64 = 128 << 10;

/// Bands of so many bytes are not cut through chunks to have less: waiting a little costs less than decoding twice.
const UNCUT: u64 = 2 << 20;

/// Bytes of a band when others have the memory and do not let go.
const STEP: u64 = 64 << 10;

/// Decoding so many bytes takes longer than a client should wait for the first.
const SLOW: u64 = 4 << 20;

/// Threads that large reads may have at a time: others are left for everything else.
const MOST_IN_BULK: usize = 128;

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
    /// How long it takes to the next block at most (promise R6).
    pub stall: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 96 << 20,
            budget_bytes: 128 << 20,
            band_bytes: 1 << 20,
            bands_in_flight: cores() * 3,
            // More than there are processors: while one hands over what it decoded, another decodes.
            decoders: cores() * 2,
            patience: Duration::from_secs(20),
            stall: Duration::from_secs(30),
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
    memory: Memory,
    /// Turns at decoding: of large reads, and of little ones.
    decoders: [Arc<Semaphore>; 2],
    /// Turns of large reads at the threads that may block; little ones need none.
    bulk: Arc<Semaphore>,
    /// Large reads that have begun and not ended: they share the budget. Little ones take next to nothing of it.
    large: Arc<AtomicU64>,
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
        Self {
            cache: ChunkCache::new(options.cache_bytes),
            memory: Memory::new(options.budget_bytes, options.patience),
            decoders: [(); 2].map(|()| Arc::new(Semaphore::new(options.decoders.max(1)))),
            // More than decode: some wait for a disk.
            bulk: Arc::new(Semaphore::new(options.decoders.max(1).saturating_mul(4).min(MOST_IN_BULK))),
            large: Arc::default(),
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
            let stall = reading.engine.options.stall;
            match timeout(stall, reading.next()).await {
                Ok(Ok(None)) => None,
                Ok(Ok(Some(block))) => Some((Ok(block), Some(Ok(reading)))),
                Ok(Err(e)) => Some((Err(e), None)),
                Err(late) => Some((Err(stalled(stall).with_source(late)), None)),
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
        self.memory.in_use()
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

    /// A turn at decoding: little never waits behind much. Who is on a thread that may block goes on without when
    /// there is none: such threads are few, and giving up the thread costs more than sharing a processor for a while.
    pub(crate) async fn decoder(&self) -> Option<Turn> {
        if may_block_here() { None } else { decoding(&self.decoders[usize::from(!is_bulk())]).await }
    }

    /// Waits until so many bytes may be used.
    pub(super) async fn hold_memory(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        self.memory.hold(self.memory.permits_for(bytes), Size::Much).await
    }

    /// See [`Memory::hold_only`].
    pub(super) fn hold_only(&self, permit: OwnedSemaphorePermit, bytes: u64) -> OwnedSemaphorePermit {
        self.memory.hold_only(permit, bytes)
    }

    /// Bytes of `object` as they are stored, as a part of an answer of `all` bytes: within the budget, and in turn
    /// with other large reads.
    ///
    /// # Errors
    /// What storage says; `Overloaded` when there is no memory for too long.
    pub async fn stored(&self, object: &Object, range: Range<u64>, all: u64) -> Result<Bytes> {
        let size = self.size_of(all);
        let permits = self.memory.permits_for(range.end.saturating_sub(range.start));
        let permit = self.memory.hold(permits, size).await?;
        let bytes = match size {
            Size::Little => timeout(self.options.stall, object.read(range)).await,
            Size::Much => {
                timeout(self.options.stall, in_bulk(Arc::clone(&self.bulk), object.read(range))).await
            }
        };
        let bytes = bytes.map_err(|late| stalled(self.options.stall).with_source(late))??;
        match Block::Fixed(bytes).holding(permit) {
            Block::Fixed(bytes) | Block::Varying { bytes, .. } => Ok(bytes),
        }
    }

    fn size_of(&self, bytes: u64) -> Size {
        if bytes <= self.options.band_bytes / 2 { Size::Little } else { Size::Much }
    }

    /// Memory for reading ahead: half of it all is left to those who have nothing yet. A client that takes its
    /// time could otherwise keep others out with what it will want much later.
    fn memory_to_spare(&self, permits: u32) -> Option<OwnedSemaphorePermit> {
        let is_there = self.memory.free() >= u64::from(permits) + u64::from(self.memory.units() / 2);
        is_there.then(|| self.memory.try_hold(permits, Size::Much)).flatten()
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
    size: Size,
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
        let size = engine.size_of(bytes);
        let fresh = bytes <= engine.options.band_bytes.saturating_mul(2);
        let plan = Plan::new(&array.chunk_shape, selection);
        let counted = Counted::new(&engine.large, u64::from(size == Size::Much));
        let at_once = engine.options.bands_in_flight / 3;
        Ok(Self {
            fresh,
            engine,
            array,
            plan,
            waiting: None,
            in_flight: VecDeque::new(),
            ready: VecDeque::new(),
            size,
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
            let units = self.engine.memory.permits_for(self.cost(&band).0);
            if let Some(mut permit) = self.engine.memory.try_hold(units, self.size)
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
        BandRead::new(engine, array, band, (self.size == Size::Little, self.little), begun)
    }

    /// Begins as many bands as may be under way at once and memory is there for; waits for memory when there
    /// is no band to wait for.
    async fn begin(&mut self) -> Result<()> {
        while self.in_flight.len() < self.at_once.max(1) {
            let limit = self.limit();
            let Some(mut band) = self.waiting.take().or_else(|| self.plan.next_band(limit)) else { break };
            let (mut output, mut all) = self.permits(&band);
            let memory = &self.engine.memory;
            let permit = if !self.in_flight.is_empty() {
                let Some(permit) = self.engine.memory_to_spare(all) else {
                    self.waiting = Some(band);
                    break;
                };
                permit
            } else if self.size == Size::Little {
                memory.hold(all, self.size).await?
            } else if let Some(permit) = memory.hold_soon(all).await {
                permit
            } else {
                self.plan.give_back(&band);
                let step = (STEP / self.array.stored_size as u64).max(1);
                let Some(smaller) = self.plan.next_band(BandLimit { aim: step, aligned: step }) else {
                    break;
                };
                band = smaller;
                (output, all) = self.permits(&band);
                memory.hold_step(all).await?
            };
            // A step may have less than it would take.
            all = u32::try_from(permit.num_permits()).unwrap_or(all);
            output = output.min(all);
            self.own.fetch_add(u64::from(all) * UNIT, Ordering::Relaxed);
            let decoded = band.part_count().saturating_mul(self.array.chunk_byte_len().unwrap_or(0));
            let is_slow = decoded > SLOW && !self.array.pipeline.is_empty();
            let numbers = self.array.elements.numbers().is_some();
            let begun = self.begun.take().filter(|_| is_slow && numbers);
            let read = self.read(&band, begun.clone())?;
            let own = Arc::clone(&self.own);
            let is_read = self.engine.memory.reading(all);
            let reading = async move {
                let mut permit = permit;
                let blocks = read.blocks_of(&band).await?;
                drop(is_read);
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
            let handle = match self.size {
                Size::Little => tokio::spawn(carried(reading)),
                Size::Much => tokio::spawn(in_bulk(Arc::clone(&self.engine.bulk), reading)),
            };
            self.in_flight.push_back(Task { handle, begun });
        }
        Ok(())
    }

    /// The size of the next band: what is this stream's share of the budget, and not more than it could have
    /// if all its own blocks were gone. Others may hold more than their share, for as long as their clients
    /// take to read it.
    fn limit(&self) -> BandLimit {
        let options = &self.engine.options;
        let streams = self.engine.large.load(Ordering::Relaxed).max(1);
        let free = self.engine.memory.free() * UNIT;
        let room = (options.budget_bytes / streams).min(free + self.own.load(Ordering::Relaxed));
        let size = self.array.stored_size as u64;
        let aim = (options.band_bytes.min((room / 4).max(SMALLEST_BAND)) / size).max(1);
        let aligned = if self.array.pipeline.is_empty() {
            aim
        } else {
            // Cutting through chunks costs decoding them again: worth some memory while there is any.
            ((room / 5 * 4).max(UNCUT.min(options.budget_bytes / 4)) / size).max(aim)
        };
        BandLimit { aim, aligned }
    }

    /// Permits for a band's output, and for that and the space it is made in.
    fn permits(&self, band: &Band) -> (u32, u32) {
        let (output, working) = self.cost(band);
        let output = self.engine.memory.permits_for(output);
        (output, self.engine.memory.permits_for(u64::from(output) * UNIT + working))
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

fn stalled(stall: Duration) -> Error {
    Error::new(ErrorKind::TimedOut, format!("no data came from storage for {stall:?}"))
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
