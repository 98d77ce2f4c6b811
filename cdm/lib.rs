//! The Common Data Model: what every format becomes and every protocol serves.
//!
//! This crate owns the *description* of n-dimensional data ([`Dataset`], [`Group`], [`Variable`],
//! [`DataType`]), the *question* one may ask of it ([`Selection`]), the *answer* on the move
//! ([`Block`]) and the one contract that ties them: [`Source`]. It does no I/O and knows neither a
//! file format nor a protocol.
//!
//! # Concepts
//!
//! * A [`Source`] is an immutable dataset description plus "read this selection of this variable as
//!   a stream of blocks". A file is a Source; so is a constrained Source ([`subset::subset`]), a filtered
//!   one, an aggregation. A changed file is a *new* Source, never a mutated one.
//! * A [`Selection`] is checked against a shape once and is inside it ever after. Selections compose
//!   ([`Selection::then`]): selecting twice equals selecting once with the composition.
//! * A [`Block`] is a run of consecutive elements of the selection in row-major order. Fixed-size
//!   elements are packed native-endian bytes; strings, opaque values and records that contain them
//!   are [`Block::Varying`]. [`records`] defines the byte layout of records.
//!
//! ```
//! use cdm::{Selection, Slice};
//! let every_other = Selection::new(vec![vec![Slice::new(0, 2, 5).unwrap()]], &[10]).unwrap();
//! let last_two = Selection::new(vec![vec![Slice::new(3, 1, 2).unwrap()]], &[5]).unwrap();
//! assert_eq!(every_other.then(&last_two).unwrap().indices(0).collect::<Vec<_>>(), [6, 8]);
//! ```

pub mod attribute;
pub mod block;
pub mod coordinates;
pub mod data_type;
mod derived;
pub mod error;
pub mod filter;
pub mod model;
pub mod records;
pub mod selection;
pub mod source;
pub mod stored;
pub mod subset;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod value;

pub use attribute::{Attribute, Attributes};
pub use block::Block;
pub use data_type::{DataType, EnumType, OpaqueType, RecordType};
pub use error::{Error, ErrorKind, Result, ResultExt};
pub use model::{Dataset, Dimension, FullName, Group, TypeDefinition, Variable};
pub use selection::{Selection, Slice};
pub use source::{BlockStream, Source, Version};
pub use stored::{Encoding, StoredChunk, StoredChunks, StoredElement, StoredLayout};
pub use value::{Value, values};
