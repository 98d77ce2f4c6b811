//! Attributes: small named arrays that belong to an object.

use std::sync::Arc;

use bytes::Bytes;

use super::{Dataspace, Datatype};

/// An attribute with its stored bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct RawAttribute {
    /// Its name. Bytes that are not UTF-8 are replaced.
    pub name: Arc<str>,
    /// When it was made relative to the object's other attributes, if the object tracks it.
    pub creation_order: Option<u32>,
    /// The type of an element.
    pub datatype: Datatype,
    /// The address of the committed datatype it uses, if it uses one.
    pub committed: Option<u64>,
    /// Its shape.
    pub dataspace: Dataspace,
    /// Exactly the elements, as stored.
    pub data: Bytes,
}
