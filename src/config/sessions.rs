//! Settings of sessions and logins.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;

use super::WebflowAuthBuilder;
use crate::identity::SubjectSource;
use crate::identity::resolver::SubjectResolver;
use crate::identity::subject::Subject;

/// # Sessions and logins
impl WebflowAuthBuilder {
    /// Ties grants to your application's users instead of to a session cookie.
    ///
    /// The closure gets the request's head, including extensions set by outer middleware. `None`
    /// means that nobody is signed in to the application; the request is answered with 401.
    ///
    /// ```
    /// # use tower_webflow_auth::{Subject, WebflowAuthLayer, WebflowToken};
    /// #[derive(Clone)]
    /// struct User { id: u64 }
    ///
    /// let builder = WebflowAuthLayer::builder()
    ///     .subject(|parts| parts.extensions.get::<User>().map(|user| Subject::user(user.id)));
    /// ```
    pub fn subject(
        mut self,
        subject_of: impl Fn(&Parts) -> Option<Subject> + Send + Sync + 'static,
    ) -> Self {
        self.subjects = SubjectSource::Application(Arc::new(subject_of));
        self
    }

    /// Like [`subject`](Self::subject), for a lookup that is asynchronous or may fail.
    pub fn subject_resolver(mut self, resolver: impl SubjectResolver) -> Self {
        self.subjects = SubjectSource::Resolver(Arc::new(resolver));
        self
    }

    /// Sets the application's sign-in page, for browsers in which nobody is signed in. The default is
    /// none.
    ///
    /// It is a path of this origin and may have a query. A navigation to a protected route is then
    /// sent to it, with the route in `next`: `/login?next=%2Fdashboard`. Programs get a 401 whose
    /// `login_url` names the same address. After the sign-in, redirect to `next`; check that it is a
    /// path first, since anybody can make such a link.
    ///
    /// The login path then also works where nobody is signed in, as Webflow's Marketplace expects of
    /// an Install URL. Webflow's answer waits in the browser, encrypted, until a user has signed in
    /// there, for 15 minutes at most; nothing is stored before. Without it a browser in which nobody
    /// is signed in gets a 401.
    ///
    /// Needs [`subject`](Self::subject) or [`subject_resolver`](Self::subject_resolver).
    ///
    /// ```
    /// # use tower_webflow_auth::{Subject, WebflowAuthLayer};
    /// # #[derive(Clone)] struct User { id: u64 }
    /// let builder = WebflowAuthLayer::builder()
    ///     .subject(|parts| parts.extensions.get::<User>().map(|user| Subject::user(user.id)))
    ///     .sign_in_at("/login");
    /// ```
    pub fn sign_in_at(mut self, path: impl Into<String>) -> Self {
        self.sign_in_at = Some(path.into());
        self
    }

    /// Sets the path that starts a login, or disables it with `None`. The default is
    /// `/auth/webflow/login`. When disabled, the `login_url` in 401 responses is the page itself.
    pub fn login_path<'a>(mut self, path: impl Into<Option<&'a str>>) -> Self {
        self.login_path = path.into().map(str::to_owned);
        self
    }

    /// Sets the path that ends a session, or disables it with `None`. The default is
    /// `/auth/webflow/logout`.
    pub fn logout_path<'a>(mut self, path: impl Into<Option<&'a str>>) -> Self {
        self.logout_path = path.into().map(str::to_owned);
        self
    }

    /// Sets the time limit of a login flow. The default is 15 minutes, the lifetime of Webflow's
    /// codes.
    pub const fn flow_lifetime(mut self, lifetime: Duration) -> Self {
        self.flow_lifetime = lifetime;
        self
    }

    /// Sets how long a browser session lasts after its last use. The default is 30 days.
    ///
    /// Sessions are sliding: a page load renews the cookie if that extends the session by at least
    /// a day, up to [`session_max_lifetime`](Self::session_max_lifetime). Responses that shared
    /// caches may store do not renew it. Active users are therefore not sent to Webflow again,
    /// which Webflow's Marketplace review expects.
    pub const fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.session_lifetime = lifetime;
        self
    }

    /// Sets how long a browser session lasts at most, from its login. The default is 365 days.
    pub const fn session_max_lifetime(mut self, lifetime: Duration) -> Self {
        self.session_max_lifetime = lifetime;
        self
    }

    /// Sends the cookies in frames on other sites too, such as Webflow's Designer, with
    /// `SameSite=None; Partitioned`. The default is false. Requires https.
    ///
    /// Browsers partition such cookies by the embedding site, so a frame does not see a login from
    /// a pop-up or tab. Consent cannot be given inside a frame: open the login path in a separate
    /// window, and identify the frame's user with an ID token. The feature `panels` does both
    /// without cookies.
    ///
    /// # Security
    /// Requests caused by other sites then carry the session cookie. Every handler that changes
    /// something must check `Origin` or `Sec-Fetch-Site`. The crate's own paths do.
    pub const fn insecure_cookies_in_frames(mut self, in_frames: bool) -> Self {
        self.insecure_in_frames = in_frames;
        self
    }
}
