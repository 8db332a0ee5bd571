//! The server and the keys on it.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use redis::{Cmd, Pipeline, RedisError, ServerErrorKind};

use super::failure::{Failure, unavailable};
use super::keys::Keys;
use super::link::{Effort, Link};
use super::row::Row;
use super::within;
use crate::identity::subject::Subject;
use crate::store::group::{Engine, Load, Outcomes, Separation};
use crate::store::{SealedToken, StoreError};
use crate::util::log;

pub struct Server {
    pub link: Link,
    pub keys: Keys,
    /// Whether keys are spread over nodes, so that a script can only use the keys of one subject.
    pub is_cluster: AtomicBool,
    /// Whether the failure to publish changes has been logged.
    pub unpublished: AtomicBool,
}

impl Server {
    pub fn new(link: Link, keys: Keys, is_cluster: bool) -> Self {
        let is_cluster = AtomicBool::new(is_cluster);
        Self { link, keys, is_cluster, unpublished: AtomicBool::new(false) }
    }

    async fn load(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        let get = Cmd::hvals(self.keys.subject(subject));
        let values: Vec<_> = self.link.query(&get, Effort::Once).await.map_err(unavailable)?;
        Ok(grants(subject, &values))
    }

    async fn load_each(&self, loads: &[Load]) -> Outcomes<Vec<SealedToken>> {
        join_all(loads.iter().map(|load| within(self.load(&load.0)))).await
    }

    pub fn is_cluster(&self) -> bool {
        self.is_cluster.load(Ordering::Relaxed)
    }

    async fn load_all(&self, loads: &[Load]) -> Result<Outcomes<Vec<SealedToken>>, StoreError> {
        let mut reads = Pipeline::with_capacity(loads.len());
        for load in loads {
            reads.hvals(self.keys.subject(&load.0));
        }
        let values: Vec<Vec<_>> = match self.link.read_all(&reads).await {
            // The keys of a pipeline must be in one slot of a cluster.
            Err(error) if error.kind() == ServerErrorKind::CrossSlot.into() => {
                self.is_cluster.store(true, Ordering::Relaxed);
                return Ok(self.load_each(loads).await);
            }
            values => values.map_err(unavailable)?,
        };
        Ok(loads.iter().zip(&values).map(|(load, values)| Ok(grants(&load.0, values))).collect())
    }
}

impl Engine<Load> for Server {
    async fn run(&self, loads: &[Load]) -> Result<Outcomes<Vec<SealedToken>>, StoreError> {
        if loads.len() == 1 || self.is_cluster() {
            return Ok(self.load_each(loads).await);
        }
        within(self.load_all(loads)).await
    }

    fn after(error: &StoreError) -> Separation {
        separation(error)
    }
}

/// Whether the server has refused the command itself, for example because its key has another type.
pub fn separation(error: &StoreError) -> Separation {
    let StoreError::Unavailable(source) = error else { return Separation::None };
    match source.downcast_ref::<RedisError>().map(Failure::classify) {
        Some(Failure::Other) => Separation::Halves,
        _ => Separation::None,
    }
}

/// The grants of a subject, newest first. Values that this store did not write are skipped.
fn grants(subject: &Subject, values: &[Vec<u8>]) -> Vec<SealedToken> {
    let mut tokens: Vec<_> = values
        .iter()
        .filter_map(|value| {
            let token = Row::decode(value).map(|row| row.token);
            let token = token.filter(|token| token.key().subject() == subject);
            if token.is_none() {
                tracing::warn!(target: log::STORE, ?subject, "ignoring a malformed stored grant");
            }
            token
        })
        .collect();
    tokens.sort_by_key(|token| Reverse(token.version()));
    tokens
}
