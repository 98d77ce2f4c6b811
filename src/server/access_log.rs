//! The access log: one line for each request, as the rest of the log writes its lines, but put together by hand.
//!
//! Through `tracing` a line costs a tenth of a small answer's instructions and more. Whether it is written is
//! still asked there, so that levels and filters hold; and what would need escapes goes that way.

use std::{
    cell::RefCell,
    io::Write as _,
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::config::LogFormat;

/// Bytes of memory for lines that a thread keeps.
const LINE_LEN: usize = 1024;

/// Where the lines go, and in what form.
#[derive(Debug, Clone, Copy)]
pub struct AccessLog {
    /// Text or JSON.
    pub format: LogFormat,
    /// Writes one line.
    pub write: fn(&[u8]),
}

/// What a line says.
pub(super) struct Fields<'a> {
    pub(super) request: &'a dyn std::fmt::Display,
    pub(super) id: &'a str,
    pub(super) client: IpAddr,
    /// The proxy that passed it on.
    pub(super) peer: Option<IpAddr>,
    /// Who has signed in, by name.
    pub(super) user: Option<&'a str>,
    pub(super) route: &'static str,
    /// What of the path names the dataset.
    pub(super) dataset: Option<&'a str>,
    pub(super) status: Option<u16>,
    pub(super) bytes: u64,
    /// Bytes that were read from storage.
    pub(super) read: u64,
    pub(super) ms: u64,
    pub(super) outcome: &'static str,
    /// Why it failed.
    pub(super) reason: Option<&'static str>,
}

thread_local! {
    static LINE: RefCell<(Vec<u8>, Clock)> = RefCell::default();
}

impl AccessLog {
    /// Writes a line, unless it has what needs escapes; whether it is written.
    pub(super) fn write(&self, fields: &Fields<'_>) -> bool {
        let written = LINE.try_with(|memory| {
            let Ok(mut memory) = memory.try_borrow_mut() else { return false };
            let (line, clock) = &mut *memory;
            line.clear();
            line.shrink_to(LINE_LEN);
            let is_plain = put(line, self.format, fields, clock.text(SystemTime::now()));
            if is_plain {
                (self.write)(line);
            }
            is_plain
        });
        // A thread that ends may have no such memory any more.
        written.unwrap_or(false)
    }
}

/// Puts the line of `fields` at `time` into `line`; whether it is right as it is.
fn put(line: &mut Vec<u8>, format: LogFormat, fields: &Fields<'_>, time: &[u8]) -> bool {
    let is_json = format == LogFormat::Json;
    // What stands before the request, and after everything.
    let (before, end) = match format {
        LogFormat::Json => ("\",\"level\":\"INFO\",\"message\":\"", ",\"target\":\"thalweg::access\"}\n"),
        LogFormat::Text => ("  INFO thalweg::access: ", "\n"),
    };
    if is_json {
        line.extend_from_slice(b"{\"timestamp\":\"");
    }
    line.extend_from_slice(time);
    line.extend_from_slice(before.as_bytes());
    let begin = line.len();
    // Writing to memory cannot fail.
    let _ = write!(line, "{}", fields.request);
    let written = line.get(begin..).unwrap_or_default();
    // The dataset is a part of the request.
    let is_plain = is_plain(written) && fields.user.is_none_or(|user| is_plain(user.as_bytes()));
    if is_json {
        line.push(b'"');
    }
    // Texts that `tracing` shows as they are, without quotes in text.
    put_name(line, is_json, "id");
    put_bare(line, is_json, |line| line.extend_from_slice(fields.id.as_bytes()));
    put_name(line, is_json, "client");
    put_bare(line, is_json, |line| put_address(line, fields.client));
    if let Some(peer) = fields.peer {
        put_name(line, is_json, "peer");
        put_bare(line, is_json, |line| put_address(line, peer));
    }
    put_text(line, is_json, "user", fields.user);
    put_text(line, is_json, "route", Some(fields.route));
    put_text(line, is_json, "dataset", fields.dataset);
    let numbers = [
        ("status", fields.status.map(u64::from)),
        ("bytes", Some(fields.bytes)),
        ("read", Some(fields.read)),
        ("ms", Some(fields.ms)),
    ];
    for (name, number) in numbers {
        let Some(number) = number else { continue };
        put_name(line, is_json, name);
        put_decimal(line, number);
    }
    put_text(line, is_json, "outcome", Some(fields.outcome));
    put_text(line, is_json, "reason", fields.reason);
    line.extend_from_slice(end.as_bytes());
    is_plain
}

/// Whether a text needs no escapes.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\'))
}

fn put_name(line: &mut Vec<u8>, is_json: bool, name: &str) {
    let (before, after): (&[u8], &[u8]) = if is_json { (b",\"", b"\":") } else { (b" ", b"=") };
    line.extend_from_slice(before);
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(after);
}

fn put_bare(line: &mut Vec<u8>, is_json: bool, put: impl FnOnce(&mut Vec<u8>)) {
    line.extend(is_json.then_some(b'"'));
    put(line);
    line.extend(is_json.then_some(b'"'));
}

fn put_text(line: &mut Vec<u8>, is_json: bool, name: &str, text: Option<&str>) {
    let Some(text) = text else { return };
    put_name(line, is_json, name);
    line.push(b'"');
    line.extend_from_slice(text.as_bytes());
    line.push(b'"');
}

fn put_address(line: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                line.extend((at > 0).then_some(b'.'));
                put_decimal(line, octet.into());
            }
        }
        IpAddr::V6(address) => {
            // Writing to memory cannot fail.
            let _ = write!(line, "{address}");
        }
    }
}

fn put_decimal(line: &mut Vec<u8>, mut number: u64) {
    let begin = line.len();
    loop {
        line.extend(u8::try_from(number % 10).map(|digit| b'0' + digit));
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.get_mut(begin..).unwrap_or_default().reverse();
}

/// The time as text, of which most is the same for a second.
#[derive(Debug, Default)]
struct Clock {
    second: Option<u64>,
    /// `2026-11-26T20:53:16.123456Z`
    text: Vec<u8>,
}

impl Clock {
    fn text(&mut self, now: SystemTime) -> &[u8] {
        const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            // Thu, 26 Nov 2026 20:53:16 GMT
            let date = httpdate::fmt_http_date(now);
            let part = |range| date.get(range).unwrap_or_default();
            let month = MONTHS.find(part(8..11)).unwrap_or_default() / 3 + 1;
            self.text.clear();
            let _ = write!(self.text, "{}-{month:02}-{}T{}.", part(12..16), part(5..7), part(17..25));
        }
        self.text.truncate("2026-11-26T20:53:16.".len());
        // Seven digits, the first of which makes room for the zeros of the others.
        let begin = self.text.len();
        put_decimal(&mut self.text, 1_000_000 + u64::from(since.subsec_micros()));
        self.text.remove(begin);
        self.text.push(b'Z');
        &self.text
    }
}

#[cfg(test)]
mod tests;
