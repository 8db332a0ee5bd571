//! The example `designer` in the fake's Designer: three sites, and third-party cookies blocked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use axum::http::header;
use axum::middleware::{self, Next};
use fantoccini::Locator;
use serde_json::json;
use tokio::net::TcpListener;
use tower_webflow_auth::testing::FakeWebflow;

use crate::designer_example;
use crate::support::webdriver::Browser;

/// The requests to the backend: the path, and whether a cookie was sent.
type Seen = Arc<Mutex<Vec<(String, bool)>>>;

struct Stage {
    _fake: FakeWebflow,
    /// The Designer with the panel in its frame.
    designer: String,
    seen: Seen,
}

/// To a browser, the Designer at `designer.localhost`, the panel at `localhost` and the backend at
/// `127.0.0.1` are three sites.
async fn stage() -> Stage {
    let (backend, panel) = (
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let origin = format!("http://{}", backend.local_addr().unwrap());
    let panel_origin = format!("http://localhost:{}", panel.local_addr().unwrap().port());
    let redirect_uri = format!("{origin}/auth/webflow/callback");
    let fake = FakeWebflow::builder().redirect_uri(&redirect_uri).start().await.unwrap();
    let auth =
        designer_example::with_panel(fake.layer(&redirect_uri), &panel_origin).build().unwrap();
    let seen = Seen::default();
    let note = {
        let seen = Arc::clone(&seen);
        move |request: Request, next: Next| {
            let cookie = request.headers().contains_key(header::COOKIE);
            seen.lock().unwrap().push((request.uri().path().to_owned(), cookie));
            next.run(request)
        }
    };
    let app = designer_example::backend(&auth).layer(middleware::from_fn(note));
    tokio::spawn(async move { axum::serve(backend, app).await });
    let on_its_host = |url: String| url.replace("127.0.0.1", "designer.localhost");
    let script = on_its_host(fake.designer_script().to_string());
    let app = designer_example::panel(&origin, &script);
    tokio::spawn(async move { axum::serve(panel, app).await });
    let site = fake.workspaces()[0].sites()[0].id();
    let designer = on_its_host(fake.designer_url(site, &format!("{panel_origin}/")).to_string());
    Stage { _fake: fake, designer, seen }
}

async fn browser() -> Browser {
    let blocked =
        json!({ "profile.cookie_controls_mode": 1, "profile.block_third_party_cookies": true });
    Browser::with(&["--disable-popup-blocking"], &blocked).await
}

/// Waits until the panel in the frame shows this text.
async fn panel_says(browser: &Browser, words: &str) {
    let status = format!("//*[@id='status'][contains(., \"{words}\")]");
    let wait = browser.client.wait().at_most(Duration::from_secs(20));
    wait.for_element(Locator::XPath(&status)).await.unwrap();
}

mod b8 {
    use super::*;

    #[tokio::test]
    #[ignore = "needs chromium and chromedriver: run scripts/test"]
    async fn a_panel_connects_by_a_pop_up_and_calls_with_its_bearer() {
        let stage = stage().await;
        let browser = browser().await;
        browser.goto(&stage.designer).await;
        let designer = browser.client.window().await.unwrap();
        browser.client.enter_frame(0).await.unwrap();
        panel_says(&browser, "Connect Webflow to use this panel").await;
        browser.press("Connect Webflow").await;
        let windows = browser.client.windows().await.unwrap();
        let login = windows.into_iter().find(|window| *window != designer).unwrap();
        browser.client.switch_to_window(login).await.unwrap();
        browser.arrives_at("/oauth/authorize").await;
        browser.press("Authorize").await;
        // The window closes itself, and the panel notices by polling.
        browser.client.switch_to_window(designer).await.unwrap();
        browser.client.enter_frame(0).await.unwrap();
        panel_says(&browser, "ada@example.com at Shop").await;
        assert_eq!(browser.cookies().await.len(), 1, "the pop-up's session");

        // A reload needs no login, and the frame never sends a cookie.
        browser.client.enter_parent_frame().await.unwrap();
        browser.goto(&stage.designer).await;
        browser.client.enter_frame(0).await.unwrap();
        panel_says(&browser, "ada@example.com at Shop").await;
        let seen = stage.seen.lock().unwrap().clone();
        let of_panel = |path: &str| path == "/auth/webflow/panel" || path == "/api/site";
        let from_frame: Vec<_> = seen.iter().filter(|(path, _)| of_panel(path)).collect();
        assert!(from_frame.iter().all(|(_, cookie)| !cookie), "{seen:?}");
        assert!(seen.iter().any(|(path, cookie)| path == "/connected" && *cookie), "{seen:?}");
        browser.stop().await;
    }
}

mod b4 {
    use super::*;

    #[tokio::test]
    #[ignore = "needs chromium and chromedriver: run scripts/test"]
    async fn a_page_of_another_origin_cannot_read_the_answers() {
        let stage = stage().await;
        let browser = browser().await;
        // The same panel at a host that is not listed.
        browser.goto(&stage.designer.replace("localhost%3A", "evil.localhost%3A")).await;
        browser.client.enter_frame(0).await.unwrap();
        panel_says(&browser, "Failed to fetch").await;
        let preflights = stage.seen.lock().unwrap().len();
        assert_eq!(preflights, 1, "the preflight was enough");
        browser.stop().await;
    }
}
