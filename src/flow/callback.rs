//! The authorization response (RFC 6749 section 4.1.2), which the browser brings to the callback.

use std::sync::Arc;

use http::request::Parts;

use super::authorize::{Start, begin};
use super::exchange::{self, Arrival};
use super::park::park;
use super::{check_signed_in, make_room, see_other, set_cookies};
use crate::context::Context;
use crate::flow_state::cookie::{Flow, FlowError, FlowKind, flow_id};
use crate::flow_state::pending::Arrived;
use crate::gate::challenge::login_required;
use crate::grant::scope::Scopes;
use crate::grant::token::WebflowToken;
use crate::identity::Who;
use crate::identity::subject::Subject;
use crate::problem::{Answer, FailureKind, Problem, catalog};
use crate::util::log;
use crate::wire::query::{QueryError, single};
use crate::wire::request_head::RequestHead;

/// The longest authorization code that is accepted. Webflow's have 64 characters.
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

pub async fn serve(
    context: &Arc<Context>,
    parts: &Parts,
    head: &RequestHead<'_>,
) -> Result<Answer, Problem> {
    let arrived = arrive(context, parts, head).await;
    // Every refused callback offers a new login, unless it has a better link.
    arrived.map_err(|problem| match problem.kind {
        FailureKind::NotSignedIn => problem,
        _ if problem.retry_here => problem,
        _ => problem.or_login_url(|| context.login_url("/", None)),
    })
}

async fn arrive(
    context: &Arc<Context>,
    parts: &Parts,
    head: &RequestHead<'_>,
) -> Result<Answer, Problem> {
    let parameters = Parameters::read(head.query()).map_err(|_| catalog::malformed_callback())?;
    if let Some(error) = &parameters.error {
        return refused(context, parts, head, error, parameters.state.as_deref()).await;
    }
    let Some(state) = parameters.state else {
        well_formed(parameters.code)?;
        return install(context, head, &check_signed_in(context, context.who(parts).await?)?);
    };
    // A parked code is claimed by the state alone.
    let code = match parameters.code {
        None if context.sign_in.is_some() => None,
        code => Some(well_formed(code)?),
    };
    let who = check_signed_in(context, context.who(parts).await?)?;
    let flow = match context.flows().find(head.headers(), &state) {
        Ok(flow) => flow,
        Err(FlowError::Expired) => {
            refuse("expired", Some(&flow_id(&state)));
            return Err(catalog::flow_expired());
        }
        Err(FlowError::Unknown) => return repeated(context, head, &who, &state, code).await,
    };
    if !may_complete(context, &flow, &who) {
        refuse("another subject", Some(&flow.id()));
        return Err(catalog::unknown_flow());
    }
    if let (Who::Stranger, Some(sign_in)) = (&who, &context.sign_in) {
        return park(context, head, sign_in, flow, code);
    }
    let code = match code {
        Some(code) => code,
        None => parked_code(context, head, &flow)?,
    };
    complete(context, head, &who, flow, code).await
}

/// The code parked in the flow's cookie. Only a page load may claim it.
fn parked_code(context: &Context, head: &RequestHead<'_>, flow: &Flow) -> Result<String, Problem> {
    let parked = flow.parked.as_ref().ok_or_else(catalog::malformed_callback)?;
    if head.is_page_load() {
        Ok(parked.code.clone())
    } else {
        Err(login_required(context, &flow.return_to, None))
    }
}

fn well_formed(code: Option<String>) -> Result<String, Problem> {
    code.filter(|code| is_well_formed(code)).ok_or_else(catalog::malformed_callback)
}

/// Whether this browser may complete the flow. If a user of the application started it, only that
/// user may, possibly after signing in. If nobody was signed in then, anybody may.
fn may_complete(context: &Context, flow: &Flow, who: &Who) -> bool {
    match (&flow.user, who.subject()) {
        (None, _) => context.subjects_are_sessions() || context.sign_in.is_some(),
        (Some(_), None) => !context.subjects_are_sessions(),
        (Some(user), Some(subject)) => context.user_digest(subject).as_ref() == Some(user),
    }
}

fn refuse(reason: &'static str, flow: Option<&str>) {
    tracing::warn!(target: log::FLOW, flow, reason, "callback refused");
}

/// A valid callback: obtains and stores the grant, and redirects the browser to `return_to`.
async fn complete(
    context: &Arc<Context>,
    head: &RequestHead<'_>,
    who: &Who,
    flow: Flow,
    code: String,
) -> Result<Answer, Problem> {
    let subject = match who.subject() {
        Some(user) if !context.subjects_are_sessions() => user.clone(),
        _ => Subject::session(&flow.session),
    };
    let claims = flow.parked.is_some();
    let previous = who.subject().filter(|who| who.is_session()).cloned();
    let flows = context.flows();
    let (id, removal, return_to) = (flow.id(), flows.removal(&flow), flow.return_to.clone());
    let arrived = Arrived {
        flow: &id,
        others: flows.read(head.headers()).open().map(Flow::id).filter(|it| *it != id).collect(),
        expires_unix_secs: flow.expires_unix_secs(context.flow_lifetime),
    };
    let arrival = Arrival { flow, code: code.into(), subject, previous };
    let work = |before| exchange::complete(Arc::clone(context), arrival, before);
    let landing = match context.pending.join(&arrived, work).await {
        Ok(landing) => landing,
        Err(problem) => {
            // A repeated claim needs no cookie: it finds the grant by its flow.
            let has_ended =
                matches!(problem.kind, FailureKind::UnknownFlow | FailureKind::HookRefused)
                    || claims && problem.is_refused_code();
            let problem = if problem.retry_here {
                problem
            } else {
                problem.or_login_url(|| context.login_url(&return_to, None))
            };
            let mut answer = context.fail(&problem, head);
            // When Webflow refuses the code, the cookie stays: another instance may have used the
            // code and not stored the grant yet, and a reload then finds it.
            if has_ended {
                set_cookies(&mut answer, removal);
            }
            return Ok(answer);
        }
    };
    let mut answer = see_other(landing.location.as_ref().unwrap_or(&return_to));
    set_cookies(&mut answer, removal);
    // Tabs opened at the same moment each set a flow cookie without seeing the others'.
    set_cookies(&mut answer, make_room(context, head, None));
    if let Some(session) = &landing.session {
        set_cookies(&mut answer, context.other_session_removal(head.headers()));
        set_cookies(&mut answer, context.session_cookie(session));
    }
    Ok(answer)
}

/// A code without a state: an install that began at Webflow. The code is not used, since nothing
/// shows whose it is. A regular flow is started instead, once.
fn install(context: &Context, head: &RequestHead<'_>, who: &Who) -> Result<Answer, Problem> {
    let flows = context.flows().read(head.headers());
    if flows.open().any(|flow| flow.kind == FlowKind::Install) {
        refuse("without state, twice", None);
        return Err(catalog::unknown_flow());
    }
    if !head.may_navigate() {
        return Err(login_required(context, "/", None));
    }
    let start = Start {
        kind: FlowKind::Install,
        scopes: &context.scopes,
        return_to: "/".to_owned(),
        subject: who.subject(),
        data: None,
    };
    begin(context, head, start)
}

/// An error response: the user cancelled, or Webflow refused. Only known error codes are used.
async fn refused(
    context: &Context,
    parts: &Parts,
    head: &RequestHead<'_>,
    error: &str,
    state: Option<&str>,
) -> Result<Answer, Problem> {
    let who = context.who(parts).await?;
    let flow = match state.map(|state| context.flows().find(head.headers(), state)) {
        None | Some(Err(FlowError::Expired)) => None,
        Some(Ok(flow)) if may_complete(context, &flow, &who) => Some(flow),
        // Another user's flow counts as unknown.
        Some(Ok(_) | Err(FlowError::Unknown)) => {
            refuse("unknown state", None);
            return Err(unknown_flow(context));
        }
    };
    let error = known_error(error);
    let id = flow.as_ref().map(Flow::id);
    if error == "access_denied" {
        tracing::info!(target: log::FLOW, flow = id, error, "authorization refused");
    } else {
        let scopes = flow.as_ref().map(|flow| flow.scopes.as_str());
        tracing::warn!(
            target: log::FLOW, flow = id, error, scopes,
            "Webflow refused the authorization request"
        );
    }
    let problem = match &flow {
        Some(flow) if error == "access_denied" && flow.kind == FlowKind::StepUp => {
            let asked = Scopes::parse_lenient(&flow.scopes);
            let again = context.login_url(&flow.return_to, Some(&asked));
            catalog::step_up_declined().login_url(again)
        }
        flow => {
            let return_to = flow.as_ref().map_or("/", |flow| flow.return_to.as_str());
            catalog::authorization_refused(error).login_url(context.login_url(return_to, None))
        }
    };
    let mut answer = context.fail(&problem, head);
    if let Some(flow) = flow {
        set_cookies(&mut answer, context.flows().removal(&flow));
    }
    Ok(answer)
}

/// No open flow of this browser has that state. If the subject has completed a flow with it, either
/// the callback is repeated, or the user went back to the consent screen and chose again.
async fn repeated(
    context: &Arc<Context>,
    head: &RequestHead<'_>,
    who: &Who,
    state: &str,
    code: Option<String>,
) -> Result<Answer, Problem> {
    let id = flow_id(state);
    if let Some(subject) = who.subject() {
        let tokens = context.vault.load_anew(subject).await;
        let tokens = tokens.map_err(|error| catalog::store_failed(&error))?;
        let led_to = |token: &&WebflowToken| {
            token.grant().details.flows.iter().any(|flow| flow.split('.').next() == Some(&id))
        };
        if let Some(token) = tokens.iter().find(led_to) {
            let age = context.clock.now().duration_since(token.obtained_at()).unwrap_or_default();
            let is_new = |code: &String| {
                let entry = exchange::flow_entry(&id, code);
                !tokens.iter().any(|it| it.grant().details.flows.contains(&entry))
            };
            let Some(code) = code.filter(|code| is_new(code) && age < context.flow_lifetime) else {
                tracing::info!(target: log::FLOW, flow = id, "callback repeated after the flow completed");
                return Ok(see_other(context.pending.location(&id).as_deref().unwrap_or("/")));
            };
            tracing::info!(target: log::FLOW, flow = id, "the user repeated the consent");
            let flow = Flow {
                state: state.to_owned(),
                session: subject.id().to_owned(),
                began_unix_millis: context.clock.unix_millis(),
                scopes: token.grant().details.asked.to_string(),
                return_to: "/".to_owned(),
                user: context.user_digest(subject),
                kind: FlowKind::Login,
                data: None,
                parked: None,
            };
            return complete(context, head, who, flow, code).await;
        }
    }
    refuse("unknown state", None);
    Err(unknown_flow(context))
}

/// On a loopback address there is one more cause: another name for the same host.
fn unknown_flow(context: &Context) -> Problem {
    if context.cookies.is_secure() {
        return catalog::unknown_flow();
    }
    catalog::unknown_flow_on_loopback()
}

pub fn is_well_formed(code: &str) -> bool {
    (1..=MAX_CODE_LEN).contains(&code.len()) && !code.chars().any(char::is_control)
}

/// The error codes of RFC 6749 section 4.1.2.1; any other becomes `unknown`.
pub fn known_error(error: &str) -> &'static str {
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
