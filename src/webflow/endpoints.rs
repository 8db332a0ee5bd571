//! Webflow's addresses.

use std::net::IpAddr;

use url::{Host, Url};

use crate::config::{ConfigError, ConfigProblem};

/// The base addresses of Webflow's authorization server and Data API.
///
/// Webflow uses three hosts: `webflow.com` for consent and revocation, `api.webflow.com` for the
/// code exchange and the API, and `api-cdn.webflow.com` for published CMS items. A fake Webflow
/// serves all of them under one base address.
///
/// ```
/// use tower_webflow_auth::Endpoints;
///
/// let fake = Endpoints::at("http://127.0.0.1:4000")?;
/// assert_eq!(fake.authorize().as_str(), "http://127.0.0.1:4000/oauth/authorize");
/// assert!(Endpoints::at("http://webflow.example").is_err());
/// # Ok::<(), tower_webflow_auth::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    authorize: Url,
    token: Url,
    revoke: Url,
    site: Url,
    api: Url,
    cdn: Url,
}

impl Endpoints {
    /// Webflow's production endpoints: `https://webflow.com`, `https://api.webflow.com` and
    /// `https://api-cdn.webflow.com`.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "the addresses are constants, parsed by a test"
    )]
    pub fn webflow() -> Self {
        let parse = |base| Url::parse(base).expect("a constant");
        Self::from_hosts(
            parse("https://webflow.com"),
            parse("https://api.webflow.com"),
            parse("https://api-cdn.webflow.com"),
        )
    }

    /// Endpoints of a fake Webflow: Webflow's paths under one base address.
    ///
    /// # Errors
    /// [`ConfigError`] if `base` is not an absolute http(s) address, uses plain http outside
    /// loopback, or contains credentials, a query or a fragment.
    pub fn at(base: &str) -> Result<Self, ConfigError> {
        let invalid = |problem: &str, remedy| ConfigProblem::Invalid {
            setting: "endpoints (WEBFLOW_BASE_URL)",
            problem: problem.to_owned(),
            remedy,
        };
        let url = Url::parse(base).map_err(|_| {
            invalid("is not an address", "use an absolute one, for example http://127.0.0.1:4000")
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid(
                "does not begin with http:// or https://",
                "write the whole address, for example http://127.0.0.1:4000",
            )
            .into());
        }
        if !is_https_or_loopback(&url) {
            return Err(invalid(
                "is not https",
                "plain http is allowed on loopback only, because the client secret is sent there",
            )
            .into());
        }
        let credentials = !url.username().is_empty() || url.password().is_some();
        if credentials || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid(
                "has credentials, a query or a fragment",
                "use only a scheme, host, port and path",
            )
            .into());
        }
        Ok(Self::from_hosts(url.clone(), url.clone(), url))
    }

    fn from_hosts(site: Url, api: Url, cdn: Url) -> Self {
        Self {
            authorize: join(&site, "/oauth/authorize"),
            token: join(&api, "/oauth/access_token"),
            revoke: join(&site, "/oauth/revoke_authorization"),
            site,
            api,
            cdn,
        }
    }

    /// Returns the address of the consent page.
    pub const fn authorize(&self) -> &Url {
        &self.authorize
    }

    /// Returns the address of the token endpoint (RFC 6749 section 3.2).
    pub const fn token(&self) -> &Url {
        &self.token
    }

    /// Returns the address for revoking an authorization. It is on the consent page's host, not the
    /// API's.
    pub const fn revoke(&self) -> &Url {
        &self.revoke
    }

    /// The address of token introspection.
    pub(crate) fn introspect(&self) -> Url {
        self.api_path("/v2/token/introspect")
    }

    /// The address that lists a token's sites.
    pub(crate) fn sites(&self) -> Url {
        self.api_path("/v2/sites")
    }

    /// The address that returns a token's user.
    pub(crate) fn authorized_by(&self) -> Url {
        self.api_path("/v2/token/authorized_by")
    }

    /// The address of a Data API path such as `/v2/sites`.
    pub(crate) fn api_path(&self, path: &str) -> Url {
        join(&self.api, path)
    }

    /// The address of a path on the host of published CMS items.
    pub(crate) fn cdn_path(&self, path: &str) -> Url {
        join(&self.cdn, path)
    }

    /// Whether an address is on one of Webflow's hosts.
    pub(crate) fn has_host_of(&self, url: &Url) -> bool {
        [&self.site, &self.api, &self.cdn].iter().any(|host| host.origin() == url.origin())
    }
}

impl Default for Endpoints {
    fn default() -> Self {
        Self::webflow()
    }
}

/// Appends a path to a base that may itself have a path.
fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(query);
    url
}

/// Whether an address uses https, or http to this machine.
pub fn is_https_or_loopback(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.host().is_some(),
        "http" => is_loopback(url),
        _ => false,
    }
}

pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webflow_has_three_hosts() {
        let endpoints = Endpoints::webflow();
        assert_eq!(endpoints.authorize().as_str(), "https://webflow.com/oauth/authorize");
        assert_eq!(endpoints.token().as_str(), "https://api.webflow.com/oauth/access_token");
        assert_eq!(endpoints.revoke().as_str(), "https://webflow.com/oauth/revoke_authorization");
        assert_eq!(
            endpoints.api_path("/v2/sites?limit=2").as_str(),
            "https://api.webflow.com/v2/sites?limit=2"
        );
        assert_eq!(endpoints.cdn_path("/v2/x").as_str(), "https://api-cdn.webflow.com/v2/x");
        for (url, expected) in [
            ("https://webflow.com/x", true),
            ("https://api.webflow.com/v2/sites", true),
            ("https://api-cdn.webflow.com/v2/sites", true),
            ("http://api.webflow.com/v2/sites", false),
            ("https://api.webflow.com:444/v2/sites", false),
            ("https://api.webflow.com.example/v2/sites", false),
        ] {
            assert_eq!(endpoints.has_host_of(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn a_base_may_have_a_path_but_nothing_else() {
        let nested = Endpoints::at("https://fake.example/webflow/").unwrap();
        assert_eq!(nested.token().path(), "/webflow/oauth/access_token");
        for bad in [
            "",
            "/x",
            "ftp://127.0.0.1",
            "http://10.0.0.1",
            "https://a@b",
            "https://:a@b",
            "https://b?x",
        ] {
            assert!(Endpoints::at(bad).is_err(), "{bad}");
        }
        assert!(Endpoints::at("http://[::1]:4000").is_ok());
    }
}
