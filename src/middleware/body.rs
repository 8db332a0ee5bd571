//! How the layer creates the bodies of its own responses.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tower_layer::Layer;

use super::service::WebflowAuth;
use crate::gate::guard::Guard;

/// Creates the bodies of the layer's own responses: the redirects, pages and errors that it sends in
/// place of the inner service.
///
/// They have the inner service's body type. [`FromBytes`] creates any type that is `From<Bytes>`, and
/// [`WebflowAuthLayer::with_body`](crate::WebflowAuthLayer::with_body) takes a closure for any other.
#[diagnostic::on_unimplemented(
    message = "`{B}` cannot be the response body of a service inside `WebflowAuthLayer`",
    label = "this body cannot be made from `Bytes`",
    note = "put middleware that changes the body, such as compression, outside `WebflowAuthLayer`",
    note = "or map the body inside it: tower-http's `MapResponseBodyLayer::new(axum::body::Body::new)`",
    note = "for other bodies, such as tonic's or `BoxBody`, use `auth.with_body(|bytes| ..)`"
)]
pub trait MakeBody<B> {
    /// Creates a body with this content.
    fn make_body(&self, content: Bytes) -> B;
}

/// Creates bodies by `From<Bytes>`, which axum's `Body`, `Full<Bytes>` and reqwest's `Body` implement.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct FromBytes;

#[diagnostic::do_not_recommend]
impl<B: From<Bytes>> MakeBody<B> for FromBytes {
    fn make_body(&self, content: Bytes) -> B {
        content.into()
    }
}

/// Creates bodies by a closure.
#[derive(Clone, Copy)]
pub struct BodyFn<F>(F);

#[diagnostic::do_not_recommend]
impl<B, F: Fn(Bytes) -> B> MakeBody<B> for BodyFn<F> {
    fn make_body(&self, content: Bytes) -> B {
        self.0(content)
    }
}

impl<F> fmt::Debug for BodyFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BodyFn").finish()
    }
}

/// [`WebflowAuthLayer`](crate::WebflowAuthLayer) for services with other response bodies. Created by
/// [`with_body`](crate::WebflowAuthLayer::with_body).
#[derive(Debug, Clone)]
pub struct BodyLayer<F> {
    guard: Arc<Guard>,
    make: BodyFn<F>,
}

impl<F> BodyLayer<F> {
    pub(super) const fn new(guard: Arc<Guard>, make: F) -> Self {
        Self { guard, make: BodyFn(make) }
    }
}

impl<S, F: Clone> Layer<S> for BodyLayer<F> {
    type Service = WebflowAuth<S, BodyFn<F>>;

    fn layer(&self, inner: S) -> Self::Service {
        WebflowAuth::new(inner, Arc::clone(&self.guard), self.make.clone())
    }
}
