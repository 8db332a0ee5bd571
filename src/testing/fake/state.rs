//! What the stand-in knows: the app, its user's sites, codes, tokens.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::fault::Faults;
use super::log::RecordedRequest;
use super::secret;
use crate::{Clock, Scope, Scopes};

/// How long a code can be exchanged. **D**ocumented by Webflow.
pub(super) const CODE_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// A site of the stand-in's user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FakeSite {
    /// The site's id.
    pub id: String,
    /// The id of the workspace that it belongs to.
    pub workspace_id: String,
    /// The name that the user gave it.
    pub display_name: String,
}

impl FakeSite {
    /// A site by its id, its workspace's id and its name.
    pub fn new(
        id: impl Into<String>,
        workspace_id: impl Into<String>,
        display_name: impl Into<String>,
    ) -> Self {
        Self { id: id.into(), workspace_id: workspace_id.into(), display_name: display_name.into() }
    }
}

/// A code between consent and exchange.
pub(super) struct Code {
    /// The redirect URI, if the authorize link had one: then the exchange must have it too.
    pub(super) redirect_uri: Option<String>,
    pub(super) issued_at: SystemTime,
    pub(super) grant: FakeGrant,
}

/// What the stand-in's user allowed.
#[derive(Clone)]
pub(super) struct FakeGrant {
    pub(super) authorization_id: String,
    pub(super) scopes: Scopes,
    pub(super) sites: Vec<String>,
    pub(super) workspaces: Vec<String>,
    /// Calls in the present minute, for the rate limit.
    pub(super) minute: u64,
    pub(super) calls: u32,
}

pub(super) struct State {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) redirect_uris: Vec<String>,
    pub(super) scopes: Scopes,
    pub(super) sites: Vec<FakeSite>,
    pub(super) rate_limit: u32,
    pub(super) clock: Clock,
    pub(super) codes: HashMap<String, Code>,
    pub(super) tokens: HashMap<String, FakeGrant>,
    pub(super) issued: usize,
    pub(super) id_tokens: HashMap<String, SystemTime>,
    pub(super) faults: Faults,
    pub(super) log: Vec<RecordedRequest>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            client_id: secret(),
            client_secret: secret(),
            redirect_uris: Vec::new(),
            scopes: Scope::DOCUMENTED.iter().cloned().collect(),
            sites: vec![
                FakeSite::new("65427cf400e02b306eaa0001", "65427cf400e02b306eab0001", "Bakery"),
                FakeSite::new("65427cf400e02b306eaa0002", "65427cf400e02b306eab0001", "Portfolio"),
                FakeSite::new(
                    "65427cf400e02b306eaa0003",
                    "65427cf400e02b306eab0001",
                    "Field Notes",
                ),
                FakeSite::new("65427cf400e02b306eaa0004", "65427cf400e02b306eab0002", "Agency"),
            ],
            rate_limit: 60,
            clock: Clock::system(),
            codes: HashMap::new(),
            tokens: HashMap::new(),
            issued: 0,
            id_tokens: HashMap::new(),
            faults: Faults::default(),
            log: Vec::new(),
        }
    }
}
