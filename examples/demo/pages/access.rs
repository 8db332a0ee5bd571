//! The connection's permissions, and how to add more.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;
use tower_webflow_auth::api::{ApiError, RateLimit};
use tower_webflow_auth::{Scope, WebflowToken};
use url::form_urlencoded;

use super::{Frame, Place, sites};
use crate::routes::Tour;
use crate::words;

/// What Webflow currently reports about the connection.
pub(crate) struct Known<'a> {
    /// The response to `/v2/sites`, or to the introspection if that scope is missing.
    pub(crate) sites: &'a Value,
    pub(crate) limit: Option<RateLimit>,
    /// Why the other fields are unknown.
    pub(crate) fault: Option<ApiError>,
}

pub(crate) fn page(
    tour: &Tour,
    token: &WebflowToken,
    added: Option<&Scope>,
    known: &Known<'_>,
) -> Response {
    let frame = Frame { title: "Access", place: Place::Access, connected: true };
    let content = html! {
        h1 { "What this demo may do" }
        (connected_by(token))
        @if let Some(scope) = added { (outcome(token, scope)) }
        @if let Some(fault) = &known.fault {
            p.note.bad role="status" { "Webflow does not say more at the moment: " (fault) "." }
        }
        div.columns {
            section aria-labelledby="may" {
                h2 #may { "Permissions" }
                ul.rows {
                    @for scope in token.scopes() {
                        li { span { (words::scope(scope)) } code { (scope) } }
                    }
                }
            }
            div {
                (coverage(token, known))
                (calls(known.limit))
            }
        }
        (more(tour, token))
        p.soft { "Finished? " a href="/disconnect" { "Sign out or disconnect" } }
    };
    frame.respond(StatusCode::OK, &content)
}

fn connected_by(token: &WebflowToken) -> Markup {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    html! {
        p.lead {
            @match token.user() {
                Some(user) if user.email.is_some() => {
                    (part(&user.first_name)) " " (part(&user.last_name))
                    " (" (part(&user.email)) ") connected it "
                }
                _ => "Connected ",
            }
            (words::ago(token.obtained_at())) "."
        }
    }
}

/// The outcome of a step-up. It is read from the token, since anyone can write the URL.
fn outcome(token: &WebflowToken, scope: &Scope) -> Markup {
    let words = words::scope(scope);
    html! {
        @if token.scopes().contains(scope) {
            p.note.good role="status" { "Added: " (words) "." }
        } @else {
            p.note.bad role="status" { "Webflow did not add: " (words) "." }
        }
    }
}

fn coverage(token: &WebflowToken, known: &Known<'_>) -> Markup {
    let names: Vec<_> =
        sites::read(known.sites).into_iter().map(|site| site.display_name).collect();
    html! {
        section aria-labelledby="covers" {
            h2 #covers { "Covers" }
            dl {
                @for workspace in token.workspaces() {
                    div { dt { "Workspace, with all its sites" } dd { code { (workspace) } } }
                }
                @if token.workspaces().is_empty() && !token.sites().is_empty() {
                    div {
                        dt { "Picked sites" }
                        dd { (words::count(token.sites().len(), "site", "sites")) }
                    }
                }
                @if token.workspaces().is_empty() && token.sites().is_empty() {
                    div { dt { "Sites" } dd { "Not known yet." } }
                }
                @if !names.is_empty() {
                    div { dt { "Currently" } dd { (some_of(&names)) } }
                }
            }
        }
    }
}

/// The first few names, and the number of the others.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

fn calls(limit: Option<RateLimit>) -> Markup {
    html! {
        section aria-labelledby="calls" {
            h2 #calls { "Calls left this minute" }
            @match limit {
                Some(RateLimit { limit, remaining, .. }) => {
                    p.figure { strong { (remaining) } " of " (limit) }
                    meter aria-labelledby="calls" min="0" max=(limit) low=(limit / 4)
                        optimum=(limit) value=(remaining) { (remaining) " of " (limit) }
                    p.soft { "Webflow counts each call with this token and resets the count every minute." }
                }
                None => p.soft { "Not known." }
            }
        }
    }
}

/// The scopes that can still be added, each with a link that requests it.
fn more(tour: &Tour, token: &WebflowToken) -> Markup {
    let missing: Vec<_> =
        tour.offers.iter().filter(|scope| !token.scopes().contains(scope)).collect();
    html! {
        section aria-labelledby="more" {
            h2 #more { "Allow more" }
            @if missing.is_empty() {
                p.soft { "The demo has nothing more to ask for." }
            } @else {
                p.soft { "Webflow asks for your consent; the permissions you gave before remain." }
                ul.rows {
                    @for scope in missing {
                        li {
                            span #{ "add-" (scope.as_str().replace(':', "-")) } { (words::scope(scope)) }
                            a.button.quiet href=(ask_for(tour, token, scope))
                                aria-describedby={ "add-" (scope.as_str().replace(':', "-")) }
                            { "Allow" }
                        }
                    }
                }
            }
        }
    }
}

/// The login path with the granted scopes, one more scope, and the page to return to.
fn ask_for(tour: &Tour, token: &WebflowToken, scope: &Scope) -> String {
    let Some(login) = tour.auth.login_path() else {
        return "/cms".to_owned();
    };
    let scopes = token.scopes().iter().chain([scope]).map(Scope::as_str).collect::<Vec<_>>();
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("return_to", &format!("/access?added={scope}"))
        .append_pair("scope", &scopes.join(" "))
        .finish();
    format!("{login}?{query}")
}
