//! The middleware: reads, verifies and forwards one delivery.

use std::fmt;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use super::envelope::Envelope;
use super::head::Head;
use super::refusal::Refusal;
use super::{WebflowEvent, WebhookLayer};
use crate::delivery::handled::Turn;
use crate::middleware::ResponseBody;
use crate::problem::{self, Answer, catalog};
use crate::util::log;
use crate::wire::body::ReadBody;

/// The service that [`WebhookLayer`] wraps around an inner one.
///
/// The request's body is read, verified, and passed to the inner service as bytes. Its type must
/// therefore be `From<Bytes>`, like axum's `Body` and `Full<Bytes>`; convert hyper's `Incoming` to
/// one of these first. The response's body must be `From<Bytes>` too.
#[derive(Clone)]
pub struct WebhookService<S> {
    inner: S,
    layer: WebhookLayer,
}

impl<S> WebhookService<S> {
    pub(super) const fn new(inner: S, layer: WebhookLayer) -> Self {
        Self { inner, layer }
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for WebhookService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    ReqBody: Body + From<Bytes> + Send + 'static,
    ResBody: ResponseBody + Send + 'static,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = WebhookFuture<ResBody, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // Call the instance that was polled ready, and leave the clone behind.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let (method, headers) = (request.method(), request.headers());
        let now = self.layer.clock.unix_millis();
        let admitted = Head::check(method, headers, now, self.layer.body_limit).and_then(|head| {
            let permit = Arc::clone(&self.layer.permits).try_acquire_owned();
            permit.map(|permit| (head, permit)).map_err(|_| Refusal::Busy)
        });
        match admitted {
            Err(refusal) => {
                refusal.log();
                WebhookFuture::answer(refusal.answer())
            }
            Ok((head, permit)) => {
                let layer = self.layer.clone();
                WebhookFuture(Box::pin(async move {
                    let _permit = permit;
                    receive(layer, head, request, ready).await
                }))
            }
        }
    }
}

async fn receive<S, ReqBody, ResBody>(
    layer: WebhookLayer,
    head: Head,
    request: Request<ReqBody>,
    mut inner: S,
) -> Result<Response<ResBody>, S::Error>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ReqBody: Body + From<Bytes>,
    ResBody: From<Bytes>,
{
    let (mut parts, body) = request.into_parts();
    let (raw, envelope) = match read(&layer, &head, body).await {
        Ok(read) => read,
        Err(refusal) => {
            refusal.log();
            return Ok(refusal.answer().map(ResBody::from));
        }
    };
    let running = match layer.deliveries.turn(head.signature, head.timestamp.millis()).await {
        Turn::Run(running) => running,
        Turn::Repeated => {
            tracing::debug!(target: log::WEBHOOKS, trigger = envelope.trigger, "duplicate webhook delivery");
            return Ok(problem::answer(StatusCode::OK, "").map(ResBody::from));
        }
    };
    let event = WebflowEvent::new(envelope, &head.timestamp, raw.clone(), layer.handle.clone());
    parts.extensions.insert(event);
    let request = Request::from_parts(parts, ReqBody::from(raw));
    // `call` itself may panic, as well as its future.
    let handled = AssertUnwindSafe(async { inner.call(request).await }).catch_unwind().await;
    let Ok(handled) = handled else {
        tracing::error!(target: log::WEBHOOKS, "the handler of a webhook panicked");
        return Ok(catalog::internal().json().map(ResBody::from));
    };
    let mut response = handled?;
    if response.status().is_success() {
        running.handled(layer.clock.unix_millis());
        // Webflow counts everything but 200 as a failed delivery.
        *response.status_mut() = StatusCode::OK;
    }
    Ok(response)
}

/// Reads the body, and checks its signature and form.
async fn read<B: Body>(
    layer: &WebhookLayer,
    head: &Head,
    body: B,
) -> Result<(Bytes, Envelope), Refusal> {
    let raw = ReadBody::new(body, layer.body_limit, head.content_length).await?;
    if !layer.secrets.signed(&head.signature, &head.timestamp, &raw) {
        return Err(Refusal::Forged);
    }
    let envelope = Envelope::parse(&raw).ok_or(Refusal::NotJson)?;
    Ok((raw, envelope))
}

impl<S: fmt::Debug> fmt::Debug for WebhookService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookService")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}

/// The response of [`WebhookService`].
pub struct WebhookFuture<ResBody, E>(Pin<Box<dyn Future<Output = Outcome<ResBody, E>> + Send>>);

type Outcome<ResBody, E> = Result<Response<ResBody>, E>;

impl<ResBody: From<Bytes> + Send + 'static, E: Send + 'static> WebhookFuture<ResBody, E> {
    fn answer(answer: Answer) -> Self {
        Self(Box::pin(std::future::ready(Ok(answer.map(ResBody::from)))))
    }
}

impl<ResBody, E> Future for WebhookFuture<ResBody, E> {
    type Output = Outcome<ResBody, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<ResBody, E> fmt::Debug for WebhookFuture<ResBody, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookFuture").finish_non_exhaustive()
    }
}
