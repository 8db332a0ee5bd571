//! R1 in a real browser: some hundred hostile values of `return_to` each go through a whole flow,
//! and Chromium follows the resulting `Location`. Followed unchanged, the same values lead
//! elsewhere, which shows that the list is hostile and that the test can detect it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use tower_webflow_auth::testing::TestBrowser;
use url::Url;

use crate::support::App;
use crate::support::webdriver::Browser;

const HOSTS: [&str; 7] = [
    "evil.invalid",
    "evil.invalid/",
    "evil.invalid:80/x?y#z",
    "evil.invalid%00.app.example",
    "evil.invalid\\@127.0.0.1",
    "127.0.0.1@evil.invalid",
    "evil\u{3002}invalid",
];

const LEADS: [&str; 64] = [
    "",
    "/",
    "//",
    "///",
    "////",
    "\\",
    "/\\",
    "\\/",
    "\\\\",
    "/\\/",
    "\\//",
    "/\\\\",
    "/\t/",
    "\t//",
    "/\t\\",
    "/\n/",
    "\n//",
    "/\r\n/",
    " //",
    "/ /",
    "\u{b}//",
    "\u{0}//",
    "/\u{0}/",
    "/.//",
    "/..//",
    "/./\\",
    "/%2e//",
    "/%2e%2e//",
    "/.%2e//",
    "/a/../..//",
    "/%09/",
    "/%0a/",
    "/%5c",
    "/%5C",
    "/%2f",
    "/%2F/",
    "/%252f",
    "/%255c",
    "/%25%32%66",
    "/;//",
    "/?//",
    "/#//",
    "https:",
    "http:",
    "https:/",
    "https://",
    "http://",
    "HTTPS:\\\\",
    "http:///",
    "http:\\",
    "javascript:location='//'+",
    "data:text/html,",
    "view-source:http://",
    "file:////",
    "blob:http://",
    "//user@",
    "//user:pw@",
    "/@",
    "@",
    "//[::ffff:127.0.0.1]@",
    "/\u{feff}/",
    "\u{3000}//",
    "\u{ff0f}\u{ff0f}",
    "/\u{ad}/",
];

fn hostile() -> Vec<String> {
    LEADS.iter().flat_map(|lead| HOSTS.map(|host| format!("{lead}{host}"))).collect()
}

/// Redirects `/go/n` to the n-th location, and answers everything else with a fixed text.
async fn redirector(locations: Arc<Mutex<Vec<HeaderValue>>>) -> std::net::SocketAddr {
    async fn go(
        State(locations): State<Arc<Mutex<Vec<HeaderValue>>>>,
        Path(n): Path<usize>,
    ) -> Response {
        let location = locations.lock().unwrap()[n].clone();
        (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new()
        .route("/go/{n}", get(go))
        .fallback(|| async { "landed" })
        .with_state(locations);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// The raw `Location` of the callback of a flow with that `return_to`.
async fn location_of(app: &App, browser: &mut TestBrowser, return_to: &str) -> HeaderValue {
    let encoded = utf8_percent_encode(return_to, NON_ALPHANUMERIC);
    let login = format!("/auth/webflow/login?return_to={encoded}");
    let callback = app.callback(browser, &login).await;
    let done = browser.step(&callback).await.unwrap();
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{return_to:?}: {}", done.text);
    done.headers[LOCATION].clone()
}

mod r1 {
    use super::*;

    #[tokio::test]
    #[ignore = "needs chromium and chromedriver: run scripts/test"]
    async fn chromium_stays_on_the_origin_for_hundreds_of_hostile_values() {
        let hostile = hostile();
        assert!(hostile.len() > 400);
        let app = App::start().await;
        let mut user = TestBrowser::new();
        let mut ours = BTreeSet::new();
        for return_to in &hostile {
            ours.insert(location_of(&app, &mut user, return_to).await.to_str().unwrap().to_owned());
        }
        assert!(ours.contains("/") && ours.len() > 10, "some of them are paths: {ours:?}");

        let locations = Arc::new(Mutex::new(Vec::new()));
        let address = redirector(Arc::clone(&locations)).await;
        let base = Url::parse(&format!("http://{address}/go/0")).unwrap();
        // Every host resolves to the test's server, so that a browser that is led away arrives
        // there.
        let rules = format!("--host-resolver-rules=MAP * {address}");
        let browser = Browser::with(&[&rules], &json!({})).await;
        let follow = async |location: HeaderValue| {
            let n = {
                let mut all = locations.lock().unwrap();
                all.push(location);
                all.len() - 1
            };
            let went = browser.client.goto(&format!("http://{address}/go/{n}")).await;
            let at = browser.client.current_url().await.unwrap();
            went.is_ok().then_some(at)
        };

        for own in &ours {
            let at = follow(HeaderValue::from_str(own).unwrap()).await;
            let at = at.unwrap_or_else(|| panic!("{own:?} leads nowhere"));
            assert_eq!(at.origin(), base.origin(), "{own:?} leads to {at}");
            assert_eq!(at, base.join(own).unwrap(), "the standard and the browser agree");
        }

        // Every third value unchanged. With seven hosts, that covers each host and each prefix.
        let raw = hostile.iter().step_by(3);
        let mut led_away = 0;
        for raw in raw.filter_map(|raw| HeaderValue::from_bytes(raw.as_bytes()).ok()) {
            let away = follow(raw).await.is_none_or(|at| at.origin() != base.origin());
            led_away += usize::from(away);
        }
        println!(
            "{} values, {} locations of ours; as they are, {led_away} lead away",
            hostile.len(),
            ours.len()
        );
        assert!(led_away >= 40, "the list is hostile: {led_away}");
        browser.stop().await;
    }
}
