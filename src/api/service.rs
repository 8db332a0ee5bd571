//! The tower service that sends one attempt of a call.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::{Body, Frame, SizeHint};
use secrecy::ExposeSecret;
use tokio::time::Instant;
use tower_service::Service;
use url::Url;

use super::confirm::Life;
use super::path::checked_encoded;
use super::{ApiError, deadline};
use crate::grant::token::WebflowToken;
use crate::webflow::retry_after;

/// A tower service that sends requests to Webflow with a token.
///
/// [`WebflowApi::service`](super::WebflowApi::service) creates it. Wrap it in your own layers, for
/// example to trace, cache or limit calls, or pass it to a generated client.
///
/// - The URI is a path (`/v2/sites`) or an absolute URL on one of Webflow's hosts. Any other is
///   [`ApiError::InvalidRequest`], and nothing is sent.
/// - The token is sent as the bearer. It replaces any `Authorization` header of the request.
/// - It never retries.
/// - Every status is `Ok`. After a 401 the service introspects the token, and marks it as dead if
///   Webflow rejects it.
/// - The response and its body must arrive within the builder's
///   [`timeout`](crate::config::WebflowAuthBuilder::timeout), or the time given to
///   [`patiently`](super::WebflowApi::patiently).
///
/// ```no_run
/// use std::time::Duration;
/// use bytes::Bytes;
/// use http::Request;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_webflow_auth::WebflowToken;
///
/// async fn status(token: WebflowToken) -> Result<u16, Box<dyn std::error::Error + Send + Sync>> {
///     let service = ServiceBuilder::new()
///         .timeout(Duration::from_secs(2))
///         .concurrency_limit(4)
///         .service(token.api().service());
///     let request = Request::get("/v2/sites").body(Bytes::new())?;
///     Ok(service.oneshot(request).await?.status().as_u16())
/// }
/// ```
#[derive(Clone)]
pub struct ApiService {
    token: WebflowToken,
    host: Host,
    budget: Duration,
}

/// The host against which a path is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    Api,
    /// Published CMS items, read-only.
    Cdn,
}

impl ApiService {
    pub(super) const fn new(token: WebflowToken, host: Host, budget: Duration) -> Self {
        Self { token, host, budget }
    }

    pub(super) const fn token(&self) -> &WebflowToken {
        &self.token
    }

    pub(super) const fn host(&self) -> Host {
        self.host
    }

    pub(super) const fn within(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Resolves a path against the host.
    pub(super) fn url(&self, path: &str) -> Url {
        let endpoints = &self.token.client().endpoints;
        match self.host {
            Host::Api => endpoints.api_path(path),
            Host::Cdn => endpoints.cdn_path(path),
        }
    }

    fn prepare<B: Into<reqwest::Body>>(
        &self,
        request: Request<B>,
    ) -> Result<reqwest::Request, ApiError> {
        let (parts, body) = request.into_parts();
        if self.host == Host::Cdn && parts.method != Method::GET {
            return Err(ApiError::InvalidRequest("the CDN takes GET only".into()));
        }
        let mut sent = reqwest::Request::new(parts.method, self.resolve(&parts.uri)?);
        *sent.headers_mut() = parts.headers;
        // A `Host` header from the caller could name a different server than the URL.
        sent.headers_mut().remove(HOST);
        let secret = self.token.access_token().expose_secret();
        let mut bearer = HeaderValue::try_from(format!("Bearer {secret}")).map_err(|_| {
            ApiError::InvalidRequest("the access token is not a header value".into())
        })?;
        bearer.set_sensitive(true);
        sent.headers_mut().insert(AUTHORIZATION, bearer);
        *sent.body_mut() = Some(body.into());
        *sent.timeout_mut() = Some(self.budget);
        Ok(sent)
    }

    /// The URL to send to, or an error if it is not on one of Webflow's hosts.
    fn resolve(&self, uri: &Uri) -> Result<Url, ApiError> {
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        checked_encoded(path)?;
        let elsewhere = || ApiError::InvalidRequest("the URL is not on a Webflow host".into());
        match (uri.scheme(), uri.authority()) {
            (None, None) => Ok(self.url(path)),
            (Some(_), Some(authority)) if !authority.as_str().contains('@') => {
                let url = Url::parse(&uri.to_string()).map_err(|_| elsewhere())?;
                let known = self.token.client().endpoints.has_host_of(&url);
                known.then_some(url).ok_or_else(elsewhere)
            }
            _ => Err(elsewhere()),
        }
    }

    async fn send(self, request: reqwest::Request) -> Result<Response<ApiBody>, ApiError> {
        let client = self.token.client();
        let deadline = deadline(self.budget);
        let is_introspection = request.url().path() == client.endpoints.introspect().path();
        let response = client.http.execute(request).await.map_err(ApiError::from_transport)?;
        let mut response = Response::from(response).map(ApiBody);
        match response.status() {
            StatusCode::UNAUTHORIZED => {
                let life = self.confirm(is_introspection, deadline).await;
                response.extensions_mut().insert(life);
            }
            StatusCode::TOO_MANY_REQUESTS => {
                if let Some(wait) = retry_after(response.headers(), client.clock.now()) {
                    client.holds.hold(&self.token, wait, &client.clock);
                }
            }
            _ => {}
        }
        Ok(response)
    }

    /// Whether the token is still valid. A 401 does not settle that, unless introspection itself
    /// returned it.
    async fn confirm(&self, is_introspection: bool, deadline: Instant) -> Life {
        let life = if is_introspection {
            Life::Dead
        } else {
            self.token.client().life_of(&self.token, deadline).await
        };
        if life == Life::Dead {
            self.token.state().mark_dead();
            self.token.client().remove_if_for_job(&self.token);
        }
        life
    }
}

impl<B: Into<reqwest::Body>> Service<Request<B>> for ApiService {
    type Response = Response<ApiBody>;
    type Error = ApiError;
    type Future = BoxFuture<'static, Result<Self::Response, ApiError>>;

    /// Always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ApiError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        let request = service.prepare(request);
        Box::pin(async move { service.send(request?).await })
    }
}

impl fmt::Debug for ApiService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiService").field("token", &self.token).finish_non_exhaustive()
    }
}

/// The streaming response body of [`ApiService`].
///
/// Collect it with `http_body_util::BodyExt`: `body.collect().await?.to_bytes()`. Its error is
/// [`ApiError::Timeout`], or [`ApiError::Unreachable`] when the connection breaks.
#[derive(Debug)]
pub struct ApiBody(pub(super) reqwest::Body);

impl Body for ApiBody {
    type Data = Bytes;
    type Error = ApiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ApiError>>> {
        let frame = Pin::new(&mut self.0).poll_frame(cx);
        frame.map(|frame| frame.map(|frame| frame.map_err(ApiError::from_transport)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
