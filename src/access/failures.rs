//! Failures to sign in, by address: whoever guesses is slowed down.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Failures of one address in a window that are answered as such.
const MOST: u32 = 10;

/// How long they count.
const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that are remembered.
const MOST_ADDRESSES: usize = 10_000;

/// Counts failures.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Failures {
    /// How long `address` has to wait, if it has failed too often.
    pub(super) fn wait(&self, address: IpAddr) -> Option<Duration> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, begun) = failures.get(&network(address))?;
        (*count >= MOST).then(|| WINDOW.saturating_sub(begun.elapsed())).filter(|wait| !wait.is_zero())
    }

    /// Counts one more.
    pub(super) fn count(&self, address: IpAddr) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= MOST_ADDRESSES {
            failures.retain(|_, (_, begun)| begun.elapsed() < WINDOW);
            // So many at once are no typing errors: to count them anew costs nothing but memory.
            if failures.len() >= MOST_ADDRESSES {
                failures.clear();
            }
        }
        let entry = failures.entry(network(address)).or_insert((0, Instant::now()));
        if entry.1.elapsed() >= WINDOW {
            *entry = (0, Instant::now());
        }
        entry.0 = entry.0.saturating_add(1);
    }
}

/// An IPv6 address is one of many that a client has: its network of 64 bits counts.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_too_often_waits() {
        let failures = Failures::default();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for _ in 0..MOST {
            assert_eq!(failures.wait(ip("10.0.0.1")), None);
            failures.count(ip("10.0.0.1"));
            failures.count(ip("2001:db8::1"));
        }
        assert!(failures.wait(ip("10.0.0.1")).is_some_and(|wait| wait <= WINDOW));
        assert!(failures.wait(ip("::ffff:10.0.0.1")).is_some());
        assert!(failures.wait(ip("2001:db8::2")).is_some(), "of the same network");
        assert_eq!(failures.wait(ip("10.0.0.2")), None);
        assert_eq!(failures.wait(ip("2001:db8:0:1::1")), None);
    }

    #[test]
    fn memory_is_bounded() {
        let failures = Failures::default();
        for n in 0..30_000_u32 {
            failures.count(IpAddr::from(n.to_be_bytes()));
            assert!(failures.0.lock().unwrap().len() <= MOST_ADDRESSES);
        }
    }
}
