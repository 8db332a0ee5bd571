//! The redirect URI: kept verbatim, and parsed.

use url::Url;

use super::ConfigProblem;
use crate::webflow::is_https_or_loopback;

/// The parts of the redirect URI.
pub struct RedirectUri {
    /// Exactly the given string: Webflow compares it byte for byte.
    pub text: String,
    /// The callback path.
    pub path: String,
    /// The application's origin.
    pub origin: String,
    /// Whether it uses https.
    pub secure: bool,
}

/// Whether Webflow adds a parameter of this name to the callback (RFC 6749 section 4.1.2).
fn is_response_parameter(name: &str) -> bool {
    matches!(name, "code" | "state") || name.starts_with("error")
}

impl RedirectUri {
    pub fn parse(text: &str) -> Result<Self, ConfigProblem> {
        let problem = |problem: &str, remedy| ConfigProblem::Invalid {
            setting: "redirect_uri (WEBFLOW_REDIRECT_URI)",
            problem: problem.to_owned(),
            remedy,
        };
        let url = Url::parse(text).ok().filter(Url::has_host).ok_or_else(|| {
            problem(
                "is not an absolute address",
                "use the one registered in Webflow's app settings, for example \
                 https://app.example.com/auth/webflow/callback",
            )
        })?;
        if url.fragment().is_some() {
            return Err(problem("has a fragment", "remove the # and everything after it"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(problem("contains credentials", "remove everything before the @"));
        }
        if !is_https_or_loopback(&url) {
            return Err(problem(
                "is not https",
                "use https; plain http is for loopback (127.0.0.1, [::1], localhost) only",
            ));
        }
        if let Some((name, _)) = url.query_pairs().find(|(name, _)| is_response_parameter(name)) {
            return Err(problem(
                &format!("has the query parameter {name}"),
                "remove it: Webflow adds code, state and error to the query",
            ));
        }
        if text.trim() != text || !text.is_ascii() {
            return Err(problem(
                "has surrounding spaces or non-ASCII characters",
                "write it exactly as it is registered, percent-encoded",
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            path: url.path().to_owned(),
            origin: url.origin().ascii_serialization(),
            secure: url.scheme() == "https",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_plain_http_is_for_loopback_only() {
        for good in [
            "https://app.example.com/cb",
            "http://127.0.0.1:3000/cb",
            "http://localhost/cb",
            "http://[::1]:3000/cb",
        ] {
            assert!(RedirectUri::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://app.example.com/cb",
            "http://10.0.0.1/cb",
            "http://localhost.example.com/cb",
            "ftp://localhost/cb",
            "/cb",
            "app.example.com/cb",
            "https://app.example.com/cb#x",
            "https://a:b@app.example.com/cb",
            " https://app.example.com/cb",
        ] {
            assert!(RedirectUri::parse(bad).is_err(), "{bad}");
        }
    }
}
