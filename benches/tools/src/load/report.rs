//! What is counted while requests run, and the report that is made of it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::plan::Plan;

/// What some connections have seen.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Of each answer, in microseconds.
    pub(crate) times: Vec<u32>,
    /// Until the first byte of each answer, in microseconds.
    pub(crate) firsts: Vec<u32>,
    /// Of bodies, finished or not.
    pub(crate) bytes: u64,
    /// What went wrong, and how often.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Connections that got no answer at all.
    pub(crate) starved: u64,
    /// When the last answer came.
    pub(crate) last: Option<Instant>,
}

/// Times are in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    requests: usize,
    seconds: f64,
    /// Requests a second.
    rate: f64,
    p50: u32,
    p90: u32,
    p99: u32,
    max: u32,
    first_p50: u32,
    first_max: u32,
    bytes: u64,
    errors: u64,
    /// What the errors were.
    reasons: BTreeMap<String, u64>,
    starved: u64,
    /// Processor seconds that this program itself took.
    cpu: f64,
}

impl Record {
    /// Counts an error.
    pub(crate) fn wrong(&mut self, reason: String) {
        *self.errors.entry(reason).or_default() += 1;
    }

    /// Takes in what others have seen.
    pub(crate) fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.firsts.extend(other.firsts);
        self.bytes += other.bytes;
        for (reason, count) in other.errors {
            *self.errors.entry(reason).or_default() += count;
        }
        self.starved += other.starved;
        self.last = self.last.max(other.last);
    }

    /// The report of all that was counted.
    pub(crate) fn report(mut self, plan: &Plan) -> Report {
        self.times.sort_unstable();
        self.firsts.sort_unstable();
        let until = self.last.unwrap_or(plan.end).min(plan.end);
        let seconds = until.saturating_duration_since(plan.start).as_secs_f64();
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = Duration::try_from(cpu).unwrap_or_default().as_secs_f64();
        Report {
            requests: self.times.len(),
            seconds,
            rate: if seconds > 0.0 { self.times.len() as f64 / seconds } else { 0.0 },
            p50: at(&self.times, 50),
            p90: at(&self.times, 90),
            p99: at(&self.times, 99),
            max: at(&self.times, 100),
            first_p50: at(&self.firsts, 50),
            first_max: at(&self.firsts, 100),
            bytes: self.bytes,
            errors: self.errors.values().sum(),
            reasons: self.errors,
            starved: self.starved,
            cpu,
        }
    }
}

/// What so many in a hundred are at most.
fn at(sorted: &[u32], share: usize) -> u32 {
    let index = (sorted.len() * share / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default()
}
