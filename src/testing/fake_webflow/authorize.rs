//! `/oauth/authorize`: validates the link and handles the user's decision.
//!
//! Source: Webflow Data API, OAuth, *Authorization Code Grant Flow* and *Troubleshooting*; RFC 6749
//! section 4.1.1. Errors are shown to the user and never sent to the app.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;
use url::form_urlencoded;

use super::answer::{Answer, redirect};
use super::consent;
use super::consent::Rejected;
use super::issued::Approval;
use super::log::RecordedRequest;
use super::state::FakeState;
use super::workspaces::Access;
use crate::grant::scope::{Scope, Scopes};

/// Why the consent page rejected a link, as shown on its 400 page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(Cow<'static, str>);

impl Refused {
    pub(super) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }

    /// Returns the reason as a sentence.
    pub fn reason(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the consent page rejected the request: {}", self.0)
    }
}

impl std::error::Error for Refused {}

/// A valid authorize link.
pub struct AuthorizationRequest {
    pub redirect_uri: String,
    pub redirect_uri_sent: bool,
    pub state: Option<String>,
    pub scopes: Scopes,
    /// Scopes that Webflow does not have. It has been seen to send such a request back.
    unknown: Scopes,
}

impl AuthorizationRequest {
    /// Parses a link's parameters. Undocumented ones are ignored, including PKCE's, so that tests
    /// do not suggest they work.
    pub fn read(
        params: &[(String, String)],
        client_id: &str,
        redirect_uris: &[String],
        app_scopes: &Scopes,
    ) -> Result<Self, Refused> {
        let param = |name: &str| {
            params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
        };
        if let Some(twice) = first_double(params) {
            return Err(Refused::new(format!("{twice} is given more than once.")));
        }
        match param("client_id") {
            None => return Err(Refused::new("client_id is missing.")),
            Some(id) if id != client_id => {
                return Err(Refused::new("client_id does not name a registered app."));
            }
            Some(_) => {}
        }
        let redirect_uri = match (param("redirect_uri"), redirect_uris) {
            (Some(sent), known) if known.iter().any(|uri| uri == sent) => sent,
            (Some(_), _) => {
                return Err(Refused::new("redirect_uri differs from those in the app's settings."));
            }
            // The documentation lists redirect_uri as required; the official SDKs leave it out.
            (None, [only]) => only,
            (None, _) => {
                return Err(Refused::new(
                    "redirect_uri is missing, and the app's settings do not have exactly one.",
                ));
            }
        };
        if param("response_type") != Some("code") {
            return Err(Refused::new("response_type must be code."));
        }
        let (scopes, unknown) = read_scopes(param("scope").unwrap_or_default(), app_scopes)?;
        Ok(Self {
            redirect_uri: redirect_uri.to_owned(),
            redirect_uri_sent: param("redirect_uri").is_some(),
            state: param("state").map(str::to_owned),
            scopes,
            unknown,
        })
    }

    /// The redirect that replaces the consent page.
    fn refusal_url(&self) -> Option<String> {
        if self.unknown.is_empty() {
            return None;
        }
        let description = format!("There are no such scopes: {}", self.unknown);
        Some(self.answer_url(&[("error", "invalid_scope"), ("error_description", &description)]))
    }

    /// The callback URL with these parameters and the state.
    fn answer_url(&self, params: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(params);
        query.extend_pairs(self.state.iter().map(|state| ("state", state)));
        // RFC 6749 section 3.1.2: keep the query of the registered redirect URI.
        let joint = match self.redirect_uri.rsplit_once('?') {
            None => "?",
            Some((_, rest)) if rest.is_empty() || rest.ends_with('&') => "",
            Some(_) => "&",
        };
        format!("{}{joint}{}", self.redirect_uri, query.finish())
    }
}

fn first_double(params: &[(String, String)]) -> Option<&str> {
    params
        .iter()
        .enumerate()
        .find(|(i, (name, _))| params.iter().take(*i).any(|(earlier, _)| earlier == name))
        .map(|(_, (name, _))| name.as_str())
}

/// The scopes that are asked for, and those of them that Webflow does not have.
fn read_scopes(list: &str, app_scopes: &Scopes) -> Result<(Scopes, Scopes), Refused> {
    if list.is_empty() {
        return Err(Refused::new("scope is missing."));
    }
    let scopes = list
        .split(' ')
        .map(Scope::new)
        .collect::<Result<Scopes, _>>()
        .map_err(|_| Refused::new("scope is not a list of scopes joined by one space."))?;
    let beyond = app_scopes.missing(&scopes).into_iter();
    let (beyond, unknown): (Vec<_>, Vec<_>) =
        beyond.partition(|scope| Scope::DOCUMENTED.contains(scope));
    let beyond = Scopes::from_iter(beyond);
    if beyond.is_empty() {
        Ok((scopes, unknown.into_iter().collect()))
    } else {
        Err(Refused::new(format!("The app's settings do not have these scopes: {beyond}.")))
    }
}

/// The user's action on the consent page.
pub enum Decision {
    Authorize(Access),
    Cancel,
}

/// Validates a link for the app as currently registered.
pub fn read(
    fake: &FakeState,
    params: &[(String, String)],
) -> Result<AuthorizationRequest, Refused> {
    let settings = fake.settings();
    AuthorizationRequest::read(
        params,
        &fake.app.client_id,
        &settings.redirect_uris,
        &fake.app.scopes,
    )
}

/// Where the browser goes after the decision. Issues a code if the user agreed.
pub fn decide(
    fake: &FakeState,
    request: &AuthorizationRequest,
    decision: Decision,
) -> Result<String, Refused> {
    if let Some(url) = request.refusal_url() {
        return Ok(url);
    }
    match decision {
        // Webflow does not document the format; this is RFC 6749 section 4.1.2.1.
        Decision::Cancel => Ok(request.answer_url(&[
            ("error", "access_denied"),
            ("error_description", "The user did not authorize the request."),
        ])),
        Decision::Authorize(access) => {
            access.resolve(&fake.workspaces).map_err(Refused::new)?;
            let approval = Approval { scopes: request.scopes.clone(), access };
            let code =
                fake.issue_code(approval, request.redirect_uri.clone(), request.redirect_uri_sent);
            Ok(request.answer_url(&[("code", &code)]))
        }
    }
}

/// `GET /oauth/authorize`.
pub fn show(fake: &FakeState, request: &RecordedRequest) -> Answer {
    match read(fake, request.query()) {
        Ok(authorization) => match authorization.refusal_url() {
            Some(url) => redirect(StatusCode::SEE_OTHER, &url),
            None => consent::page(fake, &authorization, request.query(), None),
        },
        Err(refused) => consent::refusal(&refused),
    }
}

/// `POST /oauth/authorize`: the consent form. Its hidden fields come from the browser, so they are
/// validated like the link.
pub fn submit(fake: &FakeState, request: &RecordedRequest) -> Answer {
    let (choices, params): (Vec<_>, Vec<_>) =
        request.form().into_iter().partition(|(name, _)| consent::CHOICES.contains(&name.as_str()));
    let authorization = match read(fake, &params) {
        Ok(authorization) => authorization,
        Err(refused) => return consent::refusal(&refused),
    };
    let location = consent::read_decision(&choices)
        .and_then(|decision| decide(fake, &authorization, decision));
    match location {
        Ok(location) => redirect(StatusCode::SEE_OTHER, &location),
        Err(reason) => {
            let rejected = Rejected { reason: &reason, choices: &choices };
            consent::page(fake, &authorization, &params, Some(&rejected))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fake_webflow::log::pairs;

    const GOOD: &str = "response_type=code&client_id=id&redirect_uri=https%3A%2F%2Fapp.example%2Fcb\
                        &scope=sites%3Aread%20cms%3Aread&state=s";

    fn read(query: &str) -> Result<AuthorizationRequest, Refused> {
        let uris = ["https://app.example/cb".to_owned()];
        let scopes = Scopes::from([Scope::SITES_READ, Scope::CMS_READ]);
        AuthorizationRequest::read(&pairs(query.as_bytes()), "id", &uris, &scopes)
    }

    #[test]
    fn a_space_between_scopes_may_be_a_plus() {
        let plus = read(&GOOD.replace("%20", "+")).unwrap();
        assert_eq!(plus.scopes.to_string(), "sites:read cms:read");
    }

    #[test]
    fn every_departure_from_the_settings_is_refused() {
        for (what, query) in [
            ("no client_id", GOOD.replace("client_id=id", "")),
            ("other client_id", GOOD.replace("=id", "=di")),
            ("other redirect_uri", GOOD.replace("cb&", "cb%2F&")),
            ("no response_type", GOOD.replace("response_type=code", "")),
            ("other response_type", GOOD.replace("=code", "=token")),
            ("no scope", GOOD.replace("scope=", "scopes=")),
            ("empty scope", GOOD.replace("sites%3Aread%20cms%3Aread", "")),
            ("scope beyond", GOOD.replace("cms%3Aread", "cms%3Awrite")),
            ("commas", GOOD.replace("%20", ",")),
            ("two spaces", GOOD.replace("%20", "%20%20")),
            ("doubled state", format!("{GOOD}&state=s")),
            ("doubled client_id", format!("{GOOD}&client_id=id")),
        ] {
            assert!(read(&query).is_err(), "{what}");
        }
        assert!(read(GOOD).is_ok());
    }

    #[test]
    fn w11_an_unknown_scope_is_sent_back() {
        let request = read(&GOOD.replace("cms%3Aread", "cms%3Afly")).unwrap();
        let url = request.refusal_url().unwrap();
        assert!(url.starts_with("https://app.example/cb?error=invalid_scope&"), "{url}");
        assert!(url.ends_with("cms%3Afly&state=s"), "{url}");
        assert_eq!(read(GOOD).unwrap().refusal_url(), None);
    }

    #[test]
    fn without_redirect_uri_the_only_registered_one_is_used() {
        let link = GOOD.replace("redirect_uri=", "x=");
        let request = read(&link).unwrap();
        assert_eq!(request.redirect_uri, "https://app.example/cb");
        assert!(!request.redirect_uri_sent);

        let two = ["https://a.example", "https://b.example"].map(str::to_owned);
        let scopes = Scopes::from([Scope::SITES_READ, Scope::CMS_READ]);
        let params = pairs(link.as_bytes());
        assert!(AuthorizationRequest::read(&params, "id", &two, &scopes).is_err());
    }

    #[test]
    fn pkce_is_ignored() {
        assert!(read(&format!("{GOOD}&code_challenge=x&code_challenge_method=nonsense")).is_ok());
    }

    #[test]
    fn the_answer_keeps_the_query_and_echoes_only_a_state_that_was_sent() {
        let answer = |redirect_uri: &str, state: Option<&str>| {
            let request = AuthorizationRequest {
                redirect_uri: redirect_uri.into(),
                redirect_uri_sent: true,
                state: state.map(str::to_owned),
                scopes: Scopes::default(),
                unknown: Scopes::default(),
            };
            request.answer_url(&[("code", "c")])
        };
        assert_eq!(answer("https://a/cb", None), "https://a/cb?code=c");
        assert_eq!(answer("https://a/cb?x=1", Some("a&b")), "https://a/cb?x=1&code=c&state=a%26b");
        assert_eq!(answer("https://a/cb?", Some("")), "https://a/cb?code=c&state=");
    }
}
