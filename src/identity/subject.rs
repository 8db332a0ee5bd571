//! Subjects: who a token belongs to.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// Who a token belongs to: a browser session, or a user of your application.
///
/// Subjects are compared byte for byte, without normalization. [`as_str`](Self::as_str) is the key
/// of a subject's grants in a store, and [`FromStr`] parses it. `Debug` prints a digest, because
/// the ID may be personal data.
///
/// ```
/// use tower_webflow_auth::Subject;
///
/// let subject = Subject::user(42);
/// assert_eq!(subject.as_str(), "user:42");
/// assert_eq!(subject.as_str().parse(), Ok(subject.clone()));
/// assert_ne!(subject, Subject::user("042"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

    /// Returns the key of this subject: `user:` or `session:`, and the ID.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the ID without the prefix.
    pub fn id(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, id)| id)
    }

    /// Whether this is a browser session rather than a user of the application.
    pub fn is_session(&self) -> bool {
        self.0.starts_with(Self::SESSION)
    }

    /// Checks that the ID has 1 to [`MAX_ID_LEN`](Self::MAX_ID_LEN) bytes.
    ///
    /// # Errors
    /// [`InvalidSubject`].
    pub fn validate(&self) -> Result<(), InvalidSubject> {
        if (1..=Self::MAX_ID_LEN).contains(&self.id().len()) { Ok(()) } else { Err(InvalidSubject) }
    }

    /// A digest that identifies the subject in logs.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.as_str()).into()
    }
}

/// Allows looking up a map entry by the key text. Hashing and comparison agree with `str`.
impl Borrow<str> for Subject {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(key: &str) -> Result<Self, InvalidSubject> {
        if !key.starts_with(USER) && !key.starts_with(Self::SESSION) {
            return Err(InvalidSubject);
        }
        let subject = Self(key.into());
        subject.validate().map(|()| subject)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_session() { "session" } else { "user" };
        write!(f, "Subject({kind} #")?;
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
