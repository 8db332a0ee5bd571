//! The settings of panels.

use std::time::Duration;

use super::{ConfigProblem, WebflowAuthBuilder};
use crate::bearer::origins;

impl WebflowAuthBuilder {
    /// An origin of the app's Designer Extension, as its browser sends it. Repeatable; default
    /// none.
    ///
    /// It switches panels on: the layer then answers the [`panel_path`](Self::panel_path), admits
    /// requests by the bearer that it issues there, and lets pages of these origins read both
    /// responses (CORS). Without an origin the path and the header are the application's own. In
    /// production it is the extension's URI in the app's settings at Webflow, below
    /// `webflow-ext.com`; while it is developed, `http://localhost:1337`.
    ///
    /// [`build`](Self::build) refuses what is not exactly an origin (lower case, no path, no default
    /// port), and plain http except on loopback.
    ///
    /// ```
    /// # use tower_webflow_auth::WebflowAuthLayer;
    /// let builder = WebflowAuthLayer::builder()
    ///     .panel_origin("https://65427cf400e02b306eaa049c.webflow-ext.com");
    /// ```
    ///
    /// # Security
    /// With browser sessions, every `Authorization: Bearer` header on a route behind the layer is
    /// then judged, and an invalid one is answered 401. With the application's own
    /// [`subject`](Self::subject) only bearers that begin with `wfp_` are.
    pub fn panel_origin(mut self, origin: impl AsRef<str>) -> Self {
        let origin = origin.as_ref();
        match origins::parse(origin) {
            Ok(parsed) => self.panels.origins.push(parsed),
            Err(problem) => self.problems.push(ConfigProblem::Invalid {
                setting: "panel_origin",
                problem: format!("{origin:?} {problem}"),
                remedy: "give scheme, host and port as the browser sends them, for example \
                         https://id.webflow-ext.com; plain http is for loopback only",
            }),
        }
        self
    }

    /// The path where panels sign in; default `/auth/webflow/panel`. It has no effect without a
    /// [`panel_origin`](Self::panel_origin).
    pub fn panel_path(mut self, path: impl Into<String>) -> Self {
        self.panels.path = path.into();
        self
    }

    /// How long a panel's bearer lasts; default one hour. The panel gets a new one with a new ID
    /// token.
    pub const fn panel_lifetime(mut self, lifetime: Duration) -> Self {
        self.panels.lifetime = lifetime;
        self
    }

    /// How many requests for the panel path may be worked on at the same time, at least 1; default
    /// 64.
    ///
    /// Beyond it the answer is 503 with `Retry-After`, before the body is read. This bounds what
    /// unauthenticated clients can cause.
    pub const fn max_panel_posts(mut self, posts: usize) -> Self {
        self.panels.max_posts = posts;
        self
    }
}
