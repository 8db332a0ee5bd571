//! Secrets, and every form in which one could leak.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The secrets that must not appear anywhere, each with a name for test messages.
#[derive(Default, Clone)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    pub fn add(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= 8, "{name} is too short to be looked for");
        self.0.insert(secret.to_owned(), name.to_owned());
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The first secret found in the text, and its form.
    pub fn seen_in(&self, text: &str) -> Option<String> {
        self.0.iter().find_map(|(secret, name)| {
            let (form, needle) =
                forms(secret).into_iter().find(|(_, needle)| text.contains(needle.as_str()))?;
            let at = text.find(needle.as_str()).unwrap();
            let line = text[..at].rfind('\n').map_or(0, |line| line + 1);
            let rest = text[at..].find('\n').map_or(text.len(), |end| at + end);
            Some(format!("the {name}, {form}: {}", &text[line..rest]))
        })
    }

    pub fn assert_unseen(&self, what: &str, text: &str) {
        if let Some(seen) = self.seen_in(text) {
            panic!("{what} shows {seen}");
        }
    }
}

/// Verbatim, percent-encoded, in base64 at any offset, in hex, and as a list of bytes.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let mut forms = vec![
        ("as it is", secret.to_owned()),
        ("percent-encoded", utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string()),
        ("as bytes", bytes.iter().take(16).map(u8::to_string).collect::<Vec<_>>().join(", ")),
    ];
    forms.push(("percent-encoded in lower case", forms[1].1.to_lowercase()));
    let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    forms.push(("in upper hex", hex.to_uppercase()));
    forms.push(("in hex", hex));
    for offset in 0..3 {
        let shifted = [&b"\0\0\0"[..offset], bytes].concat();
        for (name, engine) in [("in base64", &STANDARD), ("in base64url", &URL_SAFE)] {
            let text = engine.encode(&shifted);
            // The characters that depend on the secret only.
            let from = (offset * 8).div_ceil(6);
            let to = shifted.len() * 8 / 6;
            forms.push((name, text[from..to].to_owned()));
        }
    }
    forms
}

/// The full text of an error: itself and each of its sources, by `Display` and `Debug`.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{error:?} {error:#?}");
    let mut next = Some(error);
    while let Some(error) = next {
        write!(text, "\n{error} {error:?}").unwrap();
        next = error.source();
    }
    text
}
