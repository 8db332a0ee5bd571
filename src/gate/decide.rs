//! The decision on a request, in three stages.
//!
//! [`fast_path`] decides most requests, from a recently verified session cookie. [`decide_now`]
//! decides what needs no waiting. [`decide`] awaits the store or the application.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Request};

#[cfg(feature = "panels")]
use super::bearer::{self, Panel};
use super::challenge::{challenge, sign_in};
use super::guard::{Guard, Mode};
use crate::context::Context;
use crate::flow_state::cookie::FlowKind;
use crate::grant::policy::GrantPolicy;
use crate::grant::token::{WebflowGrants, WebflowToken};
use crate::identity::Who;
use crate::identity::subject::Subject;
use crate::lifecycle::coverage::refresh;
use crate::lifecycle::disconnect::remove_dead;
use crate::problem::{Answer, Problem, catalog};
use crate::store::StoreError;
use crate::util::metrics;
use crate::vault::cache::Tokens;
use crate::wire::request_head::RequestHead;

/// The outcome for a request.
pub enum Decision {
    Forward(Admitted),
    Answer(Answer),
}

/// What a forwarded request carries.
#[derive(Default)]
pub struct Admitted {
    pub token: Option<WebflowToken>,
    /// All of the subject's grants, if the grant policy allows several.
    pub grants: Option<Tokens>,
    /// The panel whose bearer the request carries.
    #[cfg(feature = "panels")]
    pub panel: Option<Panel>,
    /// A renewed session cookie for the response.
    pub slide: Option<HeaderValue>,
}

impl Admitted {
    fn by_cookie(
        token: Option<WebflowToken>,
        grants: Option<Tokens>,
        slide: Option<HeaderValue>,
    ) -> Self {
        Self {
            token,
            grants,
            slide,
            #[cfg(feature = "panels")]
            panel: None,
        }
    }
}

/// The result of deciding without waiting.
pub enum Now {
    Decided(Decision),
    Later(Lookup),
}

/// What a decision has to wait for.
pub enum Lookup {
    /// The subject's grants.
    Grants(Subject),
    /// The subject's grants, bypassing the cache: a stale entry must not send anybody to Webflow.
    GrantsAnew(Subject),
    /// The application's user.
    Identity,
    /// The grant of a bearer. True bypasses the cache.
    #[cfg(feature = "panels")]
    Bearer(Panel, bool),
}

/// A grant that replaced a dead one and is itself rejected within this window is not replaced:
/// Webflow refuses tokens that it has just issued, and the browser would loop.
const LOOP_WINDOW: Duration = Duration::from_secs(60);

/// A decision from the request's head and the cache alone.
pub enum Fast {
    /// The session was verified recently.
    Admit(WebflowToken),
    /// The bearer was verified recently.
    #[cfg(feature = "panels")]
    Panel(WebflowToken, Panel),
    /// There is no session, and the layer is optional.
    Pass,
}

/// Decides without verifying a signature, allocating, or splitting the request.
pub fn fast_path<B>(guard: &Guard, request: &Request<B>, head: &RequestHead<'_>) -> Option<Fast> {
    let Guard { context, mode } = guard;
    #[cfg(feature = "panels")]
    if let Some(presented) = bearer::presented(context, request.headers()) {
        return presented.fast_path(guard).map(|(token, panel)| Fast::Panel(token, panel));
    }
    let cookies = head.cookies();
    if !context.token_follows_from_cookie() || cookies.needs_parsing {
        return None;
    }
    let Some(session) = cookies.session else {
        let nobody =
            matches!(mode, Mode::Optional) && request.extensions().get::<WebflowToken>().is_none();
        return nobody.then_some(Fast::Pass);
    };
    let now = context.clock.unix_millis();
    let (token, slides) = context.vault.cache.session(session, now)?;
    if slides && head.is_page_load() {
        return None;
    }
    if !is_enough(mode, &token) || token.state().needs_attention(now) {
        return None;
    }
    metrics::cache(true);
    Some(Fast::Admit(token))
}

/// Whether the token has the scopes that the layer requires and the configured ones, except those
/// that the user declined.
pub fn is_enough(mode: &Mode, token: &WebflowToken) -> bool {
    match mode {
        Mode::Required { scopes } => {
            !token.grant().lacks_configured && token.scopes().contains_all(scopes)
        }
        Mode::Optional => true,
    }
}

pub fn decide_now(guard: &Guard, parts: &Parts, head: &RequestHead<'_>) -> Now {
    let context = &guard.context;
    #[cfg(feature = "panels")]
    if let Some(presented) = bearer::presented(context, &parts.headers) {
        return presented.decide_now(guard);
    }
    if let Some(token) = parts.extensions.get::<WebflowToken>()
        && token.belongs_to(&context.vault.client)
    {
        // An outer layer has already admitted the request.
        let grants = parts.extensions.get::<WebflowGrants>().map(|grants| Arc::clone(&grants.0));
        let grants = grants.unwrap_or_else(|| Tokens::from([token.clone()]));
        let subject = token.subject();
        return Now::Decided(settle(guard, head, authorize(guard, parts, head, subject, &grants)));
    }
    match context.who_now(parts) {
        None => Now::Later(Lookup::Identity),
        Some(Ok(who)) => decide_for(guard, parts, head, who),
        Some(Err(problem)) => Now::Decided(settle(guard, head, Err(problem))),
    }
}

/// Decides after awaiting `lookup`.
pub async fn decide(guard: &Guard, parts: &Parts, lookup: Lookup) -> Decision {
    let head = guard.context.head(parts);
    let lookup = match lookup {
        Lookup::Identity => match guard.context.who(parts).await {
            Err(problem) => return settle(guard, &head, Err(problem)),
            Ok(who) => match decide_for(guard, parts, &head, who) {
                Now::Decided(decision) => return decision,
                Now::Later(lookup) => lookup,
            },
        },
        lookup => lookup,
    };
    let (subject, anew) = match lookup {
        Lookup::Grants(subject) => (subject, false),
        Lookup::GrantsAnew(subject) => (subject, true),
        #[cfg(feature = "panels")]
        Lookup::Bearer(panel, anew) => return bearer::decide(guard, panel, anew).await,
        Lookup::Identity => return settle(guard, &head, Err(catalog::internal())),
    };
    let decision = match find_grants(guard, parts, subject, anew).await {
        Ok((subject, grants)) => authorize(guard, parts, &head, &subject, &grants),
        Err(error) => Err(catalog::store_failed(&error)),
    };
    settle(guard, &head, decision)
}

/// The grants of the request's subject. If the browser sends several session cookies, the newest
/// session with a grant counts.
async fn find_grants(
    guard: &Guard,
    parts: &Parts,
    subject: Subject,
    anew: bool,
) -> Result<(Subject, Tokens), StoreError> {
    let context = &guard.context;
    let grants = live_grants(context, &subject, anew).await?;
    if !grants.is_empty() || !subject.is_session() {
        return Ok((subject, grants));
    }
    for (session, _) in context.sessions(&parts.headers) {
        let other = Subject::session(&session.id);
        if other == subject {
            continue;
        }
        let found = live_grants(context, &other, false).await?;
        if !found.is_empty() {
            return Ok((other, found));
        }
    }
    Ok((subject, grants))
}

fn settle(guard: &Guard, head: &RequestHead<'_>, decision: Result<Decision, Problem>) -> Decision {
    decision.unwrap_or_else(|problem| Decision::Answer(guard.context.fail(&problem, head)))
}

/// Decides for a known identity, as far as its grants are cached.
fn decide_for(guard: &Guard, parts: &Parts, head: &RequestHead<'_>, who: Who) -> Now {
    let Guard { context, mode } = guard;
    let decision = match (who, mode) {
        (Who::Known(subject), _) => {
            let now = context.clock.unix_millis();
            match context.vault.cached(&subject, now) {
                Some(slot) if slot.tokens.iter().all(|token| !token.is_dead()) => {
                    refresh(context, &slot.tokens);
                    if context.token_follows_from_cookie()
                        && let Some((session, cookie)) = context.session(&parts.headers)
                        && Subject::session(&session.id) == subject
                    {
                        let slides_at = session.slides_at(context.sliding);
                        slot.remember(cookie, session.expires_unix_secs, slides_at);
                    }
                    if !admits(guard, parts, &slot.tokens) {
                        return Now::Later(Lookup::GrantsAnew(subject));
                    }
                    authorize(guard, parts, head, &subject, &slot.tokens)
                }
                _ => return Now::Later(Lookup::Grants(subject)),
            }
        }
        (Who::Nobody | Who::Stranger, Mode::Optional) => Ok(Decision::Forward(Admitted::default())),
        (Who::Nobody, Mode::Required { .. }) => {
            challenge(context, head, None, FlowKind::Login, &guard.wanted()).map(Decision::Answer)
        }
        (Who::Stranger, Mode::Required { .. }) => stranger(context, head),
    };
    Now::Decided(settle(guard, head, decision))
}

/// Nobody is signed in to the application. Its sign-in page is forwarded: a redirect would loop.
fn stranger(context: &Context, head: &RequestHead<'_>) -> Result<Decision, Problem> {
    let path = head.path().split('?').next().unwrap_or_default();
    if context.sign_in.as_ref().is_some_and(|sign_in| sign_in.path() == path) {
        return Ok(Decision::Forward(Admitted::default()));
    }
    sign_in(context, head).map(Decision::Answer)
}

/// Whether cached grants admit the request. If not, the store must be asked: another instance may
/// have just completed a login.
fn admits(guard: &Guard, parts: &Parts, grants: &Tokens) -> bool {
    match &guard.mode {
        Mode::Optional => !grants.is_empty() || guard.context.sessions(&parts.headers).len() < 2,
        Mode::Required { .. } => match guard.context.selection.pick(parts, grants) {
            Ok(token) => token.is_some_and(|token| is_enough(&guard.mode, &token)),
            // The closure panicked. Reading the store would not help.
            Err(_) => true,
        },
    }
}

/// The subject's grants, without dead ones, which are removed. `anew` bypasses the cache.
pub async fn live_grants(
    context: &Arc<Context>,
    subject: &Subject,
    anew: bool,
) -> Result<Tokens, StoreError> {
    let tokens = if anew {
        context.vault.load_anew(subject).await?
    } else {
        context.vault.load(subject).await?
    };
    refresh(context, &tokens);
    if !tokens.iter().any(WebflowToken::is_dead) {
        return Ok(tokens);
    }
    for dead in tokens.iter().filter(|token| token.is_dead()) {
        remove_dead(context, dead).await?;
    }
    // Another instance may already have replaced them.
    let present = context.vault.load_anew(subject).await?;
    Ok(present.iter().filter(|token| !token.is_dead()).cloned().collect())
}

/// Decides with the subject's live grants, newest first.
fn authorize(
    guard: &Guard,
    parts: &Parts,
    head: &RequestHead<'_>,
    subject: &Subject,
    grants: &Tokens,
) -> Result<Decision, Problem> {
    let Guard { context, mode } = guard;
    let token = context.selection.pick(parts, grants).map_err(|_| catalog::internal())?;
    let grants = (context.vault.grants != GrantPolicy::Single).then(|| Arc::clone(grants));
    match (token, mode) {
        (token, Mode::Optional) => {
            let slide = token.as_ref().and_then(|_| context.slide(subject, head));
            Ok(Decision::Forward(Admitted::by_cookie(token, grants, slide)))
        }
        (None, Mode::Required { .. }) => {
            challenge(context, head, Some(subject), FlowKind::Login, &guard.wanted())
                .map(Decision::Answer)
        }
        (Some(token), Mode::Required { .. }) => {
            if is_enough(mode, &token) {
                let slide = context.slide(subject, head);
                Ok(Decision::Forward(Admitted::by_cookie(Some(token), grants, slide)))
            } else {
                step_up(guard, head, &token).map(Decision::Answer)
            }
        }
    }
}

/// Requests the missing scopes in addition to the granted ones. Scopes that the user has just
/// declined are an error instead, since the browser would loop.
fn step_up(guard: &Guard, head: &RequestHead<'_>, token: &WebflowToken) -> Result<Answer, Problem> {
    let context = &guard.context;
    let wanted = guard.wanted().union(token.scopes());
    let missing = guard.scopes().map(|scopes| token.scopes().missing(scopes)).unwrap_or_default();
    if !missing.is_empty()
        && is_new(context, token)
        && token.grant().details.asked.contains_all(&missing)
    {
        let login_url = context.login_url("/", Some(&wanted));
        return Err(catalog::missing_scopes(missing.to_string()).login_url(login_url));
    }
    challenge(context, head, Some(token.subject()), FlowKind::StepUp, &wanted)
}

/// Whether the token was obtained within [`LOOP_WINDOW`], in either direction since clocks differ.
pub fn is_new(context: &Context, token: &WebflowToken) -> bool {
    let age = context.clock.now().duration_since(token.obtained_at());
    age.unwrap_or_else(|ahead| ahead.duration()) < LOOP_WINDOW
}

/// The request for the inner service. Without a token it carries the guard, so that extractors know
/// that the layer ran.
pub fn forward<B>(guard: &Arc<Guard>, mut parts: Parts, admitted: Admitted, body: B) -> Request<B> {
    if let Some(token) = admitted.token {
        parts.extensions.insert(token);
    } else {
        // A token from another app's layer must not reach this layer's handlers.
        parts.extensions.remove::<WebflowToken>();
        parts.extensions.remove::<WebflowGrants>();
        parts.extensions.insert(Arc::clone(guard));
    }
    #[cfg(feature = "panels")]
    if let Some(panel) = admitted.panel {
        panel.insert_into(&mut parts.extensions);
    }
    if let Some(grants) = admitted.grants {
        parts.extensions.insert(WebflowGrants(grants));
    }
    Request::from_parts(parts, body)
}
