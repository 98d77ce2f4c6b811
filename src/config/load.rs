//! Reading settings from a file, the environment and flags, with errors that say where.

use std::{ffi::OsString, fmt, path::Path};

use toml::de::{DeTable, DeValue};

use super::{Config, SETTINGS, Setting, value::Value};

/// Keys and values given as flags; they win over everything else.
pub type Overrides = Vec<(&'static str, String)>;

/// A setting that cannot be used: where it stands and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    place: String,
    message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for ConfigError {}

/// The settings in force: `flags` over the process environment over `file` over the defaults.
///
/// # Errors
/// The first setting that cannot be used, with file and line, variable or flag.
pub fn load(file: Option<&Path>, flags: &Overrides) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError {
            place: path.display().to_string(),
            message: format!("cannot be read: {e}"),
        })?;
        apply_file(&mut config, &path.display().to_string(), &text)?;
    }
    apply_environment(&mut config, |name| std::env::var_os(name))?;
    apply_flags(&mut config, flags)?;
    Ok(config)
}

/// The settings that the TOML `text` of the file called `file` makes of the defaults.
///
/// # Errors
/// The first setting that cannot be used, with file and line.
pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    apply_file(&mut config, file, text)?;
    Ok(config)
}

fn apply_flags(config: &mut Config, flags: &Overrides) -> Result<(), ConfigError> {
    for (key, text) in flags {
        let place = || format!("--{}", key.rsplit('.').next().unwrap_or(key).replace('_', "-"));
        let setting = SETTINGS.iter().find(|s| s.key == *key);
        let outcome =
            setting.map_or(Err("unknown key".to_owned()), |s| (s.apply)(config, &Value::Word(text.clone())));
        outcome.map_err(|message| ConfigError { place: place(), message })?;
    }
    Ok(())
}

fn apply_environment(
    config: &mut Config,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<(), ConfigError> {
    for setting in SETTINGS {
        let name = format!("THALWEG_{}", setting.key.to_uppercase().replace('.', "_"));
        let Some(text) = variable(&name) else { continue };
        let text = text.to_string_lossy().into_owned();
        (setting.apply)(config, &Value::Word(text))
            .map_err(|message| ConfigError { place: name, message })?;
    }
    Ok(())
}

/// Applies the TOML `text` of the file called `file`.
fn apply_file(config: &mut Config, file: &str, text: &str) -> Result<(), ConfigError> {
    let line_of = |offset: usize| text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1;
    let fail = |offset: usize, message: String| ConfigError {
        place: format!("{file}:{}", line_of(offset)),
        message,
    };
    let table = DeTable::parse(text)
        .map_err(|e| fail(e.span().map_or(0, |s| s.start), e.message().replace('\n', ", ")))?;
    let mut waiting = vec![(String::new(), table.into_inner())];
    while let Some((prefix, table)) = waiting.pop() {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let is_table =
                SETTINGS.iter().any(|s| s.key.strip_prefix(&*key).is_some_and(|r| r.starts_with('.')));
            if let (true, DeValue::Table(_)) = (is_table, value.get_ref()) {
                if let DeValue::Table(below) = value.into_inner() {
                    waiting.push((format!("{key}."), below));
                }
            } else if let Some(setting) = SETTINGS.iter().find(|s| s.key == key) {
                let start = value.span().start;
                (setting.apply)(config, &plain(value.get_ref()))
                    .map_err(|message| fail(start, format!("{key}: {message}")))?;
            } else if is_table {
                return Err(fail(name.span().start, format!("{key}: expected a table")));
            } else {
                return Err(fail(name.span().start, unknown(&prefix, name.get_ref())));
            }
        }
    }
    Ok(())
}

/// The message for a key that does not exist: with the nearest of the same table, or the same name in
/// another table.
fn unknown(prefix: &str, name: &str) -> String {
    let nearest = SETTINGS
        .iter()
        .flat_map(|Setting { key, .. }| {
            // A key or table of this table by its own name; a key of another one in full.
            let here = key.strip_prefix(prefix).map(|rest| rest.split('.').next().unwrap_or(rest));
            let last = key.rsplit('.').next().unwrap_or(key);
            here.map(|name| (name, name)).into_iter().chain([(last, *key)])
        })
        .map(|(compared, shown)| (strsim::damerau_levenshtein(compared, name), compared.len(), shown))
        .filter(|(distance, len, _)| *distance <= (len / 3).min(4))
        .min_by_key(|(distance, _, shown)| (*distance, shown.len()));
    match nearest {
        Some((_, _, shown)) => format!("unknown key '{name}' (did you mean '{shown}'?)"),
        None => format!("unknown key '{name}'"),
    }
}

fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix())
            .map_or(Value::Other("an integer beyond 64 bits"), Value::Integer),
        DeValue::Array(items) => Value::List(items.iter().map(|item| plain(item.get_ref())).collect()),
        DeValue::Float(_) => Value::Other("a float"),
        DeValue::Boolean(yes) => Value::Boolean(*yes),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Table(table) => Value::Table(
            table.iter().map(|(key, value)| (key.get_ref().to_string(), plain(value.get_ref()))).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../config/example.toml");

    fn check(text: &str, expect: &str) {
        let error = apply_file(&mut Config::default(), "thalweg.toml", text).unwrap_err();
        assert_eq!(error.to_string(), expect);
    }

    #[test]
    fn the_example_holds_every_setting_with_its_default() {
        // A value other than the default, so that an example which sets nothing shows.
        let mut config = Config { title: "other".to_owned(), ..Config::default() };
        apply_file(&mut config, "example.toml", EXAMPLE).unwrap();
        assert_eq!(config, Config::default());
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
        let error =
            apply_file(&mut Config::default(), "t.toml", "title = \"a\"\nlisten = = 3\n").unwrap_err();
        assert!(error.to_string().starts_with("t.toml:2: "), "{error}");
    }

    #[test]
    fn flags_win_over_environment_over_file() {
        let mut config = Config::default();
        apply_file(&mut config, "t", "title = \"file\"\n[limits]\nconnections = 5\n[log]\nlevel = \"warn\"")
            .unwrap();
        let environment = |name: &str| match name {
            "THALWEG_TITLE" => Some("environment".into()),
            "THALWEG_LIMITS_CONNECTIONS" => Some("6".into()),
            "THALWEG_ALLOWED_HOSTS" => Some("a, b".into()),
            _ => None,
        };
        apply_environment(&mut config, environment).unwrap();
        apply_flags(&mut config, &vec![("title", "flag".to_owned())]).unwrap();
        assert_eq!(
            (config.title.as_str(), config.limits.connections, config.log.level.as_str()),
            ("flag", 6, "warn")
        );
        assert_eq!(config.allowed_hosts, ["a", "b"]);
        let wrong =
            apply_environment(&mut config, |n| (n == "THALWEG_LISTEN").then(|| "x".into())).unwrap_err();
        assert!(wrong.to_string().starts_with("THALWEG_LISTEN: expected an address"), "{wrong}");
        let wrong = apply_flags(&mut config, &vec![("listen", "x".to_owned())]).unwrap_err();
        assert!(wrong.to_string().starts_with("--listen: expected an address"), "{wrong}");
    }
}
