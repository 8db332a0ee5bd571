//! The session of a panel.

use std::sync::Arc;

use http::Extensions;

use super::sealed::Bearer;
use crate::grant::token::WebflowToken;
use crate::grant::user::WebflowUser;

/// The session of a panel: who uses it, and the site that is open in the Designer.
///
/// An extractor for routes that a Designer Extension calls with the bearer from
/// [`panel_path`](crate::WebflowAuthLayer::panel_path). A request without such a bearer, even one
/// with a session cookie, gets a 401 with `WWW-Authenticate: Bearer`; `Option<PanelSession>` is
/// `None`. On the same request, [`WebflowToken`] is the grant of that site.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use tower_webflow_auth::{PanelSession, WebflowAuthLayer};
///
/// async fn greet(PanelSession { user, site_id }: PanelSession) -> String {
///     format!("{} at {site_id}", user.first_name.unwrap_or_default())
/// }
///
/// fn app(auth: &WebflowAuthLayer) -> Router {
///     Router::new().route("/panel/greet", get(greet).layer(auth.optional()))
/// }
/// ```
///
/// # Security
/// The grant may allow more than this user may do at Webflow, since another user may have given it.
/// Check `user` before doing anything that not every user of the site may do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "handlers take it apart")]
pub struct PanelSession {
    /// The user of the panel, as Webflow resolved the ID token. `id` is never `None`.
    pub user: WebflowUser,
    /// The site's ID. Webflow has confirmed that the ID token was issued for this site. If Webflow
    /// named no site, the grant that resolved the token covers this one.
    pub site_id: String,
}

impl PanelSession {
    /// Returns the session of a request that a layer has admitted, for services without axum.
    ///
    /// ```
    /// use tower_webflow_auth::PanelSession;
    ///
    /// fn site<B>(request: &http::Request<B>) -> Option<&str> {
    ///     PanelSession::of(request.extensions()).map(|session| session.site_id.as_str())
    /// }
    /// ```
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        let bearer = extensions.get::<Arc<Bearer>>()?;
        // An inner layer of another app may have replaced the token.
        let token = extensions.get::<WebflowToken>()?;
        bearer.was_issued_for(token).then_some(&bearer.session)
    }
}
