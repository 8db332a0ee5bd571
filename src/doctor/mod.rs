//! Diagnoses what would keep a login from working, before a user finds out.

mod install;
mod old_keys;
mod own;
mod probe;
mod report;
mod settings;
mod webflow;

use crate::context::Context;
use crate::middleware::WebflowAuthLayer;

pub use report::{Check, CheckStatus, Checkup};

impl WebflowAuthLayer {
    /// Checks for what would keep a login from working: in the settings, at Webflow, in the store,
    /// and between the redirect URI and this layer; and whether the login path can serve as the Install
    /// URL of Webflow's Marketplace.
    ///
    /// It sends no secret and completes no flow, and takes about 5 seconds at most. It also requests
    /// the application's own paths, so the application must be running, in this process or
    /// another: at start-up, call it in a background task. It cannot tell whether the client
    /// secret is right, which takes a login.
    ///
    /// ```
    /// # async fn run(auth: tower_webflow_auth::WebflowAuthLayer) {
    /// let checkup = auth.check().await;
    /// if !checkup.is_ok() {
    ///     eprintln!("{checkup}");
    /// }
    /// # }
    /// ```
    pub async fn check(&self) -> Checkup {
        let context: &Context = self.context();
        let (store, old_keys, webflow, own, install) = tokio::join!(
            settings::store(context),
            old_keys::check(context),
            webflow::check(context),
            own::check(context),
            install::check(context)
        );
        let mut checks = settings::check(context);
        checks.push(store);
        checks.extend(old_keys);
        checks.extend(webflow);
        checks.extend(own);
        checks.extend(install);
        Checkup::new(checks)
    }
}
