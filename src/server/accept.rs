//! Connections: accepting, counting, serving and draining them.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tokio_rustls::server::TlsStream;

use super::{
    Phase, Shared, Stop,
    addresses::{Addresses, Share},
    behalf::on_behalf,
    handle::{Connection, Port, handle},
    idle::IdleTimer,
    layers::traced,
    mender::{Framing, Mender},
    origin::client,
    stall::{Flushes, WriteTimeout},
    turns::InTurn,
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
            let Some(place) = addresses.admit(&shared.live.load().config, peer.ip()) else {
                shared.metrics.turned_away();
                tracing::debug!(client = %peer.ip(), "too many connections from one address");
                continue;
            };
            let shared = Arc::clone(shared);
            let phase = shared.phase.subscribe();
            let share = place.share.clone();
            // A proxy's requests are those of its clients.
            let clients = share.is_none().then(|| Arc::clone(&addresses));
            let serving = async move {
                welcome(stream, (peer, port, clients), shared, phase).await;
                drop((permit, place));
            };
            match share {
                Some(Share { turns, party }) => tokio::spawn(InTurn::new(turns, party.run(serving))),
                None => tokio::spawn(serving),
            };
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
    (peer, port, clients): (SocketAddr, Port, Option<Arc<Addresses>>),
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
) {
    prepare(&stream);
    let live = shared.live.load_full();
    let Some(tls) = live.tls.as_ref().filter(|_| port == Port::All) else {
        drop(live);
        return serve((stream, forget_unsent), (peer, port, false), clients, (shared, phase)).await;
    };
    let encrypted = tls.accept(stream, live.config.limits.header_timeout).await;
    drop(live);
    match encrypted {
        // Boxed: what is not used does not make every connection large.
        Ok(stream) => {
            let forget = |stream: &TlsStream<TcpStream>| forget_unsent(stream.get_ref().0);
            Box::pin(serve((stream, forget), (peer, port, true), clients, (shared, phase))).await;
        }
        Err(e) => tracing::debug!(client = %peer.ip(), error = %e, "a TLS handshake failed"),
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    (stream, forget): (S, fn(&S)),
    (peer, port, is_secure): (SocketAddr, Port, bool),
    clients: Option<Arc<Addresses>>,
    (shared, mut phase): (Arc<Shared>, watch::Receiver<Phase>),
) {
    // Times hold for a connection from its beginning.
    let live = shared.live.load_full();
    let limits = &live.config.limits;
    let (framing, flushes) = (Framing::default(), Flushes::default());
    let slowest = (limits.write_timeout, limits.slowest_client);
    let stream = WriteTimeout::new(stream, slowest, flushes.clone(), forget);
    let stream = Mender::new(stream, framing.clone(), limits.header_timeout);
    let idle_timeout = limits.idle_timeout;
    drop(live);
    let connection = Connection { peer, port, framing, flushes, is_secure };
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let (shared, connection) = (Arc::clone(&shared), connection.clone());
        let (client, place) = match &clients {
            None => (peer.ip(), None),
            Some(clients) => {
                let live = shared.live.load();
                let client = client(&live.config, request.headers(), peer.ip());
                (client, clients.visit(&live.config, client))
            }
        };
        // Boxed: what hyper and tower move on the way is a pointer.
        Box::pin(async move {
            let log = (Arc::clone(&shared.metrics), shared.access.get().copied());
            let answer =
                |request, id: Arc<str>| async move { handle(&shared, &connection, request, &id).await };
            let answered = traced((client, peer.ip()), log, request, answer);
            Ok::<_, Infallible>(on_behalf(place, answered).await)
        })
    });
    let serving = http1::Builder::new()
        .max_buf_size(QUEUED)
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

/// Bytes of an answer that wait for the system to take them are at most this and one DAP4 chunk: what a client does not take
/// is held for it alone. A request's head may not have more either.
const QUEUED: usize = 160 << 10;

/// Bytes that the system takes of an answer beyond what it may send at once.
const UNSENT: u32 = 256 << 10;

/// Sets what makes answers leave at once, and what the system holds of those that cannot: else it takes megabytes for
/// each client that reads nothing, which must be read and made first.
fn prepare(stream: &TcpStream) {
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!(error = %e, "setting TCP_NODELAY failed");
    }
    #[cfg(target_os = "linux")]
    if let Err(e) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT) {
        tracing::debug!(error = %e, "setting TCP_NOTSENT_LOWAT failed");
    }
}

/// Closing `stream` resets it.
fn forget_unsent(stream: &TcpStream) {
    if let Err(e) = stream.set_zero_linger() {
        tracing::debug!(error = %e, "a connection cannot be reset");
    }
}

/// Completes when the server stops accepting, or is gone.
async fn draining(phase: &mut watch::Receiver<Phase>) {
    // The borrowed value must not outlive this statement: it is a lock.
    let _ = phase.wait_for(|p| *p == Phase::Draining).await.map(|_| ());
}
