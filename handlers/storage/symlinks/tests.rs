//! Where links may lead, on real folders.

use std::{fs, os::unix::fs::symlink};

use cdm::ErrorKind;

use crate::storage::{EntryKind, LocalRoot, Store};

use super::*;

/// A root `data`, a folder `x` that links may lead into, and others that they may not.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        for folder in ["data/sub", "x/sub/deep", "x-other", "third", "vol/y"] {
            fs::create_dir_all(site.path(folder)).unwrap();
        }
        for file in ["data/a.nc", "x/b.nc", "x/sub/deep/c.nc", "x-other/no.nc", "third/no.nc", "vol/y/d.nc"] {
            fs::write(site.path(file), file).unwrap();
        }
        // A folder that is known by another name.
        symlink("vol/y", site.path("y")).unwrap();
        site
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn link(&self, target: impl AsRef<Path>, link: &str) {
        symlink(target, self.path(link)).unwrap();
    }

    fn root(&self, into: &[&str]) -> LocalRoot {
        let folders: Vec<PathBuf> = into.iter().map(|folder| self.path(folder)).collect();
        LocalRoot::open(&self.path("data")).unwrap().following(Symlinks::open(&folders).unwrap())
    }
}

/// What is read at `path`, asked in every way there is; they must agree.
async fn read(root: &LocalRoot, path: &str) -> Option<String> {
    let found = match root.open_object(path).await {
        Ok(object) => Some(object.read(0..object.size).await.unwrap()),
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::NotFound, "{path}: {e}");
            None
        }
    };
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let status = LocalRoot::stat(root, path).await.ok();
    assert_eq!(status.map(|s| s.size), found.as_ref().map(|bytes| bytes.len() as u64), "{path}");
    let listed =
        LocalRoot::list(root, folder).await.unwrap_or_default().into_iter().find(|e| *e.name == *name);
    assert_eq!(listed.is_some_and(|e| matches!(e.kind, EntryKind::File { .. })), found.is_some(), "{path}");
    let passed = root.passed_over(folder).await.unwrap_or_default();
    assert!(found.is_none() || passed.iter().all(|(passed, _)| passed != name), "{path} is passed over");
    found.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn links_lead_into_named_folders() {
    let site = Site::new();
    site.link(site.path("x/b.nc"), "data/absolute.nc");
    site.link("../../x/sub/../b.nc", "data/sub/relative.nc");
    site.link(site.path("x"), "data/folder");
    site.link("folder/sub/deep/c.nc", "data/by way of another.nc");
    // Within the folder, and from it into another one, by either of its names.
    site.link("sub/deep/c.nc", "x/within.nc");
    site.link("../y/d.nc", "x/to y.nc");
    site.link(site.path("vol/y/d.nc"), "x/to vol.nc");
    let root = site.root(&["x", "y"]);
    for (path, file) in [
        ("a.nc", "data/a.nc"),
        ("absolute.nc", "x/b.nc"),
        ("sub/relative.nc", "x/b.nc"),
        ("folder/b.nc", "x/b.nc"),
        ("folder/sub/deep/c.nc", "x/sub/deep/c.nc"),
        ("by way of another.nc", "x/sub/deep/c.nc"),
        ("folder/within.nc", "x/sub/deep/c.nc"),
        ("folder/to y.nc", "vol/y/d.nc"),
        ("folder/to vol.nc", "vol/y/d.nc"),
    ] {
        assert_eq!(read(&root, path).await.as_deref(), Some(file), "{path}");
        // Of the root alone, only its own.
        assert_eq!(read(&site.root(&[]), path).await.is_some(), path == "a.nc", "{path}");
    }
    assert!(root.list("folder").await.unwrap().iter().any(|e| e.kind == EntryKind::Directory));
}

#[tokio::test]
async fn nothing_else_is_reached() {
    let site = Site::new();
    site.link(site.path("x"), "data/folder");
    site.link(site.path("x-other/no.nc"), "data/beside.nc");
    site.link("../x-other/no.nc", "data/beside relative.nc");
    site.link(site.path("x-other"), "data/beside");
    site.link(site.path("x").join("../x-other/no.nc"), "data/by way of x.nc");
    site.link("/proc/self/environ", "data/proc.nc");
    site.link("..", "data/above");
    site.link("../..", "data/sub/above");
    site.link("/", "data/everything");
    // Out of the folder again, to a third place or back to the root, which is not named.
    site.link(site.path("third/no.nc"), "x/third.nc");
    site.link("../third/no.nc", "x/third relative.nc");
    site.link("../third", "x/third");
    site.link(site.path("data/a.nc"), "x/back.nc");
    // What is named on the way may be a link: above it is somewhere else.
    site.link(site.path("y/../x/b.nc"), "data/above a link.nc");
    site.link("loop.nc", "x/loop.nc");
    site.link(site.path("x/loop.nc"), "data/loop.nc");
    site.link(site.path("data/ping.nc"), "x/pong.nc");
    site.link(site.path("x/nowhere.nc"), "data/nowhere.nc");
    rustix::fs::mkfifoat(rustix::fs::CWD, site.path("x/pipe.nc"), rustix::fs::Mode::RWXU).unwrap();
    site.link(site.path("x/pipe.nc"), "data/pipe.nc");
    let root = site.root(&["x"]);
    for path in [
        "beside.nc",
        "beside relative.nc",
        "beside/no.nc",
        "by way of x.nc",
        "proc.nc",
        "above/x/b.nc",
        "above/third/no.nc",
        "everything/etc/hostname",
        "sub/above/x/b.nc",
        "folder/third.nc",
        "folder/third relative.nc",
        "folder/third/no.nc",
        "folder/back.nc",
        "above a link.nc",
        "loop.nc",
        "folder/loop.nc",
        "folder/pong.nc",
        "nowhere.nc",
        "pipe.nc",
        "folder/pipe.nc",
        "folder/../../third/no.nc",
        "folder/../x/b.nc",
        "../x/b.nc",
        "folder/sub",
        "folder/b.nc/x",
    ] {
        assert_eq!(read(&root, path).await, None, "{path}");
    }
    let absolute = site.path("x/b.nc");
    assert_eq!(root.open_object(absolute.to_str().unwrap()).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(read(&root, "folder/b.nc").await.as_deref(), Some("x/b.nc"), "the rest is there");
    for folder in ["", "sub"] {
        let listed = LocalRoot::list(&root, folder).await.unwrap();
        assert!(listed.iter().all(|e| &*e.name != "above" && &*e.name != "everything"), "{listed:?}");
    }
    // With the root named too, links lead back into it; named as a whole, everything is reached.
    assert_eq!(read(&site.root(&["x", "data"]), "folder/back.nc").await.as_deref(), Some("data/a.nc"));
    let whole =
        LocalRoot::open(&site.path("data")).unwrap().following(Symlinks::open(&["/".into()]).unwrap());
    assert_eq!(read(&whole, "beside.nc").await.as_deref(), Some("x-other/no.nc"));
}

#[tokio::test]
async fn links_on_one_way_are_counted() {
    let site = Site::new();
    for n in 1..=60 {
        let to = if n == 1 { "b.nc".to_owned() } else { format!("link{}.nc", n - 1) };
        site.link(to, &format!("x/link{n}.nc"));
    }
    site.link(site.path("x/link30.nc"), "data/few.nc");
    site.link(site.path("x/link60.nc"), "data/many.nc");
    // Each round through it is one link more.
    site.link(".", "x/again");
    site.link(site.path("x"), "data/folder");
    let root = site.root(&["x"]);
    assert_eq!(read(&root, "few.nc").await.as_deref(), Some("x/b.nc"));
    assert_eq!(read(&root, "many.nc").await, None);
    assert!(read(&root, &format!("folder/{}b.nc", "again/".repeat(20))).await.is_some());
    assert_eq!(read(&root, &format!("folder/{}b.nc", "again/".repeat(60))).await, None);
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_is_another_version() {
    let site = Site::new();
    site.link(site.path("x/b.nc"), "data/newest.nc");
    let root = site.root(&["x"]);
    let version = async || LocalRoot::stat(&root, "newest.nc").await.unwrap().version.identity;
    let first = version().await;
    fs::write(site.path("x/b.nc"), "other bytes").unwrap();
    let second = version().await;
    fs::remove_file(site.path("data/newest.nc")).unwrap();
    site.link(site.path("x/sub/deep/c.nc"), "data/newest.nc");
    let third = version().await;
    assert!(first != second && second != third && first != third, "{first} {second} {third}");
    let open = root.open_object("newest.nc").await.unwrap();
    assert_eq!(*open.name, *"newest.nc");
}

#[tokio::test]
async fn folders_with_links_are_known() {
    let site = Site::new();
    site.link(site.path("x"), "data/folder");
    site.link("sub", "data/inside");
    let root = site.root(&["x"]);
    for (folder, expect) in
        [("", true), ("sub", false), ("folder", true), ("folder/sub", true), ("inside", true)]
    {
        assert_eq!(root.has_links(folder).await.unwrap(), expect, "{folder}");
    }
}

#[test]
fn folders_must_be_there_and_absolute() {
    let site = Site::new();
    let open = |path: PathBuf| Symlinks::open(&[path]).map(|_| ()).map_err(|e| e.kind());
    assert_eq!(open(site.path("x")), Ok(()));
    assert_eq!(open(site.path("none")), Err(ErrorKind::NotFound));
    assert_eq!(open("x".into()), Err(ErrorKind::BadRequest));
    let identity = |folders: &[&str]| {
        let folders: Vec<PathBuf> = folders.iter().map(|folder| site.path(folder)).collect();
        Symlinks::open(&folders).unwrap().identity()
    };
    assert_eq!(identity(&[]), "");
    assert_eq!(identity(&["x", "y"]), identity(&["x", "y"]));
    assert_ne!(identity(&["x"]), identity(&["x", "y"]));
}
