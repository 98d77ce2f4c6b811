//! Which codec each HDF5 filter is: registered numbers and client data to a [`Pipeline`]. The codecs
//! themselves know nothing of this.

#![warn(clippy::indexing_slicing)]

use std::sync::Arc;

use cdm::{Error, Result};

use crate::chunked::codecs::{
    Bitshuffle, Blosc, Blosc2, Bzip2, Codec, Compression, Deflate, Fletcher32, Lz4, Lzf, NBit, Pipeline,
    ScaleOffset, Shuffle, Szip, Zstd,
};

/// One filter of a dataset, as its pipeline message has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterSpec {
    /// The registered number.
    pub(crate) id: u16,
    /// Chunks that it could not shrink are stored without it.
    pub(crate) optional: bool,
    /// What the writer called it; often empty.
    pub(crate) name: String,
    /// Its parameters.
    pub(crate) client_data: Vec<u32>,
}

/// The filters that chunks can be decoded with.
const SUPPORTED: &str = "deflate, shuffle, fletcher32, szip, nbit, scaleoffset, bzip2 (307), lzf (32000), \
                         blosc (32001), lz4 (32004), bitshuffle (32008), zstd (32015), blosc2 (32026)";

/// The pipeline of `filters`, in the order the file states them.
///
/// # Errors
/// `Unsupported` for a filter that is not known, by number and name; `Corrupt` for parameters that make no
/// sense.
pub(crate) fn pipeline(filters: &[FilterSpec]) -> Result<Pipeline> {
    filters.iter().map(codec).collect::<Result<_>>().map(Pipeline::new)
}

fn codec(filter: &FilterSpec) -> Result<Arc<dyn Codec>> {
    let parameter = |i: usize| {
        let missing = || Error::corrupt(format!("filter {} lacks parameter {i}", filter.id));
        filter.client_data.get(i).copied().ok_or_else(missing)
    };
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let codec: Arc<dyn Codec> = match filter.id {
        1 => Arc::new(Deflate),
        2 => Arc::new(Shuffle::new(size(parameter(0)?))),
        3 => Arc::new(Fletcher32),
        4 => Arc::new(Szip::new(parameter(0)?, parameter(1)?, parameter(2)?, parameter(3)?)?),
        5 => Arc::new(NBit::new(&filter.client_data)?),
        6 => Arc::new(ScaleOffset::new(&filter.client_data)?),
        307 => Arc::new(Bzip2),
        32000 => Arc::new(Lzf),
        32001 => Arc::new(Blosc),
        32004 => Arc::new(Lz4),
        32008 => {
            let compression = match filter.client_data.get(4) {
                None | Some(0) => Compression::None,
                Some(2) => Compression::Lz4,
                Some(3) => Compression::Zstd,
                Some(n) => return Err(Error::unsupported(format!("bitshuffle with compression {n}"))),
            };
            let block = filter.client_data.get(3).copied().unwrap_or(0);
            Arc::new(Bitshuffle::new(size(parameter(2)?), size(block), compression)?)
        }
        32015 => Arc::new(Zstd),
        32026 => Arc::new(Blosc2),
        id => return Err(unknown(id, &filter.name)),
    };
    Ok(codec)
}

fn unknown(id: u16, stated_name: &str) -> Error {
    let known = match id {
        305 => "LZO",
        32013 => "H5Z-ZFP",
        32016 => "FCIDECOMP",
        32017 | 32024 => "SZ",
        32018 => "FPZIP",
        32019 => "JPEG",
        32020 => "VBZ",
        32022 => "BitGroom",
        32023 => "Granular BitRound",
        32028 => "SPERR",
        _ => "",
    };
    let mut name: String = stated_name.chars().filter(|c| !c.is_control()).take(60).collect();
    if name.is_empty() {
        name.push_str(known);
    }
    let name = if name.is_empty() { name } else { format!(" ({name})") };
    Error::unsupported(format!("filter {id}{name} is not supported; supported are: {SUPPORTED}"))
}

#[cfg(test)]
mod tests;
