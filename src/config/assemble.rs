//! Creates the layer from validated settings.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, RwLock};

use super::validate::Required;
use super::{ConfigError, WebflowAuthBuilder};
use crate::api::ApiClient;
#[cfg(feature = "panels")]
use crate::bearer::Panels;
use crate::context::Context;
#[cfg(feature = "webhooks")]
use crate::delivery::{Webhooks, secrets::Secrets};
use crate::flow_state::pending::PendingFlows;
use crate::grant::state::TokenStates;
use crate::identity::app::AppId;
use crate::identity::session_cookie::Sliding;
use crate::identity::sign_in::SignIn;
use crate::middleware::WebflowAuthLayer;
use crate::store::MemoryStore;
use crate::util::background::Tasks;
use crate::util::log;
use crate::vault::cache::Cache;
use crate::vault::{Vault, Watcher, WriteLocks};
use crate::webflow::{ApplicationId, WebflowClient};
use crate::wire::cookies::CookiePolicy;
use crate::wire::paths::Paths;

/// Minimum number of tokens whose state (dead or outdated) is remembered.
const MIN_TOKEN_STATES: usize = 4096;

impl WebflowAuthBuilder {
    /// Validates the settings and creates the layer.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem found.
    pub fn build(mut self) -> Result<WebflowAuthLayer, ConfigError> {
        let mut problems = std::mem::take(&mut self.problems);
        let Some(required) = self.check(&mut problems) else {
            return Err(ConfigError::from_problems(problems));
        };
        let Required { keyring, client_id, client_secret, redirect_uri, http } = required;
        let store = self.store.unwrap_or_else(|| {
            tracing::warn!(
                target: log::CONFIG,
                "tokens are kept in memory only and are lost with the process; \
                 set a store with WebflowAuthBuilder::store"
            );
            Arc::new(MemoryStore::new().with_clock(self.clock.clone()))
        });
        #[cfg(feature = "webhooks")]
        let webhooks = {
            let others = self.webhook_secrets.into_iter().map(|(_, secret)| secret).collect();
            Webhooks::new(Secrets::new(client_secret.clone(), others))
        };
        let (http_api, clock) = (http.clone(), self.clock.clone());
        let api = ApiClient::new(
            http_api,
            self.endpoints.clone(),
            client_id.clone(),
            self.timeout,
            clock,
        );
        let tasks = Tasks::default();
        let mut cookies = CookiePolicy::new(redirect_uri.secure).in_frames(self.insecure_in_frames);
        if let Some(name) = &self.name {
            cookies = cookies.named(name);
        }
        Ok(WebflowAuthLayer::new(Context {
            vault: Arc::new(Vault {
                app: AppId::new(self.name.as_deref(), &client_id),
                store,
                keyring: keyring.clone(),
                clock: self.clock.clone(),
                client: Arc::new(api),
                budget: self.store_timeout,
                cache: Arc::new(Cache::new(&self.cache)),
                watcher: Watcher::default(),
                grants: self.grants,
                last_version: AtomicI64::new(0),
                failed_at: AtomicU64::new(0),
                configured: self.scopes.clone(),
                locks: WriteLocks::default(),
                states: TokenStates::new(self.cache.capacity.max(MIN_TOKEN_STATES)),
                introspect: self.introspect,
                tasks: tasks.clone(),
            }),
            session_binding: format!("{}\0{client_id}\0", cookies.session_name()),
            webflow: Arc::new(WebflowClient {
                http,
                endpoints: self.endpoints,
                client_id,
                client_secret,
                redirect_uri: redirect_uri.text,
                budget: self.timeout,
            }),
            pending: PendingFlows::new(tasks.clone(), self.max_callbacks),
            logouts: Arc::new(tokio::sync::Semaphore::new(self.max_callbacks)),
            tasks,
            keyring,
            clock: self.clock,
            cookies,
            paths: Paths {
                callback: redirect_uri.path,
                login: self.login_path,
                logout: self.logout_path,
            },
            origin: redirect_uri.origin,
            scopes: self.scopes,
            further_scopes: RwLock::new(self.further_scopes),
            host_warned: AtomicBool::new(false),
            subjects: self.subjects,
            sign_in: self.sign_in_at.as_deref().and_then(SignIn::new),
            flow_lifetime: self.flow_lifetime,
            sliding: Sliding {
                lifetime: self.session_lifetime.as_secs(),
                max_lifetime: self.session_max_lifetime.as_secs(),
            },
            volatile: self.volatile,
            selection: self.selection,
            application: ApplicationId::new(self.application_id),
            hooks: self.hooks,
            #[cfg(feature = "webhooks")]
            webhooks,
            #[cfg(feature = "panels")]
            panels: Panels::new(self.panels, self.cache.capacity),
        }))
    }
}
