//! `on_authorized`: runs after a grant was stored and before the browser is redirected.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use serde::de::DeserializeOwned;

use super::{Hooks, run};
use crate::grant::token::WebflowToken;
use crate::grant::user::WebflowUser;
use crate::identity::subject::Subject;
use crate::wire::paths::is_label;

type HookError = Box<dyn Error + Send + Sync>;

pub type OnAuthorized =
    dyn Fn(NewGrant) -> Pin<Box<dyn Future<Output = Result<Next, HookError>> + Send>> + Send + Sync;

/// A grant that has just been stored, for
/// [`on_authorized`](crate::config::WebflowAuthBuilder::on_authorized).
#[derive(Clone)]
pub struct NewGrant {
    pub(crate) token: WebflowToken,
    pub(crate) former: Option<WebflowToken>,
    pub(crate) first: bool,
    pub(crate) new_sites: Vec<String>,
    pub(crate) return_to: String,
    /// JSON.
    pub(crate) data: Option<String>,
}

impl NewGrant {
    /// The new grant.
    pub const fn token(&self) -> &WebflowToken {
        &self.token
    }

    /// The user who authorized it. `None` without the scope `authorized_user:read`, or if the
    /// lookup failed.
    pub fn user(&self) -> Option<&WebflowUser> {
        self.token.user()
    }

    /// The subject that the grant belongs to.
    pub fn subject(&self) -> &Subject {
        self.token.subject()
    }

    /// The path that the browser returns to, unless the hook redirects it.
    pub fn return_to(&self) -> &str {
        &self.return_to
    }

    /// Whether neither the subject nor the browser's previous session had a grant before.
    pub const fn is_first(&self) -> bool {
        self.first
    }

    /// The grant that this one replaces.
    pub const fn former(&self) -> Option<&WebflowToken> {
        self.former.as_ref()
    }

    /// The IDs of the sites that no grant of the subject covered before. For a first grant, these
    /// are all of its sites, as far as they are known.
    pub fn new_sites(&self) -> &[String] {
        &self.new_sites
    }

    /// Deserializes the data given to [`Login::data`](crate::Login::data), if any.
    ///
    /// # Errors
    /// The data is not a `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Option<Result<T, serde_json::Error>> {
        self.data.as_deref().map(serde_json::from_str)
    }
}

impl fmt::Debug for NewGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewGrant")
            .field("token", &self.token)
            .field("first", &self.first)
            .field("return_to", &self.return_to)
            .finish_non_exhaustive()
    }
}

/// Where the browser goes after a flow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// To [`NewGrant::return_to`].
    #[default]
    Continue,
    /// To another page; see [`redirect`](Self::redirect).
    Redirect(String),
}

impl Next {
    /// Redirects to a path of the application, to a site in the Designer
    /// (`https://{short name}.design.webflow.com/..`), or to `https://webflow.com/dashboard`.
    ///
    /// Any other target is logged as an error and ignored, as if the hook had returned
    /// [`Continue`](Self::Continue).
    pub fn redirect(to: impl Into<String>) -> Self {
        Self::Redirect(to.into())
    }
}

/// The hook returned an error, which refuses the grant.
#[derive(Debug)]
pub struct Refused(pub HookError);

impl Hooks {
    /// Runs the hook. A panic or a timeout counts as [`Next::Continue`].
    pub async fn authorized(&self, new: impl FnOnce() -> NewGrant) -> Result<Next, Refused> {
        let Some(hook) = &self.authorized else { return Ok(Next::Continue) };
        let new = new();
        let outcome = run("on_authorized", async { hook(new).await }).await;
        outcome.unwrap_or(Ok(Next::Continue)).map_err(Refused)
    }
}

/// Whether the URL is a page of Webflow to which a hook may redirect. Browsers parse URLs
/// leniently, so only these exact forms are accepted.
pub fn is_webflow_page(url: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>');
    let Some(rest) = url.strip_prefix("https://").filter(|rest| rest.bytes().all(is_plain)) else {
        return false;
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at(end);
    if host == "webflow.com" {
        return matches!(rest.strip_prefix("/dashboard"), Some(query) if query.is_empty()
            || query.starts_with('?') && !query.contains('#'));
    }
    host.strip_suffix(".design.webflow.com").is_some_and(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i2_only_the_designer_and_the_dashboard_are_webflow_pages() {
        for url in [
            "https://my-site.design.webflow.com",
            "https://my-site.design.webflow.com/",
            "https://my-site.design.webflow.com?app=1",
            "https://a1.design.webflow.com/path?x=y#z",
            "https://webflow.com/dashboard",
            "https://webflow.com/dashboard?org=1",
        ] {
            assert!(is_webflow_page(url), "{url}");
        }
        for url in [
            "",
            "http://my-site.design.webflow.com/",
            "HTTPS://my-site.design.webflow.com/",
            "https://design.webflow.com/",
            "https://.design.webflow.com/",
            "https://a.b.design.webflow.com/",
            "https://My-Site.design.webflow.com/",
            "https://-.design.webflow.com/",
            "https://my_site.design.webflow.com/",
            "https://my-site.design.webflow.com.evil.example/",
            "https://my-site.design.webflow.com@evil.example/",
            "https://user@my-site.design.webflow.com/",
            "https://user:pass@my-site.design.webflow.com/",
            "https://my-site.design.webflow.com:443/",
            "https://my-site.design.webflow.com:8443/",
            "https://my-site.design.webflow.com./",
            "https://evil.example/.design.webflow.com",
            "https://evil.example\\.design.webflow.com/",
            "https://evil.example?.design.webflow.com",
            "https://evil.example#.design.webflow.com",
            "https://xdesign.webflow.com/",
            "https://my-site.design.webflow.com/\r\nSet-Cookie: a=b",
            "https://my-site.design.webflow.com/a b",
            " https://my-site.design.webflow.com/",
            "https://\tmy-site.design.webflow.com/",
            "https:/my-site.design.webflow.com/",
            "//my-site.design.webflow.com/",
            "javascript://my-site.design.webflow.com/%0aalert(1)",
            "https://webflow.com/",
            "https://webflow.com/dashboard/",
            "https://webflow.com/dashboards",
            "https://webflow.com/dashboard#x",
            "https://webflow.com/dashboard?x#y",
            "https://webflow.com/dashboard/../logout",
            "https://www.webflow.com/dashboard",
            "https://webflow.com:443/dashboard",
            "https://\u{443}ebflow.com/dashboard",
        ] {
            assert!(!is_webflow_page(url), "{url}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn i3_a_hook_that_hangs_or_panics_counts_as_continue() {
        let began = tokio::time::Instant::now();
        assert_eq!(run("test", std::future::pending::<()>()).await, None);
        assert_eq!(began.elapsed(), super::super::BUDGET);
        assert_eq!(run("test", async { panic!("in the test") }).await, None::<()>);
        assert_eq!(run("test", async { 1 }).await, Some(1));
    }
}
