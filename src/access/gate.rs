//! Who asks: what an `Authorization` header shows.

use std::{net::IpAddr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header};
use ring::digest;
use subtle::ConstantTimeEq;

use super::{
    Settings,
    failures::Failures,
    jwt::Jwt,
    password::{Passwords, Verdict},
    rules::{Caller, User},
};

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// What was shown is not good.
    Unknown,
    /// It was not good too often; to be tried again after this time.
    TooOften(Duration),
    /// Too many are being looked at.
    Busy,
}

/// Finds out who asks.
#[derive(Debug)]
pub(super) struct Gate {
    users: Vec<(Arc<User>, String)>,
    tokens: Vec<(Arc<User>, [u8; 32])>,
    passwords: Passwords,
    failures: Failures,
    jwt: Option<Jwt>,
}

impl Gate {
    pub(super) fn new(settings: &Settings, keys: Option<&[u8]>) -> Result<Self, String> {
        let named =
            |name: &str, groups: &[String]| Arc::new(User { name: name.to_owned(), groups: groups.to_vec() });
        let users =
            settings.users.iter().map(|u| (named(&u.name, &u.groups), u.password.reveal().to_owned()));
        let tokens = settings.tokens.iter().map(|t| (named(&t.name, &t.groups), t.sha256));
        let jwt = &settings.oidc;
        let jwt = (!jwt.issuer.is_empty()).then(|| Jwt::new(jwt, keys)).transpose()?;
        Ok(Self {
            users: users.collect(),
            tokens: tokens.collect(),
            passwords: Passwords::new()?,
            failures: Failures::default(),
            jwt,
        })
    }

    /// The schemes of HTTP that somebody can sign in by.
    pub(super) fn schemes(&self) -> &[&'static str] {
        match (self.users.is_empty(), self.tokens.is_empty() && self.jwt.is_none()) {
            (false, false) => &["Basic", "Bearer"],
            (false, true) => &["Basic"],
            (true, _) => &["Bearer"],
        }
    }

    /// Who sent `headers` from `address`.
    pub(super) async fn caller(&self, headers: &HeaderMap, address: IpAddr) -> Result<Caller, Refusal> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let Some(first) = given.next() else { return Ok(Caller::Anyone) };
        let shown =
            first.to_str().ok().filter(|_| given.next().is_none()).and_then(|text| text.split_once(' '));
        let Some((scheme, shown)) = shown else { return Err(self.refused(address, "it is no one header")) };
        let shown = shown.trim();
        if scheme.eq_ignore_ascii_case("basic") {
            self.basic(shown, address).await
        } else if scheme.eq_ignore_ascii_case("bearer") {
            self.bearer(shown, address).await
        } else {
            Err(self.refused(address, "its scheme is neither Basic nor Bearer"))
        }
    }

    async fn basic(&self, shown: &str, address: IpAddr) -> Result<Caller, Refusal> {
        let decoded = STANDARD.decode(shown).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((name, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) else {
            return Err(self.refused(address, "it has no name and password"));
        };
        let found = self.users.iter().find(|(user, _)| user.name == name);
        if let Some((user, hash)) = found
            && self.passwords.is_remembered(name, hash, password)
        {
            return Ok(Caller::Known(Arc::clone(user)));
        }
        if let Some(wait) = self.failures.wait(address) {
            return Err(Refusal::TooOften(wait));
        }
        match self.passwords.verify(name, found.map(|(_, hash)| hash.as_str()), password).await {
            Verdict::Right => found.map(|(user, _)| Caller::Known(Arc::clone(user))).ok_or(Refusal::Unknown),
            Verdict::Wrong => Err(self.refused(address, "its name or password is wrong")),
            Verdict::Busy => Err(Refusal::Busy),
        }
    }

    async fn bearer(&self, shown: &str, address: IpAddr) -> Result<Caller, Refusal> {
        let digest = digest::digest(&digest::SHA256, shown.as_bytes());
        // All of them, so that the time tells nothing.
        let mut found = None;
        for (user, hash) in &self.tokens {
            if bool::from(hash.as_slice().ct_eq(digest.as_ref())) {
                found = Some(user);
            }
        }
        if let Some(user) = found {
            return Ok(Caller::Known(Arc::clone(user)));
        }
        if let Some(wait) = self.failures.wait(address) {
            return Err(Refusal::TooOften(wait));
        }
        let Some(jwt) = self.jwt.as_ref().filter(|_| shown.split('.').count() == 3) else {
            return Err(self.refused(address, "nobody has this token"));
        };
        match jwt.check(shown).await {
            Ok(user) => Ok(Caller::Known(Arc::new(user))),
            Err(why) => Err(self.refused(address, why)),
        }
    }

    fn refused(&self, address: IpAddr, why: &'static str) -> Refusal {
        self.failures.count(address);
        tracing::warn!(target: "thalweg::audit", client = %address, why, "an authorization was refused");
        Refusal::Unknown
    }
}
