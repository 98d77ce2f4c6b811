//! Chunk references: files that say where the chunks of a dataset lie in other files.
//!
//! Kerchunk's references (JSON, or a folder of Parquet) are the keys of a Zarr hierarchy with the places of
//! their bytes; DMR++ describes a dataset in XML with the places of its chunks. Both are read here; where
//! references may lead is decided in [`mod@resolve`], for all of them.

mod dmrpp;
mod kerchunk;
mod kerchunk_json;
mod kerchunk_parquet;
mod parquet_file;
mod parquet_pages;
pub mod resolve;
mod table;
mod targets;
mod template;
#[cfg(test)]
mod tests;
mod thrift;

pub use dmrpp::DmrPp;
pub use kerchunk::KerchunkJson;
pub(crate) use kerchunk::open_parquet;
pub use resolve::{AllowList, Opener};
pub(crate) use targets::Targets;

/// What fuzzing feeds to every parser here; nothing is opened.
pub fn exercise(bytes: &[u8]) {
    kerchunk::exercise(bytes);
    dmrpp::exercise(bytes);
}
