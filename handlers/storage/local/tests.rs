//! Confinement to the root, versions and changes, on real files in a temporary folder.

use std::{
    fs,
    io::Write,
    os::unix::fs::symlink,
    time::{Duration, SystemTime},
};

use cdm::ErrorKind;

use super::*;

fn served() -> (tempfile::TempDir, LocalRoot) {
    let around = tempfile::tempdir().unwrap();
    let data = around.path().join("data");
    fs::create_dir_all(data.join("deep")).unwrap();
    fs::write(data.join("a.nc"), (0..=255).collect::<Vec<u8>>()).unwrap();
    fs::write(data.join("deep/b.nc"), b"b").unwrap();
    fs::write(around.path().join("secret"), b"s").unwrap();
    fs::create_dir(around.path().join("data-x")).unwrap();
    fs::write(around.path().join("data-x/c.nc"), b"c").unwrap();
    let root = LocalRoot::open(&data).unwrap();
    (around, root)
}

#[tokio::test]
async fn nothing_outside_the_root_is_opened() {
    let (around, root) = served();
    let data = around.path().join("data");
    symlink("../secret", data.join("out")).unwrap();
    symlink(around.path().join("secret"), data.join("absolute")).unwrap();
    symlink("../data-x", data.join("folder")).unwrap();
    symlink("deep/b.nc", data.join("inside")).unwrap();
    symlink("loop", data.join("loop")).unwrap();
    let secret = around.path().join("secret");
    for path in [
        "../secret",
        "deep/../../secret",
        secret.to_str().unwrap(),
        "out",
        "absolute",
        "folder/c.nc",
        "loop",
        "../data-x/c.nc",
        "nothing",
        "a.nc/x",
        "",
        ".",
        "deep",
        "a\0b",
        "/proc/self/environ",
    ] {
        assert_eq!(root.stat(path).await.unwrap_err().kind(), ErrorKind::NotFound, "{path}");
        assert_eq!(root.open_object(path).await.unwrap_err().kind(), ErrorKind::NotFound, "{path}");
    }
    assert_eq!(root.open_object("inside").await.unwrap().read(0..1).await.unwrap(), "b");
    for path in ["..", "folder", "/", "a.nc"] {
        assert_eq!(root.list(path).await.unwrap_err().kind(), ErrorKind::NotFound, "{path}");
    }
}

#[tokio::test]
async fn pipes_and_devices_are_not_files() {
    let (around, root) = served();
    let pipe = around.path().join("data/pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let opened = tokio::time::timeout(Duration::from_secs(5), root.open_object("pipe")).await;
    assert_eq!(opened.expect("does not wait for a writer").unwrap_err().kind(), ErrorKind::NotFound);
    let names: Vec<String> = root.list("").await.unwrap().into_iter().map(|e| e.name.to_string()).collect();
    assert_eq!(names, ["a.nc", "deep"]);
}

#[tokio::test]
async fn ranges_and_versions() {
    let (around, root) = served();
    let object = root.open_object("a.nc").await.unwrap();
    assert_eq!(object.size, 256);
    assert_eq!(object.version, root.stat("a.nc").await.unwrap().version);
    let found = object.read_ranges(&[200..203, 0..2, 201..202, 5..5]).await.unwrap();
    assert_eq!(found, [&[200, 201, 202][..], &[0, 1], &[201], &[]]);
    assert_eq!(object.read(250..257).await.unwrap_err().kind(), ErrorKind::Corrupt);
    // Replaced by a rename: the open object still is what it was, the name is something else.
    let new = around.path().join("data/new");
    fs::write(&new, b"new").unwrap();
    fs::rename(&new, around.path().join("data/a.nc")).unwrap();
    assert_eq!(object.read(255..256).await.unwrap(), [255].as_slice());
    assert_ne!(object.version, root.stat("a.nc").await.unwrap().version);
}

#[tokio::test]
async fn a_file_rewritten_or_cut_in_place_is_noticed() {
    let (around, root) = served();
    let path = around.path().join("data/a.nc");
    let object = root.open_object("a.nc").await.unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all(&[9; 256]).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
    assert_eq!(object.read(0..4).await.unwrap_err().kind(), ErrorKind::Changed);

    let object = root.open_object("a.nc").await.unwrap();
    file.set_len(100).unwrap();
    assert_eq!(object.read(90..200).await.unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(object.read_blocking(0..4).unwrap_err().kind(), ErrorKind::Changed);
}

#[tokio::test]
async fn listing_tells_sizes_without_opening() {
    let (_around, root) = served();
    let entries = root.list("").await.unwrap();
    assert!(matches!(entries[0].kind, EntryKind::File { size: 256, modified: Some(_) }));
    assert_eq!(entries[1], Entry { name: "deep".into(), kind: EntryKind::Directory });
    assert_eq!(&*root.list("deep").await.unwrap()[0].name, "b.nc");
}

#[tokio::test]
async fn listing_tells_any_time_and_passes_over_names_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let (around, root) = served();
    let data = around.path().join("data");
    fs::write(data.join(OsStr::from_bytes(b"\xff.nc")), b"").unwrap();
    symlink("nowhere", data.join("c.nc")).unwrap();
    symlink("deep/b.nc", data.join("z.nc")).unwrap();
    let early = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
    fs::File::options().write(true).open(data.join("a.nc")).unwrap().set_modified(early).unwrap();
    let entries = root.list("").await.unwrap();
    let names: Vec<&str> = entries.iter().map(|e| &*e.name).collect();
    assert_eq!(names, ["a.nc", "deep", "z.nc"]);
    assert_eq!(entries[0].kind, EntryKind::File { size: 256, modified: Some(early) });
    assert!(matches!(entries[2].kind, EntryKind::File { size: 1, .. }), "as what the link leads to");
    assert_eq!(root.stat("a.nc").await.unwrap().version.modified, None, "no HTTP date can say it");
    // What looks ahead and what opens see the same version.
    let surveyed = root.survey("").await.unwrap();
    for (entry, identity) in surveyed.iter().filter(|(_, identity)| identity.is_some()) {
        assert_eq!(*identity, Some(root.stat(&entry.name).await.unwrap().version.identity));
    }
}

#[test]
fn no_more_descriptors_is_a_passing_state_of_the_server() {
    for code in [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE] {
        let error = || io::Error::from_raw_os_error(code.raw_os_error());
        assert_eq!(access_error(error()).kind(), ErrorKind::Overloaded);
        assert_eq!(read_error(error()).kind(), ErrorKind::Overloaded);
    }
    let denied = io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
    assert_eq!(access_error(denied).kind(), ErrorKind::Forbidden);
    let broken = io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error());
    assert_eq!(access_error(broken).kind(), ErrorKind::Storage);
}

#[test]
fn numbers_of_a_version_are_written_as_ever() {
    // Indexes on disk have them: another spelling would make every one of them anew.
    for number in [0, 1, 15, 16, 0xABCD, (-1_i64).cast_unsigned(), u64::MAX >> 1] {
        let mut text = String::new();
        push_hex(&mut text, number);
        assert_eq!(text, format!("{number:x}"));
    }
}
