//! Tokens of an identity provider (OIDC): JWTs, checked against its public keys.
//!
//! What a token says of itself is believed as far as the settings allow: its algorithm must be one of theirs, all of
//! which are asymmetric, and one of the key it names. So `none`, and a public key used as the secret of an HMAC, are
//! refused before any signature is looked at.

use std::sync::Arc;

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse},
};
use serde_json::{Map, Value};

use super::{
    keys::{KeySource, Keys},
    rules::User,
    verify,
};

/// Longer tokens are not looked at.
const LONGEST: usize = 16 << 10;

/// Difference of clocks that is put up with, in seconds.
const LEEWAY: u64 = 30;

/// Groups of one user that are looked at.
const MOST_GROUPS: usize = 1000;

/// The algorithms that may be allowed, as tokens name them.
pub const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// An identity provider, as it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcSettings {
    /// What tokens must say is their issuer; empty: there is none.
    pub issuer: String,
    /// What they must say is their audience: this server.
    pub audience: String,
    /// Where the provider's public keys are: a file or a URL with a JWKS.
    pub keys: String,
    /// Algorithms of signatures that are believed.
    pub algorithms: Vec<String>,
    /// The claim that is the user's name.
    pub user_claim: String,
    /// The claim that has the user's groups; a dot leads into an object.
    pub groups_claim: String,
}

impl Default for OidcSettings {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: String::new(),
            keys: String::new(),
            algorithms: vec!["RS256".to_owned(), "ES256".to_owned()],
            user_claim: "sub".to_owned(),
            groups_claim: "groups".to_owned(),
        }
    }
}

/// Checks tokens of one provider.
#[derive(Debug)]
pub(super) struct Jwt {
    settings: OidcSettings,
    algorithms: Vec<Algorithm>,
    keys: Keys,
}

impl Jwt {
    /// With the keys of the file that `settings` name, read already, or else fetched when they are needed.
    ///
    /// # Errors
    /// What is missing, with the name of its setting.
    pub(super) fn new(settings: &OidcSettings, file: Option<&[u8]>) -> Result<Self, String> {
        if settings.audience.is_empty() {
            return Err("oidc.audience is missing: what tokens for this server say it is".to_owned());
        }
        let known =
            |name: &String| ALGORITHMS.iter().find(|(n, _)| n == name).map(|(_, algorithm)| *algorithm);
        let algorithms: Vec<Algorithm> = settings.algorithms.iter().filter_map(known).collect();
        if algorithms.is_empty() || algorithms.len() != settings.algorithms.len() {
            let all: Vec<&str> = ALGORITHMS.iter().map(|(name, _)| *name).collect();
            return Err(format!("oidc.algorithms are among {}", all.join(", ")));
        }
        let source = match file {
            Some(text) => KeySource::Fixed(key_set(text).ok_or("oidc.keys: the file is no JWKS")?),
            None => KeySource::url(&settings.keys)?,
        };
        verify::install();
        Ok(Self { settings: settings.clone(), algorithms, keys: Keys::new(source) })
    }

    /// Who `token` says its bearer is, if it is good now.
    pub(super) async fn check(&self, token: &str) -> Result<User, &'static str> {
        if token.len() > LONGEST {
            return Err("it is too long");
        }
        let header = decode_header(token).or(Err("it is no JWT"))?;
        if !self.algorithms.contains(&header.alg) {
            return Err("its algorithm is not allowed");
        }
        let set = self.keys.having(header.kid.as_deref()).await.ok_or("there are no keys to check it by")?;
        let fits = |key: &&Jwk| header.kid.is_none() || key.common.key_id == header.kid;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&[&self.settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        let mut why = "no key is its own";
        for key in set.keys.iter().filter(fits).filter(|key| is_for(key, header.alg)) {
            let Ok(key) = DecodingKey::from_jwk(key) else { continue };
            match decode::<Map<String, Value>>(token, &key, &validation) {
                Ok(found) => return self.user(&found.claims),
                Err(e) => why = reason(e.kind()),
            }
        }
        Err(why)
    }

    fn user(&self, claims: &Map<String, Value>) -> Result<User, &'static str> {
        let name = at(claims, &self.settings.user_claim).and_then(Value::as_str);
        let name =
            name.filter(|name| !name.is_empty() && name.len() <= 256).ok_or("it does not name a user")?;
        let groups = match at(claims, &self.settings.groups_claim) {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(all)) => {
                all.iter().take(MOST_GROUPS).filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        Ok(User { name: name.to_owned(), groups })
    }
}

/// The claim of this name; else along its dots.
fn at<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(name) {
        return Some(found);
    }
    let (first, rest) = name.split_once('.')?;
    at(claims.get(first)?.as_object()?, rest)
}

/// Why a token is refused, for the log: words of ours alone.
fn reason(kind: &jsonwebtoken::errors::ErrorKind) -> &'static str {
    use jsonwebtoken::errors::ErrorKind as K;
    match kind {
        K::ExpiredSignature => "its time is over",
        K::ImmatureSignature => "its time has not come",
        K::InvalidIssuer => "it is of another issuer",
        K::InvalidAudience => "it is for another audience",
        K::MissingRequiredClaim(_) | K::InvalidClaimFormat(_) => "it lacks a claim",
        K::InvalidSignature => "its signature is wrong",
        _ => "it cannot be read",
    }
}

/// The keys of a JWKS that are public and of a kind that is known.
pub(super) fn key_set(text: &[u8]) -> Option<Arc<JwkSet>> {
    let Value::Object(mut whole) = serde_json::from_slice(text).ok()? else { return None };
    let Some(Value::Array(keys)) = whole.remove("keys") else { return None };
    // One key of another kind does not make the others useless.
    let keys = keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let is_public = |key: &Jwk| {
        matches!(
            key.algorithm,
            AlgorithmParameters::RSA(_)
                | AlgorithmParameters::EllipticCurve(_)
                | AlgorithmParameters::OctetKeyPair(_)
        ) && !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption))
    };
    let keys: Vec<Jwk> = keys.filter(is_public).take(100).collect();
    (!keys.is_empty()).then(|| Arc::new(JwkSet { keys }))
}

/// Whether a key is one for signatures by `algorithm`.
fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
    use jsonwebtoken::jwk::EllipticCurve as Curve;
    let kind = match &key.algorithm {
        AlgorithmParameters::RSA(_) => matches!(
            algorithm,
            Algorithm::RS256
                | Algorithm::RS384
                | Algorithm::RS512
                | Algorithm::PS256
                | Algorithm::PS384
                | Algorithm::PS512
        ),
        AlgorithmParameters::EllipticCurve(parameters) => matches!(
            (&parameters.curve, algorithm),
            (Curve::P256, Algorithm::ES256) | (Curve::P384, Algorithm::ES384)
        ),
        AlgorithmParameters::OctetKeyPair(parameters) => {
            matches!((&parameters.curve, algorithm), (Curve::Ed25519, Algorithm::EdDSA))
        }
        _ => false,
    };
    let said = key.common.key_algorithm.as_ref();
    kind && said.is_none_or(|said| said.to_string() == format!("{algorithm:?}"))
}

#[cfg(test)]
mod tests;
