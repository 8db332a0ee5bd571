//! Introspects every stored grant, and removes those that no longer exist at Webflow.
//!
//! Webflow does not announce an uninstall, so a job has to check. A single 401 is not enough: an
//! outage in which Webflow answers 401 to everything would cost every grant.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use tokio::time::{Instant, sleep_until};

use super::disconnect::remove_dead;
use super::list::grants;
use super::pace::{Pace, Ticker};
use crate::api::ApiError;
use crate::context::Context;
use crate::context::handle::WebflowAuthHandle;
use crate::grant::token::WebflowToken;
use crate::identity::subject::Subject;
use crate::store::{GrantId, StoreError};

/// How many grants may wait for their second check. Beyond that, the job waits for the oldest.
const MAX_SUSPECTS: usize = 10_000;

/// The result of checking a stored grant at Webflow.
#[derive(Debug)]
pub struct Verified {
    subject: Subject,
    grant: GrantId,
    /// Whether the grant still exists at Webflow.
    pub state: GrantState,
}

/// Whether a grant still exists at Webflow.
#[derive(Debug)]
#[non_exhaustive]
pub enum GrantState {
    /// Its token works.
    Alive,
    /// Webflow rejected its token twice, and the grant was removed here.
    Gone,
    /// The check failed. The grant stays.
    Unknown(ApiError),
}

impl Verified {
    fn new(token: &WebflowToken, state: GrantState) -> Self {
        Self { subject: token.subject().clone(), grant: token.grant_id().clone(), state }
    }

    /// The subject that the grant belongs to.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The ID of this grant among its subject's grants.
    pub const fn grant_id(&self) -> &GrantId {
        &self.grant
    }
}

impl WebflowAuthHandle {
    /// Introspects all stored grants of this app, and removes those that no longer exist at
    /// Webflow.
    ///
    /// Webflow does not announce an uninstall, so run this regularly. A grant is removed, and
    /// [`on_revoked`](crate::config::WebflowAuthBuilder::on_revoked) runs, only if Webflow answers
    /// 401 twice, [`confirm_after`](Pace::confirm_after) apart, with no success in between. Other
    /// grants are checked in the meantime, so items come out of order.
    ///
    /// The stream does nothing unless it is polled. If it is dropped, grants that were waiting for
    /// their second check are left to the next full run. To continue a run, start
    /// [after](Pace::after) the key of the last item. A row that no key of the ring opens is logged
    /// and skipped.
    ///
    /// ```no_run
    /// # use tower_webflow_auth::WebflowAuthHandle;
    /// use futures::TryStreamExt;
    /// use std::pin::pin;
    /// use tower_webflow_auth::handle::GrantState;
    /// use tower_webflow_auth::Pace;
    ///
    /// # async fn run(handle: WebflowAuthHandle) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut verified = pin!(handle.verify_grants(Pace::per_second(1)));
    /// while let Some(grant) = verified.try_next().await? {
    ///     if let GrantState::Gone = grant.state {
    ///         println!("{:?} has removed the app", grant.subject());
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`StoreError`]. If a page of rows cannot be read, the stream finishes the grants that wait
    /// for their second check, and ends. If a single grant cannot be read or removed, it continues
    /// with the others.
    pub fn verify_grants(
        &self,
        pace: Pace,
    ) -> impl Stream<Item = Result<Verified, StoreError>> + Send + use<> {
        let grants = Some(grants(&self.context, pace.first()).boxed());
        let run = Run {
            context: Arc::clone(&self.context),
            ticker: pace.ticker(),
            pace,
            grants,
            suspects: VecDeque::new(),
        };
        stream::unfold(run, |mut run| async move { run.next().await.map(|item| (item, run)) })
    }
}

struct Run {
    context: Arc<Context>,
    pace: Pace,
    ticker: Ticker,
    /// The grants not checked yet. `None` at the end.
    grants: Option<BoxStream<'static, Result<WebflowToken, StoreError>>>,
    suspects: VecDeque<Suspect>,
}

/// A grant whose token Webflow has rejected once.
struct Suspect {
    token: WebflowToken,
    due: Instant,
    /// When it was refused, in Unix milliseconds.
    refused_at: u64,
}

impl Run {
    async fn next(&mut self) -> Option<Result<Verified, StoreError>> {
        loop {
            let must_wait = self.grants.is_none() || self.suspects.len() >= MAX_SUSPECTS;
            let is_due = |suspect: &mut Suspect| must_wait || suspect.due <= Instant::now();
            if let Some(suspect) = self.suspects.pop_front_if(is_due) {
                sleep_until(suspect.due).await;
                match self.check_again(suspect).await {
                    Some(item) => return Some(item),
                    None => continue,
                }
            }
            match self.grants.as_mut()?.next().await {
                None => self.grants = None,
                Some(Err(error)) => {
                    self.grants = None;
                    return Some(Err(error));
                }
                Some(Ok(token)) => {
                    if let Some(state) = self.check(&token).await {
                        return Some(Ok(Verified::new(&token, state)));
                    }
                }
            }
        }
    }

    /// Introspects a token. `None` if it is rejected, which makes it a suspect.
    async fn check(&mut self, token: &WebflowToken) -> Option<GrantState> {
        self.ticker.tick().await;
        match token.client().introspect(token.access_token()).await {
            Ok(Some(_)) => {
                token.state().seen_alive(self.context.clock.unix_millis());
                Some(GrantState::Alive)
            }
            Ok(None) => {
                self.suspect(token);
                None
            }
            Err(error) => Some(GrantState::Unknown(error)),
        }
    }

    fn suspect(&mut self, token: &WebflowToken) {
        self.suspects.push_back(Suspect {
            token: token.clone(),
            due: Instant::now() + self.pace.pause_before_proof(),
            refused_at: self.context.clock.unix_millis(),
        });
    }

    async fn check_again(&mut self, suspect: Suspect) -> Option<Result<Verified, StoreError>> {
        let Suspect { token, refused_at, .. } = suspect;
        let stored = match self.context.vault.load_anew(token.subject()).await {
            Ok(stored) => stored,
            Err(error) => return Some(Err(error)),
        };
        let item = |state| Some(Ok(Verified::new(&token, state)));
        let Some(current) = stored.iter().find(|it| it.grant_id() == token.grant_id()) else {
            return item(GrantState::Gone);
        };
        let is_same = current.grant().version == token.grant().version;
        if !is_same || token.state().was_alive_since(refused_at) {
            return self.check(current).await.map(|state| Ok(Verified::new(current, state)));
        }
        self.ticker.tick().await;
        match token.client().introspect(token.access_token()).await {
            Ok(Some(_)) => item(GrantState::Alive),
            Err(error) => item(GrantState::Unknown(error)),
            Ok(None) if token.state().was_alive_since(refused_at) => {
                self.suspect(&token);
                None
            }
            Ok(None) => match remove_dead(&self.context, &token).await {
                Ok(_) => item(GrantState::Gone),
                Err(error) => Some(Err(error)),
            },
        }
    }
}
