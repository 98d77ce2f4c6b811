//! Places for answers with data: so many at a time, half of them at most for one client; who does not find one waits
//! in a short line, and is told to come again when the line is full (promise R8).

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cdm::{Error, ErrorKind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places, and who has them.
#[derive(Debug)]
pub(super) struct Lanes {
    all: Arc<Semaphore>,
    most: usize,
    waiting: AtomicUsize,
    clients: Mutex<HashMap<IpAddr, Arc<Share>>>,
}

/// One client's part of the places.
#[derive(Debug)]
struct Share {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Lane {
    lanes: Arc<Lanes>,
    client: IpAddr,
    own: Option<OwnedSemaphorePermit>,
    #[expect(dead_code, reason = "held for what its end does")]
    common: OwnedSemaphorePermit,
}

/// Counts one that waits until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    /// Unless so many wait already.
    fn join(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let joined =
            count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < most).then_some(n + 1));
        // Made only then: dropping one counts.
        joined.is_ok().then(|| Self(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lanes {
    /// So many places.
    pub(super) fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let all = Arc::new(Semaphore::new(most));
        Self { all, most, waiting: AtomicUsize::new(0), clients: Mutex::default() }
    }

    /// Places that are taken.
    pub(super) fn taken(&self) -> usize {
        self.most.saturating_sub(self.all.available_permits())
    }

    fn half(&self) -> usize {
        (self.most / 2).max(1)
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<IpAddr, Arc<Share>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn share(&self, client: IpAddr) -> Arc<Share> {
        let new = || {
            Arc::new(Share { places: Arc::new(Semaphore::new(self.half())), waiting: AtomicUsize::new(0) })
        };
        Arc::clone(self.clients().entry(client).or_insert_with(new))
    }

    fn lane(
        self: &Arc<Self>,
        client: IpAddr,
        own: OwnedSemaphorePermit,
        common: OwnedSemaphorePermit,
    ) -> Lane {
        Lane { lanes: Arc::clone(self), client, own: Some(own), common }
    }

    /// A place for `client`, if there is one now.
    pub(super) fn try_enter(self: &Arc<Self>, client: IpAddr) -> Option<Lane> {
        let share = self.share(client);
        let own = Arc::clone(&share.places).try_acquire_owned().ok();
        let both = own.and_then(|own| Some((own, Arc::clone(&self.all).try_acquire_owned().ok()?)));
        if both.is_none() {
            self.forget(client, &share);
        }
        both.map(|(own, common)| self.lane(client, own, common))
    }

    /// A place for `client`, which waits for one.
    ///
    /// # Errors
    /// `Overloaded` at once when too many wait already, of all or of this client's; after `patience` when none
    /// became free.
    pub(super) async fn enter(self: &Arc<Self>, client: IpAddr, patience: Duration) -> Result<Lane> {
        let share = self.share(client);
        let entered = self.enter_by(&share, patience).await;
        if entered.is_err() {
            self.forget(client, &share);
        }
        let (own, common) = entered?;
        Ok(self.lane(client, own, common))
    }

    async fn enter_by(
        &self,
        share: &Share,
        patience: Duration,
    ) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let busy = || Error::new(ErrorKind::Overloaded, "the server is busy; try again in a few seconds");
        let _of_client = Waiting::join(&share.waiting, self.most).ok_or_else(busy)?;
        let _of_all = Waiting::join(&self.waiting, self.most.saturating_mul(2)).ok_or_else(busy)?;
        let wait = async {
            let own = Arc::clone(&share.places).acquire_owned().await.ok()?;
            Some((own, Arc::clone(&self.all).acquire_owned().await.ok()?))
        };
        tokio::time::timeout(patience, wait).await.ok().flatten().ok_or_else(busy)
    }

    /// Nothing is kept of a client that has nothing.
    fn forget(&self, client: IpAddr, share: &Arc<Share>) {
        let mut clients = self.clients();
        // The table's and this one: nobody else is at it, and nobody can come while the table is locked.
        let is_unused = Arc::strong_count(share) <= 2 && share.places.available_permits() == self.half();
        if is_unused && clients.get(&client).is_some_and(|known| Arc::ptr_eq(known, share)) {
            clients.remove(&client);
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.own = None;
        let share = self.lanes.clients().get(&self.client).map(Arc::clone);
        if let Some(share) = share {
            self.lanes.forget(self.client, &share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn client(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_has_half_at_most() {
        let lanes = Arc::new(Lanes::new(4));
        let first = lanes.enter(client(1), SECOND).await.unwrap();
        let second = lanes.enter(client(1), SECOND).await.unwrap();
        let begin = tokio::time::Instant::now();
        assert_eq!(lanes.enter(client(1), SECOND).await.unwrap_err().kind(), ErrorKind::Overloaded);
        assert_eq!(begin.elapsed(), SECOND);
        let others =
            [lanes.enter(client(2), SECOND).await.unwrap(), lanes.enter(client(3), SECOND).await.unwrap()];
        assert_eq!(begin.elapsed(), SECOND, "they did not wait");
        assert_eq!(lanes.taken(), 4);
        drop(first);
        let again = lanes.enter(client(1), SECOND).await.unwrap();
        drop((second, again, others));
        assert_eq!((lanes.taken(), lanes.clients().len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_line_is_told_at_once() {
        let lanes = Arc::new(Lanes::new(2));
        let held =
            [lanes.enter(client(1), SECOND).await.unwrap(), lanes.enter(client(2), SECOND).await.unwrap()];
        let wait = |n: u8| {
            let lanes = Arc::clone(&lanes);
            tokio::spawn(async move {
                let begin = tokio::time::Instant::now();
                (lanes.enter(client(n), 5 * SECOND).await.is_ok(), begin.elapsed())
            })
        };
        // Two of one client may wait, four of all.
        let waiting: Vec<_> = [1, 1, 1, 1, 2, 3, 4, 5].map(wait).into();
        let mut came = Vec::new();
        for task in waiting {
            came.push(task.await.unwrap());
        }
        let at_once: Vec<bool> = came.iter().map(|(_, took)| took.is_zero()).collect();
        assert_eq!(at_once, [false, false, true, true, false, false, true, true], "{came:?}");
        assert!(came.iter().all(|(entered, _)| !entered));
        drop(held);
        assert!(lanes.enter(client(9), SECOND).await.is_ok());
        assert_eq!((lanes.taken(), lanes.clients().len()), (0, 0));
    }
}
