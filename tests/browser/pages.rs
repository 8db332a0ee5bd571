//! Every page in Chromium: light and dark, narrow and wide.
//!
//! Leaves screenshots of all pages in `target/screenshots`.

use std::time::Duration;

use fantoccini::Locator;
use serde_json::json;
use tower_webflow_auth::config::CacheConfig;
use tower_webflow_auth::store::SqliteStore;
use tower_webflow_auth::testing::{Endpoint, Fault};

use crate::support::demo::Demo;
use crate::support::webdriver::{Browser, Look};
use crate::support::{App, axe};

/// Checks the current page against the rules for every page, and takes its screenshots.
async fn inspect(browser: &Browser, name: &str, heading: &str) {
    assert_eq!(browser.heading().await, heading, "{name}");
    let url = browser.client.current_url().await.unwrap();
    let complaints: Vec<_> = browser
        .complaints()
        .await
        .into_iter()
        // Chromium logs the error status, and requests an icon that the test's application does not
        // have.
        .filter(|it| {
            let status = " - Failed to load resource: the server responded";
            !it.starts_with(&format!("{url}{status}"))
                && !it.contains(&format!("/favicon.ico{status}"))
        })
        .collect();
    assert_eq!(complaints, Vec::<String>::new(), "{name}: the console");
    for look in Look::ALL {
        browser.look(look).await;
        browser.screenshot(&format!("{name}-{}-{}", look.name(), look.width)).await;
        assert_eq!(browser.overflow().await, 0, "{name} scrolls sideways at {look:?}");
        if look.dark == (look.width == 360) {
            assert_eq!(axe::violations(browser).await, Vec::<String>::new(), "{name} {look:?}");
        }
    }
    browser.complaints().await;
}

#[tokio::test]
#[ignore = "needs chromium, chromedriver and axe-core: run scripts/test"]
async fn demo_pages_pass_every_check_in_every_look() {
    let (fake, demo) = Demo::with_webflow(|builder| {
        builder
            .workspace("Acme", ["Shop", "Blog", "Help Centre", "Careers"])
            .workspace("Globex", ["Home"])
    })
    .await;
    let browser = Browser::start().await;
    browser.goto(&demo.url("/")).await;
    inspect(&browser, "home-signed-out", "Connect your Webflow account").await;
    browser.press("Connect Webflow").await;
    browser.press("Authorize").await;
    browser.arrives_at("/").await;
    inspect(&browser, "home-connected", "Webflow is connected").await;
    browser.press("See your sites").await;
    inspect(&browser, "sites", "Your sites").await;
    browser.press("Access").await;
    inspect(&browser, "access", "What this demo may do").await;
    browser.press("Allow").await;
    browser.press("Authorize").await;
    browser.arrives_at("/access").await;
    browser.says("Added: Change your CMS collections").await;
    inspect(&browser, "access-added", "What this demo may do").await;
    browser.press("CMS").await;
    inspect(&browser, "cms", "The CMS may be written").await;
    browser.goto(&demo.url("/nowhere")).await;
    inspect(&browser, "not-found", "There is no such page").await;

    let exhausted = Fault::RateLimited { retry_after: Duration::from_secs(60) };
    fake.fail_always(Endpoint::Sites, exhausted);
    browser.goto(&demo.url("/sites")).await;
    inspect(&browser, "sites-rate-limited", "Webflow asks for a pause").await;
    browser.goto(&demo.url("/access")).await;
    browser.says("Webflow does not say more at the moment").await;
    inspect(&browser, "access-rate-limited", "What this demo may do").await;
    fake.heal();
    let missing = json!({ "code": "missing_scopes", "message": "sites:read is lacking" });
    fake.fail_next(Endpoint::Sites, Fault::json(403, &missing));
    browser.goto(&demo.url("/sites")).await;
    inspect(&browser, "sites-forbidden", "Webflow does not allow this").await;

    browser.goto(&demo.url("/disconnected")).await;
    inspect(&browser, "still-connected", "You are still connected").await;
    browser.press("Sign out or disconnect").await;
    inspect(&browser, "disconnect", "Sign out, or disconnect?").await;
    browser.press("Sign out").await;
    browser.arrives_at("/signed-out").await;
    inspect(&browser, "signed-out", "You are signed out").await;
    browser.goto(&demo.url("/disconnect")).await;
    browser.press("Authorize").await;
    browser.press("Disconnect from Webflow").await;
    browser.arrives_at("/disconnected").await;
    inspect(&browser, "disconnected", "Webflow is disconnected").await;
    browser.goto(&demo.url("/disconnect")).await;
    browser.press("Authorize").await;
    browser.arrives_at("/disconnect").await;
    fake.fail_next(Endpoint::Revoke, Fault::Status(503));
    browser.press("Disconnect from Webflow").await;
    browser.arrives_at("/auth/webflow/logout").await;
    let heading = "You're signed out, but Webflow could not be notified";
    inspect(&browser, "error-webflow-not-told", heading).await;
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium, chromedriver and axe-core: run scripts/test"]
async fn site_list_fits_long_names_many_sites_and_none() {
    let long = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft";
    let spoken = "The quarterly newsletter of the Society for the Preservation of Very Long Names, \
                  archive and registration";
    let names =
        [long, spoken, "日本語のサイト", "<b>bold</b> & \"quoted\"", "i"].map(str::to_owned);
    let many = names.into_iter().chain((1..=55).map(|i| format!("Campaign {i}")));
    let (_fake, demo) = Demo::with_webflow(|builder| {
        builder.workspace(spoken, many).workspace("Empty", Vec::<String>::new()).user(
            "augusta.ada.king.countess.of.lovelace@analytical-engine.example.com",
            "Augusta Ada",
            "King, Countess of Lovelace",
        )
    })
    .await;
    let browser = Browser::start().await;
    browser.goto(&demo.url("/sites")).await;
    inspect(&browser, "consent-long-names", "Authorize Site Notes").await;
    browser.press("Authorize").await;
    browser.arrives_at("/sites").await;
    inspect(&browser, "sites-many", "Your sites").await;
    browser.press("Access").await;
    browser.says("Countess of Lovelace").await;
    inspect(&browser, "access-long-names", "What this demo may do").await;
    browser.goto(&demo.url("/auth/webflow/login?return_to=/sites")).await;
    browser.press("All sites of Empty").await;
    browser.press("Authorize").await;
    browser.arrives_at("/sites").await;
    inspect(&browser, "sites-none", "Your sites").await;
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium, chromedriver and axe-core: run scripts/test"]
async fn consent_screen_passes_every_check_in_every_state() {
    let app = App::start().await;
    let browser = Browser::start().await;
    browser.goto(&app.url("/sites")).await;
    inspect(&browser, "consent", "Authorize Example App").await;
    for label in ["Only the sites you choose", "Shop", "Home"] {
        browser.press(label).await;
    }
    inspect(&browser, "consent-sites", "Authorize Example App").await;
    browser.press("Authorize").await;
    browser.says("Choose sites of one workspace only.").await;
    inspect(&browser, "consent-rejected", "Authorize Example App").await;
    browser.goto(app.fake.install_url().as_str()).await;
    inspect(&browser, "consent-every-scope", "Authorize Example App").await;
    browser.goto(&app.fake.install_url().as_str().replace("scope", "scopes")).await;
    inspect(&browser, "consent-bad-link", "This app cannot be authorized").await;
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium, chromedriver and axe-core: run scripts/test"]
async fn error_pages_pass_every_check_and_have_one_link() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("tokens.db")).await.unwrap();
    let app = App::with(|builder| {
        builder.store(store).cache(CacheConfig::off()).timeout(Duration::from_secs(3))
    })
    .await;
    let browser = Browser::start().await;
    let inspect = async |name, heading, way_on: &str| {
        inspect(&browser, name, heading).await;
        let links = browser.client.find_all(Locator::Css("a, button")).await.unwrap();
        assert_eq!(links.len(), 1, "{name}");
        assert_eq!(links[0].text().await.unwrap(), way_on, "{name}");
    };

    browser.goto(&app.url("/sites")).await;
    browser.press("Cancel").await;
    browser.arrives_at("/auth/webflow/callback").await;
    inspect("error-cancelled", "You did not connect Webflow", "Connect Webflow").await;
    browser.press("Connect Webflow").await;
    app.clock.advance(Duration::from_secs(15 * 60));
    browser.press("Authorize").await;
    browser.arrives_at("/auth/webflow/callback").await;
    inspect("error-expired", "This sign-in took too long", "Start again").await;
    browser.goto(&app.url("/auth/webflow/callback?code=c&state=forged")).await;
    inspect("error-forged", "This sign-in was not started here", "Start again").await;
    browser.says("Cookies must be allowed for this site").await;
    browser.goto(&app.url("/auth/webflow/callback?code=c&code=d&state=s")).await;
    inspect("error-malformed", "This sign-in link is malformed", "Try again").await;
    browser.goto(&app.url("/auth/webflow/callback?error=invalid_scope")).await;
    inspect("error-refused", "Webflow refused the sign-in", "Try again").await;
    for (name, fault, heading) in [
        ("error-webflow-down", Fault::Status(503), "Webflow could not complete the sign-in"),
        ("error-webflow-timeout", Fault::Hang, "Webflow is not answering"),
        ("error-webflow-unreachable", Fault::Reset, "Webflow cannot be reached"),
        (
            "error-webflow-busy",
            Fault::RateLimited { retry_after: Duration::from_secs(60) },
            "Webflow is busy",
        ),
    ] {
        app.fake.fail_always(Endpoint::Token, fault);
        browser.goto(&app.url("/sites")).await;
        browser.press("Authorize").await;
        browser.arrives_at("/auth/webflow/callback").await;
        inspect(name, heading, "Try again").await;
        app.fake.heal();
    }
    // The page's link works once Webflow does.
    browser.press("Try again").await;
    browser.press("Authorize").await;
    browser.arrives_at("/sites").await;

    let answer = json!({ "access_token": "t", "scope": "sites:read cms:read" });
    app.fake.fail_next(Endpoint::Token, Fault::json(200, &answer));
    browser.goto(&app.url("/cms")).await;
    browser.press("Authorize").await;
    browser.arrives_at("/cms").await;
    inspect("error-missing-scopes", "Missing Webflow permissions", "Ask again").await;

    browser.goto(&app.url("/auth/webflow/login")).await;
    browser.press("Authorize").await;
    browser.arrives_at("/").await;
    browser.goto(&app.url("/cms")).await;
    browser.press("Cancel").await;
    browser.arrives_at("/auth/webflow/callback").await;
    inspect("error-no-more", "You declined the additional permissions", "Ask again").await;

    drop(folder);
    browser.goto(&app.url("/whoami")).await;
    inspect("error-store-down", "Sign-in is temporarily unavailable", "Try again").await;
    browser.press("Try again").await;
    assert_eq!(browser.path().await, "/whoami");
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium, chromedriver and axe-core: run scripts/test"]
async fn page_checks_fail_on_a_broken_page() {
    let (_fake, demo) = Demo::with_webflow(|builder| builder).await;
    let browser = Browser::start().await;
    browser.goto(&demo.url("/")).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    let inject = "const script = document.createElement('script'); \
         script.textContent = 'window.ran = true'; document.body.append(script); \
         const wide = document.createElement('img'); \
         wide.style = 'display: block; width: 4000px; height: 1px'; \
         document.body.append(wide); return window.ran === true";
    let ran = browser.client.execute(inject, Vec::new()).await.unwrap();
    assert_eq!(ran, false, "the policy keeps an inline script from running");
    let complaints = browser.complaints().await;
    assert!(complaints.iter().any(|it| it.contains("Content Security Policy")), "{complaints:?}");
    assert!(browser.overflow().await > 0);
    let violations = axe::violations(&browser).await;
    assert!(violations.iter().any(|it| it.contains("image-alt")), "{violations:?}");
    browser.stop().await;
}
