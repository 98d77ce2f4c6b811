//! What the fuzz targets do with their bytes: one function each, that must return for every input.
//!
//! Beside not panicking, each checks a property: a defect is never blamed on the input (`Internal`), what
//! is accepted is consistent. Used by `fuzz_targets/` and, on stable Rust, by `tests/fuzz_bodies.rs`.

#![allow(dead_code, unreachable_pub, reason = "each fuzz target uses one of these")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a fuzz target reports by panicking")]

use std::sync::{Arc, OnceLock};

use cdm::{
    Block, DataType, Dimension, ErrorKind, FullName, Group, RecordType, Selection, Source, Variable,
    testing::MemorySource,
};
use futures::StreamExt;
use handlers::{
    Registry,
    chunked::{Engine, EngineOptions},
    storage::{Entry, FileStatus, MemoryObject, Object, Part, Place, Store},
};
use http::HeaderMap;
use thalweg::{
    catalog::DatasetName,
    config,
    protocols::{Largest, Request, dap2, dap4},
    server,
};

/// A netCDF-3 file: opened, and the beginning of every variable read.
pub fn netcdf3(data: &[u8]) {
    let mut bytes = data.to_vec();
    if !bytes.starts_with(b"CDF") {
        let version = [1, 2, 5][bytes.len() % 3];
        bytes.splice(0..0, [b'C', b'D', b'F', version]);
    }
    read_all(bytes);
}

/// An HDF5 file: walked, and the beginning of every variable read. What does not begin as HDF5 does
/// becomes the root group of a file.
pub fn hdf5(data: &[u8]) {
    const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
    let mut bytes = data.to_vec();
    if !bytes.starts_with(SIGNATURE) {
        let mut head = SIGNATURE.to_vec();
        head.extend([0, 0, 0, 0, 0, 8, 8, 0, 4, 0, 16, 0, 0, 0, 0, 0]);
        for number in [0, u64::MAX, 96 + data.len() as u64, u64::MAX, 0, 96] {
            head.extend(number.to_le_bytes());
        }
        head.extend([0; 24]);
        bytes.splice(0..0, head);
    }
    read_all(bytes);
}

/// Chunk references: kerchunk's JSON and Parquet, DMR++. Parsed, and opened as a dataset whose files are not there.
pub fn references(data: &[u8]) {
    handlers::references::exercise(data);
    read_all(data.to_vec());
}

/// An NcML document, and what it makes of a dataset: edited, and the beginning of every variable read. What
/// does not begin as XML does is the inside of a document.
pub fn ncml(data: &[u8]) {
    let mut text = data.to_vec();
    if !text.starts_with(b"<") || text.starts_with(b"<v") || text.starts_with(b"<a") {
        text.splice(0..0, *b"<netcdf>");
        text.extend(b"</netcdf>");
    }
    match handlers::ncml::parse(&text, "fuzz.ncml") {
        Ok(parsed) => run(read_source(handlers::ncml::apply(dataset(), &parsed.netcdf))),
        Err(e) => {
            assert_ne!(e.kind(), ErrorKind::Internal, "{e}");
            assert!(e.message().starts_with("fuzz.ncml:"), "{e}");
        }
    }
}

/// A metadata file of an Icechunk repository.
pub fn icechunk(data: &[u8]) {
    if let Err(e) = handlers::icechunk::exercise(&data.to_vec().into()) {
        assert_ne!(e.kind(), ErrorKind::Internal, "{e}");
    }
}

/// A TIFF file: its directories walked, and the beginning of every variable read. What does not begin as
/// TIFF does becomes a directory's entries.
pub fn geotiff(data: &[u8]) {
    let mut bytes = data.to_vec();
    if !bytes.starts_with(b"II*\0") && !bytes.starts_with(b"MM\0*") {
        let count = u16::try_from(data.len() / 12).unwrap_or(u16::MAX);
        let mut head = b"II*\0\x08\0\0\0".to_vec();
        head.extend(count.to_le_bytes());
        bytes.splice(0..0, head);
    }
    read_all(bytes);
}

/// A Zarr array: its metadata, a NUL, and the bytes that every chunk has.
pub fn zarr(data: &[u8]) {
    let (document, chunk) = match data.iter().position(|b| *b == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &data[..0]),
    };
    let key = if document.windows(9).any(|w| w == b"node_type") { "zarr.json" } else { ".zarray" };
    let store: Arc<dyn Store> = Arc::new(OneArray {
        key,
        document: bytes::Bytes::copy_from_slice(document),
        chunk: bytes::Bytes::copy_from_slice(chunk),
    });
    let place = Place { store: Arc::clone(&store), path: "".into(), name: "fuzz".into() };
    let keys = Arc::new(handlers::zarr::StoreKeys(store));
    run(async {
        let engine = registry().engine();
        read_source(handlers::zarr::open(&place, keys, None, engine).await).await;
    });
}

/// A Zarr hierarchy in a zip file.
pub fn zip(data: &[u8]) {
    let mut bytes = data.to_vec();
    if !bytes.starts_with(b"PK\x03\x04") {
        bytes.splice(0..0, *b"PK\x03\x04");
    }
    read_all(bytes);
}

/// One array whose chunks are all the same.
#[derive(Debug)]
struct OneArray {
    key: &'static str,
    document: bytes::Bytes,
    chunk: bytes::Bytes,
}

#[async_trait::async_trait]
impl Store for OneArray {
    async fn open(&self, path: &str, part: Part) -> cdm::Result<Option<(Object, bytes::Bytes)>> {
        let bytes = match path {
            _ if path == self.key => &self.document,
            "zarr.json" | ".zarray" | ".zgroup" | ".zattrs" | ".zmetadata" => return Ok(None),
            _ => &self.chunk,
        };
        let size = bytes.len() as u64;
        let cut = |n: u64| usize::try_from(n).unwrap();
        let read = match part {
            Part::Head(len) => bytes.slice(..cut(len.min(size))),
            Part::Tail(len) => bytes.slice(cut(size - len.min(size))..),
            Part::Whole { at_most } if size > at_most => return Err(cdm::Error::corrupt("too large")),
            Part::Whole { .. } => bytes.clone(),
        };
        Ok(Some((MemoryObject::object(path, bytes.clone()), read)))
    }
    async fn stat(&self, _: &str) -> cdm::Result<Option<FileStatus>> {
        Ok(None)
    }
    async fn list(&self, _: &str) -> cdm::Result<Vec<Entry>> {
        Ok(Vec::new())
    }
}

/// The codecs of chunks.
pub fn codecs(data: &[u8]) {
    let _ = handlers::chunked::codecs::fuzz::drive(data);
}

/// A DAP4 query, parsed, resolved against a dataset, and the constrained description written.
pub fn dap4_constraint(data: &[u8]) {
    let query = String::from_utf8_lossy(data);
    for query in [query.to_string(), format!("dap4.ce={query}")] {
        let status = dap4_status(&query);
        assert!(status < 500 || status == 501, "{query:?}: {status}");
    }
}

/// The status of the constrained DMR.
pub fn dap4_status(query: &str) -> u16 {
    let headers = HeaderMap::new();
    run(dap4::respond(&request(query, &headers), dap4::Response::Dmr, dataset(), dap4::Options::default()))
        .status
        .as_u16()
}

/// A DAP2 query likewise; and the tree that the parser makes is written as the same constraint.
pub fn dap2_constraint(data: &[u8]) {
    let query = String::from_utf8_lossy(data);
    let status = dap2_status(&query);
    assert!(status < 500 || status == 501, "{query:?}: {status}");
    if let Ok(constraint) = dap2::constraint::parse(&query) {
        let written = constraint.to_string();
        let again = dap2::constraint::parse(&written);
        let again = again.unwrap_or_else(|e| panic!("{query:?} is written as {written:?}: {e}"));
        assert_eq!(again.to_string(), written, "of {query:?}");
    }
}

/// The status of the constrained DDS.
pub fn dap2_status(query: &str) -> u16 {
    let headers = HeaderMap::new();
    run(dap2::respond(&request(query, &headers), dap2::Response::Dds, dataset())).status.as_u16()
}

/// The path of a URL: routed; a dataset name that is accepted is safe and survives being written.
pub fn url(data: &[u8]) {
    let path = String::from_utf8_lossy(data);
    let _ = server::route(&path);
    let _ = server::route(&format!("/opendap/{path}"));
    if let Ok(name) = DatasetName::from_url(&path) {
        let safe =
            name.components().all(|part| !part.is_empty() && part != ".." && !part.contains(['\\', '\0']));
        assert!(safe, "{path:?} became {name:?}");
        assert_eq!(DatasetName::from_url(&name.to_url()).unwrap(), name, "of {path:?}");
    }
}

/// What a client sends: its heads mended, its headers read.
pub fn http(data: &[u8]) {
    server::exercise(data);
}

/// A catalog of a THREDDS content folder: read, and what it names looked for.
pub fn tds(data: &[u8]) {
    use thalweg::catalog::{Catalog, DatasetName, tds};
    let folder = std::env::temp_dir().join(format!(
        "thalweg-fuzz-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("catalog.xml"), data).unwrap();
    let read = run(async {
        let mut content = tds::read(&folder, &handlers::storage::Symlinks::default()).await?;
        let places = content.places(
            registry(),
            &handlers::storage::RemoteOptions::default(),
            &handlers::storage::Symlinks::default(),
        );
        let catalog = Catalog::of(places, 16, registry().clone()).with_content(content);
        // What it serves may be gone, or never have been.
        let _ = catalog.list(&DatasetName::top()).await;
        Ok::<_, cdm::Error>(())
    });
    if let Err(e) = read {
        assert_ne!(e.kind(), ErrorKind::Internal, "{e}");
    }
}

/// A configuration file; an error says where.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Err(e) = config::parse("thalweg.toml", &text) {
        assert!(e.to_string().starts_with("thalweg.toml:"), "{e}");
    }
}

fn request<'a>(query: &'a str, headers: &'a HeaderMap) -> Request<'a> {
    let largest = Largest::default();
    let base_url = "http://h/opendap/a.nc";
    Request { dataset: "a.nc", base_url, query: Some(query), headers, id: "r", largest }
}

/// A dataset with one of each that a constraint can name.
fn dataset() -> Arc<dyn Source> {
    static DATASET: OnceLock<Arc<MemorySource>> = OnceLock::new();
    let source = DATASET.get_or_init(|| {
        let root = FullName::root();
        let dimension = |name: &str, size| Dimension::shared(root.join(name), size);
        let mut group = Group::new(root.clone());
        let (t, x) = (dimension("t", 3), dimension("x", 4));
        group.dimensions = vec![t.clone(), x.clone()];
        let member = |name: &str, data_type| Variable::new(name, data_type, Vec::new());
        let fields = vec![member("a", DataType::Int32), member("b", DataType::Float64)];
        let members = Arc::new(RecordType { name: None, fields, is_vlen: false });
        group.variables = vec![
            Variable::new("v", DataType::Int32, vec![t.clone(), x]),
            Variable::new("t", DataType::Float64, vec![t.clone()]),
            Variable::new("s", DataType::String, vec![t]),
            Variable::new("p", DataType::Structure(Arc::clone(&members)), Vec::new()),
            Variable::new("q", DataType::Sequence(members), Vec::new()),
        ];
        let mut below = Group::new(root.join("g"));
        below.variables = vec![Variable::new("w x", DataType::Int16, Vec::new())];
        group.groups = vec![below];
        let zeros = |n: usize| Block::Fixed(vec![0; n].into());
        let name = |text: &str| FullName::new(text);
        let data = [
            (name("/v"), zeros(48)),
            (name("/t"), zeros(24)),
            (name("/s"), Block::varying(["a", "b", "c"])),
            (name("/p"), zeros(12)),
            (name("/q"), Block::varying([Vec::<u8>::new()])),
            (name("/g/w x"), zeros(2)),
        ];
        Arc::new(MemorySource::new("a.nc", group, data))
    });
    Arc::clone(source) as Arc<dyn Source>
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| Registry::new(Arc::new(Engine::new(EngineOptions::default()))))
}

fn read_all(bytes: Vec<u8>) {
    run(async { read_source(registry().open(MemoryObject::object("fuzz", bytes)).await).await });
}

/// The beginning of every variable of what was opened.
async fn read_source(opened: cdm::Result<Arc<dyn Source>>) {
    const MOST_BYTES: usize = 64 << 10;
    const MOST_VARIABLES: usize = 50;
    let source = match opened {
        Ok(source) => source,
        Err(e) => {
            assert_ne!(e.kind(), ErrorKind::Internal, "{e}");
            return;
        }
    };
    for (name, variable) in source.dataset().variables().take(MOST_VARIABLES) {
        let mut blocks = source.read(&name, &Selection::all(&variable.shape()));
        let mut len = 0;
        while let Some(block) = blocks.next().await {
            match block {
                Ok(block) => len += block.byte_len(),
                Err(e) => assert_ne!(e.kind(), ErrorKind::Internal, "{name}: {e}"),
            }
            if len > MOST_BYTES {
                break;
            }
        }
    }
}

/// Runs `work` on a runtime of this thread.
fn run<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}
