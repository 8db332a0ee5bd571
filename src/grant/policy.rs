//! How many grants a subject has, and which of them a request gets.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use http::request::Parts;

use super::token::WebflowToken;

/// Whether a new grant replaces the former one.
///
/// ```
/// use tower_webflow_auth::{GrantPolicy, WebflowAuthLayer};
///
/// let builder = WebflowAuthLayer::builder().grants(GrantPolicy::PerWorkspace);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum GrantPolicy {
    /// A subject has one grant: a new one replaces it. The default.
    #[default]
    Single,
    /// A subject has a grant for each authorization, named by its id at Webflow: who connects a
    /// second workspace keeps the first. A grant that covers all that another one did replaces
    /// it, so connecting the same workspace again does not pile up.
    PerWorkspace,
}

type Select = dyn Fn(&Parts, &[WebflowToken]) -> Option<WebflowToken> + Send + Sync;

/// The application's choice among several grants.
#[derive(Clone, Default)]
pub struct Selection(pub Option<Arc<Select>>);

/// The closure panicked.
pub struct Panicked;

impl Selection {
    /// The grant that a request gets: the newest unless the application picks.
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
