//! Panels of Hybrid Apps: the panel path, the bearer and CORS, against `FakeWebflow`. The cases are
//! those of the threat model's group B. Needs no server.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::wildcard_imports
)]

#[path = "../support/mod.rs"]
mod support;

mod bearer;
mod cors;
mod sign_in;

use std::time::SystemTime;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::routing::get;
use axum::{Json, Router};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_webflow_auth::testing::{Access, FakeWebflow};
use tower_webflow_auth::{
    Clock, Keyring, PanelSession, Scope, WebflowAuthLayer, WebflowGrants, WebflowToken,
    WebflowUser, config::WebflowAuthBuilder,
};

pub(crate) const ORIGIN: &str = "https://abc.webflow-ext.com";
const REDIRECT_URI: &str = "http://127.0.0.1:9/auth/webflow/callback";
pub(crate) const SCOPES: [Scope; 2] = [Scope::AUTHORIZED_USER_READ, Scope::SITES_READ];
pub(crate) const RESOLVE: &str = "/beta/token/resolve";

/// An application with a panel, called in process.
pub(crate) struct Panel {
    pub(crate) fake: FakeWebflow,
    pub(crate) clock: Clock,
    pub(crate) auth: WebflowAuthLayer,
    pub(crate) app: Router,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The last segment of the problem's type.
    pub(crate) fn kind(&self) -> &str {
        self.json["type"].as_str().unwrap_or_default().rsplit(':').next().unwrap()
    }
}

/// A browser's request with a session cookie or none, a bearer or none.
pub(crate) fn request(method: Method, path: &str, headers: &[(HeaderName, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, HeaderValue::from_str(value).unwrap());
    }
    request.body(Body::empty()).unwrap()
}

pub(crate) fn bearer(token: &str) -> (HeaderName, String) {
    (header::AUTHORIZATION, format!("Bearer {token}"))
}

impl Panel {
    pub(crate) async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(
        change: impl FnOnce(WebflowAuthBuilder) -> WebflowAuthBuilder,
    ) -> Self {
        support::log::install();
        let clock = Clock::manual(SystemTime::now());
        let fake = FakeWebflow::builder()
            .clock(clock.clone())
            .workspace("Acme", ["Shop", "Blog"])
            .redirect_uri(REDIRECT_URI)
            .start()
            .await
            .unwrap();
        let builder = fake
            .layer(REDIRECT_URI)
            .clock(clock.clone())
            .scopes(SCOPES)
            .keyring(Keyring::from_base64(support::KEY).unwrap())
            .panel_origin(ORIGIN);
        let auth = change(builder).build().unwrap();
        let app = router(&auth);
        Self { fake, clock, auth, app }
    }

    pub(crate) fn site(&self, index: usize) -> &str {
        self.fake.workspaces()[0].sites()[index].id()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Answer { status: parts.status, headers: parts.headers, json }
    }

    pub(crate) async fn post(&self, body: &Value) -> Answer {
        self.send(post(body)).await
    }

    /// Signs in the panel of a site, as the Designer Extension does.
    pub(crate) async fn sign_in(&self, site: &str) -> Answer {
        let id_token = self.fake.id_token(site);
        self.post(&json!({ "siteId": site, "idToken": id_token })).await
    }

    /// Connects the first site, and returns the bearer of its panel.
    pub(crate) async fn bearer(&self) -> String {
        self.connect().await;
        let answer = self.sign_in(self.site(0)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
        answer.json["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        let (name, value) = bearer(token);
        self.send(request(Method::GET, path, &[(name, &value)])).await
    }

    /// Connects the first two sites in a browser session, and returns its cookie.
    pub(crate) async fn connect(&self) -> String {
        let sites = vec![self.site(0).to_owned(), self.site(1).to_owned()];
        self.connect_to(Access::Sites(sites)).await
    }

    pub(crate) async fn connect_to(&self, access: Access) -> String {
        let challenge = self.send(navigation("/whoami", "")).await;
        let flow = cookie(&challenge);
        let callback = self.fake.approve_with(challenge.header("location").unwrap(), access);
        let callback = callback.unwrap();
        let path = format!("{}?{}", callback.path(), callback.query().unwrap());
        let arrived = self.send(navigation(&path, &flow)).await;
        assert_eq!(arrived.status, StatusCode::SEE_OTHER, "{}", arrived.json);
        let cookies = arrived.headers.get_all(header::SET_COOKIE).iter();
        let session = cookies.map(|it| it.to_str().unwrap()).find(|it| it.contains("-session="));
        session.unwrap().split(';').next().unwrap().to_owned()
    }
}

pub(crate) fn navigation(path: &str, cookie: &str) -> Request<Body> {
    let mode = HeaderName::from_static("sec-fetch-mode");
    request(Method::GET, path, &[(mode, "navigate"), (header::COOKIE, cookie)])
}

fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

pub(crate) fn post(body: &Value) -> Request<Body> {
    Request::post("/auth/webflow/panel")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ORIGIN, ORIGIN)
        .body(Body::from(body.to_string()))
        .unwrap()
}

fn router(auth: &WebflowAuthLayer) -> Router {
    Router::new()
        .route("/whoami", get(whoami).post(whoami).put(whoami))
        .route("/dead", get(|token: WebflowToken| async move { token.reauthorize() }))
        .route(
            "/own-cors",
            get(|_: WebflowToken| async {
                [("access-control-allow-origin", "*"), ("vary", "Accept")]
            }),
        )
        .layer(auth.clone())
        .route("/panel", get(panel).layer(auth.optional()))
        .route("/write", get(whoami).layer(auth.require_scopes([Scope::CMS_WRITE])))
}

async fn whoami(
    token: WebflowToken,
    user: Option<WebflowUser>,
    session: Option<PanelSession>,
    grants: WebflowGrants,
) -> Json<Value> {
    Json(json!({
        "subject": token.subject().as_str(),
        "user": user.map(|user| user.id),
        "by": token.user().map(|user| &user.id),
        "site": session.map(|session| session.site_id),
        "grants": grants.len(),
    }))
}

async fn panel(PanelSession { user, site_id }: PanelSession) -> Json<Value> {
    Json(json!({ "user": user, "siteId": site_id }))
}
