//! Who may read what: rules by name, who asks, and links that are signed. It knows neither data nor HTTP answers.
//!
//! Without a rule everything is everyone's, and nothing here is asked: [`Access::is_open`].

mod failures;
mod gate;
mod jwt;
mod keys;
mod links;
mod password;
mod rules;
mod verify;

use std::{fmt::Write as _, net::IpAddr, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use handlers::storage::Secret;
use http::HeaderMap;
use ring::{
    digest,
    rand::{SecureRandom as _, SystemRandom},
};

use self::gate::Gate;
pub use self::{
    gate::Refusal,
    jwt::{ALGORITHMS, OidcSettings},
    links::{LinkError, Links},
    password::{check_hash, hash},
    rules::{Caller, Readers, Rule, Rules, User},
};

/// A setting, and what is wrong with what it says; never a secret.
pub type Wrong = (&'static str, String);

/// Everything that is set about access.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Who has a password.
    pub users: Vec<Account>,
    /// Who has a token.
    pub tokens: Vec<Token>,
    /// Who may read what.
    pub rules: Vec<Rule>,
    /// Keys that links are signed with.
    pub signing_keys: Vec<Secret>,
    /// Files with such keys, one in each.
    pub signing_key_files: Vec<PathBuf>,
    /// An identity provider.
    pub oidc: OidcSettings,
}

/// A user with a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// As rules name them.
    pub name: String,
    /// The argon2id hash of the password.
    pub password: Secret,
    /// The groups they are in.
    pub groups: Vec<String>,
}

/// A bearer token, known by its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Whose it is, as rules name them.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// The groups they are in.
    pub groups: Vec<String>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

/// What files that the settings name hold.
#[derive(Default)]
pub struct Material {
    /// Keys that links are signed with, one of each file.
    pub signing_keys: Vec<Vec<u8>>,
    /// The public keys of the identity provider, when they are in a file.
    pub oidc_keys: Option<Vec<u8>>,
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Material(..)")
    }
}

/// What settings keep of a token: the hexadecimal digits of its SHA-256.
pub fn token_hash(token: &str) -> String {
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    let mut text = String::with_capacity(64);
    for byte in digest.as_ref() {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A secret of 32 random bytes, as text.
///
/// # Errors
/// When the system gives no random bytes.
pub fn new_secret() -> Result<String, String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).or(Err("the system gives no random bytes".to_owned()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Who may read what, and how they show who they are.
#[derive(Debug, Default)]
pub struct Access {
    rules: Rules,
    gate: Option<Gate>,
    links: Links,
}

impl Access {
    /// What `settings` amount to, with what is in the files they name.
    ///
    /// # Errors
    /// The table or setting at fault, and what is wrong.
    pub fn new(settings: &Settings, material: &Material) -> Result<Self, Wrong> {
        let set = settings.signing_keys.iter().map(|secret| secret.reveal().as_bytes());
        let links = Links::new(material.signing_keys.iter().map(Vec::as_slice).chain(set));
        let links = links.map_err(|e| ("signing.keys", e))?;
        let has_gate =
            !settings.users.is_empty() || !settings.tokens.is_empty() || !settings.oidc.issuer.is_empty();
        let gate = has_gate.then(|| Gate::new(settings, material.oidc_keys.as_deref())).transpose();
        Ok(Self {
            rules: Rules::new(settings.rules.iter().cloned()),
            gate: gate.map_err(|e| ("oidc.keys", e))?,
            links,
        })
    }

    /// Whether everything is everyone's, and nobody is asked who they are.
    pub fn is_open(&self) -> bool {
        self.rules.is_empty() && self.gate.is_none() && self.links.is_empty()
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The keys of signed links.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Whether who is refused something may show who they are.
    pub fn asks(&self) -> bool {
        self.gate.is_some() && !self.rules.is_empty()
    }

    /// The schemes of HTTP that somebody can sign in by.
    pub fn schemes(&self) -> &[&'static str] {
        self.gate.as_ref().map_or(&[], Gate::schemes)
    }

    /// Who sent `headers` from `address`.
    ///
    /// # Errors
    /// Why they are not let in.
    pub async fn caller(&self, headers: &HeaderMap, address: IpAddr) -> Result<Caller, Refusal> {
        match &self.gate {
            None => Ok(Caller::Anyone),
            Some(gate) => gate.caller(headers, address).await,
        }
    }
}
