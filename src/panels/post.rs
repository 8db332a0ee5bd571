//! One request for the panel path.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use http_body::Body;
use tokio::sync::OwnedSemaphorePermit;

use super::claim::Claim;
use super::signed_in;
use crate::api::ApiError;
use crate::bearer::Panels;
use crate::bearer::origins::Reader;
use crate::context::Context;
use crate::grant::scope::{Scope, Scopes};
use crate::grant::site_listings::LookupError;
use crate::grant::token::WebflowToken;
use crate::lifecycle::find;
use crate::lifecycle::id_token::{IdTokenError, resolve};
use crate::problem::{Answer, Problem, answer, catalog};
use crate::util::log;
use crate::wire::body::{BodyError, ReadBody, declared_len, is_plain_json};

/// The longest body in bytes.
pub const BODY_LIMIT: usize = 16 * 1024;

const METHODS: &str = "POST, OPTIONS";

/// A request whose body may be read.
pub struct Post {
    context: Arc<Context>,
    reader: Reader,
    /// The declared length of the body.
    pub declared: Option<usize>,
    _permit: OwnedSemaphorePermit,
}

/// Makes the checks that need no body. Returns the response if one fails, or for `OPTIONS`.
pub fn admit(context: &Arc<Context>, parts: &Parts) -> Result<Post, Answer> {
    let Some(panels) = &context.panels else {
        return Err(catalog::misplaced_endpoints(&context.paths.callback).json());
    };
    if parts.method == Method::OPTIONS {
        return Err(panels.origins.preflight(&parts.headers, true).unwrap_or_else(options));
    }
    let reader = panels.origins.reader(&parts.headers);
    let checked = check(context, panels, parts, &reader);
    checked.map_err(|mut answer| {
        reader.add_to(answer.headers_mut());
        answer
    })
}

fn check(
    context: &Arc<Context>,
    panels: &Panels,
    parts: &Parts,
    reader: &Reader,
) -> Result<Post, Answer> {
    if parts.method != Method::POST {
        return Err(catalog::method_not_allowed(METHODS).json());
    }
    if !parts.headers.contains_key(CONTENT_TYPE) || !is_plain_json(&parts.headers) {
        return Err(catalog::panel::media_type().json());
    }
    let Ok(permit) = Arc::clone(&panels.posts).try_acquire_owned() else {
        tracing::warn!(target: log::PANELS, "too many panels are signing in: refused one");
        return Err(catalog::panel::busy().json());
    };
    let declared = declared_len(&parts.headers, BODY_LIMIT);
    let declared = declared.map_err(|error| problem_of_body(error).json())?;
    Ok(Post { context: Arc::clone(context), reader: reader.clone(), declared, _permit: permit })
}

/// The response to an `OPTIONS` that is not a preflight of a listed origin.
fn options() -> Answer {
    let mut answer = answer(StatusCode::NO_CONTENT, "");
    let headers = answer.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(METHODS));
    Reader::nobody().add_to(headers);
    answer
}

impl Post {
    /// Responds once the body is read.
    pub async fn answer(self, body: Result<Bytes, BodyError>) -> Answer {
        let served = match body {
            Ok(body) => self.serve(&body).await,
            Err(error) => Err(problem_of_body(error)),
        };
        let mut answer = served.unwrap_or_else(|problem| problem.json());
        self.reader.add_to(answer.headers_mut());
        answer
    }

    async fn serve(&self, body: &[u8]) -> Result<Answer, Problem> {
        let context = &self.context;
        let panels = context.panels.as_ref().ok_or_else(catalog::internal)?;
        let Claim { site_id, workspace_id, id_token } = Claim::read(body)?;
        if let Some(wait) = panels.refusals.wait(&site_id, context.clock.unix_millis()) {
            return Err(catalog::panel::too_many_id_tokens(wait));
        }
        let grants = find(context, &site_id, workspace_id.as_deref()).await?;
        if grants.is_empty() {
            return Err(not_connected(context));
        }
        let resolved = resolve(context, &grants, &site_id, &id_token).await.map_err(|error| {
            if matches!(error, IdTokenError::Refused) {
                tracing::info!(target: log::PANELS, site = site_id, "an ID token was refused");
                panels.refusals.note(&site_id, context.clock.unix_millis());
            }
            problem_of(context, &error)
        })?;
        signed_in::respond(context, panels, site_id, resolved)
    }
}

async fn find(
    context: &Arc<Context>,
    site_id: &str,
    workspace_id: Option<&str>,
) -> Result<Vec<WebflowToken>, Problem> {
    let Some(workspace_id) = workspace_id else {
        return find::by_site(context, site_id)
            .await
            .map_err(|error| catalog::store_failed(&error));
    };
    find::by_site_in(context, site_id, workspace_id).await.map_err(|error| match error {
        LookupError::Store(error) => catalog::store_failed(&error),
        LookupError::Webflow(error) => problem_of_api(&error),
    })
}

fn not_connected(context: &Context) -> Problem {
    catalog::panel::not_connected(context.absolute_login_url(None))
}

fn problem_of_body(error: BodyError) -> Problem {
    match error {
        BodyError::TooLarge => catalog::panel::too_large(),
        BodyError::Timeout => catalog::panel::timeout(),
        BodyError::Incomplete => catalog::panel::malformed(),
    }
}

fn problem_of(context: &Context, error: &IdTokenError) -> Problem {
    match error {
        IdTokenError::Refused => catalog::panel::id_token_refused(),
        IdTokenError::NoGrant => not_connected(context),
        IdTokenError::MissingScope => {
            let missing: Scopes = [Scope::AUTHORIZED_USER_READ].into_iter().collect();
            let wanted = context.scopes.union(&missing);
            catalog::missing_scopes(missing.to_string())
                .login_url(context.absolute_login_url(Some(&wanted)))
        }
        IdTokenError::Store(error) => catalog::store_failed(error),
        IdTokenError::Api(error) => problem_of_api(error),
    }
}

fn problem_of_api(error: &ApiError) -> Problem {
    let cause = error as &dyn std::error::Error;
    tracing::warn!(target: log::PANELS, error = cause, "a panel's call to Webflow failed");
    match error {
        ApiError::Timeout => catalog::webflow_timeout(),
        ApiError::Unreachable(_) => catalog::webflow_unreachable(),
        ApiError::RateLimited { retry_after, .. } => {
            catalog::panel::webflow_rate_limit(*retry_after)
        }
        _ => catalog::panel::webflow_error(),
    }
}

type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Reads the body, then yields the future of the response.
///
/// The body's type is not erased, since a request's body need not be `Send` or `'static`.
pub struct Reading<B> {
    body: Pin<Box<ReadBody<B>>>,
    post: Option<Post>,
}

impl<B: Body> Reading<B> {
    pub fn new(post: Post, body: B) -> Self {
        let body = Box::pin(ReadBody::new(body, BODY_LIMIT, post.declared));
        Self { body, post: Some(post) }
    }

    pub fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Answering> {
        let read = ready!(self.body.as_mut().poll(cx));
        match self.post.take() {
            Some(post) => Poll::Ready(Box::pin(post.answer(read))),
            // Polled after completion; the contract allows anything, so stay pending.
            None => Poll::Pending,
        }
    }
}
