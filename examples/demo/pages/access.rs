//! What the connection allows, and how to allow more.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;
use tower_webflow_auth::api::{ApiError, AuthorizedUser, RateLimit};
use tower_webflow_auth::{Scope, WebflowToken};
use url::form_urlencoded;

use super::{Frame, Place, sites};
use crate::routes::Tour;
use crate::words;

/// What Webflow says of the connection at this moment.
pub(crate) struct Known<'a> {
    /// Its answer to `/v2/sites`; without that scope, something else.
    pub(crate) sites: &'a Value,
    pub(crate) limit: Option<RateLimit>,
    pub(crate) person: Option<AuthorizedUser>,
    /// Why the rest is not known.
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
        (connected_by(token, known.person.as_ref()))
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
        p.soft { "Had enough? " a href="/disconnect" { "Sign out or disconnect" } }
    };
    frame.respond(StatusCode::OK, &content)
}

fn connected_by(token: &WebflowToken, person: Option<&AuthorizedUser>) -> Markup {
    html! {
        p.lead {
            @match person {
                Some(person) if !person.email.is_empty() => {
                    (person.first_name) " " (person.last_name) " (" (person.email) ") connected it "
                }
                _ => "Connected ",
            }
            (words::ago(token.obtained_at())) "."
        }
    }
}

/// What became of the wish for one scope more: told by the token, not by the address.
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
                @if !token.sites().is_empty() {
                    div {
                        dt { "Picked sites" }
                        dd { (words::count(token.sites().len(), "site", "sites")) }
                    }
                }
                @if token.workspaces().is_empty() && token.sites().is_empty() {
                    div { dt { "Sites" } dd { "Webflow has not said yet." } }
                }
                @if !names.is_empty() {
                    div { dt { "At present" } dd { (some_of(&names)) } }
                }
            }
        }
    }
}

/// The first names, and how many more there are.
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
                    p.soft { "Webflow counts each call with this token, and begins anew every minute." }
                }
                None => p.soft { "Webflow has not said." }
            }
        }
    }
}

/// The scopes that are still to be had, each with the link that asks for it.
fn more(tour: &Tour, token: &WebflowToken) -> Markup {
    let missing: Vec<_> =
        tour.offers.iter().filter(|scope| !token.scopes().contains(scope)).collect();
    html! {
        section aria-labelledby="more" {
            h2 #more { "Allow more" }
            @if missing.is_empty() {
                p.soft { "The demo has nothing more to ask for." }
            } @else {
                p.soft { "You are asked at Webflow; what you allowed before stays." }
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

/// The login path with everything that was allowed, one scope more, and the way back.
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
