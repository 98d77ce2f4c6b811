//! A band: small parts of many members, read side by side and put where they belong.
//!
//! A few readers each take the next part until none is left. A part whose member is near is opened, read,
//! decoded and put in its place on one thread that may block, so that a thousand small members cost few hops
//! between threads; what has to wait for something else goes on as a task of its own, a few at a time.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use cdm::{Block, Error, Result};
use futures::{StreamExt, stream::FuturesUnordered};

use super::{
    assembled::{Task, Work},
    paste::Canvas,
    pieces::{Gathered, VARYING},
    room::ROOM,
};
use crate::storage::{Going, at_once, blocking};

/// Parts of one band that are read at once.
const READERS: usize = 8;

/// Parts of one reader that wait for something at a time.
const WAITING: usize = 2;

/// The band of `shape`, put together from `parts`.
pub(super) async fn band(work: Work, shape: Vec<u64>, parts: Vec<Gathered>) -> Result<Block> {
    let count: u64 = shape.iter().product();
    let size = work.data_type.fixed_size();
    let taken = ROOM.take(count.saturating_mul(size.unwrap_or(VARYING)));
    let canvas = Canvas::new(count, size, work.mosaic.fill())?;
    let readers = READERS.min(parts.len());
    let band =
        Arc::new(Band { work, shape, parts, next: AtomicUsize::new(0), canvas: Mutex::new(Some(canvas)) });
    // Whoever has begun is not stopped; nothing more is begun when nobody waits any longer.
    let _end = End(&band);
    futures::future::try_join_all((0..readers).map(|_| Arc::clone(&band).reader())).await?;
    let canvas = band.canvas.lock().unwrap_or_else(PoisonError::into_inner).take();
    let canvas = canvas.ok_or_else(|| Error::internal("a band was finished twice"))?;
    Ok(canvas.into_block().holding(taken))
}

struct Band {
    work: Work,
    shape: Vec<u64>,
    parts: Vec<Gathered>,
    /// The next part to read.
    next: AtomicUsize,
    /// `None` when the band is finished.
    canvas: Mutex<Option<Canvas>>,
}

/// Lets nothing more begin, however the band ends.
struct End<'a>(&'a Band);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.next.store(self.0.parts.len(), Ordering::Relaxed);
    }
}

impl Band {
    async fn reader(self: Arc<Self>) -> Result<()> {
        let mut waiting = FuturesUnordered::new();
        loop {
            let (this, room) = (Arc::clone(&self), WAITING - waiting.len());
            let begun = blocking(move || this.read_on(room)).await?;
            waiting.extend(begun.into_iter().map(|part| Task::spawn(part).result()));
            match waiting.next().await {
                Some(done) => done?,
                None => return Ok(()),
            }
        }
    }

    /// Reads parts until none is left, or so many wait for something.
    fn read_on(self: Arc<Self>, room: usize) -> Result<Vec<Going<Result<()>>>> {
        let mut waiting = Vec::new();
        while waiting.len() < room {
            let position = self.next.fetch_add(1, Ordering::Relaxed);
            if position >= self.parts.len() {
                break;
            }
            match at_once(Box::pin(Arc::clone(&self).part(position))) {
                Ok(done) => done?,
                Err(part) => waiting.push(part),
            }
        }
        Ok(waiting)
    }

    async fn part(self: Arc<Self>, position: usize) -> Result<()> {
        let missing = || Error::internal("a part that is not there");
        let gathered = self.parts.get(position).ok_or_else(missing)?;
        let values = self.work.collect(gathered).await?;
        let part = self.work.part(gathered)?;
        let mut canvas = self.canvas.lock().unwrap_or_else(PoisonError::into_inner);
        canvas.as_mut().ok_or_else(missing)?.paste(&self.shape, part, gathered, &values)
    }
}
