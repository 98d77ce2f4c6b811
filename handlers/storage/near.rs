//! Looking at what is near: which file systems answer at once, and a look that no other thread is needed for.
//!
//! A look at a disk of this machine is mostly a look at memory and takes microseconds; handing it to another
//! thread takes longer. A network mount may take for ever, and is looked at where waiting holds up nobody. What
//! kind of file system a root is on is asked once; a path that leads into another mount is not followed here.

use std::{fs::Metadata, io, os::fd::AsFd};

/// File systems whose metadata are on this machine, by their magic numbers (`linux/magic.h`).
#[cfg(target_os = "linux")]
const NEAR: [i128; 12] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683E, // btrfs
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0x794C_7630, // overlay
    0x2FC1_2FC1, // ZFS
    0xF2F5_2010, // F2FS
    0xCA45_1A4E, // bcachefs
    0x7371_7368, // SquashFS
    0xE0F5_E1E2, // EROFS
    0x9660,      // ISO 9660
];

/// Whether the file system that `folder` is on answers at once. What is not known to does not.
#[cfg(target_os = "linux")]
pub(super) fn is_near(folder: impl AsFd) -> bool {
    let kind = rustix::fs::fstatfs(folder).map(|found| i128::from(found.f_type) & 0xFFFF_FFFF);
    kind.is_ok_and(|kind| NEAR.contains(&kind))
}

/// What is at `path` beneath `root`, symbolic links followed; `None` when that must be found out where waiting
/// is allowed: it leads into another mount, or out of the root, or the kernel cannot tell.
#[cfg(target_os = "linux")]
pub(super) fn look(root: impl AsFd, path: &str) -> Option<io::Result<Metadata>> {
    use rustix::{
        fs::{Mode, OFlags, ResolveFlags, openat2},
        io::Errno,
    };
    let path = if path.is_empty() { "." } else { path };
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    match openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), beneath) {
        Ok(found) => Some(std::fs::File::from(found).metadata()),
        // Seccomp filters refuse what they do not know with one of the last two.
        Err(Errno::XDEV | Errno::AGAIN | Errno::NOSYS | Errno::PERM) => None,
        Err(e) => Some(Err(e.into())),
    }
}

/// Elsewhere nothing is known to.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_near(_: impl AsFd) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
pub(super) fn look(_: impl AsFd, _: &str) -> Option<io::Result<Metadata>> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs, fs::File};

    use super::*;

    #[test]
    fn another_mount_and_what_is_outside_are_left_to_others() {
        let root = File::open("/").unwrap();
        assert!(look(&root, "proc/self/status").is_none(), "proc is another mount");
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::write(folder.path().join("in/a.nc"), b"abc").unwrap();
        std::os::unix::fs::symlink("a.nc", folder.path().join("in/link.nc")).unwrap();
        std::os::unix::fs::symlink("../..", folder.path().join("in/out")).unwrap();
        let root = File::open(folder.path()).unwrap();
        for path in ["in/a.nc", "in/link.nc"] {
            assert_eq!(look(&root, path).unwrap().unwrap().len(), 3, "{path}");
        }
        assert!(look(&root, "").unwrap().unwrap().is_dir() && look(&root, "in").unwrap().unwrap().is_dir());
        assert_eq!(look(&root, "in/b.nc").unwrap().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(look(&root, "in/a.nc/b").unwrap().unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert!(look(&root, "in/out").is_none() && look(&root, "../x").is_none());
    }

    #[test]
    fn proc_is_not_known_to_be_near() {
        assert!(!is_near(File::open("/proc").unwrap()));
    }
}
