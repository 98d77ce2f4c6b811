//! Memory for data on their way: one budget in bytes, in three parts.
//!
//! Large answers whose clients take their time may hold all of the first part; who asks for a few kilobytes finds room
//! in the second (promises R2 and R8). The third is for large answers that waited for the first in vain, because those who have
//! it do not let go: they go on in small steps there, of which it has room for many.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cdm::{Error, ErrorKind, Result};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// What a permit stands for, in bytes.
pub(super) const UNIT: u64 = 1 << 10;

/// The part of all memory that is kept for who reads little: one in so many.
const KEPT_FOR_LITTLE: u32 = 8;

/// The part that is kept for small steps: one in so many.
const KEPT_FOR_STEPS: u32 = 4;

/// A step may take one in so many of what is kept for them.
const LARGEST_STEP: u32 = 2;

/// Memory is free again within this, unless those who have it wait for their clients, or reading takes long. The latter
/// is worth waiting for.
const SOON: Duration = Duration::from_secs(2);

/// When it was not, nobody else waits for so long.
const STUCK: Duration = Duration::from_secs(10);

/// A budget smaller than this is not divided.
const SMALLEST_DIVIDED: u32 = 32 << 10;

/// How much a read is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Little,
    Much,
}

/// So many bytes.
#[derive(Debug)]
pub(super) struct Memory {
    all: Part,
    little: Part,
    /// For small steps.
    steps: Part,
    /// Permits of what is being read.
    reading: Arc<AtomicU64>,
    /// How long to wait for it; who may go on in steps waits for half of that first, and then for the other.
    patience: Duration,
    /// Since when who holds memory has not let go of it.
    stuck: Mutex<Option<Instant>>,
}

/// Counts so many until it is dropped.
#[derive(Debug)]
pub(super) struct Counted(Arc<AtomicU64>, u64);

impl Counted {
    pub(super) fn new(count: &Arc<AtomicU64>, many: u64) -> Self {
        count.fetch_add(many, Ordering::Relaxed);
        Self(Arc::clone(count), many)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// So many permits of it.
#[derive(Debug)]
struct Part {
    permits: Arc<Semaphore>,
    units: u32,
}

impl Part {
    fn new(units: u32) -> Self {
        let permits = usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(permits)), units }
    }

    fn free(&self) -> u64 {
        self.permits.available_permits() as u64
    }

    fn in_use(&self) -> u64 {
        u64::from(self.units).saturating_sub(self.free())
    }

    fn try_hold(&self, permits: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_many_owned(permits).ok()
    }

    async fn hold(&self, permits: u32, patience: Duration) -> Result<OwnedSemaphorePermit> {
        match timeout(patience, Arc::clone(&self.permits).acquire_many_owned(permits)).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(e)) => Err(Error::internal("the budget is gone").with_source(e)),
            Err(e) => {
                let message = "the server has no memory left for data now; try again later";
                Err(Error::new(ErrorKind::Overloaded, message).with_source(e))
            }
        }
    }
}

impl Memory {
    pub(super) fn new(bytes: u64, patience: Duration) -> Self {
        let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let whole = u32::try_from(bytes / UNIT).unwrap_or(most).clamp(1, most);
        let part = |one_in: u32| if whole < SMALLEST_DIVIDED { 0 } else { whole / one_in };
        let (little, steps) = (part(KEPT_FOR_LITTLE), part(KEPT_FOR_STEPS));
        Self {
            all: Part::new(whole - little - steps),
            little: Part::new(little),
            steps: Part::new(steps),
            reading: Arc::default(),
            patience,
            stuck: Mutex::default(),
        }
    }

    /// What many reads share, in permits.
    pub(super) fn units(&self) -> u32 {
        self.all.units
    }

    /// Of what many reads share, the permits that nobody has.
    pub(super) fn free(&self) -> u64 {
        self.all.free()
    }

    /// Bytes in use, in whole KiB.
    pub(super) fn in_use(&self) -> u64 {
        (self.all.in_use() + self.little.in_use() + self.steps.in_use()) * UNIT
    }

    /// Permits for so many bytes; more than there are means all of them.
    pub(super) fn permits_for(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.all.units)
    }

    /// Says that what so many permits are held for is being read, until the answer is dropped.
    pub(super) fn reading(&self, permits: u32) -> Counted {
        Counted::new(&self.reading, u64::from(permits))
    }

    /// So many permits if they are free now. Little takes of what is kept for it first: bands are planned for what is
    /// free of the rest.
    pub(super) fn try_hold(&self, permits: u32, size: Size) -> Option<OwnedSemaphorePermit> {
        let of_little = self.is_little(permits, size).then(|| self.little.try_hold(permits)).flatten();
        of_little.or_else(|| self.all.try_hold(permits))
    }

    fn is_little(&self, permits: u32, size: Size) -> bool {
        size == Size::Little && permits <= self.little.units
    }

    /// So many permits, which may have to be waited for.
    ///
    /// # Errors
    /// `Overloaded` when they are waited for in vain.
    pub(super) async fn hold(&self, permits: u32, size: Size) -> Result<OwnedSemaphorePermit> {
        if let Some(held) = self.try_hold(permits, size) {
            return Ok(held);
        }
        if self.is_little(permits, size) {
            return self.little.hold(permits, self.patience).await;
        }
        match self.hold_soon(permits).await {
            Some(held) => Ok(held),
            None if permits <= self.largest_step() => self.hold_step(permits).await,
            None => self.all.hold(permits, self.patience / 2).await,
        }
    }

    /// So many permits for much, unless those who have them do not let go.
    pub(super) async fn hold_soon(&self, permits: u32) -> Option<OwnedSemaphorePermit> {
        if let Some(held) = self.all.try_hold(permits) {
            return Some(held);
        }
        let stuck = || self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        if stuck().is_some_and(|since| since.elapsed() < STUCK) {
            return None;
        }
        let mut holding = pin!(self.all.hold(permits, self.patience / 2));
        let held = loop {
            match timeout(SOON, holding.as_mut()).await {
                Ok(held) => break held.ok(),
                Err(_) if self.reading.load(Ordering::Relaxed) < u64::from(self.all.units / 2) => break None,
                Err(_) => {}
            }
        };
        *stuck() = held.is_none().then(Instant::now);
        held
    }

    fn largest_step(&self) -> u32 {
        self.steps.units / LARGEST_STEP
    }

    /// So many permits for a small step, or as many as a step may have.
    ///
    /// # Errors
    /// `Overloaded` when they are waited for in vain.
    pub(super) async fn hold_step(&self, permits: u32) -> Result<OwnedSemaphorePermit> {
        match self.largest_step() {
            // A budget that is not divided.
            0 => self.all.hold(permits, self.patience / 2).await,
            most => self.steps.hold(permits.min(most), self.patience / 2).await,
        }
    }

    /// What of `permit` stands for so many bytes; the rest is free again. When they are more than it stands
    /// for, as much as is free is added.
    pub(super) fn hold_only(&self, mut permit: OwnedSemaphorePermit, bytes: u64) -> OwnedSemaphorePermit {
        let wanted = usize::try_from(self.permits_for(bytes)).unwrap_or(usize::MAX);
        if let Some(kept) = permit.split(wanted) {
            return kept;
        }
        let from = Arc::clone(permit.semaphore());
        let missing = wanted.saturating_sub(permit.num_permits()).min(from.available_permits());
        let more = u32::try_from(missing).ok().and_then(|n| from.try_acquire_many_owned(n).ok());
        if let Some(more) = more {
            permit.merge(more);
        }
        permit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn little_reads_find_room_when_large_ones_have_everything() {
        let memory = Memory::new(32 << 20, Duration::from_millis(20));
        let much = memory.hold(memory.permits_for(u64::MAX), Size::Much).await.unwrap();
        assert_eq!((memory.free(), memory.in_use()), (0, 20 << 20));
        let refused = memory.hold(5 << 10, Size::Much).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Overloaded);
        let little = memory.hold(4 << 10, Size::Little).await.unwrap();
        assert_eq!(memory.in_use(), 24 << 20);
        assert!(memory.hold(1, Size::Little).await.is_err(), "of that there is an end, too");
        drop(little);
        assert!(memory.try_hold(1, Size::Little).is_some());
        // What is more than is kept for little reads waits with the others.
        assert!(memory.hold(5 << 10, Size::Little).await.is_err());
        // Who reads much goes on in small steps.
        let steps =
            [memory.hold(4 << 10, Size::Much).await.unwrap(), memory.hold_step(5 << 10).await.unwrap()];
        assert_eq!((steps[1].num_permits(), memory.in_use()), (4 << 10, 28 << 20));
        assert!(memory.hold_step(1).await.is_err(), "of steps there is an end, too");
        drop((much, steps));
        assert_eq!(memory.in_use(), 0);
        let grown = memory.hold_only(memory.hold(1, Size::Little).await.unwrap(), 3 << 10);
        assert_eq!(grown.num_permits(), 3);
    }

    #[tokio::test]
    async fn little_reads_leave_the_common_memory_alone_while_they_have_their_own() {
        let memory = Memory::new(32 << 20, Duration::from_millis(20));
        let little = [
            memory.hold(3 << 10, Size::Little).await.unwrap(),
            memory.try_hold(1 << 10, Size::Little).unwrap(),
        ];
        assert_eq!((memory.free(), memory.in_use()), (20 << 10, 4 << 20));
        let more = memory.try_hold(1, Size::Little).unwrap();
        assert_eq!(memory.free(), (20 << 10) - 1, "then they have a part of it");
        drop((little, more));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_is_what_all_waiting_takes_together() {
        let memory = Memory::new(32 << 20, Duration::from_secs(20));
        let _much = memory.hold(memory.units(), Size::Much).await.unwrap();
        let _reading = memory.reading(memory.units());
        let _steps = [memory.hold_step(4 << 10).await.unwrap(), memory.hold_step(4 << 10).await.unwrap()];
        let begin = tokio::time::Instant::now();
        let refused = memory.hold(1, Size::Much).await.unwrap_err();
        assert_eq!((refused.kind(), begin.elapsed()), (ErrorKind::Overloaded, memory.patience));
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_is_waited_for_longer_than_who_waits_for_a_client() {
        let memory = Memory::new(32 << 20, Duration::from_secs(20));
        let much = memory.hold(memory.permits_for(u64::MAX), Size::Much).await.unwrap();
        let begin = tokio::time::Instant::now();
        let reading = memory.reading(memory.units());
        let (held, ()) = tokio::join!(memory.hold_soon(1), async {
            tokio::time::sleep(SOON * 3).await;
            drop((much, reading));
        });
        assert!(held.is_some() && begin.elapsed() == SOON * 3);
        let _much = memory.hold(memory.units() - 1, Size::Much).await.unwrap();
        let begin = tokio::time::Instant::now();
        assert!(memory.hold_soon(1).await.is_none() && begin.elapsed() == SOON, "what was read is not taken");
        assert!(memory.hold_soon(1).await.is_none() && begin.elapsed() == SOON, "nobody else waits");
    }
}
