//! The panel path's response to a valid ID token.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::bearer::Panels;
use crate::bearer::sealed::seal;
use crate::bearer::session::PanelSession;
use crate::context::Context;
use crate::grant::user::WebflowUser;
use crate::lifecycle::id_token::Resolved;
use crate::problem::{Answer, Problem, answer, catalog};

/// The last second that RFC 3339 can express.
const LAST_SECOND: u64 = 253_402_300_799;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedIn<'a> {
    token: &'a str,
    expires_at: String,
    user: &'a WebflowUser,
}

/// Issues a bearer for the user, the site and the grant that resolved the ID token.
pub fn respond(
    context: &Context,
    panels: &Panels,
    site_id: String,
    resolved: Resolved,
) -> Result<Answer, Problem> {
    let session = PanelSession { user: resolved.user, site_id };
    let expires = context.clock.unix_secs().saturating_add(panels.lifetime.as_secs());
    let expires = expires.min(LAST_SECOND);
    let (binding, keyring) = (&context.session_binding, &context.keyring);
    let token = seal(&session, &resolved.token, expires, binding, keyring)
        .ok_or_else(catalog::panel::webflow_error)?;
    let expires_at = rfc_3339(expires).ok_or_else(catalog::internal)?;
    let body = SignedIn { token: &token, expires_at, user: &session.user };
    let body = serde_json::to_vec(&body).map_err(|_| catalog::internal())?;
    let mut answer = answer(StatusCode::OK, body);
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    Ok(answer)
}

fn rfc_3339(unix_secs: u64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(i64::try_from(unix_secs).ok()?).ok()?;
    at.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expiry_is_formatted_in_utc() {
        assert_eq!(rfc_3339(0).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(rfc_3339(1_800_000_000).unwrap(), "2027-01-15T08:00:00Z");
        assert_eq!(rfc_3339(LAST_SECOND).unwrap(), "9999-12-31T23:59:59Z");
    }
}
