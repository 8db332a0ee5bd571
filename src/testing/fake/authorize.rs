//! The consent screen: its checks, its page, and what comes of the user's choice.

use http::StatusCode;
use url::{Url, form_urlencoded};

use super::log::RecordedRequest;
use super::page;
use super::reply::{Reply, redirect};
use super::secret;
use super::state::{Code, FakeGrant, State};
use crate::query::{QueryError, single};
use crate::{Scope, Scopes};

/// An authorization request that Webflow would show a consent screen for.
pub(super) struct Asked {
    pub(super) redirect_to: Url,
    /// The redirect URI as it was sent; may be left out when one only is registered.
    redirect_uri: Option<String>,
    pub(super) scopes: Scopes,
    state: Option<String>,
}

/// What the user decides.
pub(super) enum Decision {
    /// These sites, or all.
    Allow(Option<Vec<String>>),
    Cancel,
}

impl Asked {
    /// Webflow answers 400 when the client, a scope or the redirect URI is not the app's.
    pub(super) fn check(state: &State, query: &str) -> Result<Self, &'static str> {
        let get = |name| {
            single(query, name).map_err(|error| match error {
                QueryError::Repeated => "a parameter comes twice",
                QueryError::NotUtf8 => "a parameter is not UTF-8",
            })
        };
        if get("response_type")?.as_deref() != Some("code") {
            return Err("response_type must be code");
        }
        if get("client_id")?.as_deref() != Some(state.client_id.as_str()) {
            return Err("client_id is not that of the app");
        }
        let redirect_uri = get("redirect_uri")?;
        let target = match (&redirect_uri, state.redirect_uris.as_slice()) {
            (Some(uri), registered) if registered.contains(uri) => uri,
            (None, [only]) => only,
            (Some(_), _) => return Err("redirect_uri is not registered for the app"),
            (None, _) => return Err("redirect_uri is missing"),
        };
        let scope = get("scope")?.unwrap_or_default();
        let scopes: Option<Scopes> =
            scope.split(' ').filter(|it| !it.is_empty()).map(|it| Scope::new(it).ok()).collect();
        match scopes {
            Some(scopes) if scopes.is_empty() => Err("scope is missing"),
            Some(scopes) if state.scopes.contains_all(&scopes) => Ok(Self {
                redirect_to: Url::parse(target).map_err(|_| "redirect_uri is not an address")?,
                redirect_uri,
                scopes,
                state: get("state")?,
            }),
            _ => Err("scope is not a subset of the app's scopes"),
        }
    }
}

pub(super) fn show(state: &State, query: &str) -> Reply {
    match Asked::check(state, query) {
        Ok(asked) => page::consent(state, &asked, query),
        Err(problem) => page::refused(problem),
    }
}

/// The form of the consent screen: the link's own parameters again, and the choice.
pub(super) fn submit(state: &mut State, request: &RecordedRequest) -> Reply {
    let fields: Vec<(String, String)> =
        form_urlencoded::parse(&request.body).into_owned().collect();
    let field = |name: &'static str| {
        fields.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.clone())
    };
    let query = field("request").next().unwrap_or_default();
    let decision = if field("decision").next().as_deref() == Some("allow") {
        Decision::Allow(Some(field("site").collect()))
    } else {
        Decision::Cancel
    };
    match decide_query(state, &query, decision) {
        Ok(to) => redirect(StatusCode::SEE_OTHER, to.as_str()),
        Err(problem) => page::refused(problem),
    }
}

/// Plays the user's choice for an authorize link.
pub(super) fn decide(state: &mut State, authorize_url: &str, decision: Decision) -> Option<Url> {
    let url = Url::parse(authorize_url).ok()?;
    decide_query(state, url.query().unwrap_or_default(), decision).ok()
}

fn decide_query(state: &mut State, query: &str, decision: Decision) -> Result<Url, &'static str> {
    let asked = Asked::check(state, query)?;
    let mut to = asked.redirect_to.clone();
    match decision {
        Decision::Allow(chosen) => {
            let code = secret();
            let grant = grant(state, &asked, chosen.as_deref())?;
            to.query_pairs_mut().append_pair("code", &code);
            state.codes.insert(
                code,
                Code { redirect_uri: asked.redirect_uri, issued_at: state.clock.now(), grant },
            );
        }
        Decision::Cancel => {
            to.query_pairs_mut()
                .append_pair("error", "access_denied")
                .append_pair("error_description", "The user denied the request");
        }
    }
    // The state comes back only if it was sent.
    if let Some(state) = &asked.state {
        to.query_pairs_mut().append_pair("state", state);
    }
    Ok(to)
}

fn grant(
    state: &State,
    asked: &Asked,
    chosen: Option<&[String]>,
) -> Result<FakeGrant, &'static str> {
    let sites: Vec<_> = state
        .sites
        .iter()
        .filter(|site| chosen.as_ref().is_none_or(|chosen| chosen.contains(&site.id)))
        .collect();
    if sites.is_empty() && !state.sites.is_empty() {
        return Err("choose at least one site");
    }
    let mut workspaces: Vec<_> = sites.iter().map(|site| site.workspace_id.clone()).collect();
    workspaces.sort();
    workspaces.dedup();
    Ok(FakeGrant {
        authorization_id: secret(),
        scopes: asked.scopes.clone(),
        sites: sites.iter().map(|site| site.id.clone()).collect(),
        workspaces,
        minute: 0,
        calls: 0,
    })
}
