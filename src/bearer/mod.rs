//! Panels of Hybrid Apps: the bearer that a panel presents, the origins that panels have, and the
//! limits of the panel path.
//!
//! Nothing here uses the store or calls Webflow.

pub mod origins;
pub mod refusals;
pub mod sealed;
pub mod session;
mod verified;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::Semaphore;

use origins::Origins;
use refusals::Refusals;
use verified::VerifiedBearers;

/// The state for panels that all layers of one application share.
pub struct Panels {
    /// The path at which panels sign in.
    pub path: String,
    pub origins: Origins,
    /// How long a bearer is valid.
    pub lifetime: Duration,
    pub verified: VerifiedBearers,
    pub refusals: Refusals,
    /// One permit for each sign-in that may be in progress.
    pub posts: Arc<Semaphore>,
}

impl Panels {
    pub fn new(settings: PanelSettings, cached: usize) -> Option<Self> {
        let PanelSettings { path, origins, lifetime, max_posts } = settings;
        (!origins.is_empty()).then(|| Self {
            path,
            origins: Origins::new(origins),
            lifetime,
            verified: VerifiedBearers::new(cached),
            refusals: Refusals::default(),
            posts: Arc::new(Semaphore::new(max_posts.clamp(1, Semaphore::MAX_PERMITS))),
        })
    }
}

/// The builder's settings for panels, which are enabled by the first origin.
pub struct PanelSettings {
    pub path: String,
    pub origins: Vec<HeaderValue>,
    pub lifetime: Duration,
    pub max_posts: usize,
}

impl Default for PanelSettings {
    fn default() -> Self {
        Self {
            path: "/auth/webflow/panel".to_owned(),
            origins: Vec::new(),
            lifetime: Duration::from_secs(60 * 60),
            max_posts: 64,
        }
    }
}
