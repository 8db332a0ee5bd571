//! The service: serves the crate's own paths and forwards what the gate admits.

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

/// The service that [`WebflowAuthLayer`](crate::WebflowAuthLayer) makes of another.
///
/// Generic over the request's body (any [`http_body::Body`]), the response's body (anything that is
/// `From<Bytes>`) and the inner error, which passes unchanged. Readiness is the inner service's.
#[derive(Debug, Clone)]
pub struct WebflowAuth<S> {
    inner: S,
    guard: Arc<Guard>,
}

impl<S> WebflowAuth<S> {
    pub(crate) const fn new(inner: S, guard: Arc<Guard>) -> Self {
        Self { inner, guard }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Gives the inner service back.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// Releases what the inner service has reserved to be ready (a permit, a place in a queue) when it
/// will not be called. In tower, dropping the service is the only way.
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
        // A CORS preflight carries no cookie; the inner service answers it, and gets no token.
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
                let recovery = Recovery::of_admitted(guard, &admitted, &head);
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
                // The service that was ready is the one to be called; its clone stays behind.
                let clone = inner.clone();
                let ready = mem::replace(inner, clone);
                ResponseFuture::deciding(Box::pin(decision), ready, body, Arc::clone(guard))
            }
        }
    }
}
