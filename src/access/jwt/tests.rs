//! Tokens that are good, and each thing that makes one bad.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use serde_json::json;

use super::*;

/// An RSA key whose other half is gone, and a token that it signed, which is good until 2100.
const MODULUS: &[&str] = &[
    "pYJ8wR41FGnY9Y3r31jOJwxlR9AIJVvSp60RjJ5li9mdreWb93DLYTH1gyXoNmgzyffZTlv3_H5fukv8Luh1J02qh3mJLCKLfk8F",
    "qkPqT1eXz4QQWE0IVumju7HSGoZ7NDYWVyTRbum0Gk8CQwEOb8gi9jjEODm1vzwI1u3wFiO4VZVkwxidC3UOh4dBE5-gAyYl1SlF",
    "WQwKa26TwmHA1KkdslMvAuLyk2RrjA1peOCSoh2cbV4bj3sZn-pQLs1OAdHQ9ltdhAd5LEVyZkE7P1ZXTAFmkElVXim4yJtdy9Fn",
    "3bhqF_RMDUWvqB39A_ZgWktjmVb0RWtAASjT4Yv44Q",
];
const SIGNED: &[&str] = &[
    "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInIxIiwgInR5cCI6ICJKV1QifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC5leGFtcGxlLm9yZ",
    "yIsICJhdWQiOiAidGhhbHdlZyIsICJzdWIiOiAicml0YSIsICJleHAiOiA0MTAyNDQ0ODAwLCAiZ3JvdXBzIjogWyJvY2VhbiJdf",
    "Q.oL7NJNqcqx2M2S87nnJCq7R3k58PFC8Ga6YnaV7wwjzkBk3D3kMN1K0GBYtAfPF3vYtzWOTCtL21drPT2PjiM-ZFy_TEV_5hYu",
    "3SAbpMQL1ciGJooHsYVO4QvFkXawkJYZcNVjrwZITMqqGGVFXTYabwpe_DE4wBHK1VATZKyaV6L-7Zc4_LK8gZj8qjnpcdiTMFY6",
    "azShmP8YC-MXVf5xKuz0C7urx0kkl8ihVPhFbYs7LWYaC5-yMTz6hbIjc9MgAlrvYACA0UlnOu39cvZ-V85bB12EI-XCZTcgpWe6",
    "14Qcf8MdIbvFyscCWV9npFL9vnuYTeSeaLBFPugkzsEA",
];

struct Provider {
    curve: EcdsaKeyPair,
    edwards: Ed25519KeyPair,
}

fn coded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

impl Provider {
    fn new() -> Self {
        let random = SystemRandom::new();
        let curve = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let curve =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, curve.as_ref(), &random).unwrap();
        let edwards = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        Self { curve, edwards: Ed25519KeyPair::from_pkcs8(edwards.as_ref()).unwrap() }
    }

    fn point(&self) -> (String, String) {
        let point = self.curve.public_key().as_ref();
        (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]))
    }

    fn keys(&self) -> Value {
        let (x, y) = self.point();
        json!({ "keys": [
            { "kty": "oct", "kid": "o1", "k": URL_SAFE_NO_PAD.encode("secret") },
            { "kty": "strange", "kid": "s1" },
            { "kty": "EC", "crv": "P-256", "kid": "e1", "alg": "ES256", "use": "sig", "x": x, "y": y },
            { "kty": "OKP", "crv": "Ed25519", "kid": "d1", "x": URL_SAFE_NO_PAD.encode(self.edwards.public_key()) },
            { "kty": "RSA", "kid": "r1", "n": MODULUS.concat(), "e": "AQAB" },
        ]})
    }

    fn jwt(&self, settings: &OidcSettings) -> Jwt {
        Jwt::new(settings, Some(self.keys().to_string().as_bytes())).unwrap()
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", coded(header), coded(claims));
        let signature = match header["alg"].as_str().unwrap() {
            "ES256" => self.curve.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec(),
            "EdDSA" => self.edwards.sign(message.as_bytes()).as_ref().to_vec(),
            // The public key as a secret, as who forges one would have it.
            "HS256" => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.curve.public_key().as_ref());
                hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
            }
            _ => Vec::new(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn settings() -> OidcSettings {
    OidcSettings {
        issuer: "https://id.example.org".to_owned(),
        audience: "thalweg".to_owned(),
        algorithms: ["RS256", "ES256", "EdDSA"].map(str::to_owned).to_vec(),
        ..OidcSettings::default()
    }
}

fn claims() -> Value {
    let now = jsonwebtoken::get_current_timestamp();
    json!({ "iss": "https://id.example.org", "aud": ["thalweg", "other"], "sub": "eva", "exp": now + 300,
            "groups": ["ocean", 3], "realm_access": { "roles": ["ice"] } })
}

/// `claims` with `key` set; without it for null.
fn with(key: &str, value: &Value) -> Value {
    let mut claims = claims();
    let object = claims.as_object_mut().unwrap();
    object.insert(key.to_owned(), value.clone());
    if value.is_null() {
        object.remove(key);
    }
    claims
}

#[tokio::test]
async fn good_tokens_name_a_user_and_groups() {
    let provider = Provider::new();
    let jwt = provider.jwt(&settings());
    let expect = User { name: "eva".to_owned(), groups: vec!["ocean".to_owned()] };
    for header in [
        json!({ "alg": "ES256", "kid": "e1" }),
        json!({ "alg": "ES256" }),
        json!({ "alg": "EdDSA", "kid": "d1", "typ": "JWT" }),
    ] {
        assert_eq!(jwt.check(&provider.sign(&header, &claims())).await, Ok(expect.clone()), "{header}");
    }
    let rita = User { name: "rita".to_owned(), groups: vec!["ocean".to_owned()] };
    assert_eq!(jwt.check(&SIGNED.concat()).await, Ok(rita));
    let nested = OidcSettings { groups_claim: "realm_access.roles".to_owned(), ..settings() };
    let found = provider.jwt(&nested).check(&provider.sign(&json!({ "alg": "ES256" }), &claims())).await;
    assert_eq!(found.map(|user| user.groups), Ok(vec!["ice".to_owned()]));
}

#[tokio::test]
async fn each_thing_that_is_wrong_is_refused() {
    let provider = Provider::new();
    let jwt = provider.jwt(&settings());
    let now = jsonwebtoken::get_current_timestamp();
    let es = json!({ "alg": "ES256", "kid": "e1" });
    for wrong in [
        with("iss", &json!("https://evil.example.org")),
        with("iss", &Value::Null),
        with("aud", &json!("another")),
        with("aud", &Value::Null),
        with("aud", &json!([])),
        with("exp", &json!(now - 60)),
        with("exp", &Value::Null),
        with("exp", &json!("4102444800")),
        with("exp", &json!(-1)),
        with("nbf", &json!(now + 600)),
        with("nbf", &json!("0")),
        with("sub", &Value::Null),
        with("sub", &json!("")),
        with("sub", &json!(5)),
    ] {
        assert!(jwt.check(&provider.sign(&es, &wrong)).await.is_err(), "{wrong}");
    }
    for header in [
        // No signature, and the public key as a secret.
        json!({ "alg": "none" }),
        json!({ "alg": "None", "kid": "e1" }),
        json!({ "alg": "HS256", "kid": "e1" }),
        json!({ "alg": "HS256", "kid": "o1" }),
        json!({ "alg": "HS256" }),
        // Another's key, a key of another kind, one that there is not.
        json!({ "alg": "ES256", "kid": "d1" }),
        json!({ "alg": "EdDSA", "kid": "e1" }),
        json!({ "alg": "ES256", "kid": "r1" }),
        json!({ "alg": "ES256", "kid": "x" }),
        json!({ "alg": "ES384", "kid": "e1" }),
    ] {
        assert!(jwt.check(&provider.sign(&header, &claims())).await.is_err(), "{header}");
    }
    let good = provider.sign(&es, &claims());
    let other = Provider::new().sign(&es, &claims());
    let (body, _) = good.rsplit_once('.').unwrap();
    let tampered = format!(
        "{}.{}.{}",
        coded(&es),
        coded(&with("sub", &json!("root"))),
        good.rsplit('.').next().unwrap()
    );
    let unsigned = format!("{body}.");
    for token in [other.as_str(), &tampered, &unsigned, body, "", "..", "a.b.c", &"x.".repeat(20_000)] {
        assert!(jwt.check(token).await.is_err(), "{token}");
    }
    // Allowed alone counts.
    let strict = provider.jwt(&OidcSettings { algorithms: vec!["RS256".to_owned()], ..settings() });
    assert_eq!(strict.check(&good).await, Err("its algorithm is not allowed"));
    assert!(jwt.check(&good).await.is_ok());
}

#[test]
fn settings_that_would_let_anybody_in_are_refused() {
    let check = |settings: OidcSettings, keys: Option<&str>| {
        Jwt::new(&settings, keys.map(str::as_bytes)).unwrap_err()
    };
    let keys = Provider::new().keys().to_string();
    assert!(
        check(OidcSettings { audience: String::new(), ..settings() }, Some(&keys)).contains("oidc.audience")
    );
    for algorithm in ["none", "HS256", "rs256"] {
        let settings =
            OidcSettings { algorithms: vec!["RS256".to_owned(), algorithm.to_owned()], ..settings() };
        assert!(check(settings, Some(&keys)).contains("oidc.algorithms"));
    }
    assert!(check(settings(), Some("{}")).contains("no JWKS"));
    assert!(check(settings(), Some(r#"{"keys":[{"kty":"oct","k":"YQ"}]}"#)).contains("no JWKS"));
    for url in ["http://id.example.org/keys", "ftp://h/x", ""] {
        assert!(
            check(OidcSettings { keys: url.to_owned(), ..settings() }, None).contains("oidc.keys"),
            "{url}"
        );
    }
}
