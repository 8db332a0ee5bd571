//! Lists the stored grants.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::stream::{Stream, StreamExt};

use crate::context::Context;
use crate::context::handle::WebflowAuthHandle;
use crate::grant::scope::Scopes;
use crate::grant::token::WebflowToken;
use crate::identity::subject::Subject;
use crate::store::{GrantId, StoreError, TokenKey};

/// A stored grant without its token.
///
/// [`WebflowAuthHandle::list_grants`] returns it.
#[derive(Clone)]
pub struct StoredGrant(WebflowToken);

impl StoredGrant {
    /// The subject that the grant belongs to.
    pub fn subject(&self) -> &Subject {
        self.0.subject()
    }

    /// The ID of this grant among its subject's grants.
    pub fn grant_id(&self) -> &GrantId {
        self.0.grant_id()
    }

    /// The key of its row, to continue a listing after it.
    pub fn key(&self) -> &TokenKey {
        &self.0.grant().key
    }

    /// The scopes that the user granted.
    pub fn scopes(&self) -> &Scopes {
        self.0.scopes()
    }

    /// The IDs of the sites that it covers, as far as they are known.
    pub fn sites(&self) -> &[String] {
        self.0.sites()
    }

    /// The IDs of the workspaces that it covers.
    pub fn workspaces(&self) -> &[String] {
        self.0.workspaces()
    }

    /// When its token was obtained, in whole seconds.
    pub fn obtained_at(&self) -> SystemTime {
        self.0.obtained_at()
    }
}

impl fmt::Debug for StoredGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredGrant").field("key", self.key()).finish_non_exhaustive()
    }
}

impl WebflowAuthHandle {
    /// Lists all stored grants of this app in the store's order, starting after `after`.
    ///
    /// A row that no key of the ring opens is logged and skipped. The items contain no tokens; use
    /// [`tokens`](Self::tokens) to get them.
    ///
    /// ```no_run
    /// # use tower_webflow_auth::WebflowAuthHandle;
    /// use futures::TryStreamExt;
    /// use std::pin::pin;
    ///
    /// # async fn run(handle: WebflowAuthHandle) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut grants = pin!(handle.list_grants(None));
    /// while let Some(grant) = grants.try_next().await? {
    ///     println!("{:?}: {} sites", grant.subject(), grant.sites().len());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`StoreError`], after which the stream ends. [`StoreError::Unsupported`] if the store cannot
    /// list its rows.
    pub fn list_grants(
        &self,
        after: Option<&TokenKey>,
    ) -> impl Stream<Item = Result<StoredGrant, StoreError>> + Send + use<> {
        grants(&self.context, after).map(|token| token.map(StoredGrant))
    }
}

/// All stored grants that a key of the ring opens.
pub fn grants(
    context: &Arc<Context>,
    after: Option<&TokenKey>,
) -> impl Stream<Item = Result<WebflowToken, StoreError>> + Send + use<> {
    let vault = Arc::clone(&context.vault);
    vault.scan(after).filter_map(move |row| {
        let token = match row {
            Ok(row) => vault.open_or_warn(&row).map(Ok),
            Err(error) => Some(Err(error)),
        };
        std::future::ready(token)
    })
}
