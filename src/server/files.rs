//! Stored files as they are: `/files/...`.

use std::{ops::Range, sync::Arc};

use futures::stream;
use handlers::{chunked::Engine, storage::Object};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{
    catalog::{DatasetName, encode_segment},
    protocols::{ByteStream, Reply},
};

/// Bytes read at a time.
const PIECE: u64 = 1 << 20;

/// The whole file as a download.
pub(super) fn reply(name: &DatasetName, object: &Arc<Object>, engine: &Arc<Engine>) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(name.file_name())));
    let file = name.file_name();
    let plain: String =
        file.chars().map(|c| if c.is_ascii_graphic() && c != '"' { c } else { '_' }).collect();
    let disposition = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", encode_segment(file));
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Reply {
        status: StatusCode::OK,
        headers,
        length: Some(object.size),
        identity: Some("file".to_owned()),
        compressible: false,
        body: bytes(object, 0..object.size, engine),
    }
}

/// The bytes `range` of `object`, read piece by piece as they are taken, within the memory for data.
pub(super) fn bytes(object: &Arc<Object>, range: Range<u64>, engine: &Arc<Engine>) -> ByteStream {
    let (object, engine, all) = (Arc::clone(object), Arc::clone(engine), range.end - range.start);
    Box::pin(stream::try_unfold((object, engine, range), move |(object, engine, rest)| async move {
        if rest.is_empty() {
            return Ok(None);
        }
        let end = rest.end.min(rest.start + PIECE);
        let piece = engine.stored(&object, rest.start..end, all).await?;
        Ok(Some((piece, (object, engine, end..rest.end))))
    }))
}

fn media_type(file: &str) -> &'static str {
    match file.rsplit('.').next().map(str::to_ascii_lowercase).as_deref() {
        Some("nc" | "nc3" | "nc4" | "nc5" | "cdf" | "cdf5" | "netcdf" | "ncf") => "application/x-netcdf",
        Some("h5" | "hdf5" | "he5") => "application/x-hdf5",
        Some("hdf" | "h4" | "hdf4") => "application/x-hdf",
        _ => "application/octet-stream",
    }
}
