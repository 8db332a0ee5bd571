//! Recovery: a handler has found its token dead, so the user is sent to Webflow.

use std::sync::Arc;

#[cfg(feature = "panels")]
use http::HeaderMap;

#[cfg(feature = "panels")]
use super::bearer::{self, Panel};
use super::challenge::challenge;
use super::decide::{Admitted, is_new};
use super::guard::Guard;
#[cfg(feature = "panels")]
use crate::bearer::origins::Reader;
use crate::flow::see_other;
use crate::flow_state::cookie::FlowKind;
use crate::grant::token::{Reauthorize, WebflowToken};
use crate::lifecycle::disconnect::remove_dead;
use crate::problem::{Answer, Problem, catalog};
use crate::wire::request_head::{RequestHead, RequestKind, SavedHead};
use crate::wire::return_to;

/// What is kept of an admitted request in case its token turns out to be dead.
pub struct Recovery {
    guard: Arc<Guard>,
    /// The token with which the request was admitted.
    token: WebflowToken,
    head: SavedHead,
    /// Who may read the response, if the request carries a panel's bearer.
    #[cfg(feature = "panels")]
    panel: Option<Reader>,
}

impl Recovery {
    pub fn new(guard: &Arc<Guard>, token: &WebflowToken, head: &RequestHead<'_>) -> Self {
        Self {
            guard: Arc::clone(guard),
            token: token.clone(),
            head: head.save(),
            #[cfg(feature = "panels")]
            panel: None,
        }
    }

    /// For a request with a panel's bearer.
    #[cfg(feature = "panels")]
    pub fn by_bearer(mut self, panel: &Panel) -> Self {
        self.panel = Some(panel.reader.clone());
        self
    }

    /// `None` for a request without a token.
    pub fn for_admitted(
        guard: &Arc<Guard>,
        admitted: &Admitted,
        head: &RequestHead<'_>,
    ) -> Option<Self> {
        let recovery = Self::new(guard, admitted.token.as_ref()?, head);
        #[cfg(feature = "panels")]
        if let Some(panel) = &admitted.panel {
            return Some(recovery.by_bearer(panel));
        }
        Some(recovery)
    }

    /// Lets the panel read the response.
    #[cfg(feature = "panels")]
    pub fn add_cors(&self, headers: &mut HeaderMap) {
        if let Some(reader) = &self.panel {
            reader.add_to(headers);
        }
    }

    /// Whether a browser will show the response as a page.
    pub const fn wants_page(&self) -> bool {
        #[cfg(feature = "panels")]
        if self.panel.is_some() {
            return false;
        }
        self.head.wants_page()
    }

    /// Whether the token belongs to this request's subject in this layer. A handler may report
    /// somebody else's token; that must not affect the current user.
    pub fn concerns(&self, reauthorize: &Reauthorize) -> bool {
        let token = &reauthorize.0;
        #[cfg(feature = "panels")]
        if self.panel.is_some() {
            let (own, other) = (self.token.grant(), token.grant());
            return token.belongs_to(self.token.client())
                && (own.version, &own.key) == (other.version, &other.key);
        }
        token.belongs_to(self.token.client()) && token.subject() == self.token.subject()
    }

    /// The response that replaces the handler's. Removes exactly the dead version, and asks the
    /// user for a new grant.
    pub async fn recover(self, reauthorize: Reauthorize) -> Answer {
        #[cfg(feature = "panels")]
        if let Some(reader) = &self.panel {
            let removed = remove_dead(&self.guard.context, &reauthorize.0).await;
            return bearer::refused_by_handler(removed, reader);
        }
        let head = self.head.head();
        let answer = self.answer(&head, &reauthorize.0).await;
        answer.unwrap_or_else(|problem| self.guard.context.fail(&problem, &head))
    }

    async fn answer(&self, head: &RequestHead<'_>, dead: &WebflowToken) -> Result<Answer, Problem> {
        let context = &self.guard.context;
        let was_there =
            remove_dead(context, dead).await.map_err(|error| catalog::store_failed(&error))?;
        let tokens = context.vault.load_anew(dead.subject()).await;
        let tokens = tokens.map_err(|error| catalog::store_failed(&error))?;
        if tokens.iter().any(|token| !token.is_dead()) {
            // If the dead token is another one and was already removed, repeating the request would
            // only meet it again.
            let same = dead.grant().version == self.token.grant().version;
            return try_again(head, was_there || same);
        }
        if dead.grant().details.renewed && is_new(context, dead) {
            return Err(catalog::renewed_token_refused(context.login_url("/", None)));
        }
        let kind = FlowKind::Reauthorize;
        challenge(context, head, Some(dead.subject()), kind, &self.guard.wanted())
    }
}

/// The response if there is another live grant, so that the same request now succeeds. A navigation
/// is redirected to itself if `may_redirect`.
fn try_again(head: &RequestHead<'_>, may_redirect: bool) -> Result<Answer, Problem> {
    if may_redirect && head.kind() == RequestKind::Navigation {
        return Ok(see_other(&return_to::own_path(head.path())));
    }
    Err(catalog::token_replaced())
}
