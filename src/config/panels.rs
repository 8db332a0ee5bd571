//! Settings of panels.

use std::time::Duration;

use super::{ConfigProblem, WebflowAuthBuilder};
use crate::bearer::origins;

impl WebflowAuthBuilder {
    /// Adds an origin of the app's Designer Extension, as browsers send it. Repeatable. The default
    /// is none.
    ///
    /// This enables panels: the layer then answers the [`panel_path`](Self::panel_path), admits
    /// requests by the bearer that it issues there, and lets pages of these origins read both
    /// responses (CORS). Without an origin, the path and the header belong to the application. In
    /// production it is the extension's URI in the app's settings at Webflow, below
    /// `webflow-ext.com`; during development, `http://localhost:1337`.
    ///
    /// [`build`](Self::build) rejects anything that is not exactly an origin (lower case, no path,
    /// no default port), and plain http except on loopback.
    ///
    /// ```
    /// # use tower_webflow_auth::WebflowAuthLayer;
    /// let builder = WebflowAuthLayer::builder()
    ///     .panel_origin("https://65427cf400e02b306eaa049c.webflow-ext.com");
    /// ```
    ///
    /// # Security
    /// With browser sessions, every `Authorization: Bearer` header on a route behind the layer is
    /// then checked, and an invalid one is answered with 401. With the application's own
    /// [`subject`](Self::subject), only bearers that begin with `wfp_` are checked.
    pub fn panel_origin(mut self, origin: impl AsRef<str>) -> Self {
        let origin = origin.as_ref();
        match origins::parse(origin) {
            Ok(parsed) => self.panels.origins.push(parsed),
            Err(problem) => self.problems.push(ConfigProblem::Invalid {
                setting: "panel_origin",
                problem: format!("{origin:?} {problem}"),
                remedy: "use scheme, host and port as browsers send them, for example \
                         https://id.webflow-ext.com; plain http is for loopback only",
            }),
        }
        self
    }

    /// Sets the path where panels sign in. The default is `/auth/webflow/panel`. It has no effect
    /// without a [`panel_origin`](Self::panel_origin).
    pub fn panel_path(mut self, path: impl Into<String>) -> Self {
        self.panels.path = path.into();
        self
    }

    /// Sets how long a panel's bearer lasts. The default is one hour. The panel gets a new one with a
    /// new ID token.
    pub const fn panel_lifetime(mut self, lifetime: Duration) -> Self {
        self.panels.lifetime = lifetime;
        self
    }

    /// Sets how many requests for the panel path are processed concurrently, at least 1. The default
    /// is 64.
    ///
    /// Further ones get a 503 with `Retry-After`, before their body is read. This limits the load
    /// that unauthenticated clients can cause.
    pub const fn max_panel_posts(mut self, posts: usize) -> Self {
        self.panels.max_posts = posts;
        self
    }
}
