//! A circuit breaker: a store that mostly fails is left alone for a while, so that nobody waits for it.
//!
//! Owns the decision only; the time is told to it.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Outcomes that are looked at.
const WINDOW: usize = 20;
/// Failures among them that open the breaker.
const TOO_MANY: usize = WINDOW / 2;
/// How long it stays open.
const PAUSE: Duration = Duration::from_secs(10);

/// The breaker of one store.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The last outcomes: whether they were failures.
    outcomes: VecDeque<bool>,
    /// Open until then.
    open_until: Option<Instant>,
    /// The one request that may find out whether the store is well again is under way.
    probing: bool,
}

/// Leave to make one request; what came of it is reported, or else it counts for nothing.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
}

impl Breaker {
    /// Leave to make a request, or how long there is none.
    pub(super) fn admit(&self, now: Instant) -> Result<Leave<'_>, Duration> {
        let mut state = self.state();
        let Some(until) = state.open_until else { return Ok(Leave { breaker: self, is_probe: false }) };
        if now < until {
            return Err(until - now);
        }
        if state.probing {
            return Err(Duration::from_secs(1));
        }
        state.probing = true;
        Ok(Leave { breaker: self, is_probe: true })
    }

    /// Whether requests are refused now.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.state().open_until.is_some_and(|until| now < until)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Each change is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leave<'_> {
    /// Reports whether the store failed; true when that opened the breaker.
    pub(super) fn report(self, failed: bool, now: Instant) -> bool {
        let mut state = self.breaker.state();
        if self.is_probe {
            state.open_until = failed.then(|| now + PAUSE);
            state.outcomes.clear();
            return failed;
        }
        if state.open_until.is_some() {
            // Begun before it opened.
            return false;
        }
        state.outcomes.push_back(failed);
        if state.outcomes.len() > WINDOW {
            state.outcomes.pop_front();
        }
        let opens = state.outcomes.iter().filter(|failed| **failed).count() >= TOO_MANY;
        if opens {
            state.open_until = Some(now + PAUSE);
            state.outcomes.clear();
        }
        opens
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.state().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_twenty_failures_open_it_and_a_probe_closes_it() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        // Every third fails: never 10 of 20.
        for i in 0..60 {
            assert!(!breaker.admit(start).unwrap().report(i % 3 == 0, start));
        }
        let mut failures = 0;
        while !breaker.admit(start).unwrap().report(true, start) {
            failures += 1;
            assert!(failures < 10);
        }
        assert_eq!(breaker.admit(start + PAUSE / 2).unwrap_err(), PAUSE / 2);
        assert!(breaker.is_open(start) && !breaker.is_open(start + PAUSE));

        let later = start + PAUSE;
        let probe = breaker.admit(later).unwrap();
        assert!(breaker.admit(later).is_err(), "one probe at a time");
        drop(probe);
        assert!(breaker.admit(later).unwrap().report(true, later), "a probe that fails opens it again");
        assert!(breaker.admit(later + PAUSE / 2).is_err());
        let later = later + PAUSE;
        assert!(!breaker.admit(later).unwrap().report(false, later));
        assert!(!breaker.admit(later).unwrap().report(true, later), "the slate is clean");
    }
}
