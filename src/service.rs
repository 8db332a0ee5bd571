//! The middleware: which of the paths is this request?

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use tower_service::Service;

use crate::admission::{self, First, Verdict};
use crate::flow;
use crate::future::ResponseFuture;
use crate::layer::Guard;
use crate::shared::original_uri;

/// The service that [`WebflowAuthLayer`](crate::WebflowAuthLayer) makes of another.
///
/// Generic over the request's body, the response's body (anything that is `From<Bytes>`) and the
/// inner error, which passes unchanged. Readiness is the inner service's.
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for WebflowAuth<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: From<Bytes>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let shared = &self.guard.shared;
        let (parts, body) = request.into_parts();
        if let Some(endpoint) = shared.paths.endpoint(original_uri(&parts).path()) {
            let answer = flow::serve(Arc::clone(shared), endpoint, parts);
            return ResponseFuture::answering(Box::pin(answer));
        }
        match admission::first(&self.guard, &parts) {
            First::Decided(Verdict::Answer(answer)) => ResponseFuture::answered(answer),
            First::Decided(Verdict::Forward(admitted)) => {
                let recovery = Recovery::prepare(&self.guard, &parts, admitted.token.is_some());
                let request = admission::forward(&self.guard, parts, admitted, body);
                ResponseFuture::forwarding(self.inner.call(request), recovery)
            }
            First::LookUp(subject) => {
                let guard = Arc::clone(&self.guard);
                let verdict = async move {
                    let verdict = admission::look_up(&guard, &parts, &subject).await;
                    (parts, verdict)
                };
                // The service that was ready is the one to be called; its clone stays behind.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                ResponseFuture::deciding(Box::pin(verdict), ready, body, Arc::clone(&self.guard))
            }
        }
    }
}

/// What is needed to challenge after all, when the handler finds its token dead.
pub(crate) struct Recovery {
    pub(crate) guard: Arc<Guard>,
    pub(crate) head: Parts,
}

impl Recovery {
    /// `None` when no token goes along: nothing can be found dead then.
    pub(crate) fn prepare(guard: &Arc<Guard>, parts: &Parts, has_token: bool) -> Option<Self> {
        if !has_token {
            return None;
        }
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = parts.method.clone();
        head.uri = original_uri(parts).clone();
        head.headers = parts.headers.clone();
        Some(Self { guard: Arc::clone(guard), head })
    }
}
