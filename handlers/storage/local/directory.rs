//! What a directory holds, as the kernel says it: names with what they are, each from one call, made of nothing
//! more than is needed. Listings of large folders are made on every request, and nothing else takes as long.

use std::{fs::File, io};

use cap_std::fs::{Dir, Metadata};
use cdm::{Error, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, statat};

use super::{FileStatus, Stamp};

/// What is behind a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    kind: FileType,
    pub(super) stamp: Stamp,
}

impl Found {
    /// What is open.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        Ok(fstat(file)?.into())
    }

    pub(super) fn is_link(&self) -> bool {
        self.kind.is_symlink()
    }

    pub(super) fn is_folder(&self) -> bool {
        self.kind.is_dir()
    }

    pub(super) fn is_file(&self) -> bool {
        self.kind.is_file()
    }

    /// Of what must be a regular file.
    pub(super) fn status(&self) -> Result<FileStatus> {
        if !self.is_file() {
            return Err(Error::not_found("there is no such file"));
        }
        Ok(FileStatus { size: self.stamp.size, version: self.stamp.version() })
    }
}

impl From<Metadata> for Found {
    fn from(meta: Metadata) -> Self {
        use cap_std::fs::MetadataExt as _;
        Self { kind: FileType::from_raw_mode(meta.mode()), stamp: Stamp::of_entry(&meta) }
    }
}

impl From<Stat> for Found {
    fn from(stat: Stat) -> Self {
        let stamp = Stamp {
            device: whole(stat.st_dev),
            inode: whole(stat.st_ino),
            size: whole(stat.st_size),
            modified: (whole(stat.st_mtime), whole(stat.st_mtime_nsec)),
            changed: (whole(stat.st_ctime), whole(stat.st_ctime_nsec)),
            links: whole(stat.st_nlink),
        };
        Self { kind: FileType::from_raw_mode(stat.st_mode), stamp }
    }
}

/// A number of the kernel's, whose width differs from machine to machine.
fn whole<T: TryFrom<i128> + Default>(number: impl Into<i128>) -> T {
    T::try_from(number.into()).unwrap_or_default()
}

/// Tells `each` every name in `directory` that is UTF-8, and what it is: a link as such, not followed. What is gone
/// before it was looked at is passed over.
pub(super) fn read(directory: &Dir, mut each: impl FnMut(&str, Found)) -> io::Result<()> {
    // What leads somewhere need not be open for reading.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut names = rustix::fs::Dir::new(openat(directory, ".", flags, Mode::empty())?)?;
    while let Some(entry) = names.read() {
        let entry = entry?;
        let name = entry.file_name();
        let Ok(text) = name.to_str() else { continue };
        if matches!(text, "." | "..") {
            continue;
        }
        if let Ok(stat) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            each(text, stat.into());
        }
    }
    Ok(())
}
