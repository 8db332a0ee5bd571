//! The decision on a request: with which token it goes on, or what it is answered instead.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, StatusCode};

use crate::caller;
use crate::challenge::{self, challenge};
use crate::cookie::flow::FlowKind;
use crate::flow::failure;
use crate::layer::{Guard, Mode};
use crate::problem::{Answer, Problem};
use crate::shared::Who;
use crate::token::Reauthorize;
use crate::{Scopes, Subject, WebflowToken};

/// What happens to a request.
pub(crate) enum Verdict {
    Forward(Option<WebflowToken>),
    Answer(Answer),
}

/// What can be decided at once.
pub(crate) enum First {
    Decided(Verdict),
    /// The subject's grants must be looked up.
    LookUp(Subject),
}

/// A grant that was asked for because the one before had died, and that dies itself within this
/// time, is not asked for again: Webflow refuses what it has just issued, and the browser would
/// go round in circles.
const LOOP_WINDOW: Duration = Duration::from_secs(60);

pub(crate) fn first(guard: &Guard, parts: &Parts) -> First {
    let Guard { shared, mode } = guard;
    // A CORS preflight carries no cookie; the inner service answers it, and gets no token.
    if parts.method == Method::OPTIONS {
        return First::Decided(Verdict::Forward(None));
    }
    if let Some(token) = parts.extensions.get::<WebflowToken>()
        && token.is_of(&shared.vault.client)
    {
        // A layer further out has let the request in already.
        return First::Decided(judge(guard, parts, token.subject(), Some(token.clone())));
    }
    First::Decided(match (shared.who(parts), mode) {
        (Who::Known(subject), _) => match shared.vault.known(&subject) {
            Some(tokens) if tokens.iter().all(|token| !token.is_dead()) => {
                judge(guard, parts, &subject, tokens.first().cloned())
            }
            _ => return First::LookUp(subject),
        },
        (Who::Failed, _) => {
            Verdict::Answer(failure::internal().respond(caller::wants_page(&parts.headers)))
        }
        (Who::Nobody | Who::Stranger, Mode::Optional) => Verdict::Forward(None),
        (Who::Nobody, Mode::Required { scopes }) => {
            let wanted = shared.scopes.union(scopes);
            Verdict::Answer(challenge(shared, parts, None, FlowKind::Login, &wanted))
        }
        (Who::Stranger, Mode::Required { .. }) => Verdict::Answer(challenge::not_signed_in(parts)),
    })
}

/// Looks the subject's grants up and decides.
pub(crate) async fn look_up(guard: &Guard, parts: &Parts, subject: &Subject) -> Verdict {
    let tokens = match guard.shared.vault.load(subject).await {
        Ok(tokens) => tokens,
        Err(error) => {
            let page = caller::wants_page(&parts.headers);
            return Verdict::Answer(failure::of_store(&error).respond(page));
        }
    };
    let mut alive = None;
    for token in tokens.iter() {
        if !token.is_dead() {
            alive = alive.or(Some(token));
        } else if let Err(error) = guard.shared.vault.remove(token).await {
            // It died while nobody was there to say so; whoever comes next will try again.
            tracing::warn!(error = &error as &dyn std::error::Error, "a dead token remains");
        }
    }
    judge(guard, parts, subject, alive.cloned())
}

fn judge(guard: &Guard, parts: &Parts, subject: &Subject, token: Option<WebflowToken>) -> Verdict {
    let Guard { shared, mode } = guard;
    match (token, mode) {
        (None, Mode::Optional) => Verdict::Forward(None),
        (Some(token), Mode::Optional) => Verdict::Forward(Some(token)),
        (None, Mode::Required { scopes }) => {
            let wanted = shared.scopes.union(scopes);
            Verdict::Answer(challenge(shared, parts, Some(subject), FlowKind::Login, &wanted))
        }
        (Some(token), Mode::Required { scopes }) => {
            let missing = token.scopes().missing(scopes);
            if missing.is_empty() {
                Verdict::Forward(Some(token))
            } else {
                Verdict::Answer(missing_scopes(parts, &missing))
            }
        }
    }
}

fn missing_scopes(parts: &Parts, missing: &Scopes) -> Answer {
    let mut problem = Problem::new(
        StatusCode::FORBIDDEN,
        "missing-scopes",
        "Webflow has not allowed this",
        format!("The connection to Webflow lacks: {missing}."),
    );
    problem.missing_scopes = Some(missing.to_string());
    problem.respond(caller::wants_page(&parts.headers))
}

/// The request as the inner service gets it: with the token, or with a mark that tells an
/// extractor that the layer was there and had none.
pub(crate) fn forward<B>(
    guard: &Arc<Guard>,
    mut parts: Parts,
    token: Option<WebflowToken>,
    body: B,
) -> Request<B> {
    match token {
        Some(token) => parts.extensions.insert(token).map(drop),
        None => parts.extensions.insert(Arc::clone(guard)).map(drop),
    };
    Request::from_parts(parts, body)
}

/// The answer in place of a handler's, when Webflow does not accept its token any more: exactly
/// that version is forgotten, and the user is asked for a new one.
pub(crate) async fn recover(guard: Arc<Guard>, parts: Parts, reauthorize: Reauthorize) -> Answer {
    let Guard { shared, mode } = &*guard;
    let page = caller::wants_page(&parts.headers);
    let dead = reauthorize.0;
    if let Err(error) = shared.vault.remove(&dead).await {
        return failure::of_store(&error).respond(page);
    }
    tracing::info!(subject = ?dead.subject(), "Webflow refuses the token: it is forgotten");
    let age = shared.clock.now().duration_since(dead.obtained_at()).unwrap_or_default();
    if dead.grant().details.renewed && age < LOOP_WINDOW {
        return Problem::new(
            StatusCode::BAD_GATEWAY,
            "renewed-token-refused",
            "Webflow refuses the new connection",
            "Webflow does not accept a token that it has just issued. Please try again later.",
        )
        .login_url(shared.login_url("/", None))
        .respond(page);
    }
    let wanted = match mode {
        Mode::Required { scopes } => shared.scopes.union(scopes),
        Mode::Optional => shared.scopes.clone(),
    };
    challenge(shared, &parts, Some(dead.subject()), FlowKind::Reauthorize, &wanted)
}
