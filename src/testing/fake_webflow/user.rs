//! Acts as the user, without a browser.

use url::Url;

use super::FakeWebflow;
use super::authorize;
use super::authorize::{AuthorizationRequest, Decision, Refused};
use super::issued::Approval;
use super::log;
use super::state::lock;
use super::workspaces::Access;
use crate::grant::scope::Scope;

/// The user, in process: these calls are neither logged nor subject to faults.
impl FakeWebflow {
    /// Returns the install link of Webflow's dashboard and Marketplace: all of the app's scopes, no
    /// `state`, and the first `redirect_uri` only if several are registered.
    pub fn install_url(&self) -> Url {
        let mut url = self.fake.endpoints.authorize().clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", self.client_id())
            .append_pair("scope", &self.fake.app.scopes.to_string());
        if let [first, _, ..] = self.fake.settings().redirect_uris.as_slice() {
            url.query_pairs_mut().append_pair("redirect_uri", first);
        }
        url
    }

    /// Opens an authorize link, selects the first workspace and clicks Authorize.
    ///
    /// Returns the URL that the browser is redirected to.
    ///
    /// # Errors
    /// [`Refused`] if the link is not this server's or breaks a rule; a browser would get the 400
    /// page.
    pub fn approve(&self, authorize_url: impl AsRef<str>) -> Result<Url, Refused> {
        let first = self.fake.first_workspace();
        let access = first.ok_or_else(|| Refused::new("The user has no workspace."))?;
        self.approve_with(authorize_url, access)
    }

    /// Like [`approve`](Self::approve), with this selection.
    ///
    /// # Errors
    /// As for `approve`, and if the workspace or a site does not exist, no site is selected, or the
    /// sites are in different workspaces.
    pub fn approve_with(
        &self,
        authorize_url: impl AsRef<str>,
        access: Access,
    ) -> Result<Url, Refused> {
        self.decide(authorize_url.as_ref(), Decision::Authorize(access))
    }

    /// Opens an authorize link and clicks Cancel. Returns the URL that the browser is redirected
    /// to.
    ///
    /// # Errors
    /// As for [`approve`](Self::approve).
    pub fn deny(&self, authorize_url: impl AsRef<str>) -> Result<Url, Refused> {
        self.decide(authorize_url.as_ref(), Decision::Cancel)
    }

    fn decide(&self, authorize_url: &str, decision: Decision) -> Result<Url, Refused> {
        let request = self.open(authorize_url)?;
        let location = authorize::decide(&self.fake, &request, decision)?;
        Url::parse(&location)
            .map_err(|_| Refused::new("The registered redirect_uri is not an absolute address."))
    }

    fn open(&self, authorize_url: &str) -> Result<AuthorizationRequest, Refused> {
        let elsewhere = || Refused::new("The link does not lead to this server's consent page.");
        let mut url = Url::parse(authorize_url).map_err(|_| elsewhere())?;
        let params = log::pairs(url.query().unwrap_or_default().as_bytes());
        url.set_query(None);
        if url != *self.fake.endpoints.authorize() {
            return Err(elsewhere());
        }
        authorize::read(&self.fake, &params)
    }

    /// Issues a token with these scopes for the first workspace, without a flow.
    pub fn issue_token(&self, scopes: impl IntoIterator<Item = Scope>) -> String {
        let nothing = Access::Sites(Vec::new());
        self.fake.issue_token(Approval {
            scopes: scopes.into_iter().collect(),
            access: self.fake.first_workspace().unwrap_or(nothing),
        })
    }

    /// Returns an ID token as `webflow.getIdToken()` gives it to a Designer Extension on this site.
    /// `/beta/token/resolve` accepts it for 15 minutes.
    pub fn id_token(&self, site_id: impl Into<String>) -> String {
        let token = self.fake.ids.secret();
        let now = self.fake.clock.now();
        lock(&self.fake.issued).add_id_token(token.clone(), site_id.into(), now);
        token
    }
}
