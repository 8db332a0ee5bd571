//! Log targets. They are a documented interface (`docs/observability.md`), independent of the
//! module paths.

/// Building the layer.
pub const CONFIG: &str = "tower_webflow_auth::config";
/// Logins: redirects, callbacks, exchanges, logouts.
pub const FLOW: &str = "tower_webflow_auth::flow";
/// Grants: what they cover, and how they end.
pub const GRANT: &str = "tower_webflow_auth::grant";
/// The application's closures, lookups and hooks.
pub const APPLICATION: &str = "tower_webflow_auth::application";
/// The token store and the cache in front of it.
pub const STORE: &str = "tower_webflow_auth::store";
/// Calls to Webflow's Data API.
pub const API: &str = "tower_webflow_auth::api";
/// Background work that outlives its request.
pub const BACKGROUND: &str = "tower_webflow_auth::background";
/// Webhooks: refusals, and handlers that panic.
#[cfg(feature = "webhooks")]
pub const WEBHOOKS: &str = "tower_webflow_auth::webhooks";
/// Panels: refused ID tokens and bearers.
#[cfg(feature = "panels")]
pub const PANELS: &str = "tower_webflow_auth::panels";
