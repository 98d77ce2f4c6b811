//! What the server counts, as Prometheus reads it: `/-/metrics`. `docs/operate.md` lists the metrics.
//!
//! Labels have few values, none of which a client can make up. Counting costs a request some additions.

mod process;
mod text;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use handlers::{
    chunked::Counts,
    storage::{KeptFiles, Meter, StoreCalls},
};
use http::StatusCode;

use self::text::{Document, Kind};
use super::label::{LABELS, Label};

/// How an answer ended, as the log names it.
const OUTCOMES: [&str; 3] = ["done", "failed", "cancelled"];

/// The classes of status codes.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Why requests are refused, by status; and last what has no status of its own.
const REASONS: [(u16, &str); 20] = [
    (400, "bad_request"),
    (401, "not_authenticated"),
    (403, "forbidden"),
    (404, "not_found"),
    (405, "method"),
    (406, "not_acceptable"),
    (408, "slow_request"),
    (409, "changed"),
    (413, "too_large"),
    (414, "uri_too_long"),
    (416, "range"),
    (421, "wrong_host"),
    (429, "too_many"),
    (431, "head_too_large"),
    (500, "failed"),
    (501, "unsupported"),
    (502, "storage"),
    (503, "overloaded"),
    (504, "timed_out"),
    (0, "other"),
];

/// Upper ends of the histograms' buckets, in microseconds and as they are written.
const BUCKETS: [(u64, &str); 11] = [
    (1_000, "0.001"),
    (5_000, "0.005"),
    (20_000, "0.02"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (300_000, "0.3"),
    (1_000_000, "1"),
    (3_000_000, "3"),
    (10_000_000, "10"),
    (30_000_000, "30"),
    (u64::MAX, "+Inf"),
];

/// Counts since the server was started.
#[derive(Debug)]
pub(super) struct Metrics {
    started: f64,
    is_reloaded: AtomicBool,
    /// Bits of the seconds since 1970.
    reloaded: AtomicU64,
    routes: [Route; LABELS.len()],
    refused: [AtomicU64; REASONS.len()],
    /// Connections that were closed at once: their address had too many.
    turned_away: AtomicU64,
    kept: AtomicU64,
    panics: AtomicU64,
    denied: AtomicU64,
    waiting: Arc<AtomicU64>,
    /// What is read for no request: for what catalogs tell of datasets.
    pub(super) background: Meter,
}

/// What is counted of each kind of request.
#[derive(Debug, Default)]
struct Route {
    answers: [[AtomicU64; OUTCOMES.len()]; CLASSES.len()],
    bytes: AtomicU64,
    read: AtomicU64,
    head: Histogram,
    whole: Histogram,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    micros: AtomicU64,
}

/// A request that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) label: Label,
    pub(super) status: Option<StatusCode>,
    pub(super) outcome: &'static str,
    /// Of the body, sent.
    pub(super) bytes: u64,
    /// Of storage.
    pub(super) read: u64,
    /// Until the answer began.
    pub(super) head: Duration,
    pub(super) whole: Duration,
}

/// What is the case now.
#[derive(Debug, Clone, Default)]
pub(super) struct Now {
    pub(super) connections: usize,
    pub(super) most_connections: usize,
    pub(super) data_answers: usize,
    pub(super) most_data_answers: usize,
    pub(super) engine: Counts,
    pub(super) memory: u64,
    pub(super) stores: Vec<StoreCalls>,
    pub(super) is_draining: bool,
}

/// Counts one that waits until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting(Arc<AtomicU64>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    pub(super) fn new() -> Self {
        let now = now();
        Self {
            started: now,
            is_reloaded: AtomicBool::new(true),
            reloaded: AtomicU64::new(now.to_bits()),
            routes: Default::default(),
            refused: Default::default(),
            turned_away: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            waiting: Arc::default(),
            background: Meter::default(),
        }
    }

    /// The configuration was read again; whether it is in force.
    pub(super) fn reloaded(&self, is_in_force: bool) {
        self.is_reloaded.store(is_in_force, Relaxed);
        if is_in_force {
            self.reloaded.store(now().to_bits(), Relaxed);
        }
    }

    pub(super) fn answered(&self, ended: Ended) {
        let Some(route) = self.routes.get(ended.label as usize) else { return };
        // A request that was dropped before it had an answer counts as one that nobody waited for.
        let code = ended.status.map_or(400, |s| s.as_u16());
        let class = usize::from(code / 100).saturating_sub(1);
        let outcome = OUTCOMES.iter().position(|o| *o == ended.outcome);
        if let Some(count) = route.answers.get(class).zip(outcome).and_then(|(row, at)| row.get(at)) {
            count.fetch_add(1, Relaxed);
        }
        route.bytes.fetch_add(ended.bytes, Relaxed);
        if ended.read > 0 {
            route.read.fetch_add(ended.read, Relaxed);
        }
        route.head.count(ended.head);
        route.whole.count(ended.whole);
        if ended.status.is_some() && code >= 400 {
            let reason = REASONS.iter().position(|(status, _)| *status == code).unwrap_or(REASONS.len() - 1);
            if let Some(count) = self.refused.get(reason) {
                count.fetch_add(1, Relaxed);
            }
        }
    }

    /// A connection was closed: its address has too many.
    pub(super) fn turned_away(&self) {
        self.turned_away.fetch_add(1, Relaxed);
    }

    /// An answer is one that was kept.
    pub(super) fn kept(&self) {
        self.kept.fetch_add(1, Relaxed);
    }

    pub(super) fn panicked(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    /// Somebody was refused what is there, for who they are.
    pub(super) fn denied(&self) {
        self.denied.fetch_add(1, Relaxed);
    }

    /// An answer with data waits for its turn, until what is returned is dropped.
    pub(super) fn waits(&self) -> Waiting {
        self.waiting.fetch_add(1, Relaxed);
        Waiting(Arc::clone(&self.waiting))
    }

    /// The counts, and what is the case now.
    pub(super) fn text(&self, now: &Now) -> String {
        use Kind::{Counter, Gauge};
        let mut out = Document::default();
        out.one(Gauge, "process_start_time_seconds", "Start of the process since 1970.", self.started);
        process::tell(&mut out);
        out.family(Gauge, "thalweg_build_info", "The version, as a label.");
        out.sample("thalweg_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        let is_reloaded = u8::from(self.is_reloaded.load(Relaxed));
        out.one(
            Gauge,
            "config_last_reload_successful",
            "Whether the last reload was put in force.",
            is_reloaded,
        );
        let time = f64::from_bits(self.reloaded.load(Relaxed));
        let help = "When a configuration was last put in force.";
        out.one(Gauge, "config_last_reload_success_timestamp_seconds", help, time);
        let help = "Whether the server was told to stop.";
        out.one(Gauge, "thalweg_draining", help, u8::from(now.is_draining));
        self.tell_requests(&mut out);
        out.one(Gauge, "thalweg_connections", "Open connections.", now.connections);
        out.one(Gauge, "thalweg_connections_limit", "The most of them.", now.most_connections);
        let help = "Connections that were closed because their address has too many.";
        out.one(Counter, "thalweg_connections_turned_away_total", help, self.turned_away.load(Relaxed));
        out.one(Gauge, "thalweg_data_answers", "Answers with data that are being sent.", now.data_answers);
        out.one(Gauge, "thalweg_data_answers_limit", "The most of them.", now.most_data_answers);
        let help = "Answers with data that wait for their turn.";
        out.one(Gauge, "thalweg_data_answers_waiting", help, self.waiting.load(Relaxed));
        out.one(Gauge, "dap_inflight_bytes", "Memory of data on their way.", now.engine.budget_in_use);
        out.one(Gauge, "dap_inflight_bytes_limit", "The most of it: limits.memory.", now.memory);
        let help = "Answers given as they were given before.";
        out.one(Counter, "thalweg_kept_answers_total", help, self.kept.load(Relaxed));
        let help = "Chunks of data that were decoded.";
        out.one(Counter, "thalweg_chunks_decoded_total", help, now.engine.chunks_decoded);
        let help = "Decoded chunks that were found in the cache.";
        out.one(Counter, "thalweg_chunk_cache_hits_total", help, now.engine.cache_hits);
        out.one(Gauge, "thalweg_chunk_cache_bytes", "Decoded chunks that are kept.", now.engine.cached_bytes);
        tell_stores(&mut out, &now.stores);
        let help = "Files of the index that could not be written: the disk may be full.";
        out.one(Counter, "thalweg_index_write_failures_total", help, KeptFiles::failures());
        out.one(Counter, "thalweg_panics_total", "Requests that met a defect.", self.panics.load(Relaxed));
        let help = "Requests that were refused for who asked.";
        out.one(Counter, "thalweg_denied_total", help, self.denied.load(Relaxed));
        out.into_text()
    }

    /// What is counted by kind of request: of the kinds that there were.
    fn tell_requests(&self, out: &mut Document) {
        let routes = || {
            let seen = |route: &&Route| route.whole.total() > 0;
            LABELS.iter().zip(&self.routes).filter(move |(_, route)| seen(route))
        };
        let (name, help) =
            ("thalweg_requests_total", "Requests by kind, class of status and how they ended.");
        out.family(Kind::Counter, name, help);
        for (label, route) in routes() {
            for (class, row) in CLASSES.iter().zip(&route.answers) {
                for (outcome, count) in OUTCOMES.iter().zip(row) {
                    let count = count.load(Relaxed);
                    if count > 0 {
                        out.sample(name, &[("route", label), ("class", class), ("outcome", outcome)], count);
                    }
                }
            }
        }
        let name = "thalweg_refusals_total";
        out.family(Kind::Counter, name, "Requests that were refused or failed, by reason.");
        for ((_, reason), count) in REASONS.iter().zip(&self.refused) {
            out.sample(name, &[("reason", reason)], count.load(Relaxed));
        }
        let name = "thalweg_response_bytes_total";
        out.family(Kind::Counter, name, "Bytes of bodies sent.");
        for (label, route) in routes() {
            out.sample(name, &[("route", label)], route.bytes.load(Relaxed));
        }
        let name = "thalweg_read_bytes_total";
        out.family(Kind::Counter, name, "Bytes read from storage, for answers and in the background.");
        for (label, route) in routes() {
            out.sample(name, &[("route", label)], route.read.load(Relaxed));
        }
        out.sample(name, &[("route", "background")], self.background.bytes());
        let name = "thalweg_response_start_seconds";
        out.family(Kind::Histogram, name, "Time until an answer began.");
        for (label, route) in routes() {
            route.head.tell(out, name, label);
        }
        let name = "thalweg_request_duration_seconds";
        out.family(Kind::Histogram, name, "Time until an answer had ended, which is the client's too.");
        for (label, route) in routes() {
            route.whole.tell(out, name, label);
        }
    }
}

fn tell_stores(out: &mut Document, stores: &[StoreCalls]) {
    let mut each = |kind, name: &str, help: &str, value: fn(&StoreCalls) -> u64| {
        out.family(kind, name, help);
        for store in stores {
            out.sample(name, &[("store", &store.store)], value(store));
        }
    };
    let name = "thalweg_store_requests_total";
    each(Kind::Counter, name, "Requests to object stores, retries among them.", |s| s.requests);
    let name = "thalweg_store_failures_total";
    each(Kind::Counter, name, "Requests to object stores that failed in a way that may pass.", |s| {
        s.failures
    });
    let name = "thalweg_store_breaker_open";
    each(Kind::Gauge, name, "Whether a store is left alone because it fails.", |s| u64::from(s.is_open));
}

impl Histogram {
    fn count(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|(end, _)| micros <= *end);
        if let Some(count) = bucket.and_then(|at| self.buckets.get(at)) {
            count.fetch_add(1, Relaxed);
        }
        self.micros.fetch_add(micros, Relaxed);
    }

    fn total(&self) -> u64 {
        self.buckets.iter().map(|count| count.load(Relaxed)).sum()
    }

    fn tell(&self, out: &mut Document, name: &str, label: &str) {
        let mut total = 0;
        for ((_, end), count) in BUCKETS.iter().zip(&self.buckets) {
            total += count.load(Relaxed);
            out.sample(&format!("{name}_bucket"), &[("route", label), ("le", end)], total);
        }
        let seconds = self.micros.load(Relaxed) as f64 / 1e6;
        out.sample(&format!("{name}_sum"), &[("route", label)], seconds);
        out.sample(&format!("{name}_count"), &[("route", label)], total);
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests;
