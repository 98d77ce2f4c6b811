//! The `[[store]]` tables: what is set for single object stores. No message holds a value that may be secret.

use handlers::storage::{Secret, StoreOptions, is_store_url};

use super::value::Value;

/// The keys of a `[[store]]` table.
const KEYS: [&str; 14] = [
    "url",
    "endpoint",
    "region",
    "anonymous",
    "allow_http",
    "virtual_hosted",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "account",
    "account_key",
    "service_account",
    "bearer_token",
    "recheck",
];

impl Value {
    pub(super) fn stores(&self) -> Result<Vec<StoreOptions>, String> {
        const EXPECTED: &str = "[[store]] tables";
        let Self::List(tables) = self else { return Err(format!("expected {EXPECTED}")) };
        tables
            .iter()
            .map(|table| match table {
                Self::Table(entries) => store(entries),
                _ => Err(format!("expected {EXPECTED}")),
            })
            .collect()
    }

    fn secret(&self) -> Result<Option<Secret>, String> {
        match self {
            Self::Text(text) => Ok(Some(Secret::new(text.as_str())).filter(|_| !text.is_empty())),
            _ => Err("expected a string".to_owned()),
        }
    }
}

fn store(entries: &[(String, Value)]) -> Result<StoreOptions, String> {
    let mut store = StoreOptions::default();
    for (key, value) in entries {
        set(&mut store, key, value).map_err(|message| format!("{key}: {message}"))?;
    }
    if is_store_url(&store.url) { Ok(store) } else { Err("url: expected one such as s3://bucket".to_owned()) }
}

fn set(store: &mut StoreOptions, key: &str, value: &Value) -> Result<(), String> {
    match key {
        "url" => store.url = value.text()?,
        "endpoint" => store.endpoint = value.text_if_set()?,
        "region" => store.region = value.text_if_set()?,
        "anonymous" => store.anonymous = Some(value.flag()?),
        "allow_http" => store.allow_http = Some(value.flag()?),
        "virtual_hosted" => store.virtual_hosted = Some(value.flag()?),
        "access_key_id" => store.access_key_id = value.text_if_set()?,
        "secret_access_key" => store.secret_access_key = value.secret()?,
        "session_token" => store.session_token = value.secret()?,
        "account" => store.account = value.text_if_set()?,
        "account_key" => store.account_key = value.secret()?,
        "service_account" => store.service_account = value.text_if_set()?,
        "bearer_token" => store.bearer_token = value.secret()?,
        "recheck" => store.recheck = Some(value.duration()?),
        _ => {
            let near = KEYS.iter().min_by_key(|known| strsim::damerau_levenshtein(known, key));
            return Err(format!("there is no such key (did you mean '{}'?)", near.unwrap_or(&"url")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::parse;

    #[test]
    fn stores_are_tables_with_a_url() {
        let text = "[[store]]\nurl = \"s3://b/x\"\nendpoint = \"http://127.0.0.1:9000\"\n\
                    secret_access_key = \"hunter2\"\nanonymous = false\nrecheck = \"5 s\"\n\
                    [[store]]\nurl = \"https://h\"\nbearer_token = \"hunter2\"\n";
        let config = parse("t.toml", text).unwrap();
        let [s3, https] = config.remote.stores.as_slice() else { panic!("two stores") };
        assert_eq!((&*s3.url, s3.endpoint.as_deref()), ("s3://b/x", Some("http://127.0.0.1:9000")));
        assert_eq!((s3.anonymous, s3.recheck), (Some(false), Some(Duration::from_secs(5))));
        assert_eq!(s3.secret_access_key, Some(Secret::new("hunter2")));
        assert_eq!(https.bearer_token, Some(Secret::new("hunter2")));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn errors_say_where_and_hide_secrets() {
        let check = |text: &str, expect: &str| {
            assert_eq!(parse("t.toml", text).unwrap_err().to_string(), expect);
        };
        check("[[store]]\nregion = \"x\"", "t.toml:1: store: url: expected one such as s3://bucket");
        check(
            "[[store]]\nurl = \"s3://b\"\nregoin = \"x\"",
            "t.toml:3: store: regoin: there is no such key (did you mean 'region'?)",
        );
        check(
            "[[store]]\nurl = \"s3://b\"\nsecret_access_key = 12345",
            "t.toml:3: store: secret_access_key: expected a string",
        );
        check("store = \"s3://hunter2\"", "t.toml:1: store: expected [[store]] tables");
        for key in KEYS {
            let set = set(&mut StoreOptions::default(), key, &Value::Other("a float"));
            assert!(!set.unwrap_err().contains("no such key"), "{key}");
        }
    }
}
