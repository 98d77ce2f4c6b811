//! What a folder holds, from directory listings alone: nothing is opened.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use cdm::coordinates::summary::Summary;

use super::DatasetName;

/// File name endings that make a regular file a dataset.
pub const DATA_SUFFIXES: [&str; 24] = [
    ".nc",
    ".nc3",
    ".nc4",
    ".cdf",
    ".cdf5",
    ".netcdf",
    ".ncf",
    ".h5",
    ".hdf5",
    ".he5",
    ".hdf",
    ".h4",
    ".hdf4",
    ".nc5",
    ".dmrpp",
    ".ncml",
    ".kerchunk",
    ".kerchunk.json",
    ".refs.json",
    ".zarr.zip",
    ".tif",
    ".tiff",
    ".gtiff",
    ".geotiff",
];

/// Folder name endings that make a folder one dataset, wherever it is. On local disk other folders are
/// recognised by what they hold.
pub const DATA_FOLDER_SUFFIXES: [&str; 4] = [".zarr", ".icechunk", ".parq", ".parquet"];

/// Whether a folder of this name counts as a dataset.
pub fn is_data_folder(name: &str) -> bool {
    ends_with_one_of(name, &DATA_FOLDER_SUFFIXES)
}

/// Whether a file of this name counts as a dataset. What it really holds is found out when it is opened.
pub fn is_data_file(name: &str) -> bool {
    ends_with_one_of(name, &DATA_SUFFIXES)
}

fn ends_with_one_of(name: &str, suffixes: &[&str]) -> bool {
    let ends = |suffix: &str| {
        let cut = name.len().checked_sub(suffix.len()).filter(|cut| *cut > 0);
        cut.and_then(|cut| name.get(cut..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    };
    !name.starts_with('.') && suffixes.iter().any(|suffix| ends(suffix))
}

/// A folder's content, each part sorted by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// The folder.
    pub folder: DatasetName,
    /// Names of the folders in it.
    pub folders: Vec<Arc<str>>,
    /// The datasets in it.
    pub datasets: Vec<Entry>,
}

/// What makes a dataset of a folder the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latest {
    /// Its name, which has the date in it: THREDDS' rule.
    Name,
    /// When it was last written.
    Modified,
}

/// A dataset in a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Name of the file or folder.
    pub name: Arc<str>,
    /// Bytes; `None` for a folder that is one dataset.
    pub size: Option<u64>,
    /// When it was last written, if that is known.
    pub modified: Option<SystemTime>,
    /// What it is about, if that is known already: nothing is opened for a listing.
    pub summary: Option<Arc<Summary>>,
}

impl Listing {
    /// Sorts, and leaves out names that are hidden or that no URL may have.
    pub(crate) fn new(folder: DatasetName, mut folders: Vec<Arc<str>>, mut datasets: Vec<Entry>) -> Self {
        folders.retain(|name| DatasetName::may_show(name));
        datasets.retain(|entry| DatasetName::may_show(&entry.name));
        folders.sort_unstable();
        datasets.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Self { folder, folders, datasets }
    }

    /// The newest dataset: the last by name, of those that were not written to for `quiet`; of equal ones the
    /// last by time when `by` says so.
    pub fn latest(&self, by: Latest, quiet: Duration) -> Option<&Entry> {
        let now = SystemTime::now();
        let is_quiet = |entry: &&Entry| {
            // A time in the future is one of a clock that is ahead: not quiet yet.
            let age = entry.modified.map(|time| now.duration_since(time).unwrap_or_default());
            quiet.is_zero() || age.is_none_or(|age| age >= quiet)
        };
        let candidates = self.datasets.iter().filter(is_quiet);
        match by {
            Latest::Name => candidates.max_by(|a, b| a.name.cmp(&b.name)),
            Latest::Modified => {
                candidates.max_by(|a, b| a.modified.cmp(&b.modified).then_with(|| a.name.cmp(&b.name)))
            }
        }
    }

    /// The same for equal listings: names, sizes, times and summaries.
    pub fn identity(&self) -> String {
        // Put together first: many small pieces cost the hash more than what is in them.
        let mut all = Vec::with_capacity(64 * (1 + self.folders.len() + self.datasets.len()));
        all.extend_from_slice(self.folder.as_str().as_bytes());
        for name in &self.folders {
            all.extend_from_slice(&[0, 1]);
            all.extend_from_slice(name.as_bytes());
        }
        for entry in &self.datasets {
            let modified = entry.modified.and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
            all.extend_from_slice(&[0, 2]);
            all.extend_from_slice(entry.name.as_bytes());
            all.extend_from_slice(&entry.size.unwrap_or(u64::MAX).to_le_bytes());
            all.extend_from_slice(&modified.map_or(0, |t| t.as_nanos()).to_le_bytes());
            if let Some(summary) = &entry.summary {
                all.extend_from_slice(format!("{summary:?}").as_bytes());
            }
        }
        format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_files_by_name() {
        for name in ["a.nc", "A.NC4", "x.y.h5", "b.HDF5", "c.cdf"] {
            assert!(is_data_file(name), "{name}");
        }
        for name in [".nc", ".hidden.nc", "a.txt", "nc", "a.nc.gz", "", "é"] {
            assert!(!is_data_file(name), "{name}");
        }
    }

    #[test]
    fn listings_hide_and_sort() {
        let entry = |name: &str| Entry { name: name.into(), size: Some(1), modified: None, summary: None };
        let listing = Listing::new(
            DatasetName::top(),
            vec!["z".into(), ".git".into(), "a".into(), "b\nc".into()],
            vec![entry("b.nc"), entry(".x.nc"), entry("a.nc"), entry("a\\b.nc")],
        );
        assert_eq!(listing.folders, ["a".into(), "z".into()]);
        assert_eq!(listing.datasets.iter().map(|e| &*e.name).collect::<Vec<_>>(), ["a.nc", "b.nc"]);
        let mut other = listing.clone();
        assert_eq!(listing.identity(), other.identity());
        other.datasets[0].size = Some(2);
        assert_ne!(listing.identity(), other.identity());
    }

    #[test]
    fn the_newest_by_name_and_by_time() {
        let now = SystemTime::now();
        let entry = |name: &str, age: u64| Entry {
            name: name.into(),
            size: Some(1),
            modified: now.checked_sub(Duration::from_secs(age)),
            summary: None,
        };
        let datasets = vec![entry("a_1.nc", 50), entry("a_2.nc", 500), entry("a_3.nc", 5)];
        let listing = Listing::new(DatasetName::top(), Vec::new(), datasets);
        let latest = |by, quiet| listing.latest(by, Duration::from_secs(quiet)).map(|e| e.name.to_string());
        assert_eq!(latest(Latest::Name, 0).as_deref(), Some("a_3.nc"));
        assert_eq!(latest(Latest::Name, 30).as_deref(), Some("a_2.nc"));
        assert_eq!(latest(Latest::Modified, 0).as_deref(), Some("a_3.nc"));
        assert_eq!(latest(Latest::Modified, 30).as_deref(), Some("a_1.nc"));
        assert_eq!(latest(Latest::Modified, 5000), None);
    }
}
