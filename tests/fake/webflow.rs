//! `FakeWebflow` over HTTP: the rules it enforces, and the faults it can simulate.

use std::io::ErrorKind;
use std::time::{Duration, UNIX_EPOCH};

use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower_webflow_auth::testing::{Access, Endpoint, ErrorShape, FakeWebflow, Fault, ScopeShape};
use tower_webflow_auth::{Clock, Scope};
use url::Url;

const CALLBACK: &str = "http://127.0.0.1:9/callback?tenant=1";

struct Stage {
    webflow: FakeWebflow,
    http: Client,
}

impl Stage {
    async fn new() -> Self {
        let clock = Clock::manual(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let webflow =
            FakeWebflow::builder().redirect_uri(CALLBACK).clock(clock).start().await.unwrap();
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { webflow, http }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.webflow.base_url())
    }

    fn authorize_url(&self, scope: &str) -> Url {
        let mut url = self.webflow.endpoints().authorize().clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", self.webflow.client_id())
            .append_pair("redirect_uri", CALLBACK)
            .append_pair("state", "st&te")
            .append_pair("scope", scope);
        url
    }

    fn code(&self) -> String {
        let callback = self.webflow.approve(self.authorize_url("sites:read cms:read"));
        param(&callback.unwrap(), "code").unwrap()
    }

    fn exchange_body(&self, code: &str) -> Value {
        json!({
            "client_id": self.webflow.client_id(),
            "client_secret": self.webflow.client_secret(),
            "code": code,
            "grant_type": "authorization_code",
            "redirect_uri": CALLBACK,
        })
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        let request = self.http.post(self.url(path)).json(body);
        request.send().await.unwrap()
    }

    async fn exchange(&self, body: &Value) -> Response {
        self.post("/oauth/access_token", body).await
    }

    async fn revoke(&self, token: &str) -> Response {
        let body = json!({
            "client_id": self.webflow.client_id(),
            "client_secret": self.webflow.client_secret(),
            "access_token": token,
        });
        self.post("/oauth/revoke_authorization", &body).await
    }

    async fn get(&self, path: &str, token: &str) -> Response {
        let request = self.http.get(self.url(path)).bearer_auth(token);
        request.send().await.unwrap()
    }
}

fn param(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    let code = body.get("error").or(body.get("code")).unwrap();
    (status, code.as_str().unwrap().to_owned())
}

/// The form's hidden fields, as a browser would send them back.
fn hidden_fields(page: &str) -> Vec<(String, String)> {
    page.split("<input type=\"hidden\" name=\"")
        .skip(1)
        .map(|rest| {
            let (name, rest) = rest.split_once("\" value=\"").unwrap();
            let (value, _) = rest.split_once('"').unwrap();
            (name.to_owned(), value.replace("&amp;", "&"))
        })
        .collect()
}

#[tokio::test]
async fn authorize_redirects_with_a_code_that_gets_a_token() {
    let stage = Stage::new().await;
    let url = stage.authorize_url("sites:read authorized_user:read");
    let page = stage.http.get(url).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let page = page.text().await.unwrap();
    assert!(page.contains("See your sites") && page.contains("All sites of Globex"));

    let shop = stage.webflow.workspaces()[0].sites()[0].id().to_owned();
    let mut form = hidden_fields(&page);
    assert_eq!(form.len(), 5);
    for (name, value) in [("access", "sites"), ("site", &shop), ("decision", "authorize")] {
        form.push((name.to_owned(), value.to_owned()));
    }
    let sent = stage.http.post(stage.url("/oauth/authorize")).form(&form);
    let back = sent.send().await.unwrap();
    assert_eq!(back.status(), StatusCode::SEE_OTHER);
    let location = Url::parse(back.headers()["location"].to_str().unwrap()).unwrap();
    assert_eq!(param(&location, "tenant").unwrap(), "1");
    assert_eq!(param(&location, "state").unwrap(), "st&te");

    let code = param(&location, "code").unwrap();
    let answer = stage.exchange(&stage.exchange_body(&code)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["token_type"], "bearer");
    assert_eq!(answer["scope"], "sites:read authorized_user:read");

    let token = answer["access_token"].as_str().unwrap();
    let sites: Value = stage.get("/v2/sites", token).await.json().await.unwrap();
    assert_eq!(sites["sites"].as_array().unwrap().len(), 1);
    assert_eq!(sites["sites"][0]["id"], shop);
    let who = stage.get("/v2/token/authorized_by", token).await;
    assert_eq!(who.json::<Value>().await.unwrap()["firstName"], "Ada");
}

#[tokio::test]
async fn consent_page_allows_its_style_and_no_script() {
    let stage = Stage::new().await;
    let page = stage.http.get(stage.authorize_url("sites:read"));
    let page = page.send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
    assert!(!policy.contains("form-action"));
    assert_eq!(page.headers()["cache-control"], "no-store");
    assert!(!page.text().await.unwrap().contains("<script"));
}

#[tokio::test]
async fn cancel_redirects_with_access_denied() {
    let stage = Stage::new().await;
    let denied = stage.webflow.deny(stage.authorize_url("sites:read")).unwrap();
    assert_eq!(param(&denied, "error").unwrap(), "access_denied");
    assert_eq!(param(&denied, "state").unwrap(), "st&te");
    assert_eq!(param(&denied, "code"), None);
}

#[tokio::test]
async fn bad_authorize_link_is_a_400_page_without_redirect() {
    let stage = Stage::new().await;
    let good = stage.authorize_url("sites:read").to_string();
    for bad in [
        good.replace("client_id=", "client_id=x"),
        good.replace("callback", "callback%2F"),
        good.replace("code&", "token&"),
        good.replace("sites%3Aread", "nonsense"),
        format!("{good}&state=second"),
    ] {
        let page = stage.http.get(&bad).send().await.unwrap();
        assert_eq!(page.status(), StatusCode::BAD_REQUEST, "{bad}");
        assert!(page.headers().get("location").is_none());
        let refused = stage.webflow.approve(&bad).unwrap_err();
        assert!(page.text().await.unwrap().contains(refused.reason()));
    }
}

#[tokio::test]
async fn forged_consent_form_is_validated_like_the_link() {
    let stage = Stage::new().await;
    let send = async |query: &str, choices: &str| {
        let body = format!("{query}&{choices}");
        let post = stage.http.post(stage.url("/oauth/authorize")).body(body);
        post.send().await.unwrap().status()
    };
    let good = stage.authorize_url("sites:read");
    let good = good.query().unwrap();
    let workspace = stage.webflow.workspaces()[0].id();
    let all = format!("decision=authorize&access=workspace:{workspace}");
    assert_eq!(send(good, &all).await, StatusCode::SEE_OTHER);
    let evil = good.replace("callback", "evil");
    assert_eq!(send(&evil, &all).await, StatusCode::BAD_REQUEST);
    for choices in [
        "",
        "decision=authorize",
        "decision=authorize&access=sites",
        "decision=authorize&access=workspace:x",
        "decision=authorize&access=sites&site=x",
    ] {
        assert_eq!(send(good, choices).await, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn rejected_consent_form_keeps_its_input() {
    let stage = Stage::new().await;
    let url = stage.authorize_url("sites:read");
    let workspaces = stage.webflow.workspaces();
    let sites = [&workspaces[0], &workspaces[1]].map(|workspace| workspace.sites()[0].id());
    let form = format!(
        "{}&decision=authorize&access=sites&site={}&site={}",
        url.query().unwrap(),
        sites[0],
        sites[1],
    );
    let post = stage.http.post(stage.url("/oauth/authorize")).body(form);
    let page = post.send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Choose sites of one workspace only."));
    let checked: Vec<_> =
        page.split("<input ").filter(|input| input.contains(" checked>")).collect();
    assert_eq!(checked.len(), 3);
    assert!(checked[0].contains("value=\"sites\""));
    assert!(checked[1].contains(sites[0]) && checked[2].contains(sites[1]));
}

#[tokio::test]
async fn install_link_redirects_without_state() {
    let stage = Stage::new().await;
    let callback = stage.webflow.approve(stage.webflow.install_url()).unwrap();
    assert_eq!(param(&callback, "state"), None);
    // Such a link has no redirect_uri either, so the exchange may omit it.
    let mut body = stage.exchange_body(&param(&callback, "code").unwrap());
    body.as_object_mut().unwrap().remove("redirect_uri");
    assert_eq!(stage.exchange(&body).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn code_works_once_for_15_minutes() {
    let stage = Stage::new().await;
    let body = stage.exchange_body(&stage.code());
    assert_eq!(stage.exchange(&body).await.status(), StatusCode::OK);
    let again = refusal(stage.exchange(&body).await).await;
    assert_eq!(again, (400, "invalid_grant".into()));

    let body = stage.exchange_body(&stage.code());
    stage.webflow.clock().advance(Duration::from_secs(15 * 60));
    let late = refusal(stage.exchange(&body).await).await;
    assert_eq!(late, (400, "invalid_grant".into()));
    assert_eq!(stage.webflow.issued_tokens(), 1);
}

#[tokio::test]
async fn each_wrong_exchange_field_has_its_error() {
    let stage = Stage::new().await;
    let code = stage.code();
    for (field, value, status, error) in [
        ("client_id", json!("x"), 401, "invalid_client"),
        ("client_secret", json!("x"), 401, "invalid_client"),
        ("client_secret", json!(null), 400, "invalid_request"),
        ("code", json!("x"), 400, "invalid_grant"),
        ("code", json!(""), 400, "invalid_request"),
        ("code", json!(7), 400, "invalid_request"),
        ("redirect_uri", json!("http://x"), 400, "invalid_grant"),
        ("redirect_uri", json!(null), 400, "invalid_grant"),
        ("grant_type", json!("password"), 400, "unsupported_grant_type"),
    ] {
        let mut body = stage.exchange_body(&code);
        body[field] = value;
        let refused = refusal(stage.exchange(&body).await).await;
        assert_eq!(refused, (status, error.to_owned()), "{field}");
    }
    let form = stage.http.post(stage.url("/oauth/access_token"));
    let form = form.form(&stage.exchange_body(&code)).send().await.unwrap();
    assert_eq!(form.status(), StatusCode::OK, "w11: an older page documents a form");
    let code = stage.code();
    let text = stage.http.post(stage.url("/oauth/access_token"));
    let text = text.body(stage.exchange_body(&code).to_string()).send().await.unwrap();
    assert_eq!(refusal(text).await, (400, "invalid_request".into()));

    let mut body = stage.exchange_body(&code);
    body.as_object_mut().unwrap().remove("grant_type");
    assert_eq!(stage.exchange(&body).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn undocumented_response_shapes_can_be_chosen() {
    let stage = Stage::new().await;
    stage.webflow.set_scope_shape(ScopeShape::List);
    let answer = stage.exchange(&stage.exchange_body(&stage.code())).await;
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["scope"], json!(["sites:read", "cms:read"]));

    let wrong = stage.exchange_body("x");
    stage.webflow.set_error_shape(ErrorShape::Api);
    let api: Value = stage.exchange(&wrong).await.json().await.unwrap();
    assert_eq!(api["code"], "invalid_grant");
    stage.webflow.set_error_shape(ErrorShape::PlainText);
    let text = stage.exchange(&wrong).await;
    assert_eq!(text.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(text.text().await.unwrap().starts_with("invalid_grant"));
}

#[tokio::test]
async fn revoked_token_is_rejected_and_cannot_be_revoked_again() {
    let stage = Stage::new().await;
    let token = stage.webflow.issue_token([Scope::SITES_READ]);
    assert_eq!(stage.get("/v2/sites", &token).await.status(), StatusCode::OK);
    let revoked = stage.revoke(&token).await;
    assert_eq!(revoked.json::<Value>().await.unwrap(), json!({"did_revoke": true}));

    let dead = refusal(stage.get("/v2/sites", &token).await).await;
    assert_eq!(dead, (401, "not_authorized".into()));
    let again = refusal(stage.revoke(&token).await).await;
    assert_eq!(again, (400, "invalid_token".into()));
    assert_eq!(stage.webflow.live_tokens(), 0);

    let stranger = json!({"client_id": "x", "client_secret": "x", "access_token": token});
    let stranger = stage.post("/oauth/revoke_authorization", &stranger).await;
    assert_eq!(refusal(stranger).await, (401, "invalid_client".into()));
    let empty = stage.post("/oauth/revoke_authorization", &json!({})).await;
    assert_eq!(refusal(empty).await, (400, "invalid_request".into()));
}

#[tokio::test]
async fn uninstall_ends_every_token_and_code() {
    let stage = Stage::new().await;
    let (token, code) = (stage.webflow.issue_token([]), stage.code());
    stage.webflow.revoke_everything();
    let dead = stage.get("/v2/token/introspect", &token).await;
    assert_eq!(dead.status(), StatusCode::UNAUTHORIZED);
    let late = refusal(stage.exchange(&stage.exchange_body(&code)).await).await;
    assert_eq!(late, (400, "invalid_grant".into()));
}

#[tokio::test]
async fn introspection_returns_scopes_and_access() {
    let stage = Stage::new().await;
    let workspace = &stage.webflow.workspaces()[1];
    let access = Access::Workspace(workspace.id().to_owned());
    let url = stage.authorize_url("sites:read cms:read");
    let callback = stage.webflow.approve_with(url, access).unwrap();
    let body = stage.exchange_body(&param(&callback, "code").unwrap());
    stage.exchange(&body).await;

    let token = stage.webflow.latest_token().unwrap();
    let info = stage.get("/v2/token/introspect", &token).await;
    let info: Value = info.json().await.unwrap();
    let authorization = &info["authorization"];
    assert_eq!(authorization["scope"], "sites:read,cms:read");
    assert_eq!(authorization["rateLimit"], 60);
    assert_eq!(authorization["createdOn"], "2027-01-15T08:00:00Z");
    let to = &authorization["authorizedTo"];
    assert_eq!(to["workspaceIds"], json!([workspace.id()]));
    assert_eq!(to["siteIds"], json!([]));
}

#[tokio::test]
async fn data_api_endpoints_require_their_scopes() {
    let stage = Stage::new().await;
    let token = stage.webflow.issue_token([Scope::WORKSPACE_READ]);
    let site = stage.webflow.workspaces()[0].sites()[0].id();
    for (path, scope) in [
        ("/v2/sites", "sites:read"),
        ("/v2/token/authorized_by", "authorized_user:read"),
        (&format!("/v2/sites/{site}/collections"), "cms:read"),
    ] {
        let refused = stage.get(path, &token).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        let body: Value = refused.json().await.unwrap();
        assert_eq!(body["code"], "missing_scopes");
        assert!(body["message"].as_str().unwrap().ends_with(scope));
    }
    let nobody = stage.http.get(stage.url("/v2/sites")).send().await.unwrap();
    assert_eq!(refusal(nobody).await, (401, "not_authorized".into()));
    let nowhere = refusal(stage.get("/v2/nowhere", &token).await).await;
    assert_eq!(nowhere, (501, "not_implemented".into()));
}

#[tokio::test]
async fn items_are_created_and_listed_in_pages() {
    let stage = Stage::new().await;
    let token = stage.webflow.issue_token([Scope::CMS_READ, Scope::CMS_WRITE]);
    let site = stage.webflow.workspaces()[0].sites()[0].id();
    let path = format!("/v2/sites/{site}/collections?offset=1&limit=1");
    let page: Value = stage.get(&path, &token).await.json().await.unwrap();
    assert_eq!(page["pagination"], json!({"limit": 1, "offset": 1, "total": 3}));
    let collection = page["collections"][0]["id"].as_str().unwrap();

    let items = format!("/v2/collections/{collection}/items");
    let write = async |body: Value| {
        let post = stage.http.post(stage.url(&items)).bearer_auth(&token);
        post.json(&body).send().await.unwrap()
    };
    let written = write(json!({"fieldData": {"name": "Ada Lovelace"}})).await;
    assert_eq!(written.status(), StatusCode::ACCEPTED);
    let written: Value = written.json().await.unwrap();
    assert_eq!(written["fieldData"]["slug"], "ada-lovelace");
    let bad = refusal(write(json!({})).await).await;
    assert_eq!(bad, (400, "validation_error".into()));

    let list: Value = stage.get(&items, &token).await.json().await.unwrap();
    assert_eq!(list["items"], json!([written]));
    let greedy = stage.get(&format!("{items}?limit=101"), &token).await;
    assert_eq!(refusal(greedy).await, (400, "validation_error".into()));

    let other = stage.webflow.workspaces()[1].sites()[0].id();
    let other = stage.get(&format!("/v2/sites/{other}/collections"), &token).await;
    assert_eq!(refusal(other).await, (401, "not_authorized".into()));
    let nowhere = stage.get("/v2/sites/0/collections", &token).await;
    assert_eq!(refusal(nowhere).await, (404, "resource_not_found".into()));
}

#[tokio::test]
async fn rate_limit_lasts_a_minute() {
    let stage = Stage::new().await;
    stage.webflow.set_rate_limit(1);
    let token = stage.webflow.issue_token([Scope::SITES_READ]);
    let first = stage.get("/v2/sites", &token).await;
    assert_eq!(first.headers()["x-ratelimit-limit"], "1");
    assert_eq!(first.headers()["x-ratelimit-remaining"], "0");

    let second = stage.get("/v2/sites", &token).await;
    assert_eq!(second.headers()["retry-after"], "60");
    assert_eq!(refusal(second).await, (429, "too_many_requests".into()));

    stage.webflow.clock().advance(Duration::from_secs(60));
    let third = stage.get("/v2/sites", &token).await;
    assert_eq!(third.status(), StatusCode::OK);
}

#[tokio::test]
async fn id_token_resolves_for_15_minutes() {
    let stage = Stage::new().await;
    let token = stage.webflow.issue_token([Scope::AUTHORIZED_USER_READ]);
    let resolve = async |id_token: &str| {
        let post = stage.http.post(stage.url("/beta/token/resolve"));
        let body = json!({"idToken": id_token});
        post.bearer_auth(&token).json(&body).send().await.unwrap()
    };
    let id_token = stage.webflow.id_token(stage.webflow.workspaces()[0].sites()[0].id());
    let user: Value = resolve(&id_token).await.json().await.unwrap();
    assert_eq!(user["email"], "ada@example.com");
    assert_eq!(user["siteId"], stage.webflow.workspaces()[0].sites()[0].id());

    let elsewhere = stage.webflow.id_token(stage.webflow.workspaces()[1].sites()[0].id());
    assert_eq!(resolve(&elsewhere).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(resolve("x").await.status(), StatusCode::BAD_REQUEST);
    stage.webflow.clock().advance(Duration::from_secs(15 * 60));
    assert_eq!(resolve(&id_token).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn fault_strikes_before_the_effect_by_default() {
    let stage = Stage::new().await;
    let body = stage.exchange_body(&stage.code());
    stage.webflow.fail_next(Endpoint::Token, Fault::Status(502));
    assert_eq!(stage.exchange(&body).await.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(stage.webflow.issued_tokens(), 0);

    let lost = Fault::Status(502).after_effect();
    stage.webflow.fail_next(Endpoint::Token, lost);
    assert_eq!(stage.exchange(&body).await.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(stage.webflow.live_tokens(), 1);
    let again = refusal(stage.exchange(&body).await).await;
    assert_eq!(again, (400, "invalid_grant".into()));
}

#[tokio::test]
async fn response_faults_send_the_given_response() {
    let stage = Stage::new().await;
    let next = async |fault: Fault| {
        stage.webflow.fail_next(Endpoint::Sites, fault);
        stage.http.get(stage.url("/v2/sites")).send().await.unwrap()
    };
    let redirect = next(Fault::Redirect("http://evil.example/".into())).await;
    assert_eq!(redirect.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(redirect.headers()["location"], "http://evil.example/");

    let retry_after = Duration::from_millis(1500);
    let limited = next(Fault::RateLimited { retry_after }).await;
    assert_eq!(limited.headers()["retry-after"], "2");
    assert_eq!(refusal(limited).await, (429, "too_many_requests".into()));

    let page = next(Fault::body("text/html", "<p>")).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.text().await.unwrap(), "<p>");
    let teapot = next(Fault::json(418, &json!({"code": "tea"}))).await;
    assert_eq!(refusal(teapot).await, (418, "tea".into()));
    let switching = next(Fault::Status(101)).await;
    assert_eq!(switching.status(), StatusCode::INTERNAL_SERVER_ERROR);

    let huge = next(Fault::Huge(1_000_000)).await;
    assert_eq!(huge.content_length(), None);
    assert_eq!(huge.bytes().await.unwrap().len(), 1_000_000);
}

#[tokio::test]
async fn truncated_response_ends_before_its_length() {
    let stage = Stage::new().await;
    stage.webflow.fail_next(Endpoint::Sites, Fault::Truncated);
    let mut stream = raw_get(&stage.webflow, "/v2/sites").await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: 36"), "{head}");
    assert_eq!(body.len(), 18);
}

#[tokio::test]
async fn reset_closes_one_connection() {
    let stage = Stage::new().await;
    stage.webflow.fail_next(Endpoint::Sites, Fault::Reset);
    let mut stream = raw_get(&stage.webflow, "/v2/sites").await;
    let error = stream.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let next = stage.get("/v2/sites", "x").await;
    assert_eq!(next.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn hanging_request_is_logged_and_ends_with_the_server() {
    let stage = Stage::new().await;
    stage.webflow.fail_always(Endpoint::Sites, Fault::Hang);
    let mut stream = raw_get(&stage.webflow, "/v2/sites").await;
    stage.webflow.wait_for_requests("/v2/sites", 1).await;
    let address = stage.webflow.base_url().replace("http://", "");
    stage.webflow.stop().await;
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn delay_keeps_the_response_and_heal_removes_it() {
    let stage = Stage::new().await;
    let token = stage.webflow.issue_token([Scope::SITES_READ]);
    let delay = Duration::from_millis(20);
    stage.webflow.fail_always(Endpoint::Sites, Fault::Delay(delay));
    let begun = std::time::Instant::now();
    assert_eq!(stage.get("/v2/sites", &token).await.status(), StatusCode::OK);
    assert!(begun.elapsed() >= delay);
    stage.webflow.fail_next(Endpoint::Sites, Fault::Hang);
    stage.webflow.heal();
    assert_eq!(stage.get("/v2/sites", &token).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn log_has_every_request_and_debug_hides_secrets() {
    let stage = Stage::new().await;
    let code = stage.code();
    stage.exchange(&stage.exchange_body(&code)).await;
    let log = stage.webflow.requests_to("/oauth/access_token");
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].json().unwrap(), stage.exchange_body(&code));
    assert_eq!(log[0].header("content-type"), Some("application/json"));

    let debug = format!("{:?} {log:?}", stage.webflow);
    let token = stage.webflow.latest_token().unwrap();
    for secret in [stage.webflow.client_secret(), &code, &token] {
        assert!(!debug.contains(secret));
    }
    stage.webflow.clear_log();
    assert!(stage.webflow.log().is_empty());
}

#[tokio::test]
async fn listens_on_loopback_only() {
    let anywhere = FakeWebflow::builder().addr(([0, 0, 0, 0], 0).into());
    let refused = anywhere.start().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
}

async fn raw_get(webflow: &FakeWebflow, path: &str) -> TcpStream {
    let address = webflow.base_url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}
