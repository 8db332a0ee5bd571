//! What can be grouped.

#[cfg(feature = "postgres")]
use std::collections::HashMap;
use std::hash::Hash;

use crate::store::SealedToken;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::store::{TokenKey, TokenVersion};

/// An operation that can share a step of the engine with others.
pub trait Operation: Send + Sync + 'static {
    type Key: Clone + Hash + Eq + Send + Sync + 'static;
    type Done: Send + 'static;

    /// Operations with the same key run one after another, in the order in which they came.
    fn key(&self) -> Option<&Self::Key>;

    /// The size of its values in bytes.
    fn bytes(&self) -> usize {
        0
    }
}

/// About the size of an id, or of the other values.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const FIELD: usize = 64;

/// A write of one row. Its outcome is whether there was a row of that key to replace or remove, and
/// true for a save.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[derive(Debug, Clone)]
pub enum Write {
    Save(SealedToken),
    /// Only if the row has the token's version.
    Update(SealedToken),
    /// Only if the row has this version.
    Remove(TokenKey, TokenVersion),
}

/// The kind of a [`Write`].
#[cfg(any(feature = "postgres", feature = "redis"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Save,
    Update,
    Remove,
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl Write {
    #[cfg(feature = "postgres")]
    pub const fn change(&self) -> Change {
        match self {
            Self::Save(_) => Change::Save,
            Self::Update(_) => Change::Update,
            Self::Remove(..) => Change::Remove,
        }
    }

    pub const fn row_key(&self) -> &TokenKey {
        match self {
            Self::Save(token) | Self::Update(token) => token.key(),
            Self::Remove(key, _) => key,
        }
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl Operation for Write {
    type Key = TokenKey;
    type Done = bool;

    fn key(&self) -> Option<&TokenKey> {
        Some(self.row_key())
    }

    fn bytes(&self) -> usize {
        let values = match self {
            Self::Save(token) | Self::Update(token) => {
                let ids = token.sites().len() + token.workspaces().len();
                token.sealed().len() + ids * FIELD
            }
            Self::Remove(..) => 0,
        };
        // The subject is also in the announcement, in base64.
        values + FIELD + self.row_key().subject().as_str().len() * 3
    }
}

/// A load of a subject's rows, in no order with others.
#[cfg(any(feature = "postgres", feature = "redis"))]
#[derive(Debug, Clone)]
pub struct Load(pub crate::identity::subject::Subject);

#[cfg(any(feature = "postgres", feature = "redis"))]
impl Operation for Load {
    type Key = ();
    type Done = Vec<SealedToken>;

    fn key(&self) -> Option<&()> {
        None
    }
}

#[cfg(feature = "postgres")]
impl Load {
    /// The rows of each of these loads, which may be of the same subject.
    pub fn share(loads: &[Self], rows: Vec<SealedToken>) -> super::Outcomes<Vec<SealedToken>> {
        if let [_] = loads {
            return vec![Ok(rows)];
        }
        let mut found: HashMap<_, Vec<_>> = HashMap::with_capacity(loads.len());
        for row in rows {
            found.entry(row.key().subject().clone()).or_default().push(row);
        }
        loads.iter().map(|load| Ok(found.get(&load.0).cloned().unwrap_or_default())).collect()
    }
}
