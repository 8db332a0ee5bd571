//! The handle: the shared state for code outside a request.
//!
//! Its methods are in `handle` and `lifecycle`.

use std::sync::Arc;

use super::Context;

/// The way to stored tokens outside a request.
///
/// Made by [`WebflowAuthLayer::handle`](crate::WebflowAuthLayer::handle); clones share everything.
/// A grant whose token turns out to be dead in a call of a job is removed by itself.
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
///             // The user has removed the app; the grant is being removed here, too.
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
