//! What every clone of the layer, its services and its handle have in common.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::crypto::keyring::Keyring;
use crate::flow::pending::InFlight;
use crate::grant::coverage::Pauses;
use crate::grant::policy::{GrantPolicy, Selection};
use crate::grant::scope::Scopes;
use crate::hooks::Hooks;
use crate::identity::resolver::{ErasedResolver, Unresolved};
use crate::identity::session_cookie::Session;
use crate::identity::subject::Subject;
use crate::problem::{Answer, Problem};
use crate::util::background::Tasks;
use crate::util::clock::Clock;
use crate::util::metrics;
use crate::vault::Vault;
use crate::vault::known_sessions::HotSessions;
use crate::webflow::WebflowClient;
use crate::wire::cookies;
use crate::wire::cookies::CookiePolicy;
use crate::wire::return_to;

/// Everything but letters, digits and `-._~` (RFC 3986 section 2.3).
pub(crate) const COMPONENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) struct Shared {
    pub(crate) webflow: Arc<WebflowClient>,
    /// Everything that runs detached from a request.
    pub(crate) tasks: Tasks,
    pub(crate) vault: Vault,
    pub(crate) keyring: Keyring,
    pub(crate) clock: Clock,
    pub(crate) cookies: CookiePolicy,
    pub(crate) paths: Paths,
    /// The application's own origin, out of `redirect_uri`: what requests say of theirs (`Host`,
    /// `Forwarded`) is not trusted for anything.
    pub(crate) origin: String,
    pub(crate) scopes: Scopes,
    pub(crate) subjects: SubjectSource,
    pub(crate) flow_lifetime: Duration,
    pub(crate) session_lifetime: Duration,
    pub(crate) introspect: bool,
    pub(crate) in_flight: InFlight,
    pub(crate) look_ups: Pauses,
    pub(crate) hot: HotSessions,
    /// Whether the store forgets everything with the process.
    pub(crate) forgetful: bool,
    pub(crate) selection: Selection,
    pub(crate) hooks: Hooks,
    #[cfg(feature = "webhooks")]
    pub(crate) webhooks: crate::delivery::Webhooks,
}

/// Where the crate's own endpoints are.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    pub(crate) callback: String,
    pub(crate) login: Option<String>,
    pub(crate) logout: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Callback,
    Login,
    Logout,
}

impl Paths {
    /// The endpoint at that path, compared byte for byte: a path that is merely equivalent is
    /// the application's to answer.
    pub(crate) fn endpoint(&self, path: &str) -> Option<Endpoint> {
        if path == self.callback {
            Some(Endpoint::Callback)
        } else if Some(path) == self.login.as_deref() {
            Some(Endpoint::Login)
        } else if Some(path) == self.logout.as_deref() {
            Some(Endpoint::Logout)
        } else {
            None
        }
    }
}

type SubjectOf = dyn Fn(&Parts) -> Option<Subject> + Send + Sync;

/// Who decides whose token it is.
#[derive(Clone)]
pub(crate) enum SubjectSource {
    /// The crate's own session cookie.
    Session,
    /// The application.
    Application(Arc<SubjectOf>),
    /// The application, by way of a look-up.
    Resolver(Arc<dyn ErasedResolver>),
}

/// Whose request it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    Known(Subject),
    /// A browser without a session.
    Nobody,
    /// The application has not authenticated anybody.
    Stranger,
    /// It could not be found out.
    Unknown(NoAnswer),
}

/// Why the application cannot say whose request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Its look-up failed.
    Unavailable,
    /// Its closure or look-up panicked.
    Panicked,
}

impl Who {
    /// Whom the application has named.
    fn of(subject: Option<Subject>) -> Self {
        match subject {
            None => Self::Stranger,
            Some(subject) if subject.validate().is_ok() => Self::Known(subject),
            Some(_) => {
                tracing::error!(
                    "the application named a subject that is empty or over 1 KiB: \
                     the request counts as not signed in"
                );
                Self::Stranger
            }
        }
    }
}

impl Shared {
    /// Whose request it is.
    pub(crate) async fn who(&self, parts: &Parts) -> Who {
        match self.who_now(parts) {
            Ok(who) => who,
            Err(resolver) => match resolver.resolve(parts).await {
                Ok(subject) => Who::of(subject),
                Err(Unresolved::Panicked) => Who::Unknown(NoAnswer::Panicked),
                Err(Unresolved::Failed(error)) => {
                    tracing::error!(error = &*error as &dyn std::error::Error, "no subject");
                    Who::Unknown(NoAnswer::Unavailable)
                }
            },
        }
    }

    /// The same where it can be told at once; else the resolver that has to be waited for.
    pub(crate) fn who_now(&self, parts: &Parts) -> Result<Who, &Arc<dyn ErasedResolver>> {
        Ok(match &self.subjects {
            SubjectSource::Session => self
                .session(&parts.headers)
                .map_or(Who::Nobody, |session| Who::Known(Subject::session(&session.id))),
            SubjectSource::Application(subject_of) => {
                std::panic::catch_unwind(AssertUnwindSafe(|| subject_of(parts)))
                    .map_or(Who::Unknown(NoAnswer::Panicked), Who::of)
            }
            SubjectSource::Resolver(resolver) => return Err(resolver),
        })
    }

    /// Whether a request's token follows from its session cookie alone.
    pub(crate) const fn is_plain(&self) -> bool {
        matches!(self.subjects, SubjectSource::Session)
            && self.selection.0.is_none()
            && matches!(self.vault.grants, GrantPolicy::Single)
    }

    /// The browser's session, if its cookie is signed and not over.
    pub(crate) fn session(&self, headers: &HeaderMap) -> Option<Session> {
        self.session_and_value(headers).map(|(session, _)| session)
    }

    /// The same with the cookie's value.
    pub(crate) fn session_and_value<'h>(
        &self,
        headers: &'h HeaderMap,
    ) -> Option<(Session, &'h str)> {
        let name = self.cookies.session_name();
        let now = self.clock.unix_secs();
        cookies::named(headers, name)
            .find_map(|value| Some((Session::verify(name, value, &self.keyring, now)?, value)))
    }

    /// The `Set-Cookie` value for a session of that id that begins now.
    pub(crate) fn session_cookie(&self, id: &str) -> Option<HeaderValue> {
        let expires_unix_secs =
            self.clock.unix_secs().saturating_add(self.session_lifetime.as_secs());
        let session = Session { id: id.to_owned(), expires_unix_secs };
        let name = self.cookies.session_name();
        self.cookies.set(name, &session.sign(name, &self.keyring)?, self.session_lifetime)
    }

    /// Where a flow can be begun by a link. Without a login path that is the page itself, which
    /// challenges.
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
        let own = resolved.is_none_or(|path| self.paths.endpoint(&path).is_some());
        if own { "/".to_owned() } else { path }
    }

    /// The answer to a refusal or failure: as a page or as `problem+json`, unless the application has its own.
    pub(crate) fn fail(&self, problem: &Problem, html: bool) -> Answer {
        metrics::flow_failed(problem.slug);
        self.hooks.answer(problem, html)
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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("webflow", &self.webflow)
            .field("paths", &self.paths)
            .field("scopes", &self.scopes.to_string())
            .finish_non_exhaustive()
    }
}

/// The address that the client asked for, where a nested axum router has taken off its prefix.
pub(crate) fn original_uri(parts: &Parts) -> &Uri {
    original(&parts.extensions, &parts.uri)
}

/// The same for a request that is not taken apart.
#[cfg_attr(not(feature = "axum"), expect(unused_variables, reason = "the prefix is axum's"))]
pub(crate) fn original<'r>(extensions: &'r Extensions, uri: &'r Uri) -> &'r Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = extensions.get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    uri
}
