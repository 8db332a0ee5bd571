//! The Data API: authentication and tokens.

use http::header::HeaderName;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::answer::{Answer, api_error, json, with_header};
use super::issued::{Budget, Grant};
use super::log::RecordedRequest;
use super::oauth::comma_separated;
use super::state::{FakeState, User, lock, timestamp, too_many_requests};
use crate::grant::scope::Scope;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");

/// Forwards a request to `endpoint` if its bearer token is live, within its rate limit and has the
/// scope. A request without the scope counts against the limit too.
pub fn with_grant(
    fake: &FakeState,
    request: &RecordedRequest,
    scope: Option<&Scope>,
    endpoint: impl FnOnce(&Grant) -> Answer,
) -> Answer {
    let per_minute = fake.settings().requests_per_minute;
    let now = fake.clock.now();
    let spent = request.bearer().and_then(|token| lock(&fake.issued).spend(token, per_minute, now));
    let Some((grant, budget)) = spent else {
        return not_authorized();
    };
    let (remaining, answer) = match budget {
        Budget::Spent { retry_after } => (0, too_many_requests(retry_after)),
        Budget::Left(left) => {
            let missing = scope.filter(|scope| !grant.approval.scopes.contains(scope));
            let answer = missing.map_or_else(
                || endpoint(&grant),
                |scope| {
                    let message =
                        format!("OAuthForbidden: You are missing the following scopes - {scope}");
                    api_error(StatusCode::FORBIDDEN, "missing_scopes", &message)
                },
            );
            (left, answer)
        }
    };
    let answer = with_header(answer, LIMIT, HeaderValue::from(per_minute));
    with_header(answer, REMAINING, HeaderValue::from(remaining))
}

/// The response for a token that is dead or has no access. Source: the published schemas describe
/// every 401 as "invalid or does not have access to requested resource".
pub fn not_authorized() -> Answer {
    api_error(StatusCode::UNAUTHORIZED, "not_authorized", "Request not authorized")
}

/// `GET /v2/token/introspect`. Source: Webflow Data API, Token, *Get Authorization Info*.
pub fn introspect(fake: &FakeState, request: &RecordedRequest) -> Answer {
    with_grant(fake, request, None, |grant| {
        json(
            StatusCode::OK,
            &json!({
                "authorization": {
                    "id": grant.id,
                    "createdOn": timestamp(grant.created_at),
                    "lastUsed": timestamp(grant.last_used_at),
                    "grantType": "authorization_code",
                    "rateLimit": fake.settings().requests_per_minute,
                    "scope": comma_separated(&grant.approval.scopes),
                    "authorizedTo": grant.approval.access.to_json(&fake.user.id),
                },
                "application": {
                    "id": fake.app.id,
                    "description": "An app of the fake Webflow",
                    "homepage": "https://app.example",
                    "displayName": fake.app.name,
                },
            }),
        )
    })
}

/// `GET /v2/token/authorized_by`. Source: Webflow Data API, Token, *Get Authorization User Info*.
pub fn authorized_by(fake: &FakeState, request: &RecordedRequest) -> Answer {
    let scope = Some(&Scope::AUTHORIZED_USER_READ);
    with_grant(fake, request, scope, |_| json(StatusCode::OK, &fake.user.to_json()))
}

/// `POST /beta/token/resolve`: identifies the user of a Designer Extension. Source: Webflow,
/// *Hybrid Apps*.
///
/// Webflow documents only the success response and the scope. The other errors are a guess.
pub fn resolve_id_token(fake: &FakeState, request: &RecordedRequest) -> Answer {
    let scope = Some(&Scope::AUTHORIZED_USER_READ);
    with_grant(fake, request, scope, |grant| {
        let body = request.json().unwrap_or_default();
        let Some(id_token) = body.get("idToken").and_then(|token| token.as_str()) else {
            return api_error(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "idToken is missing or not a string",
            );
        };
        let issued = lock(&fake.issued);
        match issued.site_of_id_token(id_token, fake.clock.now()) {
            None => api_error(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "The ID token is unknown or older than 15 minutes",
            ),
            Some(site) if !grant.approval.access.covers(site, &fake.workspaces) => api_error(
                StatusCode::FORBIDDEN,
                "forbidden",
                "The ID token belongs to a site that is not authorized",
            ),
            Some(site) => {
                let User { id, email, first_name, last_name } = &fake.user;
                let user = json!({
                    "id": id,
                    "email": email,
                    "firstName": first_name,
                    "lastName": last_name,
                    "siteId": site,
                });
                json(StatusCode::OK, &user)
            }
        }
    })
}
