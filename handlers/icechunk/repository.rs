//! Which snapshot a repository's branch is at.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result, ResultExt};
use serde::Deserialize;

use super::{
    envelope::{self, Kind},
    flatbuffer::Table,
    object_id::ObjectId,
};
use crate::storage::{Part, Place};

/// The object that holds the branches in specification version 2.
pub(super) const REPOSITORY: &str = "repo";

/// The object that is the branch `main` in specification version 1.
pub(super) const MAIN: &str = "refs/branch.main/ref.json";

/// No list of branches, tags and snapshots needs more.
const LARGEST_REPOSITORY: u64 = 64 << 20;

/// `{"snapshot":"..."}`
const LARGEST_REF: u64 = 4096;

/// The snapshot that the branch `main` of the repository at `place` is at now. Where both versions of the
/// specification tell one, a migration was not finished, and the later one holds.
///
/// # Errors
/// `NotFound` when it is no repository, or has no such branch; `Corrupt` or `Unsupported` as its files are.
pub(super) async fn tip(place: &Place) -> Result<ObjectId> {
    let whole = Part::Whole { at_most: LARGEST_REPOSITORY };
    if let Some((_, bytes)) = place.store.open(&place.inside(REPOSITORY), whole).await? {
        return crate::storage::blocking(move || branch(&bytes, "main")).await.within(|| REPOSITORY);
    }
    let whole = Part::Whole { at_most: LARGEST_REF };
    match place.store.open(&place.inside(MAIN), whole).await? {
        Some((_, bytes)) => reference(&bytes).within(|| MAIN),
        None => Err(Error::not_found("there is no branch main")),
    }
}

/// The snapshot of `branch` in the object `repo`.
pub(super) fn branch(file: &Bytes, branch: &str) -> Result<ObjectId> {
    branch_in(&envelope::open(file, Kind::Repository)?, branch)
}

/// As [`branch`], of the `FlatBuffers` bytes in that object.
pub(super) fn branch_in(bytes: &[u8], branch: &str) -> Result<ObjectId> {
    let root = Table::root(bytes)?;
    let version = root.u8(0, 0)?;
    if version > 2 {
        return Err(Error::unsupported(format!("Icechunk specification version {version}")));
    }
    let branches = root.offsets(2)?;
    for i in 0..branches.len() {
        let found = branches.table(i)?;
        if found.blob(0)? == Some(branch.as_bytes()) {
            let snapshot = usize::try_from(found.u32(1)?).unwrap_or(usize::MAX);
            return Ok(ObjectId(root.offsets(4)?.table(snapshot)?.require_bytes_of(0)?));
        }
    }
    Err(Error::not_found(format!("there is no branch {branch}")))
}

/// The snapshot that a reference of specification version 1 names.
pub(super) fn reference(file: &[u8]) -> Result<ObjectId> {
    #[derive(Deserialize)]
    struct Reference {
        snapshot: String,
    }
    let found: Reference = serde_json::from_slice(file)
        .map_err(|e| Error::corrupt("not the reference to a snapshot").with_source(e))?;
    ObjectId::parse(&found.snapshot).ok_or_else(|| Error::corrupt("not the id of a snapshot"))
}
