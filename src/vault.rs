//! Grants above the store: sealed on the way in, opened on the way out.
//!
//! A sealed grant is bound to its subject, grant id and version, so rows that were swapped,
//! truncated or put together from two writes open no more. Such a row counts as no token and is
//! logged by a digest of its subject.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

use crate::api::ApiClient;
use crate::cache::{Cache, Slot, Tokens};
use crate::grants::GrantPolicy;
use crate::keyring::Purpose;
use crate::store::{ChangeSink, ErasedStore, SealedToken, StoreError, TokenKey, TokenVersion};
use crate::token::{Coverage, Grant, GrantDetails};
use crate::{Clock, Keyring, Scopes, Subject, WebflowToken, observe, random};

pub(crate) struct Vault {
    pub(crate) store: Arc<dyn ErasedStore>,
    pub(crate) keyring: Keyring,
    pub(crate) clock: Clock,
    pub(crate) client: Arc<ApiClient>,
    /// The time for one operation of the store.
    pub(crate) budget: Duration,
    pub(crate) cache: Arc<Cache>,
    pub(crate) grants: GrantPolicy,
    pub(crate) last_version: AtomicI64,
    /// The task that hears of other instances' changes; it ends with the vault.
    pub(crate) watcher: Watcher,
}

/// Started at the first look-up, since the layer may be built outside of a runtime.
#[derive(Default)]
pub(crate) struct Watcher(OnceLock<AbortHandle>);

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(task) = self.0.get() {
            task.abort();
        }
    }
}

/// A grant as it is sealed: JSON with short names, since large numbers of rows are kept.
#[derive(Serialize, Deserialize)]
struct Plain {
    #[serde(rename = "t")]
    access_token: String,
    #[serde(rename = "o")]
    scopes: String,
    #[serde(rename = "at")]
    obtained_at_unix_secs: u64,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    coverage: Option<PlainCoverage>,
    #[serde(rename = "f", default, skip_serializing_if = "Vec::is_empty")]
    flows: Vec<String>,
    #[serde(rename = "q", default, skip_serializing_if = "String::is_empty")]
    asked: String,
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    renewed: bool,
}

#[derive(Serialize, Deserialize)]
struct PlainCoverage {
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    authorization_id: Option<String>,
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    sites: Vec<String>,
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    workspaces: Vec<String>,
}

impl Vault {
    /// The subject's grants, newest first.
    pub(crate) async fn load(&self, subject: &Subject) -> Result<Tokens, StoreError> {
        Ok(Arc::clone(&self.load_slot(subject).await?.tokens))
    }

    async fn load_slot(&self, subject: &Subject) -> Result<Arc<Slot>, StoreError> {
        self.watch();
        let now = self.clock.unix_millis();
        let read = self.cache.get_or_load(subject, now, || self.read(subject));
        self.within(read).await
    }

    /// The same without waiting, when it is known; `now` in Unix milliseconds.
    pub(crate) fn known(&self, subject: &Subject, now: u64) -> Option<Arc<Slot>> {
        let known = self.cache.fresh(subject, now);
        observe::cache(known.is_some());
        known
    }

    /// The same past the cache, for what must not be a moment old.
    pub(crate) async fn load_anew(&self, subject: &Subject) -> Result<Tokens, StoreError> {
        self.cache.forget(subject);
        self.load(subject).await
    }

    async fn read(&self, subject: &Subject) -> Result<Tokens, StoreError> {
        let timer = observe::Timer::start();
        let rows = self.within(self.store.load(subject)).await;
        timer.store("load");
        let rows = rows?;
        Ok(self.open_all(&rows, |row| row.key().subject() == subject).into())
    }

    fn watch(&self) {
        self.watcher.0.get_or_init(|| {
            let sink = ChangeSink(Arc::clone(&self.cache));
            tokio::spawn(Arc::clone(&self.store).watch(sink)).abort_handle()
        });
    }

    pub(crate) async fn by_site(&self, site_id: &str) -> Result<Vec<WebflowToken>, StoreError> {
        let rows = self.within(self.store.by_site(site_id)).await?;
        let mut tokens = self.open_all(&rows, |_| true);
        // The index beside the sealed grant is not authenticated; what is sealed decides.
        tokens.retain(|token| token.sites().iter().any(|site| site == site_id));
        Ok(tokens)
    }

    pub(crate) async fn by_workspace(&self, id: &str) -> Result<Vec<WebflowToken>, StoreError> {
        let rows = self.within(self.store.by_workspace(id)).await?;
        let mut tokens = self.open_all(&rows, |_| true);
        tokens.retain(|token| token.workspaces().iter().any(|workspace| workspace == id));
        Ok(tokens)
    }

    /// Seals the grant with the newest key, under a new version, and writes it.
    pub(crate) async fn save(
        &self,
        key: TokenKey,
        details: GrantDetails,
    ) -> Result<WebflowToken, StoreError> {
        key.subject().validate()?;
        let version = self.next_version();
        let row = self.seal(&key, version, &details)?;
        let write = async {
            let timer = observe::Timer::start();
            let saved = self.within(self.store.save(&row)).await;
            timer.store("save");
            saved?;
            Ok(self.token(key.clone(), version, details))
        };
        if self.grants == GrantPolicy::Single {
            let now = self.clock.unix_millis();
            return self.cache.write_through(key.subject(), now, write).await;
        }
        let written = write.await;
        self.cache.forget(key.subject());
        written
    }

    /// A version greater than any that this process has given, also within a millisecond and when
    /// the clock was set back.
    fn next_version(&self) -> TokenVersion {
        let drawn = TokenVersion::at(self.clock.unix_millis(), u32::from_be_bytes(random::bytes()));
        let after = |last: i64| drawn.as_i64().max(last.saturating_add(1));
        let last = self
            .last_version
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)))
            .unwrap_or_else(|last| last);
        TokenVersion::from_i64(after(last)).unwrap_or(drawn)
    }

    /// Writes what has been learned of a grant, under the version that it has: a removal that
    /// names the version still finds it.
    pub(crate) async fn update(
        &self,
        token: &WebflowToken,
        details: GrantDetails,
    ) -> Result<(), StoreError> {
        let grant = token.grant();
        let row = self.seal(&grant.key, grant.version, &details)?;
        let still_there = |tokens: &Tokens| {
            tokens.iter().any(|it| it.grant().version == grant.version && !it.is_dead())
        };
        if still_there(&self.load_anew(token.subject()).await?) {
            self.within(self.store.save(&row)).await?;
            self.cache.forget(token.subject());
        }
        Ok(())
    }

    /// Removes exactly this version of the grant. True if it was there.
    pub(crate) async fn remove(&self, token: &WebflowToken) -> Result<bool, StoreError> {
        let grant = token.grant();
        token.mark_dead();
        let timer = observe::Timer::start();
        let removed = self.within(self.store.remove(&grant.key, grant.version)).await;
        timer.store("remove");
        // Also when the store fails: better to read once more than to serve what should be gone.
        self.cache.forget(grant.key.subject());
        removed
    }

    pub(crate) async fn purge_older_than(&self, age: Duration) -> Result<u64, StoreError> {
        let purged = self.store.purge_older_than(age).await;
        self.cache.forget_all();
        purged
    }

    pub(crate) async fn healthy(&self) -> Result<(), StoreError> {
        self.within(self.store.healthy()).await
    }

    async fn within<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        timeout(self.budget, operation).await.unwrap_or(Err(StoreError::Timeout))
    }

    fn seal(
        &self,
        key: &TokenKey,
        version: TokenVersion,
        details: &GrantDetails,
    ) -> Result<SealedToken, StoreError> {
        let mut plain = Plain::from_details(details);
        let json = serde_json::to_vec(&plain).map(Zeroizing::new);
        plain.access_token.zeroize();
        let json = json.map_err(StoreError::unavailable)?;
        let sealed = self.keyring.seal(Purpose::Token, &context(key, version), &json);
        let coverage = details.coverage.clone().unwrap_or_default();
        Ok(SealedToken::new(key.clone(), version, sealed, details.obtained_at)
            .with_sites(coverage.sites)
            .with_workspaces(coverage.workspaces))
    }

    fn open_all(
        &self,
        rows: &[SealedToken],
        belongs: impl Fn(&SealedToken) -> bool,
    ) -> Vec<WebflowToken> {
        let mut tokens: Vec<_> = rows
            .iter()
            .filter_map(|row| {
                let token = if belongs(row) { self.open(row) } else { None };
                if token.is_none() {
                    tracing::warn!(
                        subject = ?row.key().subject(),
                        "a stored grant does not open with any key of the ring: it counts as none"
                    );
                }
                token
            })
            .collect();
        tokens.sort_by_key(|token| std::cmp::Reverse(token.grant().version));
        tokens
    }

    fn open(&self, row: &SealedToken) -> Option<WebflowToken> {
        let context = context(row.key(), row.version());
        let json = self.keyring.open(Purpose::Token, &context, row.sealed())?;
        let plain: Plain = serde_json::from_slice(&json).ok()?;
        Some(self.token(row.key().clone(), row.version(), plain.into_details()))
    }

    fn token(&self, key: TokenKey, version: TokenVersion, details: GrantDetails) -> WebflowToken {
        let outdated = AtomicBool::new(details.coverage.is_none());
        WebflowToken::new(Grant {
            whose: key.subject().mark(),
            outdated,
            key,
            version,
            details,
            dead: AtomicBool::new(false),
            reading: OnceLock::new(),
            client: Arc::clone(&self.client),
        })
    }
}

/// What a sealed grant is bound to; lengths keep two fields from being read as others.
fn context(key: &TokenKey, version: TokenVersion) -> Vec<u8> {
    let mut context = Vec::new();
    for field in [key.subject().as_str(), key.grant().as_str()] {
        context.extend_from_slice(&(field.len() as u64).to_be_bytes());
        context.extend_from_slice(field.as_bytes());
    }
    context.extend_from_slice(&version.as_i64().to_be_bytes());
    context
}

impl Plain {
    fn from_details(details: &GrantDetails) -> Self {
        Self {
            access_token: details.access_token.expose_secret().to_owned(),
            scopes: details.scopes.to_string(),
            obtained_at_unix_secs: details
                .obtained_at
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            coverage: details.coverage.as_ref().map(|coverage| PlainCoverage {
                authorization_id: coverage.authorization_id.clone(),
                sites: coverage.sites.clone(),
                workspaces: coverage.workspaces.clone(),
            }),
            flows: details.flows.clone(),
            asked: details.asked.to_string(),
            renewed: details.renewed,
        }
    }

    fn into_details(self) -> GrantDetails {
        GrantDetails {
            access_token: SecretString::from(self.access_token),
            scopes: Scopes::parse_lenient(&self.scopes),
            obtained_at: SystemTime::UNIX_EPOCH + Duration::from_secs(self.obtained_at_unix_secs),
            coverage: self.coverage.map(|coverage| Coverage {
                authorization_id: coverage.authorization_id,
                sites: coverage.sites,
                workspaces: coverage.workspaces,
            }),
            flows: self.flows,
            asked: Scopes::parse_lenient(&self.asked),
            renewed: self.renewed,
        }
    }
}
