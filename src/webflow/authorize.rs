//! The authorization request (RFC 6749 section 4.1.1).

use percent_encoding::utf8_percent_encode;

use super::Endpoints;
use crate::wire::paths::COMPONENT;

/// The links to Webflow's consent screen. They differ only in their scopes and state, so the rest is
/// encoded once.
#[derive(Debug)]
pub struct AuthorizeLinks {
    /// Up to the scopes.
    start: String,
    /// Between the scopes and the state.
    middle: String,
}

impl AuthorizeLinks {
    pub fn new(endpoints: &Endpoints, client_id: &str, redirect_uri: &str) -> Self {
        let authorize = endpoints.authorize();
        let client_id = utf8_percent_encode(client_id, COMPONENT);
        let redirect_uri = utf8_percent_encode(redirect_uri, COMPONENT);
        Self {
            start: format!("{authorize}?response_type=code&client_id={client_id}&scope="),
            middle: format!("&redirect_uri={redirect_uri}&state="),
        }
    }

    /// The link of one flow. Spaces are encoded as `%20`, as Webflow documents.
    pub fn link(&self, scopes: &str, state: &str) -> String {
        let mut link = String::with_capacity(self.start.len() + self.middle.len() + 256);
        link.push_str(&self.start);
        link.extend(utf8_percent_encode(scopes, COMPONENT));
        link.push_str(&self.middle);
        link.extend(utf8_percent_encode(state, COMPONENT));
        link
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_encoded() {
        let endpoints = Endpoints::at("http://127.0.0.1:4000").unwrap();
        let links = AuthorizeLinks::new(&endpoints, "an id", "https://app.example.com/cb?a=b");
        assert_eq!(
            links.link("sites:read cms:read", "s&t"),
            format!(
                "{}?response_type=code&client_id=an%20id&scope=sites%3Aread%20cms%3Aread\
                 &redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb%3Fa%3Db&state=s%26t",
                endpoints.authorize()
            )
        );
    }
}
