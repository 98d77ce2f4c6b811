//! What scans take of a folder, and in which order.

use std::{fs, path::Path};

use super::*;
use crate::{
    chunked::{Engine, EngineOptions},
    storage::LocalRoot,
};

fn empty(location: &str) -> Scan {
    Scan {
        line: 3,
        location: location.to_owned(),
        suffix: None,
        pattern: None,
        glob: None,
        subfolders: true,
        older_than: None,
        date_format_mark: None,
    }
}

async fn scanned(root: &Path, what: &Scan, quiet: Duration) -> Result<Scanned> {
    let store: Arc<dyn Store> = Arc::new(LocalRoot::open(root).unwrap());
    let place = Place { store, path: "docs/sst.ncml".into(), name: "docs/sst.ncml".into() };
    let registry = Registry::new(Arc::new(Engine::new(EngineOptions::default())));
    let (mut seen, mut scanned) = (Seen::default(), Scanned::default());
    let mut looking = Looking { place: &place, registry: &registry, seen: &mut seen, quiet };
    scan(what, &mut looking, &mut scanned).await?;
    Ok(scanned)
}

#[tokio::test]
async fn filters() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for path in [
        "docs/sst.ncml",
        "docs/other.ncml",
        "docs/a.nc",
        "docs/.hidden.nc",
        "docs/2025/b.nc",
        "docs/2025/c.nc4",
        "docs/2025/deep/d.nc",
        "docs/z.zarr/.zgroup",
        "docs/z.zarr/x.nc",
        "e.nc",
    ] {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), b"x").unwrap();
    }
    let check = async |what: Scan, expect: &[&str]| {
        let found = scanned(root, &what, Duration::ZERO).await.unwrap().found;
        let names: Vec<String> = found.iter().map(|f| f.name.to_string()).collect();
        assert_eq!(names, expect, "{what:?}");
        assert!(found.iter().all(|f| f.version.is_some()));
    };
    check(empty("."), &["2025/b.nc", "2025/c.nc4", "2025/deep/d.nc", "a.nc", "z.zarr"]).await;
    check(Scan { subfolders: false, ..empty("./") }, &["a.nc", "z.zarr"]).await;
    check(Scan { suffix: Some(".nc".to_owned()), ..empty("2025/") }, &["2025/b.nc", "2025/deep/d.nc"]).await;
    check(Scan { suffix: Some("zarr".to_owned()), ..empty("") }, &["z.zarr"]).await;
    check(Scan { suffix: Some(".ncml".to_owned()), ..empty("") }, &["other.ncml"]).await;
    let pattern = |p: &str| Scan { pattern: Some(p.to_owned()), ..empty(".") };
    check(pattern("[a-z].nc"), &["a.nc"]).await;
    check(pattern(".*/[a-z]\\.nc"), &["2025/b.nc", "2025/deep/d.nc", "a.nc"]).await;
    check(pattern(".*2025/..nc4?"), &["2025/b.nc", "2025/c.nc4"]).await;
    let glob = |g: &str| Scan { glob: Some(g.to_owned()), ..empty(".") };
    check(glob("*.nc"), &["a.nc"]).await;
    check(glob("*/*.nc"), &["2025/b.nc"]).await;
    check(glob("**/*.nc"), &["2025/b.nc", "2025/deep/d.nc", "a.nc"]).await;
    check(glob("20??/{b,c}.nc*"), &["2025/b.nc", "2025/c.nc4"]).await;
    let absolute = root.join("docs/2025").display().to_string();
    check(Scan { subfolders: false, ..empty(&absolute) }, &["2025/b.nc", "2025/c.nc4"]).await;
    for (location, kind) in [
        ("nowhere", ErrorKind::NotFound),
        ("../..", ErrorKind::Forbidden),
        ("/etc", ErrorKind::Forbidden),
        (".hidden", ErrorKind::Forbidden),
        ("s3://bucket/x", ErrorKind::Forbidden),
    ] {
        let error = scanned(root, &empty(location), Duration::ZERO).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{location}: {error}");
    }
    let error = scanned(root, &pattern("("), Duration::ZERO).await.unwrap_err();
    assert!(error.message().starts_with("line 3: regExp: "), "{error}");
}

#[tokio::test]
async fn files_that_are_new_wait() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("docs")).unwrap();
    let write = |name: &str, age: i64| {
        let path = root.join("docs").join(name);
        fs::write(&path, b"x").unwrap();
        let now = SystemTime::now();
        let seconds = Duration::from_secs(age.unsigned_abs());
        let time = if age < 0 { now + seconds } else { now - seconds };
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    write("old_20250101.nc", 7200);
    write("new_20250102.nc", 0);
    write("ahead_20250103.nc", -3600);
    write("undated.nc", 7200);
    let marked = Scan { date_format_mark: Some("#_#yyyyMMdd".to_owned()), ..empty(".") };
    let found = scanned(root, &marked, Duration::from_secs(60)).await.unwrap();
    let names: Vec<_> = found.found.iter().map(|f| (&*f.name, f.coord_value.as_deref().unwrap())).collect();
    assert_eq!(names, [("old_20250101.nc", "2025-01-01T00:00:00Z")]);
    let notes: Vec<_> = found.notes.iter().map(|n| (n.member.as_deref().unwrap(), n.kind)).collect();
    assert_eq!(
        notes,
        [
            ("ahead_20250103.nc", NoteKind::Unstable),
            ("new_20250102.nc", NoteKind::Unstable),
            ("undated.nc", NoteKind::LeftOut)
        ]
    );
    assert!(found.again.unwrap() <= Duration::from_secs(60));
    let older = Scan { older_than: Some(Duration::from_secs(9000)), ..empty(".") };
    let found = scanned(root, &older, Duration::ZERO).await.unwrap();
    assert!(found.found.is_empty() && found.notes.is_empty());
    let again = found.again.unwrap();
    assert!(again > Duration::from_secs(1700) && again < Duration::from_secs(1900), "{again:?}");
}

#[tokio::test]
async fn a_file_that_moves_between_looks_waits() {
    let store: Arc<dyn Store> = Arc::new(LocalRoot::open(Path::new("/")).unwrap());
    let quiet = Duration::from_millis(100);
    let long_ago = Some(SystemTime::UNIX_EPOCH);
    let mut seen = Seen::default();
    let mut look = |size, inode| {
        seen.begin();
        let version = Some(format!("1-{inode}-{size}").into());
        let unrest = seen.unrest(&store, "a", Looks { size, modified: long_ago, version }, quiet);
        seen.end();
        unrest
    };
    assert_eq!(look(1, 1), None, "it was written long ago");
    assert_eq!(look(2, 1), Some(quiet), "whatever its time says, it grew just now");
    std::thread::sleep(quiet);
    assert_eq!(look(2, 1), None);
    assert_eq!(look(4, 2), None, "another took its place");
    std::thread::sleep(quiet);
    assert_eq!(look(3, 2), None, "replaced some time between two looks");
}
