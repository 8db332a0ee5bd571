//! A cache of opened bearers, so that most requests decrypt nothing.

use std::sync::Arc;

use quick_cache::sync;

use super::sealed::{Bearer, PREFIX};
use crate::crypto::equal::are_equal;
use crate::crypto::keyring::Keyring;

/// The length of the cache key: the characters after the prefix. They contain the bearer's random
/// nonce, so no two bearers share them.
const ID_LEN: usize = 40;

type Id = [u8; ID_LEN];

/// A bounded cache that evicts the least used bearers.
pub struct VerifiedBearers(Option<sync::Cache<Id, Arc<Bearer>>>);

impl VerifiedBearers {
    pub fn new(capacity: usize) -> Self {
        Self((capacity > 0).then(|| sync::Cache::new(capacity)))
    }

    /// The bearer, if it is cached and has not expired.
    pub fn get(&self, text: &[u8], now: u64) -> Option<Arc<Bearer>> {
        let bearer = self.0.as_ref()?.get(id(text)?)?;
        // The ID is not a secret, but the rest must not leak through timing.
        (bearer.is_valid(now) && are_equal(&bearer.text, text)).then_some(bearer)
    }

    /// The bearer, opened unless it is cached. `now` is in Unix seconds.
    pub fn verify(
        &self,
        text: &[u8],
        binding: &str,
        keyring: &Keyring,
        now: u64,
    ) -> Option<Arc<Bearer>> {
        if let Some(bearer) = self.get(text, now) {
            return Some(bearer);
        }
        let bearer = Arc::new(Bearer::open(text, binding, keyring, now)?);
        if let (Some(cache), Some(id)) = (&self.0, id(text)) {
            cache.insert(*id, Arc::clone(&bearer));
        }
        Some(bearer)
    }
}

fn id(text: &[u8]) -> Option<&Id> {
    text.strip_prefix(PREFIX.as_bytes())?.first_chunk()
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use super::*;
    use crate::bearer::sealed::seal;
    use crate::bearer::session::PanelSession;
    use crate::grant::token::WebflowToken;
    use crate::grant::user::WebflowUser;

    #[test]
    fn b2_a_cached_bearer_expires_and_matches_only_itself() {
        let (bearers, keyring) = (VerifiedBearers::new(10), Keyring::generate());
        let token = WebflowToken::for_test([]).build();
        let session = PanelSession { user: WebflowUser::default(), site_id: "s".into() };
        let text = seal(&session, &token, 1000, "b", &keyring).unwrap();
        let text = text.as_bytes();
        assert!(bearers.get(text, 0).is_none());
        assert!(bearers.verify(text, "b", &keyring, 999).is_some());
        assert!(bearers.get(text, 999).is_some());
        assert!(bearers.get(text, 1000).is_none());
        for at in [4, 43, 44, text.len() - 1] {
            let mut changed = text.to_vec();
            changed[at] ^= 1;
            assert!(bearers.get(&changed, 0).is_none(), "{at}");
            assert!(bearers.verify(&changed, "b", &keyring, 0).is_none(), "{at}");
        }
        assert!(bearers.get(&text[..text.len() - 1], 0).is_none());
        let none = VerifiedBearers::new(0);
        assert!(none.verify(text, "b", &keyring, 0).is_some());
        assert!(none.get(text, 0).is_none(), "without a cache each one is opened");
    }

    #[test]
    fn b5_verified_bearers_are_bounded() {
        let (bearers, keyring) = (VerifiedBearers::new(10), Keyring::generate());
        let token = WebflowToken::for_test([]).build();
        let session = PanelSession { user: WebflowUser::default(), site_id: "s".into() };
        for _ in 0..1000 {
            let text = seal(&session, &token, 1000, "b", &keyring).unwrap();
            assert!(bearers.verify(text.as_bytes(), "b", &keyring, 0).is_some());
        }
        assert!(bearers.0.as_ref().unwrap().len() <= 11);
    }
}
