//! Asks Webflow of every stored grant whether it still exists, and removes those that do not.
//!
//! Nobody is told of an uninstall, so a job has to look. One 401 is not believed: a Webflow that
//! answers 401 to everything for a minute would cost every grant.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use tokio::time::{Instant, sleep_until};

use super::list::grants;
use super::pace::{Pace, Ticker};
use super::revoke::remove_dead;
use crate::api::ApiError;
use crate::context::Context;
use crate::context::handle::WebflowAuthHandle;
use crate::grant::token::WebflowToken;
use crate::identity::subject::Subject;
use crate::store::{GrantId, StoreError};

/// How many grants may wait for their second look. With more, the oldest is waited for.
const MAX_SUSPECTS: usize = 10_000;

/// What Webflow says of a stored grant.
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
    /// Webflow has refused its token twice, and the grant was removed here.
    Gone,
    /// Webflow did not say; the grant stays.
    Unknown(ApiError),
}

impl Verified {
    fn of(token: &WebflowToken, state: GrantState) -> Self {
        Self { subject: token.subject().clone(), grant: token.grant_id().clone(), state }
    }

    /// Whose grant it is.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Which of the subject's grants it is.
    pub const fn grant_id(&self) -> &GrantId {
        &self.grant
    }
}

impl WebflowAuthHandle {
    /// Introspects every stored grant of this app, and removes those that are gone.
    ///
    /// Webflow does not announce an uninstall; this finds it out. A grant is removed, and
    /// [`on_revoked`](crate::config::WebflowAuthBuilder::on_revoked) runs, only when Webflow answers
    /// 401 twice, [`confirm_after`](Pace::confirm_after) apart, with no success in between. Other
    /// grants are looked at meanwhile, so items come out of order.
    ///
    /// The stream does nothing unless it is polled. Dropped, it may have passed over grants that
    /// wait for their second look; the next full run looks at them again. To continue a run, begin
    /// [after](Pace::after) the key of the last item. A row that no key of the ring opens is logged
    /// and left out.
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
    /// [`StoreError`]: when a page of rows cannot be read, the stream goes on with the grants that
    /// wait for their second look and then ends; when one grant cannot be read or removed, it goes
    /// on with the others.
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
    /// Those that were not looked at yet; `None` at the end.
    grants: Option<BoxStream<'static, Result<WebflowToken, StoreError>>>,
    suspects: VecDeque<Suspect>,
}

/// A grant whose token Webflow has refused once.
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
                match self.look_again(suspect).await {
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
                    if let Some(state) = self.look(&token).await {
                        return Some(Ok(Verified::of(&token, state)));
                    }
                }
            }
        }
    }

    /// Introspects a token. `None` for one that is refused, which becomes a suspect.
    async fn look(&mut self, token: &WebflowToken) -> Option<GrantState> {
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

    async fn look_again(&mut self, suspect: Suspect) -> Option<Result<Verified, StoreError>> {
        let Suspect { token, refused_at, .. } = suspect;
        let stored = match self.context.vault.load_anew(token.subject()).await {
            Ok(stored) => stored,
            Err(error) => return Some(Err(error)),
        };
        let item = |state| Some(Ok(Verified::of(&token, state)));
        let Some(current) = stored.iter().find(|it| it.grant_id() == token.grant_id()) else {
            return item(GrantState::Gone);
        };
        let is_same = current.grant().version == token.grant().version;
        if !is_same || token.state().was_alive_since(refused_at) {
            return self.look(current).await.map(|state| Ok(Verified::of(current, state)));
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
