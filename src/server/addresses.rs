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
    /// Requests that proxies pass on.
    requests: usize,
    share: Share,
}

/// What the connections of one address, and its requests by way of a proxy, have together.
#[derive(Debug, Clone)]
pub(super) struct Share {
    /// At running.
    pub(super) turns: Arc<Turns>,
    /// At reading and decoding.
    pub(super) party: Party,
}

/// One connection of an address, or one of its requests, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    all: Arc<Addresses>,
    address: IpAddr,
    is_connection: bool,
    /// `None`: a proxy's, whose clients are many.
    pub(super) share: Option<Share>,
}

impl Addresses {
    /// A place for a connection from `address`, unless it has as many as one may. Proxies that are trusted may
    /// have any number.
    pub(super) fn admit(self: &Arc<Self>, config: &Config, address: IpAddr) -> Option<Place> {
        let all = Arc::clone(self);
        if is_trusted(&config.trusted_proxies, address) {
            return Some(Place { all, address, is_connection: true, share: None });
        }
        let most = config.limits.connections_per_address;
        self.come(address, true, |known| known.connections < most)
    }

    /// A place for a request of `client` that a proxy passes on; `None` when it is a proxy's own, or does not say whose.
    /// A proxy's connections are not their clients', so that these are not counted by them.
    pub(super) fn visit(self: &Arc<Self>, config: &Config, client: IpAddr) -> Option<Place> {
        if is_trusted(&config.trusted_proxies, client) { None } else { self.come(client, false, |_| true) }
    }

    /// One more of `address`, if it may.
    fn come(
        self: &Arc<Self>,
        address: IpAddr,
        is_connection: bool,
        may: impl FnOnce(&Known) -> bool,
    ) -> Option<Place> {
        let address = network_of(address);
        let mut all_known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all_known.entry(address).or_insert_with(|| {
            let turns = Arc::new(Turns::new(Arc::clone(&self.crowd)));
            Known { connections: 0, requests: 0, share: Share { turns, party: Party::default() } }
        });
        if !may(known) {
            return None;
        }
        *known.count(is_connection) += 1;
        let share = Some(known.share.clone());
        if all_known.len() > 1 {
            self.crowd.is_there();
        }
        Some(Place { all: Arc::clone(self), address, is_connection, share })
    }
}

impl Known {
    fn count(&mut self, is_connection: bool) -> &mut usize {
        if is_connection { &mut self.connections } else { &mut self.requests }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.share.is_none() {
            return;
        }
        let mut known = self.all.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = known.get_mut(&self.address) {
            *one.count(self.is_connection) -= 1;
            if one.connections == 0 && one.requests == 0 {
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

    #[test]
    fn requests_by_way_of_a_proxy_are_their_clients() {
        let mut config = Config { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Config::default() };
        config.limits.connections_per_address = 1;
        let all = Arc::new(Addresses::default());
        // Any number of connections, which are nobody's.
        let proxy: Vec<_> = (0..3).map(|_| all.admit(&config, address("10.0.0.1")).unwrap()).collect();
        assert!(proxy.iter().all(|place| place.share.is_none()));
        let visits = ["192.0.2.1", "192.0.2.1", "192.0.2.2"].map(|a| all.visit(&config, address(a)).unwrap());
        let direct = all.admit(&config, address("192.0.2.1")).expect("requests are no connections");
        assert!(all.admit(&config, address("192.0.2.1")).is_none());
        let turns = |place: &Place| Arc::as_ptr(&place.share.as_ref().unwrap().turns);
        assert_eq!(turns(&visits[0]), turns(&visits[1]));
        assert_eq!(turns(&visits[0]), turns(&direct));
        assert_ne!(turns(&visits[0]), turns(&visits[2]));
        drop(direct);
        assert_eq!(all.known.lock().unwrap().len(), 2);
        drop(visits);
        assert!(all.known.lock().unwrap().is_empty());
        drop(proxy);
    }
}
