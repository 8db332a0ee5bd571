//! The doctor: what would keep a login from working, found before a user does.

mod own;
mod probe;
mod report;
mod settings;
mod webflow;

use crate::context::Shared;

pub use report::{Check, CheckStatus, Checkup};

/// Every check; those that wait do so side by side.
pub(crate) async fn check(shared: &Shared) -> Checkup {
    let (store, webflow, own) =
        tokio::join!(settings::store(shared), webflow::check(shared), own::check(shared));
    let mut checks = settings::check(shared);
    checks.push(store);
    checks.extend(webflow);
    checks.extend(own);
    Checkup::new(checks)
}
