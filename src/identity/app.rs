//! Which app a stored grant belongs to.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// 16 bytes in base64url.
const LEN: usize = 22;

/// A digest of the app's name and client ID.
///
/// Its length is fixed, so a subject of one app cannot be read as a subject of another, whatever
/// characters a client ID contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppId(Arc<str>);

impl AppId {
    pub fn new(name: Option<&str>, client_id: &str) -> Self {
        // A name is never empty and never contains NUL.
        let digest = Sha256::new().chain_update(name.unwrap_or_default()).chain_update([0]);
        let digest = digest.chain_update(client_id).finalize();
        let (id, _) = digest.split_at(16);
        Self(URL_SAFE_NO_PAD.encode(id).into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the text has the form of an app's ID.
    pub fn is_well_formed(text: &str) -> bool {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        text.len() == LEN && text.bytes().all(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::subject::Subject;

    #[test]
    fn i7_each_name_and_client_has_its_own_subjects() {
        let apps = [
            AppId::new(None, "client"),
            AppId::new(Some("staging"), "client"),
            AppId::new(None, "staging\0client"),
            AppId::new(Some("stagin"), "gclient"),
            AppId::new(None, "other"),
        ];
        for subject in [Subject::user("a:b@c"), Subject::session("id")] {
            let stored: std::collections::BTreeSet<_> =
                apps.iter().map(|app| subject.stored(app).unwrap()).collect();
            assert_eq!(stored.len(), apps.len(), "{stored:?}");
            for (i, app) in apps.iter().enumerate() {
                let mine: Vec<_> = stored.iter().filter_map(|it| it.of_app(app)).collect();
                assert_eq!(mine, std::slice::from_ref(&subject), "app {i}");
            }
        }
    }

    #[test]
    fn i7_a_stored_subject_keeps_its_id_kind_and_digest_and_is_read_back() {
        let app = AppId::new(Some("staging"), "client");
        for subject in [Subject::user("a@b:c"), Subject::user("x".repeat(1024))] {
            let stored = subject.stored(&app).unwrap();
            assert_eq!((stored.id(), stored.is_session()), (subject.id(), false));
            assert_eq!(stored.digest(), subject.digest());
            assert_eq!(stored.as_str().parse(), Ok(stored.clone()));
            assert!(stored.validate().is_ok() && subject.of_app(&app).is_none());
            assert!(stored.stored(&app).is_err(), "no app has another's rows");
        }
    }

    #[test]
    fn a_malformed_app_is_not_a_subject() {
        for text in ["user@:1", "user@short:1", "user@AAAAAAAAAAAAAAAAAAAAAA", "other:1", "user"] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
