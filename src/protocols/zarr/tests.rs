//! The Zarr view and its references, over small datasets and a storage made for the purpose.

use std::ops::Range;

use bytes::Bytes;
use cdm::{
    Attribute, BlockStream, DataType, Dataset, Dimension, Encoding, EnumType, FullName, Group, Selection,
    StoredChunk, StoredChunks, StoredElement, StoredLayout, Variable, testing::MemorySource,
};
use futures::{StreamExt, TryStreamExt, future::BoxFuture};
use serde_json::{Value as Json, json};

use super::*;

/// A Source whose variable `/v` (Int16, 5 values, chunks of 2, big-endian, zlib) lies in storage: chunk 0
/// is encoded, chunk 1 skips the encoding, chunk 2 was never written.
#[derive(Debug)]
struct Stored {
    values: MemorySource,
    layout: StoredLayout,
}

#[derive(Debug)]
struct Chunks(StoredLayout);

/// What zlib makes of the big-endian numbers 1 and 2.
const ENCODED: [u8; 12] = [120, 156, 99, 96, 100, 96, 2, 0, 0, 9, 0, 4];

impl StoredChunks for Chunks {
    fn layout(&self) -> &StoredLayout {
        &self.0
    }

    fn locate<'a>(&'a self, chunks: &'a [Vec<u64>]) -> BoxFuture<'a, Result<Vec<Option<StoredChunk>>>> {
        let range = |offset, skipped| {
            let len = if skipped == 0 { 12 } else { 4 };
            Some(StoredChunk::Range { name: "a b.nc".into(), url: None, offset, len, skipped })
        };
        let all = chunks.iter().map(|at| match at.first() {
            Some(0) => range(100, 0),
            Some(1) => range(200, 1),
            _ => None,
        });
        let all = all.collect();
        Box::pin(async move { Ok(all) })
    }

    fn read<'a>(&'a self, chunk: &'a [u64]) -> BoxFuture<'a, Result<Option<(Bytes, u32)>>> {
        assert_eq!(chunk, [0], "only the encoded chunk is passed on");
        Box::pin(async { Ok(Some((Bytes::from_static(&ENCODED), 0))) })
    }

    fn read_part<'a>(&'a self, chunk: &'a [u64], part: Range<u64>) -> BoxFuture<'a, Result<Option<Bytes>>> {
        assert_eq!((chunk, part), ([0_u64].as_slice(), 0..12));
        Box::pin(async { Ok(Some(Bytes::from_static(&ENCODED))) })
    }
}

impl Source for Stored {
    fn dataset(&self) -> &Dataset {
        self.values.dataset()
    }
    fn version(&self) -> Option<&cdm::Version> {
        self.values.version()
    }
    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        self.values.read(variable, selection)
    }
    fn stored(&self, variable: &FullName) -> Option<Arc<dyn StoredChunks>> {
        (variable.as_str() == "/v").then(|| Arc::new(Chunks(self.layout.clone())) as Arc<dyn StoredChunks>)
    }
}

fn numbers(values: &[i16]) -> cdm::Block {
    cdm::Block::Fixed(values.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<_>>().into())
}

/// `fill`: what storage takes for never-written values; `attribute`: what `_FillValue` says.
fn stored(fill: i16, attribute: Option<i16>) -> Arc<dyn Source> {
    let dimension = Dimension::shared(FullName::new("/x"), 5);
    let mut variable = Variable::new("v", DataType::Int16, vec![dimension.clone()]);
    if let Some(value) = attribute {
        let bytes = Bytes::copy_from_slice(&value.to_ne_bytes());
        variable.attributes.set(Attribute::numbers("_FillValue", DataType::Int16, bytes));
    }
    let mut root = Group::new(FullName::root());
    root.dimensions.push(dimension);
    let values = MemorySource::flat("a b.nc", root, vec![(variable, numbers(&[1, 2, 3, 4, fill]))]);
    let layout = StoredLayout {
        shape: vec![5],
        chunk_shape: vec![2],
        element: StoredElement { size: 2, big_endian: true },
        fill: Bytes::copy_from_slice(&fill.to_be_bytes()),
        encodings: vec![Encoding::Zlib],
    };
    Arc::new(Stored { values, layout })
}

/// Everything else that Zarr has a form for, and something it has none for.
fn various() -> Arc<dyn Source> {
    let enumeration = Arc::new(EnumType {
        name: FullName::new("/kind"),
        base: DataType::Int8,
        members: vec![("clear sky".into(), 0), ("rain".into(), 1)],
    });
    let axis = |size| vec![Dimension::anonymous(size)];
    let variables = vec![
        (Variable::new("s", DataType::String, axis(3)), cdm::Block::varying(["a", "", "bcd"])),
        (Variable::new("c", DataType::Char, axis(2)), cdm::Block::Fixed(Bytes::from_static(b"xy"))),
        (
            Variable::new("e", DataType::Enum(enumeration), axis(2)),
            cdm::Block::Fixed(Bytes::from_static(&[1, 0])),
        ),
        (Variable::new("o", DataType::Opaque(Arc::default()), axis(1)), cdm::Block::varying(["?"])),
        (
            Variable::new("f", DataType::Float64, Vec::new()),
            cdm::Block::Fixed(1.5_f64.to_ne_bytes().to_vec().into()),
        ),
        (Variable::new("none", DataType::Int32, axis(0)), cdm::Block::Fixed(Bytes::new())),
    ];
    Arc::new(MemorySource::flat("various.nc", Group::new(FullName::root()), variables))
}

async fn ask(source: &Arc<dyn Source>, response: &Response) -> Result<Bytes> {
    let headers = HeaderMap::new();
    let request = Request {
        dataset: "a b.nc",
        base_url: "http://h/opendap/a%20b.nc",
        query: None,
        headers: &headers,
        id: "1",
        largest: crate::protocols::Largest::default(),
    };
    let workspace = Workspace::new(1 << 20);
    let options = Options { origin: "http://h", largest_text: 2000, workspace: &workspace };
    let reply = respond(&request, response, Arc::clone(source), options).await?;
    let length = reply.length;
    let body: Vec<Bytes> = reply.body.try_collect().await?;
    let body = body.concat();
    assert!(length.is_none_or(|l| l == body.len() as u64), "the announced length is the length");
    Ok(body.into())
}

async fn key(source: &Arc<dyn Source>, path: &str) -> Result<Bytes> {
    ask(source, &Response::Key(path.into())).await
}

async fn document(source: &Arc<dyn Source>, path: &str) -> Json {
    serde_json::from_slice(&key(source, path).await.unwrap()).unwrap()
}

fn inflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(bytes), &mut out).unwrap();
    out
}

#[tokio::test]
async fn stored_chunks_are_passed_on_and_others_made_alike() {
    for attribute in [None, Some(-9), Some(7)] {
        let source = stored(7, attribute);
        for (first, second, third) in [("v/0", "v/1", "v/2"), ("v/c/0", "v/c/1", "v/c/2")] {
            assert_eq!(key(&source, first).await.unwrap(), ENCODED.as_slice());
            assert_eq!(inflated(&ENCODED), [0, 1, 0, 2]);
            assert_eq!(inflated(&key(&source, second).await.unwrap()), [0, 3, 0, 4]);
            // Never written: left to the reader only where it fills with the same.
            let last = key(&source, third).await;
            if attribute == Some(7) || third.contains("/c/") {
                assert_eq!(last.unwrap_err().kind(), cdm::ErrorKind::NotFound);
            } else {
                // What lies outside of the array may be anything.
                assert_eq!(inflated(&last.unwrap())[..2], [0, 7]);
            }
        }
        let array = document(&source, "v/.zarray").await;
        assert_eq!(array["fill_value"], attribute.map_or(Json::Null, Json::from));
        assert_eq!(array["filters"], json!([{"id": "zlib", "level": 1}]));
        assert_eq!((&array["dtype"], &array["chunks"]), (&json!(">i2"), &json!([2])));
        let array = document(&source, "v/zarr.json").await;
        assert_eq!(
            (&array["fill_value"], &array["attributes"]["_FillValue"]),
            (&json!(7), &attribute.map_or(Json::Null, Json::from))
        );
        assert_eq!(array["dimension_names"], json!(["x"]));
    }
}

#[tokio::test]
async fn keys_that_name_nothing_are_not_found() {
    let source = stored(7, None);
    for path in [
        "",
        "v",
        "v/3",
        "v/0.0",
        "v/c/3",
        "w/0",
        "v/.zgroup",
        ".zarray",
        "w/zarr.json",
        "v/.zmetadata",
        "../x",
    ] {
        let error = key(&source, path).await.unwrap_err();
        assert_eq!(error.kind(), cdm::ErrorKind::NotFound, "{path}");
    }
    assert_eq!(document(&source, ".zgroup").await, json!({"zarr_format": 2}));
}

#[tokio::test]
async fn values_are_laid_out_where_storage_has_no_such_chunks() {
    let source = various();
    let texts = b"\x03\0\0\0\x01\0\0\0a\0\0\0\0\x03\0\0\0bcd";
    assert_eq!(key(&source, "s/0").await.unwrap(), texts.as_slice());
    assert_eq!(key(&source, "s/c/0").await.unwrap(), texts.as_slice());
    assert_eq!(key(&source, "c/0").await.unwrap(), b"xy".as_slice());
    assert_eq!(key(&source, "e/0").await.unwrap(), [1, 0].as_slice());
    assert_eq!(key(&source, "f/0").await.unwrap(), 1.5_f64.to_ne_bytes().as_slice());
    assert_eq!(key(&source, "f/c").await.unwrap(), 1.5_f64.to_ne_bytes().as_slice());
    assert!(key(&source, "none/0").await.is_err() && key(&source, "o/0").await.is_err());
    let all = document(&source, "zarr.json").await;
    let arrays = &all["consolidated_metadata"]["metadata"];
    assert_eq!(all["attributes"]["variables_left_out"], json!(["o: opaque values"]));
    assert_eq!(arrays.as_object().unwrap().keys().collect::<Vec<_>>(), ["c", "e", "f", "none", "s"]);
    assert_eq!(arrays["e"]["attributes"]["flag_meanings"], json!("clear_sky rain"));
    assert_eq!(arrays["s"]["data_type"], json!("string"));
    assert_eq!(arrays["f"]["shape"], json!([]));
    // What is said at once is what is said one by one.
    assert_eq!(arrays["s"], document(&source, "s/zarr.json").await);
    let all = document(&source, ".zmetadata").await;
    for path in [".zgroup", ".zattrs", "c/.zarray", "s/.zarray", "s/.zattrs", "none/.zarray"] {
        assert_eq!(all["metadata"][path], document(&source, path).await, "{path}");
    }
}

#[tokio::test]
async fn references_name_the_stored_bytes() {
    let source = stored(7, Some(-9));
    let text = ask(&source, &Response::References).await.unwrap();
    let all: Json = serde_json::from_slice(&text).unwrap();
    assert_eq!(all["version"], json!(1));
    let refs = &all["refs"];
    // Ten bytes of values: written out.
    assert_eq!(refs["v/0"], json!(format!("base64:{}", base64_of(&[1, 2, 3, 4, 7]))));
    let array: Json = serde_json::from_str(refs["v/.zarray"].as_str().unwrap()).unwrap();
    assert_eq!((&array["chunks"], &array["filters"]), (&json!([5]), &Json::Null));
}

fn base64_of(values: &[i16]) -> String {
    use base64::Engine as _;
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A variable of 2^40 values in chunks without encoding.
#[derive(Debug)]
struct Endless(Dataset);

impl Source for Endless {
    fn dataset(&self) -> &Dataset {
        &self.0
    }
    fn version(&self) -> Option<&cdm::Version> {
        None
    }
    fn read(&self, _: &FullName, selection: &Selection) -> BlockStream {
        let zeros = vec![0; usize::try_from(selection.element_count()).unwrap()];
        futures::stream::once(async { Ok(cdm::Block::Fixed(zeros.into())) }).boxed()
    }
}

#[tokio::test]
async fn too_many_references_are_refused_at_once() {
    let mut root = Group::new(FullName::root());
    root.variables.push(Variable::new("v", DataType::Int8, vec![Dimension::anonymous(1 << 40)]));
    let source: Arc<dyn Source> = Arc::new(Endless(Dataset::new("endless.nc", root).unwrap()));
    let error = ask(&source, &Response::References).await.unwrap_err();
    assert_eq!(error.kind(), cdm::ErrorKind::TooLarge);
    assert!(error.message().contains("limits.response_text"), "{error}");
    // The view has its chunks all the same, of a convenient size.
    assert_eq!(key(&source, "v/524287").await.unwrap().len(), 2 << 20);
    assert!(key(&source, "v/524288").await.is_err());
}
