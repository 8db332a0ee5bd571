//! Subjects: whose token it is.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// Whose token it is: a browser session, or the application's own user.
///
/// Two subjects are the same only when they are equal byte for byte; nothing is folded or
/// normalized. [`as_str`](Self::as_str) is the key under which a store keeps a subject's grants,
/// and [`FromStr`] reads it back. `Debug` shows a digest, since the id may be personal.
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

/// A subject whose id is empty or longer than [`Subject::MAX_ID_LEN`], or a key that is not a
/// subject's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a subject: the id must have 1 to 1024 bytes")]
#[non_exhaustive]
pub struct InvalidSubject;

const USER: &str = "user:";

impl Subject {
    pub(crate) const SESSION: &str = "session:";

    /// The longest id, in bytes of UTF-8.
    pub const MAX_ID_LEN: usize = 1024;

    /// The application's own user, by an id that never changes hands.
    ///
    /// An empty id, or one over [`MAX_ID_LEN`](Self::MAX_ID_LEN), makes a subject that no store
    /// takes: the layer answers 401 for it.
    pub fn user(id: impl fmt::Display) -> Self {
        Self(format!("{USER}{id}").into())
    }

    pub(crate) fn session(id: &str) -> Self {
        Self(format!("{}{id}", Self::SESSION).into())
    }

    /// The key of this subject: `user:` or `session:` and the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id alone.
    pub fn id(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, id)| id)
    }

    /// Whether this is a browser session rather than a user of the application's.
    pub fn is_session(&self) -> bool {
        self.0.starts_with(Self::SESSION)
    }

    /// An error unless the id has 1 to [`MAX_ID_LEN`](Self::MAX_ID_LEN) bytes.
    ///
    /// # Errors
    /// [`InvalidSubject`].
    pub fn validate(&self) -> Result<(), InvalidSubject> {
        if (1..=Self::MAX_ID_LEN).contains(&self.id().len()) { Ok(()) } else { Err(InvalidSubject) }
    }

    /// A short digest that stands for the subject in logs.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.as_str()).into()
    }
}

/// Hashes and compares like the key, so that a map can be asked by the key alone.
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
