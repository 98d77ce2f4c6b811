//! What the server counts, as Prometheus reads it: `/-/metrics`.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

use handlers::chunked::Counts;
use http::StatusCode;

/// How an answer ended, as the log names it.
const OUTCOMES: [&str; 3] = ["done", "failed", "cancelled"];

/// The classes of status codes.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Counts since the server was started.
#[derive(Debug)]
pub(super) struct Metrics {
    started: f64,
    is_reloaded: AtomicBool,
    /// Bits of the seconds since 1970.
    reloaded: AtomicU64,
    answers: [[AtomicU64; OUTCOMES.len()]; CLASSES.len()],
    bytes: AtomicU64,
    kept: AtomicU64,
    panics: AtomicU64,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let now = now();
        Self {
            started: now,
            is_reloaded: AtomicBool::new(true),
            reloaded: AtomicU64::new(now.to_bits()),
            answers: Default::default(),
            bytes: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }
    }

    /// The configuration was read again; whether it is in force.
    pub(super) fn reloaded(&self, is_in_force: bool) {
        self.is_reloaded.store(is_in_force, Relaxed);
        if is_in_force {
            self.reloaded.store(now().to_bits(), Relaxed);
        }
    }

    /// An answer has ended.
    pub(super) fn answered(&self, status: Option<StatusCode>, outcome: &str, bytes: u64) {
        // A request that was dropped before it had an answer counts as one that nobody waited for.
        let class = status.map_or(3, |s| usize::from(s.as_u16() / 100).saturating_sub(1));
        let outcome = OUTCOMES.iter().position(|o| *o == outcome);
        if let Some(count) = self.answers.get(class).zip(outcome).and_then(|(row, at)| row.get(at)) {
            count.fetch_add(1, Relaxed);
        }
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// An answer is one that was kept.
    pub(super) fn kept(&self) {
        self.kept.fetch_add(1, Relaxed);
    }

    pub(super) fn panicked(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    /// The counts, and what is the case now: `connections`, and data answers that are being sent.
    pub(super) fn text(&self, connections: usize, data_answers: usize, engine: Counts) -> String {
        let mut out = String::new();
        let mut one = |name: &str, kind: &str, help: &str, value: &dyn std::fmt::Display| {
            // Writing to a text cannot fail.
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        one("process_start_time_seconds", "gauge", "Start of the process since 1970.", &self.started);
        let is_reloaded = u8::from(self.is_reloaded.load(Relaxed));
        one(
            "config_last_reload_successful",
            "gauge",
            "Whether the last reload was put in force.",
            &is_reloaded,
        );
        let time = f64::from_bits(self.reloaded.load(Relaxed));
        let help = "When a configuration was last put in force.";
        one("config_last_reload_success_timestamp_seconds", "gauge", help, &time);
        one("thalweg_connections", "gauge", "Open connections.", &connections);
        one("thalweg_data_answers", "gauge", "Answers with data that are being sent.", &data_answers);
        let bytes = self.bytes.load(Relaxed);
        one("thalweg_response_bytes_total", "counter", "Bytes of bodies sent.", &bytes);
        let help = "Chunks of data that were decoded.";
        one("thalweg_chunks_decoded_total", "counter", help, &engine.chunks_decoded);
        let help = "Decoded chunks that were found in the cache.";
        one("thalweg_chunk_cache_hits_total", "counter", help, &engine.cache_hits);
        one("thalweg_chunk_cache_bytes", "gauge", "Decoded chunks that are kept.", &engine.cached_bytes);
        one("thalweg_data_bytes", "gauge", "Memory of data on their way.", &engine.budget_in_use);
        let help = "Answers given as they were given before.";
        one("thalweg_kept_answers_total", "counter", help, &self.kept.load(Relaxed));
        one("thalweg_panics_total", "counter", "Requests that met a defect.", &self.panics.load(Relaxed));
        out.push_str("# HELP thalweg_build_info The version, as a label.\n# TYPE thalweg_build_info gauge\n");
        let _ = writeln!(out, "thalweg_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        out.push_str("# HELP thalweg_requests_total Requests by class of status and by how they ended.\n");
        out.push_str("# TYPE thalweg_requests_total counter\n");
        for (class, row) in CLASSES.iter().zip(&self.answers) {
            for (outcome, count) in OUTCOMES.iter().zip(row) {
                let count = count.load(Relaxed);
                let _ = writeln!(
                    out,
                    "thalweg_requests_total{{class=\"{class}\",outcome=\"{outcome}\"}} {count}"
                );
            }
        }
        out
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_apart() {
        let metrics = Metrics::new();
        metrics.answered(Some(StatusCode::OK), "done", 5);
        metrics.answered(Some(StatusCode::OK), "failed", 2);
        metrics.answered(Some(StatusCode::NOT_FOUND), "done", 1);
        metrics.answered(None, "cancelled", 0);
        let text = metrics.text(3, 2, Counts { chunks_decoded: 7, ..Counts::default() });
        let value = |name: &str| {
            let line = text.lines().find(|l| l.strip_prefix(name).is_some_and(|r| r.starts_with(' ')));
            line.unwrap().rsplit(' ').next().unwrap().to_owned()
        };
        assert_eq!(value("thalweg_requests_total{class=\"2xx\",outcome=\"done\"}"), "1");
        assert_eq!(value("thalweg_requests_total{class=\"2xx\",outcome=\"failed\"}"), "1");
        assert_eq!(value("thalweg_requests_total{class=\"4xx\",outcome=\"cancelled\"}"), "1");
        assert_eq!(
            (value("thalweg_response_bytes_total"), value("thalweg_connections")),
            ("8".into(), "3".into())
        );
        assert_eq!(value("thalweg_chunks_decoded_total"), "7");
        assert_eq!(value("config_last_reload_successful"), "1");
        let before = value("config_last_reload_success_timestamp_seconds");
        metrics.reloaded(false);
        assert!(metrics.text(0, 0, Counts::default()).contains("\nconfig_last_reload_successful 0\n"));
        assert!(
            metrics.text(0, 0, Counts::default()).contains(&format!("success_timestamp_seconds {before}\n"))
        );
        metrics.reloaded(true);
        assert!(
            !metrics.text(0, 0, Counts::default()).contains(&format!("success_timestamp_seconds {before}\n"))
        );
    }
}
