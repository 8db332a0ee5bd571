//! All that the stand-in knows: one app, one user, and what was issued to them.

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
use super::directory::{Access, Workspace};
use super::faults::Faults;
use super::forms::Submission;
use super::ledger::{Approval, Code, Ledger};
use super::log::Log;
use super::mint::Mint;
use super::pages::PageSettings;
use crate::grant::scope::Scopes;
use crate::util::clock::Clock;
use crate::webflow::Endpoints;

/// The app as it is registered with Webflow.
pub struct App {
    pub name: String,
    /// What introspection calls it; not the client identifier.
    pub id: String,
    pub client_id: String,
    pub client_secret: SecretString,
    pub scopes: Scopes,
}

/// The user who sits at the consent page.
pub struct User {
    pub id: String,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
}

impl User {
    /// As `authorized_by` answers it.
    pub fn to_json(&self) -> Value {
        serde_json::json!({
            "id": self.id,
            "email": self.email,
            "firstName": self.first_name,
            "lastName": self.last_name,
        })
    }
}

/// What a test may turn while the server runs.
#[derive(Clone)]
pub struct Settings {
    pub redirect_uris: Vec<String>,
    pub scope_shape: ScopeShape,
    pub error_shape: ErrorShape,
    pub list_shape: ListShape,
    pub requests_per_minute: u32,
}

/// The state that the handle and every connection share.
pub struct World {
    pub app: App,
    pub user: User,
    pub workspaces: Vec<Workspace>,
    pub clock: Clock,
    pub endpoints: Endpoints,
    pub mint: Mint,
    pub started_at: SystemTime,
    pub settings: Mutex<Settings>,
    pub ledger: Mutex<Ledger>,
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

impl World {
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
        let text = self.mint.secret();
        let code = Code { approval, redirect_uri, redirect_uri_sent, issued_at: self.clock.now() };
        lock(&self.ledger).add_code(text.clone(), code);
        text
    }

    pub fn issue_token(&self, approval: Approval) -> String {
        let token = self.mint.secret();
        let now = self.clock.now();
        lock(&self.ledger).add_token(token.clone(), self.mint.id(), approval, now);
        token
    }

    /// The app's credentials, as the exchange and the revocation ask for them.
    pub fn check_client(&self, id: &str, secret: &str) -> Result<(), OAuthError> {
        if id == self.app.client_id && secret == self.app.client_secret.expose_secret() {
            Ok(())
        } else {
            Err(OAuthError::invalid_client())
        }
    }

    /// A grant for the first workspace, what most tests want.
    pub fn first_workspace(&self) -> Option<Access> {
        let workspace = self.workspaces.first()?;
        Some(Access::Workspace(workspace.id().to_owned()))
    }
}

/// A panic in one test's handler must not hide behind a poisoned lock in the next assertion.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A time as Webflow's JSON has it.
pub fn timestamp(at: SystemTime) -> String {
    OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default()
}

/// Whole seconds for `Retry-After`, never less than is left.
pub fn seconds_rounded_up(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// 429 as the Data API answers it. Source: Webflow Data API, *Rate Limits*.
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
