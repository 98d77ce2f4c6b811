//! Lines put together by hand are those that `tracing` writes.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::*;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line that `tracing` writes in the same form, and its time.
fn traced(format: LogFormat, fields: &Fields<'_>) -> (String, String) {
    let written = Written::default();
    let writer = {
        let written = written.clone();
        move || written.clone()
    };
    let builder = tracing_subscriber::fmt().with_writer(writer).with_ansi(false);
    let say = || super::super::layers::trace(fields);
    match format {
        LogFormat::Text => tracing::subscriber::with_default(builder.finish(), say),
        LogFormat::Json => {
            tracing::subscriber::with_default(builder.json().flatten_event(true).finish(), say);
        }
    }
    let line = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let begin = if format == LogFormat::Json { r#"{"timestamp":""#.len() } else { 0 };
    let time = line[begin..][.."2026-11-26T20:53:16.123456Z".len()].to_owned();
    (line, time)
}

fn plain(request: &dyn std::fmt::Display) -> Fields<'_> {
    Fields {
        request,
        id: "6-0",
        client: [127, 0, 0, 1].into(),
        peer: None,
        user: None,
        route: "dap4_data",
        dataset: Some("a.nc"),
        status: Some(200),
        bytes: 1_234_567_890,
        read: 17,
        ms: 0,
        outcome: "done",
        reason: None,
    }
}

#[test]
fn lines_are_as_tracing_writes_them() {
    let cut = Fields {
        status: None,
        dataset: None,
        reason: Some("changed"),
        client: "2001:db8::1".parse().unwrap(),
        ..plain(&"HEAD /%C3%A9")
    };
    let known = Fields { peer: Some([10, 0, 0, 1].into()), user: Some("ann of x"), ..plain(&"GET /") };
    for format in [LogFormat::Text, LogFormat::Json] {
        for fields in [&plain(&"GET /a.nc.dds?x[0:1]&y<2"), &cut, &known] {
            let (expected, time) = traced(format, fields);
            let mut line = Vec::new();
            assert!(put(&mut line, format, fields, time.as_bytes()));
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
        for request in ["GET /a\"b", "GET /a\\b", "GET /\u{e9}", "GET /\u{7f}"] {
            assert!(!put(&mut Vec::new(), format, &plain(&request), b""), "{request} may need escapes");
        }
        for user in ["a\"b", "a\\b", "\u{e9}", "a\nb"] {
            let fields = Fields { user: Some(user), ..plain(&"GET /") };
            assert!(!put(&mut Vec::new(), format, &fields, b""), "{user} may need escapes");
        }
    }
}

#[test]
fn times() {
    let mut clock = Clock::default();
    for (micros, expect) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (7, "1970-01-01T00:00:00.000007Z"),
        (1_790_000_000_120_000, "2026-09-21T14:13:20.120000Z"),
        (1_790_000_000_999_999, "2026-09-21T14:13:20.999999Z"),
    ] {
        let text = clock.text(UNIX_EPOCH + Duration::from_micros(micros));
        assert_eq!(std::str::from_utf8(text).unwrap(), expect);
    }
}
