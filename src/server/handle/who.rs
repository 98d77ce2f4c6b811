//! Who asks, and what is said to those who may not.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response as HttpResponse, StatusCode, header};

use super::{Call, Connection, METHODS, Port};
use crate::{
    access::{Caller, LinkError, Refusal},
    server::{
        error,
        live::Live,
        origin::client,
        respond::{Body, empty},
    },
};

/// Splits `path` behind the token of a signed link: `/~TOKEN` and the rest. Without keys there are no links.
pub(super) fn split<'p>(path: &'p str, live: &Live) -> (Option<&'p str>, &'p str) {
    let is_link = path.starts_with("/~") && !live.access.links().is_empty();
    let end = path.match_indices('/').nth(1).map(|(at, _)| at).filter(|_| is_link);
    match end.and_then(|end| path.split_at_checked(end)) {
        Some((link, rest)) => (Some(link), rest),
        None => (None, path),
    }
}

impl Call<'_> {
    /// Finds out who asks; what is said to those who are not let in.
    pub(super) async fn let_in(&mut self, connection: &Connection) -> Option<HttpResponse<Body>> {
        // Probes and what pages are made of are nobody's secret.
        if self.port == Port::Metrics || self.path.starts_with("/-/") || self.method == Method::OPTIONS {
            return None;
        }
        if let Some(token) = self.link.and_then(|link| link.strip_prefix("/~")) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let message = match self.live.access.links().check(token, now) {
                Ok(scope) => {
                    self.data = self.live.seen_by(Caller::Linked(scope.into()));
                    return None;
                }
                Err(LinkError::Expired) => {
                    "the time of this link is over; ask whoever gave it to you for a new one"
                }
                Err(LinkError::Invalid) => {
                    "this link is not valid; it may have been cut, or its key replaced"
                }
            };
            return Some(self.refusal(StatusCode::FORBIDDEN, message).await);
        }
        let address = client(&self.live.config, self.headers, connection.peer.ip());
        match self.live.access.caller(self.headers, address).await {
            Ok(Caller::Anyone) => self.may_sign_in = self.live.access.asks(),
            Ok(caller) => {
                self.warn_of_plain(connection);
                if let Caller::Known(user) = &caller {
                    self.user = Some(Arc::clone(user));
                }
                self.data = self.live.seen_by(caller);
            }
            Err(Refusal::Unknown) => {
                self.warn_of_plain(connection);
                return Some(self.challenge("what you signed in with is not known here").await);
            }
            Err(Refusal::TooOften(wait)) => {
                let message = "too many attempts to sign in failed; wait a minute";
                let mut response = self.refusal(StatusCode::TOO_MANY_REQUESTS, message).await;
                retry_after(response.headers_mut(), wait);
                return Some(response);
            }
            Err(Refusal::Busy) => {
                let message = "too many sign in at once; try again in a few seconds";
                return Some(self.refusal(StatusCode::SERVICE_UNAVAILABLE, message).await);
            }
        }
        None
    }

    async fn refusal(&self, status: StatusCode, message: &str) -> HttpResponse<Body> {
        self.plain(error::with_status(status, message, self.audience())).await
    }

    /// 401, with the ways to sign in that there are.
    pub(super) async fn challenge(&self, message: &str) -> HttpResponse<Body> {
        let mut response = self.refusal(StatusCode::UNAUTHORIZED, message).await;
        for scheme in self.live.access.schemes() {
            let value = format!("{scheme} realm=\"thalweg\", charset=\"UTF-8\"");
            let value = if *scheme == "Basic" { value } else { format!("{scheme} realm=\"thalweg\"") };
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().append(header::WWW_AUTHENTICATE, value);
            }
        }
        response
    }

    /// What has not been found may be there for who signs in: which of both is not said.
    pub(super) async fn not_found(&self, response: HttpResponse<Body>) -> HttpResponse<Body> {
        if !self.may_sign_in {
            return response;
        }
        let message = "there is nothing here for everyone; it may be there for those who sign in";
        Box::pin(self.challenge(message)).await
    }

    /// Passwords that others can read on their way are worth a word.
    fn warn_of_plain(&self, connection: &Connection) {
        let peer = connection.peer.ip();
        let is_near = peer.is_loopback() || self.live.config.trusted_proxies.iter().any(|p| p.contains(peer));
        if !connection.is_secure && !is_near && !self.live.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "somebody signed in over a connection that is not encrypted: set [tls], or serve behind a proxy that \
                 encrypts and is in trusted_proxies"
            );
        }
    }

    /// What browsers and caches may do with an answer: what not everybody is shown is for no shared cache, and for
    /// pages of named origins alone (promises R23, R24).
    pub(super) fn guard(&self, response: &mut HttpResponse<Body>) {
        let config = &self.live.config;
        if self.live.access.is_open() && config.cors_origins.is_empty() {
            return;
        }
        let refused = [
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::NOT_FOUND,
            StatusCode::TOO_MANY_REQUESTS,
        ];
        let is_refused = refused.contains(&response.status()) && !self.live.access.is_open();
        let is_personal = self.data.is_personal() || is_refused;
        let status = response.status();
        let headers = response.headers_mut();
        if is_personal {
            let is_error = status.is_client_error() || status.is_server_error();
            let value = if is_error { "private, no-cache" } else { "private" };
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
            headers.append(header::VARY, HeaderValue::from_static("Authorization"));
        }
        if !config.cors_origins.is_empty() || is_personal {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        match self.named_origin() {
            Some(origin) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            None if is_personal => {
                headers.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
                headers.remove(header::ACCESS_CONTROL_EXPOSE_HEADERS);
            }
            None => {}
        }
    }

    /// The origin of the page that asks, when it is one that the settings name.
    fn named_origin(&self) -> Option<&HeaderValue> {
        let origin = self.headers.get(header::ORIGIN)?;
        self.live
            .config
            .cors_origins
            .iter()
            .any(|named| named.as_bytes() == origin.as_bytes())
            .then_some(origin)
    }

    /// CORS preflight (promise R23): what everyone may read, pages of any origin may; what takes signing in, those of
    /// named origins.
    pub(super) fn options(&self) -> HttpResponse<Body> {
        let mut response = HttpResponse::new(empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let allowed = if self.named_origin().is_some() {
            "Authorization, Range, If-None-Match, If-Range, XDAP-Accept"
        } else {
            "Range, If-None-Match, If-Range, XDAP-Accept"
        };
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed)),
            (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400")),
        ] {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

fn retry_after(headers: &mut HeaderMap, wait: Duration) {
    const RETRY_AFTER: HeaderName = header::RETRY_AFTER;
    headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
}
