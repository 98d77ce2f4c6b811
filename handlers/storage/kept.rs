//! Files of the program's own: what it keeps from one run to the next. None of it is served, and all of it can
//! be made anew.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// A folder for such files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFiles {
    folder: PathBuf,
}

/// Files that could not be written since the process began.
static FAILED: AtomicU64 = AtomicU64::new(0);

/// Larger files are not ours.
const LARGEST: u64 = 4 << 30;

impl KeptFiles {
    /// In `folder`, which is made when the first file is written.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Files that could not be written since the process began, in any folder: what is kept is lost with the process
    /// then, and nothing else.
    pub fn failures() -> u64 {
        FAILED.load(Ordering::Relaxed)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file called `name`, whole; blocks.
    ///
    /// # Errors
    /// As the system says.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.folder.join(name);
        if fs::metadata(&path)?.len() > LARGEST {
            return Err(io::Error::other("the file is too large to be one of ours"));
        }
        fs::read(path)
    }

    /// Puts `bytes` in the place of the file called `name`, in one step: a reader sees the old or the new,
    /// never a part. Blocks.
    ///
    /// # Errors
    /// As the system says; the old file stays.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        fs::create_dir_all(&self.folder).inspect_err(|_| failed())?;
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("{name}.{}-{number}.new", std::process::id()));
        let written =
            fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, self.folder.join(name)));
        if written.is_err() {
            failed();
            // Whatever was written of it only takes room; that it cannot be removed changes nothing.
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

fn failed() {
    FAILED.fetch_add(1, Ordering::Relaxed);
}
