//! Connections: from a location and options to a client of the store, its credentials and its TLS.

use std::sync::{Arc, Once};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cdm::{Error, Result};
use object_store::{
    ClientOptions, HeaderMap, HeaderValue, ObjectStore, RetryConfig,
    aws::AmazonS3Builder,
    azure::MicrosoftAzureBuilder,
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
    gcp::GoogleCloudStorageBuilder,
    http as web,
};
use reqwest::redirect::Policy;
use url::Url;

use super::{
    failure::{NoCredentials, Refusal, without_secrets},
    location::{Kind, Location},
    options::{RemoteOptions, Secret, StoreOptions},
};

/// Times that a server may send us on within itself.
const MOST_REDIRECTS: usize = 5;

const NO_CERTIFICATES: &str =
    "there are no certificates of authorities on this system: install ca-certificates or set SSL_CERT_FILE";

/// A client of the store at `location`. Makes no request.
///
/// # Errors
/// `BadRequest` when the options do not fit the store; `Storage` when TLS cannot be set up.
pub(super) fn connect(location: &Location, options: &RemoteOptions) -> Result<Arc<dyn ObjectStore>> {
    let store = options.store(&location.shown);
    let wrong = |why: String| Error::bad_request(format!("cannot use {}: {why}", location.shown));
    let (said, allowed) = said_of_s3(location.kind);
    let at = match (store.endpoint.as_ref().or(said.as_ref()), location.kind) {
        (Some(endpoint), Kind::S3 | Kind::Azure | Kind::Google) => {
            let url = Url::parse(endpoint).ok().filter(Url::has_host);
            Some(url.ok_or_else(|| wrong("its endpoint is not a URL such as http://127.0.0.1:9000".into()))?)
        }
        (_, Kind::Http) => Some(location.url.clone()),
        (None, _) => None,
    };
    let unencrypted = at.as_ref().is_some_and(|url| url.scheme() == "http");
    if unencrypted && !store.allow_http.unwrap_or(allowed) && !at.as_ref().is_some_and(is_here) {
        return Err(wrong("the connection would not be encrypted: set allow_http, or use https".to_owned()));
    }
    install_tls();
    let mut headers = HeaderMap::new();
    if let Some(authorization) = authorization(location, &store) {
        headers.insert("authorization", authorization?);
    }
    let connector = match Connector::new(options, headers, unencrypted) {
        Ok(connector) => connector,
        Err(e) if no_certificates(&e) => return Err(wrong(NO_CERTIFICATES.to_owned())),
        Err(e) => return Err(Error::storage("cannot set up connections", e)),
    };
    let client = ClientOptions::new().with_allow_http(unencrypted);
    // Ours are made above, where the whole operation and its deadline are known.
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let anonymous = store.anonymous.unwrap_or(false);
    let built: object_store::Result<Arc<dyn ObjectStore>> = match location.kind {
        Kind::S3 => {
            s3(location, &store, (client, connector), retry, anonymous).build().map(|s| Arc::new(s) as _)
        }
        Kind::Google => {
            google(location, &store, (client, connector), retry, anonymous).build().map(|s| Arc::new(s) as _)
        }
        Kind::Azure => {
            azure(location, &store, (client, connector), retry, anonymous).build().map(|s| Arc::new(s) as _)
        }
        Kind::Http => web::HttpBuilder::new()
            .with_url(&location.url[..url::Position::BeforePath])
            .with_client_options(client)
            .with_retry(retry)
            .with_http_connector(connector)
            .build()
            .map(|s| Arc::new(s) as _),
    };
    built.map_err(|e| wrong(without_secrets(&e)))
}

/// Variables of the environment that belong to a kind of store.
fn environment(prefix: &'static str) -> impl Iterator<Item = (String, String)> {
    let all = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    all.filter(move |(key, _)| key.starts_with(prefix)).map(|(key, value)| (key.to_ascii_lowercase(), value))
}

/// The endpoint that the environment gives for S3, and whether it may be unencrypted.
fn said_of_s3(kind: Kind) -> (Option<String>, bool) {
    let value = |key: &str| environment("AWS_").find(|(name, _)| name == key).map(|(_, value)| value);
    if kind != Kind::S3 {
        return (None, false);
    }
    let endpoint = ["aws_endpoint_url_s3", "aws_endpoint_url", "aws_endpoint"].into_iter().find_map(value);
    (endpoint, value("aws_allow_http").is_some_and(|text| text == "true"))
}

fn s3(
    location: &Location,
    store: &StoreOptions,
    (client, connector): (ClientOptions, Connector),
    retry: RetryConfig,
    anonymous: bool,
) -> AmazonS3Builder {
    use object_store::aws::AmazonS3ConfigKey as Key;
    let mut builder = AmazonS3Builder::new().with_client_options(client);
    let own = store.access_key_id.is_some() || store.secret_access_key.is_some();
    for (name, value) in environment("AWS_") {
        let Ok(key) = name.parse() else { continue };
        let of_credentials = matches!(key, Key::AccessKeyId | Key::SecretAccessKey | Key::Token);
        let of_endpoint = matches!(key, Key::Endpoint | Key::S3Endpoint) && store.endpoint.is_some();
        if !(own && of_credentials || of_endpoint) {
            builder = builder.with_config(key, value);
        }
    }
    builder = builder.with_url(location.url.as_str()).with_retry(retry).with_http_connector(connector);
    if let Some(endpoint) = &store.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &store.region {
        builder = builder.with_region(region);
    }
    if let Some(id) = &store.access_key_id {
        builder = builder.with_access_key_id(id);
    }
    if let Some(secret) = &store.secret_access_key {
        builder = builder.with_secret_access_key(secret.reveal());
    }
    if let Some(token) = &store.session_token {
        builder = builder.with_token(token.reveal());
    }
    if let Some(yes) = store.virtual_hosted {
        builder = builder.with_virtual_hosted_style_request(yes);
    }
    if anonymous { builder.with_skip_signature(true) } else { builder }
}

fn google(
    location: &Location,
    store: &StoreOptions,
    (client, connector): (ClientOptions, Connector),
    retry: RetryConfig,
    anonymous: bool,
) -> GoogleCloudStorageBuilder {
    let mut builder = GoogleCloudStorageBuilder::new().with_client_options(client);
    for (name, value) in environment("GOOGLE_") {
        // The last one is how Google's own tools name it.
        match name.parse() {
            Ok(key) => builder = builder.with_config(key, value),
            Err(_) if name == "google_service_account_file" => {
                builder = builder.with_service_account_path(value);
            }
            Err(_) => {}
        }
    }
    builder = builder.with_url(location.url.as_str()).with_retry(retry).with_http_connector(connector);
    if let Some(endpoint) = &store.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    if let Some(path) = &store.service_account {
        builder = builder.with_service_account_path(path);
    }
    if anonymous { builder.with_skip_signature(true) } else { builder }
}

fn azure(
    location: &Location,
    store: &StoreOptions,
    (client, connector): (ClientOptions, Connector),
    retry: RetryConfig,
    anonymous: bool,
) -> MicrosoftAzureBuilder {
    let mut builder = MicrosoftAzureBuilder::new().with_client_options(client);
    for (name, value) in environment("AZURE_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    builder = builder.with_url(location.url.as_str()).with_retry(retry).with_http_connector(connector);
    if let Some(endpoint) = &store.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if let Some(account) = &store.account {
        builder = builder.with_account(account);
    }
    if let Some(key) = &store.account_key {
        builder = builder.with_access_key(key.reveal());
    }
    if anonymous { builder.with_skip_signature(true) } else { builder }
}

/// What an HTTP server is told of us: the token, or user and password.
fn authorization(location: &Location, store: &StoreOptions) -> Option<Result<HeaderValue>> {
    if location.kind != Kind::Http {
        return None;
    }
    let text = match (&store.bearer_token, &location.user) {
        (Some(token), _) => Secret::new(format!("Bearer {}", token.reveal())),
        (None, Some((user, password))) => {
            Secret::new(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
        }
        (None, None) => return None,
    };
    let value = HeaderValue::from_str(text.reveal()).ok();
    Some(value.map_or_else(
        || Err(Error::bad_request(format!("the token for {} holds what no header may", location.store))),
        |mut value| {
            value.set_sensitive(true);
            Ok(value)
        },
    ))
}

/// Whether a URL leads to this machine.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The one provider of cryptography for TLS, once for the process.
fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Somebody else's choice is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Whether TLS could not be set up for want of certificates.
fn no_certificates(error: &reqwest::Error) -> bool {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = at {
        if matches!(e.downcast_ref(), Some(rustls::Error::General(_))) {
            return true;
        }
        at = e.source();
    }
    false
}

/// Makes connections that turn answers which mean failure into errors, whatever the store.
#[derive(Debug)]
struct Connector(reqwest::Client);

impl Connector {
    fn new(options: &RemoteOptions, headers: HeaderMap, unencrypted: bool) -> reqwest::Result<Self> {
        let mut client = reqwest::Client::builder()
            .user_agent(concat!("thalweg/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .https_only(!unencrypted)
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.read_timeout)
            // Whoever is sent elsewhere may be sent to what only we can reach (promise R15).
            .redirect(Policy::custom(|attempt| {
                let here = attempt.previous().last().is_some_and(|from| is_same_server(from, attempt.url()));
                if here && attempt.previous().len() <= MOST_REDIRECTS {
                    attempt.follow()
                } else {
                    attempt.stop()
                }
            }));
        if unencrypted {
            // Certificates that nothing needs may not be there.
            client = client.tls_certs_only([]);
        }
        client.build().map(Self)
    }
}

fn is_same_server(from: &Url, to: &Url) -> bool {
    from.origin() == to.origin()
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Connection(HttpClient::new(self.0.clone()))))
    }
}

#[derive(Debug)]
struct Connection(HttpClient);

#[async_trait]
impl HttpService for Connection {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_properties = request.method().as_str() == "PROPFIND";
        let has_range = request.headers().contains_key("range");
        // What every list request of S3, Google and Azure has in its query.
        let is_list =
            request.uri().query().is_some_and(|q| q.contains("list-type=") || q.contains("comp=list"));
        let is_for_credentials = matches!(
            request.uri().host(),
            Some("169.254.169.254" | "169.254.170.2" | "metadata.google.internal" | "metadata")
        );
        let answer = match self.0.execute(request).await {
            Ok(answer) => answer,
            Err(e) if is_for_credentials => {
                return Err(HttpError::new(HttpErrorKind::Unknown, NoCredentials(Some(e))));
            }
            Err(e) => return Err(e),
        };
        let status = answer.status().as_u16();
        if is_for_credentials && status >= 300 {
            return Err(HttpError::new(HttpErrorKind::Unknown, NoCredentials(None)));
        }
        let refusal = match status {
            _ if is_for_credentials => None,
            500.. | 429 | 408 => Some(Refusal::Failing(status)),
            416 => Some(Refusal::Range),
            400.. if is_properties && status != 404 => Some(Refusal::Listing),
            401 | 403 => Some(Refusal::Denied),
            404 if is_list => Some(Refusal::Store),
            300..400 if answer.headers().contains_key("location") => Some(Refusal::Elsewhere),
            200 if has_range => Some(Refusal::Ranges),
            _ => None,
        };
        match refusal {
            Some(refusal) => Err(HttpError::new(HttpErrorKind::Unknown, refusal)),
            None => Ok(answer),
        }
    }
}
