//! The app's own users: signing up, in and out.

use axum::http::StatusCode;
use tower_webflow_auth::testing::TestBrowser;

use crate::stage::{PASSWORD, Stage, fill, post};

#[tokio::test]
async fn wrong_password_and_unknown_address_look_alike() {
    let stage = Stage::start().await;
    stage.signed_up("ada@example.com").await;
    let mut browser = TestBrowser::new();
    let login = stage.url("/login");
    for (email, password) in
        [("ada@example.com", "another password"), ("bob@example.com", PASSWORD)]
    {
        let page = fill(&mut browser, &login, email, password).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{email}");
        assert!(page.text.contains("The e-mail address or password is wrong."), "{}", page.text);
        assert_eq!(browser.cookies("127.0.0.1"), []);
    }
    let page = fill(&mut browser, &login, " Ada@Example.com", PASSWORD).await;
    assert_eq!((page.path(), page.status), ("/", StatusCode::OK), "{}", page.text);
}

#[tokio::test]
async fn unusable_sign_ups_are_refused_with_a_reason() {
    let stage = Stage::start().await;
    stage.signed_up("ada@example.com").await;
    let mut browser = TestBrowser::new();
    let long = "x".repeat(201);
    for (email, password, problem) in [
        ("ada@example.com", PASSWORD, "There is an account"),
        ("nobody", PASSWORD, "not an e-mail address"),
        ("bob@example.com", "short", "at least 10 characters"),
        ("bob@example.com", &long, "at most 200"),
    ] {
        let page = fill(&mut browser, &stage.url("/signup"), email, password).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{email} {password}");
        assert!(page.text.contains(problem), "{problem} in {}", page.text);
    }
    let odd = fill(&mut browser, &stage.url("/signup"), "<b>\"@x", PASSWORD).await;
    assert!(!odd.text.contains("<b>"), "{}", odd.text);
}

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let stage = Stage::start().await;
    let mut browser = stage.signed_up("ada@example.com").await;
    for path in ["/signout", "/login", "/signup", "/grant"] {
        let page = post(&mut browser, &stage.url(path), &[], "cross-site").await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}");
    }
    let page = browser.visit(&stage.url("/")).await.unwrap();
    assert!(page.text.contains("ada@example.com"), "still signed in");
}

#[tokio::test]
async fn sign_in_leads_to_paths_of_this_origin_only() {
    let stage = Stage::start().await;
    stage.signed_up("ada@example.com").await;
    let fields = [("email", "ada@example.com"), ("password", PASSWORD)];
    for (next, to) in [
        ("/nowhere?a=b", "/nowhere?a=b"),
        ("//evil.example", "/"),
        ("/%5Cevil.example", "/"),
        ("/%09/evil.example", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
    ] {
        let url = stage.url(&format!("/login?next={next}"));
        let page = post(&mut TestBrowser::new(), &url, &fields, "same-origin").await;
        assert_eq!(page.location().unwrap().as_str(), stage.url(to), "{next}");
    }
}

#[tokio::test]
async fn session_cookie_is_kept_from_scripts_and_ends_with_the_sign_out() {
    let stage = Stage::start().await;
    let mut browser = TestBrowser::new();
    let fields = [("email", "ada@example.com"), ("password", PASSWORD)];
    let page = post(&mut browser, &stage.url("/signup"), &fields, "same-origin").await;
    let cookie = page.set_cookies()[0].to_owned();
    for attribute in ["session=", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
        assert!(cookie.contains(attribute), "{attribute} in {cookie}");
    }
    let [(name, value)] = browser.cookies("127.0.0.1").try_into().unwrap();
    browser.submit(&stage.url("/signout")).await.unwrap();
    assert_eq!(browser.cookies("127.0.0.1"), []);
    browser.set_cookie("127.0.0.1", &name, &value);
    let page = browser.visit(&stage.url("/")).await.unwrap();
    assert!(!page.text.contains("ada@example.com"), "the session has ended: {}", page.text);
}
