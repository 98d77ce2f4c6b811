//! Everything that produces a [`cdm::Source`] from storage.
//!
//! One folder per format; each owns its metadata and says where chunks lie and how they are coded.
//! Reading, decoding and scattering chunks is the one engine's work ([`chunked`]); bytes come from
//! [`storage`]. No word of any protocol here.

pub mod aggregation;
mod buffers;
pub mod chunked;
mod coordinate_maps;
pub mod geotiff;
pub mod hdf5;
pub mod icechunk;
pub mod ncml;
pub mod netcdf3;
pub mod references;
pub mod registry;
pub mod storage;
pub mod xml;
pub mod zarr;

pub use buffers::release_unused;
pub use registry::{Format, Registry};
