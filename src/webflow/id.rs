//! IDs in Webflow's responses.

use std::sync::Once;

use crate::util::log;

/// Webflow's IDs have 24 hexadecimal digits, but other forms are not ruled out.
const MAX_ID_LEN: usize = 128;

/// Whether every store can keep the text as an ID.
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether an ID that a client claims has the form of Webflow's. Others reach no lookup.
#[cfg(any(feature = "webhooks", feature = "panels"))]
pub fn is_plain_id(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(known)
}

/// [`is_id`] for an ID in a response. Logs the first rejected one in the process.
pub fn is_usable_id(text: &str) -> bool {
    static WARNED: Once = Once::new();
    let usable = is_id(text);
    if !usable {
        WARNED.call_once(|| {
            tracing::warn!(
                target: log::GRANT,
                len = text.len(),
                "dropped an ID of Webflow's response that is not printable ASCII of 1 to 128 bytes"
            );
        });
    }
    usable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e17_an_id_is_printable_and_short() {
        for good in ["65427cf400e02b306eaa049c", "a", "a-b_c.d:e", &"x".repeat(128)] {
            assert!(is_id(good), "{good}");
        }
        for odd in ["", " ", "a b", "a\0", "a\u{7f}", "a\n", "\u{e9}", &"x".repeat(129)] {
            assert!(!is_id(odd), "{odd:?}");
        }
    }
}
