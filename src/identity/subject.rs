//! Subjects: who a token belongs to.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::app::AppId;

/// Who a token belongs to: a browser session, or a user of your application.
///
/// Subjects are compared byte for byte, without normalization. [`FromStr`] parses the result of
/// [`as_str`](Self::as_str). `Debug` prints a digest, because the ID may be personal data.
///
/// The subjects in a store also name the app: `user@<app>:42`, where `<app>` is a digest of the
/// app's [name](crate::config::WebflowAuthBuilder::name) and client ID, so that several apps can
/// share a store. [`WebflowAuthHandle`](crate::WebflowAuthHandle) accepts both forms, so a tool can
/// pass on a subject from a row. The layer treats a request with a store's form as signed out.
///
/// ```
/// use tower_webflow_auth::Subject;
///
/// let subject = Subject::user(42);
/// assert_eq!(subject.as_str(), "user:42");
/// assert_eq!(subject.as_str().parse(), Ok(subject.clone()));
/// assert_ne!(subject, Subject::user("042"));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject(Arc<str>);

/// The error for a subject whose ID is empty or longer than [`Subject::MAX_ID_LEN`], or for a
/// malformed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid subject: the ID must have 1 to 1024 bytes")]
#[non_exhaustive]
pub struct InvalidSubject;

const USER: &str = "user:";

impl Subject {
    pub(crate) const SESSION: &str = "session:";

    /// Maximum length of an ID, in bytes of UTF-8.
    pub const MAX_ID_LEN: usize = 1024;

    /// Creates the subject of an application's user. The ID must never be reassigned to another
    /// user.
    ///
    /// An ID that is empty or longer than [`MAX_ID_LEN`](Self::MAX_ID_LEN) makes an invalid
    /// subject, which stores reject and the layer answers with 401.
    pub fn user(id: impl fmt::Display) -> Self {
        Self(format!("{USER}{id}").into())
    }

    pub(crate) fn session(id: &str) -> Self {
        Self(format!("{}{id}", Self::SESSION).into())
    }

    /// Returns the subject as text: `user:` or `session:`, and the ID. In a store, also the app.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the ID without the prefix.
    pub fn id(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, id)| id)
    }

    /// Whether this is a browser session rather than a user of the application.
    pub fn is_session(&self) -> bool {
        self.kind() == "session"
    }

    /// `user` or `session`.
    fn kind(&self) -> &str {
        self.0.split([':', '@']).next().unwrap_or_default()
    }

    /// The app that a store's subject names.
    fn app(&self) -> Option<&str> {
        let (kind, _) = self.0.split_once(':')?;
        kind.split_once('@').map(|(_, app)| app)
    }

    /// Whether this is a store's form of a subject.
    pub(crate) fn is_stored(&self) -> bool {
        self.app().is_some()
    }

    /// The store's form of this subject.
    pub(crate) fn stored(&self, app: &AppId) -> Result<Self, InvalidSubject> {
        if self.is_stored() {
            return Err(InvalidSubject);
        }
        Ok(Self(format!("{}@{}:{}", self.kind(), app.as_str(), self.id()).into()))
    }

    /// The lower bounds of an app's subjects in a store: of sessions, and of users.
    pub(crate) fn first_stored(app: &AppId) -> [Self; 2] {
        ["session", "user"].map(|kind| Self(format!("{kind}@{}:", app.as_str()).into()))
    }

    /// The inverse of [`stored`](Self::stored). `None` for a subject of another app.
    pub(crate) fn of_app(&self, app: &AppId) -> Option<Self> {
        (self.app()? == app.as_str()).then(|| Self(format!("{}:{}", self.kind(), self.id()).into()))
    }

    /// Checks that the ID has 1 to [`MAX_ID_LEN`](Self::MAX_ID_LEN) bytes.
    ///
    /// # Errors
    /// [`InvalidSubject`].
    pub fn validate(&self) -> Result<(), InvalidSubject> {
        if (1..=Self::MAX_ID_LEN).contains(&self.id().len()) { Ok(()) } else { Err(InvalidSubject) }
    }

    /// A digest that identifies the subject in logs, the same for a store's form.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let digest = Sha256::new().chain_update(self.kind()).chain_update(":");
        digest.chain_update(self.id()).finalize().into()
    }
}

/// Hashes the bytes alone, as keys that were never checked to be text do; see [`vault`](crate::vault).
impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.as_bytes());
    }
}

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(key: &str) -> Result<Self, InvalidSubject> {
        let (kind, _) = key.split_once(':').ok_or(InvalidSubject)?;
        let (kind, app) =
            kind.split_once('@').map_or((kind, None), |(kind, app)| (kind, Some(app)));
        if !matches!(kind, "user" | "session") || !app.is_none_or(AppId::is_well_formed) {
            return Err(InvalidSubject);
        }
        let subject = Self(key.into());
        subject.validate().map(|()| subject)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({} #", self.kind())?;
        self.digest().iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl serde::Serialize for Subject {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Subject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        key.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_session_with_the_same_id_are_two_subjects() {
        assert_ne!(Subject::user("a"), Subject::session("a"));
        assert_eq!(Subject::user("a:b").id(), "a:b");
    }

    #[test]
    fn an_empty_or_overlong_id_is_invalid() {
        assert!(Subject::user("").validate().is_err());
        assert!(Subject::user("x".repeat(1024)).validate().is_ok());
        assert!(Subject::user("x".repeat(1025)).validate().is_err());
        assert!("".parse::<Subject>().is_err());
        assert!("admin:1".parse::<Subject>().is_err());
    }

    #[test]
    fn debug_does_not_show_the_id() {
        assert!(!format!("{:?}", Subject::user("ada@example.com")).contains("ada"));
    }
}
