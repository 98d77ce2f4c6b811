//! The HTTP server: accept loop, layers, limits, routes, replies, shutdown.
//!
//! One [`Server`] value holds everything; there is no global state. What an answer says is the business
//! of `protocols`; what data there is, of `catalog`.

mod accept;
mod compress;
mod conditions;
mod error;
mod files;
mod handle;
mod layers;
mod live;
mod mender;
mod origin;
mod respond;
mod routes;
mod stall;

use std::{net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use cdm::{Error, Result};
use tokio::{net::TcpListener, sync::watch};

use self::live::Live;
pub use self::routes::{Candidate, CatalogFormat, Fixed, Response, Route, route};
use crate::{catalog::Catalog, config::Config};

/// A server that accepts connections once it is [run](Server::run).
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What all requests share.
#[derive(Debug)]
struct Shared {
    /// What follows from the configuration in force.
    live: ArcSwap<Live>,
    local: SocketAddr,
    /// Where the server is in its life.
    phase: watch::Sender<Phase>,
}

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    /// Told to stop: not ready any more, connections still accepted.
    Leaving,
    /// No new connections; open ones finish their answer.
    Draining,
}

impl Server {
    /// Binds `config.listen`.
    ///
    /// # Errors
    /// `Storage` when the address cannot be bound.
    pub async fn bind(config: Config, catalog: Catalog) -> Result<Self> {
        let listen = config.listen;
        let fail = |e: std::io::Error| Error::storage(format!("cannot listen on {listen}: {e}"), e);
        let listener = TcpListener::bind(listen).await.map_err(fail)?;
        let local = listener.local_addr().map_err(fail)?;
        let live = ArcSwap::from_pointee(Live::new(config, catalog));
        let phase = watch::Sender::new(Phase::Running);
        Ok(Self { listener, shared: Arc::new(Shared { live, local, phase }) })
    }

    /// The address in use, with the port that was taken for port 0.
    pub fn address(&self) -> SocketAddr {
        self.shared.local
    }

    /// Serves until `stop` completes, then lets answers finish (promise R31) unless `now` completes.
    pub async fn run(self, stop: impl Future<Output = ()>, now: impl Future<Output = ()>) {
        accept::run(self.listener, self.shared, stop, now).await;
    }
}
