//! Cookies in a real browser: blocked, and over TLS.

use serde_json::{Value, json};
use tower_webflow_auth::testing::FakeWebflow;
use tower_webflow_auth::{Keyring, Scope, WebflowAuthLayer};

use crate::support::tls::Tls;
use crate::support::webdriver::Browser;
use crate::support::{self, App};

mod s16 {
    use super::*;

    #[tokio::test]
    #[ignore = "needs chromium and chromedriver: run scripts/test"]
    async fn blocked_cookies_get_the_message_of_every_refused_state() {
        let app = App::start().await;
        let blocked = json!({ "profile.default_content_setting_values.cookies": 2 });
        let browser = Browser::with(&[], &blocked).await;
        browser.goto(&app.url("/sites")).await;
        browser.arrives_at("/oauth/authorize").await;
        assert_eq!(browser.cookies().await, Vec::<Value>::new(), "nothing was kept");
        browser.press("Authorize").await;
        browser.arrives_at("/auth/webflow/callback").await;
        browser.says("Cookies must be allowed for this site").await;
        assert_eq!(app.fake.issued_tokens(), 0, "the code is not used");
        let told = browser.text().await;
        browser.goto(&app.url("/auth/webflow/callback?code=c&state=forged")).await;
        assert_eq!(browser.text().await, told);
        // It does not loop, and starts over when the user asks.
        browser.press("Start again").await;
        browser.arrives_at("/oauth/authorize").await;
        browser.stop().await;
    }
}

mod c1 {
    use super::*;

    #[tokio::test]
    #[ignore = "needs chromium and chromedriver: run scripts/test"]
    async fn cookies_over_tls_are_host_only_secure_and_http_only() {
        let (listener, trust) = Tls::bind().await;
        let origin = format!("https://localhost:{}", listener.port());
        let redirect_uri = format!("{origin}/auth/webflow/callback");
        let fake = FakeWebflow::builder().redirect_uri(&redirect_uri).start().await.unwrap();
        let auth = WebflowAuthLayer::builder()
            .client_id(fake.client_id())
            .client_secret(fake.client_secret())
            .redirect_uri(&redirect_uri)
            .scopes([Scope::SITES_READ])
            .keyring(Keyring::generate())
            .endpoints(fake.endpoints())
            .build()
            .unwrap();
        let app = support::router(&auth);
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

        // The certificate chain is valid up to the test's authority.
        let authority = reqwest::Certificate::from_der(&trust.authority).unwrap();
        let client =
            reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build().unwrap();
        let home = client.get(&origin).send().await.unwrap();
        assert_eq!(home.text().await.unwrap(), "not connected");

        let switch = format!("--ignore-certificate-errors-spki-list={}", trust.key_digest);
        let browser = Browser::with(&[&switch], &json!({})).await;
        browser.goto(&format!("{origin}/whoami")).await;
        browser.arrives_at("/oauth/authorize").await;
        let cookies = browser.cookies().await;
        assert_eq!(cookies.len(), 1, "{cookies:?}");
        guarded(&cookies[0], "__Host-webflow-flow-");
        browser.press("Authorize").await;
        browser.arrives_at("/whoami").await;
        assert!(browser.text().await.contains("sites:read"), "{}", browser.text().await);
        let arrived = browser.client.current_url().await.unwrap();
        assert_eq!(arrived.as_str(), format!("{origin}/whoami"));
        let cookies = browser.cookies().await;
        assert_eq!(cookies.len(), 1, "the flow's cookie has gone: {cookies:?}");
        guarded(&cookies[0], "__Host-webflow-session");
        let visible = browser.client.execute("return document.cookie", Vec::new()).await.unwrap();
        assert_eq!(visible, "");
        browser.stop().await;
        server.abort();
    }
}

fn guarded(cookie: &Value, name: &str) {
    assert!(cookie["name"].as_str().unwrap().starts_with(name), "{cookie}");
    // A domain without a leading dot was set without `Domain`, so for this host only.
    assert_eq!((&cookie["domain"], &cookie["path"]), (&json!("localhost"), &json!("/")));
    assert_eq!((&cookie["secure"], &cookie["httpOnly"]), (&json!(true), &json!(true)));
    assert_eq!(cookie["sameSite"], "Lax");
}
