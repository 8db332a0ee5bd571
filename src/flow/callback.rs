//! The authorization response: what Webflow sends the browser back with.

use std::sync::Arc;

use http::request::Parts;
use http::{Method, StatusCode};

use super::authorize::{Start, begin};
use super::cookie::{Flow, FlowCookies, FlowError, FlowKind, flow_id};
use super::exchange;
use super::exchange::Arrival;
use super::{make_room, method_not_allowed, no_prefetch, see_other, set_cookies};
use crate::context::{Shared, Who, original_uri};
use crate::gate::challenge;
use crate::grant::scope::Scopes;
use crate::identity::subject::Subject;
use crate::problem::failure;
use crate::problem::failure::{Failure, not_ours};
use crate::problem::refusal;
use crate::problem::{Answer, Problem, answer};
use crate::wire::caller;
use crate::wire::query::{QueryError, single};

/// The longest authorization code that is sent on; Webflow's have 64 characters.
const MAX_CODE_LEN: usize = 4096;

/// The callback's parameters (RFC 6749 sections 4.1.2 and 4.1.2.1).
struct Parameters {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

impl Parameters {
    fn read(query: &str) -> Result<Self, QueryError> {
        Ok(Self {
            state: single(query, "state")?,
            code: single(query, "code")?,
            error: single(query, "error")?,
        })
    }
}

pub(crate) async fn serve(shared: &Arc<Shared>, parts: &Parts) -> Answer {
    match parts.method {
        Method::GET => {}
        Method::HEAD => return answer(StatusCode::OK, ""),
        _ => return method_not_allowed(parts, "GET, HEAD"),
    }
    if caller::is_prefetch(&parts.headers) {
        return no_prefetch(parts);
    }
    let html = caller::accepts_html(&parts.headers);
    let again =
        |problem: Problem| shared.fail(&problem.login_url(shared.login_url("/", None)), html);
    let query = original_uri(parts).query().unwrap_or_default();
    let Ok(parameters) = Parameters::read(query) else {
        return again(refusal::malformed());
    };
    if let Some(error) = &parameters.error {
        return refused(shared, parts, error, parameters.state.as_deref()).await;
    }
    let Some(code) = parameters.code.filter(|code| is_well_formed(code)) else {
        return again(refusal::malformed());
    };
    let Some(state) = parameters.state else {
        return installed(shared, parts).await;
    };
    let who = shared.who(parts).await;
    match who {
        Who::Unknown(why) => return shared.fail(&failure::of_subject(why), html),
        Who::Stranger => return challenge::not_signed_in(shared, parts),
        Who::Known(_) | Who::Nobody => {}
    }
    let flow = match find(shared, parts, &state) {
        Ok(flow) => flow,
        Err(FlowError::Expired) => {
            tracing::warn!(flow = flow_id(&state), reason = "expired", "callback refused");
            return again(refusal::expired());
        }
        Err(FlowError::Unknown) => return unknown(shared, parts, &who, &state).await,
    };
    // The application's user now must be the one who began the flow; with sessions there is none.
    let user = match &who {
        Who::Known(subject) => shared.user_digest(subject),
        _ => None,
    };
    if flow.user != user {
        tracing::warn!(flow = flow.id(), reason = "another subject", "callback refused");
        return again(not_ours());
    }
    let subject = match &who {
        Who::Known(subject) if user.is_some() => subject.clone(),
        _ => Subject::session(&flow.session),
    };
    arrived(shared, parts, &who, flow, subject, code).await
}

/// A good callback: the grant is obtained and stored, and the browser goes where it wanted to.
async fn arrived(
    shared: &Arc<Shared>,
    parts: &Parts,
    who: &Who,
    flow: Flow,
    subject: Subject,
    code: String,
) -> Answer {
    let previous = match who {
        Who::Known(previous) if previous.is_session() && *previous != subject => {
            Some(previous.clone())
        }
        _ => None,
    };
    let arrival =
        Arrival { flow: flow.clone(), code: code.into(), subject: subject.clone(), previous };
    let work = || exchange::complete(Arc::clone(shared), arrival);
    let mut answer = match shared.in_flight.join(&shared.tasks, &flow.id(), work).await {
        Ok(()) => see_other(&flow.return_to),
        Err(failure) => {
            let again = shared.login_url(&flow.return_to, None);
            let html = caller::accepts_html(&parts.headers);
            let mut answer = shared.fail(&failure.problem().login_url(again), html);
            // The cookie of a code that Webflow refuses stays: another instance may have used the
            // code and not stored its grant yet, and then a reload finds it.
            if matches!(failure, Failure::Ended) {
                set_cookies(&mut answer, forget(shared, &flow));
            }
            return answer;
        }
    };
    set_cookies(&mut answer, forget(shared, &flow));
    // Tabs that were opened at the same moment have each got a cookie unseen by the others.
    set_cookies(&mut answer, make_room(shared, &parts.headers, None));
    if subject.is_session() {
        set_cookies(&mut answer, shared.session_cookie(&flow.session));
    }
    answer
}

/// A code without state: an installation that Webflow initiated. The code is not used, since
/// nothing tells whose it is; a flow of our own takes its place, once.
async fn installed(shared: &Shared, parts: &Parts) -> Answer {
    let html = caller::accepts_html(&parts.headers);
    let subject = match shared.who(parts).await {
        Who::Known(subject) => Some(subject),
        Who::Nobody => None,
        Who::Stranger => return challenge::not_signed_in(shared, parts),
        Who::Unknown(why) => return shared.fail(&failure::of_subject(why), html),
    };
    let now = shared.clock.unix_secs();
    let flows = FlowCookies::read(&parts.headers, shared.cookies, &shared.keyring);
    if flows.open(shared.flow_lifetime, now).any(|flow| flow.kind == FlowKind::Install) {
        tracing::warn!(reason = "without state, twice", "callback refused");
        return shared.fail(&not_ours().login_url(shared.login_url("/", None)), html);
    }
    if caller::is_surely_no_navigation(&parts.headers) {
        return challenge::script(shared, parts, "/", None);
    }
    begin(
        shared,
        &parts.headers,
        Start {
            kind: FlowKind::Install,
            scopes: &shared.scopes,
            return_to: "/".to_owned(),
            subject: subject.as_ref(),
        },
    )
}

/// The user cancelled, or Webflow refused. Of the query only known words are used.
async fn refused(shared: &Shared, parts: &Parts, error: &str, state: Option<&str>) -> Answer {
    let html = caller::accepts_html(&parts.headers);
    let user = match shared.who(parts).await {
        Who::Known(subject) => shared.user_digest(&subject),
        Who::Nobody | Who::Stranger => None,
        Who::Unknown(why) => return shared.fail(&failure::of_subject(why), html),
    };
    let found = state.map(|state| find(shared, parts, state));
    let flow = match found {
        // Another user's flow is none of this one's business.
        Some(Ok(flow)) if flow.user != user => Some(Err(FlowError::Unknown)),
        found => found,
    };
    let flow = match flow {
        None | Some(Err(FlowError::Expired)) => None,
        Some(Ok(flow)) => Some(flow),
        Some(Err(FlowError::Unknown)) => {
            tracing::warn!(reason = "unknown state", "callback refused");
            return shared.fail(&not_ours().login_url(shared.login_url("/", None)), html);
        }
    };
    let code = known_error(error);
    tracing::info!(flow = flow.as_ref().map(Flow::id), error = code, "authorization refused");
    let problem = match &flow {
        Some(flow) if code == "access_denied" && flow.kind == FlowKind::StepUp => {
            let asked = Scopes::parse_lenient(&flow.scopes);
            refusal::no_more().login_url(shared.login_url(&flow.return_to, Some(&asked)))
        }
        flow => {
            let return_to = flow.as_ref().map_or("/", |flow| flow.return_to.as_str());
            refusal::of_webflow(code).login_url(shared.login_url(return_to, None))
        }
    };
    let mut answer = shared.fail(&problem, html);
    if let Some(flow) = flow {
        set_cookies(&mut answer, forget(shared, &flow));
    }
    answer
}

/// No flow of this browser has that state. When it is the state of a flow that this session has
/// completed, the callback is merely repeated and nothing is wrong.
async fn unknown(shared: &Shared, parts: &Parts, who: &Who, state: &str) -> Answer {
    let html = caller::accepts_html(&parts.headers);
    if let Who::Known(subject) = who {
        match shared.vault.load(subject).await {
            Ok(tokens) => {
                let id = flow_id(state);
                if tokens.iter().any(|token| token.grant().details.flows.contains(&id)) {
                    tracing::info!(flow = id, "callback repeated after its flow had ended");
                    return see_other("/");
                }
            }
            Err(error) => {
                return shared.fail(&failure::of_store(&error), html);
            }
        }
    }
    tracing::warn!(reason = "unknown state", "callback refused");
    shared.fail(&not_ours().login_url(shared.login_url("/", None)), html)
}

fn find(shared: &Shared, parts: &Parts, state: &str) -> Result<Flow, FlowError> {
    Flow::find(
        &parts.headers,
        state,
        shared.cookies,
        &shared.keyring,
        shared.flow_lifetime,
        shared.clock.unix_secs(),
    )
}

fn forget(shared: &Shared, flow: &Flow) -> Option<http::HeaderValue> {
    shared.cookies.remove(&format!("{}{}", shared.cookies.flow_prefix(), flow.id()))
}

pub(crate) fn is_well_formed(code: &str) -> bool {
    (1..=MAX_CODE_LEN).contains(&code.len()) && !code.chars().any(char::is_control)
}

/// The error codes of RFC 6749 section 4.1.2.1; any other is the same to us.
pub(crate) fn known_error(error: &str) -> &'static str {
    const KNOWN: [&str; 7] = [
        "access_denied",
        "invalid_request",
        "unauthorized_client",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
    ];
    KNOWN.into_iter().find(|known| *known == error).unwrap_or("unknown")
}
