//! The middleware: which of the paths is this request?

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

use super::future::ResponseFuture;
use crate::context::original;
use crate::flow;
use crate::gate::decide;
use crate::gate::decide::{AtOnce, First, Verdict};
use crate::gate::guard::Guard;
use crate::gate::recover::Recovery;
use crate::util::sharded_arc::{Replica, Replicas};
use crate::wire::request_head::Glance;

/// The service that [`WebflowAuthLayer`](crate::WebflowAuthLayer) makes of another.
///
/// Generic over the request's body, the response's body (anything that is `From<Bytes>`) and the
/// inner error, which passes unchanged. Readiness is the inner service's.
#[derive(Debug, Clone)]
pub struct WebflowAuth<S> {
    inner: S,
    guard: Replicas<Guard>,
}

impl<S> WebflowAuth<S> {
    pub(crate) const fn new(inner: S, guard: Replicas<Guard>) -> Self {
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

/// Gives back what the inner service has reserved to be ready (a permit, a place in a queue) when it
/// will not be called. Tower has no other way than to drop it.
fn release<S: Clone>(inner: &mut S) {
    *inner = inner.clone();
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
        let mut request = request;
        let Self { inner, guard } = self;
        // Which replica it is, is found out once.
        let guard: &Replica<Guard> = guard;
        let shared = &guard.shared;
        let uri = original(request.extensions(), request.uri());
        if let Some(endpoint) = shared.paths.endpoint(uri.path()) {
            let (parts, _) = request.into_parts();
            let answer = Box::pin(flow::serve(Arc::clone(shared), endpoint, parts));
            release(inner);
            return ResponseFuture::answering(answer);
        }
        let (method, headers) = (request.method(), request.headers());
        let glance = Glance::at(method, headers, shared.cookies);
        match decide::at_once(guard, &request, &glance) {
            AtOnce::Admit(token) => {
                let recovery = Recovery::of(guard, &token, (method, uri, headers), glance);
                request.extensions_mut().insert(token);
                return ResponseFuture::forwarding(inner.call(request), Some(recovery));
            }
            AtOnce::Pass => {
                request.extensions_mut().insert(Replica::clone(guard));
                return ResponseFuture::forwarding(inner.call(request), None);
            }
            AtOnce::Undecided => {}
        }
        let (parts, body) = request.into_parts();
        match decide::first(guard, &parts) {
            First::Decided(Verdict::Answer(answer)) => {
                release(inner);
                ResponseFuture::answered(answer)
            }
            First::Decided(Verdict::Forward(admitted)) => {
                let recovery = Recovery::for_parts(guard, &parts, &admitted);
                let request = decide::forward(guard, parts, admitted, body);
                ResponseFuture::forwarding(inner.call(request), recovery)
            }
            waiting => {
                let asking = Replica::clone(guard);
                let verdict = async move {
                    let verdict = match waiting {
                        First::LookUp(subject) => decide::look_up(&asking, &parts, &subject).await,
                        _ => decide::ask(&asking, &parts).await,
                    };
                    (parts, verdict)
                };
                // The service that was ready is the one to be called; its clone stays behind.
                let clone = inner.clone();
                let ready = mem::replace(inner, clone);
                ResponseFuture::deciding(Box::pin(verdict), ready, body, Replica::clone(guard))
            }
        }
    }
}
