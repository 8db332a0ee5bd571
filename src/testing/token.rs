//! Tokens for unit tests of handlers, without a flow.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use secrecy::SecretString;

use super::FakeWebflow;
use crate::api::ApiClient;
use crate::grant::details::{Coverage, GrantDetails, Sites};
use crate::grant::scope::{Scope, Scopes};
use crate::grant::token::{Grant, WebflowToken};
use crate::grant::user::WebflowUser;
use crate::identity::subject::Subject;
use crate::store::{GrantId, TokenKey, TokenVersion};
use crate::util::clock::Clock;
use crate::webflow::{Endpoints, client_builder};

/// The client ID of every such token.
const CLIENT_ID: &str = "test-client";

/// Time limit of one call; no test should wait longer.
const BUDGET: Duration = Duration::from_secs(5);

/// Builds a [`WebflowToken`] for the unit test of a handler.
///
/// Created by [`WebflowToken::for_test`]. The defaults are the subject `user:test`, no sites, no
/// workspaces, obtained now, and no Webflow, so that a call fails with
/// [`Unreachable`](crate::api::ApiError::Unreachable).
#[must_use = "call `build` to create the token"]
pub struct TestToken {
    scopes: Scopes,
    access_token: SecretString,
    subject: Subject,
    coverage: Coverage,
    user: Option<WebflowUser>,
    obtained_at: SystemTime,
    endpoints: Option<Endpoints>,
    clock: Clock,
}

/// For unit tests of handlers; feature `testing`.
impl WebflowToken {
    /// Returns a builder for a token with these scopes, without a flow, a layer or a store.
    ///
    /// Pass the token to a handler as an argument. To test through a router, put it into the
    /// request's extensions, as the layer would.
    ///
    /// ```
    /// use axum::{Extension, Json, Router, routing::get};
    /// use serde_json::Value;
    /// use tower_webflow_auth::{Scope, WebflowToken, api::ApiError, testing::FakeWebflow};
    ///
    /// async fn sites(token: WebflowToken) -> Result<Json<Value>, ApiError> {
    ///     Ok(Json(token.api().get("/v2/sites").send().await?.json().await?))
    /// }
    ///
    /// # #[tokio::main] async fn main() -> Result<(), ApiError> {
    /// let webflow = FakeWebflow::start().await;
    /// let token = WebflowToken::for_test([Scope::SITES_READ]).webflow(&webflow).build();
    /// let Json(answer) = sites(token.clone()).await?;
    /// assert_eq!(answer["sites"][0]["displayName"], "Shop");
    ///
    /// let app: Router = Router::new().route("/sites", get(sites)).layer(Extension(token));
    /// # Ok(()) }
    /// ```
    pub fn for_test(scopes: impl IntoIterator<Item = Scope>) -> TestToken {
        TestToken {
            scopes: scopes.into_iter().collect(),
            access_token: "access token of a test".into(),
            subject: Subject::user("test"),
            coverage: Coverage { sites: Sites::Listed(Some(Vec::new())), ..Coverage::default() },
            user: None,
            obtained_at: SystemTime::now(),
            endpoints: None,
            clock: Clock::system(),
        }
    }
}

impl TestToken {
    /// Issues a live token at this fake for the user's first workspace, and sends calls there.
    /// Retries wait by the fake's clock.
    pub fn webflow(mut self, webflow: &FakeWebflow) -> Self {
        self.access_token = webflow.issue_token(self.scopes.iter().cloned()).into();
        self.endpoints = Some(webflow.endpoints());
        self.clock = webflow.clock().clone();
        self
    }

    /// Sets the access token, for example for your own fake server or to find it in a request.
    pub fn access_token(mut self, token: impl Into<SecretString>) -> Self {
        self.access_token = token.into();
        self
    }

    /// Sets where calls go. The default is nowhere.
    pub fn endpoints(mut self, endpoints: Endpoints) -> Self {
        self.endpoints = Some(endpoints);
        self
    }

    /// Sets the subject. The default is `user:test`.
    pub fn subject(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// Sets the IDs of the covered sites. The default is none.
    pub fn sites<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.coverage.sites = Sites::Listed(Some(ids.into_iter().map(Into::into).collect()));
        self
    }

    /// Sets the IDs of the covered workspaces. The default is none.
    pub fn workspaces<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.coverage.workspaces = ids.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the user who gave the grant, as returned by [`WebflowToken::user`] and extracted as
    /// [`WebflowUser`]. The default is none.
    pub fn user(mut self, id: impl Into<String>, email: impl Into<String>) -> Self {
        let (id, email) = (Some(id.into()), Some(email.into()));
        self.user = Some(WebflowUser { id, email, ..WebflowUser::default() });
        self
    }

    /// Sets when the token was obtained. The default is now.
    pub const fn obtained_at(mut self, at: SystemTime) -> Self {
        self.obtained_at = at;
        self
    }

    /// Creates the token.
    pub fn build(self) -> WebflowToken {
        let endpoints = self.endpoints.unwrap_or_else(nowhere);
        let http = client_builder(endpoints.token()).build().unwrap_or_default();
        let obtained_at_secs =
            self.obtained_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let client =
            Arc::new(ApiClient::new(http, endpoints, CLIENT_ID.to_owned(), BUDGET, self.clock));
        WebflowToken::new(Grant {
            key: TokenKey::new(self.subject, GrantId::default()),
            version: TokenVersion::generate(obtained_at_secs.saturating_mul(1000), 0),
            details: GrantDetails {
                access_token: self.access_token,
                scopes: self.scopes.clone(),
                obtained_at: SystemTime::UNIX_EPOCH + Duration::from_secs(obtained_at_secs),
                coverage: Some(self.coverage),
                user: self.user,
                extra: None,
                flows: Vec::new(),
                asked: self.scopes,
                renewed: false,
            },
            lacks_configured: false,
            state: Arc::default(),
            client,
        })
    }
}

/// A port on this machine where nothing listens, so that tests never reach Webflow by accident.
fn nowhere() -> Endpoints {
    Endpoints::at("http://127.0.0.1:1").unwrap_or_default()
}

impl fmt::Debug for TestToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestToken")
            .field("scopes", &self.scopes.to_string())
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ApiError;
    use secrecy::ExposeSecret;
    use std::time::UNIX_EPOCH;

    #[tokio::test]
    async fn without_a_webflow_a_call_goes_nowhere() {
        let token = WebflowToken::for_test([Scope::SITES_READ]).build();
        let error = token.api().get("/v2/sites").no_retry().send().await.unwrap_err();
        assert!(matches!(error, ApiError::Unreachable(_)), "{error:?}");
        assert_eq!(nowhere().token().host_str(), Some("127.0.0.1"));
    }

    #[tokio::test]
    async fn a_token_of_the_fake_has_the_given_scopes() {
        let webflow = FakeWebflow::start().await;
        let token = WebflowToken::for_test([Scope::CMS_READ]).webflow(&webflow).build();
        let error = token.api().sites().await.unwrap_err();
        assert!(matches!(&error, ApiError::Forbidden { body } if body.code == "missing_scopes"));
        webflow.revoke_everything();
        let error = token.api().sites().await.unwrap_err();
        assert!(matches!(error, ApiError::Unauthorized { .. }), "{error:?}");
    }

    #[test]
    fn every_setting_is_what_the_handler_sees_and_debug_shows_no_secret() {
        let builder = WebflowToken::for_test([Scope::SITES_READ])
            .access_token("s3cret")
            .subject(Subject::user(7))
            .sites(["site"])
            .workspaces(["workspace"])
            .obtained_at(UNIX_EPOCH + Duration::from_secs(9));
        assert!(!format!("{builder:?}").contains("s3cret"));
        let token = builder.build();
        assert_eq!(token.access_token().expose_secret(), "s3cret");
        assert_eq!(token.subject().id(), "7");
        assert_eq!(
            (token.sites(), token.workspaces()),
            (&["site".into()][..], &["workspace".into()][..])
        );
        assert_eq!(token.obtained_at(), UNIX_EPOCH + Duration::from_secs(9));
        assert_eq!(token.scopes().to_string(), "sites:read");
    }
}
