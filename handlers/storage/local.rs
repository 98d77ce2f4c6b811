//! Files beneath a served directory.
//!
//! Owns path confinement (everything is opened beneath a directory descriptor, so `..`, absolute paths
//! and symbolic links cannot leave it but for where [`Symlinks`] lets them), the identity of a file's version and positioned reads that
//! notice a change. Which names are shown is the catalog's business, not this module's.
//!
//! Data is never memory-mapped: a mapped file that shrinks kills the process.

use std::{
    any::Any,
    ffi::OsStr,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions, OpenOptionsExt},
};
use cdm::{Error, ErrorKind, Result, Version};
use rustix::fs::OFlags;
use tokio::sync::Notify;

use self::directory::Found;
use super::{
    FileStatus, Object, Part, ReadRanges, Store, blocking,
    coalesce::{GAP, LARGEST, coalesce},
    near,
    store::below,
    symlinks::{Spot, Symlinks},
};
use crate::buffers::Buffer;

/// A directory whose files may be read; nothing outside it can be, but for where links may lead.
#[derive(Debug, Clone)]
pub struct LocalRoot {
    dir: Arc<Dir>,
    /// The device it is on, where it is looked at without a thread that may block.
    near: Option<u64>,
    /// The absolute paths it is known by: as it was given, and without symbolic links.
    known_as: Arc<[String]>,
    /// Where links may lead besides.
    symlinks: Symlinks,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without directory.
    pub name: Arc<str>,
    /// What it is.
    pub kind: EntryKind,
}

/// What a directory entry is, symbolic links followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Last modification.
        modified: Option<SystemTime>,
    },
    /// A directory.
    Directory,
}

impl LocalRoot {
    /// Opens the directory `path` once; every later access is relative to the descriptor.
    ///
    /// # Errors
    /// `NotFound` when there is no such directory, `Forbidden` when it may not be read.
    pub fn open(path: &Path) -> Result<Self> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())
            .map_err(|e| access_error(e).within(path.display()))?;
        let given = std::path::absolute(path).ok();
        let known_as = given.into_iter().chain(path.canonicalize().ok());
        let known_as = known_as.filter_map(|p| p.into_os_string().into_string().ok()).collect();
        let near = near::device(&dir);
        Ok(Self { dir: Arc::new(dir), near, known_as, symlinks: Symlinks::default() })
    }

    /// The same, whose symbolic links may lead where `symlinks` says.
    #[must_use]
    pub fn following(self, symlinks: Symlinks) -> Self {
        Self { symlinks, ..self }
    }

    /// The size and version of the regular file `path` (relative, `/` between components), unopened.
    ///
    /// # Errors
    /// `NotFound` for anything that is not a regular file beneath the root; `Overloaded` when the
    /// process is out of descriptors.
    pub async fn stat(&self, path: &str) -> Result<FileStatus> {
        if let Some(found) = self.look(path) {
            return found.map_err(access_error)?.status();
        }
        self.blocking(path, Self::status).await
    }

    /// What `work` makes of `path` where waiting is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        path: &str,
        work: impl FnOnce(&Self, &str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (root, path) = (self.clone(), path.to_owned());
        blocking(move || work(&root, &path)).await
    }

    /// What is at `path`, if that is told at once.
    fn look(&self, path: &str) -> Option<io::Result<Found>> {
        near::look(&self.dir, self.near?, path).map(|stat| stat.map(Found::from))
    }

    /// Opens the regular file `path`; the object holds the descriptor and is named `path`.
    ///
    /// # Errors
    /// As [`LocalRoot::stat`].
    pub async fn open_object(&self, path: &str) -> Result<Object> {
        self.blocking(path, Self::open_blocking).await
    }

    /// The files and directories in `path` (`""` is the root) by name; what is neither, and names
    /// that are not UTF-8, are left out. Opens no file.
    ///
    /// # Errors
    /// `NotFound` when it is not a directory beneath the root.
    pub async fn list(&self, path: &str) -> Result<Vec<Entry>> {
        self.blocking(path, |root, path| {
            let mut entries = root.entries(path, |entry, _| entry)?;
            entries.sort_unstable_by(|a: &Entry, b| a.name.cmp(&b.name));
            Ok(entries)
        })
        .await
    }

    /// What `act` makes of `path`: beneath the root; else, when a link leads out of it, where that may lead.
    fn at<T>(&self, path: &Path, act: impl Fn(&Dir, &Path) -> io::Result<T>) -> io::Result<T> {
        match act(&self.dir, path) {
            Err(e) if leads_out(&e) && !self.symlinks.is_empty() => {
                let top = Spot::top(&self.dir, self.known_as.last().map(Path::new));
                let spot = self.symlinks.follow(top, path)?;
                act(spot.dir, spot.inside())
            }
            found => found,
        }
    }

    fn status(&self, path: &str) -> Result<FileStatus> {
        let meta = self.at(Path::new(path), |dir, path| dir.metadata(path)).map_err(access_error)?;
        Found::from(meta).status()
    }

    fn open_blocking(&self, path: &str) -> Result<Object> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let open = |dir: &Dir, path: &Path| {
            // Asked first so that a device is not even opened; asked again of the descriptor below.
            if dir.metadata(path)?.is_file() {
                dir.open_with(path, &options)
            } else {
                Err(io::Error::from(io::ErrorKind::NotFound))
            }
        };
        let file = self.at(Path::new(path), open).map_err(access_error)?.into_std();
        let found = Found::of(&file).map_err(read_error)?;
        let FileStatus { size, version } = found.status()?;
        Ok(Object {
            name: path.into(),
            size,
            version,
            reader: Arc::new(LocalFile { inner: Arc::new(Opened { file, stamp: found.stamp }) }),
            url: None,
        })
    }

    /// The files and directories in `path`, each as `keep` makes it of its entry.
    fn entries<T>(&self, path: &str, keep: impl Fn(Entry, &Stamp) -> T) -> Result<Vec<T>> {
        let mut entries = Vec::new();
        let read = directory::read(&self.folder(path)?, |name, found| {
            let found = if found.is_link() {
                // One that leads nowhere is no entry.
                let Ok(meta) = self.behind(path, OsStr::new(name)) else { return };
                meta.into()
            } else {
                found
            };
            let kind = if found.is_folder() {
                EntryKind::Directory
            } else if found.is_file() {
                EntryKind::File { size: found.stamp.size, modified: found.stamp.time() }
            } else {
                return;
            };
            entries.push(keep(Entry { name: name.into(), kind }, &found.stamp));
        });
        read.map_err(read_error)?;
        Ok(entries)
    }

    /// The directory `path`.
    fn folder(&self, path: &str) -> Result<Dir> {
        let path = if path.is_empty() { "." } else { path };
        self.at(Path::new(path), |dir, path| dir.open_dir(path)).map_err(access_error)
    }

    /// What the link `name` in `folder` leads to: followed from the root, which is what confines it.
    fn behind(&self, folder: &str, name: &OsStr) -> io::Result<cap_std::fs::Metadata> {
        self.at(&Path::new(folder).join(name), |dir, path| dir.metadata(path))
    }

    /// What [`LocalRoot::entries`] leaves out, by the same rules.
    fn left_out(&self, path: &str) -> Result<Vec<(String, &'static str)>> {
        let mut names = Vec::new();
        let inside = self.folder(path)?;
        for entry in inside.entries().map_err(access_error)? {
            let entry = entry.map_err(read_error)?;
            let name = entry.file_name();
            let shown = name.to_string_lossy().into_owned();
            let Ok(meta) = entry.metadata() else { continue };
            let why = if name.to_str().is_none() {
                "its name is not UTF-8"
            } else if meta.is_symlink() && self.behind(path, &name).is_err() {
                "a link that leads out of what is served, or nowhere"
            } else if meta.is_symlink() || meta.is_dir() || meta.is_file() {
                continue;
            } else {
                "neither a file nor a folder"
            };
            names.push((shown, why));
        }
        names.sort();
        Ok(names)
    }

    /// Whether a link is on the way to the directory `path`, or in it.
    fn leads_on(&self, path: &str) -> Result<bool> {
        let ways = Path::new(path).ancestors().filter(|way| !way.as_os_str().is_empty());
        for way in ways {
            match self.dir.symlink_metadata(way) {
                Ok(meta) if !meta.is_symlink() => {}
                // Out of the root, or gone.
                Ok(_) | Err(_) => return Ok(true),
            }
        }
        let inside = self.folder(path)?;
        for entry in inside.entries().map_err(access_error)? {
            let kind = entry.and_then(|entry| entry.file_type()).map_err(read_error)?;
            // Some file systems do not say.
            if !kind.is_dir() && !kind.is_file() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[async_trait]
impl Store for LocalRoot {
    async fn open(&self, path: &str, part: Part) -> Result<Option<(Object, Bytes)>> {
        self.blocking(path, move |root, path| {
            let Some(object) = if_there(root.open_blocking(path))? else { return Ok(None) };
            let range = match part {
                Part::Head(len) => 0..len.min(object.size),
                Part::Tail(len) => object.size.saturating_sub(len)..object.size,
                Part::Whole { at_most } if object.size > at_most => {
                    return Err(super::larger(path, object.size, at_most));
                }
                Part::Whole { .. } => 0..object.size,
            };
            let bytes = if range.is_empty() { Bytes::new() } else { object.read_blocking(range)? };
            Ok(Some((object, bytes)))
        })
        .await
    }

    async fn stat(&self, path: &str) -> Result<Option<FileStatus>> {
        if_there(Self::stat(self, path).await)
    }

    fn may_be_folder(&self, path: &str) -> bool {
        self.look(path).is_none_or(|found| found.is_ok_and(|found| found.is_folder()))
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        Self::list(self, folder).await
    }

    async fn survey(&self, folder: &str) -> Result<Vec<(Entry, Option<Arc<str>>)>> {
        self.blocking(folder, |root, folder| {
            let mut found = root.entries(folder, |entry, stamp| {
                let is_file = matches!(entry.kind, EntryKind::File { .. });
                let identity = is_file.then(|| stamp.version().identity);
                (entry, identity)
            })?;
            found.sort_unstable_by(|a, b| a.0.name.cmp(&b.0.name));
            Ok(found)
        })
        .await
    }

    fn watch(&self, folders: &[String], changed: &Arc<Notify>) -> Option<Box<dyn Any + Send + Sync>> {
        let root = Path::new(self.known_as.first()?);
        super::watch::watch(folders.iter().map(|folder| root.join(folder)), changed)
    }

    async fn has_links(&self, folder: &str) -> Result<bool> {
        self.blocking(folder, Self::leads_on).await
    }

    fn label(&self) -> Option<String> {
        use cap_std::fs::MetadataExt as _;
        // Another folder may take its name.
        let meta = self.dir.dir_metadata().ok()?;
        Some(format!("{} {:x}-{:x}", self.known_as.last()?, meta.dev(), meta.ino()))
    }

    async fn passed_over(&self, folder: &str) -> Result<Vec<(String, &'static str)>> {
        self.blocking(folder, Self::left_out).await
    }

    fn relative(&self, absolute: &str) -> Option<String> {
        let scheme = ["file://localhost/", "file:///", "local:///", "file:/"]
            .iter()
            .find(|s| absolute.starts_with(**s));
        let path = match scheme {
            // The last slash belongs to the path.
            Some(scheme) => absolute.get(scheme.len() - 1..)?,
            None if absolute.starts_with('/') => absolute,
            None => return None,
        };
        self.known_as.iter().find_map(|root| below(root, path))
    }
}

/// `None` for what is not there.
fn if_there<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether two identities of local files are of one file, which was written again if they differ.
pub(crate) fn is_same_file(one: &str, other: &str) -> bool {
    // Device and inode come first.
    let file =
        |identity: &str| -> Vec<String> { identity.splitn(3, '-').take(2).map(str::to_owned).collect() };
    file(one) == file(other)
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
    links: u64,
}

impl Stamp {
    fn of_entry(meta: &cap_std::fs::Metadata) -> Self {
        use cap_std::fs::MetadataExt as _;
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
            links: meta.nlink(),
        }
    }

    fn version(&self) -> Version {
        let (m, mn) = self.modified;
        let (c, cn) = self.changed;
        // Said for every request, which `format!` would make twice as long.
        let mut identity = String::with_capacity(96);
        for (number, end) in [
            (self.device, "-"),
            (self.inode, "-"),
            (self.size, "-"),
            (m.cast_unsigned(), "."),
            (mn.cast_unsigned(), "-"),
            (c.cast_unsigned(), "."),
            (cn.cast_unsigned(), ""),
        ] {
            push_hex(&mut identity, number);
            identity.push_str(end);
        }
        Version {
            identity: identity.into(),
            // What was before 1970 no HTTP date can say.
            modified: self.time().filter(|time| *time >= SystemTime::UNIX_EPOCH),
        }
    }

    /// When it was last written.
    fn time(&self) -> Option<SystemTime> {
        let (seconds, nanoseconds) = self.modified;
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let second = match seconds {
            0.. => SystemTime::UNIX_EPOCH.checked_add(whole),
            _ => SystemTime::UNIX_EPOCH.checked_sub(whole),
        };
        second?.checked_add(Duration::from_nanos(u64::try_from(nanoseconds).ok()?))
    }

    /// Whether an open file that was `self` and is `now` still holds the same bytes. A file replaced by
    /// a rename loses a link, which moves the change time and nothing else: its bytes are still whole.
    fn same_bytes(&self, now: &Self) -> bool {
        self.size == now.size
            && self.modified == now.modified
            && (self.changed == now.changed || self.links != now.links)
    }
}

/// Adds `number` as `{:x}` would.
fn push_hex(text: &mut String, number: u64) {
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    text.extend((0..digits).rev().filter_map(|at| {
        let digit = u32::try_from((number >> (4 * at)) & 0xF).ok()?;
        char::from_digit(digit, 16)
    }));
}

/// Positioned reads of one open file.
#[derive(Debug, Clone)]
struct LocalFile {
    inner: Arc<Opened>,
}

#[derive(Debug)]
struct Opened {
    file: File,
    stamp: Stamp,
}

impl Opened {
    fn read(&self, ranges: &[std::ops::Range<u64>]) -> Result<Vec<Bytes>> {
        let mut found = vec![Bytes::new(); ranges.len()];
        for fetch in coalesce(ranges, GAP, LARGEST) {
            if fetch.range.end > self.stamp.size {
                return Err(super::beyond(&fetch.range, self.stamp.size));
            }
            let mut buffer = Buffer::new(super::byte_len(&fetch.range)?)?;
            self.fill(fetch.range.start, &mut buffer)?;
            let buffer = buffer.freeze();
            for i in fetch.serves {
                let at = super::byte_len(&(fetch.range.start..ranges[i].start))?;
                found[i] = buffer.slice(at..at + super::byte_len(&ranges[i])?);
            }
        }
        self.unchanged()?;
        Ok(found)
    }

    /// Reads so many bytes at `start`; whether they are the file's as it was opened is asked afterwards.
    fn fill(&self, start: u64, out: &mut [u8]) -> Result<()> {
        let Err(e) = self.file.read_exact_at(out, start) else { return Ok(()) };
        self.unchanged()?;
        Err(match e.kind() {
            io::ErrorKind::UnexpectedEof => Error::corrupt("the file is truncated"),
            _ => read_error(e),
        })
    }

    /// Asked after every batch: bytes read before a change was noticed are never given out.
    fn unchanged(&self) -> Result<()> {
        let now = Found::of(&self.file).map_err(read_error)?.stamp;
        if self.stamp.same_bytes(&now) {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Changed, "the file changed while it was being read"))
        }
    }
}

#[async_trait]
impl ReadRanges for LocalFile {
    async fn read(&self, ranges: &[std::ops::Range<u64>]) -> Result<Vec<Bytes>> {
        let (inner, ranges) = (Arc::clone(&self.inner), ranges.to_vec());
        blocking(move || inner.read(&ranges)).await
    }

    fn read_blocking(&self, ranges: &[std::ops::Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.read(ranges)
    }

    fn is_near(&self) -> bool {
        true
    }

    fn read_into(&self, start: u64, out: &mut [u8]) -> Result<()> {
        if start.checked_add(out.len() as u64).is_none_or(|end| end > self.inner.stamp.size) {
            return Err(super::beyond(
                &(start..start.saturating_add(out.len() as u64)),
                self.inner.stamp.size,
            ));
        }
        self.inner.fill(start, out)?;
        self.inner.unchanged()
    }
}

/// Whether a path was refused because it leads out of the directory that it is beneath.
fn leads_out(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::PermissionDenied && e.raw_os_error().is_none()
}

/// Why something could not be opened. A path that leads outside is not told from one that leads nowhere.
pub(super) fn access_error(e: io::Error) -> Error {
    let escapes = leads_out(&e);
    let kind = match e.kind() {
        _ if out_of_descriptors(&e) => return overloaded(e),
        io::ErrorKind::PermissionDenied if !escapes => ErrorKind::Forbidden,
        io::ErrorKind::Other | io::ErrorKind::StaleNetworkFileHandle => return read_error(e),
        _ if e.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => return read_error(e),
        _ => ErrorKind::NotFound,
    };
    let message = match kind {
        ErrorKind::Forbidden => "the server may not read it",
        _ => "there is no such file",
    };
    Error::new(kind, message).with_source(e)
}

fn read_error(e: io::Error) -> Error {
    if out_of_descriptors(&e) { overloaded(e) } else { Error::storage("the storage failed", e) }
}

fn out_of_descriptors(e: &io::Error) -> bool {
    use rustix::io::Errno;
    e.raw_os_error().is_some_and(|n| n == Errno::MFILE.raw_os_error() || n == Errno::NFILE.raw_os_error())
}

fn overloaded(e: io::Error) -> Error {
    Error::new(ErrorKind::Overloaded, "the server is out of file descriptors").with_source(e)
}

mod directory;
#[cfg(test)]
mod tests;
