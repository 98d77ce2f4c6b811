//! How each variable is shown as a Zarr array: its type, its chunks, and whether those of storage can be
//! passed on as they are.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use cdm::{DataType, Encoding, FullName, Group, Source, StoredChunks, Variable};

use super::{codecs, grid, values};

/// Larger stored chunks (decoded) are not passed on whole, in bytes.
const LARGEST_PASSED: u64 = 64 << 20;
/// What one string counts when chunks of strings are cut.
const STRING_LEN: u64 = 64;

/// The version of Zarr that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// `.zarray` and chunks `0.1`.
    V2,
    /// `zarr.json` and chunks `c/0/1`.
    V3,
}

/// A variable as a Zarr array.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) shape: Vec<u64>,
    pub(super) chunk_shape: Vec<u64>,
    /// Numeric, `Char` or `String`.
    pub(super) data_type: DataType,
    /// Numbers in chunks have their most significant byte first.
    pub(super) big_endian: bool,
    /// How chunks are encoded, in encoding order.
    pub(super) encodings: Vec<Encoding>,
    /// Storage, where its chunks are passed on; else values are read and sent as they are.
    pub(super) passed: Option<Passed>,
    /// What `_FillValue` says, one element in native bytes.
    pub(super) mask: Option<Vec<u8>>,
}

/// Chunks that are passed on.
#[derive(Debug, Clone)]
pub(super) struct Passed {
    pub(super) chunks: Arc<dyn StoredChunks>,
    /// One element that stands for those never written, in native bytes.
    pub(super) fill: Bytes,
}

impl Plan {
    /// The plan for `variable`, which `source` calls `name`.
    ///
    /// # Errors
    /// Why Zarr has no such array.
    pub(super) fn new(
        source: &dyn Source,
        name: &FullName,
        variable: &Variable,
    ) -> Result<Self, &'static str> {
        let data_type = match &variable.data_type {
            DataType::Enum(kind) => kind.base.clone(),
            DataType::Url | DataType::String => DataType::String,
            t if t.is_numeric() || *t == DataType::Char => t.clone(),
            DataType::Opaque(_) => return Err("opaque values"),
            DataType::Structure(_) => return Err("a structure"),
            _ => return Err("lists of varying length"),
        };
        let shape = variable.shape();
        let mask = values::fill_value(&variable.attributes, &data_type);
        let element = data_type.fixed_size().unwrap_or(STRING_LEN);
        let stored = source.stored(name).filter(|s| s.layout().shape == shape);
        if let Some(passed) = stored.as_ref().filter(|_| data_type != DataType::String).and_then(passed) {
            let layout = passed.chunks.layout();
            if layout.element.size as u64 == element {
                return Ok(Self {
                    chunk_shape: layout.chunk_shape.clone(),
                    big_endian: layout.element.big_endian,
                    encodings: layout.encodings.clone(),
                    passed: Some(passed),
                    shape,
                    data_type,
                    mask,
                });
            }
        }
        // Strings are cut where the array is cut, so that only the last chunk is short.
        let natural = stored.filter(|_| data_type != DataType::String);
        let natural = natural.map_or_else(|| shape.clone(), |s| s.layout().chunk_shape.clone());
        Ok(Self {
            chunk_shape: grid::convenient(&natural, &shape, element),
            big_endian: cfg!(target_endian = "big"),
            encodings: Vec::new(),
            passed: None,
            shape,
            data_type,
            mask,
        })
    }

    /// Bytes of one element in a chunk; 0 for strings.
    pub(super) fn element_size(&self) -> usize {
        self.data_type.fixed_size().and_then(|n| n.try_into().ok()).unwrap_or(0)
    }

    /// One element that stands for chunks that are not there, in native bytes; `None`: v2 does not say.
    ///
    /// In v2 it is what xarray takes for `_FillValue`, so it must not be anything else.
    pub(super) fn fill(&self, version: Version) -> Option<Vec<u8>> {
        match (version, &self.passed) {
            (Version::V2, _) => self.mask.clone(),
            (Version::V3, Some(passed)) => Some(passed.fill.to_vec()),
            (Version::V3, None) => Some(self.mask.clone().unwrap_or_else(|| vec![0; self.element_size()])),
        }
    }

    /// Whether a reader who finds no chunk sees what storage means by that.
    pub(super) fn absence_is_fill(&self, version: Version) -> bool {
        self.passed.as_ref().is_some_and(|p| self.fill(version).is_some_and(|f| f == p.fill))
    }

    /// Bytes of a decoded chunk.
    pub(super) fn chunk_len(&self) -> u64 {
        grid::byte_len(&self.chunk_shape, self.element_size() as u64)
    }
}

/// Storage whose chunks any reader of Zarr understands.
fn passed(stored: &Arc<dyn StoredChunks>) -> Option<Passed> {
    let layout = stored.layout();
    let fits = !layout.encodings.is_empty()
        && layout.encodings.iter().all(codecs::is_known)
        && layout.chunk_shape.len() == layout.shape.len()
        && !layout.chunk_shape.contains(&0)
        && layout.fill.len() == layout.element.size
        && grid::byte_len(&layout.chunk_shape, layout.element.size as u64) <= LARGEST_PASSED;
    fits.then(|| Passed {
        chunks: Arc::clone(stored),
        fill: in_order(layout.fill.to_vec(), layout.element.size, layout.element.big_endian).into(),
    })
}

/// Numbers of `size` bytes from the given order to the machine's, or back.
pub(super) fn in_order(mut bytes: Vec<u8>, size: usize, big_endian: bool) -> Vec<u8> {
    if big_endian != cfg!(target_endian = "big") && size > 1 {
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    bytes
}

/// The names of dimensions as the variables of one group show them: short, and unlike for unlike ones.
#[derive(Debug, Default)]
pub(super) struct DimensionNames {
    taken: HashMap<String, (Option<FullName>, u64)>,
}

impl DimensionNames {
    /// For the variables of `group`, whose own dimensions have the first right to their names.
    pub(super) fn of(group: &Group) -> Self {
        let mut names = Self::default();
        for dimension in &group.dimensions {
            if let Some(name) = &dimension.name {
                names.taken.insert(name.short().to_owned(), (Some(name.clone()), dimension.size));
            }
        }
        names
    }

    /// The names of `variable`'s dimensions, in order.
    pub(super) fn name(&mut self, variable: &Variable) -> Vec<String> {
        let mut all = Vec::with_capacity(variable.dimensions.len());
        for (axis, dimension) in variable.dimensions.iter().enumerate() {
            let mut name = match &dimension.name {
                Some(name) => name.short().to_owned(),
                None => format!("{}_dim_{axis}", variable.name),
            };
            let meant = (dimension.name.clone(), dimension.size);
            while self.taken.get(&name).is_some_and(|taken| *taken != meant) {
                name.push('_');
            }
            self.taken.insert(name.clone(), meant);
            all.push(name);
        }
        all
    }
}
