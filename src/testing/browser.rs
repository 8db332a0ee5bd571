//! A browser for tests: keeps cookies, follows redirects and sends a browser's headers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use cookie::Cookie;
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

use super::html;
use crate::webflow::{client_builder, direct_client_builder, may_use_proxy};

/// Redirect limit; browsers stop at 20.
const MAX_REDIRECTS: usize = 20;

/// An HTTP client that navigates like a browser, for testing your application.
///
/// Cookies are kept per host, ignoring the port, as in browsers. `Secure` is not enforced, so the
/// application under test may use plain http.
///
/// ```no_run
/// use tower_webflow_auth::testing::{FakeWebflow, TestBrowser};
///
/// # async fn run(fake: FakeWebflow) -> Result<(), tower_webflow_auth::testing::BrowserError> {
/// let mut browser = TestBrowser::new();
/// let consent = browser.visit("http://127.0.0.1:3000/sites").await?;
/// let page = browser.press("Authorize", &consent).await?;
/// assert_eq!(page.path(), "/sites");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TestBrowser {
    http: reqwest::Client,
    /// For https to other machines, which may need the environment's proxy.
    outside: OnceLock<reqwest::Client>,
    cookies: BTreeMap<(String, String), String>,
}

/// A page that a [`TestBrowser`] has loaded.
///
/// ```no_run
/// # async fn run() -> Result<(), tower_webflow_auth::testing::BrowserError> {
/// use tower_webflow_auth::testing::TestBrowser;
///
/// let page = TestBrowser::new().step("http://127.0.0.1:3000/sites").await?;
/// assert_eq!(page.status.as_u16(), 303);
/// assert!(page.location().is_some_and(|to| to.path() == "/oauth/authorize"));
/// assert_eq!(page.set_cookies().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Page {
    /// The URL after all redirects.
    pub url: Url,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

/// Why a [`TestBrowser`] could not load a page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrowserError {
    /// The URL cannot be parsed.
    #[error("{0:?} is not a valid URL")]
    Address(String),
    /// The server did not respond.
    #[error("no response")]
    Transport(#[from] reqwest::Error),
    /// More than 20 redirects in a row.
    #[error("too many redirects")]
    TooManyRedirects,
    /// The page has no form with this button.
    #[error("the page has no form with the button {0:?}")]
    NoButton(String),
    /// The page has no such link.
    #[error("the page has no link {0:?}")]
    NoLink(String),
}

impl TestBrowser {
    /// Creates a browser without cookies.
    pub fn new() -> Self {
        let http = direct_client_builder().build().unwrap_or_default();
        Self { http, outside: OnceLock::new(), cookies: BTreeMap::new() }
    }

    /// Navigates to `url` and follows redirects.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn visit(&mut self, url: &str) -> Result<Page, BrowserError> {
        let mut page = self.step(url).await?;
        for _ in 0..MAX_REDIRECTS {
            match page.location() {
                Some(next) => page = self.step(next.as_str()).await?,
                None => return Ok(page),
            }
        }
        Err(BrowserError::TooManyRedirects)
    }

    /// Navigates to `url` without following a redirect.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn step(&mut self, url: &str) -> Result<Page, BrowserError> {
        self.send(Method::GET, url, &navigation(), None).await
    }

    /// Sends a request as a page's script does: `fetch` with `Accept: application/json`.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn fetch(&mut self, method: Method, url: &str) -> Result<Page, BrowserError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(SEC_FETCH_MODE, HeaderValue::from_static("cors"));
        headers.insert(SEC_FETCH_SITE, HeaderValue::from_static("same-origin"));
        self.send(method, url, &headers, None).await
    }

    /// Submits an empty same-origin form and follows redirects.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn submit(&mut self, url: &str) -> Result<Page, BrowserError> {
        self.post(url, String::new()).await
    }

    /// Clicks the link with this text and follows redirects.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn follow(&mut self, link: &str, page: &Page) -> Result<Page, BrowserError> {
        let url = page.link(link).ok_or_else(|| BrowserError::NoLink(link.to_owned()))?;
        self.visit(url.as_str()).await
    }

    /// Submits the form that has a button with this text, including the form's values, and follows
    /// redirects.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn press(&mut self, button: &str, page: &Page) -> Result<Page, BrowserError> {
        let (action, body) =
            page.form_with(button).ok_or_else(|| BrowserError::NoButton(button.to_owned()))?;
        self.post(action.as_str(), body).await
    }

    async fn post(&mut self, url: &str, body: String) -> Result<Page, BrowserError> {
        let mut headers = navigation();
        headers.insert(SEC_FETCH_SITE, HeaderValue::from_static("same-origin"));
        let page = self.send(Method::POST, url, &headers, Some(body)).await?;
        match page.location() {
            Some(next) => self.visit(next.as_str()).await,
            None => Ok(page),
        }
    }

    /// Sends one request with exactly these headers and this browser's cookies.
    ///
    /// # Errors
    /// [`BrowserError`].
    pub async fn send(
        &mut self,
        method: Method,
        url: &str,
        headers: &HeaderMap,
        form: Option<String>,
    ) -> Result<Page, BrowserError> {
        let url: Url = url.parse().map_err(|_| BrowserError::Address(url.to_owned()))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let http = if may_use_proxy(&url) {
            self.outside.get_or_init(|| client_builder(&url).build().unwrap_or_default())
        } else {
            &self.http
        };
        let mut request = http.request(method, url.clone()).headers(headers.clone());
        if let Some(cookies) = self.cookie_header(&host) {
            request = request.header(COOKIE, cookies);
        }
        if let Some(form) = form {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        }
        let response = request.send().await?;
        for set in response.headers().get_all(SET_COOKIE) {
            self.take(&host, set);
        }
        Ok(Page {
            url,
            status: response.status(),
            headers: response.headers().clone(),
            text: response.text().await?,
        })
    }

    fn cookie_header(&self, host: &str) -> Option<String> {
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .filter(|((of, _), _)| of == host)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn take(&mut self, host: &str, set: &HeaderValue) {
        let Some(cookie) = set.to_str().ok().and_then(|set| Cookie::parse(set).ok()) else {
            return;
        };
        let key = (host.to_owned(), cookie.name().to_owned());
        if cookie.max_age() == Some(cookie::time::Duration::ZERO) {
            self.cookies.remove(&key);
        } else {
            self.cookies.insert(key, cookie.value().to_owned());
        }
    }

    /// Returns the names and values of the cookies for `host`.
    pub fn cookies(&self, host: &str) -> Vec<(String, String)> {
        self.cookies
            .iter()
            .filter(|((of, _), _)| of == host)
            .map(|((_, name), value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Adds or replaces a cookie.
    pub fn set_cookie(&mut self, host: &str, name: &str, value: &str) {
        self.cookies.insert((host.to_owned(), name.to_owned()), value.to_owned());
    }

    /// Deletes every cookie whose name starts with `prefix`.
    pub fn drop_cookies(&mut self, prefix: &str) {
        self.cookies.retain(|(_, name), _| !name.starts_with(prefix));
    }
}

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

fn navigation() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        ACCEPT,
        HeaderValue::from_static("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
    );
    headers.insert(SEC_FETCH_MODE, HeaderValue::from_static("navigate"));
    headers
}

impl Default for TestBrowser {
    fn default() -> Self {
        Self::new()
    }
}

impl Page {
    /// Returns the redirect target, resolved against the page's URL.
    pub fn location(&self) -> Option<Url> {
        self.url.join(self.headers.get(LOCATION)?.to_str().ok()?).ok()
    }

    /// Returns the URL's path.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// Returns the body as JSON, or `Null` if it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Returns the values of the response's `Set-Cookie` headers.
    pub fn set_cookies(&self) -> Vec<&str> {
        let values = self.headers.get_all(SET_COOKIE).iter();
        values.filter_map(|value| value.to_str().ok()).collect()
    }

    /// The URL of the link with this text.
    fn link(&self, text: &str) -> Option<Url> {
        let (head, _) = html::elements(&self.text, "a").find(|(_, it)| html::text(it) == text)?;
        self.url.join(&html::attribute(head, "href")?).ok()
    }

    /// The URL and the encoded values of the form that has a button with this text.
    fn form_with(&self, button: &str) -> Option<(Url, String)> {
        let is_it = |(head, content): &(&str, &str)| {
            html::text(content) == button
                && html::attribute(head, "type").as_deref() != Some("reset")
        };
        let (head, content, pressed) =
            html::elements(&self.text, "form").find_map(|(head, content)| {
                let (pressed, _) = html::elements(content, "button").find(is_it)?;
                Some((head, content, pressed))
            })?;
        let action = self.url.join(&html::attribute(head, "action").unwrap_or_default()).ok()?;
        let mut values = url::form_urlencoded::Serializer::new(String::new());
        for input in html::tags(content, "input") {
            let kind = html::attribute(input, "type").unwrap_or_default();
            let chosen =
                !matches!(kind.as_str(), "checkbox" | "radio") || input.contains("checked");
            if let (true, Some(name)) = (chosen, html::attribute(input, "name")) {
                values.append_pair(&name, &html::attribute(input, "value").unwrap_or_default());
            }
        }
        if let Some(name) = html::attribute(pressed, "name") {
            values.append_pair(&name, &html::attribute(pressed, "value").unwrap_or_default());
        }
        Some((action, values.finish()))
    }
}

impl fmt::Debug for TestBrowser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.cookies.keys().map(|(host, name)| (host, name)).collect();
        f.debug_struct("TestBrowser").field("cookies", &names).finish_non_exhaustive()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("path", &self.path())
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
