//! Webflow's own SDKs, pinned, against `FakeWebflow`.
//!
//! What they send is the best evidence of what Webflow accepts. The tests hold the fake to it and,
//! through [`Trip`], any other client. Ignored by default. Once, in `tests/official_sdks`:
//!
//! ```text
//! npm ci --ignore-scripts
//! python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
//! ```
//!
//! and then `cargo test --test fake sdks -- --ignored`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tokio::process::Command;
use tower::{Layer, ServiceExt};
use tower_webflow_auth::testing::{ErrorShape, FakeWebflow, RecordedRequest};
use tower_webflow_auth::{Clock, Endpoints, Keyring, Scope, WebflowAuthLayer};
use url::Url;

const REDIRECT_URI: &str = "http://127.0.0.1:9/auth/webflow/callback";
const STATE: &str = "a state/with+odd &signs";
const SCOPES: &str = "authorized_user:read cms:read cms:write sites:read";

/// The scopes that the step `use` needs.
const ALL_SCOPES: [Scope; 10] = [
    Scope::ASSETS_READ,
    Scope::ASSETS_WRITE,
    Scope::CMS_READ,
    Scope::CMS_WRITE,
    Scope::FORMS_READ,
    Scope::FORMS_WRITE,
    Scope::PAGES_READ,
    Scope::PAGES_WRITE,
    Scope::SITES_READ,
    Scope::SITES_WRITE,
];

const STARTED_AT: u64 = 1_800_000_000;

/// What a client sends in one flow, in a comparable form: without hosts, encoding and order of
/// parameters.
#[derive(Debug, PartialEq)]
struct Trip {
    authorize: BTreeMap<String, String>,
    exchange_content_type: String,
    exchange: Value,
}

impl Trip {
    /// What a client sent: the link to which it redirected the browser, and the exchange as the
    /// fake recorded it.
    fn recorded(authorize_url: &Url, exchange: &RecordedRequest) -> Self {
        let pairs: Vec<_> = authorize_url.query_pairs().into_owned().collect();
        let authorize: BTreeMap<_, _> = pairs.iter().cloned().collect();
        assert_eq!(authorize.len(), pairs.len(), "a parameter is there twice");
        assert_eq!(exchange.method(), "POST");
        Self {
            authorize,
            exchange_content_type: exchange.header("content-type").unwrap().to_owned(),
            exchange: exchange.json().unwrap(),
        }
    }

    /// What every client of the fake's app must send.
    fn expected(webflow: &FakeWebflow, state: &str, code: &str) -> Self {
        let authorize = [
            ("response_type", "code"),
            ("client_id", webflow.client_id()),
            ("redirect_uri", REDIRECT_URI),
            ("state", state),
            ("scope", SCOPES),
        ];
        Self {
            authorize: authorize.map(|(n, v)| (n.into(), v.into())).into(),
            exchange_content_type: "application/json".into(),
            exchange: json!({
                "client_id": webflow.client_id(),
                "client_secret": webflow.client_secret(),
                "code": code,
                "grant_type": "authorization_code",
                "redirect_uri": REDIRECT_URI,
            }),
        }
    }
}

async fn stage() -> FakeWebflow {
    FakeWebflow::builder()
        .redirect_uri(REDIRECT_URI)
        .scopes(Scope::DOCUMENTED.iter().cloned())
        .clock(Clock::manual(UNIX_EPOCH + Duration::from_secs(STARTED_AT)))
        .start()
        .await
        .unwrap()
}

/// One of the official SDKs: the program that runs its script, and the script.
struct Sdk {
    program: &'static str,
    script: &'static str,
}

const JAVASCRIPT: Sdk = Sdk { program: "node", script: "check.mjs" };

const PYTHON: Sdk = Sdk { program: ".venv/bin/python", script: "check.py" };

impl Sdk {
    async fn run(&self, webflow: &FakeWebflow, step: &str, env: &[(&str, &str)]) -> Value {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/official_sdks");
        // A bare name is looked up in `PATH`, unlike a joined path.
        let program = if self.program.contains('/') {
            folder.join(self.program)
        } else {
            self.program.into()
        };
        let output = Command::new(program)
            .arg(self.script)
            .arg(step)
            .current_dir(folder)
            .env("WEBFLOW_BASE_URL", webflow.base_url())
            .env("WEBFLOW_CLIENT_ID", webflow.client_id())
            .env("WEBFLOW_CLIENT_SECRET", webflow.client_secret())
            .env("WEBFLOW_REDIRECT_URI", REDIRECT_URI)
            .env("WEBFLOW_STATE", STATE)
            .env("WEBFLOW_SCOPES", SCOPES)
            .env("NO_PROXY", "*")
            .envs(env.iter().copied())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap_or_else(|error| {
                panic!("{} cannot be run, see this file's head: {error}", self.program)
            });
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {step} failed: {errors}", self.script);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn exchange(&self, webflow: &FakeWebflow, code: &str) -> Value {
        let answer = self.run(webflow, "exchange", &[("WEBFLOW_CODE", code)]).await;
        assert_eq!(answer["asked"], Endpoints::webflow().token().as_str());
        answer
    }
}

async fn the_sdk_gets_a_token(sdk: Sdk) {
    let webflow = stage().await;
    let link = sdk.run(&webflow, "authorize", &[]).await;
    let mut link = Url::parse(link.as_str().unwrap()).unwrap();
    let query = link.query().unwrap().to_owned();
    link.set_query(None);
    assert_eq!(link, *Endpoints::webflow().authorize());

    // The SDK only knows Webflow's host, so its query is sent to the fake unchanged.
    let mut link = webflow.endpoints().authorize().clone();
    link.set_query(Some(&query));
    let callback = webflow.approve(&link).unwrap();
    let params: BTreeMap<_, _> = callback.query_pairs().into_owned().collect();
    assert_eq!(params["state"], STATE);
    let code = &params["code"];

    let answer = sdk.exchange(&webflow, code).await;
    let token = webflow.latest_token().unwrap();
    assert_eq!(answer["token"], token);
    let exchanges = webflow.requests_to("/oauth/access_token");
    assert_eq!(exchanges.len(), 1);
    assert_eq!(Trip::recorded(&link, &exchanges[0]), Trip::expected(&webflow, STATE, code));

    let read = sdk.run(&webflow, "read", &[("WEBFLOW_TOKEN", &token)]).await;
    let expected = json!({
        "scope": SCOPES.replace(' ', ","),
        "created": STARTED_AT,
        "email": "ada@example.com",
        "sites": ["Shop", "Blog"],
        "collection": "Blog Posts",
        "listed": [true],
        "total": 1,
    });
    assert_eq!(read, expected);
}

async fn the_sdk_gets_along_with_the_data_api(sdk: Sdk) {
    let webflow = stage().await;
    webflow.set_rate_limit(1000);
    let site = webflow.workspaces()[0].sites()[0].id();
    webflow.submit_form(site, &json!({"Name": "Ada"})).unwrap();
    let token = webflow.issue_token(ALL_SCOPES);
    let used = sdk.run(&webflow, "use", &[("WEBFLOW_TOKEN", &token)]).await;
    let expected = json!({
        "site": "shop",
        "domains": 0,
        "fields": ["name", "slug"],
        "drafts": [true, false, true],
        "locales": 1,
        "published": 1,
        "staged": ["Tart", "Stew"],
        "found": ["Stew"],
        "live": [2, "Tart"],
        "page": [2, "Us", 0],
        "form": ["Contact Form", "Ada"],
        "asset": [201, 5, "A picture", 1],
        "folder": [1, "Icons"],
        "webhook": [1, "site_publish"],
        "publication": true,
    });
    assert_eq!(used, expected);
}

async fn the_sdk_reports_a_refusal(sdk: Sdk) {
    let webflow = stage().await;
    let refused = sdk.exchange(&webflow, "no-such-code").await;
    assert_eq!(refused["error"]["status"], 400);
    assert_eq!(refused["error"]["body"]["error"], "invalid_grant");
    webflow.set_error_shape(ErrorShape::PlainText);
    let refused = sdk.exchange(&webflow, "no-such-code").await;
    assert_eq!(refused["error"]["status"], 400);
    assert_eq!(webflow.issued_tokens(), 0);
}

#[tokio::test]
#[ignore = "needs node and `npm ci` in tests/official_sdks; run by scripts/test"]
async fn javascript_sdk_gets_a_token_and_reads_with_it() {
    the_sdk_gets_a_token(JAVASCRIPT).await;
}

#[tokio::test]
#[ignore = "needs node and `npm ci` in tests/official_sdks; run by scripts/test"]
async fn javascript_sdk_reports_a_refused_exchange() {
    the_sdk_reports_a_refusal(JAVASCRIPT).await;
}

#[tokio::test]
#[ignore = "needs node and `npm ci` in tests/official_sdks; run by scripts/test"]
async fn javascript_sdk_gets_along_with_the_data_api() {
    the_sdk_gets_along_with_the_data_api(JAVASCRIPT).await;
}

#[tokio::test]
#[ignore = "needs a virtual environment in tests/official_sdks; run by scripts/test"]
async fn python_sdk_gets_along_with_the_data_api() {
    the_sdk_gets_along_with_the_data_api(PYTHON).await;
}

#[tokio::test]
#[ignore = "needs a virtual environment in tests/official_sdks; run by scripts/test"]
async fn python_sdk_gets_a_token_and_reads_with_it() {
    the_sdk_gets_a_token(PYTHON).await;
}

#[tokio::test]
#[ignore = "needs a virtual environment in tests/official_sdks; run by scripts/test"]
async fn python_sdk_reports_a_refused_exchange() {
    the_sdk_reports_a_refusal(PYTHON).await;
}

#[tokio::test]
async fn layer_sends_what_the_sdks_send() {
    let webflow = stage().await;
    let auth = WebflowAuthLayer::builder()
        .client_id(webflow.client_id())
        .client_secret(webflow.client_secret())
        .redirect_uri(REDIRECT_URI)
        .scopes(SCOPES.split(' ').map(|scope| Scope::new(scope).unwrap()))
        .keyring(Keyring::generate())
        .endpoints(webflow.endpoints())
        .build()
        .unwrap();
    let service = auth.layer(axum::Router::new());
    let ask = |uri: &str, cookie: &str| {
        let request = Request::builder().uri(uri).header("accept", "text/html");
        let request = request.header("cookie", cookie).body(Body::empty()).unwrap();
        service.clone().oneshot(request)
    };
    let challenge = ask("/", "").await.unwrap();
    let link = Url::parse(challenge.headers()["location"].to_str().unwrap()).unwrap();
    let cookie = challenge.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let callback = webflow.approve(&link).unwrap();
    let path = format!("{}?{}", callback.path(), callback.query().unwrap());
    let back = ask(&path, cookie).await.unwrap();
    assert_eq!(back.status(), 303);
    let params: BTreeMap<_, _> = callback.query_pairs().into_owned().collect();
    let [exchange] = webflow.requests_to("/oauth/access_token").try_into().unwrap();
    assert_eq!(
        Trip::recorded(&link, &exchange),
        Trip::expected(&webflow, &params["state"], &params["code"])
    );
}
