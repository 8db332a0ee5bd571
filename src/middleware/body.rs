//! The response bodies that the layer can create.

use bytes::Bytes;

/// A response body that the layer can create: any type that is `From<Bytes>`.
///
/// The layer responds with the inner service's body type. axum's `Body`, `Full<Bytes>` and
/// reqwest's `Body` are such types; the bodies of middleware that wraps another body are not.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the response body of a service inside `WebflowAuthLayer`",
    label = "this body cannot be made from `Bytes`",
    note = "put middleware that changes the body, such as compression, outside `WebflowAuthLayer`",
    note = "or map the body inside it: tower-http's `MapResponseBodyLayer::new(axum::body::Body::new)`"
)]
pub trait ResponseBody: From<Bytes> {}

#[diagnostic::do_not_recommend]
impl<B: From<Bytes>> ResponseBody for B {}
