//! A TOML document to the settings it gives, and faults with the lines they stand on.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Config, SETTINGS, Setting, value::Value};

/// A line, from 1, and what is wrong there.
pub(super) type Fault = (usize, String);

/// A setting that the document gives.
pub(super) struct Given {
    pub(super) setting: &'static Setting,
    pub(super) value: Value,
    pub(super) line: usize,
    /// The line of each item, when it is a list.
    pub(super) lines: Vec<usize>,
    /// The keys of each item with their lines, when it is a list of tables.
    tables: Vec<Vec<(String, usize)>>,
}

/// The settings in `text`, in its order, and everything in it that is none.
pub(super) fn read_document(text: &str) -> (Vec<Given>, Vec<Fault>) {
    let lines = Lines(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut faults: Vec<Fault> = errors
        .into_iter()
        .map(|e| (lines.of(e.span().map_or(0, |s| s.start)), e.message().replace('\n', ", ")))
        .collect();
    // One slip may be several errors to a parser that goes on behind it: a line has one.
    faults.dedup_by_key(|(line, _)| *line);
    let broken: Vec<usize> = faults.iter().map(|(line, _)| *line).collect();
    let mut given = Vec::new();
    let mut waiting = vec![(String::new(), table.into_inner())];
    while let Some((prefix, table)) = waiting.pop() {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let line = lines.of(name.span().start);
            let is_table =
                SETTINGS.iter().any(|s| s.key.strip_prefix(&*key).is_some_and(|r| r.starts_with('.')));
            // What the parser made of a line that it could not read says nothing.
            if broken.contains(&line) {
                continue;
            }
            if let (true, DeValue::Table(_)) = (is_table, value.get_ref()) {
                if let DeValue::Table(below) = value.into_inner() {
                    waiting.push((format!("{key}."), below));
                }
            } else if let Some(setting) = SETTINGS.iter().find(|s| s.key == key) {
                given.push(lines.given(setting, &value));
            } else if is_table {
                faults.push((line, format!("{key}: expected a table")));
            } else {
                faults.push((line, unknown(&prefix, name.get_ref())));
            }
        }
    }
    given.sort_by_key(|item| item.line);
    (given, faults)
}

/// Lines of a text by offset.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn of(&self, offset: usize) -> usize {
        self.0.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
    }

    fn given(&self, setting: &'static Setting, value: &Spanned<DeValue<'_>>) -> Given {
        let line = self.of(value.span().start);
        let mut lines = Vec::new();
        let mut tables = Vec::new();
        if let DeValue::Array(items) = value.get_ref() {
            for item in items {
                lines.push(self.of(item.span().start));
                if let DeValue::Table(table) = item.get_ref() {
                    let keys = table.iter();
                    let keys = keys.map(|(key, _)| (key.get_ref().to_string(), self.of(key.span().start)));
                    tables.push(keys.collect());
                }
            }
        }
        Given { setting, value: plain(value.get_ref()), line, lines, tables }
    }
}

/// What is wrong with a given value, each fault with the line that it is about.
///
/// What reads a list of tables stops at its first fault. So each table is tried alone, and the key that is
/// blamed (messages begin with it) is taken out until the rest is content or blames no key.
pub(super) fn faults_of(setting: &Setting, given: &Given) -> Vec<Fault> {
    let attempt = |value: &Value| (setting.apply)(&mut Config::default(), value).err();
    let Some(whole) = attempt(&given.value) else { return Vec::new() };
    let mut faults = Vec::new();
    if let Value::List(items) = &given.value
        && items.len() == given.tables.len()
    {
        for ((item, keys), line) in items.iter().zip(&given.tables).zip(&given.lines) {
            let Value::Table(entries) = item else { continue };
            let mut entries = entries.clone();
            let mut is_first = true;
            while let Some(message) = attempt(&Value::List(vec![Value::Table(entries.clone())])) {
                let blamed = message.split(':').next().unwrap_or_default().to_owned();
                let Some(at) = entries.iter().position(|(key, _)| *key == blamed) else {
                    // A key that was taken out may be missed now: that is no fault of its own.
                    if is_first {
                        faults.push((*line, message));
                    }
                    break;
                };
                let key_line = keys.iter().find(|(key, _)| *key == blamed).map_or(*line, |(_, line)| *line);
                faults.push((key_line, message));
                entries.remove(at);
                is_first = false;
            }
        }
        // Each is fine, together they are not: the first that makes it so.
        if faults.is_empty() {
            let wrong = (1..=items.len()).find_map(|n| {
                let message = attempt(&Value::List(items.iter().take(n).cloned().collect()))?;
                Some((*given.lines.get(n - 1)?, message))
            });
            faults.extend(wrong);
        }
    }
    if faults.is_empty() {
        faults.push((given.line, whole));
    }
    faults
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

pub(super) fn plain(value: &DeValue<'_>) -> Value {
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
    use std::path::Path;

    use crate::config::load::Loaded;

    fn check(text: &str, expect: &[&str]) {
        let mut loaded = Loaded::default();
        loaded.apply_file(Path::new("t.toml"), text);
        let found: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn every_problem_is_said_in_the_order_of_the_file() {
        check(
            "titel = \"x\"\n[limits]\nconnections = 0\nuri = \"1 KB\"\n[log]\nformat = \"xml\"\n",
            &[
                "t.toml:1: unknown key 'titel' (did you mean 'title'?)",
                "t.toml:3: limits.connections: expected a whole number above 0, found 0",
                "t.toml:4: limits.uri: expected a size such as \"64 MiB\" (units: B, KiB, MiB, GiB, TiB), found '1 KB'",
                "t.toml:6: log.format: expected 'text' or 'json', found 'xml'",
            ],
        );
    }

    #[test]
    fn what_follows_a_syntax_error_is_still_looked_at() {
        let mut loaded = Loaded::default();
        loaded.apply_file(Path::new("t.toml"), "title = \"a\"\nlisten = = 3\nroots = [\n\"x\"]\nzzz = 1\n");
        let places: Vec<String> = loaded.problems.iter().map(|p| p.origin.to_string()).collect();
        assert_eq!(places, ["t.toml:2", "t.toml:5"], "{:?}", loaded.problems);
        assert_eq!(loaded.config.title, "a");
    }

    #[test]
    fn faults_in_tables_have_lines_of_their_own() {
        check(
            "[[store]]\nurl = \"s3://b\"\nregoin = \"x\"\nanonymous = 3\n\n[[store]]\nregion = \"x\"\n\n\
             [[store]]\nurl = \"s3://c\"\nbearer_token = 5\n",
            &[
                "t.toml:3: store: regoin: there is no such key (did you mean 'region'?)",
                "t.toml:4: store: anonymous: expected true or false, found 3",
                "t.toml:6: store: url: expected one such as s3://bucket",
                "t.toml:11: store: bearer_token: expected a string",
            ],
        );
        check("[[store]]\nurl = \"x\"", &["t.toml:2: store: url: expected one such as s3://bucket"]);
    }
}
