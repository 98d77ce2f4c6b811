//! Counts are told apart.

use super::*;

fn ended(status: Option<StatusCode>, outcome: &'static str, bytes: u64) -> Ended {
    Ended {
        label: Label::Dap4Data,
        status,
        outcome,
        bytes,
        read: 3,
        head: Duration::from_millis(2),
        whole: Duration::from_secs(2),
    }
}

fn value(text: &str, name: &str) -> String {
    let line = text.lines().find(|l| l.strip_prefix(name).is_some_and(|r| r.starts_with(' ')));
    line.unwrap_or_else(|| panic!("{name} in {text}")).rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn counts_are_told_apart() {
    let metrics = Metrics::new();
    metrics.answered(ended(Some(StatusCode::OK), "done", 5));
    metrics.answered(ended(Some(StatusCode::OK), "failed", 2));
    metrics.answered(ended(Some(StatusCode::NOT_FOUND), "done", 1));
    metrics.answered(ended(None, "cancelled", 0));
    metrics.answered(Ended { label: Label::File, ..ended(Some(StatusCode::OK), "done", 100) });
    let waiting = metrics.waits();
    let store = StoreCalls { store: "s3://b".into(), requests: 4, failures: 1, is_open: true };
    let engine = Counts { chunks_decoded: 7, budget_in_use: 9, ..Counts::default() };
    let now = Now { connections: 3, engine, stores: vec![store], ..Now::default() };
    let text = metrics.text(&now);
    for (name, expect) in [
        ("thalweg_requests_total{route=\"dap4_data\",class=\"2xx\",outcome=\"done\"}", "1"),
        ("thalweg_requests_total{route=\"dap4_data\",class=\"2xx\",outcome=\"failed\"}", "1"),
        ("thalweg_requests_total{route=\"dap4_data\",class=\"4xx\",outcome=\"cancelled\"}", "1"),
        ("thalweg_requests_total{route=\"file\",class=\"2xx\",outcome=\"done\"}", "1"),
        ("thalweg_response_bytes_total{route=\"dap4_data\"}", "8"),
        ("thalweg_read_bytes_total{route=\"dap4_data\"}", "12"),
        ("thalweg_read_bytes_total{route=\"background\"}", "0"),
        ("thalweg_response_bytes_total{route=\"file\"}", "100"),
        ("thalweg_refusals_total{reason=\"not_found\"}", "1"),
        ("thalweg_refusals_total{reason=\"bad_request\"}", "0"),
        ("thalweg_response_start_seconds_bucket{route=\"dap4_data\",le=\"0.001\"}", "0"),
        ("thalweg_response_start_seconds_bucket{route=\"dap4_data\",le=\"0.005\"}", "4"),
        ("thalweg_request_duration_seconds_bucket{route=\"dap4_data\",le=\"1\"}", "0"),
        ("thalweg_request_duration_seconds_bucket{route=\"dap4_data\",le=\"+Inf\"}", "4"),
        ("thalweg_request_duration_seconds_sum{route=\"dap4_data\"}", "8"),
        ("thalweg_data_answers_waiting", "1"),
        ("thalweg_chunks_decoded_total", "7"),
        ("dap_inflight_bytes", "9"),
        ("thalweg_connections", "3"),
        ("thalweg_store_requests_total{store=\"s3://b\"}", "4"),
        ("thalweg_store_breaker_open{store=\"s3://b\"}", "1"),
        ("config_last_reload_successful", "1"),
    ] {
        assert_eq!(value(&text, name), expect, "{name}");
    }
    drop(waiting);
    let before = value(&text, "config_last_reload_success_timestamp_seconds");
    metrics.reloaded(false);
    let text = metrics.text(&Now::default());
    assert_eq!(value(&text, "thalweg_data_answers_waiting"), "0");
    assert_eq!(value(&text, "config_last_reload_successful"), "0");
    assert_eq!(value(&text, "config_last_reload_success_timestamp_seconds"), before);
    metrics.reloaded(true);
    let text = metrics.text(&Now::default());
    assert_ne!(value(&text, "config_last_reload_success_timestamp_seconds"), before);
}
