//! The service for the crate's own paths.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

use crate::context::Context as AuthContext;
use crate::flow;
#[cfg(feature = "panels")]
use crate::panels;
use crate::problem::catalog;
#[cfg(feature = "panels")]
use crate::wire::body::ReadBody;
use crate::wire::paths::original_uri;

/// A service for the callback, login, logout and panel paths, for routers in which no layer
/// receives them.
///
/// [`WebflowAuthLayer::endpoints_service`](crate::WebflowAuthLayer::endpoints_service) creates it.
/// Mount it at those paths: the request's path decides which one is served. Any other path gets a
/// 404 with a hint.
///
/// ```
/// # use tower_webflow_auth::{Keyring, Scope, WebflowAuthLayer};
/// use axum::Router;
///
/// # async fn run() -> Result<(), tower_webflow_auth::ConfigError> {
/// # let auth = WebflowAuthLayer::builder().client_id("i").client_secret("s")
/// #     .redirect_uri("https://app.example.com/cb").scopes([Scope::SITES_READ])
/// #     .keyring(Keyring::generate()).build()?;
/// let app: Router =
///     Router::new().route_service(auth.callback_path(), auth.endpoints_service());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct EndpointsService {
    context: Arc<AuthContext>,
}

impl EndpointsService {
    pub(crate) const fn new(context: Arc<AuthContext>) -> Self {
        Self { context }
    }
}

impl<B: Body + Send + 'static> Service<Request<B>> for EndpointsService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = EndpointsFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> EndpointsFuture {
        let (parts, body) = request.into_parts();
        #[cfg(feature = "panels")]
        if self.context.is_panel_path(original_uri(&parts).path()) {
            let admitted = panels::admit(&self.context, &parts);
            return EndpointsFuture(Box::pin(async move {
                let answer = match admitted {
                    Ok(post) => {
                        let body = ReadBody::new(body, panels::BODY_LIMIT, post.declared).await;
                        post.answer(body).await
                    }
                    Err(answer) => answer,
                };
                Ok(answer.map(Full::new))
            }));
        }
        drop(body);
        let endpoint = self.context.paths.endpoint(original_uri(&parts).path());
        let context = Arc::clone(&self.context);
        EndpointsFuture(Box::pin(async move {
            let answer = match endpoint {
                Some(endpoint) => flow::serve(context, endpoint, parts).await,
                None => catalog::misplaced_endpoints(&context.paths.callback).json(),
            };
            Ok(answer.map(Full::new))
        }))
    }
}

type Output = Result<Response<Full<Bytes>>, Infallible>;

/// The response of [`EndpointsService`].
pub struct EndpointsFuture(Pin<Box<dyn Future<Output = Output> + Send>>);

impl Future for EndpointsFuture {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for EndpointsFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointsFuture").finish_non_exhaustive()
    }
}
