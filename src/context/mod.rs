//! The state that all clones of one layer, its services and handles share.

pub(crate) mod flow_cookie;
pub(crate) mod pending;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use percent_encoding::utf8_percent_encode;

use crate::context::flow_cookie::FlowJar;
use crate::crypto::keyring::Keyring;
use crate::grant::policy::{GrantPolicy, Selection};
use crate::grant::scope::Scopes;
use crate::hooks::Hooks;
use crate::identity::session_cookie::Session;
use crate::identity::subject::Subject;
use crate::identity::{self, SubjectSource, Who};
use crate::problem::{Answer, FailureKind, Problem};
use crate::util::background::Tasks;
use crate::util::clock::Clock;
use crate::util::metrics;
use crate::vault::Vault;
use crate::webflow::WebflowClient;
use crate::wire::cookies::{self, CookiePolicy};
use crate::wire::paths::{COMPONENT, Paths, original_uri};
use crate::wire::request_head::RequestHead;
use crate::wire::return_to;
use pending::PendingFlows;

/// What one `build()` has made.
pub(crate) struct Context {
    pub(crate) webflow: Arc<WebflowClient>,
    /// Everything that runs detached from a request.
    pub(crate) tasks: Tasks,
    pub(crate) vault: Arc<Vault>,
    pub(crate) keyring: Keyring,
    pub(crate) clock: Clock,
    pub(crate) cookies: CookiePolicy,
    /// What session signatures are bound to: the cookie's name and the client id.
    pub(crate) session_binding: String,
    pub(crate) paths: Paths,
    /// The application's origin, from `redirect_uri`: what requests say of it (`Host`,
    /// `Forwarded`) is not trusted.
    pub(crate) origin: String,
    pub(crate) scopes: Scopes,
    pub(crate) subjects: SubjectSource,
    pub(crate) flow_lifetime: Duration,
    pub(crate) session_lifetime: Duration,
    pub(crate) pending: PendingFlows,
    /// Whether the store is lost with the process.
    pub(crate) volatile: bool,
    pub(crate) selection: Selection,
    pub(crate) hooks: Hooks,
}

impl Context {
    /// What the request's head says.
    pub(crate) fn head<'r>(&self, parts: &'r Parts) -> RequestHead<'r> {
        RequestHead::read(&parts.method, original_uri(parts), &parts.headers, self.cookies)
    }

    /// Whose request it is.
    pub(crate) async fn who(&self, parts: &Parts) -> Result<Who, Problem> {
        match &self.subjects {
            SubjectSource::Resolver(resolver) => identity::resolve(resolver, parts).await,
            SubjectSource::Session | SubjectSource::Application(_) => {
                self.who_now(parts).unwrap_or(Ok(Who::Nobody))
            }
        }
    }

    /// Like [`who`](Self::who) without awaiting; `None` if the application's lookup is needed.
    pub(crate) fn who_now(&self, parts: &Parts) -> Option<Result<Who, Problem>> {
        match &self.subjects {
            SubjectSource::Session => Some(Ok(self
                .session(&parts.headers)
                .map_or(Who::Nobody, |(session, _)| Who::Known(Subject::session(&session.id))))),
            SubjectSource::Application(subject_of) => {
                Some(identity::call_closure(&**subject_of, parts))
            }
            SubjectSource::Resolver(_) => None,
        }
    }

    /// Whether a request's token follows from its session cookie alone.
    pub(crate) fn token_follows_from_cookie(&self) -> bool {
        matches!(self.subjects, SubjectSource::Session)
            && self.selection.0.is_none()
            && self.vault.grants == GrantPolicy::Single
    }

    /// The browser's session and its cookie's value, if the cookie is signed and has not expired.
    pub(crate) fn session<'h>(&self, headers: &'h HeaderMap) -> Option<(Session, &'h str)> {
        let now = self.clock.unix_secs();
        cookies::named(headers, self.cookies.session_name()).find_map(|value| {
            Some((Session::verify(&self.session_binding, value, &self.keyring, now)?, value))
        })
    }

    /// The `Set-Cookie` value for a session of that id that begins now.
    pub(crate) fn session_cookie(&self, id: &str) -> Option<HeaderValue> {
        let now = self.clock.unix_secs();
        let session = Session {
            id: id.to_owned(),
            began_unix_secs: now,
            expires_unix_secs: now.saturating_add(self.session_lifetime.as_secs()),
        };
        let value = session.sign(&self.session_binding, &self.keyring)?;
        self.cookies.set(self.cookies.session_name(), &value, self.session_lifetime)
    }

    /// A link that begins a login. Without a login path that is the page itself, which challenges.
    pub(crate) fn login_url(&self, return_to: &str, scopes: Option<&Scopes>) -> String {
        let Some(login) = &self.paths.login else {
            return return_to.to_owned();
        };
        let mut url = format!("{login}?return_to={}", utf8_percent_encode(return_to, COMPONENT));
        if let Some(scopes) = scopes {
            url.push_str("&scope=");
            url.extend(utf8_percent_encode(&scopes.to_string(), COMPONENT));
        }
        url
    }

    /// A path to return to: on this origin, and none of the crate's own endpoints.
    pub(crate) fn return_to(&self, path: &str) -> String {
        let path = return_to::own_path(path);
        let resolved = return_to::resolved(&path);
        let unfit = resolved.is_none_or(|path| self.paths.endpoint(&path).is_some());
        if unfit { "/".to_owned() } else { path }
    }

    /// Renders a problem, unless the application has its own response for it.
    pub(crate) fn fail(&self, problem: &Problem, head: &RequestHead<'_>) -> Answer {
        // A challenge is no failure, and is counted as such.
        if problem.kind != FailureKind::LoginRequired {
            metrics::flow_failed(problem.kind.as_str());
        }
        self.hooks.answer(problem, head)
    }

    /// The flow cookies of this app, as of now.
    pub(crate) fn flows(&self) -> FlowJar<'_> {
        FlowJar {
            policy: self.cookies,
            keyring: &self.keyring,
            client_id: &self.webflow.client_id,
            lifetime: self.flow_lifetime,
            now: self.clock.unix_millis(),
        }
    }

    /// What stands in a flow cookie for the application's user.
    pub(crate) fn user_digest(&self, subject: &Subject) -> Option<String> {
        match self.subjects {
            SubjectSource::Session => None,
            SubjectSource::Application(_) | SubjectSource::Resolver(_) => {
                Some(URL_SAFE_NO_PAD.encode(subject.digest()))
            }
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("webflow", &self.webflow)
            .field("paths", &self.paths)
            .field("scopes", &self.scopes.to_string())
            .finish_non_exhaustive()
    }
}
