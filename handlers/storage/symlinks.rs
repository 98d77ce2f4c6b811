//! Symbolic links that lead out of a root: into the folders that the settings name, and nowhere else (promise R14).
//!
//! Beneath a root the system itself follows links, and refuses those that lead out. A path that it refuses is walked
//! here, component by component: where a link leads out of the folder that the walk is in, what it says must lead into
//! a named folder, compared by whole components. Nothing else is looked at on the way, so that a link to a network
//! that is down holds up nobody. What comes out is a folder that is held open and a path in it without links, which is
//! opened as what is beneath a root is: if a link took its place meanwhile, that leads no further.

use std::{
    io,
    path::{Component, Components, Path, PathBuf},
    sync::Arc,
};

use cap_std::{ambient_authority, fs::Dir};
use cdm::{Error, Result};

use super::local::access_error;

/// Symlinks on one way, as many as Linux follows.
const MOST: usize = 40;

/// The folders that symbolic links may lead into, from any root that has these.
#[derive(Debug, Clone, Default)]
pub struct Symlinks(Arc<[Folder]>);

/// One that may be led into.
#[derive(Debug)]
struct Folder {
    dir: Dir,
    /// Its absolute paths: as it was given, and without links.
    known_as: Vec<PathBuf>,
}

/// A place beneath a root, or beneath a folder that a link led into.
#[derive(Debug, Clone)]
pub(super) struct Spot<'a> {
    /// What it is opened beneath.
    pub(super) dir: &'a Dir,
    /// The absolute path of that without links, if it is known.
    absolute: Option<&'a Path>,
    /// From there.
    pub(super) path: PathBuf,
}

impl Symlinks {
    /// Opens `folders`, which have absolute paths, once.
    ///
    /// # Errors
    /// `BadRequest` for a path that is not absolute; `NotFound` and `Forbidden` as for a root.
    pub fn open(folders: &[PathBuf]) -> Result<Self> {
        let open = |path: &PathBuf| {
            if !path.is_absolute() {
                return Err(Error::bad_request("expected an absolute path").within(path.display()));
            }
            let dir = Dir::open_ambient_dir(path, ambient_authority())
                .map_err(|e| access_error(e).within(path.display()))?;
            let known_as = std::path::absolute(path).into_iter().chain(path.canonicalize()).collect();
            Ok(Folder { dir, known_as })
        };
        Ok(Self(folders.iter().map(open).collect::<Result<_>>()?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What tells these folders from others, also from those that have the same paths later; empty for none.
    pub fn identity(&self) -> String {
        use cap_std::fs::MetadataExt as _;
        let one = |folder: &Folder| {
            let inode = folder.dir.dir_metadata().map(|meta| (meta.dev(), meta.ino()));
            format!(" {:?}:{:?}", folder.known_as, inode.ok())
        };
        self.0.iter().map(one).collect()
    }

    /// Where `path`, which has names alone, leads from `start`.
    ///
    /// # Errors
    /// As opening it would fail; of the kind `NotFound` when it leads to where it may not.
    pub(super) fn follow<'a>(&'a self, start: Spot<'a>, path: &Path) -> io::Result<Spot<'a>> {
        let is_plain = |c| matches!(c, Component::Normal(_) | Component::CurDir);
        if path.components().all(is_plain) { self.walk(start, path, &mut 0) } else { Err(outside()) }
    }

    /// Where `path`, which a link says, leads from `spot`; so many links were `followed` before.
    fn walk<'a>(&'a self, mut spot: Spot<'a>, path: &Path, followed: &mut usize) -> io::Result<Spot<'a>> {
        let mut rest = path.components();
        while let Some(component) = rest.next() {
            match component {
                Component::RootDir | Component::Prefix(_) => {
                    spot = self.enter(PathBuf::from("/"), &mut rest)?;
                }
                Component::CurDir => {}
                Component::ParentDir => {
                    if !spot.path.pop() {
                        let above = spot.absolute.and_then(Path::parent).ok_or_else(outside)?;
                        spot = self.enter(above.to_owned(), &mut rest)?;
                    }
                }
                Component::Normal(name) => {
                    spot.path.push(name);
                    let Some(target) = target(&spot)? else { continue };
                    *followed += 1;
                    if *followed > MOST {
                        return Err(outside());
                    }
                    spot.path.pop();
                    spot = self.walk(spot, &target, followed)?;
                }
            }
        }
        Ok(spot)
    }

    /// The named folder that the first of `rest` lead into from `at`, which is an absolute path without links. A link
    /// must lead there by itself: what a client names does not go on from anywhere else.
    fn enter(&self, mut at: PathBuf, rest: &mut Components<'_>) -> io::Result<Spot<'_>> {
        let mut is_named = false;
        loop {
            if let Some(folder) = self.0.iter().find(|folder| folder.known_as.contains(&at)) {
                let absolute = folder.known_as.last().map(PathBuf::as_path);
                return Ok(Spot { dir: &folder.dir, absolute, path: PathBuf::new() });
            }
            match rest.next().ok_or_else(outside)? {
                Component::Normal(name) => {
                    at.push(name);
                    is_named = true;
                }
                // What was named may be a link: what is above where it leads is not known here.
                Component::ParentDir if !is_named && at.pop() => {}
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(outside()),
            }
        }
    }
}

/// What the link at `spot` says; `None` when there is something else.
fn target(spot: &Spot<'_>) -> io::Result<Option<PathBuf>> {
    match spot.dir.read_link_contents(&spot.path) {
        Ok(target) => Ok(Some(target)),
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => Ok(None),
        Err(e) => Err(e),
    }
}

impl<'a> Spot<'a> {
    /// What `dir` is, whose absolute path without links is `absolute`.
    pub(super) fn top(dir: &'a Dir, absolute: Option<&'a Path>) -> Self {
        Self { dir, absolute, path: PathBuf::new() }
    }

    /// The path as the system takes it.
    pub(super) fn inside(&self) -> &Path {
        if self.path.as_os_str().is_empty() { Path::new(".") } else { &self.path }
    }
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "a link leads out of what may be followed")
}

#[cfg(test)]
mod tests;
