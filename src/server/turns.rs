//! Turns of the connections of one address at the processors: a few of them may be run or waiting to be run at a
//! time, however many there are and whatever they ask for (promise R8).
//!
//! The runtime runs what is ready in the order in which it became so. Two hundred busy connections of one client
//! would have everybody else's wait behind two hundred steps, again at each of their own steps. Here a connection
//! (or, of a proxy's connection, a client's request) that becomes ready while as many of its address are, waits in a line of its address; what waits for the network,
//! for storage or for memory waits in no line and has no turn. An address alone may have as many turns as there are
//! processors and loses nothing; where there are others, one processor is left to them.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::available_parallelism,
    time::{Duration, Instant},
};

use futures::task::AtomicWaker;

/// How long somebody counts as being there.
const THERE: Duration = Duration::from_secs(10);

/// Whether there is more than one address.
#[derive(Debug)]
pub(super) struct Crowd {
    begin: Instant,
    /// Until when there is, in milliseconds from the beginning.
    until: AtomicU64,
    processors: usize,
}

impl Crowd {
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(2, usize::from);
        Self { begin: Instant::now(), until: AtomicU64::new(0), processors }
    }

    fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    /// More than one address is there now.
    pub(super) fn is_there(&self) {
        let until = (self.now() + THERE).as_millis();
        self.until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Turns that one address may have.
    fn turns(&self) -> usize {
        let is_there = self.now() < Duration::from_millis(self.until.load(Ordering::Relaxed));
        self.processors.saturating_sub(usize::from(is_there)).max(1)
    }
}

/// The turns of one address.
#[derive(Debug)]
pub(super) struct Turns {
    crowd: Arc<Crowd>,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    /// Turns that somebody has.
    taken: usize,
    waiting: VecDeque<Arc<Place>>,
}

impl Turns {
    /// As many at a time as the `crowd` leaves.
    pub(super) fn new(crowd: Arc<Crowd>) -> Self {
        Self { crowd, line: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn that is free now, of something that does not run.
    #[cfg(test)]
    pub(super) fn take(self: &Arc<Self>) -> Option<Seat> {
        let seat = Seat::new(Arc::clone(self));
        let mut line = self.lock();
        let has_turn = self.is_free(&line) && seat.place.ask(&mut line);
        drop(line);
        has_turn.then_some(seat)
    }

    fn is_free(&self, line: &Line) -> bool {
        // The clock is asked only where it matters.
        line.taken == 0 || line.taken < self.crowd.turns()
    }
}

/// Where a future is on its way to its next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is to be done for it.
    Idle,
    /// In the line.
    Waiting,
    /// It has its turn: the runtime is to run it.
    Called,
    Running,
    /// What it waits for came while it was run.
    RunningAndReady,
    /// It is gone.
    Gone,
}

/// One future's place among those of its address. Its state changes only while the line is locked.
#[derive(Debug)]
struct Place {
    turns: Arc<Turns>,
    state: Mutex<State>,
    /// Has the runtime run it.
    task: AtomicWaker,
}

impl Place {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a turn, or gets into the line; whether it has a turn now.
    fn ask(self: &Arc<Self>, line: &mut Line) -> bool {
        let has_turn = line.waiting.is_empty() && self.turns.is_free(line);
        if has_turn {
            line.taken += 1;
        } else {
            line.waiting.push_back(Arc::clone(self));
        }
        *self.state() = if has_turn { State::Called } else { State::Waiting };
        has_turn
    }

    /// Gives a turn back. Those who are first in the line and have one now are to be woken.
    fn give_back(&self, line: &mut Line) -> [Option<Arc<Self>>; 2] {
        line.taken -= 1;
        [(); 2].map(|()| {
            let next = if self.turns.is_free(line) { line.waiting.pop_front() } else { None };
            if let Some(place) = &next {
                line.taken += 1;
                *place.state() = State::Called;
            }
            next
        })
    }
}

impl Wake for Place {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut line = self.turns.lock();
        let state = *self.state();
        let is_called = match state {
            State::Idle => self.ask(&mut line),
            State::Running => {
                *self.state() = State::RunningAndReady;
                false
            }
            State::Waiting | State::Called | State::RunningAndReady | State::Gone => false,
        };
        drop(line);
        if is_called {
            self.task.wake();
        }
    }
}

/// Something that is run only when it is its turn.
#[derive(Debug)]
pub(super) struct Seat {
    place: Arc<Place>,
    waker: Waker,
}

impl Seat {
    pub(super) fn new(turns: Arc<Turns>) -> Self {
        let place = Arc::new(Place { turns, state: Mutex::new(State::Idle), task: AtomicWaker::new() });
        Self { waker: Waker::from(Arc::clone(&place)), place }
    }

    /// What one step of `work` comes to; pending until it has its turn.
    pub(super) fn poll<T>(
        &self,
        context: &mut Context<'_>,
        work: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.place.task.register(context.waker());
        {
            let mut line = self.place.turns.lock();
            let state = *self.place.state();
            let has_turn = match state {
                State::Called => true,
                State::Idle => self.place.ask(&mut line),
                // Run without having been called, as the runtime may.
                State::Waiting | State::Running | State::RunningAndReady | State::Gone => false,
            };
            if !has_turn {
                return Poll::Pending;
            }
            *self.place.state() = State::Running;
        }
        let polled = work(&mut Context::from_waker(&self.waker));
        let mut line = self.place.turns.lock();
        let is_ready_again = *self.place.state() == State::RunningAndReady;
        *self.place.state() = State::Idle;
        // The others first, then itself.
        let next = self.place.give_back(&mut line);
        let again = is_ready_again && polled.is_pending() && self.place.ask(&mut line);
        drop(line);
        next.iter().flatten().for_each(|next| next.task.wake());
        if again {
            self.place.task.wake();
        }
        polled
    }
}

/// A future that is run only when it is its turn.
#[derive(Debug)]
pub(super) struct InTurn<F> {
    inner: Pin<Box<F>>,
    seat: Seat,
}

impl<F: Future> InTurn<F> {
    pub(super) fn new(turns: Arc<Turns>, inner: F) -> Self {
        Self { inner: Box::pin(inner), seat: Seat::new(turns) }
    }
}

impl<F: Future> Future for InTurn<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { inner, seat } = &mut *self;
        seat.poll(context, |context| inner.as_mut().poll(context))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut line = self.place.turns.lock();
        let state = std::mem::replace(&mut *self.place.state(), State::Gone);
        let next = match state {
            State::Waiting => {
                line.waiting.retain(|place| !Arc::ptr_eq(place, &self.place));
                [None, None]
            }
            // A panic may end it while it runs.
            State::Called | State::Running | State::RunningAndReady => self.place.give_back(&mut line),
            State::Idle | State::Gone => [None, None],
        };
        drop(line);
        next.iter().flatten().for_each(|next| next.task.wake());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    /// Becomes ready again at once, so often.
    async fn busy(steps: usize, done: Arc<AtomicUsize>) {
        for _ in 0..steps {
            let mut is_again = false;
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                if std::mem::replace(&mut is_again, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            done.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn turns(processors: usize) -> Arc<Turns> {
        Arc::new(Turns::new(Arc::new(Crowd { processors, ..Crowd::new() })))
    }

    /// Turns that are taken, and how many wait.
    fn taken(turns: &Turns) -> (usize, usize) {
        let line = turns.lock();
        (line.taken, line.waiting.len())
    }

    #[tokio::test]
    async fn many_of_one_address_leave_room_for_another() {
        let (many, one) = (turns(2), turns(2));
        let (theirs, ours) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let crowd: Vec<_> = (0..200)
            .map(|_| tokio::spawn(InTurn::new(Arc::clone(&many), busy(100, Arc::clone(&theirs)))))
            .collect();
        tokio::task::yield_now().await;
        let begin = theirs.load(Ordering::Relaxed);
        tokio::spawn(InTurn::new(Arc::clone(&one), busy(50, Arc::clone(&ours)))).await.unwrap();
        let meanwhile = theirs.load(Ordering::Relaxed) - begin;
        assert!(meanwhile < 500, "{meanwhile} steps of others while 50 were ours");
        for task in crowd {
            task.await.unwrap();
        }
        assert_eq!(theirs.load(Ordering::Relaxed), 20_000);
        assert_eq!((taken(&many), taken(&one)), ((0, 0), (0, 0)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nothing_is_forgotten_on_many_threads() {
        let turns = turns(3);
        let done = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..300_u64)
            .map(|i| {
                let done = Arc::clone(&done);
                tokio::spawn(InTurn::new(Arc::clone(&turns), async move {
                    for round in 0..20 {
                        match (i + round) % 3 {
                            0 => tokio::time::sleep(Duration::from_micros(i * 3)).await,
                            1 => tokio::task::spawn_blocking(|| ()).await.unwrap(),
                            _ => tokio::task::yield_now().await,
                        }
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }))
            })
            .collect();
        for (i, task) in tasks.into_iter().enumerate() {
            if i % 5 == 0 {
                task.abort();
            }
            let ended = tokio::time::timeout(Duration::from_secs(20), task).await.unwrap();
            assert!(ended.is_ok() || i % 5 == 0);
        }
        assert!(done.load(Ordering::Relaxed) >= 240);
        assert_eq!(taken(&turns), (0, 0));
    }

    #[tokio::test]
    async fn what_is_dropped_gives_its_turn_back() {
        let turns = turns(1);
        let mut first = Box::pin(InTurn::new(Arc::clone(&turns), std::future::pending::<()>()));
        let mut second = Box::pin(InTurn::new(Arc::clone(&turns), async {}));
        let mut context = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending());
        // Nothing is done for it now: the turn is free.
        assert_eq!(taken(&turns), (0, 0));
        first.seat.place.wake_by_ref();
        assert_eq!(taken(&turns), (1, 0));
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert_eq!(taken(&turns), (1, 1));
        drop(first);
        assert_eq!(taken(&turns), (1, 0), "it is the second one's now");
        assert!(second.as_mut().poll(&mut context).is_ready());
        assert_eq!(taken(&turns), (0, 0));
    }

    #[test]
    fn where_there_are_others_a_processor_is_left_to_them() {
        let turns = turns(3);
        let mut all: Vec<_> =
            (0..5).map(|_| Box::pin(InTurn::new(Arc::clone(&turns), std::future::pending::<()>()))).collect();
        let mut context = Context::from_waker(Waker::noop());
        for one in &mut all {
            assert!(one.as_mut().poll(&mut context).is_pending());
        }
        for one in &all {
            one.seat.place.wake_by_ref();
        }
        assert_eq!(taken(&turns), (3, 2));
        turns.crowd.is_there();
        assert!(all[0].as_mut().poll(&mut context).is_pending());
        assert_eq!(taken(&turns), (2, 2), "nobody takes the place of the third");
        assert!(all[1].as_mut().poll(&mut context).is_pending());
        assert_eq!(taken(&turns), (2, 1));
        drop(all);
        assert_eq!(taken(&turns), (0, 0));
    }
}
