//! The user played by the test itself, without a browser.

use url::Url;

use super::FakeWebflow;
use super::authorize;
use super::authorize::{AuthorizationRequest, Decision, Refused};
use super::directory::Access;
use super::ledger::Approval;
use super::log;
use super::world::lock;
use crate::grant::scope::Scope;

/// The user, in-process: nothing of this is logged or meets a fault.
impl FakeWebflow {
    /// The link that Webflow's dashboard and Marketplace have for the app: all its scopes, no
    /// `state`, and no `redirect_uri` unless several are registered (then the first).
    pub fn install_url(&self) -> Url {
        let mut url = self.world.endpoints.authorize().clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", self.client_id())
            .append_pair("scope", &self.world.app.scopes.to_string());
        if let [first, _, ..] = self.world.settings().redirect_uris.as_slice() {
            url.query_pairs_mut().append_pair("redirect_uri", first);
        }
        url
    }

    /// Opens an authorize link, picks the first workspace and presses Authorize.
    ///
    /// Answers the address that the browser is sent to.
    ///
    /// # Errors
    /// [`Refused`] when the link is not this server's or breaks a rule; a browser would be shown
    /// the 400 page.
    pub fn approve(&self, authorize_url: impl AsRef<str>) -> Result<Url, Refused> {
        let first = self.world.first_workspace();
        let access = first.ok_or_else(|| Refused::new("The user has no workspace."))?;
        self.approve_with(authorize_url, access)
    }

    /// Like [`approve`](Self::approve), with the user's pick.
    ///
    /// # Errors
    /// As for `approve`, and when there is no such workspace or site, no site is chosen, or the
    /// sites are of several workspaces.
    pub fn approve_with(
        &self,
        authorize_url: impl AsRef<str>,
        access: Access,
    ) -> Result<Url, Refused> {
        self.decide(authorize_url.as_ref(), Decision::Authorize(access))
    }

    /// Opens an authorize link and presses Cancel; answers where the browser is sent to.
    ///
    /// # Errors
    /// As for [`approve`](Self::approve).
    pub fn deny(&self, authorize_url: impl AsRef<str>) -> Result<Url, Refused> {
        self.decide(authorize_url.as_ref(), Decision::Cancel)
    }

    fn decide(&self, authorize_url: &str, decision: Decision) -> Result<Url, Refused> {
        let request = self.open(authorize_url)?;
        let location = authorize::decide(&self.world, &request, decision)?;
        Url::parse(&location)
            .map_err(|_| Refused::new("The registered redirect_uri is not an absolute address."))
    }

    fn open(&self, authorize_url: &str) -> Result<AuthorizationRequest, Refused> {
        let elsewhere = || Refused::new("The link does not lead to this server's consent page.");
        let mut url = Url::parse(authorize_url).map_err(|_| elsewhere())?;
        let params = log::pairs(url.query().unwrap_or_default().as_bytes());
        url.set_query(None);
        if url != *self.world.endpoints.authorize() {
            return Err(elsewhere());
        }
        authorize::read(&self.world, &params)
    }

    /// Issues a token without a flow: these scopes, on the first workspace.
    pub fn issue_token(&self, scopes: impl IntoIterator<Item = Scope>) -> String {
        let nothing = Access::Sites(Vec::new());
        self.world.issue_token(Approval {
            scopes: scopes.into_iter().collect(),
            access: self.world.first_workspace().unwrap_or(nothing),
        })
    }

    /// An ID token as a Designer Extension on this site gets it from `webflow.getIdToken()`;
    /// `/beta/token/resolve` takes it for 15 minutes.
    pub fn id_token(&self, site_id: impl Into<String>) -> String {
        let token = self.world.mint.secret();
        let now = self.world.clock.now();
        lock(&self.world.ledger).add_id_token(token.clone(), site_id.into(), now);
        token
    }
}
