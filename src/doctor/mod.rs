//! Reports what would keep a login from working.
//!
//! [`WebflowAuthLayer::diagnose`](crate::WebflowAuthLayer::diagnose) runs the checks.

mod callback_probe;
mod install;
mod old_keys;
mod probe;
mod report;
mod settings;
mod webflow;

use crate::context::Context;
use crate::middleware::WebflowAuthLayer;

pub use report::{Check, Report, Status};

impl WebflowAuthLayer {
    /// Diagnoses what would keep a login from working: in the settings, at Webflow, in the store,
    /// and between the redirect URI and this layer. It also reports whether the login path can serve
    /// as the Install URL in Webflow's Marketplace.
    ///
    /// It sends no secrets, completes no login and takes about 5 seconds at most. It also requests the
    /// application's own paths, so the application must be running, in this process or another: at
    /// startup, call it from a background task. It cannot verify the client secret; only a login
    /// can.
    ///
    /// ```
    /// # async fn run(auth: tower_webflow_auth::WebflowAuthLayer) {
    /// let report = auth.diagnose().await;
    /// if !report.is_ok() {
    ///     eprintln!("{report}");
    /// }
    /// # }
    /// ```
    pub async fn diagnose(&self) -> Report {
        let context: &Context = self.context();
        let (store, old_keys, webflow, own, install) = tokio::join!(
            settings::store(context),
            old_keys::check(context),
            webflow::check(context),
            callback_probe::check(context),
            install::check(context)
        );
        let mut checks = settings::check(context);
        checks.push(store);
        checks.extend(old_keys);
        checks.extend(webflow);
        checks.extend(own);
        checks.extend(install);
        Report::new(checks)
    }
}
