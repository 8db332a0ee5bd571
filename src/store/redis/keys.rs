//! Key names: a prefix, a letter for the kind, and a base64 name.

use base64::Engine;
use base64::alphabet::{Alphabet, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, URL_SAFE_NO_PAD};

use super::StoreError;
use crate::crypto::random;
use crate::identity::subject::Subject;
use crate::store::{GrantId, TokenKey};

/// Names are encoded, so that `*`, `{}` and the like have no meaning in a key and no two subjects
/// share one. In a cluster, the part in braces selects the node.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    pub fn new(prefix: String) -> Result<Self, StoreError> {
        if prefix.contains(['{', '}']) {
            let reason = format!("the key prefix {prefix:?} contains a brace: use another one");
            return Err(StoreError::unavailable(reason));
        }
        Ok(Self { prefix })
    }

    /// The hash of a subject's grants.
    pub fn subject(&self, subject: &Subject) -> String {
        format!("{}:t:{{{}}}", self.prefix, encode(subject.as_str()))
    }

    /// The set of grants that cover a site.
    pub fn site(&self, id: &str) -> String {
        format!("{}:s:{{{}}}", self.prefix, encode(id))
    }

    /// The set of grants that cover a workspace.
    pub fn workspace(&self, id: &str) -> String {
        format!("{}:w:{{{}}}", self.prefix, encode(id))
    }

    /// The sorted set of all grants by the age of their token.
    pub fn ages(&self) -> String {
        format!("{}:ages", self.prefix)
    }

    /// The sorted set of all grants in the order of their keys.
    pub fn order(&self) -> String {
        format!("{}:order", self.prefix)
    }

    /// A row, an index and a sorted set for one health check. An encoded name never contains a dot.
    pub fn probe(&self, in_one_slot: bool) -> [String; 3] {
        let id = encode(random::bytes::<12>());
        ["t", "s", "ages"].map(|kind| {
            let tag = if in_one_slot { "" } else { kind };
            format!("{}:{kind}:{{.{id}.{tag}}}", self.prefix)
        })
    }

    /// The channel on which changes are published.
    pub fn channel(&self) -> String {
        format!("{}:changes", self.prefix)
    }
}

/// Base64 with characters in ASCII order, so that encoded names sort like their bytes.
const SORTED: GeneralPurpose = GeneralPurpose::new(&SORTED_ALPHABET, NO_PAD);
const SORTED_ALPHABET: Alphabet =
    match Alphabet::new("-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz") {
        Ok(alphabet) => alphabet,
        Err(_) => URL_SAFE,
    };

/// How indexes refer to a grant. The stamp makes each entry unique, so that the late removal of an
/// old entry never removes a newer grant's.
///
/// Members sort as their keys do: the comma precedes every character of an encoded name.
pub fn member(key: &TokenKey, stamp: &str) -> String {
    let (subject, grant) = (key.subject().as_str(), key.grant().as_str());
    format!("{},{},{stamp}", SORTED.encode(subject), SORTED.encode(grant))
}

/// Parses the grant's key and the stamp.
pub fn parse_member(member: &str) -> Option<(TokenKey, &str)> {
    let decode = |name| String::from_utf8(SORTED.decode(name).ok()?).ok();
    let mut parts = member.splitn(3, ',');
    let subject = decode(parts.next()?)?.parse().ok()?;
    let grant = GrantId::new(decode(parts.next()?)?);
    Some((TokenKey::new(subject, grant), parts.next()?))
}

pub fn new_stamp() -> String {
    encode(random::bytes::<12>())
}

pub fn encode(name: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

pub fn decode(name: impl AsRef<[u8]>) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_back() {
        let key = TokenKey::new(Subject::user("a:{b}*\0\u{e9}"), GrantId::new("x:y"));
        let stamp = new_stamp();
        assert_eq!(parse_member(&member(&key, &stamp)), Some((key, stamp.as_str())));
        assert_eq!(parse_member("dXNlcjox"), None);
    }

    #[test]
    fn members_sort_as_their_keys_do() {
        let ids = ["a", "a\0", "a\0\0", "ab", "abc", "a~", "b", "B", "-", "_", "z", "\u{e9}", "aa"];
        let mut keys: Vec<_> = ids
            .iter()
            .flat_map(|id| ["", "a", "a\0", "b"].map(|grant| (id, grant)))
            .map(|(id, grant)| TokenKey::new(Subject::user(id), GrantId::new(grant)))
            .collect();
        let mut members: Vec<_> = keys.iter().map(|key| member(key, "zz")).collect();
        keys.sort();
        members.sort();
        let found: Vec<_> = members.iter().map(|it| parse_member(it).unwrap().0).collect();
        assert_eq!(found, keys);
    }

    #[test]
    fn s_a_prefix_with_a_hash_tag_is_refused() {
        assert!(Keys::new("app:{1}".to_owned()).is_err());
        assert!(Keys::new("app:1".to_owned()).is_ok());
    }
}
