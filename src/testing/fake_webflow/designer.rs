//! The Designer: a page that shows a Designer Extension in a frame and answers its calls.
//!
//! Source: Webflow Designer API, *Get Site Information* and *Get ID Token*.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName};
use http::{HeaderValue, StatusCode};
use maud::{DOCTYPE, PreEscaped, html};
use serde_json::json;
use url::Url;

use super::FakeWebflow;
use super::answer::{self, Answer, text, with_header};
use super::log::RecordedRequest;
use super::state::{FakeState, lock};
use super::workspaces::{Site, Workspace};

/// What a panel loads: the functions of the `webflow` object.
const SCRIPT: &str = include_str!("designer.js");
const PAGE_SCRIPT: &str = include_str!("designer_page.js");
const STYLE: &str = "body { margin: 0; font: 1rem system-ui } h1 { font-size: 1rem; margin: 1rem } \
     iframe { border: 0; width: 100%; height: 80vh }";

/// The Designer, for panels of Hybrid Apps.
impl FakeWebflow {
    /// Returns the URL of the Designer on a site: a page that shows the panel in a frame.
    ///
    /// The panel's page loads [`designer_script`](Self::designer_script) and then has
    /// `webflow.getIdToken()` and `webflow.getSiteInfo()`. The panel should be on another host than
    /// this server, as in production (browsers count `localhost` and `127.0.0.1` as two sites).
    ///
    /// ```
    /// # #[tokio::main] async fn main() {
    /// use tower_webflow_auth::testing::FakeWebflow;
    ///
    /// let webflow = FakeWebflow::start().await;
    /// let site = webflow.workspaces()[0].sites()[0].id();
    /// println!("open {}", webflow.designer_url(site, "http://localhost:1337/"));
    /// # }
    /// ```
    pub fn designer_url(&self, site_id: &str, panel_url: &str) -> Url {
        let mut url = self.fake.endpoints.authorize().clone();
        url.set_path("/designer");
        url.query_pairs_mut().append_pair("site", site_id).append_pair("panel", panel_url);
        url
    }

    /// Returns the URL of the script that provides the `webflow` object to a panel's page.
    pub fn designer_script(&self) -> Url {
        let mut url = self.fake.endpoints.authorize().clone();
        url.set_path("/designer.js");
        url
    }
}

/// Below `/designer`.
pub fn answer(fake: &FakeState, request: &RecordedRequest, asked: (&str, &[&str])) -> Answer {
    match asked {
        ("GET", []) => show(fake, request),
        ("POST", ["id-token"]) => issue_id_token(fake, request),
        _ => answer::not_found("The Designer has no such page"),
    }
}

/// `GET /designer?site=..&panel=..`.
fn show(fake: &FakeState, request: &RecordedRequest) -> Answer {
    let parameter = |name: &str| {
        request.query().iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    };
    let site = parameter("site").and_then(|id| site(fake, id));
    let panel = parameter("panel").and_then(|panel| Url::parse(panel).ok());
    let (Some((workspace, site)), Some(panel)) = (site, panel.filter(Url::has_host)) else {
        return text(StatusCode::BAD_REQUEST, "the Designer needs a site and the panel's address");
    };
    let info = json!({
        "siteId": site.id(),
        "siteName": site.display_name(),
        "shortName": super::workspaces::slug(site.display_name()),
        "workspaceId": workspace.id(),
        "workspaceSlug": super::workspaces::slug(workspace.name()),
        "isPasswordProtected": false,
        "isPrivateStaging": false,
        "domains": [],
    });
    let issue = format!("/designer/id-token?site={}", site.id());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (site.display_name()) " – fake Designer" }
                style { (PreEscaped(STYLE)) }
            }
            body data-site=(info) data-panel=(panel) data-issue=(issue) {
                h1 { "Fake Designer: " (site.display_name()) }
                iframe src=(panel) title="Designer Extension" {}
                script { (PreEscaped(PAGE_SCRIPT)) }
            }
        }
    };
    let answer = answer::respond(StatusCode::OK, "text/html; charset=utf-8", page.into_string());
    let policy = format!(
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
         connect-src 'self'; frame-src {}; base-uri 'none'; frame-ancestors 'none'",
        panel.origin().ascii_serialization()
    );
    let answer = with_header(answer, CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match HeaderValue::try_from(policy) {
        Ok(policy) => with_header(answer, CONTENT_SECURITY_POLICY, policy),
        Err(_) => answer,
    }
}

/// `GET /designer.js`.
pub fn script() -> Answer {
    let answer = answer::respond(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT);
    let everywhere = HeaderName::from_static("cross-origin-resource-policy");
    with_header(answer, everywhere, HeaderValue::from_static("cross-origin"))
}

/// `POST /designer/id-token?site=..`, which the Designer's own page sends.
fn issue_id_token(fake: &FakeState, request: &RecordedRequest) -> Answer {
    let known =
        request.query().iter().find(|(name, id)| name == "site" && site(fake, id).is_some());
    // No other page may have one issued.
    let own = request.header("sec-fetch-site").is_none_or(|site| site == "same-origin");
    match known.filter(|_| own) {
        Some((_, id)) => {
            let token = fake.ids.secret();
            lock(&fake.issued).add_id_token(token.clone(), id.clone(), fake.clock.now());
            text(StatusCode::OK, token)
        }
        None => text(StatusCode::BAD_REQUEST, "no such site, or another page"),
    }
}

fn site<'f>(fake: &'f FakeState, id: &str) -> Option<(&'f Workspace, &'f Site)> {
    let sites = fake.workspaces.iter().flat_map(|it| it.sites().iter().map(move |site| (it, site)));
    sites.into_iter().find(|(_, site)| site.id() == id)
}
