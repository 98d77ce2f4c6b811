//! The `[[user]]`, `[[token]]` and `[[rule]]` tables, and what the files hold that settings about access name. No
//! message holds a value that may be secret.

use std::{io::Read, path::Path};

use handlers::storage::Secret;

use super::{Config, value::Value};
use crate::{
    access::{Account, Material, Readers, Rule, Token, Wrong, check_hash},
    catalog::DatasetName,
};

/// Files with keys and certificates are not longer.
const LARGEST: u64 = 1 << 20;

impl Value {
    pub(super) fn users(&self) -> Result<Vec<Account>, String> {
        let mut users: Vec<Account> = Vec::new();
        for table in self.tables("[[user]]")? {
            let [name, password, groups] = fields(table, ["name", "password", "groups"])?;
            let name = user_name(name)?;
            if users.iter().any(|user| user.name == name) {
                return Err(format!("name: there are two users called '{name}'"));
            }
            let Some(Self::Text(password)) = password else {
                return Err("password: expected a hash that `thalweg hash-password` makes".to_owned());
            };
            check_hash(password).map_err(|e| format!("password: {e}"))?;
            users.push(Account {
                name,
                password: Secret::new(password.as_str()),
                groups: group_names(groups)?,
            });
        }
        Ok(users)
    }

    pub(super) fn tokens(&self) -> Result<Vec<Token>, String> {
        let token = |table| {
            let [name, sha256, groups] = fields(table, ["name", "sha256", "groups"])?;
            let hash = match sha256 {
                Some(Self::Text(text)) => digest(text),
                _ => None,
            };
            let hash =
                hash.ok_or("sha256: expected the 64 hexadecimal digits that `thalweg hash-token` prints")?;
            Ok(Token { name: user_name(name)?, sha256: hash, groups: group_names(groups)? })
        };
        self.tables("[[token]]")?.into_iter().map(token).collect()
    }

    pub(super) fn rules(&self) -> Result<Vec<Rule>, String> {
        let mut rules: Vec<Rule> = Vec::new();
        for table in self.tables("[[rule]]")? {
            let [path, read] = fields(table, ["path", "read"])?;
            let path = path.ok_or("path is missing: the name of a folder or dataset, \"\" for everything")?;
            let text = path.text().map_err(|e| format!("path: {e}"))?;
            let name = DatasetName::new(text.trim_matches('/'));
            let name = name.map_err(|e| format!("path: '{text}' cannot be in a URL: {}", e.message()))?;
            if rules.iter().any(|rule| rule.path == name.as_str()) {
                return Err(format!("path: there are two rules for '{name}'"));
            }
            rules.push(Rule { path: name.as_str().to_owned(), read: readers(read)? });
        }
        Ok(rules)
    }

    pub(super) fn secrets(&self) -> Result<Vec<Secret>, String> {
        let texts = self.texts().or(Err("expected an array of strings".to_owned()))?;
        Ok(texts.into_iter().map(Secret::new).collect())
    }

    /// Origins of pages, as browsers write them.
    pub(super) fn origins(&self) -> Result<Vec<String>, String> {
        let texts = self.texts()?;
        let is_origin = |text: &String| {
            text.parse::<http::Uri>().is_ok_and(|uri| {
                let shown =
                    uri.authority().map(|a| format!("{}://{a}", uri.scheme_str().unwrap_or_default()));
                matches!(uri.scheme_str(), Some("http" | "https")) && shown.as_ref() == Some(text)
            })
        };
        match texts.iter().find(|text| !is_origin(text)) {
            Some(text) => Err(format!("'{text}' is no origin such as https://app.example.org")),
            None => Ok(texts),
        }
    }

    fn tables(&self, noun: &str) -> Result<Vec<&[(String, Self)]>, String> {
        let expected = || format!("expected {noun} tables");
        let Self::List(tables) = self else { return Err(expected()) };
        let mut all = Vec::with_capacity(tables.len());
        for table in tables {
            let Self::Table(entries) = table else { return Err(expected()) };
            all.push(entries.as_slice());
        }
        Ok(all)
    }
}

/// The values of `keys` in a table.
fn fields<'a, const N: usize>(
    table: &'a [(String, Value)],
    keys: [&str; N],
) -> Result<[Option<&'a Value>; N], String> {
    if let Some((key, _)) = table.iter().find(|(key, _)| !keys.contains(&key.as_str())) {
        let near = keys.iter().min_by_key(|known| strsim::damerau_levenshtein(known, key));
        return Err(format!("{key}: there is no such key (did you mean '{}'?)", near.unwrap_or(&"name")));
    }
    Ok(keys.map(|key| table.iter().find(|(k, _)| k == key).map(|(_, value)| value)))
}

fn user_name(value: Option<&Value>) -> Result<String, String> {
    const EXPECTED: &str = "name: expected one without ':', and '@' in front means a group";
    let name = value.and_then(|value| value.text().ok()).ok_or("name is missing: what rules call it")?;
    let is_fine =
        !name.is_empty() && !name.starts_with('@') && !name.contains(|c: char| c == ':' || c.is_control());
    if is_fine { Ok(name) } else { Err(EXPECTED.to_owned()) }
}

fn group_names(value: Option<&Value>) -> Result<Vec<String>, String> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let names = value.texts().map_err(|e| format!("groups: {e}"))?;
    Ok(names.into_iter().map(|name| name.trim_start_matches('@').to_owned()).collect())
}

fn readers(value: Option<&Value>) -> Result<Readers, String> {
    const EXPECTED: &str =
        "read: expected \"everyone\", \"signed in\", or users and groups such as [\"ann\", \"@ocean\"]";
    match value {
        Some(Value::Text(text)) if text == "everyone" => Ok(Readers::Everyone),
        Some(Value::Text(text)) if text == "signed in" => Ok(Readers::SignedIn),
        Some(Value::List(_)) => {
            let names = value.and_then(|value| value.texts().ok()).ok_or(EXPECTED)?;
            let (groups, users): (Vec<String>, Vec<String>) =
                names.into_iter().partition(|name| name.starts_with('@'));
            let groups = groups.into_iter().map(|name| name.trim_start_matches('@').to_owned()).collect();
            Ok(Readers::Named { users, groups })
        }
        _ => Err(EXPECTED.to_owned()),
    }
}

/// 32 bytes of hexadecimal digits.
fn digest(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// What the files hold that settings about access name; blocks.
///
/// # Errors
/// The setting, and what is wrong.
pub fn material(config: &Config) -> Result<Material, Wrong> {
    let access = &config.access;
    let key =
        |path| read(path).map(|bytes| bytes.trim_ascii().to_vec()).map_err(|e| ("signing.key_files", e));
    let signing_keys = access.signing_key_files.iter().map(|path| key(path)).collect::<Result<_, _>>()?;
    let is_file = !access.oidc.keys.is_empty() && !access.oidc.keys.contains("://");
    let oidc_keys = is_file.then(|| read(Path::new(&access.oidc.keys))).transpose();
    Ok(Material { signing_keys, oidc_keys: oidc_keys.map_err(|e| ("oidc.keys", e))? })
}

/// What the files of TLS hold: certificates and a key; `None`: there is no TLS. Blocks.
///
/// # Errors
/// As [`material`].
pub fn certificates(config: &Config) -> Result<Option<[Vec<u8>; 2]>, Wrong> {
    match (&config.tls.certificate, &config.tls.key) {
        (None, None) => Ok(None),
        (Some(chain), Some(key)) => {
            let chain = read(chain).map_err(|e| ("tls.certificate", e))?;
            Ok(Some([chain, read(key).map_err(|e| ("tls.key", e))?]))
        }
        (Some(_), None) => {
            Err(("tls.certificate", "tls.key is missing: the file of its private key".to_owned()))
        }
        (None, Some(_)) => {
            Err(("tls.key", "tls.certificate is missing: the file of its certificate".to_owned()))
        }
    }
}

/// A small file.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let fail = |e: std::io::Error| format!("{} cannot be read: {e}", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > LARGEST { Err(format!("{} is too long", path.display())) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    const HASH: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ";

    #[test]
    fn tables_about_access() {
        let sha = "0f".repeat(32);
        let text = format!(
            "[[user]]\nname = \"ann\"\npassword = \"{HASH}\"\ngroups = [\"ocean\"]\n\
             [[token]]\nname = \"robot\"\nsha256 = \"{sha}\"\n\
             [[rule]]\npath = \"/model/\"\nread = [\"ann\", \"@ocean\"]\n\
             [[rule]]\npath = \"\"\nread = \"signed in\"\n\
             [[rule]]\npath = \"open\"\nread = \"everyone\"\n\
             [signing]\nkeys = [\"hunter2hunter2\"]\n"
        );
        let config = parse("t.toml", &text).unwrap();
        let access = &config.access;
        assert_eq!((&*access.users[0].name, &*access.users[0].groups), ("ann", &["ocean".to_owned()][..]));
        assert_eq!(access.tokens[0].sha256, [15; 32]);
        let reads: Vec<_> = access.rules.iter().map(|rule| (&*rule.path, &rule.read)).collect();
        let named = Readers::Named { users: vec!["ann".to_owned()], groups: vec!["ocean".to_owned()] };
        assert_eq!(reads, [("model", &named), ("", &Readers::SignedIn), ("open", &Readers::Everyone)]);
        let shown = format!("{config:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("argon2") && !shown.contains("15, 15"),
            "{shown}"
        );
    }

    #[test]
    fn errors_say_where_and_hide_secrets() {
        let check = |text: &str, expect: &str| {
            let found = parse("t.toml", text).unwrap_err().to_string();
            assert_eq!(found, format!("t.toml:{expect}"));
            assert!(!found.contains("hunter2"), "{found}");
        };
        check(
            "[[user]]\nname = \"a\"\npassword = \"hunter2\"",
            "3: user: password: expected a hash that `thalweg hash-password` makes ($argon2id$...)",
        );
        check("[[user]]\nnaem = \"a\"", "2: user: naem: there is no such key (did you mean 'name'?)");
        check(
            &format!("[[user]]\nname = \"a:b\"\npassword = \"{HASH}\""),
            "2: user: name: expected one without ':', and '@' in front means a group",
        );
        let one = format!("[[user]]\nname = \"a\"\npassword = \"{HASH}\"\n");
        check(&one.repeat(2), "4: user: name: there are two users called 'a'");
        check(
            "[[token]]\nname = \"a\"\nsha256 = \"hunter2\"",
            "3: token: sha256: expected the 64 hexadecimal digits that `thalweg hash-token` prints",
        );
        check(
            "[[rule]]\npath = \"a\"\nread = \"evryone\"",
            "3: rule: read: expected \"everyone\", \"signed in\", or users and groups such as [\"ann\", \"@ocean\"]",
        );
        check(
            "[[rule]]\npath = \"../a\"\nread = []",
            "2: rule: path: '../a' cannot be in a URL: the path holds '..' or '.'",
        );
        check(
            "[cors]\norigins = [\"*\"]",
            "2: cors.origins: '*' is no origin such as https://app.example.org",
        );
    }
}
