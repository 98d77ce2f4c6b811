//! What is asked for, in what order, and until when: the same for all connections.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::Options;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) server: SocketAddr,
    /// Answers that come before this are not counted.
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    /// Bytes a second.
    pub(crate) rate: Option<u32>,
    pub(crate) length: Option<u64>,
    /// Whole requests, as they are sent.
    requests: Vec<Vec<u8>>,
    random: Option<u64>,
    asked: AtomicU64,
    most: u64,
}

impl Plan {
    /// A plan that begins now.
    pub(crate) fn new(options: &Options) -> Self {
        let fields: String = options.header.iter().flat_map(|field| [field.as_str(), "\r\n"]).collect();
        let request = |target: &String| {
            format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", options.server).into_bytes()
        };
        let start = Instant::now() + Duration::from_secs_f64(options.warmup);
        Self {
            server: options.server,
            start,
            end: start + Duration::from_secs_f64(options.seconds),
            rate: options.rate,
            length: options.length,
            requests: options.targets.iter().map(request).collect(),
            random: options.random,
            asked: AtomicU64::new(0),
            most: options.requests.unwrap_or(u64::MAX),
        }
    }

    /// The next request, or none when there have been enough.
    pub(crate) fn next(&self) -> Option<&[u8]> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        if number >= self.most {
            return None;
        }
        let number = self.random.map_or(number, |seed| scattered(number.wrapping_add(seed << 32)));
        let index = usize::try_from(number % self.requests.len() as u64).unwrap_or_default();
        self.requests.get(index).map(Vec::as_slice)
    }
}

/// A number that looks random and depends on `number` alone (the output function of `SplitMix64`).
fn scattered(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
