//! How many grants a subject has, and which one a request uses.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use http::request::Parts;

use super::token::WebflowToken;

/// Whether a new grant replaces the previous one.
///
/// ```
/// use tower_webflow_auth::{GrantPolicy, WebflowAuthLayer};
///
/// let builder = WebflowAuthLayer::builder().grants(GrantPolicy::PerWorkspace);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum GrantPolicy {
    /// A subject has one grant, and a new one replaces it. The default.
    #[default]
    Single,
    /// A subject has one grant per authorization, identified by its ID at Webflow, so connecting a
    /// second workspace keeps the first. A grant that covers everything an older one did replaces
    /// it, so reconnecting a workspace does not accumulate grants.
    PerWorkspace,
}

type Select = dyn Fn(&Parts, &[WebflowToken]) -> Option<WebflowToken> + Send + Sync;

/// The application's `select_grant` closure, if set.
#[derive(Clone, Default)]
pub struct Selection(pub Option<Arc<Select>>);

/// The closure panicked.
pub struct Panicked;

impl Selection {
    /// Picks the grant of a request: the newest, unless the application chooses.
    pub fn pick(
        &self,
        parts: &Parts,
        grants: &[WebflowToken],
    ) -> Result<Option<WebflowToken>, Panicked> {
        match &self.0 {
            None => Ok(grants.first().cloned()),
            Some(select) => std::panic::catch_unwind(AssertUnwindSafe(|| select(parts, grants)))
                .map_err(|_| Panicked),
        }
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Selection(by the application)" } else { "Selection" })
    }
}
