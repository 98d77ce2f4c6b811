//! The public keys of an identity provider: from a file, or fetched and kept for a while.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::JwkSet;
use tokio::sync::Mutex;

use super::jwt::key_set;

/// How long fetched keys are good without a look for newer ones.
const FRESH: Duration = Duration::from_secs(3600);

/// Looks are at least so far apart, whatever tokens name.
const APART: Duration = Duration::from_secs(30);

/// A fetch takes no longer, and no more.
const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: usize = 256 << 10;

/// Where keys come from.
#[derive(Debug)]
pub(super) enum KeySource {
    Fixed(Arc<JwkSet>),
    Url(String),
}

impl KeySource {
    /// Keys that are fetched by https, or without it from this machine.
    pub(super) fn url(url: &str) -> Result<Self, String> {
        const EXPECTED: &str = "oidc.keys: expected a file, or a URL such as https://id.example.org/keys";
        let uri: http::Uri = url.parse().or(Err(EXPECTED.to_owned()))?;
        let host = uri.host().unwrap_or_default();
        let is_here = host == "localhost" || host == "127.0.0.1" || host == "[::1]";
        match uri.scheme_str() {
            Some("https") => Ok(Self::Url(url.to_owned())),
            Some("http") if is_here => Ok(Self::Url(url.to_owned())),
            Some("http") => {
                Err("oidc.keys: keys that come unencrypted may be anybody's; use https".to_owned())
            }
            _ => Err(EXPECTED.to_owned()),
        }
    }
}

/// The keys as they are known.
#[derive(Debug)]
pub(super) struct Keys {
    source: KeySource,
    fetched: ArcSwapOption<(Arc<JwkSet>, Instant)>,
    /// When they were last looked for.
    looked: Mutex<Option<Instant>>,
}

impl Keys {
    pub(super) fn new(source: KeySource) -> Self {
        Self { source, fetched: ArcSwapOption::empty(), looked: Mutex::new(None) }
    }

    /// The keys, looked for again when the one called `id` is not among them; `None`: they cannot be had.
    pub(super) async fn having(&self, id: Option<&str>) -> Option<Arc<JwkSet>> {
        let url = match &self.source {
            KeySource::Fixed(set) => return Some(Arc::clone(set)),
            KeySource::Url(url) => url,
        };
        if let Some(set) = self.good(id) {
            return Some(set);
        }
        // One looks, the others wait for what it finds.
        let mut looked = self.looked.lock().await;
        if self.good(id).is_none() && looked.is_none_or(|at| at.elapsed() >= APART) {
            *looked = Some(Instant::now());
            match fetch(url).await {
                Ok(set) => self.fetched.store(Some(Arc::new((set, Instant::now())))),
                Err(why) => {
                    tracing::warn!(why, "the keys of the identity provider cannot be fetched (oidc.keys)");
                }
            }
        }
        // Old ones are better than none: the provider may be down for a while.
        self.fetched.load_full().map(|kept| Arc::clone(&kept.0))
    }

    fn good(&self, id: Option<&str>) -> Option<Arc<JwkSet>> {
        let kept = self.fetched.load_full()?;
        let has = id.is_none_or(|id| kept.0.find(id).is_some());
        (has && kept.1.elapsed() < FRESH).then(|| Arc::clone(&kept.0))
    }
}

async fn fetch(url: &str) -> Result<Arc<JwkSet>, &'static str> {
    // Somebody else's choice is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .user_agent(concat!("thalweg/", env!("CARGO_PKG_VERSION")))
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    let client = client.build().or(Err("TLS cannot be set up"))?;
    let mut answer = client.get(url).send().await.or(Err("no answer"))?;
    if !answer.status().is_success() {
        return Err("the answer is an error");
    }
    let mut text = Vec::new();
    while let Some(part) = answer.chunk().await.or(Err("the answer was cut"))? {
        if text.len() + part.len() > LARGEST {
            return Err("the answer is too long");
        }
        text.extend_from_slice(&part);
    }
    key_set(&text).ok_or("the answer is no JWKS")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A service of keys at an address of this machine that says `answer`, and how often it was asked.
    async fn service(answer: String) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        (url, asked)
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    const SET: &str = r#"{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}"#;

    #[tokio::test]
    async fn keys_are_fetched_once_however_many_ask_for_whatever() {
        let (url, asked) = service(ok(SET)).await;
        let keys = Keys::new(KeySource::url(&url).unwrap());
        let all = futures::future::join_all((0..50).map(|_| keys.having(Some("a")))).await;
        assert!(all.iter().all(|set| set.as_ref().is_some_and(|set| set.find("a").is_some())));
        // One that is not known is looked for, and not again and again.
        for id in ["b", "c", "d"] {
            assert!(keys.having(Some(id)).await.is_some_and(|set| set.find(id).is_none()));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_is_no_set_of_keys_is_none() {
        let elsewhere = service(ok(SET)).await.0;
        for answer in [
            ok("{}"),
            ok("<html>"),
            ok(&format!("{{\"x\":\"{}\",{}", "y".repeat(LARGEST), &SET[1..])),
            "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_owned(),
            format!("HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{".to_owned(),
            String::new(),
        ] {
            let (url, _) = service(answer.clone()).await;
            let keys = Keys::new(KeySource::url(&url).unwrap());
            let begin: String = answer.chars().take(60).collect();
            assert!(keys.having(Some("a")).await.is_none(), "{begin}");
        }
    }
}
