//! What clients do that mean no good, or are merely broken: each attack until it is told to stop.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::{common::Answer, healthy::connect};

/// A variable of gigabytes, by every way that leads to it.
pub(crate) const LARGE: [&str; 6] = [
    "/opendap/large.nc.dap?dap4.ce=/v",
    "/opendap/large.nc.dods?v",
    "/files/large.nc",
    "/opendap/packed.zarr.dap?dap4.ce=/v",
    "/opendap/packed.zarr.dods?v",
    "/opendap/packed.zarr.dap?dap4.ce=/v%5B%5D%5B0:2:511%5D%5B%5D",
];

/// Where to, until when, and what has come of it so far.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) to: SocketAddr,
    stop: Arc<AtomicBool>,
    /// Connections that the server ended.
    pub(crate) cut: Arc<AtomicUsize>,
    /// The longest that one of those lasted, or of those that were only held, in milliseconds.
    pub(crate) longest: Arc<AtomicUsize>,
    /// Answers by class of status.
    pub(crate) answers: Arc<[AtomicUsize; 6]>,
}

impl Target {
    pub(crate) fn new(to: SocketAddr) -> Self {
        Self {
            to,
            stop: Arc::default(),
            cut: Arc::default(),
            longest: Arc::default(),
            answers: Arc::default(),
        }
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// The server has ended a connection that was made at `begin`.
    fn was_cut(&self, begin: Instant) {
        self.cut.fetch_add(1, Ordering::Relaxed);
        self.lasted(begin);
    }

    /// A connection that was made at `begin` lasts still, or did until now.
    fn lasted(&self, begin: Instant) {
        let lasted = usize::try_from(begin.elapsed().as_millis()).unwrap();
        self.longest.fetch_max(lasted, Ordering::Relaxed);
    }

    fn answered(&self, status: u16) {
        self.answers[usize::from(status / 100).min(5)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn cuts(&self) -> usize {
        self.cut.load(Ordering::Relaxed)
    }

    pub(crate) fn longest(&self) -> Duration {
        Duration::from_millis(self.longest.load(Ordering::Relaxed) as u64)
    }

    pub(crate) fn statuses(&self, class: usize) -> usize {
        self.answers[class].load(Ordering::Relaxed)
    }
}

/// Runs so many at once, each again and again until the end; what cannot connect waits a little.
async fn many<F>(count: usize, target: &Target, one: impl Fn(usize, Target) -> F + Clone + Send + 'static)
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let mut all = JoinSet::new();
    for i in 0..count {
        let (target, one) = (target.clone(), one.clone());
        all.spawn(async move {
            while target.goes_on() {
                if one(i, target.clone()).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
    }
    all.join_all().await;
}

/// Holds `stream`, made at `begin`, until the server ends it or the attack stops, doing `more` every 50 ms.
async fn hold(stream: &mut TcpStream, begin: Instant, target: &Target, more: &[u8]) {
    let mut part = [0; 1024];
    while target.goes_on() {
        let cut = match tokio::time::timeout(Duration::from_millis(50), stream.read(&mut part)).await {
            Ok(read) => matches!(read, Ok(0) | Err(_)),
            Err(_) => stream.write_all(more).await.is_err(),
        };
        if cut {
            return target.was_cut(begin);
        }
    }
    target.lasted(begin);
}

/// Heads that come byte by byte and never end.
pub(crate) async fn slow_heads(target: Target) {
    many(200, &target, |_, target| async move {
        let mut stream = connect([127, 0, 1, 1], target.to, None).await?;
        let begin = Instant::now();
        stream.write_all(b"GET /opendap/small.nc.dmr HTTP/1.1\r\nX-").await?;
        hold(&mut stream, begin, &target, b"a").await;
        Ok(())
    })
    .await;
}

/// Connections on which nothing happens, from the start or after an answer.
pub(crate) async fn idle(target: Target) {
    many(1000, &target, |i, target| async move {
        let from = [127, 0, 2, 1 + u8::try_from(i / 250).unwrap()];
        let mut stream = connect(from, target.to, None).await?;
        let begin = Instant::now();
        if i % 2 == 0 {
            stream.write_all(b"GET /-/live HTTP/1.1\r\nHost: h\r\n\r\n").await?;
        }
        hold(&mut stream, begin, &target, b"").await;
        Ok(())
    })
    .await;
}

/// Who asks for gigabytes and takes a byte now and then.
pub(crate) async fn slow_readers(target: Target) {
    many(200, &target, |i, target| async move {
        let mut stream = connect([127, 0, 1, 1], target.to, Some(4096)).await?;
        let begin = Instant::now();
        let request = format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", LARGE[i % LARGE.len()]);
        stream.write_all(request.as_bytes()).await?;
        let mut byte = [0];
        while target.goes_on() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            // A reset shows here before all that had arrived is read.
            if stream.take_error()?.is_some() || stream.read(&mut byte).await? == 0 {
                break;
            }
        }
        if target.goes_on() {
            target.was_cut(begin);
        }
        Ok(())
    })
    .await;
}

/// Who asks for gigabytes and goes, politely or not.
pub(crate) async fn disconnects(target: Target) {
    many(200, &target, |i, target| async move {
        let mut stream = connect([127, 0, 1, 1], target.to, None).await?;
        let request = format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", LARGE[i % LARGE.len()]);
        stream.write_all(request.as_bytes()).await?;
        let mut part = vec![0; 20_000];
        let read = tokio::time::timeout(Duration::from_millis(300), stream.read(&mut part)).await;
        if let Ok(n @ 1..) = read.unwrap_or(Ok(0)) {
            target.answered(Answer::last(&part[..n]).status);
        }
        if i % 2 == 0 {
            stream.set_zero_linger()?;
        }
        Ok(())
    })
    .await;
}

/// Connections as fast as they come, of one address beyond what it may have.
pub(crate) async fn connections(target: Target) {
    many(400, &target, |i, target| async move {
        let from = [127, 0, 1, if i < 300 { 1 } else { 2 }];
        let mut stream = connect(from, target.to, None).await?;
        let begin = Instant::now();
        if i < 300 {
            // Half a second at most: they are closed at once or hold their place.
            let mut part = [0];
            let read = tokio::time::timeout(Duration::from_millis(500), stream.read(&mut part)).await;
            if matches!(read, Ok(Ok(0) | Err(_))) {
                target.was_cut(begin);
            }
        }
        Ok(())
    })
    .await;
}

/// Small requests as fast as they are answered, several before the first answer.
pub(crate) async fn requests(target: Target) {
    const PIPELINED: usize = 8;
    let names =
        ["small.nc.dmr", "small.nc.dds", "small.nc.dap", "packed.zarr.das", "none.nc.dmr", "small.nc.html"];
    many(200, &target, move |i, target| async move {
        let mut stream = connect([127, 0, 1, 1], target.to, None).await?;
        let request = format!("GET /opendap/{} HTTP/1.1\r\nHost: h\r\n\r\n", names[i % names.len()]);
        let mut part = vec![0; 64 << 10];
        let mut seen = 0;
        while target.goes_on() {
            stream.write_all(request.repeat(PIPELINED).as_bytes()).await?;
            // What has arrived is counted, not understood.
            match tokio::time::timeout(Duration::from_millis(500), stream.read(&mut part)).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(n)) => seen += n,
                Err(_) => {}
            }
        }
        target.answered(if seen > 0 { 200 } else { 0 });
        Ok(())
    })
    .await;
}

/// Large answers, taken as fast as they come, from one address.
pub(crate) async fn appetite(target: Target) {
    many(250, &target, |i, target| async move {
        let mut stream = connect([127, 0, 1, 1], target.to, None).await?;
        let request =
            format!("GET {} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", LARGE[i % LARGE.len()]);
        stream.write_all(request.as_bytes()).await?;
        let mut part = vec![0; 256 << 10];
        let mut first = true;
        while target.goes_on() {
            let n = stream.read(&mut part).await?;
            if n == 0 {
                break;
            }
            if std::mem::take(&mut first) {
                target.answered(Answer::last(&part[..n.min(2000)]).status);
            }
        }
        Ok(())
    })
    .await;
}

/// Constraints as long and as deep as they may be, and more.
pub(crate) async fn constraints(target: Target) {
    let many_of = |n: usize, what: &str, separator: &str| vec![what; n].join(separator);
    let queries = [
        format!("small.nc.dap?dap4.ce={}", many_of(1000, "/v%5B0:2:5%5D%5B1%5D%5B0:49%5D", ";")),
        format!("small.nc.dods?{}", many_of(1000, "v%5B0:2:5%5D%5B1%5D%5B0:49%5D", ",")),
        format!("small.nc.dmr?dap4.ce={}", many_of(30_000, "v", ";")),
        format!("small.nc.dap?dap4.ce={}", "v%7B".repeat(15_000)),
        format!("small.nc.dods?{}", "%5B".repeat(20_000)),
        format!("small.nc.dods?v&{}", many_of(5_000, "v%3E1", "&")),
        format!("small.nc.dap?dap4.ce={}", "n".repeat(60_000)),
        format!("{}.nc.dmr", "%2e".repeat(20_000)),
        format!("small.nc.dds?{}", "v%5B0:1:99999999999999999999%5D,".repeat(2_000)),
    ];
    let queries = Arc::new(queries);
    many(100, &target, move |i, target| {
        let queries = Arc::clone(&queries);
        async move {
            let mut stream = connect([127, 0, 1, 1], target.to, None).await?;
            let request = format!(
                "GET /opendap/{} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                queries[i % queries.len()]
            );
            stream.write_all(request.as_bytes()).await?;
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await?;
            target.answered(Answer::last(&all).status);
            Ok(())
        }
    })
    .await;
}

/// Bodies that are announced and never come, or come byte by byte.
pub(crate) async fn half_bodies(target: Target) {
    many(200, &target, |i, target| async move {
        let mut stream = connect([127, 0, 1, 1], target.to, None).await?;
        let begin = Instant::now();
        let framing = if i % 2 == 0 { "Content-Length: 60000" } else { "Transfer-Encoding: chunked" };
        let head = format!("POST /opendap/small.nc.dap HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let more: &[u8] = match i % 4 {
            0 => b"a",
            1 => b"1\r\na\r\n",
            _ => b"",
        };
        hold(&mut stream, begin, &target, more).await;
        Ok(())
    })
    .await;
}
