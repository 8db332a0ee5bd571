//! Diagnoses what would keep a login from working.

mod callback_probe;
mod probe;
mod report;
mod settings;
mod webflow;

use crate::context::Context;
use crate::middleware::WebflowAuthLayer;

pub use report::{Check, CheckStatus, Checkup};

impl WebflowAuthLayer {
    /// Diagnoses what would keep a login from working: in the settings, at Webflow, in the store,
    /// and between the redirect URI and this layer.
    ///
    /// It sends no secrets, changes nothing and takes about 5 seconds at most. It also requests the
    /// application's own paths, so the application must be running, in this process or another: at
    /// startup, call it from a background task. It cannot verify the client secret; only a login
    /// can.
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
        let (store, webflow, own) = tokio::join!(
            settings::store(context),
            webflow::check(context),
            callback_probe::check(context)
        );
        let mut checks = settings::check(context);
        checks.push(store);
        checks.extend(webflow);
        checks.extend(own);
        Checkup::new(checks)
    }
}
