//! A tour of the demo in Chromium, without scripts: login, step-up and logout.

use fantoccini::Locator;
use serde_json::json;
use tower_webflow_auth::testing::{Endpoint, Fault};

use crate::support::demo::Demo;
use crate::support::webdriver::Browser;

#[tokio::test]
#[ignore = "needs chromium and chromedriver: run scripts/test"]
async fn tour_works_without_javascript() {
    let (fake, demo) = Demo::with_webflow(|builder| builder).await;
    let off = json!({ "profile.default_content_setting_values.javascript": 2 });
    let browser = Browser::with(&[], &off).await;
    browser.goto("data:text/html,<p id=x>off<script>x.textContent='on'</script>").await;
    assert_eq!(browser.text().await, "off", "scripts are off");

    browser.goto(&demo.url("/")).await;
    browser.press("Connect Webflow").await;
    browser.arrives_at("/oauth/authorize").await;
    browser.press("Only the sites you choose").await;
    browser.press("Blog").await;
    browser.press("Authorize").await;
    browser.arrives_at("/").await;
    assert_eq!(browser.heading().await, "Webflow is connected");
    browser.press("See your sites").await;
    browser.says("1 site in this connection").await;
    let sites = browser.client.find_all(Locator::Css(".site h2")).await.unwrap();
    assert_eq!(sites.len(), 1);
    assert_eq!(sites[0].text().await.unwrap(), "Blog");
    browser.press("Access").await;
    browser.says("Ada Lovelace (ada@example.com) connected it just now").await;
    browser.press("Sign out or disconnect").await;
    browser.press("Disconnect from Webflow").await;
    browser.arrives_at("/disconnected").await;
    assert_eq!((fake.issued_tokens(), fake.live_tokens()), (1, 0));
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver: run scripts/test"]
async fn step_up_requests_one_more_scope_and_reports_the_result() {
    let (fake, demo) = Demo::with_webflow(|builder| builder).await;
    let browser = Browser::start().await;
    browser.goto(&demo.url("/access")).await;
    browser.press("Authorize").await;
    browser.arrives_at("/access").await;
    assert!(!browser.text().await.contains("cms:write"));

    // Declined: the former connection is unchanged.
    browser.press("Allow").await;
    browser.arrives_at("/oauth/authorize").await;
    browser.says("See and change your CMS collections and their items").await;
    browser.press("Cancel").await;
    browser.says("You declined the additional permissions").await;
    browser.says("nothing has changed").await;
    browser.goto(&demo.url("/access")).await;
    assert_eq!(browser.heading().await, "What this demo may do");

    // Accepted but not granted: the page goes by the token, not by its own URL.
    let less = json!({ "access_token": "t", "scope": "sites:read cms:read" });
    fake.fail_next(Endpoint::Token, Fault::json(200, &less));
    fake.fail_always(Endpoint::Sites, Fault::Status(500));
    browser.press("Allow").await;
    browser.press("Authorize").await;
    browser.says("Webflow did not add: Change your CMS collections").await;
    fake.heal();

    // Granted through the page that needs it.
    browser.goto(&demo.url("/auth/webflow/login?return_to=/access")).await;
    browser.press("Authorize").await;
    browser.arrives_at("/access").await;
    browser.press("CMS").await;
    browser.press("Authorize").await;
    browser.arrives_at("/cms").await;
    assert_eq!(browser.heading().await, "The CMS may be written");
    browser.press("Access").await;
    browser.says("cms:write").await;
    browser.says("The demo has nothing more to ask for").await;
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver: run scripts/test"]
async fn sign_out_keeps_the_authorization_and_disconnect_revokes_it() {
    let (fake, demo) = Demo::with_webflow(|builder| builder).await;
    let browser = Browser::start().await;
    browser.goto(&demo.url("/disconnect")).await;
    browser.press("Authorize").await;
    browser.press("Sign out").await;
    browser.arrives_at("/signed-out").await;
    browser.says("Webflow still lists the app as connected").await;
    assert_eq!(fake.live_tokens(), 1);
    assert_eq!(browser.cookies().await.len(), 0);
    browser.press("Back to the start").await;
    browser.arrives_at("/").await;
    browser.says("Not connected").await;

    // Webflow is down: the user is signed out anyway, and told that the revocation is pending.
    browser.goto(&demo.url("/disconnect")).await;
    browser.press("Authorize").await;
    browser.arrives_at("/disconnect").await;
    fake.fail_next(Endpoint::Revoke, Fault::Status(503));
    browser.press("Disconnect from Webflow").await;
    browser.says("You're signed out, but Webflow could not be notified").await;
    browser.press("Back to the application").await;
    browser.arrives_at("/").await;
    browser.says("Not connected").await;
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver: run scripts/test"]
async fn skip_link_is_focused_first_and_skips_the_navigation() {
    let (_fake, demo) = Demo::with_webflow(|builder| builder).await;
    let browser = Browser::start().await;
    browser.goto(&demo.url("/sites")).await;
    browser.press("Authorize").await;
    browser.arrives_at("/sites").await;
    let (tab, enter) = ("\u{e004}", "\u{e007}");
    let body = browser.client.active_element().await.unwrap();
    body.send_keys(tab).await.unwrap();
    let skip = browser.client.active_element().await.unwrap();
    assert_eq!(skip.text().await.unwrap(), "Skip to the content");
    let (_, y, _, height) = skip.rectangle().await.unwrap();
    assert!(y >= 0.0 && height > 20.0, "it is seen while it has the focus");
    skip.send_keys(enter).await.unwrap();
    let main = browser.client.active_element().await.unwrap();
    assert_eq!(main.tag_name().await.unwrap(), "main");
    main.send_keys(tab).await.unwrap();
    let next = browser.client.active_element().await.unwrap();
    assert_eq!(next.text().await.unwrap(), "Who am I, as JSON", "past the navigation");
    browser.stop().await;
}
