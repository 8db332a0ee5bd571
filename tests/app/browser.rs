//! The app in Chromium, from install to uninstall.

use std::time::Duration;

use axum::http::StatusCode;
use fantoccini::Locator;
use serde_json::json;
use tower_webflow_auth::testing::FakeEvent;
use tower_webflow_auth::webhooks::Trigger;

use crate::stage::{PASSWORD, Stage};
use crate::support::axe;
use crate::support::webdriver::{Browser, Look};

/// Checks the current page against the rules for every page, and takes its screenshots.
async fn inspect(browser: &Browser, name: &str) {
    let complaints = browser.complaints().await;
    assert_eq!(complaints, Vec::<String>::new(), "{name}: the console");
    for look in Look::ALL {
        browser.look(look).await;
        browser.screenshot(&format!("app-{name}-{}-{}", look.name(), look.width)).await;
        assert_eq!(browser.overflow().await, 0, "{name} scrolls sideways at {look:?}");
        if look.dark == (look.width == 360) {
            assert_eq!(axe::violations(browser).await, Vec::<String>::new(), "{name} {look:?}");
        }
    }
}

async fn type_into(browser: &Browser, field: &str, text: &str) {
    let field = browser.client.find(Locator::Css(&format!("input[name={field}]"))).await.unwrap();
    field.send_keys(text).await.unwrap();
}

async fn sign(browser: &Browser, button: &str, email: &str) {
    type_into(browser, "email", email).await;
    type_into(browser, "password", PASSWORD).await;
    browser.press(button).await;
}

/// Waits until the panel in the frame shows this text.
async fn panel_says(browser: &Browser, words: &str) {
    let status = format!("//*[@id='status'][contains(., \"{words}\")]");
    let wait = browser.client.wait().at_most(Duration::from_secs(20));
    let found = wait.for_element(Locator::XPath(&status)).await;
    assert!(found.is_ok(), "{words:?} is not in the panel: {}", browser.text().await);
}

#[tokio::test]
#[ignore = "needs chromium, chromedriver and axe-core: run scripts/test"]
async fn lives_from_install_to_uninstall() {
    let stage = Stage::start().await;
    let browser = Browser::start().await;

    // From the Marketplace, without a cookie or an account.
    browser.goto(&stage.url("/install")).await;
    browser.arrives_at("/oauth/authorize").await;
    browser.says("Site Notes").await;
    browser.press("Authorize").await;
    browser.arrives_at("/login").await;
    inspect(&browser, "login").await;
    browser.press("Create one").await;
    browser.arrives_at("/signup").await;
    inspect(&browser, "signup").await;
    sign(&browser, "Create an account", "ada@example.com").await;
    browser.arrives_at("/dashboard").await;
    browser.says("Shop").await;
    browser.says("Nothing has happened yet").await;
    inspect(&browser, "dashboard-new").await;

    // Webflow publishes a site.
    stage.webhooks_are_registered().await;
    let site = stage.fake.workspaces()[0].sites()[0].id();
    let event = FakeEvent::new(Trigger::SitePublish, json!({ "siteId": site }));
    let delivered = stage.fake.deliver(&event).await;
    assert_eq!(delivered[0].status, Some(StatusCode::OK));
    browser.client.refresh().await.unwrap();
    browser.says("Shop was published").await;

    // A second workspace, and back to the first.
    browser.press("Connect another workspace").await;
    browser.press("All sites of Globex").await;
    browser.press("Authorize").await;
    browser.arrives_at("/dashboard").await;
    browser.says("Home").await;
    inspect(&browser, "dashboard-two-workspaces").await;
    browser.press("Blog, Shop").await;
    browser.says("Shop was published").await;

    // The panel, at another site in a frame.
    let designer = stage.fake.designer_url(site, &stage.panel());
    browser.goto(designer.as_str()).await;
    browser.client.enter_frame(0).await.unwrap();
    panel_says(&browser, "ada@example.com at Shop").await;
    assert_eq!(axe::violations(&browser).await, Vec::<String>::new(), "the panel");
    browser.client.enter_parent_frame().await.unwrap();
    assert_eq!(browser.complaints().await, Vec::<String>::new(), "the panel's console");

    // Signing out keeps the grant.
    browser.goto(&stage.url("/nowhere")).await;
    browser.says("There is no such page").await;
    let missing: Vec<_> = browser.complaints().await;
    assert!(missing.iter().all(|it| it.contains("/nowhere")), "{missing:?}");
    inspect(&browser, "not-found").await;
    browser.press("Sign out").await;
    browser.arrives_at("/").await;
    inspect(&browser, "home-signed-out").await;
    assert_eq!(browser.cookies().await.len(), 0);
    let asked = stage.fake.requests_to("/oauth/authorize").len();
    browser.press("Sign in").await;
    sign(&browser, "Sign in", "ada@example.com").await;
    browser.arrives_at("/dashboard").await;
    assert_eq!(stage.fake.requests_to("/oauth/authorize").len(), asked, "no second consent");

    // The uninstall, at Webflow.
    stage.fake.revoke_everything();
    browser.client.refresh().await.unwrap();
    browser.arrives_at("/oauth/authorize").await;
    browser.goto(&stage.url("/")).await;
    browser.says("Webflow is not connected").await;
    inspect(&browser, "home-not-connected").await;
    browser.press("Connect Webflow").await;
    browser.press("Authorize").await;
    browser.arrives_at("/dashboard").await;
    browser.press("Disconnect Webflow").await;
    browser.says("Webflow is not connected").await;
    assert_eq!(stage.fake.live_tokens(), 0);
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium, chromedriver and axe-core: run scripts/test"]
async fn panel_of_an_unknown_user_connects_in_a_pop_up() {
    let stage = Stage::start().await;
    let blocked =
        json!({ "profile.cookie_controls_mode": 1, "profile.block_third_party_cookies": true });
    let browser = Browser::with(&["--disable-popup-blocking"], &blocked).await;
    let site = stage.fake.workspaces()[0].sites()[0].id();
    browser.goto(stage.fake.designer_url(site, &stage.panel()).as_str()).await;
    let designer = browser.client.window().await.unwrap();
    browser.client.enter_frame(0).await.unwrap();
    panel_says(&browser, "Connect Webflow to use this panel").await;
    browser.press("Connect Webflow").await;
    let windows = browser.client.windows().await.unwrap();
    let login = windows.into_iter().find(|window| *window != designer).unwrap();
    browser.client.switch_to_window(login).await.unwrap();
    browser.arrives_at("/oauth/authorize").await;
    browser.press("Authorize").await;
    browser.arrives_at("/login").await;
    browser.press("Create one").await;
    sign(&browser, "Create an account", "ada@example.com").await;
    // The window closes itself, and the panel notices by polling.
    browser.client.switch_to_window(designer).await.unwrap();
    browser.client.enter_frame(0).await.unwrap();
    panel_says(&browser, "ada@example.com at Shop").await;
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium, chromedriver and axe-core: run scripts/test"]
async fn forms_work_by_keyboard_and_say_what_is_wrong() {
    let stage = Stage::start().await;
    let browser = Browser::start().await;
    let (tab, enter) = ("\u{e004}", "\u{e007}");
    browser.goto(&stage.url("/login")).await;
    let mut element = browser.client.active_element().await.unwrap();
    let mut names = Vec::new();
    for _ in 0..6 {
        element.send_keys(tab).await.unwrap();
        element = browser.client.active_element().await.unwrap();
        let name = element.attr("name").await.unwrap().unwrap_or_default();
        names.push(if name.is_empty() { element.text().await.unwrap() } else { name.clone() });
        match name.as_str() {
            "email" => element.send_keys("nobody@example.com").await.unwrap(),
            "password" => element.send_keys(PASSWORD).await.unwrap(),
            _ => {}
        }
    }
    let expected =
        ["Skip to the content", "Site Notes", "email", "password", "Sign in", "Create one"];
    assert_eq!(names, expected);
    let password = browser.client.find(Locator::Css("input[name=password]")).await.unwrap();
    password.send_keys(enter).await.unwrap();
    browser.says("The e-mail address or password is wrong.").await;
    let email = browser.client.find(Locator::Css("input[name=email]")).await.unwrap();
    assert_eq!(email.prop("value").await.unwrap().as_deref(), Some("nobody@example.com"));
    // Chromium reports the status 422 on its console.
    browser.complaints().await;
    inspect(&browser, "login-refused").await;
    browser.stop().await;
}
