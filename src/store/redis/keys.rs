//! The keys: a prefix, a letter for the kind, and the name in base64.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::identity::subject::Subject;
use crate::store::TokenKey;

/// Names are encoded, so that `*`, `{}` and the like mean nothing in a key, and no two subjects
/// share one.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) const fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// The hash with a subject's grants.
    pub(super) fn subject(&self, subject: &Subject) -> String {
        format!("{}:t:{}", self.prefix, encode(subject.as_str()))
    }

    /// The sorted set of the grants that cover a site.
    pub(super) fn site(&self, id: &str) -> String {
        format!("{}:s:{}", self.prefix, encode(id))
    }

    /// The sorted set of the grants that cover a workspace.
    pub(super) fn workspace(&self, id: &str) -> String {
        format!("{}:w:{}", self.prefix, encode(id))
    }

    /// The sorted set of all grants by the time of their token.
    pub(super) fn ages(&self) -> String {
        format!("{}:ages", self.prefix)
    }

    /// The channel on which changes are announced.
    pub(super) fn channel(&self) -> String {
        format!("{}:changes", self.prefix)
    }
}

/// How an index names a grant.
pub(super) fn member(key: &TokenKey) -> String {
    format!("{}:{}", encode(key.subject().as_str()), encode(key.grant().as_str()))
}

/// The grant's subject and id.
pub(super) fn parse_member(member: &str) -> Option<(Subject, String)> {
    let (subject, grant) = member.split_once(':')?;
    let decode = |part| String::from_utf8(URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    Some((decode(subject)?.parse().ok()?, decode(grant)?))
}

pub(super) fn encode(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}
