//! The text of every page, one snapshot each. `INSTA_UPDATE=always cargo test --lib pages_test`
//! accepts a change.

use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;

use super::{FailureKind, Problem, catalog, page};

fn login_url() -> String {
    "/auth/webflow/login?return_to=%2Fsites".to_owned()
}

#[rustfmt::skip]
fn problems() -> Vec<(&'static str, Problem)> {
    let minute = Duration::from_secs(60);
    let call = |kind, status, detail: &str| catalog::extract::call_failed(kind, status, detail.to_owned());
    vec![
        ("login_required", catalog::login_required(login_url())),
        ("not_signed_in", catalog::not_signed_in()),
        ("missing_scopes", catalog::missing_scopes("cms:write".to_owned())),
        ("renewed_token_refused", catalog::renewed_token_refused(login_url())),
        ("token_replaced", catalog::token_replaced()),
        ("store_unavailable", catalog::store_unavailable()),
        ("subject_unavailable", catalog::subject_unavailable()),
        ("internal", catalog::internal()),
        ("method_not_allowed", catalog::method_not_allowed("GET, HEAD")),
        ("prefetch", catalog::prefetch()),
        ("misplaced_endpoints", catalog::misplaced_endpoints("/auth/webflow/callback")),
        ("malformed_login", catalog::malformed_login()),
        ("cross_origin", catalog::cross_origin("https://app.example.com")),
        ("malformed_logout", catalog::malformed_logout()),
        ("webflow_not_told", catalog::webflow_not_told()),
        ("malformed_callback", catalog::malformed_callback()),
        ("flow_expired", catalog::flow_expired()),
        ("hook_refused", catalog::hook_refused()),
        ("unknown_flow", catalog::unknown_flow()),
        ("unknown_flow_on_loopback", catalog::unknown_flow_on_loopback()),
        ("misplaced_callback", catalog::misplaced_callback("/callback", "/auth/webflow/callback")),
        ("more_scopes_required", catalog::more_scopes_required(login_url())),
        ("step_up_declined", catalog::step_up_declined()),
        ("access_denied", catalog::authorization_refused("access_denied")),
        ("invalid_scope", catalog::authorization_refused("invalid_scope")),
        ("unauthorized_client", catalog::authorization_refused("unauthorized_client")),
        ("server_error", catalog::authorization_refused("server_error")),
        ("unknown_error", catalog::authorization_refused("unknown")),
        ("invalid_grant", catalog::invalid_grant()),
        ("webflow_refused", catalog::webflow_refused()),
        ("webflow_timeout", catalog::webflow_timeout()),
        ("webflow_unreachable", catalog::webflow_unreachable()),
        ("webflow_busy", catalog::webflow_busy(Some(minute))),
        ("too_many_callbacks", catalog::too_many_callbacks()),
        ("too_many_logouts", catalog::too_many_logouts()),
        ("shutting_down", catalog::shutting_down()),
        ("options_without_token", catalog::extract::options_without_token()),
        ("user_pending", catalog::extract::user_pending()),
        ("token_refused", catalog::extract::token_refused()),
        ("layer_missing", catalog::extract::layer_missing("Add the layer.")),
        ("invalid_request", call(FailureKind::InvalidRequest, StatusCode::INTERNAL_SERVER_ERROR, "No path.")),
        ("webflow_forbids", call(FailureKind::WebflowForbids, StatusCode::FORBIDDEN, "No scope.")),
        ("panel_media_type", catalog::panel::media_type()),
        ("panel_too_large", catalog::panel::too_large()),
        ("panel_timeout", catalog::panel::timeout()),
        ("panel_malformed", catalog::panel::malformed()),
        ("panel_busy", catalog::panel::busy()),
        ("panel_id_token_refused", catalog::panel::id_token_refused()),
        ("panel_too_many_id_tokens", catalog::panel::too_many_id_tokens(minute)),
        ("panel_not_connected", catalog::panel::not_connected(login_url())),
        ("panel_webflow_error", catalog::panel::webflow_error()),
        ("panel_webflow_rate_limit", catalog::panel::webflow_rate_limit(Some(minute))),
        ("panel_bearer_refused", catalog::panel::bearer_refused()),
        ("panel_bearer_required", catalog::panel::bearer_required()),
        ("webhook_refused", catalog::webhook::refused()),
        ("webhook_media_type", catalog::webhook::media_type()),
        ("webhook_too_large", catalog::webhook::too_large()),
        ("webhook_timeout", catalog::webhook::timeout()),
        ("webhook_malformed", catalog::webhook::malformed()),
        ("webhook_busy", catalog::webhook::busy()),
        ("webhook_layer_missing", catalog::webhook::layer_missing("Add the layer.")),
    ]
}

/// What the page says, and where its link leads.
fn text(problem: &Problem) -> String {
    let page = page::problem(problem, false).into_string();
    let main = page.split_once("<main>").unwrap().1;
    let mut lines = Vec::new();
    for tag in main.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').unwrap();
        if let Some(target) = tag.strip_prefix("a href=") {
            lines.push(format!("[{text}] to {target}"));
        } else if !text.trim().is_empty() {
            lines.push(text.to_owned());
        }
    }
    lines.join("\n")
}

#[test]
fn every_page_says_what_its_snapshot_says() {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path("pages");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, problem) in problems() {
            insta::assert_snapshot!(name, text(&problem));
        }
    });
}

#[test]
fn every_kind_has_a_snapshot() {
    let shown: BTreeSet<_> = problems().iter().map(|(_, problem)| problem.kind.as_str()).collect();
    let missing: Vec<_> =
        FailureKind::ALL.iter().filter(|kind| !shown.contains(kind.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
