//! The Data API, as far as the crate and its demo use it.

use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::log::RecordedRequest;
use super::reply::{Reply, api_error, json_reply};
use super::state::{FakeGrant, State};
use crate::Scope;
use crate::query::single;

/// How long an ID token of the Designer can be resolved. **D**ocumented by Webflow.
const ID_TOKEN_LIFETIME_SECS: u64 = 15 * 60;

/// The most items of one page of a list.
const MAX_PAGE: usize = 100;

pub(super) fn answer(state: &mut State, request: &RecordedRequest) -> Reply {
    let now = state.clock.unix_secs();
    let limit = state.rate_limit;
    let Some(grant) = bearer(request).and_then(|token| state.tokens.get_mut(token)) else {
        return api_error(
            StatusCode::UNAUTHORIZED,
            "not_authorized",
            "Request not authorized: the token is missing, revoked or unknown",
        );
    };
    let minute = now / 60;
    if grant.minute != minute {
        (grant.minute, grant.calls) = (minute, 0);
    }
    grant.calls = grant.calls.saturating_add(1);
    let calls = grant.calls;
    let grant = grant.clone();
    let mut reply = if calls > limit {
        let mut reply = api_error(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "Rate limit hit: wait before the next call",
        );
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(60 - now % 60));
        reply
    } else {
        route(state, &grant, request)
    };
    for (name, value) in [
        (HeaderName::from_static("x-ratelimit-limit"), limit),
        (HeaderName::from_static("x-ratelimit-remaining"), limit.saturating_sub(calls)),
    ] {
        reply.headers_mut().insert(name, HeaderValue::from(value));
    }
    reply
}

fn bearer(request: &RecordedRequest) -> Option<&str> {
    request.headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn route(state: &State, grant: &FakeGrant, request: &RecordedRequest) -> Reply {
    let segments: Vec<_> = request.path.trim_start_matches('/').split('/').collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", ["v2", "token", "introspect"]) => introspect(state, grant),
        ("GET", ["v2", "token", "authorized_by"]) => {
            with_scope(grant, &Scope::AUTHORIZED_USER_READ, || json_reply(StatusCode::OK, &user()))
        }
        ("GET", ["v2", "sites"]) => with_scope(grant, &Scope::SITES_READ, || sites(state, grant)),
        ("GET", ["v2", "sites", site, "collections"]) => {
            with_scope(grant, &Scope::CMS_READ, || collections(grant, site, &request.query))
        }
        ("POST", ["v2", "collections", collection, "items"]) => {
            with_scope(grant, &Scope::CMS_WRITE, || create_item(collection, request))
        }
        ("POST", ["beta", "token", "resolve"]) => resolve(state, request),
        _ => api_error(StatusCode::NOT_FOUND, "resource_not_found", "Requested resource not found"),
    }
}

fn with_scope(grant: &FakeGrant, scope: &Scope, answer: impl FnOnce() -> Reply) -> Reply {
    if grant.scopes.contains(scope) {
        answer()
    } else {
        api_error(
            StatusCode::FORBIDDEN,
            "missing_scopes",
            &format!("OAuthForbidden: You are missing the following scopes - {scope}"),
        )
    }
}

fn introspect(state: &State, grant: &FakeGrant) -> Reply {
    let scope: Vec<_> = grant.scopes.iter().map(Scope::as_str).collect();
    json_reply(
        StatusCode::OK,
        &json!({
            "authorization": {
                "id": grant.authorization_id,
                "createdOn": "2026-01-01T00:00:00.000Z",
                "lastUsed": "2026-01-01T00:00:00.000Z",
                "grantType": "authorization_code",
                "rateLimit": state.rate_limit,
                "scope": scope.join(","),
                "authorizedTo": {
                    "siteIds": grant.sites,
                    "workspaceIds": grant.workspaces,
                    "userIds": [],
                },
            },
            "application": {
                "id": state.client_id,
                "description": "An app under test",
                "homepage": "https://app.example.com",
                "displayName": "App under test",
            },
        }),
    )
}

fn user() -> Value {
    json!({
        "id": "65427cf400e02b306eac0001",
        "email": "ada@example.com",
        "firstName": "Ada",
        "lastName": "Lovelace",
    })
}

fn sites(state: &State, grant: &FakeGrant) -> Reply {
    let sites: Vec<_> = state
        .sites
        .iter()
        .filter(|site| grant.sites.contains(&site.id))
        .map(|site| {
            json!({
                "id": site.id,
                "workspaceId": site.workspace_id,
                "displayName": site.display_name,
                "shortName": site.display_name.to_lowercase().replace(' ', "-"),
                "previewUrl": null,
                "timeZone": "Europe/Berlin",
                "createdOn": "2026-01-01T00:00:00.000Z",
                "lastUpdated": "2026-01-01T00:00:00.000Z",
                "lastPublished": null,
                "customDomains": [],
            })
        })
        .collect();
    json_reply(StatusCode::OK, &json!({ "sites": sites }))
}

/// 250 collections for each site: enough for three pages.
fn collections(grant: &FakeGrant, site: &str, query: &str) -> Reply {
    const TOTAL: usize = 250;
    if !grant.sites.iter().any(|it| it == site) {
        return api_error(StatusCode::NOT_FOUND, "resource_not_found", "Site not found");
    }
    let number = |name, default| {
        let text = single(query, name).ok().flatten();
        text.and_then(|text| text.parse::<usize>().ok()).unwrap_or(default)
    };
    let (offset, limit) = (number("offset", 0), number("limit", MAX_PAGE));
    if limit == 0 || limit > MAX_PAGE {
        let message = "Validation Error: limit must be 1 to 100";
        return api_error(StatusCode::BAD_REQUEST, "validation_error", message);
    }
    let page: Vec<_> = (0..TOTAL)
        .skip(offset)
        .take(limit)
        .map(|i| json!({ "id": format!("{site}-{i}"), "displayName": format!("Collection {i}") }))
        .collect();
    let pagination = json!({ "limit": limit, "offset": offset, "total": TOTAL });
    json_reply(StatusCode::OK, &json!({ "collections": page, "pagination": pagination }))
}

fn create_item(collection: &str, request: &RecordedRequest) -> Reply {
    match request.json() {
        Value::Object(mut item) => {
            item.insert("id".to_owned(), json!(format!("{collection}-item")));
            json_reply(StatusCode::ACCEPTED, &Value::Object(item))
        }
        _ => api_error(StatusCode::BAD_REQUEST, "validation_error", "the body must be an object"),
    }
}

/// `POST /beta/token/resolve`: whose ID token it is.
fn resolve(state: &State, request: &RecordedRequest) -> Reply {
    let body = request.json();
    let token = body.get("idToken").and_then(Value::as_str);
    let issued_at = token.and_then(|token| state.id_tokens.get(token));
    let fresh = issued_at.is_some_and(|at| {
        let age = state.clock.now().duration_since(*at).unwrap_or_default();
        age.as_secs() < ID_TOKEN_LIFETIME_SECS
    });
    if fresh {
        json_reply(StatusCode::OK, &user())
    } else {
        api_error(StatusCode::BAD_REQUEST, "bad_request", "the ID token is unknown or expired")
    }
}
