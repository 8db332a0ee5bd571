//! The state of the fake: one app, one user, and what was issued to them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Notify;

use super::answer::{Answer, ErrorShape, ListShape, OAuthError, ScopeShape, api_error};
use super::assets::Assets;
use super::collections::Cms;
use super::faults::Faults;
use super::forms::Submission;
use super::ids::Ids;
use super::issued::{Approval, Code, Issued};
use super::log::Log;
use super::pages::PageSettings;
use super::workspaces::{Access, Workspace};
use crate::grant::scope::Scopes;
use crate::util::clock::Clock;
use crate::webflow::Endpoints;

/// The app's registration at Webflow.
pub struct App {
    pub name: String,
    /// What introspection calls it; not the client identifier.
    pub id: String,
    pub client_id: String,
    pub client_secret: SecretString,
    pub scopes: Scopes,
}

/// The user at the consent page.
pub struct User {
    pub id: String,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
}

impl User {
    /// The user in the format of `authorized_by`.
    pub fn to_json(&self) -> Value {
        serde_json::json!({
            "id": self.id,
            "email": self.email,
            "firstName": self.first_name,
            "lastName": self.last_name,
        })
    }
}

/// Settings that a test can change while the server runs.
#[derive(Clone)]
pub struct Settings {
    pub redirect_uris: Vec<String>,
    pub scope_shape: ScopeShape,
    pub error_shape: ErrorShape,
    pub list_shape: ListShape,
    pub requests_per_minute: u32,
}

/// The state shared by the handle and every connection.
pub struct FakeState {
    pub app: App,
    pub user: User,
    pub workspaces: Vec<Workspace>,
    pub clock: Clock,
    pub endpoints: Endpoints,
    pub ids: Ids,
    pub started_at: SystemTime,
    pub settings: Mutex<Settings>,
    pub issued: Mutex<Issued>,
    #[cfg(feature = "webhooks")]
    pub webhooks: Mutex<super::webhooks::Registry>,
    pub cms: Mutex<Cms>,
    pub pages: Mutex<PageSettings>,
    pub submissions: Mutex<Vec<Submission>>,
    pub assets: Mutex<Assets>,
    /// When each site was published last.
    pub published: Mutex<HashMap<String, SystemTime>>,
    pub faults: Mutex<Faults>,
    pub log: Mutex<Log>,
    pub logged: Notify,
}

impl FakeState {
    pub fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    /// Issues a code for what the user agreed to.
    pub fn issue_code(
        &self,
        approval: Approval,
        redirect_uri: String,
        redirect_uri_sent: bool,
    ) -> String {
        let text = self.ids.secret();
        let code = Code { approval, redirect_uri, redirect_uri_sent, issued_at: self.clock.now() };
        lock(&self.issued).add_code(text.clone(), code);
        text
    }

    pub fn issue_token(&self, approval: Approval) -> String {
        let token = self.ids.secret();
        let now = self.clock.now();
        lock(&self.issued).add_token(token.clone(), self.ids.id(), approval, now);
        token
    }

    /// Checks the app's credentials for the exchange and the revocation.
    pub fn check_client(&self, id: &str, secret: &str) -> Result<(), OAuthError> {
        if id == self.app.client_id && secret == self.app.client_secret.expose_secret() {
            Ok(())
        } else {
            Err(OAuthError::invalid_client())
        }
    }

    /// A grant for the first workspace, which most tests use.
    pub fn first_workspace(&self) -> Option<Access> {
        let workspace = self.workspaces.first()?;
        Some(Access::Workspace(workspace.id().to_owned()))
    }
}

/// Ignores poisoning, so that a panic in one handler does not hide behind the next assertion.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A time in the format of Webflow's JSON.
pub fn timestamp(at: SystemTime) -> String {
    OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default()
}

/// Whole seconds for `Retry-After`, rounded up.
pub fn seconds_rounded_up(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// A 429 in the Data API's format. Source: Webflow Data API, *Rate Limits*.
pub fn too_many_requests(retry_after: Duration) -> Answer {
    let answer = api_error(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too Many Requests");
    let seconds = seconds_rounded_up(retry_after);
    super::answer::with_header(answer, http::header::RETRY_AFTER, seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_never_too_early() {
        assert_eq!(seconds_rounded_up(Duration::from_millis(1)), 1);
        assert_eq!(seconds_rounded_up(Duration::from_secs(60)), 60);
        assert_eq!(seconds_rounded_up(Duration::ZERO), 0);
    }
}
