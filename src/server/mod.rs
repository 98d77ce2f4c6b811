//! The HTTP server: accept loop, layers, limits, routes, replies, shutdown.
//!
//! One [`Server`] value holds everything; there is no global state. What an answer says is the business
//! of `protocols`; what data there is, of `catalog`.

mod accept;
mod access_log;
mod addresses;
mod answers;
mod behalf;
mod compress;
mod conditions;
mod control;
mod error;
mod exercise;
mod files;
mod handle;
mod idle;
mod label;
mod lanes;
mod layers;
mod live;
mod mender;
mod metrics;
mod origin;
mod redact;
mod respond;
mod routes;
mod stall;
mod summaries;
mod tls;
mod turns;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use cdm::{Error, Result};
use tokio::{net::TcpListener, sync::watch};

pub use self::{
    access_log::AccessLog,
    control::Control,
    exercise::exercise,
    handle::is_data,
    live::Setup,
    routes::{Candidate, CatalogFormat, Fixed, Response, Route, addresses, route},
    tls::Tls,
};
use self::{live::Live, metrics::Metrics};

/// A server that accepts connections once it is [run](Server::run).
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    /// For metrics alone, when they have an address of their own.
    metrics: Option<TcpListener>,
    shared: Arc<Shared>,
}

/// What all requests share.
#[derive(Debug)]
struct Shared {
    /// What follows from the configuration in force.
    live: ArcSwap<Live>,
    local: SocketAddr,
    metrics: Arc<Metrics>,
    /// Where requests are logged, when not by `tracing`.
    access: OnceLock<AccessLog>,
    /// Whether metrics are on the port of everything else.
    shows_metrics: bool,
    /// Where the server is in its life.
    phase: watch::Sender<Phase>,
}

/// How a server is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// By who sends requests here by way of others: those have `limits.drain_delay` to notice that the server is not
    /// ready any more.
    Drain,
    /// By somebody who waits for it: no connection is accepted from now on.
    Prompt,
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
    /// Binds the address that `setup` says, and the address of the metrics when they have one of their own.
    ///
    /// # Errors
    /// `Storage` when the address cannot be bound.
    pub async fn bind(setup: Setup) -> Result<Self> {
        let (listener, local) = listen(setup.config.listen).await?;
        let metrics = match setup.config.metrics_listen {
            Some(address) => Some(listen(address).await?.0),
            None => None,
        };
        let live = ArcSwap::from_pointee(Live::new(setup, None));
        let phase = watch::Sender::new(Phase::Running);
        let shows_metrics = metrics.is_none();
        let (metrics_kept, access) = (Arc::new(Metrics::new()), OnceLock::new());
        let shared = Shared { live, local, metrics: metrics_kept, access, shows_metrics, phase };
        Ok(Self { listener, metrics, shared: Arc::new(shared) })
    }

    /// Writes the lines of the access log to `log` from now on, as far as `tracing` is to show them.
    pub fn log_to(&self, log: AccessLog) {
        // The first one stays.
        let _ = self.shared.access.set(log);
    }

    /// Exchanges the configuration while the server runs.
    pub fn control(&self) -> Control {
        Control { shared: Arc::clone(&self.shared) }
    }

    /// The address of the metrics, when they have one of their own.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    /// The address in use, with the port that was taken for port 0.
    pub fn address(&self) -> SocketAddr {
        self.shared.local
    }

    /// Serves until `stop` completes, then lets answers finish (promise R31) unless `now` completes.
    pub async fn run(self, stop: impl Future<Output = Stop>, now: impl Future<Output = ()>) {
        let shared = Arc::clone(&self.shared);
        let summaries = tokio::spawn(summaries::keep(Arc::clone(&shared)));
        let release = tokio::spawn(release_memory());
        accept::run(self.listener, self.metrics, self.shared, stop, now).await;
        release.abort();
        summaries.abort();
        summaries::save(&shared).await;
    }
}

/// Gives back what nobody needs any more after a rush, within promise R2's ten seconds. Never ends.
async fn release_memory() {
    loop {
        tokio::time::sleep(Duration::from_secs(4)).await;
        handlers::release_unused();
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let fail = |e: std::io::Error| Error::storage(format!("cannot listen on {address}: {e}"), e);
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let local = listener.local_addr().map_err(fail)?;
    Ok((listener, local))
}
