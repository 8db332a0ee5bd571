//! The service: serves the crate's own paths, and forwards the requests that the gate admits.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::ResponseBody;
use super::future::ResponseFuture;
use crate::flow;
#[cfg(feature = "panels")]
use crate::gate::bearer;
use crate::gate::decide::{self, Decision, Fast, Now};
use crate::gate::guard::Guard;
use crate::gate::recover::Recovery;
#[cfg(feature = "panels")]
use crate::panels;
use crate::wire::paths::original;
use crate::wire::request_head::RequestHead;

/// The middleware of [`WebflowAuthLayer`](crate::WebflowAuthLayer).
///
/// Generic over the request body (any [`http_body::Body`]), the response body (any type that is
/// `From<Bytes>`) and the inner service's error, which is passed on unchanged. It is ready when the
/// inner service is.
#[derive(Debug, Clone)]
pub struct WebflowAuth<S> {
    inner: S,
    guard: Arc<Guard>,
}

impl<S> WebflowAuth<S> {
    pub(crate) const fn new(inner: S, guard: Arc<Guard>) -> Self {
        Self { inner, guard }
    }

    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// Releases what the inner service reserved when it became ready, such as a permit, if it will not
/// be called. Dropping a service is the only way to do so in tower.
fn release<S: Clone>(inner: &mut S) {
    *inner = inner.clone();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for WebflowAuth<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: Body,
    ResBody: ResponseBody,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let Self { inner, guard } = self;
        let context = &guard.context;
        let uri = original(request.extensions(), request.uri());
        if let Some(endpoint) = context.paths.endpoint(uri.path()) {
            let (parts, _) = request.into_parts();
            let answer = Box::pin(flow::serve(Arc::clone(context), endpoint, parts));
            release(inner);
            return ResponseFuture::answering(answer);
        }
        #[cfg(feature = "panels")]
        if context.is_panel_path(uri.path()) {
            let (parts, body) = request.into_parts();
            release(inner);
            return match panels::admit(context, &parts) {
                Ok(post) => ResponseFuture::reading(panels::Reading::new(post, body)),
                Err(answer) => ResponseFuture::answered(answer),
            };
        }
        // A CORS preflight carries no cookie. The inner service responds to it, without a token.
        if request.method() == Method::OPTIONS {
            #[cfg(feature = "panels")]
            if let Some(answer) = bearer::preflight(context, request.headers()) {
                release(inner);
                return ResponseFuture::answered(answer);
            }
            return ResponseFuture::forwarding(inner.call(request), None);
        }
        let head = RequestHead::read(request.method(), uri, request.headers(), &context.cookies);
        match decide::fast_path(guard, &request, &head) {
            Some(Fast::Admit(token)) => {
                let recovery = Recovery::new(guard, &token, &head);
                request.extensions_mut().insert(token);
                return ResponseFuture::forwarding(inner.call(request), Some(recovery));
            }
            #[cfg(feature = "panels")]
            Some(Fast::Panel(token, panel)) => {
                let recovery = Recovery::new(guard, &token, &head).by_bearer(&panel);
                request.extensions_mut().insert(token);
                panel.insert_into(request.extensions_mut());
                return ResponseFuture::forwarding(inner.call(request), Some(recovery));
            }
            Some(Fast::Pass) => {
                request.extensions_mut().insert(Arc::clone(guard));
                return ResponseFuture::forwarding(inner.call(request), None);
            }
            None => {}
        }
        let (parts, body) = request.into_parts();
        let head = context.head(&parts);
        match decide::decide_now(guard, &parts, &head) {
            Now::Decided(Decision::Answer(answer)) => {
                release(inner);
                ResponseFuture::answered(answer)
            }
            Now::Decided(Decision::Forward(mut admitted)) => {
                let recovery = Recovery::for_admitted(guard, &admitted, &head);
                let slide = admitted.slide.take();
                let request = decide::forward(guard, parts, admitted, body);
                ResponseFuture::sliding(inner.call(request), recovery, slide)
            }
            Now::Later(lookup) => {
                let own = Arc::clone(guard);
                let decision = async move {
                    let decision = decide::decide(&own, &parts, lookup).await;
                    (parts, decision)
                };
                // Call the instance that was polled ready, and leave the clone behind.
                let clone = inner.clone();
                let ready = mem::replace(inner, clone);
                ResponseFuture::deciding(Box::pin(decision), ready, body, Arc::clone(guard))
            }
        }
    }
}
