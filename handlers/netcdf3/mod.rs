//! netCDF-3: the classic format and its two 64-bit relatives (CDF-1, CDF-2, CDF-5).
//!
//! `header` turns the header's bytes into what they say, without judging it against the file; `layout`
//! says where each variable's bytes are and whether the file holds them; `source` is the `cdm::Source`.
//! Data goes through the chunk engine: a record is a chunk.

mod header;
mod layout;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use cdm::{Error, Result, Source};

use crate::{
    Format, Registry,
    registry::HEAD_LEN,
    storage::{Object, Place, blocking},
};

/// A header larger than this is not read.
const LARGEST_HEADER: u64 = 64 << 20;

/// The netCDF-3 format.
#[derive(Debug)]
pub struct NetCdf3;

#[async_trait]
impl Format for NetCdf3 {
    fn name(&self) -> &'static str {
        "netCDF-3"
    }

    fn recognizes(&self, _object: &Object, head: &[u8]) -> bool {
        matches!(head, [b'C', b'D', b'F', 1 | 2 | 5, ..])
    }

    async fn open(&self, object: Object, _: &Place, registry: &Registry) -> Result<Arc<dyn Source>> {
        // A header does not say how long it is: twice as much until it is whole.
        let mut len = HEAD_LEN.min(object.size);
        loop {
            let bytes = object.read(0..len).await?;
            let parsed = blocking(move || header::parse(&bytes)).await?;
            if let Some(header) = parsed {
                let engine = Arc::clone(registry.engine());
                let source = blocking(move || source::NetCdf3Source::new(object, &header, engine)).await?;
                return Ok(Arc::new(source));
            }
            if len == object.size {
                return Err(Error::corrupt(format!("the file ends within its header, after {len} bytes")));
            }
            if len >= LARGEST_HEADER {
                return Err(Error::unsupported(format!("a header of more than {len} bytes")));
            }
            len = (len * 2).min(object.size);
        }
    }
}
