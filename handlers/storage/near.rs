//! Looking at what is near: which file systems answer at once, and a look that no other thread is needed for.
//!
//! A look at a disk of this machine is mostly a look at memory and takes microseconds; handing it to another
//! thread takes longer. A network mount may take for ever, and is looked at where waiting holds up nobody. What
//! kind of file system a root is on is asked once; a path that leads into another mount is not followed here.

use std::{io, os::fd::AsFd};

use rustix::fs::Stat;

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

/// The device that `folder` is on, if its file system answers at once. What is not known to does not.
#[cfg(target_os = "linux")]
pub(super) fn device(folder: impl AsFd) -> Option<u64> {
    let kind = rustix::fs::fstatfs(&folder).map(|found| i128::from(found.f_type) & 0xFFFF_FFFF).ok()?;
    NEAR.contains(&kind).then(|| rustix::fs::fstat(&folder).map(|stat| stat.st_dev).ok()).flatten()
}

/// What is at `path` beneath `root`, which is on `device`, symbolic links followed; `None` when that must be found out
/// where waiting is allowed: it leads into another mount, or out of the root, or the kernel cannot tell.
#[cfg(target_os = "linux")]
pub(super) fn look(root: impl AsFd, device: u64, path: &str) -> Option<io::Result<Stat>> {
    use rustix::{
        fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, openat2, statat},
        io::Errno,
    };
    // What is in the root itself is on no way that could lead elsewhere, if it is no link: one call tells all.
    if !path.is_empty() && path != ".." && !path.contains('/') {
        match statat(&root, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if stat.st_dev == device && !FileType::from_raw_mode(stat.st_mode).is_symlink() => {
                return Some(Ok(stat));
            }
            Err(Errno::NOENT) => return Some(Err(Errno::NOENT.into())),
            Ok(_) | Err(_) => {}
        }
    }
    let path = if path.is_empty() { "." } else { path };
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    match openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), beneath) {
        Ok(found) => Some(fstat(found).map_err(io::Error::from)),
        // Seccomp filters refuse what they do not know with one of the last two.
        Err(Errno::XDEV | Errno::AGAIN | Errno::NOSYS | Errno::PERM) => None,
        Err(e) => Some(Err(e.into())),
    }
}

/// Elsewhere nothing is known to.
#[cfg(not(target_os = "linux"))]
pub(super) fn device(_: impl AsFd) -> Option<u64> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(super) fn look(_: impl AsFd, _: u64, _: &str) -> Option<io::Result<Stat>> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs, fs::File};

    use super::*;

    #[test]
    fn another_mount_and_what_is_outside_are_left_to_others() {
        let root = File::open("/").unwrap();
        let device = rustix::fs::fstat(&root).unwrap().st_dev;
        for path in ["proc/self/status", "proc"] {
            assert!(look(&root, device, path).is_none(), "{path} is in another mount");
        }
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::write(folder.path().join("in/a.nc"), b"abc").unwrap();
        fs::write(folder.path().join("a.nc"), b"abc").unwrap();
        let link = std::os::unix::fs::symlink::<&str, std::path::PathBuf>;
        link("a.nc", folder.path().join("in/link.nc")).unwrap();
        link("in/a.nc", folder.path().join("link.nc")).unwrap();
        link("../..", folder.path().join("in/out")).unwrap();
        link("..", folder.path().join("out")).unwrap();
        let root = File::open(folder.path()).unwrap();
        let device = rustix::fs::fstat(&root).unwrap().st_dev;
        let look = |path| look(&root, device, path);
        for path in ["in/a.nc", "in/link.nc", "a.nc", "link.nc"] {
            let found = look(path).unwrap().unwrap();
            let meta = fs::metadata(folder.path().join(path)).unwrap();
            assert_eq!(
                (found.st_size, found.st_ino),
                (3, std::os::unix::fs::MetadataExt::ino(&meta)),
                "{path}"
            );
        }
        let is_folder =
            |path| rustix::fs::FileType::from_raw_mode(look(path).unwrap().unwrap().st_mode).is_dir();
        assert!(is_folder("") && is_folder(".") && is_folder("in"));
        for path in ["in/b.nc", "b.nc"] {
            assert_eq!(look(path).unwrap().unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        assert_eq!(look("in/a.nc/b").unwrap().unwrap_err().kind(), io::ErrorKind::NotADirectory);
        for path in ["in/out", "out", "..", "../x"] {
            assert!(look(path).is_none(), "{path}");
        }
    }

    #[test]
    fn proc_is_not_known_to_be_near() {
        assert_eq!(device(File::open("/proc").unwrap()), None);
    }
}
