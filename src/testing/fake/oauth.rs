//! The exchange and the revocation.

use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::log::RecordedRequest;
use super::reply::{Reply, json_reply, oauth_error};
use super::secret;
use super::state::{CODE_LIFETIME, State};

/// `POST /oauth/access_token` (Webflow Data API, OAuth, *Get an access token*).
pub(super) fn exchange(state: &mut State, request: &RecordedRequest) -> Reply {
    let Some(body) = json_body(request) else {
        return invalid_request(NOT_JSON);
    };
    let (Some(id), Some(secret_given), Some(code)) =
        (text(&body, "client_id"), text(&body, "client_secret"), text(&body, "code"))
    else {
        return invalid_request("client_id, client_secret and code are required");
    };
    if text(&body, "grant_type").is_some_and(|grant| grant != "authorization_code") {
        return oauth_error(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "grant_type must be authorization_code",
        );
    }
    if id != state.client_id || secret_given != state.client_secret {
        return invalid_client();
    }
    // A code is used up by the first request that names it, also by one that fails.
    let Some(code) = state.codes.remove(code) else {
        return invalid_grant("the code is unknown or was used");
    };
    let age = state.clock.now().duration_since(code.issued_at).unwrap_or_default();
    if age >= CODE_LIFETIME {
        return invalid_grant("the code is older than 15 minutes");
    }
    if let Some(sent) = &code.redirect_uri
        && text(&body, "redirect_uri") != Some(sent.as_str())
    {
        return invalid_grant("redirect_uri is not the one of the authorize link");
    }
    let token = secret();
    let scope = code.grant.scopes.to_string();
    state.tokens.insert(token.clone(), code.grant);
    state.issued += 1;
    json_reply(
        StatusCode::OK,
        &json!({ "access_token": token, "token_type": "bearer", "scope": scope }),
    )
}

/// `POST /oauth/revoke_authorization` (Webflow Data API, OAuth, *Revoke an access token*).
pub(super) fn revoke(state: &mut State, request: &RecordedRequest) -> Reply {
    let Some(body) = json_body(request) else {
        return invalid_request(NOT_JSON);
    };
    let (Some(id), Some(secret), Some(token)) =
        (text(&body, "client_id"), text(&body, "client_secret"), text(&body, "access_token"))
    else {
        return invalid_request("client_id, client_secret and access_token are required");
    };
    if id != state.client_id || secret != state.client_secret {
        return invalid_client();
    }
    if state.tokens.remove(token).is_none() {
        return oauth_error(
            StatusCode::BAD_REQUEST,
            "invalid_token",
            "the token is unknown or was revoked",
        );
    }
    json_reply(StatusCode::OK, &json!({ "did_revoke": true }))
}

const NOT_JSON: &str = "the body must be a JSON object";

fn json_body(request: &RecordedRequest) -> Option<Value> {
    let json = request.headers.get(CONTENT_TYPE).is_some_and(|content_type| {
        content_type.as_bytes().to_ascii_lowercase().starts_with(b"application/json")
    });
    match request.json() {
        body @ Value::Object(_) if json => Some(body),
        _ => None,
    }
}

fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}

fn invalid_request(description: &str) -> Reply {
    oauth_error(StatusCode::BAD_REQUEST, "invalid_request", description)
}

fn invalid_grant(description: &str) -> Reply {
    oauth_error(StatusCode::BAD_REQUEST, "invalid_grant", description)
}

fn invalid_client() -> Reply {
    oauth_error(StatusCode::UNAUTHORIZED, "invalid_client", "client id or secret is wrong")
}
