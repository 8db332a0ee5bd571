//! From an authorization code to a stored grant.
//!
//! This runs in its own task, so that a dropped connection loses no token. Once Webflow has issued
//! a token, it is either stored or revoked.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::announce::announce;
use super::persist::{Known, keep};
use crate::context::Context;
use crate::flow_state::cookie::{Flow, FlowKind};
use crate::flow_state::pending::{Before, Landing};
use crate::grant::details::{Coverage, GrantDetails};
use crate::grant::scope::Scopes;
use crate::grant::token::WebflowToken;
use crate::identity::subject::Subject;
use crate::lifecycle::coverage::{self, LOOKUPS};
use crate::problem::{Problem, catalog};
use crate::store::StoreError;
use crate::util::deadline::Deadline;
use crate::util::{log, metrics};
use crate::vault::cache::Tokens;
use crate::webflow::{CallError, ExchangeError, Issued};

/// The longest `Retry-After` that a callback waits for.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The pauses between lookups of a grant that another instance may be about to store.
const OTHER_INSTANCE_POLLS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

/// The time limit of a whole callback: store reads, exchange, lookups, writes and clean-up.
const CALLBACK_BUDGET: Duration = Duration::from_secs(10);

/// The time reserved for the steps after the exchange, and for those after the lookups.
const AFTER_EXCHANGE: Duration = Duration::from_secs(3);
const AFTER_LOOKUPS: Duration = Duration::from_millis(2500);

/// How many past flows a grant remembers.
const MAX_FLOWS: usize = 8;

/// A callback with a valid state.
pub struct Arrival {
    pub flow: Flow,
    pub code: SecretString,
    pub subject: Subject,
    /// The browser's session before this callback.
    pub previous: Option<Subject>,
}

/// Exchanges the code and stores the grant.
pub async fn complete(
    context: Arc<Context>,
    mut arrival: Arrival,
    before: Before,
) -> Result<Landing, Problem> {
    let mut own = None;
    if let Some(session) = &before.session
        && arrival.subject.is_session()
    {
        // Another tab has just completed its flow in this session, so both grants belong there. An
        // earlier callback of this flow, whose response was lost, may have used the flow's session.
        let joined = Subject::session(session);
        own = Some(std::mem::replace(&mut arrival.subject, joined));
    }
    arrival.previous = arrival.previous.filter(|previous| *previous != arrival.subject);
    let id = arrival.flow.id();
    let code = flow_entry(&id, arrival.code.expose_secret());
    let deadline = Deadline::after(CALLBACK_BUDGET);
    let before_exchange = deadline.leaving(AFTER_EXCHANGE);
    // The store is read first: a repeated callback needs no exchange. While the store is down, no
    // token should be issued, and a previous session must not look empty.
    let load_any = async |subject: Option<&Subject>| match subject {
        Some(subject) => load(&context, subject).await,
        None => Ok(Tokens::default()),
    };
    let loads = async {
        tokio::try_join!(
            load(&context, &arrival.subject),
            load_any(arrival.previous.as_ref()),
            load_any(own.as_ref())
        )
    };
    let loaded = before_exchange.limit(loads).await;
    let (present, previous, earlier) =
        loaded.unwrap_or_else(|| Err(catalog::store_unavailable()))?;
    for (subject, tokens) in [
        (Some(&arrival.subject), &present),
        (arrival.previous.as_ref(), &previous),
        (own.as_ref(), &earlier),
    ] {
        if let Some(subject) = subject.filter(|_| has_flow(tokens, &code)) {
            tracing::info!(target: log::FLOW, flow = id, "callback repeated: the grant is there");
            return Ok(landing(subject, before.location));
        }
    }
    let timer = metrics::Timer::start();
    let exchanged = before_exchange.limit(exchange(&context, &arrival)).await;
    let exchanged = exchanged.unwrap_or_else(|| Err(CallError::Timeout.into()));
    timer.exchange();
    let issued = match exchanged {
        Ok(issued) => issued,
        // Another instance may be about to store the grant of this code.
        Err(ExchangeError::InvalidGrant)
            if before.is_first_attempt
                && deadline.limit(appears(&context, &arrival.subject, &code)).await
                    == Some(true) =>
        {
            tracing::info!(target: log::FLOW, flow = id, "another instance has completed the flow");
            return Ok(landing(&arrival.subject, None));
        }
        Err(error) => {
            report(&id, &error);
            return Err(problem(&error));
        }
    };
    tracing::info!(target: log::FLOW, flow = id, "code exchanged");
    let flows = remembered(present.iter().chain(previous.iter()), code);
    let lookups = deadline.leaving(AFTER_LOOKUPS).within(LOOKUPS);
    let details = learn(&context, &arrival.flow, flows, issued, lookups).await;
    let known = Known { present, previous };
    let kept = keep(&context, &arrival, &known, details, deadline).await;
    let kept = kept.map_err(|error| store_problem(&error))?;
    let token = &kept.token;
    tracing::info!(
        target: log::FLOW, flow = id,
        subject = ?token.subject(),
        scopes = token.scopes().to_string(),
        sites = token.sites().len(),
        "grant stored"
    );
    // The hook does not use up the callback's time.
    let left = deadline.left();
    let Ok(location) = announce(&context, &arrival.flow, &known, &kept).await else {
        kept.refuse(&context, &known).await;
        return Err(catalog::hook_refused());
    };
    kept.replace(&context, &known, Deadline::after(left)).await;
    metrics::flow_completed();
    Ok(landing(&arrival.subject, location))
}

fn landing(subject: &Subject, location: Option<String>) -> Landing {
    Landing { session: subject.is_session().then(|| subject.id().to_owned()), location }
}

/// How a grant records a flow that led to it: the flow's ID and a digest of the code. A second code
/// for the same flow means that the user chose again.
pub fn flow_entry(id: &str, code: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(code).into();
    let (start, _) = digest.split_at(6);
    format!("{id}.{}", URL_SAFE_NO_PAD.encode(start))
}

async fn load(context: &Arc<Context>, subject: &Subject) -> Result<Tokens, Problem> {
    context.vault.load_anew(subject).await.map_err(|error| {
        let cause = &error as &dyn Error;
        tracing::error!(target: log::FLOW, error = cause, "store unavailable: no code was exchanged");
        store_problem(&error)
    })
}

/// The problem for a store error that is already logged.
fn store_problem(error: &StoreError) -> Problem {
    if matches!(error, StoreError::Panicked) {
        catalog::internal()
    } else {
        catalog::store_unavailable()
    }
}

fn problem(error: &ExchangeError) -> Problem {
    match error {
        ExchangeError::InvalidGrant => catalog::invalid_grant(),
        ExchangeError::RateLimited { retry_after } => catalog::webflow_busy(*retry_after),
        ExchangeError::Call(CallError::Timeout) => catalog::webflow_timeout(),
        ExchangeError::Call(CallError::Unreachable(_)) => catalog::webflow_unreachable(),
        ExchangeError::InvalidClient
        | ExchangeError::Status { .. }
        | ExchangeError::Malformed
        | ExchangeError::Call(CallError::TooLong(_)) => catalog::webflow_refused(),
    }
}

fn has_flow(tokens: &[WebflowToken], entry: &String) -> bool {
    tokens.iter().any(|token| token.grant().details.flows.contains(entry))
}

/// Waits briefly for another instance to store the flow's grant, and returns whether it did.
async fn appears(context: &Arc<Context>, subject: &Subject, entry: &String) -> bool {
    for pause in OTHER_INSTANCE_POLLS {
        sleep(pause).await;
        if context.vault.load_anew(subject).await.is_ok_and(|tokens| has_flow(&tokens, entry)) {
            return true;
        }
    }
    false
}

/// Exchanges the code, with one retry after a short `Retry-After`.
async fn exchange(context: &Arc<Context>, arrival: &Arrival) -> Result<Issued, ExchangeError> {
    let code = arrival.code.expose_secret();
    match context.webflow.exchange(code).await {
        Err(ExchangeError::RateLimited { retry_after: Some(wait) }) if wait <= LONGEST_WAIT => {
            sleep(wait).await;
            context.webflow.exchange(code).await
        }
        outcome => outcome,
    }
}

fn report(flow: &str, error: &ExchangeError) {
    let error: &dyn Error = match error {
        ExchangeError::InvalidGrant => {
            tracing::warn!(
                target: log::FLOW, flow,
                "Webflow refused the code (invalid_grant): it is used or stale, or redirect_uri \
                 (WEBFLOW_REDIRECT_URI) is not the one registered for the app"
            );
            return;
        }
        ExchangeError::InvalidClient => {
            tracing::error!(
                target: log::FLOW, flow,
                "Webflow refused the client (invalid_client): check client_id \
                 (WEBFLOW_CLIENT_ID) and client_secret (WEBFLOW_CLIENT_SECRET)"
            );
            return;
        }
        other => other,
    };
    tracing::error!(target: log::FLOW, flow, error, "the exchange failed");
}

/// The flows that led to a new grant, newest last.
fn remembered<'a>(before: impl Iterator<Item = &'a WebflowToken>, entry: String) -> Vec<String> {
    let mut flows: Vec<String> =
        before.flat_map(|token| token.grant().details.flows.iter().cloned()).collect();
    flows.push(entry);
    flows.split_off(flows.len().saturating_sub(MAX_FLOWS))
}

/// Collects what Webflow reports about the new grant before the deadline.
async fn learn(
    context: &Context,
    flow: &Flow,
    flows: Vec<String>,
    issued: Issued,
    deadline: Deadline,
) -> GrantDetails {
    let found = coverage::introspect(context, &issued.access_token, deadline).await;
    if let Some(application) = found.as_ref().and_then(|found| found.application.as_ref()) {
        context.application.learn(application.id.as_deref());
    }
    let asked = Scopes::parse_lenient(&flow.scopes);
    let granted = issued
        .scopes
        .or_else(|| found.as_ref().and_then(|found| found.scopes.clone()))
        .unwrap_or_else(|| asked.clone());
    let missing = granted.missing(&asked);
    if !missing.is_empty() {
        tracing::warn!(
            target: log::FLOW, flow = flow.id(), %missing,
            "Webflow granted fewer scopes than requested"
        );
    }
    let mut details = GrantDetails {
        access_token: issued.access_token,
        scopes: granted,
        obtained_at: UNIX_EPOCH + Duration::from_secs(context.clock.unix_secs()),
        coverage: found.map(Coverage::from),
        user: None,
        extra: issued.extra,
        asked,
        flows,
        renewed: flow.kind == FlowKind::Reauthorize,
    };
    coverage::look_up_missing(context, &details, deadline).await.add_to(&mut details);
    details
}
