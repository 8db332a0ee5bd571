//! The handle, which gives code outside a request access to the shared state.
//!
//! Its methods are defined in `handle`, `lifecycle` and `webhooks`.

use std::sync::Arc;

use super::Context;

/// Access to stored tokens outside a request.
///
/// [`WebflowAuthLayer::handle`](crate::WebflowAuthLayer::handle) creates it. Clones share their
/// state. If a call with one of its tokens shows that Webflow rejects the token, the grant is
/// removed automatically.
///
/// ```no_run
/// use tower_webflow_auth::{WebflowAuthHandle, api::ApiError};
///
/// type Error = Box<dyn std::error::Error>;
///
/// async fn count_sites(handle: WebflowAuthHandle, site_id: &str) -> Result<usize, Error> {
///     for token in handle.tokens_for_site(site_id).await? {
///         match token.api().sites().await {
///             Ok(sites) => return Ok(sites.len()),
///             // The user has removed the app. The handle removes the grant.
///             Err(ApiError::Unauthorized { .. }) => {}
///             Err(error) => return Err(error.into()),
///         }
///     }
///     Err("nobody has connected this site".into())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct WebflowAuthHandle {
    pub(crate) context: Arc<Context>,
}

impl WebflowAuthHandle {
    pub(crate) const fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}
