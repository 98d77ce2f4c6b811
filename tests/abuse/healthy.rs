//! Clients that behave, and what they meet while others do not: from addresses of their own, each request on a
//! connection of its own, every answer checked.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cdm::testing::Random;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::{common::Answer, dap, netcdf3, world::SMALL};

/// Longer than any healthy request may take; what takes longer is a failure.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Metadata,
    Data,
    Probe,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    times: Vec<(Kind, Duration)>,
    failures: Vec<String>,
}

impl Report {
    /// The time that 95 of 100 requests of a kind stay below.
    pub(crate) fn p95(&self, kind: Kind) -> Duration {
        let mut times: Vec<Duration> =
            self.times.iter().filter(|(k, _)| *k == kind).map(|(_, t)| *t).collect();
        times.sort_unstable();
        assert!(
            times.len() >= 10,
            "only {} requests of {kind:?} were answered: {:?}",
            times.len(),
            self.failures
        );
        times[(times.len() - 1) * 95 / 100]
    }

    /// Fails unless all went well in time (promises R7, R8 and R34).
    pub(crate) fn check(&self, attack: &str) {
        let [metadata, data, probe] = [Kind::Metadata, Kind::Data, Kind::Probe].map(|kind| self.p95(kind));
        println!(
            "{attack}: {} requests, p95: metadata {metadata:.1?}, data {data:.1?}, probes {probe:.1?}",
            self.times.len()
        );
        assert!(
            self.failures.is_empty(),
            "{attack}: {} failures: {:#?}",
            self.failures.len(),
            &self.failures[..self.failures.len().min(5)]
        );
        assert!(metadata < Duration::from_millis(500), "{attack}: metadata take {metadata:?}");
        assert!(data < Duration::from_millis(500), "{attack}: data take {data:?}");
        assert!(probe < Duration::from_millis(50), "{attack}: probes take {probe:?}");
    }
}

/// A connection from one of this machine's addresses.
pub(crate) async fn connect(
    from: [u8; 4],
    to: SocketAddr,
    receive_buffer: Option<u32>,
) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(len) = receive_buffer {
        socket.set_recv_buffer_size(len)?;
    }
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(from)), 0))?;
    socket.connect(to).await
}

/// The answer to one request.
pub(crate) async fn get(from: [u8; 4], to: SocketAddr, target: &str) -> std::io::Result<Answer> {
    let mut stream = connect(from, to, None).await?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(Answer::last(&bytes))
}

/// Asks until told to stop, from a runtime of its own.
pub(crate) struct Healthy {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Report>,
}

impl Healthy {
    pub(crate) fn start(to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let kinds = [Kind::Metadata, Kind::Data, Kind::Probe, Kind::Data];
                let clients = (0..).zip(kinds).map(|(seed, kind)| ask(kind, seed, to, Arc::clone(&told)));
                let mut all = Report::default();
                for one in futures::future::join_all(clients).await {
                    all.times.extend(one.times);
                    all.failures.extend(one.failures);
                }
                all
            })
        });
        Self { stop, thread }
    }

    pub(crate) fn finish(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

async fn ask(kind: Kind, seed: u64, to: SocketAddr, stop: Arc<AtomicBool>) -> Report {
    let mut report = Report::default();
    let mut random = Random(seed << 40);
    while !stop.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let outcome = tokio::time::timeout(PATIENCE, one(kind, &mut random, to)).await;
        let took = begin.elapsed();
        match outcome.unwrap_or_else(|_| Err("no answer".to_owned())) {
            Ok(()) => report.times.push((kind, took)),
            Err(why) => report.failures.push(format!("{kind:?} after {took:.1?}: {why}")),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    report
}

/// One request, with an answer that was not given before; why it failed.
async fn one(kind: Kind, random: &mut Random, to: SocketAddr) -> Result<(), String> {
    let starts = SMALL.map(|n| random.below(n));
    let axes = [0, 1, 2].map(|i| (starts[i], 1, starts[i] + random.below(SMALL[i] - starts[i])));
    let slices = axes.map(|(first, _, last)| format!("%5B{first}:{last}%5D")).concat();
    let target = match kind {
        Kind::Metadata if random.below(2) == 0 => format!("/opendap/small.nc.dmr?dap4.ce=/v{slices}"),
        Kind::Metadata => ["/catalog/catalog.xml", "/opendap/small.nc.das", "/opendap/packed.zarr.dmr"]
            [usize::try_from(random.below(3)).unwrap()]
        .to_owned(),
        Kind::Data => format!("/opendap/small.nc.dap?dap4.ce=/v{slices}"),
        Kind::Probe => ["/-/live", "/-/ready"][usize::try_from(random.below(2)).unwrap()].to_owned(),
    };
    let from = if kind == Kind::Probe { [127, 0, 0, 3] } else { [127, 0, 0, 2] };
    let answer = get(from, to, &target).await.map_err(|e| format!("{target}: {e}"))?;
    if answer.status != 200 || !answer.complete {
        return Err(format!("{target}: {} {}", answer.head, String::from_utf8_lossy(&answer.body)));
    }
    if kind == Kind::Data {
        let parts = dap::dap4(&answer.body);
        let expected: Vec<i32> = netcdf3::positions(SMALL, axes).map(|at| netcdf3::value(1, at)).collect();
        if !parts.ended || !dap::dap4_ints(&parts).take(expected.len()).eq(expected) {
            return Err(format!("{target}: wrong values"));
        }
    }
    Ok(())
}
