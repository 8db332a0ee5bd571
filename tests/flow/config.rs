//! A configuration error lists every problem, each with its remedy.

use std::time::Duration;

use crate::support::App;
use crate::support::log::logged;
use tower_webflow_auth::{Endpoints, Keyring, Scope, WebflowAuthLayer, config::WebflowAuthBuilder};

fn good() -> WebflowAuthBuilder {
    WebflowAuthLayer::builder()
        .client_id("id")
        .client_secret("secret")
        .redirect_uri("https://app.example.com/auth/webflow/callback")
        .scopes([Scope::SITES_READ])
        .keyring(Keyring::generate())
}

#[test]
fn complete_configuration_builds_and_exposes_its_paths() {
    let auth = good().build().unwrap();
    assert_eq!(auth.callback_path(), "/auth/webflow/callback");
    assert_eq!(auth.login_path(), Some("/auth/webflow/login"));
    assert_eq!(auth.logout_path(), Some("/auth/webflow/logout"));
    let auth = good().login_path("/in").logout_path(None).build().unwrap();
    assert_eq!((auth.login_path(), auth.logout_path()), (Some("/in"), None));
}

#[test]
fn i7_app_name_fits_into_a_cookie_name() {
    for name in ["a", "staging-2", &"x".repeat(32)] {
        assert!(good().name(name).build().is_ok(), "{name}");
    }
    for name in ["", "Staging", "a.b", "a b", "a;b", "\u{fc}", &"x".repeat(33)] {
        let error = good().name(name).build().unwrap_err();
        assert_eq!(error.problems()[0].setting(), "name", "{error}");
    }
}

#[test]
fn every_missing_setting_is_reported() {
    let error = WebflowAuthLayer::builder().build().unwrap_err();
    assert_eq!(error.problems().len(), 5, "{error}");
    for name in [
        "WEBFLOW_CLIENT_ID",
        "WEBFLOW_CLIENT_SECRET",
        "WEBFLOW_REDIRECT_URI",
        "WEBFLOW_SCOPES",
        "WEBFLOW_AUTH_KEY",
    ] {
        assert!(error.to_string().contains(name), "{name} in {error}");
    }
    assert!(error.to_string().contains("openssl rand -base64 32"));
}

#[test]
fn every_malformed_setting_is_reported() {
    for (builder, expected) in vec![
        (good().client_id(" "), "client_id"),
        (good().client_secret(""), "client_secret"),
        (good().redirect_uri("http://app.example.com/cb"), "is not https"),
        (good().redirect_uri("https://app.example.com/cb#top"), "has a fragment"),
        (good().redirect_uri("/cb"), "is not an absolute address"),
        (good().scopes([]), "scopes"),
        (good().login_path("login"), "login_path is not a path that"),
        (good().page_style("</style><script>"), "page_style contains `</`"),
        (good().application_id("the app"), "application_id (WEBFLOW_APP_ID) is not a Webflow ID"),
        (good().login_path("/auth/webflow/callback"), "the same as another"),
        (
            good().redirect_uri("https://app.example.com/auth/webflow/login"),
            "redirect_uri (WEBFLOW_REDIRECT_URI) has the path of login_path",
        ),
        (good().login_path("/a").logout_path("/a"), "the same as another"),
        (
            good().redirect_uri("https://app.example.com"),
            "redirect_uri (WEBFLOW_REDIRECT_URI) has the path /",
        ),
        (good().login_path("/"), "login_path has the path /"),
        (good().flow_lifetime(Duration::ZERO), "flow_lifetime is 0ns"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
        assert!(error.to_string().contains(expected), "{expected:?} in {error}");
    }
    assert!(Endpoints::at("http://webflow.example").unwrap_err().to_string().contains("https"));
    assert!(Scope::new("read all").unwrap_err().to_string().contains("sites:read"));
    assert!(Keyring::from_base64("c2hvcnQ").unwrap_err().to_string().contains("32 bytes"));
}

mod s_settings_that_cannot_work {
    use super::*;

    fn problem(builder: WebflowAuthBuilder) -> String {
        builder.build().unwrap_err().to_string()
    }

    #[test]
    fn lifetimes_under_a_second_are_refused() {
        let short = Duration::from_millis(999);
        assert!(problem(good().flow_lifetime(short)).contains("flow_lifetime is 999ms"));
        assert!(problem(good().session_lifetime(short)).contains("session_lifetime is 999ms"));
        assert!(good().session_lifetime(Duration::from_secs(1)).build().is_ok());
    }

    #[test]
    fn paths_that_browsers_change_are_refused() {
        for path in [
            "/caf\u{e9}",
            "/a\"b",
            "/a'b",
            "/a\tb",
            "/a b",
            "/../a",
            "/a/./b",
            "/a/..",
            "/%2e%2e/a",
            "/a\\b",
            "/a?b",
            "/a#b",
            "//a",
            "a",
            "",
        ] {
            assert!(problem(good().login_path(path)).contains("login_path"), "{path:?}");
            assert!(problem(good().logout_path(path)).contains("logout_path"), "{path:?}");
        }
        for path in ["/a", "/a/b", "/caf%C3%A9", "/a.b", "/~a/b-c_d"] {
            assert!(good().login_path(path).build().is_ok(), "{path:?}");
        }
    }

    #[test]
    fn p11_an_address_without_its_scheme_is_named_as_such() {
        let error = Endpoints::at("localhost:4000").unwrap_err().to_string();
        assert!(error.contains("WEBFLOW_BASE_URL) does not begin with http://"), "{error}");
    }

    #[test]
    fn p11_undocumented_scopes_are_reported_once_at_build() {
        let log = logged();
        good().scopes([Scope::new("sites:reed").unwrap(), Scope::CMS_READ]).build().unwrap();
        let text = log.0.text();
        assert!(text.contains("sites:reed") && text.contains("check their spelling"), "{text}");
        assert!(!text.contains("cms:read"), "{text}");
    }

    #[test]
    fn a_redirect_uri_with_parameters_of_the_response_is_refused() {
        for name in ["state", "code", "error", "error_description"] {
            let uri = format!("https://app.example.com/cb?{name}=1");
            let problem = problem(good().redirect_uri(uri));
            assert!(problem.contains(&format!("query parameter {name}")), "{problem}");
        }
        assert!(good().redirect_uri("https://app.example.com/cb?tenant=1").build().is_ok());
    }

    #[tokio::test]
    async fn the_clock_reaches_the_default_store() {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let app =
            App::with(|builder| builder.session_lifetime(2 * YEAR).session_max_lifetime(2 * YEAR))
                .await;
        let mut browser = app.connected().await;
        app.clock.advance(YEAR.saturating_sub(Duration::from_secs(60)));
        assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "connected");
        app.clock.advance(Duration::from_secs(120));
        assert_eq!(browser.visit(&app.url("/")).await.unwrap().text, "not connected");
    }
}

#[test]
fn errors_never_contain_a_secret() {
    let error = WebflowAuthLayer::builder().client_secret("hunter2").build().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    let error = Keyring::from_base64("aHVudGVyMg").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("aHVudGVyMg"));
}
