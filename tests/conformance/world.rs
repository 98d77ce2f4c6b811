//! The server under test and what it serves: datasets in memory, and the committed fixture files.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use cdm::{BlockStream, Dataset, FullName, Result, Selection, Source, Version};
use handlers::{
    Format, Registry,
    chunked::{Engine, EngineOptions},
    storage::{Object, Place},
};
use thalweg::{
    catalog::Catalog,
    config::Config,
    server::{Server, Setup},
};

use crate::{
    answers, datasets, faults, fixtures,
    http::{self, Answer},
};

/// Datasets of the constraint vectors (notes 4.8).
const VECTORS: [&str; 11] =
    ["V1_1", "V1_2", "V1_3", "V1_4", "V1_5", "V1_6", "V1_7", "V1_9", "A4", "TAA", "names"];

/// More datasets in memory.
const OTHERS: [&str; 13] = [
    "small",
    "grids",
    "odd",
    "atomic",
    "pair",
    "texts",
    "long",
    "rich",
    "late",
    "late_text",
    "early",
    "xdr",
    "rows",
];

/// Where the committed files are.
const FOLDERS: [&str; 3] =
    ["handlers/netcdf3/tests/data", "handlers/hdf5/testdata", "handlers/hdf5/format/testdata"];

struct World {
    address: SocketAddr,
    files: Vec<String>,
    _folder: tempfile::TempDir,
}

/// The one server that all tests ask.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for name in VECTORS.iter().chain(&OTHERS) {
            fs::write(folder.path().join(format!("{name}.nc")), "memory").unwrap();
        }
        let files = copy_fixtures(folder.path());
        let address = serve(folder.path().to_owned());
        World { address, files, _folder: folder }
    })
}

fn copy_fixtures(to: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for (place, from) in FOLDERS.iter().enumerate() {
        fs::create_dir(to.join(place.to_string())).unwrap();
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(from)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "nc" || e == "h5") {
                let name = format!("{place}/{}", path.file_name().unwrap().to_str().unwrap());
                fs::copy(&path, to.join(&name)).unwrap();
                names.push(name);
            }
        }
    }
    names.sort();
    names
}

/// Starts a server of `folder` that runs until this process ends.
fn serve(folder: PathBuf) -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
            let engine = Arc::new(Engine::new(EngineOptions::default()));
            let registry = Registry::with_formats(engine, vec![Arc::new(Memory)]);
            let catalog = Catalog::new(&[folder], 512, registry).unwrap();
            let config = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..Config::default() };
            let server = Server::bind(Setup::open(config, catalog)).await.unwrap();
            tell.send(server.address()).unwrap();
            server.run(std::future::pending(), std::future::pending()).await;
        });
    });
    told.recv().unwrap()
}

/// The committed files as the server names them.
pub(crate) fn files() -> &'static [String] {
    &world().files
}

/// Every dataset in memory that can be read.
pub(crate) fn in_memory() -> impl Iterator<Item = String> {
    let readable = OTHERS.into_iter().filter(|n| !["late", "late_text", "early"].contains(n));
    VECTORS.into_iter().chain(readable).map(|name| format!("{name}.nc"))
}

/// The answer to one request with extra header lines.
pub(crate) fn ask(method: &str, target: &str, headers: &str) -> Answer {
    http::ask(world().address, method, target, headers, Duration::ZERO)
}

/// As [`get`], by a client that takes nothing for a while.
pub(crate) fn get_slowly(target: &str) -> Answer {
    http::ask(world().address, "GET", target, "", Duration::from_millis(500))
}

pub(crate) fn get(target: &str) -> Answer {
    ask("GET", target, "")
}

/// A good answer, which must be whole.
#[track_caller]
pub(crate) fn good(target: &str) -> Answer {
    let answer = get(target);
    assert_eq!(answer.status, 200, "{target}: {}", String::from_utf8_lossy(&answer.body));
    assert!(answer.is_whole, "{target}");
    answer
}

/// Files that hold the word `memory` are datasets made in this process.
#[derive(Debug)]
struct Memory;

#[async_trait]
impl Format for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn recognizes(&self, _: &Object, head: &[u8]) -> bool {
        head == b"memory"
    }

    async fn open(&self, object: Object, _: &Place, _: &Registry) -> Result<Arc<dyn Source>> {
        let source = match object.name.trim_end_matches(".nc") {
            "small" => fixtures::fixture(true),
            "grids" => fixtures::fixture(false),
            "odd" => fixtures::odd(),
            "late" | "late_text" | "early" => faults::source(&object.name),
            vector if VECTORS.contains(&vector) => datasets::named(vector),
            other => answers::named(other),
        };
        Ok(Arc::new(Versioned { source, version: object.version }))
    }
}

/// A Source as new as its file.
#[derive(Debug)]
struct Versioned {
    source: Arc<dyn Source>,
    version: Version,
}

impl Source for Versioned {
    fn dataset(&self) -> &Dataset {
        self.source.dataset()
    }

    fn version(&self) -> Option<&Version> {
        Some(&self.version)
    }

    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        self.source.read(variable, selection)
    }
}
