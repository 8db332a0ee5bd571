//! The server and the keys on it.

use std::cmp::Reverse;
use std::sync::atomic::AtomicBool;

use redis::Cmd;

use super::failure::unavailable;
use super::keys::Keys;
use super::link::{Effort, Link};
use super::row::Row;
use crate::identity::subject::Subject;
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

    pub async fn grants(&self, subject: &Subject) -> Result<Vec<SealedToken>, StoreError> {
        let get = Cmd::hvals(self.keys.subject(subject));
        let values: Vec<Vec<u8>> =
            self.link.query(&get, Effort::Once).await.map_err(unavailable)?;
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
        Ok(tokens)
    }
}
