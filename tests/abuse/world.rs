//! What is attacked: a server with short time-outs over files of known values, and what it uses.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use crate::{common::Server, netcdf3};

/// Of the small file that healthy clients read, and of the large one that abusers ask for.
pub(crate) const SMALL: [u64; 3] = [6, 40, 50];
const LARGE: [u64; 3] = [500, 1000, 1000];

/// Limits as they are by default, but for times, so that a test is short.
pub(crate) const HEADER: Duration = Duration::from_secs(1);
pub(crate) const IDLE: Duration = Duration::from_secs(2);
pub(crate) const WRITE: Duration = Duration::from_millis(1500);

const SHORT: [(&str, &str); 3] = [
    ("THALWEG_LIMITS_HEADER_TIMEOUT", "1000 ms"),
    ("THALWEG_LIMITS_IDLE_TIMEOUT", "2000 ms"),
    ("THALWEG_LIMITS_WRITE_TIMEOUT", "1500 ms"),
];

/// Data in memory by default, on their way and kept (`limits.memory`, `limits.chunk_cache`), and what promise R2 allows
/// beside it.
const BUDGET: u64 = (128 + 96) << 20;
const BESIDE: u64 = 256 << 20;

/// Finished answers that are kept.
const ANSWERS: u64 = 32 << 20;

/// The server and its files.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    before: Use,
    #[expect(dead_code, reason = "gone when it is dropped")]
    dir: tempfile::TempDir,
}

/// What a process uses.
#[derive(Debug, Clone, Copy)]
struct Use {
    resident: u64,
    descriptors: usize,
}

impl Use {
    fn of(server: &Server) -> Self {
        Self { resident: server.resident(), descriptors: server.descriptors() }
    }
}

impl World {
    /// With an array that nobody may have all of, too.
    pub(crate) fn new_with_huge(more: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let array = r#"{"zarr_format":2,"shape":[1000000,1000000,1000000],"chunks":[10,100,100],"dtype":"<f4",
            "fill_value":0,"order":"C","filters":null,"compressor":null}"#;
        let folder = dir.path().join("huge.zarr");
        fs::create_dir_all(folder.join("v")).unwrap();
        fs::write(folder.join(".zgroup"), r#"{"zarr_format":2}"#).unwrap();
        fs::write(folder.join("v/.zarray"), array).unwrap();
        fs::write(folder.join("v/.zattrs"), r#"{"_ARRAY_DIMENSIONS":["t","y","x"]}"#).unwrap();
        Self::over(dir, more)
    }

    /// A server that has answered each kind of request once.
    pub(crate) fn new(more: &[(&str, &str)]) -> Self {
        let world = Self::over(tempfile::tempdir().unwrap(), more);
        let server = &world.server;
        for target in ["small.nc.dmr", "small.nc.dap", "packed.zarr.dmr", "large.nc.dmr", "small.nc.dods"] {
            assert_eq!(server.get(&format!("/opendap/{target}")).status, 200, "{target} {}", server.log());
        }
        let one = "/opendap/packed.zarr.dap?dap4.ce=/v%5B0:3%5D%5B%5D%5B%5D";
        assert_eq!(server.get(one).status, 200, "{}", server.log());
        assert_eq!(server.get("/catalog/").status, 200);
        let before = Use::of(server);
        Self { before, ..world }
    }

    fn over(dir: tempfile::TempDir, more: &[(&str, &str)]) -> Self {
        netcdf3::write(&dir.path().join("small.nc"), SMALL, 1, false);
        sparse(&dir.path().join("large.nc"));
        packed(&dir.path().join("packed.zarr"));
        let environment: Vec<_> = SHORT.into_iter().chain(more.iter().copied()).collect();
        let server = Server::start(dir.path(), &["--log-level", "warn"], &environment);
        let before = Use::of(&server);
        Self { address: server.address.parse().unwrap(), server, before, dir }
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.server.get("/-/metrics").text();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("no {name}")).rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until `is_so`, for at most `patience`; how long it took.
    pub(crate) fn wait(&self, what: &str, patience: Duration, is_so: impl Fn(&Self) -> bool) -> Duration {
        let begin = Instant::now();
        while !is_so(self) {
            let now = Use::of(&self.server);
            assert!(
                begin.elapsed() < patience,
                "{what}: not within {patience:?}: {now:?} of {:?}",
                self.before
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        begin.elapsed()
    }

    /// Fails unless memory stayed within the promise and everything is given back within 10 s (promise R2), but for
    /// what is kept for the next request.
    pub(crate) fn assert_recovers(&mut self, what: &str) {
        let most = self.server.most_resident();
        let Use { resident, descriptors } = self.before;
        assert!(most < resident + BUDGET + BESIDE, "{what}: {most} bytes were resident");
        let took = self.wait(what, Duration::from_secs(10), |world| {
            let now = Use::of(&world.server);
            let kept = world.metric("thalweg_chunk_cache_bytes") + ANSWERS;
            now.descriptors <= descriptors + 4 && now.resident < resident + kept + (64 << 20)
        });
        let after = Use::of(&self.server);
        println!(
            "{what}: most {} MiB, after {} ms {} MiB of {} MiB before, {} descriptors of {descriptors}",
            most >> 20,
            took.as_millis(),
            after.resident >> 20,
            resident >> 20,
            after.descriptors
        );
        self.server.assert_sound();
        assert_eq!(self.metric("thalweg_panics_total"), 0, "{what}");
    }
}

/// A file of gigabytes that takes no space: of its records, only the first has values.
fn sparse(path: &Path) {
    netcdf3::write(path, [1, LARGE[1], LARGE[2]], 1, true);
    let record = LARGE[1] * LARGE[2] * 4 + 4;
    let file = fs::File::options().write(true).open(path).unwrap();
    let head = file.metadata().unwrap().len() - record;
    file.set_len(head + LARGE[0] * record).unwrap();
    let count = u32::try_from(LARGE[0]).unwrap().to_be_bytes();
    std::os::unix::fs::FileExt::write_all_at(&file, &count, 4).unwrap();
}

/// A Zarr array of 200 compressed chunks of 4 MiB each.
fn packed(folder: &Path) {
    let array = r#"{"zarr_format":2,"shape":[800,512,512],"chunks":[4,512,512],"dtype":"<f4","fill_value":0,
        "order":"C","filters":null,"compressor":{"id":"zlib","level":1}}"#;
    fs::create_dir_all(folder.join("v")).unwrap();
    fs::write(folder.join(".zgroup"), r#"{"zarr_format":2}"#).unwrap();
    fs::write(folder.join("v/.zarray"), array).unwrap();
    fs::write(folder.join("v/.zattrs"), r#"{"_ARRAY_DIMENSIONS":["t","y","x"]}"#).unwrap();
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    for i in (0..977_u16).cycle().take(4 * 512 * 512) {
        encoder.write_all(&f32::from(i).sqrt().to_le_bytes()).unwrap();
    }
    let chunk = encoder.finish().unwrap();
    for i in 0..200 {
        fs::write(folder.join(format!("v/{i}.0.0")), &chunk).unwrap();
    }
}
