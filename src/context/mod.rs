//! The state that all clones of one layer, its services and handles share.
//!
//! It knows neither the gate nor the middleware.

pub mod handle;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use percent_encoding::utf8_percent_encode;
use tokio::sync::Semaphore;

use crate::crypto::keyring::Keyring;
use crate::flow_state::cookie::FlowJar;
use crate::flow_state::pending::PendingFlows;
use crate::grant::policy::{GrantPolicy, Selection};
use crate::grant::scope::Scopes;
use crate::hooks::Hooks;
use crate::identity::session_cookie::{Session, Sliding};
use crate::identity::sign_in::SignIn;
use crate::identity::subject::Subject;
use crate::identity::{self, SubjectSource, Who};
use crate::problem::{Answer, FailureKind, Problem};
use crate::util::background::Tasks;
use crate::util::clock::Clock;
use crate::util::{log, metrics};
use crate::vault::Vault;
use crate::webflow::{ApplicationId, WebflowClient};
use crate::wire::cookies::{self, CookiePolicy};
use crate::wire::paths::{COMPONENT, Paths, original_uri};
use crate::wire::request_head::RequestHead;
use crate::wire::return_to;

/// How many cookies with the session's name are verified.
const MAX_SESSION_COOKIES: usize = 4;

/// The result of one `build()`.
pub struct Context {
    pub webflow: Arc<WebflowClient>,
    /// The tasks that outlive their request.
    pub tasks: Tasks,
    pub vault: Arc<Vault>,
    pub keyring: Keyring,
    pub clock: Clock,
    pub cookies: CookiePolicy,
    /// The associated data of session signatures: the cookie's name and the client ID.
    pub session_binding: String,
    pub paths: Paths,
    /// The application's origin, from `redirect_uri`. The requests' `Host` and `Forwarded` are not
    /// trusted.
    pub origin: String,
    pub scopes: Scopes,
    /// Further scopes that a login link may request: those of `further_scopes` and of the layers
    /// with `require_scopes`.
    pub further_scopes: RwLock<Scopes>,
    pub subjects: SubjectSource,
    /// Where the application's users sign in.
    pub sign_in: Option<SignIn>,
    pub flow_lifetime: Duration,
    pub sliding: Sliding,
    pub pending: PendingFlows,
    /// One permit for each logout in progress, since it continues after its connection is dropped.
    pub logouts: Arc<Semaphore>,
    /// Whether the store is lost with the process.
    pub volatile: bool,
    pub selection: Selection,
    pub application: ApplicationId,
    pub hooks: Hooks,
    /// Whether the warning about another host was logged.
    pub host_warned: AtomicBool,
    #[cfg(feature = "webhooks")]
    pub webhooks: crate::delivery::Webhooks,
    /// `None` if no panel's origin is configured.
    #[cfg(feature = "panels")]
    pub panels: Option<crate::bearer::Panels>,
}

impl Context {
    /// Reads the request's head.
    pub fn head<'r>(&self, parts: &'r Parts) -> RequestHead<'r> {
        RequestHead::read(&parts.method, original_uri(parts), &parts.headers, &self.cookies)
    }

    /// Determines whose request it is.
    pub async fn who(&self, parts: &Parts) -> Result<Who, Problem> {
        match &self.subjects {
            SubjectSource::Resolver(resolver) => identity::resolve(resolver, parts).await,
            SubjectSource::Session | SubjectSource::Application(_) => {
                self.who_now(parts).unwrap_or(Ok(Who::Nobody))
            }
        }
    }

    /// Like [`who`](Self::who) without awaiting; `None` if the application's lookup is needed.
    pub fn who_now(&self, parts: &Parts) -> Option<Result<Who, Problem>> {
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

    /// Whether subjects are this crate's browser sessions, rather than the application's users.
    pub const fn subjects_are_sessions(&self) -> bool {
        matches!(self.subjects, SubjectSource::Session)
    }

    /// Whether a request's token follows from its session cookie alone.
    pub fn token_follows_from_cookie(&self) -> bool {
        self.subjects_are_sessions()
            && self.selection.0.is_none()
            && self.vault.grants == GrantPolicy::Single
    }

    /// The browser's newest session and its cookie's value.
    pub fn session<'h>(&self, headers: &'h HeaderMap) -> Option<(Session, &'h str)> {
        self.sessions(headers).into_iter().next()
    }

    /// The sessions with a valid signature that have not expired, newest first. There are several
    /// if the cookie's attributes have changed and the browser keeps both forms.
    pub fn sessions<'h>(&self, headers: &'h HeaderMap) -> Vec<(Session, &'h str)> {
        let now = self.clock.unix_secs();
        let mut sessions: Vec<_> = cookies::named(headers, self.cookies.session_name())
            .take(MAX_SESSION_COOKIES)
            .filter_map(|value| {
                Some((Session::verify(&self.session_binding, value, &self.keyring, now)?, value))
            })
            .collect();
        sessions.sort_by_key(|(session, _)| std::cmp::Reverse(session.began_unix_secs));
        sessions
    }

    /// The `Set-Cookie` value for a session with this ID that begins now.
    pub fn session_cookie(&self, id: &str) -> Option<HeaderValue> {
        let now = self.clock.unix_secs();
        let lifetime = self.sliding.lifetime.min(self.sliding.max_lifetime);
        self.set_session(&Session {
            id: id.to_owned(),
            began_unix_secs: now,
            expires_unix_secs: now.saturating_add(lifetime),
            has_old_key: false,
        })
    }

    fn set_session(&self, session: &Session) -> Option<HeaderValue> {
        let value = session.sign(&self.session_binding, &self.keyring)?;
        let lifetime = session.expires_unix_secs.saturating_sub(self.clock.unix_secs());
        self.cookies.set(self.cookies.session_name(), &value, Duration::from_secs(lifetime))
    }

    /// The `Set-Cookie` value that extends the session, if that is due.
    pub fn slide(&self, subject: &Subject, head: &RequestHead<'_>) -> Option<HeaderValue> {
        if !subject.is_session() || !head.is_page_load() {
            return None;
        }
        let sessions = self.sessions(head.headers());
        let (session, _) = sessions.into_iter().find(|(session, _)| session.id == subject.id())?;
        self.set_session(&session.slide(self.clock.unix_secs(), self.sliding)?)
    }

    /// The `Set-Cookie` values that end the browser's session, in every form that its cookie may
    /// have.
    pub fn session_removals(&self, headers: &HeaderMap) -> Vec<HeaderValue> {
        let name = self.cookies.session_name();
        self.cookies.remove(name).into_iter().chain(self.other_session_removal(headers)).collect()
    }

    /// The `Set-Cookie` value that removes the session cookie in the form that is not used now.
    pub fn other_session_removal(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let name = self.cookies.session_name();
        let sent = cookies::named(headers, name).take(2).count();
        // After a switch to the partitioned form, a single cookie may have the former one.
        let possible = if self.cookies.is_cross_site() { sent > 0 } else { sent > 1 };
        self.cookies.other_form().filter(|_| possible)?.remove(name)
    }

    /// A link that starts a login. Without a login path it is the page itself, which then redirects
    /// to Webflow.
    pub fn login_url(&self, return_to: &str, scopes: Option<&Scopes>) -> String {
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

    /// A login link for pages of other origins.
    #[cfg(feature = "panels")]
    pub fn absolute_login_url(&self, scopes: Option<&Scopes>) -> String {
        format!("{}{}", self.origin, self.login_url("/", scopes))
    }

    /// The path, if it is a page of the application on this origin, otherwise `/`.
    pub fn return_to(&self, path: &str) -> String {
        self.own_page(path).unwrap_or_else(|| "/".to_owned())
    }

    /// The path, if it is a page of the application on this origin.
    pub fn own_page(&self, path: &str) -> Option<String> {
        let own = return_to::checked(path)?;
        let resolved = return_to::resolved(&own)?;
        let is_taken = self.paths.endpoint(&resolved).is_some() || self.is_panel_path(&resolved);
        (!is_taken).then_some(own)
    }

    /// Whether this is the panel path.
    #[cfg(feature = "panels")]
    pub fn is_panel_path(&self, path: &str) -> bool {
        self.panels.as_ref().is_some_and(|panels| panels.path == path)
    }

    #[cfg(not(feature = "panels"))]
    #[expect(clippy::unused_self)]
    const fn is_panel_path(&self, _: &str) -> bool {
        false
    }

    /// Allows login links to request these scopes.
    pub fn allow_scopes(&self, scopes: &Scopes) {
        let mut further = self.further_scopes.write().unwrap_or_else(PoisonError::into_inner);
        *further = further.union(scopes);
    }

    /// Whether a login link may request these scopes. Checked because anybody can make a link.
    pub fn may_ask_for(&self, scopes: &Scopes) -> bool {
        let further = self.further_scopes.read().unwrap_or_else(PoisonError::into_inner);
        self.scopes.union(&further).contains_all(scopes)
    }

    /// Warns once if the browser uses another host than the redirect URI's, since it will not send
    /// the flow's cookie to the callback.
    pub fn check_host(&self, head: &RequestHead<'_>) {
        let own = self.origin.split_once("://").map_or("", |(_, authority)| authority);
        let host = head.headers().get(HOST).and_then(|host| host.to_str().ok());
        let Some(host) = host.filter(|host| !host.eq_ignore_ascii_case(own)) else { return };
        if !self.host_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: log::FLOW,
                host,
                redirect_uri = own,
                "the application is opened at another host than that of the redirect URI: \
                 browsers will not send the login's cookie to the callback"
            );
        }
    }

    /// Renders a problem, or the application's own response to it.
    pub fn fail(&self, problem: &Problem, head: &RequestHead<'_>) -> Answer {
        // A challenge is not a failure, and has its own counter.
        if problem.kind != FailureKind::LoginRequired {
            metrics::flow_failed(problem.kind.as_str());
        }
        self.hooks.answer(problem, head)
    }

    /// The flow cookies of this app, as of now.
    pub fn flows(&self) -> FlowJar<'_> {
        FlowJar {
            policy: &self.cookies,
            keyring: &self.keyring,
            client_id: &self.webflow.client_id,
            lifetime: self.flow_lifetime,
            now: self.clock.unix_millis(),
        }
    }

    /// The application's user as a flow cookie stores it. `None` if subjects are sessions.
    pub fn user_digest(&self, subject: &Subject) -> Option<String> {
        (!self.subjects_are_sessions()).then(|| URL_SAFE_NO_PAD.encode(subject.digest()))
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
