//! Whom a connection comes from, and what one address has of what all share: connections, turns at the processors
//! ([`Turns`]), turns at reading and decoding ([`Party`]).

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use handlers::storage::Party;

use super::turns::{Crowd, Turns};
use crate::config::{Config, Network};

/// The addresses that have connections.
#[derive(Debug)]
pub(super) struct Addresses {
    known: Mutex<HashMap<IpAddr, Known>>,
    crowd: Arc<Crowd>,
}

impl Default for Addresses {
    fn default() -> Self {
        Self { known: Mutex::default(), crowd: Arc::new(Crowd::new()) }
    }
}

#[derive(Debug)]
struct Known {
    connections: usize,
    share: Share,
}

/// What the connections of one address have together.
#[derive(Debug, Clone)]
pub(super) struct Share {
    /// At running.
    pub(super) turns: Arc<Turns>,
    /// At reading and decoding.
    pub(super) party: Party,
}

/// One connection of an address, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    all: Arc<Addresses>,
    address: IpAddr,
    /// `None`: a proxy's, whose clients are many.
    pub(super) share: Option<Share>,
}

impl Addresses {
    /// A place for a connection from `address`, unless it has as many as one may. Proxies that are trusted may
    /// have any number.
    pub(super) fn admit(self: &Arc<Self>, config: &Config, address: IpAddr) -> Option<Place> {
        let all = Arc::clone(self);
        if is_trusted(&config.trusted_proxies, address) {
            return Some(Place { all, address, share: None });
        }
        let address = network_of(address);
        let mut all_known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all_known.entry(address).or_insert_with(|| {
            let turns = Arc::new(Turns::new(Arc::clone(&self.crowd)));
            Known { connections: 0, share: Share { turns, party: Party::default() } }
        });
        if known.connections >= config.limits.connections_per_address {
            return None;
        }
        known.connections += 1;
        let share = Some(known.share.clone());
        if all_known.len() > 1 {
            self.crowd.is_there();
        }
        Some(Place { all, address, share })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.share.is_none() {
            return;
        }
        let mut known = self.all.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = known.get_mut(&self.address) {
            one.connections -= 1;
            if one.connections == 0 {
                known.remove(&self.address);
            }
        }
    }
}

fn is_trusted(proxies: &[Network], address: IpAddr) -> bool {
    proxies.iter().any(|network| network.contains(address))
}

/// What counts as one client: an IPv4 address, or the network of an IPv6 address, since each client is given a whole
/// one (RFC 6177).
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn connections_are_counted_by_client() {
        let mut config = Config::default();
        config.limits.connections_per_address = 2;
        let all = Arc::new(Addresses::default());
        let first = all.admit(&config, address("2001:db8::1"));
        let second = all.admit(&config, address("2001:db8::2"));
        assert!(first.is_some() && second.is_some());
        assert!(all.admit(&config, address("2001:db8::3")).is_none());
        assert!(all.admit(&config, address("2001:db8:0:1::3")).is_some());
        drop(first);
        assert!(all.admit(&config, address("2001:db8::3")).is_some());
        drop(second);
        assert!(all.known.lock().unwrap().is_empty());
    }
}
