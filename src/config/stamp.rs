//! Whether files have changed, without reading them.

use std::{fs::Metadata, os::unix::fs::MetadataExt, path::Path};

/// What a set of files looks like from outside: equal stamps, equal files. A file that is missing, or that a
/// link now leads elsewhere from, changes it too.
///
/// Settings are watched by looking at the files again and again, not by asking the system for news of a
/// folder: that is the same for an editor that renames, a link that is exchanged (as Kubernetes does) and a
/// network file system, which sends no news of other machines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp(Vec<Option<Look>>);

/// Device, inode, length, and the two times that writing changes, with their nanoseconds.
type Look = (u64, u64, u64, (i64, i64), (i64, i64));

impl Stamp {
    /// How `files` look now.
    pub fn of<'a>(files: impl IntoIterator<Item = &'a Path>) -> Self {
        Self(files.into_iter().map(|path| std::fs::metadata(path).ok().as_ref().map(look)).collect())
    }
}

fn look(file: &Metadata) -> Look {
    (
        file.dev(),
        file.ino(),
        file.size(),
        (file.mtime(), file.mtime_nsec()),
        (file.ctime(), file.ctime_nsec()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_shows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        let stamp = || Stamp::of([path.as_path()]);
        let mut seen = vec![stamp()];
        let mut changed = |what: &str| {
            let now = stamp();
            assert!(!seen.contains(&now), "{what}");
            assert_eq!(now, stamp());
            seen.push(now);
        };
        std::fs::write(&path, "a").unwrap();
        changed("made");
        std::fs::write(&path, "ab").unwrap();
        changed("written in place");
        std::fs::write(dir.path().join("new"), "cd").unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        changed("renamed over");
        std::fs::write(dir.path().join("1"), "ef").unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("1", &path).unwrap();
        changed("a link");
        std::fs::write(dir.path().join("2"), "gh").unwrap();
        std::os::unix::fs::symlink("2", dir.path().join("new")).unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        changed("the link exchanged");
    }
}
