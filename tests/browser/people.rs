//! What people do during a flow, in Chromium.

use fantoccini::Locator;
use fantoccini::actions::{
    InputSource, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction,
};
use fantoccini::key::Key;
use tower_webflow_auth::testing::Workspace;

use crate::support::App;
use crate::support::webdriver::Browser;

#[tokio::test]
#[ignore = "needs chromium and chromedriver: run scripts/test"]
async fn connects_in_two_tabs_goes_back_and_signs_out() {
    let app = App::start().await;
    let browser = Browser::start().await;
    let client = &browser.client;

    // Two tabs start before either completes.
    browser.goto(&app.url("/whoami?tab=1")).await;
    browser.arrives_at("/oauth/authorize").await;
    let first = client.window().await.unwrap();
    let second = client.new_window(true).await.unwrap().handle;
    client.switch_to_window(second).await.unwrap();
    browser.goto(&app.url("/sites")).await;
    browser.press("Authorize").await;
    browser.arrives_at("/sites").await;
    assert!(browser.text().await.contains("\"sites\""), "{}", browser.text().await);
    client.switch_to_window(first).await.unwrap();
    browser.press("Authorize").await;
    browser.arrives_at("/whoami").await;
    assert!(browser.text().await.contains("sites:read"));
    assert_eq!(app.fake.issued_tokens(), 2);

    // Back to the consent screen and another Authorize: a new code for a completed flow.
    client.back().await.unwrap();
    browser.arrives_at("/oauth/authorize").await;
    browser.press("Authorize").await;
    browser.arrives_at("/").await;
    assert_eq!(browser.text().await, "connected");

    // Scripts cannot see the session cookie.
    let visible = client.execute("return document.cookie", Vec::new()).await.unwrap();
    assert_eq!(visible, "");
    let post = "const form = document.createElement('form'); form.method = 'post'; \
         form.action = '/auth/webflow/logout'; document.body.append(form); form.submit()";
    client.execute(post, Vec::new()).await.unwrap();
    browser.says("not connected").await;
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver: run scripts/test"]
async fn cancelled_page_link_works_after_a_reload() {
    let app = App::start().await;
    let browser = Browser::start().await;
    browser.goto(&app.url("/sites")).await;
    browser.press("Cancel").await;
    browser.arrives_at("/auth/webflow/callback").await;
    browser.says("You did not connect Webflow").await;
    browser.client.refresh().await.unwrap();
    browser.says("not started here").await;
    browser.client.back().await.unwrap();
    browser.arrives_at("/oauth/authorize").await;
    browser.client.forward().await.unwrap();
    browser.arrives_at("/auth/webflow/callback").await;
    browser.press("Start again").await;
    browser.arrives_at("/oauth/authorize").await;
    browser.press("Authorize").await;
    browser.arrives_at("/").await;
    assert_eq!(browser.text().await, "connected");
    browser.stop().await;
}

mod s8 {
    use super::*;

    #[tokio::test]
    #[ignore = "needs chromium and chromedriver: run scripts/test"]
    async fn reopened_callback_ends_in_the_same_session() {
        let app = App::start().await;
        let browser = Browser::start().await;
        browser.goto(&app.url("/whoami")).await;
        let authorize = browser.client.current_url().await.unwrap();
        let callback = app.fake.approve(authorize.as_str()).unwrap();
        browser.goto(callback.as_str()).await;
        browser.arrives_at("/whoami").await;
        let session = browser.text().await;
        browser.goto(callback.as_str()).await;
        browser.arrives_at("/").await;
        assert_eq!(browser.text().await, "connected");
        // The callback's URL is not in the history: Back leads to the page before it.
        browser.client.back().await.unwrap();
        browser.arrives_at("/whoami").await;
        assert_eq!(browser.text().await, session);
        browser.client.refresh().await.unwrap();
        assert_eq!((browser.text().await, app.fake.issued_tokens()), (session, 1));
        browser.stop().await;
    }
}

mod s9 {
    use super::*;

    #[tokio::test]
    #[ignore = "needs chromium and chromedriver: run scripts/test"]
    async fn double_click_on_authorize_connects_once() {
        let app = App::start().await;
        let browser = Browser::start().await;
        browser.goto(&app.url("/whoami")).await;
        let button = "//button[normalize-space()='Authorize']";
        let button = browser.client.find(Locator::XPath(button)).await.unwrap();
        let press = PointerAction::Down { button: MOUSE_BUTTON_LEFT };
        let release = PointerAction::Up { button: MOUSE_BUTTON_LEFT };
        let to_button =
            PointerAction::MoveToElement { element: button, duration: None, x: 0.0, y: 0.0 };
        let double_click = MouseActions::new("mouse".to_owned())
            .then(to_button)
            .then(press.clone())
            .then(release.clone())
            .then(press)
            .then(release);
        browser.client.perform_actions(double_click).await.unwrap();
        browser.arrives_at("/whoami").await;
        browser.says("sites:read").await;
        browser.goto(&app.url("/")).await;
        assert_eq!(browser.text().await, "connected");
        let asked = app.fake.requests_to("/oauth/access_token").len();
        assert!((1..=2).contains(&asked), "{asked} exchanges");
        browser.stop().await;
    }
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver: run scripts/test"]
async fn consent_screen_works_by_keyboard_with_visible_focus() {
    let app = App::start().await;
    let browser = Browser::start().await;
    let client = &browser.client;
    let press = async |key: Key| {
        let element = client.active_element().await.unwrap();
        element.send_keys(&char::from(key).to_string()).await.unwrap();
        client.active_element().await.unwrap()
    };
    let outlined = "const element = document.activeElement; \
         const marked = element.closest('label') ?? element; \
         return getComputedStyle(marked).outlineStyle";

    browser.goto(&app.url("/whoami")).await;
    let mut names = Vec::new();
    let mut element = press(Key::Tab).await;
    assert_eq!(element.prop("name").await.unwrap().unwrap(), "access", "the choice comes first");
    // Down twice: past both workspaces to the single sites.
    press(Key::Down).await;
    element = press(Key::Down).await;
    assert_eq!(element.prop("value").await.unwrap().unwrap(), "sites");
    for _ in 0..5 {
        let style = client.execute(outlined, Vec::new()).await.unwrap();
        assert_eq!(style, "solid", "focus is not seen at {:?}", element.html(false).await);
        element = press(Key::Tab).await;
        let name = element.prop("name").await.unwrap().unwrap_or_default();
        let value = element.prop("value").await.unwrap().unwrap_or_default();
        names.push(format!("{name}={value}"));
        if names.len() == 2 {
            // Space ticks the second site.
            element.send_keys(" ").await.unwrap();
        }
    }
    let sites = app.fake.workspaces().iter().flat_map(Workspace::sites);
    let mut expected: Vec<_> = sites.map(|site| format!("site={}", site.id())).collect();
    expected.extend(["decision=authorize", "decision=cancel"].map(str::to_owned));
    assert_eq!(names, expected, "Tab goes through the form in its order");
    // Shift+Tab, from Cancel to Authorize.
    let back = KeyActions::new("keys".to_owned())
        .then(KeyAction::Down { value: Key::Shift.into() })
        .then(KeyAction::Down { value: Key::Tab.into() })
        .then(KeyAction::Up { value: Key::Tab.into() })
        .then(KeyAction::Up { value: Key::Shift.into() });
    client.perform_actions(back).await.unwrap();
    press(Key::Enter).await;
    browser.arrives_at("/whoami").await;
    browser.says(app.fake.workspaces()[0].sites()[1].id()).await;
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver: run scripts/test"]
async fn return_to_keeps_its_query_and_drops_the_fragment() {
    let app = App::start().await;
    let browser = Browser::start().await;
    browser.goto(&app.url("/whoami?tab=1&q=a%20b%26c#part")).await;
    browser.press("Authorize").await;
    browser.arrives_at("/whoami").await;
    let arrived = browser.client.current_url().await.unwrap();
    assert_eq!(arrived.as_str(), app.url("/whoami?tab=1&q=a%20b%26c"));
    browser.goto(&app.url("/auth/webflow/login?return_to=%2Fdeep%2Fpath%3Fq%3D%25C3%25A9")).await;
    browser.press("Authorize").await;
    browser.arrives_at("/deep/path").await;
    let arrived = browser.client.current_url().await.unwrap();
    assert_eq!(arrived.as_str(), app.url("/deep/path?q=%C3%A9"));
    browser.stop().await;
}

mod r1 {
    use super::*;

    #[tokio::test]
    #[ignore = "needs chromium and chromedriver: run scripts/test"]
    async fn browser_stays_on_the_origin_for_hostile_return_to() {
        let app = App::start().await;
        let browser = Browser::start().await;
        browser.goto(&app.url("/auth/webflow/login")).await;
        browser.press("Authorize").await;
        browser.arrives_at("/").await;
        for hostile in
            ["//evil.invalid/", "/%5Cevil.invalid/", "/%09/evil.invalid", "https:evil.invalid"]
        {
            browser.goto(&app.url(&format!("/auth/webflow/login?return_to={hostile}"))).await;
            browser.press("Authorize").await;
            browser.arrives_at("/").await;
            let host = browser.client.current_url().await.unwrap().host_str().map(str::to_owned);
            assert_eq!(host.as_deref(), Some("127.0.0.1"), "{hostile}");
        }
        browser.stop().await;
    }
}
