//! Kerchunk's references in Parquet: `.zmetadata` with the metadata of a Zarr hierarchy, and for each array a
//! folder of files, each with the references of so many of its chunks in C order.
//!
//! Only what is asked for is loaded, one file of references at a time; a bounded number of them is kept.

#![warn(clippy::indexing_slicing)]

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use cdm::{Error, ErrorKind, Result, ResultExt};

use super::{
    parquet_file::{self, Row, Rows},
    targets::{Targets, Wanted},
};
use crate::{
    chunked::ChunkLocation,
    storage::{Part, Place, blocking},
    zarr::Json,
};

/// The name of the metadata.
pub(crate) const METADATA: &str = ".zmetadata";

/// Bytes of one file of references.
const LARGEST: u64 = 64 << 20;

/// References kept in memory, over all files loaded by one dataset.
const MOST_ROWS: usize = 1 << 20;

/// What `.zmetadata` says of references.
#[derive(Debug)]
pub(crate) struct Metadata {
    /// References in one file.
    record_size: u64,
    /// Chunks along each axis, by array.
    grids: HashMap<Box<str>, Vec<u64>>,
}

/// What the metadata `document` says of references.
///
/// # Errors
/// `Corrupt` when it is not what it must be.
pub(crate) fn parse(document: &Json) -> Result<Metadata> {
    let record_size = document.member("record_size").and_then(Json::size).filter(|n| *n > 0);
    let record_size =
        record_size.ok_or_else(|| Error::corrupt(format!("{METADATA} has no record_size that can be")))?;
    let mut grids = HashMap::new();
    for (key, array) in document.member("metadata").map_or(&[][..], Json::members) {
        if let Some(field) = key.strip_suffix(".zarray") {
            grids.insert(field.trim_matches('/').into(), grid(array).within(|| key)?);
        }
    }
    Ok(Metadata { record_size, grids })
}

/// Chunks along each axis; one for a scalar.
fn grid(array: &Json) -> Result<Vec<u64>> {
    let axes =
        |key: &str| -> Option<Vec<u64>> { array.member(key)?.list()?.iter().map(Json::size).collect() };
    let missing = || Error::corrupt("an array without shape and chunks");
    let (shape, chunks) = axes("shape").zip(axes("chunks")).ok_or_else(missing)?;
    if shape.len() != chunks.len() || chunks.contains(&0) {
        return Err(Error::corrupt("an array whose chunks do not fit its shape"));
    }
    let grid: Vec<u64> = shape.iter().zip(&chunks).map(|(n, c)| n.div_ceil(*c)).collect();
    Ok(if grid.is_empty() { vec![1] } else { grid })
}

impl Metadata {
    /// The array that the chunk `key` belongs to and the chunk's position in C order; `None` for any other key.
    fn position<'k>(&self, key: &'k str) -> Option<(&'k str, u64)> {
        let slashes = key.rmatch_indices('/').map(|(at, _)| at);
        let (field, chunk) = slashes
            .filter_map(|at| Some((key.get(..at)?, key.get(at + 1..)?)))
            .find(|(field, _)| self.grids.contains_key(*field))?;
        let grid = self.grids.get(field)?;
        let mut position = 0_u64;
        let mut indices = chunk.split(['.', '/']);
        for len in grid {
            let i: u64 = indices.next()?.parse().ok().filter(|i| i < len)?;
            position = position.checked_mul(*len)?.checked_add(i)?;
        }
        indices.next().is_none().then_some((field, position))
    }
}

/// References in a folder, with the means to follow them.
pub(crate) struct ParquetReferences {
    place: Place,
    metadata: Metadata,
    targets: Targets,
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    /// By path, with when it was last used; `None` when there is no such file.
    files: HashMap<String, (Option<Arc<Rows>>, u64)>,
    /// Version identities by path.
    pinned: HashMap<String, Arc<str>>,
    clock: u64,
}

impl fmt::Debug for ParquetReferences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetReferences").field("place", &self.place.name).finish_non_exhaustive()
    }
}

impl ParquetReferences {
    /// The references in the folder `place`.
    pub(crate) fn new(place: Place, metadata: Metadata, targets: Targets) -> Self {
        Self { place, metadata, targets, loaded: Mutex::default() }
    }

    /// Where the bytes of each key are; `None` for a chunk that was never written, and for no chunk's key.
    ///
    /// # Errors
    /// As [`Targets::locate`]; `Corrupt` when the file of references is; `Changed` when it is another now.
    pub(crate) async fn locate(&self, keys: &[String]) -> Result<Vec<Option<ChunkLocation>>> {
        let mut wanted = Vec::with_capacity(keys.len());
        for key in keys {
            wanted.push((key.as_str(), self.wanted(key).await?));
        }
        self.targets.locate_all(&wanted).await
    }

    async fn wanted(&self, key: &str) -> Result<Option<Wanted>> {
        let Some((field, position)) = self.metadata.position(key) else { return Ok(None) };
        let record = position / self.metadata.record_size;
        let Some(rows) = self.rows(field, record).await? else { return Ok(None) };
        Ok(match rows.get(position % self.metadata.record_size) {
            Row::Missing => None,
            Row::Inline(bytes) => Some(Wanted::Inline(bytes.clone())),
            Row::Target { path, range } => Some(Wanted::Target { path: Arc::clone(path), range }),
        })
    }

    async fn rows(&self, field: &str, record: u64) -> Result<Option<Arc<Rows>>> {
        let path = self.place.inside(&format!("{field}/refs.{record}.parq"));
        {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            loaded.clock += 1;
            let now = loaded.clock;
            if let Some((rows, used)) = loaded.files.get_mut(&path) {
                *used = now;
                return Ok(rows.clone());
            }
        }
        let shown = || format!("the references of /{field}");
        let found = self.place.store.open(&path, Part::Whole { at_most: LARGEST }).await.within(shown)?;
        let most = self.metadata.record_size;
        let (rows, identity) = match found {
            Some((object, bytes)) => {
                let rows = blocking(move || parquet_file::read(&bytes, most)).await.within(shown)?;
                (Some(Arc::new(rows)), Arc::clone(&object.version.identity))
            }
            None => (None, "".into()),
        };
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let pinned = loaded.pinned.entry(path.clone()).or_insert_with(|| Arc::clone(&identity));
        if *pinned != identity {
            return Err(Error::new(
                ErrorKind::Changed,
                "the references changed after the dataset was opened",
            )
            .within(shown()));
        }
        loaded.make_room(rows.as_ref().map_or(0, |rows| rows.len()));
        let now = loaded.clock;
        loaded.files.insert(path, (rows.clone(), now));
        Ok(rows)
    }
}

impl Loaded {
    /// Forgets what was not used for longest, until so many more rows may be kept.
    fn make_room(&mut self, rows: usize) {
        let size = |file: &Option<Arc<Rows>>| file.as_ref().map_or(0, |rows| rows.len()).max(64);
        let mut kept: usize = self.files.values().map(|(file, _)| size(file)).sum();
        while kept.saturating_add(rows) > MOST_ROWS {
            let oldest = self.files.iter().min_by_key(|(_, (_, used))| *used).map(|(path, _)| path.clone());
            let Some((file, _)) = oldest.and_then(|path| self.files.remove(&path)) else { break };
            kept -= size(&file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Metadata> {
        parse(&Json::parse(text.as_bytes())?)
    }

    #[test]
    fn keys_are_positions() {
        let text = r#"{"record_size": 3, "metadata": {".zgroup": {"zarr_format": 2},
            "g/v/.zarray": {"shape": [4, 7], "chunks": [2, 3]}, "s/.zarray": {"shape": [], "chunks": []},
            "e/.zarray": {"shape": [0], "chunks": [5]}, "g/v/.zattrs": {"a": NaN}}}"#;
        let metadata = parsed(text).unwrap();
        for (key, expect) in [
            ("g/v/0.0", Some(("g/v", 0))),
            ("g/v/1.2", Some(("g/v", 5))),
            ("g/v/1/2", Some(("g/v", 5))),
            ("s/0", Some(("s", 0))),
            ("g/v/2.0", None),
            ("g/v/0.3", None),
            ("g/v/0", None),
            ("g/v/0.0.0", None),
            ("g/v/-1.0", None),
            ("g/v/x.y", None),
            ("e/0", None),
            ("other/0", None),
            ("0", None),
        ] {
            assert_eq!(metadata.position(key), expect, "{key}");
        }
    }

    #[test]
    fn damaged_metadata() {
        for wrong in [
            "",
            "[]",
            r#"{"record_size": 0}"#,
            r#"{"record_size": -1}"#,
            r#"{"record_size": 1.5}"#,
            r#"{"record_size": 1, "metadata": {"v/.zarray": {}}}"#,
            r#"{"record_size": 1, "metadata": {"v/.zarray": {"shape": [1], "chunks": [0]}}}"#,
            r#"{"record_size": 1, "metadata": {"v/.zarray": {"shape": [1], "chunks": []}}}"#,
        ] {
            assert_eq!(parsed(wrong).unwrap_err().kind(), ErrorKind::Corrupt, "{wrong}");
        }
    }
}
