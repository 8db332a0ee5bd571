//! Introspects a token after a 401, to find out whether it is still valid.
//!
//! Webflow answers 401 for a token that "is invalid or does not have access to the requested
//! resource". Introspection needs neither scope nor resource, so only it tells the two apart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use quick_cache::sync::Cache;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use super::ApiClient;
use crate::grant::token::WebflowToken;
use crate::util::clock::is_within;
use crate::util::log;
use crate::webflow::{Introspection, LOOKUP_BUDGET, TokenLookupError, introspect};

/// How long a token that was found valid is not introspected again.
const ALIVE_TTL: Duration = Duration::from_secs(10);

/// How many valid tokens are remembered.
const MAX_REMEMBERED: usize = 4096;

/// The result of introspecting a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Alive,
    Dead,
    /// Introspection failed.
    Unknown,
}

type Key = [u8; 32];

/// Introspections triggered by a 401.
pub struct Confirmations {
    /// One per token, kept alive by the callers that wait for it.
    pending: Mutex<HashMap<Key, Weak<OnceCell<Life>>>>,
    /// When a token was found alive, in Unix milliseconds.
    alive: Cache<Key, u64>,
}

impl Default for Confirmations {
    fn default() -> Self {
        Self { pending: Mutex::default(), alive: Cache::new(MAX_REMEMBERED) }
    }
}

impl Confirmations {
    /// The remembered result, or that of `ask`. Concurrent calls with the same key share one `ask`.
    /// Only [`Life::Alive`] is remembered. `now` is in Unix milliseconds.
    async fn life(&self, key: Key, now: u64, ask: impl Future<Output = Life>) -> Life {
        if self.alive.get(&key).is_some_and(|since| is_within(ALIVE_TTL, since, now)) {
            return Life::Alive;
        }
        let cell = self.join(key);
        let life = *cell
            .get_or_init(|| async {
                let life = ask.await;
                if life == Life::Alive {
                    self.alive.insert(key, now);
                }
                life
            })
            .await;
        // Later calls start another introspection.
        let mut pending = self.pending();
        if pending.get(&key).is_some_and(|other| other.as_ptr() == Arc::as_ptr(&cell)) {
            pending.remove(&key);
        }
        life
    }

    fn join(&self, key: Key) -> Arc<OnceCell<Life>> {
        let mut pending = self.pending();
        if let Some(cell) = pending.get(&key).and_then(Weak::upgrade) {
            return cell;
        }
        // Cancelled callers leave entries behind.
        pending.retain(|_, cell| cell.strong_count() > 0);
        let cell = Arc::default();
        pending.insert(key, Arc::downgrade(&cell));
        cell
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Key, Weak<OnceCell<Life>>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ApiClient {
    /// Introspects the token, or returns the remembered result. [`Life::Unknown`] at the deadline.
    pub async fn life_of(&self, token: &WebflowToken, deadline: Instant) -> Life {
        let secret = token.access_token();
        let key = Sha256::digest(secret.expose_secret()).into();
        let budget = self.budget.min(LOOKUP_BUDGET);
        let ask = async {
            let found = introspect(&self.http, &self.endpoints, secret, budget).await;
            record(token, found, self.clock.unix_millis())
        };
        let life = self.confirmations.life(key, self.clock.unix_millis(), ask);
        timeout_at(deadline, life).await.unwrap_or(Life::Unknown)
    }
}

fn record(token: &WebflowToken, found: Result<Introspection, TokenLookupError>, now: u64) -> Life {
    match found {
        Ok(found) => {
            token.state().seen_alive(now);
            if found.scopes.is_some_and(|scopes| scopes != *token.scopes()) {
                token.state().mark_outdated();
            }
            Life::Alive
        }
        Err(TokenLookupError::Status(401)) => Life::Dead,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                target: log::API, error,
                "introspection failed after a 401: the grant is kept"
            );
            Life::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use futures::future::join_all;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    const KEY: Key = [7; 32];

    #[tokio::test]
    async fn w1_concurrent_callers_share_one_introspection() {
        for life in [Life::Alive, Life::Dead, Life::Unknown] {
            let (confirmations, asked) = (Confirmations::default(), AtomicUsize::new(0));
            let gate = Semaphore::new(0);
            let call = |key| {
                let ask = async {
                    asked.fetch_add(1, Ordering::SeqCst);
                    gate.acquire().await.unwrap().forget();
                    life
                };
                confirmations.life(key, 0, ask)
            };
            let open = async { gate.add_permits(2) };
            let others = call([8; 32]);
            let (found, _, ()) = tokio::join!(join_all((0..20).map(|_| call(KEY))), others, open);
            assert_eq!(found, [life; 20]);
            assert_eq!(asked.load(Ordering::SeqCst), 2, "one for each token");
            assert!(confirmations.pending().is_empty());
        }
    }

    #[tokio::test]
    async fn w1_dropping_one_caller_does_not_cancel_the_others() {
        let (confirmations, gate) = (Confirmations::default(), Semaphore::new(0));
        let call = || {
            confirmations.life(KEY, 0, async {
                gate.acquire().await.unwrap().forget();
                Life::Dead
            })
        };
        let mut leaves = Box::pin(call());
        let stays = call();
        assert!(leaves.as_mut().now_or_never().is_none());
        let (life, ()) = tokio::join!(stays, async {
            drop(leaves);
            gate.add_permits(1);
        });
        assert_eq!(life, Life::Dead);
    }

    #[tokio::test]
    async fn w1_remembered_tokens_are_bounded() {
        let confirmations = Confirmations::default();
        for i in 0..10_000_u32 {
            let mut key = KEY;
            key[..4].copy_from_slice(&i.to_be_bytes());
            confirmations.life(key, 0, async { Life::Alive }).await;
            let left = confirmations.life(key, 20_000, std::future::pending());
            assert!(left.now_or_never().is_none(), "its caller leaves");
        }
        assert!(confirmations.alive.len() <= MAX_REMEMBERED);
        assert!(confirmations.pending().len() <= 1);
    }

    #[tokio::test]
    async fn w1_only_valid_tokens_are_remembered_and_only_briefly() {
        let confirmations = Confirmations::default();
        let ask = async |now, life| confirmations.life(KEY, now, async { life }).await;
        assert_eq!(ask(1000, Life::Unknown).await, Life::Unknown);
        assert_eq!(ask(1000, Life::Dead).await, Life::Dead);
        assert_eq!(ask(1000, Life::Alive).await, Life::Alive);
        assert_eq!(ask(10_999, Life::Dead).await, Life::Alive);
        assert_eq!(ask(999, Life::Dead).await, Life::Dead, "a clock that was set back");
        assert_eq!(ask(11_000, Life::Dead).await, Life::Dead);
    }
}
