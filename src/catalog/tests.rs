//! Roots and names over real folders: what is reached, and what is not.

use std::{fs, os::unix::fs::symlink, sync::Arc};

use cdm::ErrorKind;
use handlers::{
    Registry,
    chunked::{Engine, EngineOptions},
};

use super::*;

fn registry() -> Registry {
    Registry::new(Arc::new(Engine::new(EngineOptions::default())))
}

fn catalog(paths: &[PathBuf]) -> Catalog {
    Catalog::new(paths, 16, registry()).unwrap()
}

fn name(name: &str) -> DatasetName {
    DatasetName::new(name).unwrap()
}

async fn kind_of_stat(catalog: &Catalog, dataset: &str) -> ErrorKind {
    catalog.stat(&name(dataset)).await.unwrap_err().kind()
}

#[tokio::test]
async fn one_folder_is_the_top() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("a.nc"), b"x").unwrap();
    fs::write(dir.path().join("sub/b.nc"), b"yy").unwrap();
    let catalog = catalog(&[dir.path().to_path_buf()]);
    let top = catalog.list(&DatasetName::top()).await.unwrap();
    assert_eq!(top.folders, ["sub".into()]);
    assert_eq!((&*top.datasets[0].name, top.datasets[0].size), ("a.nc", Some(1)));
    assert_eq!(&*catalog.list(&name("sub")).await.unwrap().datasets[0].name, "b.nc");
    assert_eq!(catalog.object(&name("sub/b.nc")).await.unwrap().size, 2);
    assert_eq!(catalog.list(&name("nowhere")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(catalog.is_ready().await);
}

#[tokio::test]
async fn several_paths_have_unique_names() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["x/data", "y/data"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("x/data/a.nc"), b"1").unwrap();
    fs::write(dir.path().join("y/data/a.nc"), b"22").unwrap();
    fs::write(dir.path().join("single.dat"), b"333").unwrap();
    fs::write(dir.path().join("secret.nc"), b"4444").unwrap();
    let paths = ["x/data", "y/data", "single.dat"].map(|p| dir.path().join(p));
    let catalog = catalog(&paths);
    let top = catalog.list(&DatasetName::top()).await.unwrap();
    assert_eq!(top.folders, ["data".into(), "data-2".into()]);
    assert_eq!(&*top.datasets[0].name, "single.dat");
    assert_eq!(catalog.object(&name("data/a.nc")).await.unwrap().size, 1);
    assert_eq!(catalog.object(&name("data-2/a.nc")).await.unwrap().size, 2);
    assert_eq!(catalog.object(&name("single.dat")).await.unwrap().size, 3);
    // The neighbours of a served file, and names that merely begin like a root's, are not served.
    for other in ["secret.nc", "data-2x/a.nc", "data-", "single.dat/x.nc", "data", "x/data/a.nc"] {
        assert_eq!(kind_of_stat(&catalog, other).await, ErrorKind::NotFound, "{other}");
    }
}

#[tokio::test]
async fn nothing_outside_of_a_root_is_reached() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::create_dir(dir.path().join("data-x")).unwrap();
    fs::write(dir.path().join("data-x/a.nc"), b"secret").unwrap();
    fs::write(dir.path().join("outside.nc"), b"secret").unwrap();
    fs::write(root.join("inside.nc"), b"public").unwrap();
    fs::write(root.join(".hidden.nc"), b"secret").unwrap();
    fs::write(root.join("notes.txt"), b"secret").unwrap();
    symlink(dir.path().join("outside.nc"), root.join("link.nc")).unwrap();
    symlink("../outside.nc", root.join("up.nc")).unwrap();
    symlink(dir.path().join("data-x"), root.join("folder")).unwrap();
    symlink("../inside.nc", root.join("sub/fine.nc")).unwrap();
    let status = std::process::Command::new("mkfifo").arg(root.join("pipe.nc")).status().unwrap();
    assert!(status.success());
    let catalog = catalog(&[root]);
    assert!(catalog.stat(&name("inside.nc")).await.is_ok());
    assert!(catalog.stat(&name("sub/fine.nc")).await.is_ok(), "a link inside the root is followed");
    for outside in ["link.nc", "up.nc", "folder/a.nc", "pipe.nc", "sub", "notes.txt"] {
        assert_eq!(kind_of_stat(&catalog, outside).await, ErrorKind::NotFound, "{outside}");
        assert!(catalog.object(&name(outside)).await.is_err(), "{outside}");
    }
    assert!(catalog.list(&name("folder")).await.is_err());
    let shown = catalog.list(&DatasetName::top()).await.unwrap();
    assert_eq!(shown.datasets.iter().map(|e| &*e.name).collect::<Vec<_>>(), ["inside.nc"]);
    assert_eq!(shown.folders, ["sub".into()]);
}

#[tokio::test]
async fn a_replaced_file_has_another_version() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.nc"), b"old").unwrap();
    let catalog = catalog(&[dir.path().to_path_buf()]);
    let old = catalog.stat(&name("a.nc")).await.unwrap();
    assert_eq!(catalog.stat(&name("a.nc")).await.unwrap(), old);
    fs::write(dir.path().join("new.nc"), b"new").unwrap();
    fs::rename(dir.path().join("new.nc"), dir.path().join("a.nc")).unwrap();
    assert_ne!(catalog.stat(&name("a.nc")).await.unwrap().version.identity, old.version.identity);
}

#[tokio::test]
async fn garbage_is_a_clear_error_and_a_missing_root_too() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.nc"), b"garbage").unwrap();
    let catalog = catalog(&[dir.path().to_path_buf()]);
    assert_eq!(catalog.open(&name("a.nc")).await.unwrap_err().kind(), ErrorKind::Unsupported);
    let missing = Catalog::new(&[dir.path().join("nowhere")], 16, registry());
    assert!(missing.unwrap_err().message().contains("nowhere"));
}

/// Folders that hold `mark.txt` are datasets without a version of their own.
#[derive(Debug)]
struct Marked;

#[async_trait::async_trait]
impl handlers::Format for Marked {
    fn name(&self) -> &'static str {
        "marked"
    }
    fn recognizes(&self, _: &Object, _: &[u8]) -> bool {
        false
    }
    async fn open(&self, _: Object, _: &Place, _: &Registry) -> Result<Arc<dyn Source>> {
        Err(Error::unsupported("only folders"))
    }
    fn folder_marks(&self) -> &'static [&'static str] {
        &["mark.txt"]
    }
    async fn open_folder(&self, place: &Place, _: &Registry) -> Result<Arc<dyn Source>> {
        let root = cdm::Group::new(cdm::FullName::root());
        Ok(Arc::new(cdm::testing::MemorySource::new(&place.name, root, [])))
    }
}

#[tokio::test]
async fn a_folder_may_be_a_dataset() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["plain", "marked/inner", "named.zarr", "marked/.hidden"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("marked/mark.txt"), b"1").unwrap();
    fs::write(dir.path().join("a.nc"), b"x").unwrap();
    let engine = Arc::new(Engine::new(EngineOptions::default()));
    let registry = Registry::with_formats(engine, vec![Arc::new(Marked)]);
    let paths = [dir.path().to_path_buf()];
    let catalog = Catalog::new(&paths, 16, registry.clone()).unwrap();
    let top = catalog.list(&DatasetName::top()).await.unwrap();
    assert_eq!(top.folders, ["plain".into()]);
    let shown: Vec<_> = top.datasets.iter().map(|e| (&*e.name, e.size)).collect();
    assert_eq!(shown, [("a.nc", Some(1)), ("marked", None), ("named.zarr", None)]);
    // A dataset is not a folder to browse, nor a file to fetch; what is not marked is neither.
    assert_eq!(catalog.list(&name("marked")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(catalog.object(&name("marked")).await.unwrap_err().kind(), ErrorKind::NotFound);
    for missing in ["plain", "named.zarr", "marked/inner", "marked/mark.txt", ""] {
        assert_eq!(kind_of_stat(&catalog, missing).await, ErrorKind::NotFound, "{missing}");
    }
    let open = catalog.open(&name("marked")).await.unwrap();
    assert_eq!(open.dataset().name(), "marked");
    assert!(Arc::ptr_eq(&open, &catalog.open(&name("marked")).await.unwrap()), "it is kept open");
    catalog.forget(&name("marked")).await;
    assert!(!Arc::ptr_eq(&open, &catalog.open(&name("marked")).await.unwrap()));

    // Served alone, it is all there is.
    let alone = Catalog::new(&[dir.path().join("marked")], 16, registry).unwrap();
    assert!(alone.single().is_some() && catalog.single().is_none());
    assert_eq!(&*alone.list(&DatasetName::top()).await.unwrap().datasets[0].name, "marked");
    assert!(alone.open(&name("marked")).await.is_ok());
    assert_eq!(kind_of_stat(&alone, "a.nc").await, ErrorKind::NotFound);
}

#[tokio::test]
async fn places_are_mounted_under_paths_of_several_components() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["top/model/other", "top/model/gfs", "gfs/run", "one"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    for (file, size) in
        [("top/a.nc", 1), ("top/model/b.nc", 2), ("top/model/gfs/hidden.nc", 3), ("gfs/run/c.nc", 4)]
    {
        fs::write(dir.path().join(file), vec![b'x'; size]).unwrap();
    }
    fs::write(dir.path().join("one/d.dat"), b"55555").unwrap();
    let at = |folder: &str, mount: &str| {
        Served::path(&dir.path().join(folder), &registry(), &Symlinks::default()).unwrap().at(name(mount))
    };
    let shown = |listing: &Listing| {
        let datasets: Vec<_> = listing.datasets.iter().map(|e| format!("{}", e.name)).collect();
        (listing.folders.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), datasets.join(" "))
    };
    let check = async |catalog: &Catalog, folder: &str, expect: (&str, &str)| {
        let listing = catalog.list(&name(folder)).await.unwrap();
        assert_eq!(shown(&listing), (expect.0.to_owned(), expect.1.to_owned()), "{folder}");
    };

    // Without a place at the top, the folders in between exist.
    let served = vec![at("gfs", "model/gfs"), at("one/d.dat", "obs/today.nc")];
    let catalog = Catalog::of(served, 16, registry());
    check(&catalog, "", ("model obs", "")).await;
    check(&catalog, "model", ("gfs", "")).await;
    check(&catalog, "obs", ("", "today.nc")).await;
    check(&catalog, "model/gfs", ("run", "")).await;
    assert_eq!(catalog.object(&name("model/gfs/run/c.nc")).await.unwrap().size, 4);
    assert_eq!(catalog.object(&name("obs/today.nc")).await.unwrap().size, 5);
    for other in ["obs", "obs/d.dat", "d.dat", "model", "model/gfs", "gfs/run/c.nc", "obs/today.nc/x.nc"] {
        assert_eq!(kind_of_stat(&catalog, other).await, ErrorKind::NotFound, "{other}");
    }
    for missing in ["mod", "model/gfs/nowhere", "obs/today.nc", "x"] {
        let error = catalog.list(&name(missing)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{missing}");
    }
    assert_eq!(catalog.describe().len(), 2);
    assert!(catalog.describe()[0].ends_with("gfs as model/gfs/"), "{:?}", catalog.describe());
    assert!(catalog.describe()[1].ends_with("d.dat as obs/today.nc"), "{:?}", catalog.describe());

    // Over a place at the top, the longest mount wins and hides what it covers.
    let top = Served::path(&dir.path().join("top"), &registry(), &Symlinks::default()).unwrap();
    let served = vec![top, at("gfs", "model/gfs"), at("one/d.dat", "model/b.nc"), at("one", "deep/er/one")];
    let catalog = Catalog::of(served, 16, registry());
    check(&catalog, "", ("deep model", "a.nc")).await;
    check(&catalog, "model", ("gfs other", "b.nc")).await;
    check(&catalog, "model/gfs", ("run", "")).await;
    check(&catalog, "deep", ("er", "")).await;
    assert_eq!(catalog.object(&name("model/b.nc")).await.unwrap().size, 5);
    assert_eq!(kind_of_stat(&catalog, "model/gfs/hidden.nc").await, ErrorKind::NotFound);

    // Names that are taken are not given away.
    fs::create_dir_all(dir.path().join("x/top")).unwrap();
    let unplaced =
        |folder: &str| Served::path(&dir.path().join(folder), &registry(), &Symlinks::default()).unwrap();
    let served = vec![unplaced("top"), unplaced("x/top"), at("one", "top")];
    check(&Catalog::of(served, 16, registry()), "", ("top top-2 top-3", "")).await;
}

#[tokio::test]
async fn what_is_open_stays_open_in_the_next_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("handlers/references/fixtures/day1.nc");
    for folder in ["one", "two"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
        fs::copy(&data, dir.path().join(folder).join("a.nc")).unwrap();
    }
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let registry = registry();
    let first = Catalog::new(std::slice::from_ref(&one), 16, registry.clone()).unwrap();
    let opened = first.open(&name("a.nc")).await.unwrap();
    // Under another name it is another dataset; back under its name it is still open.
    let both = Catalog::new(&[one.clone(), two.clone()], 16, registry.clone()).unwrap().keeping(&first);
    assert!(!Arc::ptr_eq(&both.open(&name("one/a.nc")).await.unwrap(), &opened));
    let again = Catalog::new(std::slice::from_ref(&one), 16, registry.clone()).unwrap().keeping(&both);
    assert!(Arc::ptr_eq(&again.open(&name("a.nc")).await.unwrap(), &opened));
    // The same name, and a link to the very same file, in another folder.
    fs::remove_file(two.join("a.nc")).unwrap();
    fs::hard_link(one.join("a.nc"), two.join("a.nc")).unwrap();
    let other = Catalog::new(&[two], 16, registry).unwrap().keeping(&again);
    assert!(!Arc::ptr_eq(&other.open(&name("a.nc")).await.unwrap(), &opened));
    // What was opened with other settings of the engine is not taken over.
    let cold = Catalog::new(&[one], 16, self::registry()).unwrap().keeping(&again);
    assert!(!Arc::ptr_eq(&cold.open(&name("a.nc")).await.unwrap(), &opened));
}
