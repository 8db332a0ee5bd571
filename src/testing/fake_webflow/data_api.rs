//! The Data API: authentication, tokens and sites.

use http::header::HeaderName;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::answer::{Answer, ListShape, api_error, json, not_found, with_header};
use super::directory::{Site, Workspace};
use super::ledger::{Budget, Grant};
use super::log::RecordedRequest;
use super::oauth::comma_separated;
use super::world::{User, World, lock, timestamp, too_many_requests};
use crate::grant::scope::Scope;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");

/// Forwards a request to `endpoint` if its bearer token is live, within its rate limit and has the
/// scope. A request without the scope counts against the limit too.
pub(super) fn with_grant(
    world: &World,
    request: &RecordedRequest,
    scope: Option<&Scope>,
    endpoint: impl FnOnce(&Grant) -> Answer,
) -> Answer {
    let per_minute = world.settings().requests_per_minute;
    let now = world.clock.now();
    let spent =
        request.bearer().and_then(|token| lock(&world.ledger).spend(token, per_minute, now));
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
fn not_authorized() -> Answer {
    api_error(StatusCode::UNAUTHORIZED, "not_authorized", "Request not authorized")
}

/// `GET /v2/token/introspect`. Source: Webflow Data API, Token, *Get Authorization Info*.
pub(super) fn introspect(world: &World, request: &RecordedRequest) -> Answer {
    with_grant(world, request, None, |grant| {
        json(
            StatusCode::OK,
            &json!({
                "authorization": {
                    "id": grant.id,
                    "createdOn": timestamp(grant.created_at),
                    "lastUsed": timestamp(grant.last_used_at),
                    "grantType": "authorization_code",
                    "rateLimit": world.settings().requests_per_minute,
                    "scope": comma_separated(&grant.approval.scopes),
                    "authorizedTo": grant.approval.access.to_json(&world.user.id),
                },
                "application": {
                    "id": world.app.client_id,
                    "description": "An app of the fake Webflow",
                    "homepage": "https://app.example",
                    "displayName": world.app.name,
                },
            }),
        )
    })
}

/// `GET /v2/token/authorized_by`. Source: Webflow Data API, Token, *Get Authorization User Info*.
pub(super) fn authorized_by(world: &World, request: &RecordedRequest) -> Answer {
    let scope = Some(&Scope::AUTHORIZED_USER_READ);
    with_grant(world, request, scope, |_| json(StatusCode::OK, &world.user.to_json()))
}

/// `GET /v2/sites`: the sites that the user chose. Source: Webflow Data API, *List Sites*.
pub(super) fn sites(world: &World, request: &RecordedRequest) -> Answer {
    with_grant(world, request, Some(&Scope::SITES_READ), |grant| {
        let created = timestamp(world.started_at);
        let sites: Vec<_> =
            sites_of(world, grant).into_iter().map(|site| site.to_json(&created)).collect();
        let sites = match world.settings().list_shape {
            ListShape::Null => Value::Null,
            _ => sites.into(),
        };
        json(StatusCode::OK, &json!({"sites": sites}))
    })
}

/// `GET /v2/sites/{site_id}`. Source: Webflow Data API, *Get Site*.
pub(super) fn site(world: &World, request: &RecordedRequest, id: &str) -> Answer {
    with_grant(world, request, Some(&Scope::SITES_READ), |grant| {
        if let Some(refused) = refuse_site(world, grant, |site| site.id() == id) {
            return refused;
        }
        let site = sites_of(world, grant).into_iter().find(|site| site.id() == id);
        let created = timestamp(world.started_at);
        json(StatusCode::OK, &site.map_or(Value::Null, |site| site.to_json(&created)))
    })
}

/// The response if the grant has no access to this site, or the site does not exist.
pub(super) fn refuse_site(
    world: &World,
    grant: &Grant,
    is_it: impl Fn(&Site) -> bool,
) -> Option<Answer> {
    if sites_of(world, grant).into_iter().any(&is_it) {
        return None;
    }
    let exists = world.workspaces.iter().flat_map(Workspace::sites).any(is_it);
    Some(if exists { not_authorized() } else { not_found("Requested resource not found") })
}

pub(super) fn sites_of<'a>(world: &'a World, grant: &Grant) -> Vec<&'a Site> {
    let access = &grant.approval.access;
    access.resolve(&world.workspaces).unwrap_or_default()
}

/// `POST /beta/token/resolve`: identifies the user of a Designer Extension. Source: Webflow,
/// *Hybrid Apps*.
///
/// Webflow documents only the success response and the scope. The other errors are a guess.
pub(super) fn resolve_id_token(world: &World, request: &RecordedRequest) -> Answer {
    let scope = Some(&Scope::AUTHORIZED_USER_READ);
    with_grant(world, request, scope, |grant| {
        let body = request.json().unwrap_or_default();
        let Some(id_token) = body.get("idToken").and_then(|token| token.as_str()) else {
            return api_error(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "idToken is missing or not a string",
            );
        };
        let ledger = lock(&world.ledger);
        match ledger.site_of_id_token(id_token, world.clock.now()) {
            None => api_error(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "The ID token is unknown or older than 15 minutes",
            ),
            Some(site) if !grant.approval.access.covers(site, &world.workspaces) => api_error(
                StatusCode::FORBIDDEN,
                "forbidden",
                "The ID token belongs to a site that is not authorized",
            ),
            Some(site) => {
                let User { id, email, first_name, last_name } = &world.user;
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
