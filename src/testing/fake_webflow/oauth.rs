//! `/oauth/access_token` and `/oauth/revoke_authorization`.
//!
//! Source: Webflow Data API, OAuth, *Get an access token*, *Revoke an access token* and *Possible
//! Errors*. The exchange's fields are those that both official SDKs send.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Answer, OAuthError, ScopeShape, json};
use super::log::RecordedRequest;
use super::state::{FakeState, lock};
use crate::grant::scope::{Scope, Scopes};

/// `POST /oauth/access_token`.
pub fn exchange(fake: &FakeState, request: &RecordedRequest) -> Answer {
    let settings = fake.settings();
    try_exchange(fake, request, settings.scope_shape)
        .unwrap_or_else(|error| error.into_answer(settings.error_shape))
}

fn try_exchange(
    fake: &FakeState,
    request: &RecordedRequest,
    scope_shape: ScopeShape,
) -> Result<Answer, OAuthError> {
    let fields = Fields::read_json_or_form(request)?;
    let code = fields.required("code")?;
    let redirect_uri = fields.optional("redirect_uri")?;
    // The documentation's table omits grant_type, but both SDKs send it.
    if let Some(grant_type) = fields.optional("grant_type")?
        && grant_type != "authorization_code"
    {
        return Err(OAuthError::bad_request(
            "unsupported_grant_type",
            "grant_type must be authorization_code",
        ));
    }
    fields.check_client(fake)?;

    let now = fake.clock.now();
    let approval = lock(&fake.issued)
        .redeem(code, redirect_uri, now)
        .map_err(|why| OAuthError::bad_request("invalid_grant", why))?;
    let scopes = approval.scopes.clone();
    let token = fake.issue_token(approval);

    let mut body = Map::new();
    body.insert("access_token".into(), token.into());
    body.insert("token_type".into(), "bearer".into());
    if let Some(scope) = shape(&scopes, scope_shape) {
        body.insert("scope".into(), scope);
    }
    Ok(json(StatusCode::OK, &body.into()))
}

fn shape(scopes: &Scopes, shape: ScopeShape) -> Option<Value> {
    match shape {
        ScopeShape::Space => Some(scopes.to_string().into()),
        ScopeShape::Comma => Some(comma_separated(scopes).into()),
        ScopeShape::List => Some(scopes.iter().map(Scope::as_str).collect()),
        ScopeShape::Absent => None,
    }
}

pub fn comma_separated(scopes: &Scopes) -> String {
    scopes.to_string().replace(' ', ",")
}

/// `POST /oauth/revoke_authorization`.
pub fn revoke(fake: &FakeState, request: &RecordedRequest) -> Answer {
    try_revoke(fake, request).unwrap_or_else(|error| error.into_answer(fake.settings().error_shape))
}

fn try_revoke(fake: &FakeState, request: &RecordedRequest) -> Result<Answer, OAuthError> {
    let fields = Fields::read(request)?;
    let token = fields.required("access_token")?;
    fields.check_client(fake)?;
    if lock(&fake.issued).revoke(token) {
        Ok(json(StatusCode::OK, &json!({"did_revoke": true})))
    } else {
        Err(OAuthError::bad_request("invalid_token", "the token is unknown or already revoked"))
    }
}

/// The fields of a body.
struct Fields(Map<String, Value>);

impl Fields {
    /// The body of an exchange: both official SDKs send JSON, and an older page of the documentation
    /// has the form of RFC 6749 section 4.1.3.
    fn read_json_or_form(request: &RecordedRequest) -> Result<Self, OAuthError> {
        if !request.has_media_type("application/x-www-form-urlencoded") {
            return Self::read(request);
        }
        let mut fields = Map::new();
        for (name, value) in request.form() {
            if fields.insert(name.clone(), value.into()).is_some() {
                let problem = format!("{name} is given more than once");
                return Err(OAuthError::bad_request("invalid_request", problem));
            }
        }
        Ok(Self(fields))
    }

    fn read(request: &RecordedRequest) -> Result<Self, OAuthError> {
        if !request.has_media_type("application/json") {
            return Err(OAuthError::bad_request(
                "invalid_request",
                "Content-Type must be application/json",
            ));
        }
        match request.json() {
            Some(Value::Object(fields)) => Ok(Self(fields)),
            _ => Err(OAuthError::bad_request("invalid_request", "the body is not a JSON object")),
        }
    }

    fn required(&self, name: &str) -> Result<&str, OAuthError> {
        self.optional(name)?
            .filter(|value| !value.is_empty())
            .ok_or_else(|| OAuthError::bad_request("invalid_request", format!("{name} is missing")))
    }

    fn optional(&self, name: &str) -> Result<Option<&str>, OAuthError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => {
                Err(OAuthError::bad_request("invalid_request", format!("{name} is not a string")))
            }
        }
    }

    fn check_client(&self, fake: &FakeState) -> Result<(), OAuthError> {
        fake.check_client(self.required("client_id")?, self.required("client_secret")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_have_four_shapes() {
        let scopes = Scopes::from([Scope::SITES_READ, Scope::CMS_READ]);
        for (of, expected) in [
            (ScopeShape::Space, Some(json!("sites:read cms:read"))),
            (ScopeShape::Comma, Some(json!("sites:read,cms:read"))),
            (ScopeShape::List, Some(json!(["sites:read", "cms:read"]))),
            (ScopeShape::Absent, None),
        ] {
            assert_eq!(shape(&scopes, of), expected);
        }
    }
}
