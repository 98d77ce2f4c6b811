//! The byte layout of records, and pure functions over it.
//!
//! Inside a record, members follow each other in declaration order without padding, arrays row-major:
//! a fixed-size value is its native-endian bytes; a String, Url or Opaque is a native-endian `u64`
//! byte count and the bytes; a Structure is its members; a Sequence is a native-endian `u64` record
//! count and the records.
//!
//! An element of a [`crate::Block::Varying`] block of Structures is one record; of Sequences, one
//! count with its records.
