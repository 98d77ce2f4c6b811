//! Connections: accepting, counting, serving and draining them.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use super::{
    Phase, Shared, Stop,
    handle::{Connection, Port, handle},
    idle::IdleTimer,
    layers::traced,
    mender::{Framing, Mender},
    stall::{Flushes, WriteTimeout},
};

/// Pause after a failed accept: without it, running out of descriptors would spin (promise R13).
const BACK_OFF: Duration = Duration::from_millis(100);

/// How long answers that are cut may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(super) async fn run(
    listener: TcpListener,
    metrics: Option<TcpListener>,
    shared: Arc<Shared>,
    stop: impl Future<Output = Stop>,
    now: impl Future<Output = ()>,
) {
    let finish = async {
        let stop = stop.await;
        tracing::info!("stopping: open answers may finish");
        shared.phase.send_replace(Phase::Leaving);
        if stop == Stop::Drain {
            let delay = shared.live.load().config.limits.drain_delay;
            tokio::time::sleep(delay).await;
        }
        shared.phase.send_replace(Phase::Draining);
    };
    let whole = async {
        let ((), ()) = tokio::join!(finish, async {
            match metrics {
                Some(metrics) => {
                    let all = accept(listener, &shared, Port::All);
                    tokio::join!(all, accept(metrics, &shared, Port::Metrics));
                }
                None => accept(listener, &shared, Port::All).await,
            }
        });
        // Connections hold receivers: closed when the last has gone.
        let patience = shared.live.load().config.limits.drain_timeout;
        if tokio::time::timeout(patience, shared.phase.closed()).await.is_err() {
            tracing::warn!("stopped with answers unfinished");
            // Front ends that can say so at the end of what they have sent, do.
            shared.live.load().stop_reading();
            // Whoever still takes nothing is cut.
            let _ = tokio::time::timeout(LAST_WORDS, shared.phase.closed()).await;
        }
    };
    tokio::select! {
        () = whole => {}
        () = now => tracing::warn!("stopped at once"),
    }
}

async fn accept(listener: TcpListener, shared: &Arc<Shared>, port: Port) {
    let most = shared.live.load().config.limits.connections.min(Semaphore::MAX_PERMITS);
    let connections = Arc::new(Semaphore::new(most));
    let addresses = Arc::new(Addresses::default());
    let mut phase = shared.phase.subscribe();
    let accepting = async {
        loop {
            // The permit first: beyond the limit, clients wait in the listen queue.
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(e) => {
                    tracing::warn!(error = %e, "accepting a connection failed");
                    tokio::time::sleep(BACK_OFF).await;
                    continue;
                }
            };
            let Some(place) = admit(shared, &addresses, peer.ip()) else {
                shared.metrics.turned_away();
                tracing::debug!(client = %peer.ip(), "too many connections from one address");
                continue;
            };
            let shared = Arc::clone(shared);
            let phase = shared.phase.subscribe();
            tokio::spawn(async move {
                welcome(stream, (peer, port), shared, phase).await;
                drop((permit, place));
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = draining(&mut phase) => {}
    }
}

/// Serves a connection, encrypted where it is to be. A handshake is the connection's own business: nobody waits for it
/// but its client, for as long as for the head of a request.
async fn welcome(
    stream: TcpStream,
    (peer, port): (SocketAddr, Port),
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
) {
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!(error = %e, "setting TCP_NODELAY failed");
    }
    let live = shared.live.load_full();
    let Some(tls) = live.tls.as_ref().filter(|_| port == Port::All) else {
        drop(live);
        return serve(stream, (peer, port, false), shared, phase).await;
    };
    let encrypted = tls.accept(stream, live.config.limits.header_timeout).await;
    drop(live);
    match encrypted {
        // Boxed: what is not used does not make every connection large.
        Ok(stream) => Box::pin(serve(stream, (peer, port, true), shared, phase)).await,
        Err(e) => tracing::debug!(client = %peer.ip(), error = %e, "a TLS handshake failed"),
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    (peer, port, is_secure): (SocketAddr, Port, bool),
    shared: Arc<Shared>,
    mut phase: watch::Receiver<Phase>,
) {
    // Times hold for a connection from its beginning.
    let live = shared.live.load_full();
    let limits = &live.config.limits;
    let (framing, flushes) = (Framing::default(), Flushes::default());
    let stream = WriteTimeout::new(stream, limits.write_timeout, flushes.clone());
    let stream = Mender::new(stream, framing.clone(), limits.header_timeout);
    let idle_timeout = limits.idle_timeout;
    drop(live);
    let connection = Connection { peer, port, framing, flushes, is_secure };
    let service = tower::service_fn(move |request| {
        let (shared, connection) = (Arc::clone(&shared), connection.clone());
        async move {
            let log = (Arc::clone(&shared.metrics), shared.access.get().copied());
            let answer =
                |request, id: Arc<str>| async move { handle(&shared, &connection, request, &id).await };
            Ok::<_, Infallible>(traced(peer.ip(), log, request, answer).await)
        }
    });
    let serving = http1::Builder::new()
        .timer(IdleTimer::default())
        // hyper's timer runs from the end of an answer to the end of the next head.
        .header_read_timeout(idle_timeout)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut serving = std::pin::pin!(serving);
    let outcome = tokio::select! {
        outcome = serving.as_mut() => outcome,
        () = draining(&mut phase) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(e) = outcome {
        tracing::debug!(client = %peer.ip(), error = %e, "a connection ended early");
    }
}

/// Completes when the server stops accepting, or is gone.
async fn draining(phase: &mut watch::Receiver<Phase>) {
    // The borrowed value must not outlive this statement: it is a lock.
    let _ = phase.wait_for(|p| *p == Phase::Draining).await.map(|_| ());
}

/// How many connections each address has.
#[derive(Debug, Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// Counts one connection of an address until it is dropped.
#[derive(Debug)]
struct Place {
    all: Arc<Addresses>,
    address: Option<IpAddr>,
}

/// A place for a connection from `address`, unless it has as many as one may.
fn admit(shared: &Shared, all: &Arc<Addresses>, address: IpAddr) -> Option<Place> {
    let all = Arc::clone(all);
    let live = shared.live.load();
    // All clients behind a proxy share its address.
    if live.config.trusted_proxies.iter().any(|p| p.contains(address)) {
        return Some(Place { all, address: None });
    }
    let mut counts = all.0.lock().unwrap_or_else(PoisonError::into_inner);
    let count = counts.entry(address).or_insert(0);
    if *count >= live.config.limits.connections_per_address {
        return None;
    }
    *count += 1;
    drop(counts);
    Some(Place { all, address: Some(address) })
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut counts = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}
