//! Scripts that get a 401: the example `fetch`, in Chromium.

use std::time::Duration;

use fantoccini::Locator;
use fantoccini::wd::WindowHandle;

use crate::support::axe;
use crate::support::demo::Demo;
use crate::support::webdriver::Browser;

#[tokio::test]
#[ignore = "needs chromium, chromedriver and axe-core: run scripts/test"]
async fn script_turns_a_401_into_a_login_and_returns_to_its_page() {
    let example = Demo::start_example("fetch").await;
    let browser = Browser::start().await;
    browser.goto(&example.url("/")).await;
    click(&browser, "#go").await;
    browser.arrives_at("/oauth/authorize").await;
    browser.press("Authorize").await;
    browser.arrives_at("/").await;
    click(&browser, "#go").await;
    browser.says("Shop").await;
    assert_eq!(axe::violations(&browser).await, Vec::<String>::new());
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver: run scripts/test"]
async fn popup_connects_and_closes_without_leaving_the_page() {
    let example = Demo::start_example("fetch").await;
    let browser = Browser::start().await;
    browser.goto(&example.url("/")).await;
    let page = browser.client.window().await.unwrap();
    click(&browser, "#popup").await;
    let windows = windows(&browser, 2).await;
    let popup = windows.into_iter().find(|window| *window != page).unwrap();
    browser.client.switch_to_window(popup).await.unwrap();
    browser.arrives_at("/oauth/authorize").await;
    browser.press("Authorize").await;
    self::windows(&browser, 1).await;
    browser.client.switch_to_window(page).await.unwrap();
    browser.says("Shop").await;
    assert_eq!(browser.path().await, "/");
    browser.stop().await;
}

async fn click(browser: &Browser, selector: &str) {
    browser.client.find(Locator::Css(selector)).await.unwrap().click().await.unwrap();
}

/// Waits until there are that many windows.
async fn windows(browser: &Browser, count: usize) -> Vec<WindowHandle> {
    for _ in 0..200 {
        let windows = browser.client.windows().await.unwrap();
        if windows.len() == count {
            return windows;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("there are not {count} windows");
}
