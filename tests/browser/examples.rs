//! The pages of the smaller examples, on a phone.

use crate::support::axe;
use crate::support::demo::Demo;
use crate::support::webdriver::{Browser, Look};

/// Checks the current page, and that the console is silent.
async fn inspect(browser: &Browser, name: &str) {
    assert_eq!(browser.complaints().await, Vec::<String>::new(), "{name}: the console");
    browser.look(Look { dark: false, width: 360 }).await;
    assert_eq!(browser.overflow().await, 0, "{name} scrolls sideways");
    let viewport = "return document.querySelector('meta[name=viewport]') !== null";
    let viewport = browser.client.execute(viewport, Vec::new()).await.unwrap();
    assert_eq!(viewport, true, "{name}: phones show it at 980 px");
    assert_eq!(axe::violations(browser).await, Vec::<String>::new(), "{name}");
}

#[tokio::test]
#[ignore = "needs chromium, chromedriver and axe-core: run scripts/test"]
async fn workspaces_are_named_by_their_sites() {
    let example = Demo::start_example("workspaces").await;
    let browser = Browser::start().await;
    browser.goto(&example.url("/")).await;
    inspect(&browser, "no workspace").await;
    browser.press("Connect a workspace").await;
    browser.press("Authorize").await;
    browser.arrives_at("/").await;
    browser.says("Shop and Blog (current)").await;
    browser.press("Connect a workspace").await;
    browser.press("All sites of Globex").await;
    browser.press("Authorize").await;
    browser.arrives_at("/").await;
    browser.says("Home (current)").await;
    inspect(&browser, "two workspaces").await;
    browser.press("Shop and Blog").await;
    browser.says("Shop and Blog (current)").await;
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium, chromedriver and axe-core: run scripts/test"]
async fn page_with_a_script_fits_a_phone() {
    let example = Demo::start_example("fetch").await;
    let browser = Browser::start().await;
    browser.goto(&example.url("/")).await;
    inspect(&browser, "fetch").await;
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver: run scripts/test"]
async fn icon_of_a_json_response_needs_no_login() {
    let example = Demo::start_example("minimal").await;
    let browser = Browser::start().await;
    browser.goto(&example.url("/")).await;
    browser.press("Authorize").await;
    browser.arrives_at("/").await;
    browser.says("displayName").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.stop().await;
}
