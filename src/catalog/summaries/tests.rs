//! Summaries over a folder whose files are opened by a format that counts.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use cdm::{
    Attribute, DataType, Dimension, Error, FullName, Group, Result, Variable, fixed_block,
    testing::MemorySource,
};
use handlers::{
    Registry,
    chunked::{Engine, EngineOptions},
    storage::{Object, Place},
};

use super::*;
use crate::catalog::Catalog;

/// The size of a file is its one latitude; where there is no such place it is broken.
#[derive(Debug, Default)]
struct Counting {
    opens: AtomicUsize,
}

#[async_trait::async_trait]
impl handlers::Format for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn recognizes(&self, _: &Object, _: &[u8]) -> bool {
        true
    }

    async fn open(&self, object: Object, place: &Place, _: &Registry) -> Result<Arc<dyn Source>> {
        self.opens.fetch_add(1, Ordering::Relaxed);
        if object.size > 89 {
            return Err(Error::corrupt("broken"));
        }
        let lat = Dimension::shared(FullName::new("/lat"), 1);
        let mut lat = Variable::new("lat", DataType::Float64, vec![lat]);
        lat.attributes.set(Attribute::text("units", "degrees_north"));
        let values = fixed_block!([object.size as f64]);
        let root = Group::new(FullName::root());
        Ok(Arc::new(MemorySource::flat(&place.name, root, vec![(lat, values)])))
    }
}

struct Served {
    format: Arc<Counting>,
    catalog: Catalog,
}

impl Served {
    fn new(folder: &Path, files: Option<&KeptFiles>) -> Self {
        let format = Arc::new(Counting::default());
        let engine = Arc::new(Engine::new(EngineOptions::default()));
        let registry = Registry::with_formats(engine, vec![Arc::clone(&format) as Arc<dyn handlers::Format>]);
        let catalog = Catalog::new(&[folder.to_path_buf()], 16, registry).unwrap();
        let catalog = match files {
            Some(files) => catalog.with_kept_summaries(files.clone()),
            None => catalog,
        };
        Self { format, catalog }
    }

    fn opens(&self) -> usize {
        self.format.opens.load(Ordering::Relaxed)
    }

    /// What a listing says now: each name with its latitude, if that is known.
    async fn listed(&self) -> Vec<(String, Option<f64>)> {
        let before = self.opens();
        let listing = self.catalog.list(&DatasetName::top()).await.unwrap();
        assert_eq!(self.opens(), before, "a listing opens nothing");
        let latitude = |s: &Arc<Summary>| s.latitude.map(|r| r.min);
        listing.datasets.iter().map(|e| (e.name.to_string(), e.summary.as_ref().and_then(latitude))).collect()
    }

    /// Does what is asked for; says how much that was.
    async fn work(&self) -> usize {
        let mut done = 0;
        while let Some(name) = self.catalog.summaries().take() {
            self.catalog.summarise(&name).await;
            done += 1;
        }
        done
    }
}

fn write(folder: &Path, name: &str, size: usize) {
    // In one step, as those who replace files do.
    fs::write(folder.join("new"), vec![b'x'; size]).unwrap();
    fs::rename(folder.join("new"), folder.join(name)).unwrap();
}

fn known(name: &str, latitude: f64) -> (String, Option<f64>) {
    (name.to_owned(), Some(latitude))
}

fn unknown(name: &str) -> (String, Option<f64>) {
    (name.to_owned(), None)
}

#[tokio::test]
async fn summaries_come_after_a_listing_and_outlive_the_process() {
    let (data, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = KeptFiles::new(kept.path().join("made"));
    write(data.path(), "a.nc", 10);
    write(data.path(), "b.nc", 20);
    write(data.path(), "broken.nc", 90);
    let first = Served::new(data.path(), Some(&files));
    assert_eq!(first.listed().await, [unknown("a.nc"), unknown("b.nc"), unknown("broken.nc")]);
    assert_eq!(first.listed().await.len(), 3, "asked for once");
    let identity = first.catalog.list(&DatasetName::top()).await.unwrap().identity();
    assert_eq!((first.work().await, first.opens()), (3, 3));
    let all = [known("a.nc", 10.0), known("b.nc", 20.0), unknown("broken.nc")];
    assert_eq!(first.listed().await, all);
    assert_ne!(first.catalog.list(&DatasetName::top()).await.unwrap().identity(), identity);
    assert_eq!(first.work().await, 0, "what is broken stays so");
    first.catalog.summaries().save();

    let second = Served::new(data.path(), Some(&files));
    assert_eq!(second.listed().await, all);
    assert_eq!((second.work().await, second.opens()), (0, 0));

    // Another version: the old summary is not shown, the new one comes.
    write(data.path(), "a.nc", 30);
    write(data.path(), "broken.nc", 40);
    fs::remove_file(data.path().join("b.nc")).unwrap();
    assert_eq!(second.listed().await, [unknown("a.nc"), unknown("broken.nc")]);
    assert_eq!(second.work().await, 2);
    assert_eq!(second.listed().await, [known("a.nc", 30.0), known("broken.nc", 40.0)]);
    second.catalog.summaries().save();
    let third = Served::new(data.path(), Some(&files));
    assert_eq!(third.listed().await, [known("a.nc", 30.0), known("broken.nc", 40.0)]);
    assert_eq!(third.catalog.summaries().state().count, 2, "what has gone is forgotten");

    // A damaged file is as if there were none.
    let (_, file) = third.catalog.summaries().files.clone().unwrap();
    let path = kept.path().join("made").join(file);
    let count = || Served::new(data.path(), Some(&files)).catalog.summaries().state().count;
    assert_eq!(count(), 2);
    let whole = fs::read(&path).unwrap();
    for at in [3, MAGIC.len() + 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&path, damaged).unwrap();
        assert_eq!(count(), 0, "{at}");
    }
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(count(), 0);
}

#[tokio::test]
async fn a_dataset_that_is_opened_is_summarised_without_opening_it_again() {
    let data = tempfile::tempdir().unwrap();
    write(data.path(), "a.nc", 10);
    let served = Served::new(data.path(), None);
    let name = DatasetName::new("a.nc").unwrap();
    served.catalog.open(&name).await.unwrap();
    assert_eq!((served.work().await, served.opens()), (1, 1));
    served.catalog.open(&name).await.unwrap();
    assert_eq!(served.work().await, 0);
    assert_eq!(served.listed().await, [known("a.nc", 10.0)]);
    assert_eq!((served.work().await, served.opens()), (0, 1));
}

#[tokio::test]
async fn the_one_who_waits_is_woken() {
    let data = tempfile::tempdir().unwrap();
    write(data.path(), "a.nc", 10);
    let served = Served::new(data.path(), None);
    let summaries = Arc::clone(served.catalog.summaries());
    let waiting = tokio::spawn(async move { summaries.next().await });
    tokio::task::yield_now().await;
    served.listed().await;
    assert_eq!(waiting.await.unwrap().as_str(), "a.nc");
}
