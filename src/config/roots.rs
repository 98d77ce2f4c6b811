//! The `[[root]]` tables: places that are served under paths of their own.

use std::path::PathBuf;

use handlers::storage::Symlinks;

use super::value::Value;
use crate::catalog::DatasetName;

/// The keys of a `[[root]]` table.
const KEYS: [&str; 3] = ["path", "location", "follow_symlinks"];

/// A place and the path it is served under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// In the tree of names: `model/gfs`; the top for what is served there.
    pub path: DatasetName,
    /// A folder, a file or the URL of an object store.
    pub location: PathBuf,
    /// Folders that symbolic links in it may lead into; `None`: those of all places.
    pub follow_symlinks: Option<Vec<PathBuf>>,
}

impl Mount {
    /// Where links in it may lead, when those of all places may lead where `all` says.
    ///
    /// # Errors
    /// As [`Symlinks::open`].
    pub fn links(&self, all: &Symlinks) -> cdm::Result<Symlinks> {
        self.follow_symlinks.as_ref().map_or_else(|| Ok(all.clone()), |folders| Symlinks::open(folders))
    }
}

impl Value {
    pub(super) fn mounts(&self) -> Result<Vec<Mount>, String> {
        const EXPECTED: &str = "expected [[root]] tables";
        let Self::List(tables) = self else { return Err(EXPECTED.to_owned()) };
        let mut mounts: Vec<Mount> = Vec::with_capacity(tables.len());
        for table in tables {
            let Self::Table(entries) = table else { return Err(EXPECTED.to_owned()) };
            let mount = mount(entries)?;
            if let Some(other) = mounts.iter().find(|other| other.path == mount.path) {
                return Err(format!(
                    "both {} and {} have the path '{}'",
                    other.location.display(),
                    mount.location.display(),
                    mount.path
                ));
            }
            mounts.push(mount);
        }
        Ok(mounts)
    }
}

fn mount(entries: &[(String, Value)]) -> Result<Mount, String> {
    let (mut path, mut location, mut follow_symlinks) = (None, None, None);
    for (key, value) in entries {
        let of_key = |message| format!("{key}: {message}");
        let text = value.text().map_err(of_key);
        match key.as_str() {
            "path" => {
                let text = text?;
                let name = DatasetName::new(text.trim_matches('/'));
                path = Some(name.map_err(|e| format!("path: '{text}' cannot be in a URL: {}", e.message()))?);
            }
            "location" => location = Some(PathBuf::from(text?)),
            "follow_symlinks" => follow_symlinks = Some(value.absolute_paths().map_err(of_key)?),
            _ => {
                let near = KEYS.iter().min_by_key(|known| strsim::damerau_levenshtein(known, key));
                return Err(format!(
                    "{key}: there is no such key (did you mean '{}'?)",
                    near.unwrap_or(&"path")
                ));
            }
        }
    }
    let location = location.filter(|l| !l.as_os_str().is_empty());
    Ok(Mount {
        path: path.ok_or("path is missing: the path it is served under, such as \"model/gfs\"")?,
        location: location.ok_or("location is missing: a folder, a file or the URL of an object store")?,
        follow_symlinks,
    })
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    #[test]
    fn roots_are_tables_with_a_path_and_a_location() {
        let text = "[[root]]\npath = \"/model/gfs/\"\nlocation = \"/data/gfs\"\n\
                    [[root]]\npath = \"\"\nlocation = \"s3://b/x\"\nfollow_symlinks = [\"/mnt/x\"]\n";
        let config = parse("t.toml", text).unwrap();
        let [gfs, top] = config.mounts.as_slice() else { panic!("two roots") };
        assert_eq!((gfs.path.as_str(), gfs.location.to_str()), ("model/gfs", Some("/data/gfs")));
        assert!(top.path.is_top());
        assert_eq!((&gfs.follow_symlinks, &top.follow_symlinks), (&None, &Some(vec!["/mnt/x".into()])));
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let check = |text: &str, line: usize, expect: &str| {
            let found = parse("t.toml", text).unwrap_err().to_string();
            assert_eq!(found, format!("t.toml:{line}: root: {expect}"));
        };
        check("root = \"/data\"", 1, "expected [[root]] tables");
        check(
            "[[root]]\npath = \"a\"",
            1,
            "location is missing: a folder, a file or the URL of an object store",
        );
        check(
            "[[root]]\nlocation = \"/a\"",
            1,
            "path is missing: the path it is served under, such as \"model/gfs\"",
        );
        check("[[root]]\npaht = \"a\"", 2, "paht: there is no such key (did you mean 'path'?)");
        check(
            "[[root]]\nfollow_symlinks = [\"x\"]",
            2,
            "follow_symlinks: expected absolute paths of folders such as \"/mnt/archive\", found 'x'",
        );
        check("[[root]]\npath = 3", 2, "path: expected a string, found 3");
        check(
            "[[root]]\npath = \"a/../b\"",
            2,
            "path: 'a/../b' cannot be in a URL: the path holds '..' or '.'",
        );
        check(
            "[[root]]\npath = \"a\"\nlocation = \"/x\"\n[[root]]\npath = \"a/\"\nlocation = \"/y\"",
            4,
            "both /x and /y have the path 'a'",
        );
    }
}
