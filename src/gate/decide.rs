//! The decision on a request: with which token it goes on, or what it is answered instead.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, StatusCode};

use super::challenge;
use super::challenge::challenge;
use crate::context::{Shared, Who};
use crate::flow::cookie::FlowKind;
use crate::flow::see_other;
use crate::gate::guard::{Guard, Mode};
use crate::grant::coverage::refresh;
use crate::grant::policy::GrantPolicy;
use crate::grant::revoke::forget;
use crate::grant::scope::Scopes;
use crate::grant::token::Reauthorize;
use crate::grant::token::{WebflowGrants, WebflowToken};
use crate::identity::subject::Subject;
use crate::problem::failure;
use crate::problem::{Answer, Problem};
use crate::store::{StoreError, TokenVersion};
use crate::util::metrics;
use crate::util::sharded_arc::Replica;
use crate::vault::cache::Tokens;
use crate::wire::caller;
use crate::wire::caller::Caller;
use crate::wire::cookies::Found;
use crate::wire::request_head::Glance;
use crate::wire::return_to;

/// What happens to a request.
pub(crate) enum Verdict {
    Forward(Admitted),
    Answer(Answer),
}

/// What goes along with a request.
#[derive(Default)]
pub(crate) struct Admitted {
    pub(crate) token: Option<WebflowToken>,
    /// All of the subject's grants, where there may be several.
    pub(crate) grants: Option<Tokens>,
}

/// What can be decided at once.
pub(crate) enum First {
    Decided(Verdict),
    /// The subject's grants must be looked up.
    LookUp(Subject),
    /// The application must be asked first.
    Ask,
}

/// A grant that was asked for because the one before had died, and that dies itself within this
/// time, is not asked for again: Webflow refuses what it has just issued, and the browser would
/// go round in circles.
const LOOP_WINDOW: Duration = Duration::from_secs(60);

/// What a look at the cookies decides.
pub(crate) enum AtOnce {
    /// The session was admitted a moment ago: the way of nearly every request.
    Admit(WebflowToken),
    /// Nobody is connected, and nobody has to be.
    Pass,
    Undecided,
}

/// Decides what can be decided without a signature, an allocation or a request taken apart.
pub(crate) fn at_once<B>(guard: &Guard, request: &Request<B>, glance: &Glance<'_>) -> AtOnce {
    let Guard { shared, mode } = guard;
    let Found { session, odd, .. } = glance.cookies;
    if !shared.is_plain() || odd || request.method() == Method::OPTIONS {
        return AtOnce::Undecided;
    }
    let Some(session) = session else {
        let nobody =
            matches!(mode, Mode::Optional) && request.extensions().get::<WebflowToken>().is_none();
        return if nobody { AtOnce::Pass } else { AtOnce::Undecided };
    };
    let Some(token) = shared.hot.get(session, shared.clock.unix_millis(), &shared.vault.cache)
    else {
        return AtOnce::Undecided;
    };
    let enough = match mode {
        Mode::Required { scopes } => token.scopes().contains_all(scopes),
        Mode::Optional => true,
    };
    if !enough || token.needs_attention() {
        return AtOnce::Undecided;
    }
    metrics::cache(true);
    AtOnce::Admit(token)
}

pub(crate) fn first(guard: &Guard, parts: &Parts) -> First {
    let shared = &guard.shared;
    // A CORS preflight carries no cookie; the inner service answers it, and gets no token.
    if parts.method == Method::OPTIONS {
        return First::Decided(Verdict::Forward(Admitted::default()));
    }
    if let Some(token) = parts.extensions.get::<WebflowToken>()
        && token.is_of(&shared.vault.client)
    {
        // A layer further out has let the request in already.
        let grants = parts.extensions.get::<WebflowGrants>().map(|grants| Arc::clone(&grants.0));
        let grants = grants.unwrap_or_else(|| Tokens::from([token.clone()]));
        return First::Decided(judge(guard, parts, token.subject(), &grants));
    }
    match shared.who_now(parts) {
        Ok(who) => of(guard, parts, who).map_or_else(First::LookUp, First::Decided),
        Err(_) => First::Ask,
    }
}

/// Decides for whose request it is; `Err` with the subject whose grants must be looked up.
fn of(guard: &Guard, parts: &Parts, who: Who) -> Result<Verdict, Subject> {
    let Guard { shared, mode } = guard;
    Ok(match (who, mode) {
        (Who::Known(subject), _) => {
            let now = shared.clock.unix_millis();
            match shared.vault.known(&subject, now) {
                Some(slot) if slot.tokens.iter().all(|token| !token.is_dead()) => {
                    refresh(shared, &slot.tokens);
                    if shared.is_plain()
                        && let Some(token) = slot.tokens.first()
                        && let Some((session, value)) = shared.session_and_value(&parts.headers)
                        && Subject::session(&session.id) == subject
                    {
                        let judged = (now, &*shared.vault.cache);
                        shared.hot.put(value, token.clone(), session.expires_unix_secs, judged);
                    }
                    judge(guard, parts, &subject, &slot.tokens)
                }
                _ => return Err(subject),
            }
        }
        (Who::Unknown(why), _) => {
            let page = caller::wants_page(&parts.headers);
            Verdict::Answer(shared.fail(&failure::of_subject(why), page))
        }
        (Who::Nobody | Who::Stranger, Mode::Optional) => Verdict::Forward(Admitted::default()),
        (Who::Nobody, Mode::Required { scopes }) => {
            let wanted = shared.scopes.union(scopes);
            Verdict::Answer(challenge(shared, parts, None, FlowKind::Login, &wanted))
        }
        (Who::Stranger, Mode::Required { .. }) => {
            Verdict::Answer(challenge::not_signed_in(shared, parts))
        }
    })
}

/// Asks the application whose request it is, and decides.
pub(crate) async fn ask(guard: &Guard, parts: &Parts) -> Verdict {
    match of(guard, parts, guard.shared.who(parts).await) {
        Ok(verdict) => verdict,
        Err(subject) => look_up(guard, parts, &subject).await,
    }
}

/// Looks the subject's grants up and decides.
pub(crate) async fn look_up(guard: &Guard, parts: &Parts, subject: &Subject) -> Verdict {
    match alive(&guard.shared, subject).await {
        Ok(grants) => judge(guard, parts, subject, &grants),
        Err(error) => {
            let page = caller::wants_page(&parts.headers);
            Verdict::Answer(guard.shared.fail(&failure::of_store(&error), page))
        }
    }
}

/// The subject's grants, without those that died while nobody was there to say so.
async fn alive(shared: &Arc<Shared>, subject: &Subject) -> Result<Tokens, StoreError> {
    let tokens = shared.vault.load(subject).await?;
    refresh(shared, &tokens);
    if !tokens.iter().any(WebflowToken::is_dead) {
        return Ok(tokens);
    }
    for dead in tokens.iter().filter(|token| token.is_dead()) {
        forget(shared, dead).await?;
    }
    // Another instance may have replaced one long ago.
    let present = shared.vault.load_anew(subject).await?;
    Ok(present.iter().filter(|token| !token.is_dead()).cloned().collect())
}

/// Decides with the grants that the subject has, newest first and alive.
fn judge(guard: &Guard, parts: &Parts, subject: &Subject, grants: &Tokens) -> Verdict {
    let Guard { shared, mode } = guard;
    let Ok(token) = shared.selection.pick(parts, grants) else {
        let page = caller::wants_page(&parts.headers);
        return Verdict::Answer(shared.fail(&failure::internal(), page));
    };
    let grants = (shared.vault.grants != GrantPolicy::Single).then(|| Arc::clone(grants));
    match (token, mode) {
        (None, Mode::Optional) => Verdict::Forward(Admitted { token: None, grants }),
        (token @ Some(_), Mode::Optional) => Verdict::Forward(Admitted { token, grants }),
        (None, Mode::Required { scopes }) => {
            let wanted = shared.scopes.union(scopes);
            Verdict::Answer(challenge(shared, parts, Some(subject), FlowKind::Login, &wanted))
        }
        (Some(token), Mode::Required { scopes }) => {
            if token.scopes().contains_all(scopes) {
                Verdict::Forward(Admitted { token: Some(token), grants })
            } else {
                Verdict::Answer(step_up(guard, parts, &token, scopes))
            }
        }
    }
}

/// Asks for the scopes that are lacking beside those that are there. What was asked for a moment
/// ago and not granted is not asked for again: the browser would go round in circles.
fn step_up(guard: &Guard, parts: &Parts, token: &WebflowToken, scopes: &Scopes) -> Answer {
    let shared = &guard.shared;
    let missing = token.scopes().missing(scopes);
    let wanted = shared.scopes.union(token.scopes()).union(scopes);
    if is_new(shared, token) && token.grant().details.asked.contains_all(&missing) {
        let login_url = shared.login_url("/", Some(&wanted));
        let problem = missing_scopes(&missing).login_url(login_url);
        return shared.fail(&problem, caller::wants_page(&parts.headers));
    }
    challenge(shared, parts, Some(token.subject()), FlowKind::StepUp, &wanted)
}

fn missing_scopes(missing: &Scopes) -> Problem {
    let mut problem = Problem::new(
        StatusCode::FORBIDDEN,
        "missing-scopes",
        "Webflow has not allowed this",
        format!("The connection to Webflow lacks: {missing}."),
    );
    problem.missing_scopes = Some(missing.to_string());
    problem
}

/// The request as the inner service gets it: with the token, or with a mark that tells an
/// extractor that the layer was there and had none.
pub(crate) fn forward<B>(
    guard: &Replica<Guard>,
    mut parts: Parts,
    admitted: Admitted,
    body: B,
) -> Request<B> {
    match admitted.token {
        Some(token) => parts.extensions.insert(token).map(drop),
        // Nobody looked, so nothing is to be told.
        None if parts.method == Method::OPTIONS => None,
        None => {
            // A token that a layer of another application has left there is not ours to hand on.
            parts.extensions.remove::<WebflowToken>();
            parts.extensions.remove::<WebflowGrants>();
            parts.extensions.insert(Replica::clone(guard)).map(drop)
        }
    };
    if let Some(grants) = admitted.grants {
        parts.extensions.insert(WebflowGrants(grants));
    }
    Request::from_parts(parts, body)
}

/// The answer in place of a handler's, when Webflow does not accept its token any more: exactly
/// that version is forgotten, and the user is asked for a new one. `admitted` is the version with
/// which the request was let in.
pub(crate) async fn recover(
    shared: &Arc<Shared>,
    (guard, admitted): (Option<&Guard>, TokenVersion),
    parts: Parts,
    reauthorize: Reauthorize,
) -> Answer {
    let page = caller::wants_page(&parts.headers);
    let dead = reauthorize.0;
    let was_there = match forget(shared, &dead).await {
        Ok(was_there) => was_there,
        Err(error) => return shared.fail(&failure::of_store(&error), page),
    };
    match shared.vault.load_anew(dead.subject()).await {
        Ok(tokens) if tokens.iter().any(|token| !token.is_dead()) => {
            // A token from elsewhere, which was gone already, would be met again.
            return try_again(&parts, was_there || dead.grant().version == admitted);
        }
        Ok(_) => {}
        Err(error) => return shared.fail(&failure::of_store(&error), page),
    }
    if dead.grant().details.renewed && is_new(shared, &dead) {
        let problem = Problem::new(
            StatusCode::BAD_GATEWAY,
            "renewed-token-refused",
            "Webflow refuses the new connection",
            "Webflow does not accept a token that it has just issued. Please try again later.",
        )
        .login_url(shared.login_url("/", None));
        return shared.fail(&problem, page);
    }
    let wanted = match guard.and_then(Guard::scopes) {
        Some(scopes) => shared.scopes.union(scopes),
        None => shared.scopes.clone(),
    };
    challenge(shared, &parts, Some(dead.subject()), FlowKind::Reauthorize, &wanted)
}

/// Whether the token was obtained a moment ago, by clocks that may be apart.
fn is_new(shared: &Shared, token: &WebflowToken) -> bool {
    let age = shared.clock.now().duration_since(token.obtained_at());
    age.unwrap_or_else(|ahead| ahead.duration()) < LOOP_WINDOW
}

/// The answer when a newer token, or another grant, is there already: the same request works now,
/// and a browser that `may_go` makes it by itself.
fn try_again(parts: &Parts, may_go: bool) -> Answer {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    if may_go && Caller::of(&parts.method, &parts.headers) == Caller::Navigation {
        return see_other(&return_to::own_path(path));
    }
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "token-replaced",
        "The connection to Webflow has just been renewed",
        "Make the same request again.",
    )
    .retry_after(Duration::from_secs(1))
    .respond(false)
}
