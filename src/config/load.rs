//! Reading settings from a file, the environment and flags: every problem at once, each with its place.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    Config, SETTINGS,
    document::{faults_of, read_document},
    origin::{ConfigError, Entry, Origin},
    value::Value,
};

/// Keys and values given as flags; they win over everything else.
pub type Overrides = Vec<(&'static str, String)>;

/// Where settings are read from, to be read again when they change.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The file of settings.
    pub file: Option<PathBuf>,
    /// The flags.
    pub flags: Overrides,
    /// Places to serve that were named on the command line; they replace those of the file.
    pub places: Vec<PathBuf>,
}

/// Settings as they were read: what they amount to, where each came from, and what is wrong.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The settings in force; those with a problem keep their former value.
    pub config: Config,
    /// Every setting that was given, the strongest of each key.
    pub(super) entries: Vec<Entry>,
    /// What cannot be used, in the order of the file.
    pub problems: Vec<ConfigError>,
}

impl Inputs {
    /// Reads everything: flags over the process environment over the file over the defaults.
    pub fn read(&self) -> Loaded {
        let mut loaded = Loaded::default();
        if let Some(path) = &self.file {
            match std::fs::read_to_string(path) {
                Ok(text) => loaded.apply_file(path, &text),
                Err(e) => loaded.problems.push(ConfigError {
                    origin: Origin::File { path: path.clone(), line: 0 },
                    message: format!("cannot be read: {e}"),
                }),
            }
        }
        loaded.apply_environment(|name| std::env::var_os(name));
        loaded.apply_flags(&self.flags);
        if !self.places.is_empty() {
            let value = Value::List(
                self.places.iter().map(|p| Value::Text(p.to_string_lossy().into_owned())).collect(),
            );
            loaded.note("roots", value, Origin::Argument, Vec::new());
            // Not by way of text: a path need not be UTF-8.
            loaded.config.roots.clone_from(&self.places);
            loaded.note("root", Value::List(Vec::new()), Origin::Argument, Vec::new());
            loaded.config.mounts.clear();
        }
        loaded
    }
}

/// The settings that the TOML `text` of the file called `file` makes of the defaults.
///
/// # Errors
/// The first setting that cannot be used, with file and line.
pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
    let mut loaded = Loaded::default();
    loaded.apply_file(Path::new(file), text);
    loaded.whole()
}

impl Loaded {
    /// The settings, if nothing is wrong.
    ///
    /// # Errors
    /// The first problem.
    pub fn whole(self) -> Result<Config, ConfigError> {
        match self.problems.into_iter().next() {
            None => Ok(self.config),
            Some(problem) => Err(problem),
        }
    }

    /// Where the item `index` of a setting that is a list, or the setting itself, was given.
    pub fn origin(&self, key: &str, index: Option<usize>) -> Origin {
        let Some(entry) = self.entries.iter().find(|e| e.key == key) else { return Origin::Default };
        match (&entry.origin, index.and_then(|i| entry.lines.get(i))) {
            (Origin::File { path, .. }, Some(line)) => Origin::File { path: path.clone(), line: *line },
            (origin, _) => origin.clone(),
        }
    }

    /// A problem with a setting that was understood: what it names is at fault.
    pub fn problem(&self, key: &str, index: Option<usize>, message: impl std::fmt::Display) -> ConfigError {
        let origin = self.origin(key, index);
        let message = if matches!(origin, Origin::File { .. }) {
            format!("{key}: {message}")
        } else {
            message.to_string()
        };
        ConfigError { origin, message }
    }

    /// What was given for `key` wins over what was given before.
    fn note(&mut self, key: &'static str, value: Value, origin: Origin, lines: Vec<usize>) {
        self.entries.retain(|e| e.key != key);
        self.entries.push(Entry { key, value, origin, lines });
    }

    fn apply_flags(&mut self, flags: &Overrides) {
        for (key, text) in flags {
            let flag = format!("--{}", key.rsplit('.').next().unwrap_or(key).replace('_', "-"));
            self.apply_word(key, text.clone(), Origin::Flag(flag));
        }
    }

    pub(super) fn apply_environment(&mut self, variable: impl Fn(&str) -> Option<OsString>) {
        for setting in SETTINGS {
            let name = format!("THALWEG_{}", setting.key.to_uppercase().replace('.', "_"));
            let Some(text) = variable(&name) else { continue };
            self.apply_word(setting.key, text.to_string_lossy().into_owned(), Origin::Variable(name));
        }
    }

    fn apply_word(&mut self, key: &str, text: String, origin: Origin) {
        let Some(setting) = SETTINGS.iter().find(|s| s.key == key) else {
            return self.problems.push(ConfigError { origin, message: "unknown key".to_owned() });
        };
        let value = Value::Word(text);
        match (setting.apply)(&mut self.config, &value) {
            Ok(()) => self.note(setting.key, value, origin, Vec::new()),
            Err(message) => self.problems.push(ConfigError { origin, message }),
        }
    }

    /// Applies the TOML `text` of the file at `path`.
    pub(super) fn apply_file(&mut self, path: &Path, text: &str) {
        let at = |line| Origin::File { path: path.to_owned(), line };
        let (given, mut faults) = read_document(text);
        for item in given {
            let mut found = faults_of(item.setting, &item);
            if found.is_empty() {
                // Tried above, on a scratch copy.
                if let Err(message) = (item.setting.apply)(&mut self.config, &item.value) {
                    found.push((item.line, message));
                }
            }
            if found.is_empty() {
                self.note(item.setting.key, item.value, at(item.line), item.lines);
            }
            let key = item.setting.key;
            faults.extend(found.into_iter().map(|(line, message)| (line, format!("{key}: {message}"))));
        }
        faults.sort_by_key(|(line, _)| *line);
        self.problems
            .extend(faults.into_iter().map(|(line, message)| ConfigError { origin: at(line), message }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EXAMPLE;

    fn check(text: &str, expect: &str) {
        assert_eq!(parse("thalweg.toml", text).unwrap_err().to_string(), expect);
    }

    #[test]
    fn the_example_holds_every_setting_with_its_default() {
        // A value other than the default, so that an example which sets nothing shows.
        let mut loaded = Loaded::default();
        loaded.config.title = "other".to_owned();
        loaded.apply_file(Path::new("example.toml"), EXAMPLE);
        assert_eq!(loaded.whole().unwrap(), Config::default());
        let table: toml::Table = EXAMPLE.parse().unwrap();
        for setting in SETTINGS {
            let mut keys = setting.key.split('.');
            let first = table.get(keys.next().unwrap());
            assert!(
                keys.try_fold(first.unwrap(), |at, key| at.get(key)).is_some(),
                "{} is missing",
                setting.key
            );
        }
    }

    #[test]
    fn errors_say_where_and_what() {
        check(
            "title = \"x\"\n\nlisten = \"a\"\nlistn = 1",
            "thalweg.toml:3: listen: expected an address and port such as 127.0.0.1:8080, found 'a'",
        );
        check("\n\n# c\nlistn = 1", "thalweg.toml:4: unknown key 'listn' (did you mean 'listen'?)");
        check(
            "[limits]\nuri = 1\nheadr_timeout = 1",
            "thalweg.toml:3: unknown key 'headr_timeout' (did you mean 'header_timeout'?)",
        );
        check("[limit]\nuri = 1", "thalweg.toml:1: unknown key 'limit' (did you mean 'limits'?)");
        check(
            "response_text = 1",
            "thalweg.toml:1: unknown key 'response_text' (did you mean 'limits.response_text'?)",
        );
        check("zzz = 1", "thalweg.toml:1: unknown key 'zzz'");
        check("title = 3", "thalweg.toml:1: title: expected a string, found 3");
        check("limits = 3", "thalweg.toml:1: limits: expected a table");
        check(
            "[log]\nformat = \"xml\"",
            "thalweg.toml:2: log.format: expected 'text' or 'json', found 'xml'",
        );
        check(
            "[limits]\nconnections = 0",
            "thalweg.toml:2: limits.connections: expected a whole number above 0, found 0",
        );
        check(
            "[limits]\nmemory = 1.5",
            "thalweg.toml:2: limits.memory: expected a size such as \"64 MiB\" (units: B, KiB, MiB, GiB, TiB), found a float",
        );
    }

    #[test]
    fn a_syntax_error_has_a_line() {
        let error = parse("t.toml", "title = \"a\"\nlisten = = 3\n").unwrap_err();
        assert!(error.to_string().starts_with("t.toml:2: "), "{error}");
    }

    #[test]
    fn flags_win_over_environment_over_file() {
        let mut loaded = Loaded::default();
        let text =
            "title = \"file\"\nroots = [\n\"a\",\n\"b\"]\n[limits]\nconnections = 5\n[log]\nlevel = \"warn\"";
        loaded.apply_file(Path::new("t"), text);
        let environment = |name: &str| match name {
            "THALWEG_TITLE" => Some("environment".into()),
            "THALWEG_LIMITS_CONNECTIONS" => Some("6".into()),
            "THALWEG_ALLOWED_HOSTS" => Some("a, b".into()),
            _ => None,
        };
        loaded.apply_environment(environment);
        loaded.apply_flags(&vec![("title", "flag".to_owned())]);
        let origin = |key, index| loaded.origin(key, index).to_string();
        assert_eq!(
            [("title", None), ("limits.connections", None), ("log.level", None), ("listen", None)]
                .map(|(key, index)| origin(key, index)),
            ["--title", "THALWEG_LIMITS_CONNECTIONS", "t:8", "default"]
        );
        assert_eq!([origin("roots", None), origin("roots", Some(1))], ["t:2", "t:4"]);
        let config = loaded.whole().unwrap();
        assert_eq!(
            (config.title.as_str(), config.limits.connections, config.log.level.as_str()),
            ("flag", 6, "warn")
        );
        assert_eq!(config.allowed_hosts, ["a", "b"]);
    }

    #[test]
    fn a_wrong_word_names_its_variable_or_flag() {
        let mut loaded = Loaded::default();
        loaded.apply_environment(|n| (n == "THALWEG_LISTEN").then(|| "x".into()));
        loaded.apply_flags(&vec![("listen", "x".to_owned())]);
        let found: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        let [variable, flag] = found.as_slice() else { panic!("two problems: {found:?}") };
        assert!(variable.starts_with("THALWEG_LISTEN: expected an address"), "{variable}");
        assert!(flag.starts_with("--listen: expected an address"), "{flag}");
    }
}
