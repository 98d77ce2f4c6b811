//! The settings in force as a TOML document, with where each came from; and what differs between two.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use super::{EXAMPLE, Loaded, Origin, SETTINGS, document::read_document, origin::Entry, value::Value};

/// What is printed for a value that nobody else may know (promise R25).
const HIDDEN: &str = "(hidden)";

/// Settings that are lists of things, with what one of them is called.
const NOUNS: [(&str, &str); 7] = [
    ("roots", "root"),
    ("root", "root"),
    ("dataset", "dataset"),
    ("store", "store"),
    ("user", "user"),
    ("token", "token"),
    ("rule", "rule"),
];

/// The keys that tell one table of a list from another, the first that it has.
const NAMES: [&str; 3] = ["name", "path", "url"];

/// Settings that hold for the life of the process.
const FOR_LIFE: [&str; 4] = ["listen", "metrics.listen", "limits.connections", "log.format"];

impl Loaded {
    /// Every setting in the order of the list: what was given, or the default as the example has it.
    fn values(&self) -> Vec<Entry> {
        let (defaults, _) = read_document(EXAMPLE);
        SETTINGS
            .iter()
            .filter_map(|setting| {
                let given = self.entries.iter().find(|e| e.key == setting.key).cloned();
                let default = defaults.iter().find(|d| d.setting.key == setting.key)?;
                let default = Entry {
                    key: setting.key,
                    value: default.value.clone(),
                    origin: Origin::Default,
                    lines: Vec::new(),
                };
                Some(match given {
                    Some(entry) => Entry { value: as_kind_of(entry.value, &default.value), ..entry },
                    None => default,
                })
            })
            .collect()
    }

    /// The settings in force as a TOML document that can be used as it is, but for secrets, which are hidden.
    /// With `origins`, a comment says where each came from.
    pub fn print(&self, origins: bool) -> String {
        let (mut plain, mut below, mut lists) = (String::new(), String::new(), String::new());
        let mut table = "";
        for entry in self.values() {
            let origin = if origins { format!("  # {}", entry.origin) } else { String::new() };
            let value = match entry.value {
                // Nothing but keys.
                Value::List(keys) if entry.key == "signing.keys" => {
                    Value::List(keys.iter().map(|_| Value::Text(HIDDEN.to_owned())).collect())
                }
                value => hide(value),
            };
            // Writing to a text cannot fail.
            let _ = match (&value, entry.key.split_once('.')) {
                (Value::List(items), None) if items.iter().any(|i| matches!(i, Value::Table(_))) => {
                    for (index, item) in items.iter().enumerate() {
                        let origin = if origins {
                            format!("  # {}", self.origin(entry.key, Some(index)))
                        } else {
                            String::new()
                        };
                        let _ = writeln!(lists, "\n[[{}]]{origin}", entry.key);
                        if let Value::Table(entries) = item {
                            for (key, value) in entries {
                                let _ = writeln!(lists, "{} = {}", bare(key), toml_of(value));
                            }
                        }
                    }
                    Ok(())
                }
                (_, None) => writeln!(plain, "{} = {}{origin}", entry.key, toml_of(&value)),
                (_, Some((name, key))) => {
                    if table != name {
                        let _ = writeln!(below, "\n[{name}]");
                        table = name;
                    }
                    writeln!(below, "{key} = {}{origin}", toml_of(&value))
                }
            };
        }
        plain + &below + &lists
    }

    /// What changed from `before` to this, for people: `1 dataset added, title changed`.
    pub fn changes(&self, before: &Self) -> String {
        let mut nouns: Vec<(&str, [usize; 3])> = Vec::new();
        let mut parts = Vec::new();
        for (new, old) in self.values().into_iter().zip(before.values()) {
            if new.value == old.value {
                continue;
            }
            let Some((_, noun)) = NOUNS.iter().find(|(key, _)| *key == new.key) else {
                parts.push(format!("{} changed", new.key));
                continue;
            };
            let counts = compare(&new.value, &old.value);
            match nouns.iter_mut().find(|(other, _)| other == noun) {
                Some((_, sums)) => sums.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n),
                None => nouns.push((noun, counts)),
            }
        }
        let counted = nouns.into_iter().flat_map(|(noun, counts)| {
            let verbs = ["added", "changed", "removed"].into_iter().zip(counts);
            verbs
                .filter(|(_, n)| *n > 0)
                .map(move |(verb, n)| format!("{n} {noun}{} {verb}", if n == 1 { "" } else { "s" }))
        });
        let parts: Vec<String> = counted.chain(parts).collect();
        if parts.is_empty() { "nothing changed".to_owned() } else { parts.join(", ") }
    }

    /// The settings that differ from those the process was `started` with and hold for its life, each with
    /// both values.
    pub fn waiting_for_restart(&self, started: &Self) -> Vec<String> {
        let both = self.values().into_iter().zip(started.values());
        both.filter(|(new, old)| FOR_LIFE.contains(&new.key) && new.value != old.value)
            .map(|(new, old)| {
                let (new_value, old_value) = (toml_of(&new.value), toml_of(&old.value));
                format!(
                    "{}: {} = {new_value} needs a restart; {old_value} stays until then",
                    new.origin, new.key
                )
            })
            .collect()
    }

    /// The files that the settings came from: when one changes, so may they.
    pub fn files(&self) -> BTreeSet<&Path> {
        let of_entries = self.entries.iter().map(|e| &e.origin);
        let all = of_entries.chain(self.problems.iter().map(|p| &p.origin));
        all.filter_map(|origin| match origin {
            Origin::File { path, .. } => Some(path.as_path()),
            _ => None,
        })
        .collect()
    }
}

/// How many items of `new` are added, changed and removed, seen from `old`.
fn compare(new: &Value, old: &Value) -> [usize; 3] {
    fn items(value: &Value) -> &[Value] {
        if let Value::List(items) = value { items } else { &[] }
    }
    let (new, old) = (items(new), items(old));
    let is_in = |item: &Value, others: &[Value]| others.iter().any(|o| name_of(o) == name_of(item));
    let added = new.iter().filter(|item| !is_in(item, old)).count();
    let removed = old.iter().filter(|item| !is_in(item, new)).count();
    let changed = new.iter().filter(|item| is_in(item, old) && !old.contains(item)).count();
    [added, changed, removed]
}

/// What tells an item from others.
fn name_of(item: &Value) -> &Value {
    let Value::Table(entries) = item else { return item };
    let named = NAMES.iter().find_map(|name| entries.iter().find(|(key, _)| key == name));
    named.map_or(item, |(_, value)| value)
}

/// A word from the environment or a flag, as the default of its setting shows what it stands for.
fn as_kind_of(value: Value, default: &Value) -> Value {
    let Value::Word(text) = &value else { return value };
    match default {
        Value::Boolean(_) => value.flag().map_or_else(|_| Value::Text(text.clone()), Value::Boolean),
        Value::Integer(_) => text.parse().map_or_else(|_| Value::Text(text.clone()), Value::Integer),
        Value::List(_) => value.texts().map_or_else(
            |_| Value::Text(text.clone()),
            |texts| Value::List(texts.into_iter().map(Value::Text).collect()),
        ),
        _ => Value::Text(text.clone()),
    }
}

/// The value without what may be secret: by its key in a table, or in a URL.
fn hide(value: Value) -> Value {
    match value {
        // What may be a user, a password or a signed query in a URL is left out.
        Value::Text(text) if text.contains("://") && (text.contains('@') || text.contains('?')) => {
            Value::Text(handlers::storage::shown_url(&text))
        }
        Value::List(items) => Value::List(items.into_iter().map(hide).collect()),
        Value::Table(entries) => Value::Table(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let is_empty = value == Value::Text(String::new());
                    let value = if is_secret(&key) && !is_empty {
                        Value::Text(HIDDEN.to_owned())
                    } else {
                        hide(value)
                    };
                    (key, value)
                })
                .collect(),
        ),
        other => other,
    }
}

fn is_secret(key: &str) -> bool {
    key == "account_key"
        || key == "sha256"
        || ["secret", "token", "password"].iter().any(|word| key.contains(word))
}

/// A key as TOML has it.
fn bare(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if is_bare { key.to_owned() } else { toml::Value::String(key.to_owned()).to_string() }
}

fn toml_of(value: &Value) -> String {
    match value {
        Value::Text(text) | Value::Word(text) => toml::Value::String(text.clone()).to_string(),
        Value::Integer(n) => n.to_string(),
        Value::Boolean(yes) => yes.to_string(),
        Value::List(items) => format!("[{}]", items.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        Value::Table(entries) => {
            let pairs = entries.iter().map(|(key, value)| format!("{} = {}", bare(key), toml_of(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Other(kind) => format!("\"({kind})\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, parse};

    const TEXT: &str = "title = \"a \\\"b\\\"\"\nroots = [\"data\", \"https://me:hunter2@h/x?token=hunter2\"]\n\
                        [limits]\nmemory = \"1 GiB\"\n[[store]]\nurl = \"s3://b\"\nsecret_access_key = \"hunter2\"\n";

    fn loaded(text: &str) -> Loaded {
        let mut loaded = Loaded::default();
        loaded.apply_file(Path::new("t.toml"), text);
        assert_eq!(loaded.problems, []);
        loaded
    }

    #[test]
    fn what_is_printed_says_the_same_as_what_was_read() {
        assert_eq!(parse("p", &Loaded::default().print(true)).unwrap(), Config::default());
        let text = TEXT.replace("me:hunter2@h/x?token=hunter2", "h/x").replace("hunter2", "(hidden)");
        let loaded = loaded(&text);
        assert_eq!(parse("p", &loaded.print(true)).unwrap(), loaded.config);
        assert_eq!(parse("p", &loaded.print(false)).unwrap(), loaded.config);
    }

    #[test]
    fn every_line_says_where_it_came_from_and_no_secret() {
        let mut loaded = loaded(TEXT);
        loaded.apply_environment(|name| match name {
            "THALWEG_LIMITS_CONNECTIONS" => Some("6".into()),
            "THALWEG_ALLOWED_HOSTS" => Some("a, b".into()),
            "THALWEG_REMOTE_ANONYMOUS" => Some("1".into()),
            _ => None,
        });
        let text = loaded.print(true);
        for line in [
            "title = 'a \"b\"'  # t.toml:1",
            "roots = [\"data\", \"https://h/x\"]  # t.toml:2",
            "listen = \"127.0.0.1:8080\"  # default",
            "allowed_hosts = [\"a\", \"b\"]  # THALWEG_ALLOWED_HOSTS",
            "anonymous = true  # THALWEG_REMOTE_ANONYMOUS",
            "connections = 6  # THALWEG_LIMITS_CONNECTIONS",
            "memory = \"1 GiB\"  # t.toml:4",
            "[[store]]  # t.toml:5",
            "secret_access_key = \"(hidden)\"",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!loaded.print(false).contains('#'));
    }

    #[test]
    fn changes_are_counted_by_what_they_are() {
        let check = |before: &str, after: &str, expect: &str| {
            assert_eq!(loaded(after).changes(&loaded(before)), expect);
        };
        check("", "", "nothing changed");
        check("", "title = \"Thalweg data server\"", "nothing changed");
        check(
            "roots = [\"a\"]",
            "roots = [\"a\", \"b\", \"c\"]\ntitle = \"x\"",
            "2 roots added, title changed",
        );
        check("roots = [\"a\"]", "[[root]]\npath = \"x\"\nlocation = \"a\"", "1 root added, 1 root removed");
        check(
            "[[root]]\npath = \"x\"\nlocation = \"a\"",
            "[[root]]\npath = \"x\"\nlocation = \"b\"",
            "1 root changed",
        );
    }

    #[test]
    fn what_needs_a_restart_is_said() {
        let found = loaded("\nlisten = \"127.0.0.1:1\"\ntitle = \"x\"").waiting_for_restart(&loaded(""));
        let expect =
            "t.toml:2: listen = \"127.0.0.1:1\" needs a restart; \"127.0.0.1:8080\" stays until then";
        assert_eq!(found, [expect]);
    }
}
