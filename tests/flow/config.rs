//! Every problem of a configuration is named at once, with its remedy.

use std::time::Duration;

use tower_webflow_auth::{Endpoints, Keyring, Scope, WebflowAuthBuilder, WebflowAuthLayer};

fn good() -> WebflowAuthBuilder {
    WebflowAuthLayer::builder()
        .client_id("id")
        .client_secret("secret")
        .redirect_uri("https://app.example.com/auth/webflow/callback")
        .scopes([Scope::SITES_READ])
        .keyring(Keyring::generate())
}

#[test]
fn a_whole_configuration_is_accepted_and_says_where_its_paths_are() {
    let auth = good().build().unwrap();
    assert_eq!(auth.callback_path(), "/auth/webflow/callback");
    assert_eq!(auth.login_path(), Some("/auth/webflow/login"));
    assert_eq!(auth.logout_path(), Some("/auth/webflow/logout"));
    let auth = good().login_path("/in").logout_path(None).build().unwrap();
    assert_eq!((auth.login_path(), auth.logout_path()), (Some("/in"), None));
}

#[test]
fn everything_that_is_missing_is_named_in_one_go() {
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
fn each_malformed_setting_is_named() {
    for (builder, expected) in [
        (good().client_id(" "), "client_id"),
        (good().client_secret(""), "client_secret"),
        (good().redirect_uri("http://app.example.com/cb"), "is not https"),
        (good().redirect_uri("https://app.example.com/cb#top"), "has a fragment"),
        (good().redirect_uri("/cb"), "is not an absolute address"),
        (good().scopes([]), "scopes"),
        (good().login_path("login"), "login_path is not a path"),
        (good().login_path("/auth/webflow/callback"), "the same as another"),
        (good().login_path("/a").logout_path("/a"), "the same as another"),
        (
            good().redirect_uri("https://app.example.com"),
            "redirect_uri (WEBFLOW_REDIRECT_URI) has the path /",
        ),
        (good().login_path("/"), "login_path has the path /"),
        (good().flow_lifetime(Duration::ZERO), "flow_lifetime is zero"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
        assert!(error.to_string().contains(expected), "{expected:?} in {error}");
    }
    assert!(Endpoints::at("http://webflow.example").unwrap_err().to_string().contains("https"));
    assert!(Scope::new("read all").unwrap_err().to_string().contains("sites:read"));
    assert!(Keyring::from_base64("c2hvcnQ").unwrap_err().to_string().contains("32 bytes"));
}

#[test]
fn no_error_repeats_a_secret() {
    let error = WebflowAuthLayer::builder().client_secret("hunter2").build().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    let error = Keyring::from_base64("aHVudGVyMg").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("aHVudGVyMg"));
}
